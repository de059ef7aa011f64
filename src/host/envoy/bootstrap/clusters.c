// Clusters: one a rule; a locality for each backendRef, with its priority and weight, and metadata that names it.
#include "host/envoy/bootstrap/bootstrap.h"
#include "host/envoy/bootstrap/passthrough.h"
#include "host/envoy/bootstrap/tls.h"

#include <stdio.h>

#include "base/map.h"
#include "host/envoy/names.h"

#define MODULE_FILTER "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"

// ---- endpoints ------------------------------------------------------------------------------------------------

// Envoy wants priorities without gaps: how many different smaller ones the rule has.
static uint32_t rank_of(const struct config_rule *rule, uint32_t priority)
{
    uint32_t rank = 0;
    for (size_t i = 0; i < rule->ref_count; i++) {
        bool is_counted = config_ref_is_usable(&rule->refs[i]) && rule->refs[i].priority < priority;
        for (size_t before = 0; is_counted && before < i; before++)
            is_counted =
                !(config_ref_is_usable(&rule->refs[before]) && rule->refs[before].priority == rule->refs[i].priority);
        rank += is_counted;
    }
    return rank;
}

// What a socket towards an endpoint is called: a backend without a TLS name of its own has one for each host.
static void socket_name(const struct config_backend *backend, struct slice host, char *text, size_t cap)
{
    bool has_name = backend->tls.sni.len > 0;
    snprintf(text, cap, SLICE_FMT "/" SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(backend->namespace_),
             SLICE_ARG(backend->name), has_name ? "" : "/", SLICE_ARG(has_name ? SLICE("") : host));
}

// Without one Envoy's checks would ask for the cluster's name.
static void emit_checked_host(struct emit *emit, const struct config_rule *rule, const struct config_backend *backend,
                              const struct config_endpoint *endpoint)
{
    char address[512];
    if (!rule->traffic.active.is_set)
        return;
    bootstrap_endpoint_address(endpoint, address, sizeof address);
    emit_object(emit, "health_check_config");
    emit_text(emit, "hostname", backend->host.len ? backend->host : slice_from_cstr(address));
    emit_end(emit);
}

