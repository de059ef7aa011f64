// BackendTrafficPolicy (gateway.envoyproxy.io): how Weir deals with backends.
#include "config/kind_shared.h"

#define NO_SELECTORS "choice by label is not done yet: name the targets in targetRefs"

// ---- BackendTrafficPolicy: retry ----------------------------------------------------------------------------------

static const char *const triggers[] = {"5xx",
                                       "gateway-error",
                                       "reset",
                                       "reset-before-request",
                                       "connect-failure",
                                       "retriable-4xx",
                                       "refused-stream",
                                       "retriable-status-codes",
                                       "cancelled",
                                       "deadline-exceeded",
                                       "internal",
                                       "resource-exhausted",
                                       "unavailable",
                                       NULL};

static const struct field retry_on[] = {
    {.name = "triggers",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .values = triggers,
     .absent = "connect-failure, reset before the head, retriable-status-codes",
     .doc = "What is retried. The triggers of gRPC have no effect on HTTP backends."},
    {.name = "httpStatusCodes",
     .type = FIELD_LIST,
     .item = FIELD_INT,
     .item_min = 100,
     .item_max = 599,
     .doc = "Status codes that are retried, with the trigger retriable-status-codes."},
    END_OF_FIELDS,
};

static const struct field back_off[] = {
    {.name = "baseInterval",
     .type = FIELD_DURATION,
     .min = 1,
     .absent = "25ms",
     .doc = "First wait; doubles, with jitter."},
    {.name = "maxInterval", .type = FIELD_DURATION, .absent = "10 x baseInterval", .doc = "Longest wait."},
    END_OF_FIELDS,
};

static void rule_back_off(struct check *check, const struct node *waits)
{
    const struct node *max = node_get(waits, SLICE("maxInterval"));
    if (max && node_get_ms(waits, SLICE("maxInterval"), 0) < node_get_ms(waits, SLICE("baseInterval"), 25))
        check_error(check, max, "maxInterval: must not be shorter than baseInterval");
}

static const struct field per_retry[] = {
    {.name = "timeout", .type = FIELD_DURATION, .absent = "none", .doc = "Time for one attempt's first byte."},
    {.name = "backOff",
     .type = FIELD_OBJECT,
     .fields = back_off,
     .rule = rule_back_off,
     .doc = "Waits between attempts."},
    END_OF_FIELDS,
};

static const struct field retry_fields[] = {
    {.name = "numRetries", .type = FIELD_INT, .min = 0, .max = INT32_MAX, .preset = "2", .doc = "Retries at most."},
    {.name = "numAttemptsPerPriority",
     .type = FIELD_INT,
     .min = 0,
     .max = INT32_MAX,
     .absent = "no bound",
     .doc = "Attempts within a priority before the next one."},
    {.name = "retryOn", .type = FIELD_OBJECT, .fields = retry_on, .doc = "What is retried."},
    {.name = "perRetry", .type = FIELD_OBJECT, .fields = per_retry, .doc = "Each attempt."},
    END_OF_FIELDS,
};

// ---- health -------------------------------------------------------------------------------------------------------

static const struct field passive_fields[] = {
    {.name = "splitExternalLocalOriginErrors",
     .type = FIELD_BOOL,
     .preset = "false",
     .doc = "Count failures to connect apart from 5xx answers."},
    {.name = "interval", .type = FIELD_DURATION, .min = 1, .preset = "3s", .doc = "How often endpoints come back."},
    {.name = "consecutiveLocalOriginFailures",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .preset = "5",
     .doc = "Failures to connect in a row; only with splitExternalLocalOriginErrors."},
    {.name = "consecutiveGatewayErrors",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .absent = "off",
     .doc = "502, 503, 504 in a row."},
    {.name = "consecutive5XxErrors",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .preset = "5",
     .doc = "5xx answers in a row."},
    {.name = "baseEjectionTime", .type = FIELD_DURATION, .min = 1, .preset = "30s", .doc = "Grows with each ejection."},
    {.name = "maxEjectionPercent", .type = FIELD_INT, .min = 0, .max = 100, .preset = "10", .doc = "Share at most."},
    {.name = "failurePercentageThreshold",
     .type = FIELD_INT,
     .support = SUPPORT_REFUSED,
     .words = "ejection by percentage is not done yet: use the consecutive counts",
     .doc = "Ejection by percentage."},
    {.name = "alwaysEjectOneEndpoint",
     .type = FIELD_BOOL,
     .preset = "false",
     .doc = "Eject one endpoint whatever maxEjectionPercent says."},
    END_OF_FIELDS,
};

