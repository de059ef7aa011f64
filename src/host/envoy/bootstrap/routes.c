// Route configurations: a virtual host for each Gateway listener of a port, with the resources for the module, and a
// hash map from rules to routes.
#include "host/envoy/bootstrap/bootstrap.h"

#include <stdio.h>

#include "host/envoy/names.h"
#include "json/json.h"

#define FIRST_BYTE_MS 60000 // as deadline.c
#define STREAM_IDLE_MS 300000
#define BACKOFF_BASE_MS 25
#define BACKOFF_MAX_MS 250
#define WAIT_MAX_MS ((int64_t)24 * 3600 * 1000) // a retry-after is no longer (retry_after.c)

static const uint16_t preset_codes[] = {429, 500, 501, 502, 503, 504, 529}; // S7

void bootstrap_rule_name(const struct config_route *route, const struct config_rule *rule, char *text, size_t cap)
{
    snprintf(text, cap, "httproute/" SLICE_FMT "/" SLICE_FMT "/rule/%zu", SLICE_ARG(route->namespace_),
             SLICE_ARG(route->name), rule->index);
}

static size_t usable_count(const struct config_rule *rule)
{
    size_t count = 0;
    for (size_t i = 0; i < rule->ref_count; i++)
        count += config_ref_is_usable(&rule->refs[i]);
    return count;
}

bool bootstrap_has_usable(const struct config_rule *rule)
{
    return usable_count(rule) > 0;
}

// ---- retries --------------------------------------------------------------------------------------------------

static void add_trigger(struct buf *list, bool is_set, struct slice name)
{
    if (!is_set)
        return;
    if (list->len)
        buf_append_byte(list, ',');
    buf_append(list, name);
}

static uint32_t triggers_of(const struct config_rule *rule)
{
    const struct config_retry *retry = &rule->traffic.retry;
    if (retry->is_set)
        return retry->triggers ? retry->triggers : (uint32_t)RETRY_CONNECT_FAILURE;
    if (usable_count(rule) > 1)
        return RETRY_CONNECT_FAILURE | RETRY_RESET | RETRY_STATUS_CODES;
    return RETRY_CONNECT_FAILURE;
}

// An attempt without an answer stands in the triggers of 5xx and gateway-error already (resolve_traffic.c).
static void emit_retry_on(struct emit *emit, const struct config_rule *rule)
{
    uint32_t triggers = triggers_of(rule);
    char text[160];
    struct buf list = {.ptr = text, .cap = sizeof text, .max = sizeof text};
    add_trigger(&list, true, SLICE("refused-stream")); // the backend has not looked at it (RFC 9113 section 8.7)
    add_trigger(&list, triggers & RETRY_CONNECT_FAILURE, SLICE("connect-failure"));
    add_trigger(&list, triggers & RETRY_RESET, SLICE("reset"));
    add_trigger(&list, triggers & RETRY_5XX, SLICE("5xx"));
    add_trigger(&list, triggers & RETRY_GATEWAY_ERROR, SLICE("gateway-error"));
    add_trigger(&list, triggers & RETRY_4XX_409, SLICE("retriable-4xx"));
    add_trigger(&list, triggers & RETRY_STATUS_CODES, SLICE("retriable-status-codes"));
    emit_text(emit, "retry_on", buf_slice(&list));
    if (!(triggers & RETRY_STATUS_CODES))
        return;
    const struct config_retry *retry = &rule->traffic.retry;
    bool is_preset = !retry->is_set || !retry->code_count;
    const uint16_t *codes = is_preset ? preset_codes : retry->codes;
    size_t count = is_preset ? sizeof preset_codes / sizeof *preset_codes : retry->code_count;
    emit_list(emit, "retriable_status_codes");
    for (size_t i = 0; i < count; i++)
        emit_u64(emit, "", codes[i]);
    emit_list_end(emit);
}

// References in the first priority; *ret_has_more: there are further priorities.
static size_t first_priority_count(const struct config_rule *rule, bool *ret_has_more)
{
    uint32_t first = UINT32_MAX;
    size_t count = 0;
    *ret_has_more = false;
    for (size_t i = 0; i < rule->ref_count; i++)
        if (config_ref_is_usable(&rule->refs[i]) && rule->refs[i].priority < first)
            first = rule->refs[i].priority;
    for (size_t i = 0; i < rule->ref_count; i++) {
        if (!config_ref_is_usable(&rule->refs[i]))
            continue;
        count += rule->refs[i].priority == first;
        *ret_has_more |= rule->refs[i].priority != first;
    }
    return count;
}

