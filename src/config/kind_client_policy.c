// ClientTrafficPolicy (gateway.envoyproxy.io): how Weir deals with clients.
#include "config/kind_shared.h"

#define NO_SELECTORS "choice by label is not done yet: name the targets in targetRefs"

// ---- connections --------------------------------------------------------------------------------------------------

static const struct field connection_limit[] = {
    {.name = "value", .type = FIELD_INT, .min = 1, .max = UINT32_MAX, .absent = "no limit", .doc = "At a time."},
    IGNORED("closeDelay", "a connection over the limit is closed at once", "Without effect."),
    {.name = "maxConnectionDuration",
     .type = FIELD_DURATION,
     .absent = "no limit",
     .doc = "Age at which a connection ends: the requests under way are finished, then it closes."},
    {.name = "maxRequestsPerConnection",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .absent = "no limit",
     .doc = "Requests after which a connection ends."},
    REFUSED("maxStreamDuration", "set timeouts.request in the route", "Duration of a request."),
    END_OF_FIELDS,
};

static void rule_connection_limit(struct check *check, const struct node *limit)
{
    if (node_has(limit, "closeDelay") && !node_has(limit, "value"))
        check_error(check, limit, "closeDelay can only be configured when value is set");
}

static const struct field client_connection[] = {
    {.name = "connectionLimit",
     .type = FIELD_OBJECT,
     .fields = connection_limit,
     .rule = rule_connection_limit,
     .doc = "Connections of clients."},
    {.name = "bufferLimit",
     .type = FIELD_QUANTITY,
     .absent = "50Mi for JSON, 256Mi for multipart",
     .doc = "Largest body (413 above)."},
    IGNORED("socketBufferLimit", "Weir sizes its buffers itself", "Without effect."),
    IGNORED("maxAcceptPerSocketEvent", "Weir accepts as connections come", "Without effect."),
    END_OF_FIELDS,
};

static const struct field client_tcp_timeouts[] = {
    {.name = "idleTimeout",
     .type = FIELD_DURATION,
     .absent = "1h",
     .doc = "Silence on a connection of a TLSRoute; 0s: no limit."},
    {.name = "tlsHandshakeTimeout", .type = FIELD_DURATION, .absent = "10s", .doc = "TLS handshake done."},
    IGNORED("connectionInspectionTimeout", "tlsHandshakeTimeout holds from the first byte on", "Without effect."),
    END_OF_FIELDS,
};

static const struct field client_http_timeouts[] = {
    {.name = "requestReceivedTimeout", .type = FIELD_DURATION, .absent = "none", .doc = "Whole request received."},
    {.name = "requestHeadersReceivedTimeout", .type = FIELD_DURATION, .absent = "10s", .doc = "Head received."},
    {.name = "idleTimeout", .type = FIELD_DURATION, .absent = "75s", .doc = "Between requests of a connection."},
    {.name = "streamIdleTimeout",
     .type = FIELD_DURATION,
     .absent = "5m",
     .doc = "Silence within a request. Of a body that does not come on, and of an answer that is not read, at most 30 "
            "s and "
            "60 s."},
    END_OF_FIELDS,
};

static const struct field client_timeouts[] = {
    {.name = "tcp", .type = FIELD_OBJECT, .fields = client_tcp_timeouts, .doc = "Connections."},
    {.name = "http", .type = FIELD_OBJECT, .fields = client_http_timeouts, .doc = "Requests."},
    END_OF_FIELDS,
};

static const char *const slash_actions[] = {"KeepUnchanged", "RejectRequest", "UnescapeAndForward",
                                            "UnescapeAndRedirect", NULL};
static const char *const served_slashes[] = {"KeepUnchanged", "RejectRequest", NULL};

static const struct field path_fields[] = {
    {.name = "escapedSlashesAction",
     .type = FIELD_STRING,
     .values = slash_actions,
     .served = served_slashes,
     .words = "paths are compared and passed on as the client sent them: use KeepUnchanged or RejectRequest",
     .absent = "KeepUnchanged",
     .doc = "Paths with an encoded slash or backslash: KeepUnchanged passes them on, RejectRequest answers 400."},
    {.name = "disableMergeSlashes",
     .type = FIELD_BOOL,
     .support = SUPPORT_REFUSED,
     .words = "slashes are not merged here: write true",
     .harmless = "true",
     .doc = "True: slashes are not merged."},
    END_OF_FIELDS,
};