static const char *const checker_types[] = {"HTTP", "TCP", "GRPC", NULL};
static const char *const served_checkers[] = {"HTTP", "TCP", NULL};

static const struct field http_checker[] = {
    {.name = "hostname",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .absent = "the backend's",
     .doc = "Host of the check."},
    {.name = "path",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_URL_TARGET,
     .min = 1,
     .max = 1024,
     .doc = "Path of the check."},
    {.name = "method",
     .type = FIELD_STRING,
     .pattern = PATTERN_HEADER_NAME,
     .min = 1,
     .max = 16,
     .absent = "GET",
     .doc = "Method of the check."},
    {.name = "expectedStatuses",
     .type = FIELD_LIST,
     .item = FIELD_INT,
     .item_min = 100,
     .item_max = 599,
     .absent = "200",
     .doc = "Healthy answers."},
    {.name = "retriableStatuses",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "not done yet",
     .doc = "Answers that count as one failure only."},
    {.name = "expectedResponse",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "comparing the body of a check's answer is not done yet",
     .doc = "Body of a healthy answer."},
    {.name = "requestBody",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "a body in a check is not done yet",
     .doc = "Body of the check."},
    END_OF_FIELDS,
};

static const struct field tcp_checker[] = {
    {.name = "send",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "payloads of TCP checks are not done yet: leave it out to check by connecting",
     .doc = "Payload to send."},
    {.name = "receive",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "payloads of TCP checks are not done yet: leave it out to check by connecting",
     .doc = "Payload to expect."},
    END_OF_FIELDS,
};

static const struct field active_fields[] = {
    {.name = "timeout", .type = FIELD_DURATION, .min = 1, .preset = "1s", .doc = "Time for an answer."},
    {.name = "interval", .type = FIELD_DURATION, .min = 1, .preset = "3s", .doc = "Time between checks."},
    {.name = "initialJitter",
     .type = FIELD_DURATION,
     .support = SUPPORT_IGNORED,
     .words = "checks are spread over the interval as it is",
     .doc = "Without effect."},
    {.name = "unhealthyThreshold",
     .type = FIELD_INT,
     .min = 1,
     .max = UINT32_MAX,
     .preset = "3",
     .doc = "Failures in a row until unhealthy."},
    {.name = "healthyThreshold",
     .type = FIELD_INT,
     .min = 1,
     .max = UINT32_MAX,
     .preset = "1",
     .doc = "Successes in a row until healthy."},
    {.name = "type",
     .type = FIELD_STRING,
     .is_required = true,
     .values = checker_types,
     .served = served_checkers,
     .words = "HTTP and TCP are",
     .doc = "HTTP or TCP."},
    {.name = "http", .type = FIELD_OBJECT, .fields = http_checker, .doc = "A check by HTTP."},
    {.name = "tcp", .type = FIELD_OBJECT, .fields = tcp_checker, .doc = "A check by connecting."},
    {.name = "grpc", .type = FIELD_ANY, .doc = "Refused by its type."},
    {.name = "overrides",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "checks on another port are not done yet",
     .doc = "Another port for checks."},
    {.name = "healthCheckLog",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "a log of checks is not done yet: changes of health stand in Weir's own log",
     .doc = "Log of checks."},
    END_OF_FIELDS,
};

