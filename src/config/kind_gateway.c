// GatewayClass and Gateway (gateway.networking.k8s.io): where Weir listens.
#include "config/kind_shared.h"

#define PARAMETERS_REF                                                                                                 \
    {.name = "group",                                                                                                  \
     .type = FIELD_STRING,                                                                                             \
     .is_required = true,                                                                                              \
     .pattern = PATTERN_GROUP,                                                                                         \
     .doc = "gateway.envoyproxy.io."},                                                                                 \
        {.name = "kind", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_KIND, .doc = "EnvoyProxy."},    \
        NAME_FIELD("Its name.")
static const struct field local_parameters_ref[] = {PARAMETERS_REF, END_OF_FIELDS};
static const struct field parameters_ref[] = {PARAMETERS_REF, NAMESPACE_FIELD("default", "Its namespace."),
                                              END_OF_FIELDS};

static void rule_parameters(struct check *check, const struct node *ref)
{
    if (node_has(ref, "kind") && node_has(ref, "group") &&
        !(node_is(ref, "kind", "EnvoyProxy") && node_is(ref, "group", GROUP_ENVOY_GATEWAY)))
        check_error(check, ref, "parametersRef must name an EnvoyProxy of %s", GROUP_ENVOY_GATEWAY);
}

// ---- GatewayClass -------------------------------------------------------------------------------------------------

static const struct field class_spec[] = {
    {.name = "controllerName",
     .type = FIELD_STRING,
     .is_required = true,
     .min = 1,
     .max = 253,
     .doc = "Any: Weir serves all Gateways that it is given."},
    {.name = "description", .type = FIELD_STRING, .support = SUPPORT_SILENT, .doc = "Left alone."},
    {.name = "parametersRef",
     .type = FIELD_OBJECT,
     .fields = parameters_ref,
     .rule = rule_parameters,
     .doc = "EnvoyProxy with the access log of all Gateways of this class."},
    END_OF_FIELDS,
};

const struct kind kind_gateway_class = {
    .kind = KIND_GATEWAY_CLASS,
    .name = "GatewayClass",
    .group = GROUP_GATEWAY,
    .versions = {"v1", "v1beta1"},
    .is_cluster_wide = true,
    .fields = SPEC(.is_required = true, .fields = class_spec, .doc = "The class."),
    .doc = "The class of a Gateway.",
};

// ---- Gateway ------------------------------------------------------------------------------------------------------

static const char *const namespaces_from[] = {"All", "Same", "Selector", "None", NULL};
static const char *const served_from[] = {"All", "Same", "None", NULL};

static const struct field route_namespaces[] = {
    {.name = "from",
     .type = FIELD_STRING,
     .values = namespaces_from,
     .served = served_from,
     .words = "namespaces have no labels in files; use All or Same",
     .preset = "Same",
     .doc = "Namespaces whose routes may attach."},
    {.name = "selector",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "namespaces have no labels in files; use from: All or from: Same",
     .doc = "Choice by label."},
    END_OF_FIELDS,
};

static const struct field route_kinds[] = {
    {.name = "group", .type = FIELD_STRING, .pattern = PATTERN_GROUP, .preset = GROUP_GATEWAY, .doc = "Group."},
    {.name = "kind", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_KIND, .doc = "HTTPRoute."},
    END_OF_FIELDS,
};

// An AIGatewayRoute attaches as the HTTPRoute that Envoy AI Gateway would make of it.
static void rule_route_kind(struct check *check, const struct node *kind)
{
    bool is_served = node_is(kind, "kind", "HTTPRoute") || node_is(kind, "kind", "TLSRoute");
    if (node_has(kind, "kind") && !(is_served && node_is(kind, "group", GROUP_GATEWAY)))
        check_error(
            check, kind,
            "allowedRoutes.kinds: only HTTPRoute (it stands for AIGatewayRoute too) and TLSRoute can be served");
}