static const char *const underscore_actions[] = {"Allow", "RejectRequest", "DropHeader", NULL};
static const char *const request_ids[] = {"PreserveOrGenerate", "Generate", "Preserve", "Disable", NULL};
static const char *const served_request_ids[] = {"PreserveOrGenerate", "Generate", NULL};
static const char *const client_cert_modes[] = {"Sanitize",    "ForwardOnly",       "AppendForward",
                                                "SanitizeSet", "AlwaysForwardOnly", NULL};
static const char *const served_client_cert_modes[] = {"Sanitize", "ForwardOnly", "AlwaysForwardOnly", NULL};

static const struct field client_cert_fields[] = {
    {.name = "mode",
     .type = FIELD_STRING,
     .values = client_cert_modes,
     .served = served_client_cert_modes,
     .words = "writing the client's certificate down is not done yet: use Sanitize, ForwardOnly or AlwaysForwardOnly",
     .absent = "Sanitize",
     .doc = "Sanitize takes the field off requests, ForwardOnly unless the client showed a certificate of its own, "
            "AlwaysForwardOnly never."},
    REFUSED("certDetailsToAdd", "writing the client's certificate down is not done yet", "Details to write."),
    END_OF_FIELDS,
};

static void rule_headers(struct check *check, const struct node *headers)
{
    if (node_has(headers, "preserveXRequestID") && node_has(headers, "requestID"))
        check_error(check, headers, "preserveXRequestID and requestID cannot both be set.");
}

static const struct field header_fields[] = {
    {.name = "maxRequestHeaderLimit",
     .type = FIELD_QUANTITY,
     .absent = "60Ki",
     .doc = "Largest head of a request (431 above)."},
    {.name = "enableEnvoyHeaders",
     .type = FIELD_BOOL,
     .support = SUPPORT_REFUSED,
     .words = "Weir adds no x-envoy headers",
     .harmless = "false",
     .doc = "x-envoy headers."},
    {.name = "disableRateLimitHeaders", .type = FIELD_BOOL, .support = SUPPORT_SILENT, .doc = "Left alone."},
    {.name = "withUnderscoresAction",
     .type = FIELD_STRING,
     .values = underscore_actions,
     .absent = "Allow",
     .doc = "Request fields with '_' in their names: Allow passes them on, DropHeader leaves them out, RejectRequest "
            "answers 400."},
    {.name = "xForwardedClientCert",
     .type = FIELD_OBJECT,
     .fields = client_cert_fields,
     .doc = "What becomes of x-forwarded-client-cert."},
    {.name = "preserveXRequestID",
     .type = FIELD_BOOL,
     .absent = "true",
     .doc = "False: a client's x-request-id is replaced. True: it is kept where it is a token of at most 128 bytes."},
    {.name = "requestID",
     .type = FIELD_STRING,
     .values = request_ids,
     .served = served_request_ids,
     .words = "every request has an x-request-id here: use PreserveOrGenerate or Generate",
     .absent = "PreserveOrGenerate",
     .doc = "PreserveOrGenerate keeps a client's x-request-id, Generate replaces it."},
    REFUSED("earlyRequestHeaders", "changes before routing are not done yet", "Changes before routing."),
    REFUSED("lateResponseHeaders", "use a ResponseHeaderModifier filter of an HTTPRoute", "Changes of answers."),
    REFUSED("host", "host settings are not done yet", "Host."),
    END_OF_FIELDS,
};

static const struct field http10_fields[] = {
    {.name = "useDefaultHost",
     .type = FIELD_BOOL,
     .support = SUPPORT_REFUSED,
     .words = "a default host is not done yet",
     .harmless = "false",
     .doc = "Default host."},
    END_OF_FIELDS,
};

