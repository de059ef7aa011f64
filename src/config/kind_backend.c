// Backend (gateway.envoyproxy.io) and BackendTLSPolicy (gateway.networking.k8s.io): where backends are, and how Weir
// knows that they are who they say.
#include "config/kind_shared.h"

#define UNIX_HINT "Unix sockets are not done yet: give the endpoint an ip or fqdn"

static const struct field fqdn_fields[] = {
    {.name = "hostname",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_FQDN,
     .min = 1,
     .max = 253,
     .doc = "Host name; all its addresses are used."},
    {.name = "port", .type = FIELD_INT, .is_required = true, .min = 1, .max = 65535, .doc = "Port."},
    END_OF_FIELDS,
};

static const struct field ip_fields[] = {
    {.name = "address", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_IP, .doc = "IPv4 or IPv6."},
    {.name = "port", .type = FIELD_INT, .is_required = true, .min = 1, .max = 65535, .doc = "Port."},
    END_OF_FIELDS,
};

static const struct field endpoint_fields[] = {
    {.name = "hostname",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .doc = "Host name that an endpoint given by its address wants."},
    {.name = "fqdn", .type = FIELD_OBJECT, .fields = fqdn_fields, .doc = "By host name."},
    {.name = "ip", .type = FIELD_OBJECT, .fields = ip_fields, .doc = "By address."},
    {.name = "unix", .type = FIELD_ANY, .support = SUPPORT_REFUSED, .words = UNIX_HINT, .doc = "Unix socket."},
    {.name = "zone",
     .type = FIELD_STRING,
     .support = SUPPORT_IGNORED,
     .words = "Weir does not balance by zone",
     .doc = "Without effect."},
    END_OF_FIELDS,
};

static void rule_endpoint(struct check *check, const struct node *endpoint)
{
    int count = node_has(endpoint, "fqdn") + node_has(endpoint, "ip") + node_has(endpoint, "unix");
    if (count == 0)
        check_error(check, endpoint, "one of fqdn, ip or unix must be specified");
    else if (count > 1)
        check_error(check, endpoint, "only one of fqdn, ip or unix can be specified");
}

static void rule_endpoints(struct check *check, const struct node *endpoints)
{
    size_t names = 0;
    for (const struct node *endpoint = node_first(endpoints); endpoint; endpoint = endpoint->next)
        names += node_has(endpoint, "fqdn") ? 1 : 0;
    if (names > 0 && names < endpoints->count)
        check_error(check, endpoints, "fqdn addresses cannot be mixed with other address types");
}

// ---- TLS ----------------------------------------------------------------------------------------------------------

static const char *const ca_kinds[] = {"ConfigMap", "Secret", NULL};
static const char *const well_known[] = {"System", NULL};
static const char *const alt_name_types[] = {"Hostname", "URI", NULL};

static const struct field ca_ref_fields[] = {
    {.name = "group", .type = FIELD_STRING, .pattern = PATTERN_GROUP, .preset = "", .doc = "Empty: the core group."},
    {.name = "kind", .type = FIELD_STRING, .is_required = true, .values = ca_kinds, .doc = "ConfigMap or Secret."},
    NAME_FIELD("Its name; the entry ca.crt is read, and ca.crl beside it if there is one (revoked certificates)."),
    END_OF_FIELDS,
};

static const struct field tls_fields[] = {
    {.name = "caCertificateRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = ca_ref_fields,
     .max = 8,
     .doc = "Authorities to trust."},
    {.name = "wellKnownCACertificates",
     .type = FIELD_STRING,
     .values = well_known,
     .absent = "System",
     .doc = "The system's authorities."},
    {.name = "insecureSkipVerify", .type = FIELD_BOOL, .preset = "false", .doc = "Accept any certificate. For tests."},
    {.name = "sni",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .absent = "the endpoint's host name",
     .doc = "Name to ask for and to verify."},
    {.name = "autoSNIFromEndpointHostname", .type = FIELD_BOOL, .absent = "true in effect", .doc = "Name by endpoint."},
    {.name = "clientCertificateRef",
     .type = FIELD_OBJECT,
     .fields = shared_object_ref,
     .rule = rule_secret_ref,
     .doc = "Secret with the certificate (tls.crt, tls.key) that Weir shows to the backend."},
    BACKEND_ALPN_FIELD,
    TLS_CHOICE_FIELDS,
    END_OF_FIELDS,
};