static const struct field allowed_routes[] = {
    {.name = "namespaces", .type = FIELD_OBJECT, .fields = route_namespaces, .doc = "By namespace."},
    {.name = "kinds",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = route_kinds,
     .max = 8,
     .rule = rule_route_kind,
     .doc = "By kind: HTTPRoute, which stands for AIGatewayRoute too."},
    END_OF_FIELDS,
};

static const char *const protocols[] = {"HTTP", "HTTPS", "TLS", "TCP", "UDP", NULL};
static const char *const served_protocols[] = {"HTTP", "HTTPS", "TLS", NULL};
static const char *const tls_modes[] = {"Terminate", "Passthrough", NULL};

static const struct field listener_tls[] = {
    {.name = "mode",
     .type = FIELD_STRING,
     .values = tls_modes,
     .preset = "Terminate",
     .doc =
         "Terminate (HTTPS): Weir shows the certificate and reads the requests. Passthrough (TLS): the backend does."},
    {.name = "certificateRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_object_ref,
     .max = 64,
     .rule = rule_secret_ref,
     .doc = "Secrets with tls.crt, tls.key and, if there is one, tls.ocsp-staple. Several: one for each kind of key."},
    REFUSED("options", "Weir has no TLS options of its own: use a ClientTrafficPolicy",
            "Options of an implementation."),
    REFUSED("frontendValidation", "not read here: use tls.clientValidation of a ClientTrafficPolicy",
            "Client certificates."),
    END_OF_FIELDS,
};

static const struct field listener_fields[] = {
    {.name = "name",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .doc = "Its name, for sectionName."},
    {.name = "hostname",
     .type = FIELD_STRING,
     .pattern = PATTERN_HOSTNAME,
     .min = 1,
     .max = 253,
     .absent = "all",
     .doc = "Host that it serves; may begin with \"*.\"."},
    {.name = "port", .type = FIELD_INT, .is_required = true, .min = 1, .max = 65535, .doc = "Port."},
    {.name = "protocol",
     .type = FIELD_STRING,
     .is_required = true,
     .values = protocols,
     .served = served_protocols,
     .words = "use HTTP, HTTPS or TLS",
     .doc = "HTTP, HTTPS, or TLS for TLSRoutes; the others are refused until they are done."},
    {.name = "tls",
     .type = FIELD_OBJECT,
     .fields = listener_tls,
     .doc = "TLS towards clients; with protocols HTTPS and TLS."},
    {.name = "allowedRoutes", .type = FIELD_OBJECT, .fields = allowed_routes, .doc = "Routes that may attach."},
    END_OF_FIELDS,
};

// The CRD's own rules.
static void rule_listener(struct check *check, const struct node *listener)
{
    const struct node *tls = node_get(listener, SLICE("tls"));
    bool is_https = node_is(listener, "protocol", "HTTPS");
    if (node_is(listener, "protocol", "HTTP") && tls)
        check_error(check, tls, "tls must not be specified for protocols HTTP, TCP, UDP");
    if (is_https && !node_count(node_get(tls, SLICE("certificateRefs"))))
        check_error(check, tls ? tls : listener, "a listener of protocol HTTPS needs tls.certificateRefs");
    if (is_https && node_is(tls, "mode", "Passthrough"))
        check_error(check, node_get(tls, SLICE("mode")), "tls mode must be Terminate for protocol HTTPS");
    bool is_tls = node_is(listener, "protocol", "TLS");
    if (is_tls && !node_is(tls, "mode", "Passthrough"))
        check_error(check, tls ? tls : listener,
                    "a listener of protocol TLS needs tls.mode Passthrough: ending TLS without HTTP is not done");
    if (is_tls && node_count(node_get(tls, SLICE("certificateRefs"))))
        check_error(check, node_get(tls, SLICE("certificateRefs")),
                    "with tls.mode Passthrough the backend shows its certificate; take certificateRefs out");
    const struct node *kinds = node_path(listener, SLICE("allowedRoutes.kinds"));
    for (const struct node *kind = node_first(kinds); kind; kind = kind->next)
        if (node_has(listener, "protocol") && node_has(kind, "kind") && node_is(kind, "kind", "TLSRoute") != is_tls)
            check_error(check, kind, "this kind of route does not go with the listener's protocol");
}