static void emit_endpoint(struct emit *emit, const struct config_rule *rule, const struct config_backend_ref *ref,
                          const struct config_endpoint *endpoint)
{
    emit_object(emit, "");
    emit_object(emit, "endpoint");
    emit_object(emit, "address");
    if (ref->backend->proxy) {
        bootstrap_tunnel_address(emit, ref, endpoint);
    } else {
        emit_object(emit, "socket_address");
        emit_text(emit, "address", endpoint->host);
        emit_u64(emit, "port_value", endpoint->port);
        emit_end(emit);
    }
    emit_end(emit);
    if (ref->backend->host.len)
        emit_text(emit, "hostname", ref->backend->host);
    emit_checked_host(emit, rule, ref->backend, endpoint);
    emit_end(emit);
    emit_object(emit, "metadata");
    emit_object(emit, "filter_metadata");
    emit_object(emit, WEIR_METADATA);
    emit_text(emit, WEIR_METADATA_REF, ref->key);
    if (ref->backend->proxy) {
        char address[512];
        bootstrap_endpoint_address(endpoint, address, sizeof address);
        emit_cstr(emit, WEIR_METADATA_ADDRESS, address);
    }
    emit_end(emit);
    if (ref->backend->tls.is_enabled) {
        char name[1024];
        socket_name(ref->backend, endpoint->host, name, sizeof name);
        emit_object(emit, "envoy.transport_socket_match");
        emit_cstr(emit, "weir_tls", name);
        emit_end(emit);
    }
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

static void emit_locality(struct emit *emit, const struct config_rule *rule, const struct config_backend_ref *ref,
                          bool has_priorities)
{
    char name[32];
    snprintf(name, sizeof name, "ref-%zu", ref->index);
    emit_object(emit, "");
    emit_object(emit, "locality");
    emit_cstr(emit, "region", name);
    emit_end(emit);
    emit_u64(emit, "priority", has_priorities ? rank_of(rule, ref->priority) : 0);
    emit_u64(emit, "load_balancing_weight", ref->weight);
    emit_list(emit, "lb_endpoints");
    for (size_t i = 0; i < ref->backend->endpoint_count; i++)
        emit_endpoint(emit, rule, ref, &ref->backend->endpoints[i]);
    emit_list_end(emit);
    emit_end(emit);
}

// Connections that are passed on know weights alone.
static void emit_assignment(struct emit *emit, const struct config_rule *rule, const char *name, bool has_priorities)
{
    emit_object(emit, "load_assignment");
    emit_cstr(emit, "cluster_name", name);
    emit_list(emit, "endpoints");
    for (size_t i = 0; i < rule->ref_count; i++)
        if (config_ref_is_usable(&rule->refs[i]))
            emit_locality(emit, rule, &rule->refs[i], has_priorities);
    emit_list_end(emit);
    emit_end(emit);
}

// ---- health and limits ----------------------------------------------------------------------------------------

static void emit_balancing(struct emit *emit, const struct config_traffic *traffic)
{
    static const char *const policies[] = {
        [LB_LEAST_REQUEST] = "LEAST_REQUEST", [LB_ROUND_ROBIN] = "ROUND_ROBIN", [LB_RANDOM] = "RANDOM"};
    emit_cstr(emit, "lb_policy", policies[traffic->lb]);
    emit_object(emit, "common_lb_config");
    emit_object(emit, "healthy_panic_threshold");
    emit_u64(emit, "value", traffic->panic_threshold_percent);
    emit_end(emit);
    emit_object(emit, "locality_weighted_lb_config");
    emit_end(emit);
    emit_end(emit);
    emit_object(emit, "circuit_breakers");
    emit_list(emit, "thresholds");
    emit_object(emit, "");
    emit_u64(emit, "max_connections", traffic->max_connections);
    emit_u64(emit, "max_pending_requests", traffic->max_pending_requests);
    emit_u64(emit, "max_requests", traffic->max_parallel_requests);
    emit_u64(emit, "max_retries", traffic->max_parallel_retries);
    emit_end(emit);
    emit_list_end(emit);
    emit_end(emit);
}

static void emit_outliers(struct emit *emit, const struct config_passive_health *passive)
{
    if (!passive->is_set)
        return;
    bool is_split = passive->consecutive_local_origin_failures > 0;
    emit_object(emit, "outlier_detection");
    emit_ms(emit, "interval", passive->interval_ms);
    emit_ms(emit, "base_ejection_time", passive->base_ejection_ms);
    emit_u64(emit, "consecutive_5xx", passive->consecutive_5xx);
    emit_u64(emit, "enforcing_consecutive_5xx", passive->consecutive_5xx ? 100 : 0);
    emit_u64(emit, "consecutive_gateway_failure", passive->consecutive_gateway_errors);
    emit_u64(emit, "enforcing_consecutive_gateway_failure", passive->consecutive_gateway_errors ? 100 : 0);
    emit_bool(emit, "split_external_local_origin_errors", is_split);
    if (is_split)
        emit_u64(emit, "consecutive_local_origin_failure", passive->consecutive_local_origin_failures);
    emit_u64(emit, "enforcing_success_rate", 0);
    emit_u64(emit, "max_ejection_percent", passive->max_ejection_percent);
    emit_bool(emit, "always_eject_one_host", passive->always_eject_one);
    emit_end(emit);
}

static void emit_http_check(struct emit *emit, const struct config_active_health *active)
{
    emit_object(emit, "http_health_check");
    emit_text(emit, "path", active->path.len ? active->path : SLICE("/"));
    emit_text(emit, "method", active->method);
    if (active->hostname.len)
        emit_text(emit, "host", active->hostname);
    emit_list(emit, "expected_statuses");
    for (size_t i = 0; i < active->expected_status_count; i++) {
        emit_object(emit, "");
        emit_u64(emit, "start", active->expected_statuses[i]);
        emit_u64(emit, "end", (uint64_t)active->expected_statuses[i] + 1);
        emit_end(emit);
    }
    emit_list_end(emit);
    emit_end(emit);
}

static void emit_checks(struct emit *emit, const struct config_active_health *active)
{
    if (!active->is_set)
        return;
    emit_list(emit, "health_checks");
    emit_object(emit, "");
    emit_ms(emit, "timeout", active->timeout_ms);
    emit_ms(emit, "interval", active->interval_ms);
    emit_ms(emit, "no_traffic_interval", active->interval_ms);
    emit_u64(emit, "unhealthy_threshold", active->unhealthy_threshold);
    emit_u64(emit, "healthy_threshold", active->healthy_threshold);
    if (active->type == ACTIVE_HTTP) {
        emit_http_check(emit, active);
        emit_object(emit, "tls_options");
        emit_list(emit, "alpn_protocols");
        emit_cstr(emit, "", "http/1.1"); // which checks speak
        emit_list_end(emit);
        emit_end(emit);
    } else {
        emit_object(emit, "tcp_health_check");
        emit_end(emit);
    }
    emit_end(emit);
    emit_list_end(emit);
}

// ---- protocol and TLS -----------------------------------------------------------------------------------------

static void emit_http2(struct emit *emit, const struct config_traffic *traffic)
{
    emit_object(emit, "http2_protocol_options");
    emit_u64(emit, "max_concurrent_streams", traffic->h2_streams);
    emit_u64(emit, "initial_stream_window_size", traffic->h2_stream_window);
    emit_u64(emit, "initial_connection_window_size", traffic->h2_connection_window);
    if (traffic->h2_ping_interval_ms) {
        emit_object(emit, "connection_keepalive");
        emit_ms(emit, "interval", traffic->h2_ping_interval_ms);
        emit_ms(emit, "timeout", traffic->h2_ping_timeout_ms);
        emit_end(emit);
    }
    emit_end(emit);
}

enum { SPEAKS_HTTP_1 = 1, SPEAKS_H2 = 2 };

// With TLS, HTTP/2 is spoken where the backend names no protocol.
static bool is_h2_known(const struct config_backend *backend)
{
    return backend->is_h2c && !backend->tls.choice.has_alpn;
}

static unsigned spoken_by(const struct config_backend *backend)
{
    const struct config_tls_choice *choice = &backend->tls.choice;
    if (is_h2_known(backend) || !backend->tls.is_enabled)
        return backend->is_h2c ? SPEAKS_H2 : SPEAKS_HTTP_1;
    if (!choice->has_alpn)
        return SPEAKS_HTTP_1 | SPEAKS_H2;
    return choice->offers_h2 ? SPEAKS_H2 | (choice->offers_http_1 ? SPEAKS_HTTP_1 : 0U) : SPEAKS_HTTP_1;
}

// With TLS, who offers both may agree on either: HTTP/1.1 can be asked of it, HTTP/2 can't.
enum bootstrap_protocol bootstrap_protocol_of(const struct config_rule *rule)
{
    bool is_by_alpn = true, is_http_1 = true, is_h2_alone = true, is_http_1_alone = true;
    for (size_t i = 0; i < rule->ref_count; i++) {
        if (!config_ref_is_usable(&rule->refs[i]))
            continue;
        unsigned spoken = spoken_by(rule->refs[i].backend);
        is_by_alpn &= rule->refs[i].backend->tls.is_enabled && !is_h2_known(rule->refs[i].backend);
        is_http_1 &= (spoken & SPEAKS_HTTP_1) != 0;
        is_h2_alone &= spoken == SPEAKS_H2;
        is_http_1_alone &= spoken == SPEAKS_HTTP_1;
    }
    if (is_h2_alone || is_http_1_alone)
        return is_http_1_alone ? PROTOCOL_HTTP_1 : PROTOCOL_H2;
    if (is_by_alpn)
        return PROTOCOL_BY_ALPN;
    return is_http_1 ? PROTOCOL_HTTP_1 : PROTOCOL_MIXED;
}

static void emit_choice(struct emit *emit, const struct config_rule *rule)
{
    enum bootstrap_protocol protocol = bootstrap_protocol_of(rule);
    emit_object(emit, protocol == PROTOCOL_BY_ALPN ? "auto_config" : "explicit_http_config");
    if (protocol != PROTOCOL_H2) {
        emit_object(emit, "http_protocol_options");
        emit_end(emit);
    }
    if (protocol != PROTOCOL_HTTP_1)
        emit_http2(emit, &rule->traffic);
    emit_end(emit);
}

static void emit_filters(const struct bootstrap *bootstrap, struct emit *emit)
{
    emit_list(emit, "http_filters");
    emit_typed(emit, "", "weir", MODULE_FILTER);
    bootstrap_module(bootstrap, emit);
    emit_cstr(emit, "filter_name", "weir");
    emit_any(emit, "filter_config", "google.protobuf.StringValue");
    emit_cstr(emit, "value", "{\"position\":\"upstream\"}");
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_typed(emit, "", "envoy.filters.http.upstream_codec",
               "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec");
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
}

static void emit_protocol(const struct bootstrap *bootstrap, struct emit *emit, const struct config_rule *rule)
{
    const struct config_traffic *traffic = &rule->traffic;
    emit_object(emit, "typed_extension_protocol_options");
    emit_any(emit, "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
             "envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
    emit_object(emit, "common_http_protocol_options");
    emit_ms(emit, "idle_timeout", traffic->upstream_idle_ms);
    if (traffic->max_requests_per_connection)
        emit_u64(emit, "max_requests_per_connection", traffic->max_requests_per_connection);
    emit_end(emit);
    emit_choice(emit, rule);
    if (!bootstrap_builds_ahead(bootstrap, rule))
        emit_filters(bootstrap, emit);
    emit_end(emit);
    emit_end(emit);
}

// Never offers more than the cluster will speak. Where the cluster follows ALPN and nothing were offered, it would offer
// both.
static void emit_socket(const struct bootstrap *bootstrap, struct emit *emit, const struct config_backend *backend,
                        struct slice host, enum bootstrap_protocol protocol)
{
    char name[1024];
    const struct config_tls_choice *choice = &backend->tls.choice;
    unsigned spoken = spoken_by(backend);
    bool is_silent = choice->has_alpn && !choice->offers_h2 && !choice->offers_http_1 && protocol == PROTOCOL_HTTP_1;
    bool offers_h2 = (spoken & SPEAKS_H2) && protocol != PROTOCOL_HTTP_1;
    bool offers_http_1 = (spoken & SPEAKS_HTTP_1) && protocol != PROTOCOL_H2 && !is_silent;
    socket_name(backend, host, name, sizeof name);
    emit_object(emit, "");
    emit_cstr(emit, "name", name);
    emit_object(emit, "match");
    emit_cstr(emit, "weir_tls", name);
    emit_end(emit);
    bootstrap_backend_tls(bootstrap, emit, &backend->tls, host, offers_h2, offers_http_1);
    emit_end(emit);
}

static bool is_first_of_host(const struct config_backend *backend, size_t endpoint)
{
    for (size_t i = 0; i < endpoint; i++)
        if (slice_eq(backend->endpoints[i].host, backend->endpoints[endpoint].host))
            return false;
    return true;
}

static void emit_backend_sockets(const struct bootstrap *bootstrap, struct emit *emit,
                                 const struct config_backend *backend, enum bootstrap_protocol protocol)
{
    size_t count = backend->tls.sni.len ? 1 : backend->endpoint_count;
    for (size_t i = 0; i < count; i++)
        if (is_first_of_host(backend, i))
            emit_socket(bootstrap, emit, backend, backend->endpoints[i].host, protocol);
}

static bool is_first_of_backend(const struct config_rule *rule, size_t ref)
{
    for (size_t i = 0; i < ref; i++)
        if (config_ref_is_usable(&rule->refs[i]) && rule->refs[i].backend == rule->refs[ref].backend)
            return false;
    return true;
}

// Envoy lets ALPN choose only where the socket of the cluster itself has ALPN, though no endpoint uses that one.
static void emit_unused_socket(struct emit *emit)
{
    emit_typed(emit, "transport_socket", "envoy.transport_sockets.tls",
               "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext");
    emit_end(emit);
    emit_end(emit);
}

static void emit_sockets(const struct bootstrap *bootstrap, struct emit *emit, const struct config_rule *rule)
{
    bool has_tls = false, is_tls = true;
    for (size_t i = 0; i < rule->ref_count; i++)
        if (config_ref_is_usable(&rule->refs[i])) {
            has_tls |= rule->refs[i].backend->tls.is_enabled;
            is_tls &= rule->refs[i].backend->tls.is_enabled;
        }
    if (!has_tls)
        return;
    if (is_tls)
        emit_unused_socket(emit);
    emit_list(emit, "transport_socket_matches");
    for (size_t i = 0; i < rule->ref_count; i++)
        if (config_ref_is_usable(&rule->refs[i]) && rule->refs[i].backend->tls.is_enabled &&
            is_first_of_backend(rule, i))
            emit_backend_sockets(bootstrap, emit, rule->refs[i].backend, bootstrap_protocol_of(rule));
    emit_list_end(emit);
}

// ---- clusters -------------------------------------------------------------------------------------------------

static bool has_names(const struct config_rule *rule)
{
    for (size_t r = 0; r < rule->ref_count; r++)
        for (size_t i = 0; config_ref_is_usable(&rule->refs[r]) && i < rule->refs[r].backend->endpoint_count; i++)
            if (!rule->refs[r].backend->endpoints[i].is_ip && !rule->refs[r].backend->proxy)
                return true;
    return false;
}

// Envoy knows no race of addresses in clusters of this type: with both families each address is an endpoint of its own, so
// that IPv4 comes first where nothing is said.
static void emit_lookup(struct emit *emit, const struct config_lookup *lookup)
{
    static const char *const families[] = {[FAMILY_UNSET] = "V4_PREFERRED",
                                           [FAMILY_ALL] = "ALL",
                                           [FAMILY_V4] = "V4_ONLY",
                                           [FAMILY_V6] = "V6_ONLY",
                                           [FAMILY_V4_PREFERRED] = "V4_PREFERRED",
                                           [FAMILY_V6_PREFERRED] = "AUTO"};
    emit_cstr(emit, "dns_lookup_family", families[lookup->family]);
    emit_bool(emit, "respect_dns_ttl", lookup->refresh_ms == 0);
    if (lookup->refresh_ms)
        emit_ms(emit, "dns_refresh_rate", lookup->refresh_ms);
}

bool bootstrap_builds_ahead(const struct bootstrap *bootstrap, const struct config_rule *rule)
{
    return !bootstrap->publishes_all && config_rule_only_ref(rule);
}

// The copies of a route stand side by side (resolve_route.c).
static void add_copy(const struct bootstrap *bootstrap, const struct config_route *route, char *text, size_t cap)
{
    size_t copy = 0;
    while (route - copy > bootstrap->config->routes && route[-(ptrdiff_t)copy - 1].kind == route->kind &&
           slice_eq(route[-(ptrdiff_t)copy - 1].name, route->name) &&
           slice_eq(route[-(ptrdiff_t)copy - 1].namespace_, route->namespace_))
        copy++;
    size_t len = strlen(text);
    if (copy)
        snprintf(text + len, cap - len, "/copy/%zu", copy);
}

static void plain_name(const struct bootstrap *bootstrap, const struct config_route *route,
                       const struct config_rule *rule, char *text, size_t cap)
{
    if (route->kind == ROUTE_TLS)
        passthrough_name(route, text, cap);
    else
        bootstrap_rule_name(route, rule, text, cap);
    add_copy(bootstrap, route, text, cap);
}

static void begin_cluster(struct emit *emit, const char *name, bool with_type)
{
    if (with_type)
        emit_any(emit, "", "envoy.config.cluster.v3.Cluster");
    else
        emit_object(emit, "");
    emit_cstr(emit, "name", name);
}

static void emit_kind(struct emit *emit, const struct config_rule *rule)
{
    emit_cstr(emit, "type", has_names(rule) ? "STRICT_DNS" : "STATIC");
    if (has_names(rule))
        emit_lookup(emit, &rule->traffic.lookup);
    emit_ms(emit, "connect_timeout", rule->traffic.connect_timeout_ms);
}

// All but its name.
static void emit_content(const struct bootstrap *bootstrap, struct emit *emit, const struct config_rule *rule,
                         const char *plain)
{
    emit_kind(emit, rule);
    emit_balancing(emit, &rule->traffic);
    emit_outliers(emit, &rule->traffic.passive);
    emit_checks(emit, &rule->traffic.active);
    emit_protocol(bootstrap, emit, rule);
    emit_sockets(bootstrap, emit, rule);
    emit_assignment(emit, rule, plain, true);
}

static uint64_t fingerprint(const struct bootstrap *bootstrap, const struct config_rule *rule, const char *plain)
{
    struct buf text;
    struct emit emit = {.buf = &text};
    buf_init(&text, SIZE_MAX / 4);
    emit_content(bootstrap, &emit, rule, plain);
    uint64_t hash = hash_bytes(buf_slice(&text), 0);
    buf_fini(&text);
    return hash;
}

void bootstrap_cluster_name(const struct bootstrap *bootstrap, const struct config_route *route,
                            const struct config_rule *rule, char *text, size_t cap)
{
    plain_name(bootstrap, route, rule, text, cap);
    size_t len = strlen(text);
    if (bootstrap->xds_dir.len && route->kind != ROUTE_TLS)
        snprintf(text + len, cap - len, "@%016llx", (unsigned long long)fingerprint(bootstrap, rule, text));
}

// In statistics and logs it has its plain name.
static void emit_cluster(const struct bootstrap *bootstrap, struct emit *emit, const struct config_route *route,
                         const struct config_rule *rule, bool with_type)
{
    char name[1024], plain[1024];
    bootstrap_cluster_name(bootstrap, route, rule, name, sizeof name);
    plain_name(bootstrap, route, rule, plain, sizeof plain);
    begin_cluster(emit, name, with_type);
    if (bootstrap->xds_dir.len)
        emit_cstr(emit, "alt_stat_name", plain);
    emit_content(bootstrap, emit, rule, plain);
    emit_end(emit);
}

// Of a TLSRoute: as many connections as there are (Envoy alone stops at 1024).
static void emit_tcp_cluster(const struct bootstrap *bootstrap, struct emit *emit, const struct config_route *route,
                             bool with_type)
{
    static const char *const limits[] = {"max_connections", "max_pending_requests", "max_requests"};
    const struct config_rule *rule = &route->rules[0];
    char name[1024], shown[1024];
    bootstrap_cluster_name(bootstrap, route, rule, name, sizeof name);
    passthrough_name(route, shown, sizeof shown);
    begin_cluster(emit, name, with_type);
    emit_cstr(emit, "alt_stat_name", shown); // %UPSTREAM_CLUSTER%
    emit_kind(emit, rule);
    emit_cstr(emit, "lb_policy", "ROUND_ROBIN");
    emit_object(emit, "common_lb_config");
    emit_object(emit, "locality_weighted_lb_config");
    emit_end(emit);
    emit_end(emit);
    emit_object(emit, "circuit_breakers");
    emit_list(emit, "thresholds");
    emit_object(emit, "");
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        emit_u64(emit, limits[i], UINT32_MAX);
    emit_end(emit);
    emit_list_end(emit);
    emit_end(emit);
    emit_assignment(emit, rule, name, false);
    emit_end(emit);
}

void bootstrap_clusters(const struct bootstrap *bootstrap, struct emit *emit, bool with_type)
{
    bootstrap_proxy_clusters(bootstrap, emit, with_type);
    for (size_t r = 0; r < bootstrap->config->route_count; r++) {
        const struct config_route *route = &bootstrap->config->routes[r];
        for (size_t i = 0; i < route->rule_count; i++) {
            if (!bootstrap_has_usable(&route->rules[i]))
                continue;
            if (route->kind == ROUTE_TLS)
                emit_tcp_cluster(bootstrap, emit, route, with_type);
            else
                emit_cluster(bootstrap, emit, route, &route->rules[i], with_type);
        }
    }
    passthrough_nobody(bootstrap, emit, with_type);
}