static void rule_tls(struct check *check, const struct node *tls)
{
    rule_tls_choice(check, tls);
    bool has_refs = node_count(node_get(tls, SLICE("caCertificateRefs"))) > 0;
    bool has_system = node_get_text(tls, SLICE("wellKnownCACertificates")).len > 0;
    if (has_refs && has_system)
        check_error(check, tls, "must not contain both CACertificateRefs and WellKnownCACertificates");
    if ((has_refs || has_system) && node_get_bool(tls, SLICE("insecureSkipVerify"), false))
        check_error(check, tls,
                    "must not contain either CACertificateRefs or WellKnownCACertificates when "
                    "InsecureSkipVerify is enabled");
    if (node_has(tls, "sni") && node_get_bool(tls, SLICE("autoSNIFromEndpointHostname"), false))
        check_error(check, tls, "sni and autoSNIFromEndpointHostname are mutually exclusive");
    if (node_get_bool(tls, SLICE("insecureSkipVerify"), false))
        check_warn(check, node_get(tls, SLICE("insecureSkipVerify")),
                   "insecureSkipVerify: anyone on the way to this backend can read and change the traffic");
}

static const char *const backend_types[] = {"Endpoints", "DynamicResolver", NULL};
static const char *const served_types[] = {"Endpoints", NULL};

static const char *const app_protocols[] = {"gateway.envoyproxy.io/h2c", "gateway.envoyproxy.io/ws",
                                            "gateway.envoyproxy.io/wss", NULL};
static const char *const served_app_protocols[] = {"gateway.envoyproxy.io/h2c", NULL};

static const struct field backend_spec[] = {
    {.name = "type",
     .type = FIELD_STRING,
     .values = backend_types,
     .served = served_types,
     .words = "list the endpoints",
     .preset = "Endpoints",
     .doc = "Endpoints."},
    {.name = "endpoints",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = endpoint_fields,
     .is_required = true,
     .min = 1,
     .max = 256,
     .rule = rule_endpoint,
     .list_rule = rule_endpoints,
     .doc = "The endpoints: host names, or addresses, not both."},
    {.name = "appProtocols",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .values = app_protocols,
     .served = served_app_protocols,
     .words = "WebSockets are not done yet",
     .absent = "HTTP/1.1 without TLS, and as ALPN tells with it",
     .doc = "What the backend speaks; h2c: HTTP/2, without asking (with TLS, what ALPN tells comes first)."},
    {.name = "fallback", .type = FIELD_BOOL, .preset = "false", .doc = "Priority 1 where a route says none."},
    {.name = "tls",
     .type = FIELD_OBJECT,
     .fields = tls_fields,
     .rule = rule_tls,
     .absent = "plain HTTP",
     .doc = "TLS towards the backend. A BackendTLSPolicy wins over it."},
    END_OF_FIELDS,
};

static void rule_backend(struct check *check, const struct node *spec)
{
    const struct node *tls = node_get(spec, SLICE("tls"));
    if (!node_get_bool(tls, SLICE("autoSNIFromEndpointHostname"), false))
        return;
    for (const struct node *at = node_first(node_get(spec, SLICE("endpoints"))); at; at = at->next)
        if (!node_has(at, "fqdn") && !node_has(at, "hostname"))
            check_error(check, at,
                        "when autoSNIFromEndpointHostname is enabled, IP and Unix endpoints must define a hostname");
}