static const struct field http1_fields[] = {
    {.name = "preserveHeaderCase", .type = FIELD_BOOL, .support = SUPPORT_SILENT, .doc = "Always preserved."},
    {.name = "http10", .type = FIELD_OBJECT, .fields = http10_fields, .doc = "HTTP/1.0 is always served."},
    IGNORED("enableTrailers", "trailers are read within the limits of the head", "Without effect."),
    IGNORED("disableSafeMaxConnectionDuration", "connections have no largest age", "Without effect."),
    REFUSED("ignoredUpgradeTypes", "requests to upgrade are refused", "Upgrades to ignore."),
    END_OF_FIELDS,
};

static const struct field client_http2_fields[] = {
    {.name = "maxConcurrentStreams",
     .type = FIELD_INT,
     .min = 1,
     .max = INT32_MAX,
     .absent = "100",
     .doc = "Requests at once on a connection."},
    {.name = "initialStreamWindowSize",
     .type = FIELD_QUANTITY,
     .absent = "64Ki",
     .doc = "Body bytes that a request may send ahead."},
    {.name = "initialConnectionWindowSize",
     .type = FIELD_QUANTITY,
     .absent = "1Mi",
     .doc = "The same for a connection as a whole."},
    IGNORED("onInvalidMessage", "a malformed request ends its stream, a broken connection the connection",
            "Without effect."),
    REFUSED("connectionKeepalive", "pinging clients is not done: idleTimeout ends idle connections", "PING."),
    END_OF_FIELDS,
};

static const struct field client_crl[] = {
    {.name = "refs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_object_ref,
     .is_required = true,
     .min = 1,
     .max = 8,
     .rule = rule_authority_ref,
     .doc = "ConfigMaps or Secrets; the entry ca.crl is read."},
    {.name = "onlyVerifyLeafCertificate",
     .type = FIELD_BOOL,
     .preset = "false",
     .doc = "True: only the client's own certificate is looked up, not those of its authorities."},
    END_OF_FIELDS,
};

static const char *const match_types[] = {"Exact", "Prefix", "Suffix", "RegularExpression", NULL};
static const char *const served_match_types[] = {"Exact", "Prefix", "Suffix", NULL};

static const struct field name_match[] = {
    {.name = "type",
     .type = FIELD_STRING,
     .values = match_types,
     .served = served_match_types,
     .words = "use Exact, Prefix or Suffix",
     .preset = "Exact",
     .doc = "How it is compared. An exact DNS name is also matched by a wildcard of the certificate."},
    {.name = "value",
     .type = FIELD_STRING,
     .is_required = true,
     .min = 1,
     .max = 1024,
     .doc = "The name, or part of it."},
    END_OF_FIELDS,
};

#define NAME_LIST(field_name, text)                                                                                    \
    {                                                                                                                  \
        .name = field_name, .type = FIELD_LIST, .item = FIELD_OBJECT, .fields = name_match, .max = 64, .doc = text     \
    }

static const struct field client_names[] = {
    NAME_LIST("dnsNames", "DNS names."),
    NAME_LIST("emailAddresses", "Email addresses."),
    NAME_LIST("ipAddresses", "IP addresses."),
    NAME_LIST("uris", "URIs, such as SPIFFE identities."),
    REFUSED("otherNames", "names of other kinds are not done: use dnsNames, emailAddresses, ipAddresses or uris",
            "Names of other kinds."),
    END_OF_FIELDS,
};

// Names that nobody has are a mistake: the block alone would let everybody in.
static void rule_client_names(struct check *check, const struct node *names)
{
    for (const struct field *field = client_names; field->name; field++)
        if (node_first(node_get(names, slice_from_cstr(field->name))))
            return;
    check_error(check, names, "subjectAltNames needs a name: which clients are to be let in?");
}

