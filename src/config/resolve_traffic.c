// BackendTrafficPolicy: retries, time limits, health, limits. What a policy leaves out has the defaults of S11, or within a
// block those of Envoy Gateway (config-model.md 2.4).
#include "config/resolve_parts.h"

// ---- retries --------------------------------------------------------------------------------------------------

// What Envoy does for 5xx and gateway-error: an attempt without an answer counts as a 503 or 504.
#define NO_ANSWER ((uint32_t)(RETRY_CONNECT_FAILURE | RETRY_RESET | RETRY_TIMEOUT))

// Triggers on gRPC states never fire for HTTP backends. Backends are spoken to in HTTP/1.1, where no stream is refused.
static const struct {
    const char *name;
    uint32_t bits;
} triggers[] = {
    {"5xx", RETRY_5XX | NO_ANSWER},
    {"gateway-error", RETRY_GATEWAY_ERROR | NO_ANSWER},
    {"reset", NO_ANSWER},
    {"reset-before-request", RETRY_CONNECT_FAILURE},
    {"connect-failure", RETRY_CONNECT_FAILURE},
    {"retriable-4xx", RETRY_4XX_409},
    {"retriable-status-codes", RETRY_STATUS_CODES},
};

static uint32_t trigger_bits(struct slice name)
{
    for (size_t i = 0; i < sizeof triggers / sizeof triggers[0]; i++)
        if (slice_eq(name, slice_from_cstr(triggers[i].name)))
            return triggers[i].bits;
    return 0;
}

static uint16_t *read_statuses(struct resolver *resolver, const struct node *list, size_t *ret_count)
{
    uint16_t *statuses = RESOLVE_ARRAY(resolver, uint16_t, node_count(list));
    int64_t status;
    for (const struct node *item = node_first(list); statuses && item; item = item->next)
        if (node_to_i64(item, &status))
            statuses[(*ret_count)++] = (uint16_t)status;
    return statuses;
}

// Without triggers: S7's own, which the codes belong to. With them only what they name, which may be nothing at all: codes
// need the trigger retriable-status-codes then. No codes stand for S7's, which the exchange knows.
static void read_retry_on(struct resolver *resolver, const struct node *retry_on, struct config_retry *retry)
{
    static const uint32_t when_absent = NO_ANSWER | RETRY_STATUS_CODES;
    const struct node *names = node_get(retry_on, SLICE("triggers"));
    retry->triggers = node_count(names) ? 0 : when_absent;
    for (const struct node *item = node_first(names); item; item = item->next)
        retry->triggers |= trigger_bits(node_text(item));
    retry->codes = read_statuses(resolver, node_get(retry_on, SLICE("httpStatusCodes")), &retry->code_count);
}

static struct config_retry read_retry(struct resolver *resolver, const struct node *node)
{
    struct config_retry retry = {.is_set = node != NULL};
    const struct node *per_retry = node_get(node, SLICE("perRetry"));
    const struct node *backoff = node_get(per_retry, SLICE("backOff"));
    if (!node)
        return retry; // S7's defaults, which the exchange knows
    retry.num_retries = (uint32_t)node_get_i64(node, SLICE("numRetries"), 2);
    retry.attempts_per_priority = (uint32_t)node_get_i64(node, SLICE("numAttemptsPerPriority"), 0);
    read_retry_on(resolver, node_get(node, SLICE("retryOn")), &retry);
    retry.per_try_timeout_ms = node_get_ms(per_retry, SLICE("timeout"), 0);
    retry.backoff_base_ms = node_get_ms(backoff, SLICE("baseInterval"), 25);
    retry.backoff_max_ms = node_get_ms(backoff, SLICE("maxInterval"), 10 * retry.backoff_base_ms);
    return retry;
}

// ---- health ---------------------------------------------------------------------------------------------------

static struct config_passive_health read_passive(const struct node *node)
{
    bool is_split = node_get_bool(node, SLICE("splitExternalLocalOriginErrors"), false);
    if (!node)
        return (struct config_passive_health){.is_set = false};
    return (struct config_passive_health){
        .is_set = true,
        .interval_ms = node_get_ms(node, SLICE("interval"), 3000),
        .base_ejection_ms = node_get_ms(node, SLICE("baseEjectionTime"), 30000),
        .consecutive_5xx = (uint32_t)node_get_i64(node, SLICE("consecutive5XxErrors"), 5),
        .consecutive_gateway_errors = (uint32_t)node_get_i64(node, SLICE("consecutiveGatewayErrors"), 0),
        // Counted apart only when split; else failures to connect count as 5xx.
        .consecutive_local_origin_failures =
            is_split ? (uint32_t)node_get_i64(node, SLICE("consecutiveLocalOriginFailures"), 5) : 0,
        .max_ejection_percent = (uint32_t)node_get_i64(node, SLICE("maxEjectionPercent"), 10),
        .always_eject_one = node_get_bool(node, SLICE("alwaysEjectOneEndpoint"), false),
    };
}