// Prefer who was not tried; leave a priority when all of it, or as many as the policy says, have been.
static void emit_preferences(struct emit *emit, const struct config_rule *rule)
{
    bool has_more;
    size_t count = first_priority_count(rule, &has_more);
    if (usable_count(rule) > 1) {
        emit_list(emit, "retry_host_predicate");
        emit_typed(emit, "", "envoy.retry_host_predicates.previous_hosts",
                   "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate");
        emit_end(emit);
        emit_end(emit);
        emit_list_end(emit);
        emit_u64(emit, "host_selection_retry_max_attempts", 10);
    }
    if (!has_more)
        return;
    uint32_t limit = rule->traffic.retry.attempts_per_priority;
    emit_typed(emit, "retry_priority", "envoy.retry_priorities.previous_priorities",
               "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig");
    emit_u64(emit, "update_frequency", limit ? limit : count);
    emit_end(emit);
    emit_end(emit);
}

static int64_t first_byte_ms(const struct config_rule *rule)
{
    if (rule->traffic.retry.per_try_timeout_ms > 0)
        return rule->traffic.retry.per_try_timeout_ms;
    return rule->backend_request_timeout_ms >= 0 ? rule->backend_request_timeout_ms : FIRST_BYTE_MS;
}

// Without a policy every backend is tried once, at most two of them after the first; a single one gets a second
// connection (S7).
static uint32_t retries_of(const struct config_rule *rule)
{
    size_t usable = usable_count(rule);
    if (rule->traffic.retry.is_set)
        return rule->traffic.retry.num_retries;
    return usable > 2 ? 2 : 1;
}

// How long a retry-after keeps the next try waiting is the module's to say.
static void emit_waits(struct emit *emit)
{
    emit_object(emit, "rate_limited_retry_back_off");
    emit_list(emit, "reset_headers");
    emit_object(emit, "");
    emit_cstr(emit, "name", WEIR_WAIT_FIELD);
    emit_cstr(emit, "format", "SECONDS");
    emit_end(emit);
    emit_list_end(emit);
    emit_ms(emit, "max_interval", WAIT_MAX_MS);
    emit_end(emit);
}

static void emit_retry(struct emit *emit, const struct config_rule *rule)
{
    const struct config_retry *retry = &rule->traffic.retry;
    int64_t base = retry->is_set && retry->backoff_base_ms > 0 ? retry->backoff_base_ms : BACKOFF_BASE_MS;
    int64_t max = retry->is_set && retry->backoff_max_ms > 0 ? retry->backoff_max_ms : BACKOFF_MAX_MS;
    emit_object(emit, "retry_policy");
    emit_retry_on(emit, rule);
    emit_u64(emit, "num_retries", retries_of(rule));
    if (first_byte_ms(rule) > 0)
        emit_ms(emit, "per_try_timeout", first_byte_ms(rule));
    emit_preferences(emit, rule);
    emit_object(emit, "retry_back_off");
    emit_ms(emit, "base_interval", base);
    emit_ms(emit, "max_interval", max > base ? max : base);
    emit_end(emit);
    emit_waits(emit);
    emit_end(emit);
}

// ---- routes ---------------------------------------------------------------------------------------------------

static int64_t total_ms(const struct config_rule *rule)
{
    int64_t request = rule->request_timeout_ms > 0 ? rule->request_timeout_ms : 0;
    int64_t stream = rule->traffic.max_stream_duration_ms;
    if (!request || !stream)
        return request + stream;
    return request < stream ? request : stream;
}

static void emit_times(struct emit *emit, const struct config_rule *rule, const struct config_listener *listener)
{
    int64_t idle = rule->stream_idle_ms >= 0             ? rule->stream_idle_ms
                   : listener->client.stream_idle_ms > 0 ? listener->client.stream_idle_ms
                                                         : STREAM_IDLE_MS;
    emit_ms(emit, "timeout", total_ms(rule));
    emit_ms(emit, "idle_timeout", idle);
}

// What the module builds ahead of all attempts gets the backend's Host here; other attempts get theirs from the module
// (S7: without a name of its own a backend is called by address and port).
static void emit_authority(struct emit *emit, const struct config_rule *rule)
{
    const struct config_backend_ref *ref = config_rule_only_ref(rule);
    struct slice host = config_ref_host(rule, ref);
    char address[512];
    bootstrap_endpoint_address(&ref->backend->endpoints[0], address, sizeof address);
    emit_text(emit, "host_rewrite_literal", host.len ? host : slice_from_cstr(address));
}