static const struct field client_validation[] = {
    {.name = "optional",
     .type = FIELD_BOOL,
     .preset = "false",
     .doc = "True: no certificate is fine, a bad one is not."},
    {.name = "caCertificateRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_object_ref,
     .max = 8,
     .rule = rule_authority_ref,
     .doc = "ConfigMaps or Secrets with the authorities to trust: ca.crt, and ca.crl beside it if there is one."},
    {.name = "spkiHashes",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .item_min = 44,
     .item_max = 44,
     .max = 64,
     .doc = "SHA-256 of public keys (SPKI) in base64: the client's must be one of these, beside being trusted."},
    {.name = "certificateHashes",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .item_min = 64,
     .item_max = 95,
     .max = 64,
     .doc = "SHA-256 of certificates in hexadecimal digits, perhaps with colons; likewise."},
    {.name = "subjectAltNames",
     .type = FIELD_OBJECT,
     .fields = client_names,
     .rule = rule_client_names,
     .doc = "The client's certificate must have one of these alternative names, beside being trusted."},
    {.name = "crl", .type = FIELD_OBJECT, .fields = client_crl, .doc = "Revoked certificates."},
    END_OF_FIELDS,
};

// Without an authority anybody's certificate would do, which is not what a user who asks for certificates wants.
static void rule_client_validation(struct check *check, const struct node *validation)
{
    if (!node_count(node_get(validation, SLICE("caCertificateRefs"))))
        check_error(check, validation,
                    "clientValidation needs caCertificateRefs: whose certificates are to be trusted?");
}

static const struct field client_resumption[] = {
    {.name = "stateless", .type = FIELD_ANY, .support = SUPPORT_SILENT, .doc = "By tickets, always done."},
    IGNORED("stateful", "sessions are resumed by tickets; none are kept", "Without effect."),
    END_OF_FIELDS,
};

static const struct field client_session[] = {
    {.name = "resumption", .type = FIELD_OBJECT, .fields = client_resumption, .doc = "Always on, by tickets."},
    END_OF_FIELDS,
};

static const struct field client_tls[] = {
    {.name = "clientValidation",
     .type = FIELD_OBJECT,
     .fields = client_validation,
     .rule = rule_client_validation,
     .absent = "clients are not asked",
     .doc = "Certificates of clients."},
    {.name = "alpnProtocols",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .values = shared_alpn_protocols,
     .served = shared_served_alpn,
     .words = "HTTP/1.0 has no name in ALPN here; its clients offer none",
     .max = 8,
     .absent = "h2, http/1.1",
     .doc = "Protocols to agree on; an empty list: no ALPN."},
    {.name = "session", .type = FIELD_OBJECT, .fields = client_session, .doc = "Resumption of sessions."},
    TLS_CHOICE_FIELDS,
    END_OF_FIELDS,
};

// ---- who the client is --------------------------------------------------------------------------------------------

static const struct field proxy_protocol[] = {
    {.name = "optional",
     .type = FIELD_BOOL,
     .preset = "false",
     .doc = "True: connections without a header are served too, with their own address. Anybody may then say to be "
            "anybody."},
    END_OF_FIELDS,
};

static const struct field forwarded_for[] = {
    {.name = "numTrustedHops",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .doc = "Proxies before this one that append to x-forwarded-for: the client is the entry so many from the right."},
    {.name = "trustedCIDRs",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .pattern = PATTERN_IP_RANGE,
     .min = 1,
     .max = 256,
     .doc =
         "Ranges of trusted proxies: the client is the entry of x-forwarded-for farthest to the right that is not in "
         "them, if the connection comes from them."},
    END_OF_FIELDS,
};

static void rule_forwarded_for(struct check *check, const struct node *settings)
{
    if (node_has(settings, "numTrustedHops") == node_has(settings, "trustedCIDRs"))
        check_error(check, settings, "only one of numTrustedHops or trustedCIDRs must be set");
}

static const struct field custom_header[] = {
    {.name = "name",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_HEADER_NAME,
     .min = 1,
     .max = 255,
     .doc = "Request field with the client's address. Whoever reaches the listener can set it."},
    {.name = "failClosed",
     .type = FIELD_BOOL,
     .preset = "false",
     .doc = "True: a request without an address in the field is answered 403. False: the connection's address holds."},
    END_OF_FIELDS,
};