const struct kind kind_backend = {
    .kind = KIND_BACKEND,
    .name = "Backend",
    .group = GROUP_ENVOY_GATEWAY,
    .versions = {"v1alpha1"},
    .fields = SPEC(.is_required = true, .fields = backend_spec, .rule = rule_backend, .doc = "The backend."),
    .doc = "Where a backend is.",
};

// ---- BackendTLSPolicy ---------------------------------------------------------------------------------------------

static const struct field alt_name_fields[] = {
    {.name = "type", .type = FIELD_STRING, .is_required = true, .values = alt_name_types, .doc = "Hostname or URI."},
    {.name = "hostname",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .doc = "A DNS name."},
    {.name = "uri", .type = FIELD_STRING, .min = 1, .max = 253, .doc = "A URI, compared byte by byte (SPIFFE)."},
    END_OF_FIELDS,
};

static void rule_alt_name(struct check *check, const struct node *name)
{
    bool is_uri = node_is(name, "type", "URI"), is_host = node_is(name, "type", "Hostname");
    if (is_host && (!node_has(name, "hostname") || node_has(name, "uri")))
        check_error(check, name, "SubjectAltName element must contain Hostname, if Type is set to Hostname");
    if (is_uri && (!node_has(name, "uri") || node_has(name, "hostname")))
        check_error(check, name, "SubjectAltName element must contain URI, if Type is set to URI");
}

static const struct field validation_fields[] = {
    {.name = "caCertificateRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = ca_ref_fields,
     .max = 8,
     .doc = "Authorities to trust."},
    {.name = "wellKnownCACertificates", .type = FIELD_STRING, .values = well_known, .doc = "The system's authorities."},
    {.name = "hostname",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .doc = "Name to ask for (SNI) and to verify."},
    {.name = "subjectAltNames",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = alt_name_fields,
     .max = 5,
     .rule = rule_alt_name,
     .doc = "Names of which one must be in the certificate, instead of hostname."},
    END_OF_FIELDS,
};

static void rule_validation(struct check *check, const struct node *validation)
{
    bool has_refs = node_count(node_get(validation, SLICE("caCertificateRefs"))) > 0;
    bool has_system = node_get_text(validation, SLICE("wellKnownCACertificates")).len > 0;
    if (has_refs && has_system)
        check_error(check, validation, "must not contain both CACertificateRefs and WellKnownCACertificates");
    else if (!has_refs && !has_system)
        check_error(check, validation, "must specify either CACertificateRefs or WellKnownCACertificates");
}

static void rule_tls_target(struct check *check, const struct node *ref)
{
    if (node_has(ref, "kind") && node_has(ref, "group") &&
        !(node_is(ref, "kind", "Backend") && node_is(ref, "group", GROUP_ENVOY_GATEWAY)))
        check_error(check, ref, "targetRefs: only Backend of group %s is supported", GROUP_ENVOY_GATEWAY);
}

static const struct field tls_policy_spec[] = {
    {.name = "targetRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_target_ref,
     .is_required = true,
     .min = 1,
     .max = 16,
     .rule = rule_tls_target,
     .doc = "The Backends."},
    {.name = "validation",
     .type = FIELD_OBJECT,
     .is_required = true,
     .fields = validation_fields,
     .rule = rule_validation,
     .doc = "How their certificates are verified."},
    {.name = "options",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "TLS options are not done yet",
     .doc = "Options of an implementation."},
    END_OF_FIELDS,
};

const struct kind kind_backend_tls_policy = {
    .kind = KIND_BACKEND_TLS_POLICY,
    .name = "BackendTLSPolicy",
    .group = GROUP_GATEWAY,
    .versions = {"v1", "v1alpha3", "v1alpha2", "v1beta1"},
    .fields = SPEC(.is_required = true, .fields = tls_policy_spec, .doc = "The policy."),
    .doc = "TLS towards a Backend.",
};