static void emit_route(const struct bootstrap *bootstrap, struct emit *emit, const struct config_listener *listener,
                       const struct config_rule *rule, struct slice name, const char *cluster)
{
    emit_named_object(emit, name);
    emit_typed(emit, "action", "route", "envoy.config.route.v3.Route");
    emit_text(emit, "name", name);
    emit_list(emit, "request_headers_to_remove");
    emit_cstr(emit, "", WEIR_RULE_FIELD);
    emit_cstr(emit, "", "x-envoy-external-address");
    emit_cstr(emit, "", "x-envoy-internal");
    emit_list_end(emit);
    emit_object(emit, "match");
    emit_cstr(emit, "prefix", "/");
    emit_end(emit);
    emit_object(emit, "route");
    emit_cstr(emit, "cluster", cluster);
    if (bootstrap_builds_ahead(bootstrap, rule))
        emit_authority(emit, rule);
    emit_times(emit, rule, listener);
    emit_retry(emit, rule);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

static void begin_carrier(struct emit *emit)
{
    emit_object(emit, "");
    emit_object(emit, "match");
}

static void end_carrier(struct emit *emit)
{
    emit_end(emit);
    emit_object(emit, "direct_response");
    emit_u64(emit, "status", 404);
    emit_end(emit);
    emit_end(emit);
}

// Before Weir has seen a request there is no rule: routes of its own carry the module's configuration then, and answer
// should a request ever come by without a rule. Every request needs one, CONNECT too, which has no path.
static void emit_no_match(struct emit *emit)
{
    emit_object(emit, "on_no_match");
    emit_typed(emit, "action", "route", "envoy.config.route.v3.RouteList");
    emit_list(emit, "routes");
    begin_carrier(emit);
    emit_cstr(emit, "prefix", "/");
    end_carrier(emit);
    begin_carrier(emit);
    emit_object(emit, "connect_matcher");
    emit_end(emit);
    end_carrier(emit);
    emit_list_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

static bool has_routes(const struct config_listener *listener)
{
    for (size_t r = 0; r < listener->route_count; r++)
        for (size_t i = 0; i < listener->routes[r]->rule_count; i++)
            if (bootstrap_has_usable(&listener->routes[r]->rules[i]))
                return true;
    return false;
}

static void emit_matcher(const struct bootstrap *bootstrap, struct emit *emit, const struct config_listener *listener)
{
    emit_object(emit, "matcher");
    if (has_routes(listener)) {
        emit_object(emit, "matcher_tree");
        emit_typed(emit, "input", "rule", "envoy.type.matcher.v3.HttpRequestHeaderMatchInput");
        emit_cstr(emit, "header_name", WEIR_RULE_FIELD);
        emit_end(emit);
        emit_end(emit);
        emit_object(emit, "exact_match_map");
        emit_object(emit, "map");
        for (size_t r = 0; r < listener->route_count; r++) {
            const struct config_route *route = listener->routes[r];
            for (size_t i = 0; i < route->rule_count; i++) {
                char name[1024], cluster[1024];
                bootstrap_rule_name(route, &route->rules[i], name, sizeof name);
                bootstrap_cluster_name(bootstrap, route, &route->rules[i], cluster, sizeof cluster);
                if (bootstrap_has_usable(&route->rules[i]))
                    emit_route(bootstrap, emit, listener, &route->rules[i], slice_from_cstr(name), cluster);
            }
        }
        emit_end(emit);
        emit_end(emit);
        emit_end(emit);
    }
    emit_no_match(emit);
    emit_end(emit);
}

// ---- virtual hosts --------------------------------------------------------------------------------------------

// The module's settings (settings.h): all resources, and which listener they are read for.
static void emit_settings(const struct bootstrap *bootstrap, struct emit *emit, const struct config_listener *listener,
                          const char *name)
{
    bool is_logged = bootstrap_logs_by_module(bootstrap, (size_t)(listener - bootstrap->config->listeners));
    struct buf text;
    struct emit inner = {.buf = &text};
    buf_init(&text, SIZE_MAX / 4);
    emit_object(&inner, "");
    emit_cstr(&inner, "listener", name);
    emit_cstr(&inner, "build", bootstrap->publishes_all ? "tries" : "ahead");
    emit_cstr(&inner, "log", is_logged ? "weir" : "envoy");
    emit_list(&inner, "documents");
    for (size_t i = 0; i < bootstrap->document_count; i++) {
        emit_object(&inner, "");
        emit_text(&inner, "path", bootstrap->documents[i].path);
        emit_text(&inner, "text", bootstrap->documents[i].text);
        emit_end(&inner);
    }
    emit_list_end(&inner);
    emit_end(&inner);
    emit_text(emit, "value", buf_slice(&text));
    if (text.has_failed)
        emit->buf->has_failed = true;
    buf_fini(&text);
}

static void emit_host(const struct bootstrap *bootstrap, struct emit *emit, const struct config_listener *listener,
                      bool takes_all)
{
    char name[1024];
    snprintf(name, sizeof name, SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT, SLICE_ARG(listener->namespace_),
             SLICE_ARG(listener->gateway), SLICE_ARG(listener->name));
    emit_object(emit, "");
    emit_cstr(emit, "name", name);
    emit_list(emit, "domains");
    if (listener->hostname.len)
        emit_text(emit, "", listener->hostname);
    if (takes_all || !listener->hostname.len)
        emit_cstr(emit, "", "*");
    emit_list_end(emit);
    emit_object(emit, "typed_per_filter_config");
    emit_any(emit, "weir", "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute");
    bootstrap_module(bootstrap, emit);
    emit_any(emit, "filter_config", "google.protobuf.StringValue");
    emit_settings(bootstrap, emit, listener, name);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_matcher(bootstrap, emit, listener);
    emit_end(emit);
}

// Requests for hosts of listeners that this connection is not for (S9); the module has no part in them.
static void emit_misdirected(struct emit *emit)
{
    static const char body[] = "{\"error\":{\"message\":\"This connection was made for another host.\",\"type\":\""
                               "invalid_request_error\",\"param\":null,\"code\":\"misdirected_request\"}}";
    emit_object(emit, "typed_per_filter_config");
    emit_any(emit, "weir", "envoy.config.route.v3.FilterConfig");
    emit_bool(emit, "disabled", true);
    emit_end(emit);
    emit_any(emit, "buffer", "envoy.config.route.v3.FilterConfig");
    emit_object(emit, "config"); // enabled
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_list(emit, "response_headers_to_add");
    emit_object(emit, "");
    emit_object(emit, "header");
    emit_cstr(emit, "key", "content-type");
    emit_cstr(emit, "value", "application/json");
    emit_end(emit);
    emit_cstr(emit, "append_action", "OVERWRITE_IF_EXISTS_OR_ADD");
    emit_end(emit);
    emit_list_end(emit);
    emit_list(emit, "routes");
    emit_object(emit, "");
    emit_object(emit, "match");
    emit_cstr(emit, "prefix", "/");
    emit_end(emit);
    emit_object(emit, "direct_response");
    emit_u64(emit, "status", 421);
    emit_object(emit, "body");
    emit_cstr(emit, "inline_string", body);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
}

// Not even where they show the same certificates, as weir run does: each would stand in the routes of each.
static void emit_other_hosts(const struct bootstrap *bootstrap, struct emit *emit, const struct config_listener *own)
{
    size_t count = 0;
    for (size_t i = 0; i < bootstrap->config->listener_count; i++) {
        const struct config_listener *other = &bootstrap->config->listeners[i];
        if (other == own || other->port != own->port)
            continue;
        if (count++ == 0) {
            emit_object(emit, "");
            emit_cstr(emit, "name", "misdirected");
            emit_list(emit, "domains");
        }
        emit_text(emit, "", other->hostname.len ? other->hostname : SLICE("*"));
    }
    if (count == 0)
        return;
    emit_list_end(emit);
    emit_misdirected(emit);
    emit_end(emit);
}

// SNI has chosen the listener, and no other is reached by Host. Hosts that none names go to this one, whose route table
// answers them.
static void emit_own_routes(const struct bootstrap *bootstrap, struct emit *emit,
                            const struct config_listener *listener)
{
    bool has_catch_all = false;
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        has_catch_all |=
            bootstrap->config->listeners[i].port == listener->port && !bootstrap->config->listeners[i].hostname.len;
    emit_list(emit, "virtual_hosts");
    emit_host(bootstrap, emit, listener, !has_catch_all);
    emit_other_hosts(bootstrap, emit, listener);
    emit_list_end(emit);
}

// Hosts that no listener of the port names go to the first, whose route table answers them (S9).
static void emit_port_routes(const struct bootstrap *bootstrap, struct emit *emit, size_t first)
{
    const struct config_listener *listeners = bootstrap->config->listeners;
    uint16_t port = listeners[first].port;
    bool has_catch_all = false;
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        has_catch_all |= listeners[i].port == port && !listeners[i].hostname.len;
    emit_list(emit, "virtual_hosts");
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        if (listeners[i].port == port)
            emit_host(bootstrap, emit, &listeners[i], !has_catch_all && i == first);
    emit_list_end(emit);
}

void bootstrap_routes(const struct bootstrap *bootstrap, struct emit *emit, size_t listener, bool with_type)
{
    const struct config_listener *config = &bootstrap->config->listeners[listener];
    char name[1024];
    bootstrap_route_name(config, name, sizeof name);
    if (with_type)
        emit_any(emit, "", "envoy.config.route.v3.RouteConfiguration");
    emit_cstr(emit, "name", name);
    emit_bool(emit, "ignore_port_in_host_matching", true);
    if (config->protocol == LISTENER_HTTP)
        emit_port_routes(bootstrap, emit, listener);
    else
        emit_own_routes(bootstrap, emit, config);
    if (with_type)
        emit_end(emit);
}