static const struct field client_ip[] = {
    {.name = "xForwardedFor",
     .type = FIELD_OBJECT,
     .fields = forwarded_for,
     .rule = rule_forwarded_for,
     .doc = "By x-forwarded-for."},
    {.name = "customHeader", .type = FIELD_OBJECT, .fields = custom_header, .doc = "By a field of its own."},
    END_OF_FIELDS,
};

static void rule_client_ip(struct check *check, const struct node *detection)
{
    if (node_has(detection, "xForwardedFor") && node_has(detection, "customHeader"))
        check_error(check, detection, "customHeader cannot be used in conjunction with xForwardedFor");
}

// ---- the policy ---------------------------------------------------------------------------------------------------

static const struct field health_check[] = {
    {.name = "path",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_ABSOLUTE_PATH,
     .min = 1,
     .max = 1024,
     .doc = "GET and HEAD of this path are answered 200 before any route is looked at, on the hosts of the listener."},
    END_OF_FIELDS,
};

static void rule_client_policy(struct check *check, const struct node *spec)
{
    static const char *const kinds[] = {"Gateway", NULL};
    rule_policy_targets(check, spec, kinds, "Gateway");
}

static const struct field client_policy_spec[] = {
    {.name = "targetRef", .type = FIELD_OBJECT, .fields = shared_target_ref, .doc = "The one target."},
    {.name = "targetRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_target_ref,
     .min = 1,
     .max = 16,
     .doc = "The Gateways, or listeners of them."},
    REFUSED("targetSelectors", NO_SELECTORS, "Targets by label."),
    {.name = "connection", .type = FIELD_OBJECT, .fields = client_connection, .doc = "Connections and bodies."},
    {.name = "timeout", .type = FIELD_OBJECT, .fields = client_timeouts, .doc = "Time limits."},
    {.name = "path", .type = FIELD_OBJECT, .fields = path_fields, .doc = "Paths."},
    {.name = "headers", .type = FIELD_OBJECT, .fields = header_fields, .rule = rule_headers, .doc = "Heads."},
    {.name = "http1", .type = FIELD_OBJECT, .fields = http1_fields, .doc = "HTTP/1."},
    {.name = "tls",
     .type = FIELD_OBJECT,
     .fields = client_tls,
     .rule = rule_tls_choice,
     .doc = "TLS towards clients, on listeners of protocol HTTPS."},
    {.name = "enableProxyProtocol",
     .type = FIELD_BOOL,
     .preset = "false",
     .doc = "True: as proxyProtocol without optional, which holds where both are set."},
    {.name = "proxyProtocol",
     .type = FIELD_OBJECT,
     .fields = proxy_protocol,
     .absent = "none is read",
     .doc =
         "Connections begin with a PROXY header (version 1 or 2), whose source is the client. All listeners of a port "
         "must say the same."},
    {.name = "clientIPDetection",
     .type = FIELD_OBJECT,
     .fields = client_ip,
     .rule = rule_client_ip,
     .absent = "the connection's address",
     .doc = "How the address of the client behind other proxies is found."},
    REFUSED("http3", "HTTP/3 is not done yet", "HTTP/3."),
    REFUSED("grpc", "gRPC settings are not done yet", "gRPC."),
    {.name = "healthCheck",
     .type = FIELD_OBJECT,
     .fields = health_check,
     .absent = "none; the admin port has /health and /ready",
     .doc = "A path for the health checks of load balancers."},
    IGNORED("tcpKeepalive", "time limits find dead connections", "TCP keep-alive."),
    {.name = "http2", .type = FIELD_OBJECT, .fields = client_http2_fields, .doc = "HTTP/2."},
    IGNORED("scheme", ":scheme says whether the backend is spoken to over TLS", ":scheme."),
    END_OF_FIELDS,
};

const struct kind kind_client_traffic_policy = {
    .kind = KIND_CLIENT_TRAFFIC_POLICY,
    .name = "ClientTrafficPolicy",
    .group = GROUP_ENVOY_GATEWAY,
    .versions = {"v1alpha1"},
    .fields = SPEC(.is_required = true, .fields = client_policy_spec, .rule = rule_client_policy, .doc = "The policy."),
    .doc = "Limits and time limits towards clients.",
};