static struct config_active_health read_active(struct resolver *resolver, const struct node *node)
{
    static const uint16_t when_absent[] = {200};
    const struct node *http = node_get(node, SLICE("http"));
    const struct node *statuses = node_get(http, SLICE("expectedStatuses"));
    struct slice method = node_get_text(http, SLICE("method"));
    if (!node)
        return (struct config_active_health){.is_set = false};
    struct config_active_health active = {
        .is_set = true,
        .type = slice_eq(node_get_text(node, SLICE("type")), SLICE("TCP")) ? ACTIVE_TCP : ACTIVE_HTTP,
        .timeout_ms = node_get_ms(node, SLICE("timeout"), 1000),
        .interval_ms = node_get_ms(node, SLICE("interval"), 3000),
        .unhealthy_threshold = (uint32_t)node_get_i64(node, SLICE("unhealthyThreshold"), 3),
        .healthy_threshold = (uint32_t)node_get_i64(node, SLICE("healthyThreshold"), 1),
        .path = node_get_text(http, SLICE("path")),
        .method = method.len ? method : SLICE("GET"),
        .hostname = node_get_text(http, SLICE("hostname")),
        .expected_statuses = when_absent,
        .expected_status_count = 1,
    };
    if (node_count(statuses)) {
        active.expected_status_count = 0;
        active.expected_statuses = read_statuses(resolver, statuses, &active.expected_status_count);
    }
    return active;
}

// ---- BackendTrafficPolicy -------------------------------------------------------------------------------------

static enum config_lb read_lb(struct slice type)
{
    if (slice_eq(type, SLICE("RoundRobin")))
        return LB_ROUND_ROBIN;
    return slice_eq(type, SLICE("Random")) ? LB_RANDOM : LB_LEAST_REQUEST;
}

static uint32_t breaker(const struct node *node, struct slice name, uint32_t absent)
{
    return (uint32_t)node_get_i64(node, name, absent);
}

#define MIB ((size_t)1 << 20)

uint32_t resolve_window(const struct node *http2, struct slice name, uint64_t absent)
{
    uint64_t bytes = node_get_bytes(http2, name, absent);
    return bytes < 65535 ? 65535 : bytes > INT32_MAX ? INT32_MAX : (uint32_t)bytes;
}

struct config_traffic resolve_traffic(struct resolver *resolver, const struct resource *policy)
{
    const struct node *spec = policy ? policy->spec : NULL;
    const struct node *http = node_path(spec, SLICE("timeout.http"));
    const struct node *health = node_get(spec, SLICE("healthCheck"));
    const struct node *limits = node_get(spec, SLICE("circuitBreaker"));
    const struct node *http2 = node_get(spec, SLICE("http2"));
    const struct node *pings = node_get(http2, SLICE("connectionKeepalive"));
    return (struct config_traffic){
        .retry = read_retry(resolver, node_get(spec, SLICE("retry"))),
        .connect_timeout_ms = node_get_ms(node_path(spec, SLICE("timeout.tcp")), SLICE("connectTimeout"), 5000),
        .max_stream_duration_ms = node_get_ms(http, SLICE("maxStreamDuration"), 0),
        .upstream_idle_ms = node_get_ms(http, SLICE("connectionIdleTimeout"), 55000),
        .passive = read_passive(node_get(health, SLICE("passive"))),
        .active = read_active(resolver, node_get(health, SLICE("active"))),
        .panic_threshold_percent = (uint32_t)node_get_i64(health, SLICE("panicThreshold"), 50),
        .max_connections = breaker(limits, SLICE("maxConnections"), 1024),
        .max_pending_requests = breaker(limits, SLICE("maxPendingRequests"), 1024),
        .max_parallel_requests = breaker(limits, SLICE("maxParallelRequests"), 1024),
        .max_parallel_retries = breaker(limits, SLICE("maxParallelRetries"), 1024),
        .max_requests_per_connection = breaker(limits, SLICE("maxRequestsPerConnection"), 0),
        .lookup = resolve_lookup(node_get(spec, SLICE("dns"))),
        .lb = read_lb(node_get_text(node_get(spec, SLICE("loadBalancer")), SLICE("type"))),
        .h2_streams = (uint32_t)node_get_i64(http2, SLICE("maxConcurrentStreams"), 1024),
        .h2_stream_window = resolve_window(http2, SLICE("initialStreamWindowSize"), 65536),
        .h2_connection_window = resolve_window(http2, SLICE("initialConnectionWindowSize"), MIB),
        .h2_ping_interval_ms = node_get_ms(pings, SLICE("interval"), 0),
        .h2_ping_timeout_ms = node_get_ms(pings, SLICE("timeout"), 20000),
    };
}
