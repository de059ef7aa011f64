// ClientTrafficPolicy: limits, time limits, who a client is. What a policy leaves out has the defaults of S11.
#include "config/resolve_parts.h"

#define MIB ((size_t)1 << 20)

// S11's limit, or the policy's silence within a request where that is shorter.
static int64_t within_idle(const struct node *http, int64_t limit_ms)
{
    int64_t idle_ms = node_get_ms(http, SLICE("streamIdleTimeout"), 0);
    return idle_ms > 0 && idle_ms < limit_ms ? idle_ms : limit_ms;
}

// ---- who the client is --------------------------------------------------------------------------------------------

static enum config_proxy_protocol read_proxy_protocol(const struct node *spec)
{
    const struct node *settings = node_get(spec, SLICE("proxyProtocol"));
    if (!settings)
        return node_get_bool(spec, SLICE("enableProxyProtocol"), false) ? PROXY_PROTOCOL_REQUIRED : PROXY_PROTOCOL_OFF;
    return node_get_bool(settings, SLICE("optional"), false) ? PROXY_PROTOCOL_OPTIONAL : PROXY_PROTOCOL_REQUIRED;
}

static void read_ranges(struct resolver *resolver, const struct node *list, struct config_origin *origin)
{
    origin->kind = ORIGIN_RANGES;
    origin->ranges = RESOLVE_ARRAY(resolver, struct ip_range, node_count(list));
    for (const struct node *item = node_first(list); origin->ranges && item; item = item->next)
        if (ip_range_parse(node_text(item), &origin->ranges[origin->range_count]))
            origin->range_count++;
}

static struct config_origin read_origin(struct resolver *resolver, const struct node *detection)
{
    const struct node *forwarded = node_get(detection, SLICE("xForwardedFor"));
    const struct node *ranges = node_get(forwarded, SLICE("trustedCIDRs"));
    const struct node *custom = node_get(detection, SLICE("customHeader"));
    struct config_origin origin = {.kind = ORIGIN_CONNECTION};
    if (custom) {
        origin.kind = ORIGIN_FIELD;
        origin.field = node_get_text(custom, SLICE("name"));
        origin.is_required = node_get_bool(custom, SLICE("failClosed"), false);
    } else if (ranges) {
        read_ranges(resolver, ranges, &origin);
    } else if (forwarded) {
        origin.hops = (uint32_t)node_get_i64(forwarded, SLICE("numTrustedHops"), 0);
        origin.kind = origin.hops ? ORIGIN_HOPS : ORIGIN_CONNECTION;
    }
    return origin;
}

// ---- heads --------------------------------------------------------------------------------------------------------

static enum config_underscores read_underscores(struct slice action)
{
    if (slice_eq(action, SLICE("RejectRequest")))
        return UNDERSCORES_REFUSED;
    return slice_eq(action, SLICE("DropHeader")) ? UNDERSCORES_DROPPED : UNDERSCORES_ALLOWED;
}

static enum config_client_cert read_client_cert(struct slice mode)
{
    if (slice_eq(mode, SLICE("AlwaysForwardOnly")))
        return CLIENT_CERT_FORWARDED;
    return slice_eq(mode, SLICE("ForwardOnly")) ? CLIENT_CERT_FORWARDED_OVER_MTLS : CLIENT_CERT_DROPPED;
}

static void read_heads(const struct node *spec, struct config_client *client)
{
    const struct node *headers = node_get(spec, SLICE("headers"));
    const struct node *cert = node_get(headers, SLICE("xForwardedClientCert"));
    client->underscores = read_underscores(node_get_text(headers, SLICE("withUnderscoresAction")));
    client->client_cert = read_client_cert(node_get_text(cert, SLICE("mode")));
    client->is_id_replaced = !node_get_bool(headers, SLICE("preserveXRequestID"), true) ||
                             slice_eq(node_get_text(headers, SLICE("requestID")), SLICE("Generate"));
    client->refuses_slash_escape =
        slice_eq(node_get_text(node_get(spec, SLICE("path")), SLICE("escapedSlashesAction")), SLICE("RejectRequest"));
}

// ---- the policy ---------------------------------------------------------------------------------------------------

struct config_client resolve_client(struct resolver *resolver, const struct resource *policy)
{
    const struct node *spec = policy ? policy->spec : NULL;
    const struct node *connection = node_get(spec, SLICE("connection"));
    const struct node *http = node_path(spec, SLICE("timeout.http"));
    const struct node *http2 = node_get(spec, SLICE("http2"));
    const struct node *limit = node_get(connection, SLICE("connectionLimit"));
    // One limit for every body, as in Envoy Gateway; without it multipart bodies may be larger.
    struct config_client client = {
        .json_body_bytes = node_get_bytes(connection, SLICE("bufferLimit"), 50 * MIB),
        .multipart_body_bytes = node_get_bytes(connection, SLICE("bufferLimit"), 256 * MIB),
        .header_bytes =
            node_get_bytes(node_get(spec, SLICE("headers")), SLICE("maxRequestHeaderLimit"), (uint64_t)60 << 10),
        .header_count = 100,
        .target_bytes = (size_t)8 << 10,
        .head_timeout_ms = node_get_ms(http, SLICE("requestHeadersReceivedTimeout"), 10000),
        .body_idle_timeout_ms = within_idle(http, 30000),
        .keep_alive_idle_ms = node_get_ms(http, SLICE("idleTimeout"), 75000),
        .h2_idle_ms = node_get_ms(http, SLICE("idleTimeout"), 300000),
        .h2_streams = (uint32_t)node_get_i64(http2, SLICE("maxConcurrentStreams"), 100),
        .h2_stream_window = resolve_window(http2, SLICE("initialStreamWindowSize"), 65536),
        .h2_connection_window = resolve_window(http2, SLICE("initialConnectionWindowSize"), MIB),
        .stream_idle_ms = node_get_ms(http, SLICE("streamIdleTimeout"), 300000),
        .send_timeout_ms = within_idle(http, 60000),
        .request_timeout_ms = node_get_ms(http, SLICE("requestReceivedTimeout"), 0),
        .tcp_idle_ms = node_get_ms(node_path(spec, SLICE("timeout.tcp")), SLICE("idleTimeout"), 3600000),
        .tls_handshake_ms = node_get_ms(node_path(spec, SLICE("timeout.tcp")), SLICE("tlsHandshakeTimeout"), 10000),
        .max_connections = (uint32_t)node_get_i64(limit, SLICE("value"), 0),
        .max_requests = (uint32_t)node_get_i64(limit, SLICE("maxRequestsPerConnection"), 0),
        .max_age_ms = node_get_ms(limit, SLICE("maxConnectionDuration"), 0),
        .health_path = node_get_text(node_get(spec, SLICE("healthCheck")), SLICE("path")),
        .origin = read_origin(resolver, node_get(spec, SLICE("clientIPDetection"))),
        .proxy_protocol = read_proxy_protocol(spec),
    };
    read_heads(spec, &client);
    return client;
}