static void rule_active(struct check *check, const struct node *active)
{
    if (!node_has(active, "type"))
        return;
    if (node_is(active, "type", "HTTP") != node_has(active, "http"))
        check_error(check, active, "If Health Checker type is HTTP, http field needs to be set.");
    if (node_is(active, "type", "TCP") != node_has(active, "tcp"))
        check_error(check, active, "If Health Checker type is TCP, tcp field needs to be set.");
    if (node_has(active, "grpc") && !node_is(active, "type", "GRPC"))
        check_error(check, active, "The grpc field can only be set if the Health Checker type is GRPC.");
}

static const struct field health_fields[] = {
    {.name = "active", .type = FIELD_OBJECT, .fields = active_fields, .rule = rule_active, .doc = "Active checks."},
    {.name = "passive", .type = FIELD_OBJECT, .fields = passive_fields, .doc = "Ejection on failures."},
    {.name = "panicThreshold",
     .type = FIELD_INT,
     .min = 0,
     .max = 100,
     .absent = "50",
     .doc = "Below this share of healthy endpoints (%) health is not regarded; 0: never."},
    END_OF_FIELDS,
};

// ---- circuit breaker, load balancer, timeouts ---------------------------------------------------------------------

static const struct field breaker_fields[] = {
    {.name = "maxConnections",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .preset = "1024",
     .doc = "Connections to the backends of a rule."},
    {.name = "maxPendingRequests",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .preset = "1024",
     .doc = "Requests that wait for a connection."},
    {.name = "maxParallelRequests",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .preset = "1024",
     .doc = "Requests at a time."},
    {.name = "maxParallelRetries",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .preset = "1024",
     .doc = "Retries at a time."},
    {.name = "maxRequestsPerConnection",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .absent = "no limit",
     .doc = "Requests until a connection is closed."},
    {.name = "perEndpoint",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "limits of each endpoint are not done yet",
     .doc = "Limits of each endpoint."},
    {.name = "retryBudget",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "not done yet: retries are 20 % of the requests at most",
     .doc = "Share of retries."},
    END_OF_FIELDS,
};

static const char *const lb_types[] = {"ConsistentHash",     "LeastRequest",  "Random", "RoundRobin",
                                       "BackendUtilization", "DynamicModule", NULL};
static const char *const served_lbs[] = {"LeastRequest", "Random", "RoundRobin", NULL};

static const struct field lb_fields[] = {
    {.name = "type",
     .type = FIELD_STRING,
     .is_required = true,
     .values = lb_types,
     .served = served_lbs,
     .words = "LeastRequest, RoundRobin and Random are",
     .doc = "How an endpoint is chosen."},
    {.name = "consistentHash", .type = FIELD_ANY, .doc = "Refused by its type."},
    {.name = "backendUtilization", .type = FIELD_ANY, .doc = "Refused by its type."},
    {.name = "dynamicModule", .type = FIELD_ANY, .doc = "Refused by its type."},
    {.name = "endpointOverride",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "choice of the endpoint by a header is not done yet",
     .doc = "Choice by header."},
    {.name = "slowStart",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "not done yet: an endpoint that returns gets its share slowly as it is",
     .doc = "Slow start."},
    {.name = "zoneAware",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "balancing by zone is not done yet",
     .doc = "Balancing by zone."},
    END_OF_FIELDS,
};