static bool is_same_listener(const struct node *a, const struct node *b)
{
    // HTTPS and TLS are told apart by the name alone, so that they count as one.
    static const char *const parts[] = {"port", "hostname"};
    if (node_is(a, "protocol", "HTTP") != node_is(b, "protocol", "HTTP"))
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct slice name = slice_from_cstr(parts[i]);
        if (!slice_eq(node_get_text(a, name), node_get_text(b, name)))
            return false;
    }
    return true;
}

// What a connection begins with can't depend on what is only known later.
static void rule_port_protocol(struct check *check, const struct node *list, const struct node *listener)
{
    for (const struct node *before = list->first; before != listener; before = before->next)
        if (slice_eq(node_get_text(before, SLICE("port")), node_get_text(listener, SLICE("port"))) &&
            node_is(before, "protocol", "HTTP") != node_is(listener, "protocol", "HTTP")) {
            check_error(check, node_get(listener, SLICE("port")),
                        "the listener in line %u has this port with another protocol; a port has TLS or has none",
                        before->mark.line);
            return;
        }
}

static void rule_listeners(struct check *check, const struct node *list)
{
    for (const struct node *listener = node_first(list); listener; listener = listener->next) {
        if (!node_has(listener, "port"))
            continue;
        rule_port_protocol(check, list, listener);
        for (const struct node *before = list->first; before != listener; before = before->next) {
            if (is_same_listener(before, listener)) {
                check_error(check, listener,
                            "Combination of port, protocol and hostname must be unique for each listener: line %u "
                            "has it already",
                            before->mark.line);
                break;
            }
        }
    }
}

static const struct field infrastructure[] = {
    {.name = "labels", .type = FIELD_ANY, .support = SUPPORT_SILENT, .doc = "Left alone."},
    {.name = "annotations", .type = FIELD_ANY, .support = SUPPORT_SILENT, .doc = "Left alone."},
    {.name = "parametersRef",
     .type = FIELD_OBJECT,
     .fields = local_parameters_ref,
     .rule = rule_parameters,
     .doc = "EnvoyProxy with the access log."},
    END_OF_FIELDS,
};

static const struct field gateway_spec[] = {
    {.name = "gatewayClassName",
     .type = FIELD_STRING,
     .is_required = true,
     .min = 1,
     .max = 253,
     .doc = "Its GatewayClass."},
    {.name = "listeners",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = listener_fields,
     .is_required = true,
     .min = 1,
     .max = 64,
     .unique_by = "name",
     .unique_words = "Listener name must be unique within the Gateway",
     .rule = rule_listener,
     .list_rule = rule_listeners,
     .doc = "Where Weir listens."},
    {.name = "addresses",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "not read here: say where to listen with weir run --address",
     .doc = "Addresses; weir run --address instead."},
    {.name = "infrastructure", .type = FIELD_OBJECT, .fields = infrastructure, .doc = "The EnvoyProxy."},
    {.name = "allowedListeners",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "ListenerSet is not done yet: put all listeners into the Gateway",
     .doc = "ListenerSets that may attach."},
    {.name = "tls",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "TLS settings of a Gateway are not done yet",
     .doc = "TLS of clients and backends."},
    {.name = "backendTLS",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "client certificates towards backends are not done yet",
     .doc = "Client certificates towards backends."},
    {.name = "defaultScope",
     .type = FIELD_STRING,
     .support = SUPPORT_REFUSED,
     .words = "default Gateways are not done yet: name the Gateway in the routes' parentRefs",
     .harmless = "None",
     .doc = "Routes without parentRefs."},
    END_OF_FIELDS,
};

const struct kind kind_gateway = {
    .kind = KIND_GATEWAY,
    .name = "Gateway",
    .group = GROUP_GATEWAY,
    .versions = {"v1", "v1beta1"},
    .fields = SPEC(.is_required = true, .fields = gateway_spec, .doc = "The Gateway."),
    .doc = "The ports on which Weir listens.",
};