static void rule_lb(struct check *check, const struct node *lb)
{
    static const char *const blocks[][2] = {{"ConsistentHash", "consistentHash"},
                                            {"BackendUtilization", "backendUtilization"},
                                            {"DynamicModule", "dynamicModule"}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (node_has(lb, "type") && node_is(lb, "type", blocks[i][0]) != node_has(lb, blocks[i][1]))
            check_error(check, lb, "If LoadBalancer type is %s, %s field needs to be set.", blocks[i][0], blocks[i][1]);
}

static const struct field tcp_timeouts[] = {
    {.name = "connectTimeout",
     .type = FIELD_DURATION,
     .min = 1,
     .absent = "5s",
     .doc = "Time to connect, TLS included."},
    END_OF_FIELDS,
};

static const struct field http_timeouts[] = {
    {.name = "connectionIdleTimeout", .type = FIELD_DURATION, .absent = "55s", .doc = "Unused connection."},
    {.name = "maxConnectionDuration",
     .type = FIELD_DURATION,
     .support = SUPPORT_REFUSED,
     .words = "a limit of a connection's age is not done yet: use circuitBreaker.maxRequestsPerConnection",
     .doc = "Age of a connection."},
    {.name = "requestTimeout",
     .type = FIELD_DURATION,
     .absent = "none",
     .doc = "Whole request, where the route says nothing."},
    {.name = "maxStreamDuration", .type = FIELD_DURATION, .absent = "none", .doc = "Whole answer."},
    {.name = "streamIdleTimeout",
     .type = FIELD_DURATION,
     .absent = "5m",
     .doc = "Silence within an answer, where the route says nothing."},
    END_OF_FIELDS,
};

static const struct field timeout_fields[] = {
    {.name = "tcp", .type = FIELD_OBJECT, .fields = tcp_timeouts, .doc = "Connections."},
    {.name = "http", .type = FIELD_OBJECT, .fields = http_timeouts, .doc = "Requests."},
    END_OF_FIELDS,
};

// ---- names --------------------------------------------------------------------------------------------------------

static const char *const families[] = {"IPv4", "IPv6", "IPv4Preferred", "IPv6Preferred", "IPv4AndIPv6", NULL};

static const struct field dns_fields[] = {
    {.name = "lookupFamily",
     .type = FIELD_STRING,
     .values = families,
     .absent = "IPv4AndIPv6",
     .doc =
         "Addresses that are tried: of one family, of the other only where a name has none of the preferred one, or of "
         "both, side by side (RFC 8305)."},
    {.name = "respectDnsTtl",
     .type = FIELD_BOOL,
     .preset = "true",
     .doc = "Whether records are kept for their time to live, 5 s at least and 5 min at most."},
    {.name = "dnsRefreshRate",
     .type = FIELD_DURATION,
     .min = 1,
     .absent = "30s",
     .doc = "How long they are kept otherwise."},
    END_OF_FIELDS,
};

static void rule_dns(struct check *check, const struct node *dns)
{
    const struct node *rate = node_get(dns, SLICE("dnsRefreshRate"));
    if (rate && node_get_bool(dns, SLICE("respectDnsTtl"), true))
        check_warn(check, rate,
                   "dnsRefreshRate has no effect while respectDnsTtl is true, its default: set that to false");
}

// ---- HTTP/2 -------------------------------------------------------------------------------------------------------

static const struct field keepalive_fields[] = {
    {.name = "interval", .type = FIELD_DURATION, .is_required = true, .min = 1, .doc = "Between two PINGs."},
    {.name = "timeout",
     .type = FIELD_DURATION,
     .min = 1,
     .absent = "20s",
     .doc = "How long the answer may take; without one the connection is given up."},
    IGNORED("intervalJitter", "PINGs go at the interval", "Without effect."),
    REFUSED("connectionIdleInterval", "PINGs go at the interval, idle or not", "Silence before a PING."),
    END_OF_FIELDS,
};

static const struct field backend_http2_fields[] = {
    {.name = "maxConcurrentStreams",
     .type = FIELD_INT,
     .min = 1,
     .max = INT32_MAX,
     .absent = "1024",
     .doc = "Requests at once on a connection; the backend's own limit holds where it is lower."},
    {.name = "initialStreamWindowSize",
     .type = FIELD_QUANTITY,
     .absent = "64Ki",
     .doc = "Bytes of an answer that a backend may send ahead of its client."},
    {.name = "initialConnectionWindowSize",
     .type = FIELD_QUANTITY,
     .absent = "1Mi",
     .doc = "The same for a connection as a whole."},
    {.name = "connectionKeepalive",
     .type = FIELD_OBJECT,
     .fields = keepalive_fields,
     .absent = "none",
     .doc = "PINGs to find dead connections."},
    IGNORED("onInvalidMessage", "a malformed answer ends its request, a broken connection the connection",
            "Without effect."),
    END_OF_FIELDS,
};

// ---- the policy ---------------------------------------------------------------------------------------------------

static void rule_backend_policy(struct check *check, const struct node *spec)
{
    static const char *const kinds[] = {"Gateway", "HTTPRoute", NULL};
    rule_policy_targets(check, spec, kinds, "Gateway or HTTPRoute (which stands for AIGatewayRoute too)");
}

static const struct field backend_policy_spec[] = {
    {.name = "targetRef", .type = FIELD_OBJECT, .fields = shared_target_ref, .doc = "The one target."},
    {.name = "targetRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_target_ref,
     .min = 1,
     .max = 16,
     .doc = "The Gateways and routes; an AIGatewayRoute is named as the HTTPRoute of its name. The most specific "
            "policy holds alone."},
    REFUSED("targetSelectors", NO_SELECTORS, "Targets by label."),
    {.name = "retry", .type = FIELD_OBJECT, .fields = retry_fields, .doc = "Retries."},
    {.name = "timeout", .type = FIELD_OBJECT, .fields = timeout_fields, .doc = "Time limits."},
    {.name = "healthCheck", .type = FIELD_OBJECT, .fields = health_fields, .doc = "Health of the endpoints."},
    {.name = "circuitBreaker", .type = FIELD_OBJECT, .fields = breaker_fields, .doc = "Limits."},
    {.name = "loadBalancer", .type = FIELD_OBJECT, .fields = lb_fields, .rule = rule_lb, .doc = "Choice of endpoint."},
    REFUSED("rateLimit", "rate limits are not done yet", "Rate limits."),
    REFUSED("bandwidthLimit", "bandwidth limits are not done yet", "Bandwidth limits."),
    REFUSED("admissionControl", "admission control is not done yet", "Admission control."),
    REFUSED("faultInjection", "fault injection is not done: weir mock makes faults", "Faults."),
    REFUSED("responseOverride", "replacing answers is not done yet", "Replaced answers."),
    REFUSED("requestBuffer", "not read here: set the limit in connection.bufferLimit of a ClientTrafficPolicy",
            "Body limit."),
    REFUSED("httpUpgrade", "upgrades (WebSocket, CONNECT) are not done yet", "Upgrades."),
    REFUSED("compression", "compressing answers is not done yet", "Compression."),
    REFUSED("compressor", "compressing answers is not done yet", "Compression."),
    REFUSED("proxyProtocol", "the PROXY protocol towards backends is not done yet", "PROXY protocol."),
    {.name = "dns",
     .type = FIELD_OBJECT,
     .fields = dns_fields,
     .rule = rule_dns,
     .doc = "How the names of backends are resolved."},
    REFUSED("telemetry", "tracing and metrics by policy are not done yet", "Telemetry."),
    REFUSED("mergeType", "merging policies is not done yet: the most specific one holds alone", "Merging."),
    {.name = "useClientProtocol",
     .type = FIELD_BOOL,
     .support = SUPPORT_REFUSED,
     .words = "each backend is spoken to in its own protocol: see appProtocols and alpnProtocols of the Backend",
     .harmless = "false",
     .doc = "Protocol of the client."},
    IGNORED("tcpKeepalive", "time limits find dead connections", "TCP keep-alive."),
    IGNORED("connection", "Weir sizes the buffers of its connections itself", "Buffers."),
    {.name = "http2",
     .type = FIELD_OBJECT,
     .fields = backend_http2_fields,
     .doc = "HTTP/2, where a backend speaks it (appProtocols, ALPN)."},
    IGNORED("routingType", "endpoints are called as the Backend lists them", "Kubernetes routing."),
    END_OF_FIELDS,
};

const struct kind kind_backend_traffic_policy = {
    .kind = KIND_BACKEND_TRAFFIC_POLICY,
    .name = "BackendTrafficPolicy",
    .group = GROUP_ENVOY_GATEWAY,
    .versions = {"v1alpha1"},
    .fields =
        SPEC(.is_required = true, .fields = backend_policy_spec, .rule = rule_backend_policy, .doc = "The policy."),
    .doc = "Retries, time limits, health and limits towards backends.",
};
