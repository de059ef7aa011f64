// TLSRoutes: a filter chain for each, found by SNI, with Envoy's TCP proxy; one cluster each, so that a change of its
// backends touches neither the listener nor an open connection.
#include "host/envoy/bootstrap/passthrough.h"

#include <stdio.h>

#include "config/hostname.h"

#define NOBODY "weir-nobody"      // a cluster without endpoints, for names that no route has
#define ATTEMPTS_MAX ((size_t)64) // at connecting

// ---- whose a name is (as generation_find_name and passthrough.c of the native host) ---------------------------

// The listener that connections for this name, or for any under this wildcard, come to.
static const struct config_listener *owner_of(const struct config *config, uint16_t port, struct slice name)
{
    const struct config_listener *best = NULL;
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->port == port && hostname_covers(listener->hostname, name) &&
            (!best ||
             (hostname_covers(best->hostname, listener->hostname) && !slice_eq(best->hostname, listener->hostname))))
            best = listener;
    }
    return best;
}

// What the route's hostname `at` comes to within the listener; false when it is nothing, or was another's before.
static bool name_at(const struct config *config, const struct config_listener *listener,
                    const struct config_route *route, size_t at, struct slice *ret_name)
{
    struct slice name = listener->hostname, earlier;
    if (route->hostname_count && !hostname_intersect(route->hostnames[at].text, listener->hostname, &name))
        return false;
    for (size_t i = 0; i < at; i++)
        if (hostname_intersect(route->hostnames[i].text, listener->hostname, &earlier) && slice_eq(earlier, name))
            return false;
    *ret_name = name;
    return config_listener_tls_route(listener, name) == route && owner_of(config, listener->port, name) == listener;
}

// ---- chains ---------------------------------------------------------------------------------------------------

// Tries of all endpoints; Envoy takes each time the next that its weights give.
static size_t attempts_of(const struct config_rule *rule)
{
    size_t count = 0;
    for (size_t i = 0; i < rule->ref_count; i++)
        if (config_ref_is_usable(&rule->refs[i]))
            count += rule->refs[i].backend->endpoint_count;
    return count < ATTEMPTS_MAX ? count : ATTEMPTS_MAX;
}

static void emit_proxy(const struct bootstrap *bootstrap, struct emit *emit, size_t listener,
                       const struct config_route *route)
{
    const struct config_listener *config = &bootstrap->config->listeners[listener];
    const struct config_rule *rule = route && bootstrap_has_usable(&route->rules[0]) ? &route->rules[0] : NULL;
    char name[1024] = NOBODY, prefix[32];
    snprintf(prefix, sizeof prefix, "port_%u", config->port);
    if (rule)
        bootstrap_cluster_name(bootstrap, route, rule, name, sizeof name);
    emit_list(emit, "filters");
    emit_typed(emit, "", "envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy");
    emit_cstr(emit, "stat_prefix", prefix);
    emit_cstr(emit, "cluster", name);
    emit_ms(emit, "idle_timeout", config->client.tcp_idle_ms); // 0 switches it off
    if (rule)
        emit_u64(emit, "max_connect_attempts", attempts_of(rule));
    bootstrap_access_logs(bootstrap, emit, listener);
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
}

// Only TLS: what is none has no name to be passed on by.
static void begin_chain(struct emit *emit)
{
    emit_object(emit, "");
    emit_object(emit, "filter_chain_match");
    emit_cstr(emit, "transport_protocol", "tls");
}

static void end_chain(const struct bootstrap *bootstrap, struct emit *emit, size_t listener,
                      const struct config_route *route)
{
    emit_end(emit);
    emit_proxy(bootstrap, emit, listener, route);
    emit_end(emit);
}

// "" stands for all names and can't stand beside others.
static void emit_chain(const struct bootstrap *bootstrap, struct emit *emit, size_t listener,
                       const struct config_route *route, const struct slice *names, size_t count)
{
    bool has_names = false;
    for (size_t i = 0; i < count; i++) {
        if (!names[i].len) {
            begin_chain(emit);
            end_chain(bootstrap, emit, listener, route);
        }
        has_names |= names[i].len > 0;
    }
    if (!has_names)
        return;
    begin_chain(emit);
    emit_list(emit, "server_names");
    for (size_t i = 0; i < count; i++)
        if (names[i].len)
            emit_text(emit, "", names[i]);
    emit_list_end(emit);
    end_chain(bootstrap, emit, listener, route);
}

void passthrough_chains(const struct bootstrap *bootstrap, struct emit *emit, size_t listener)
{
    const struct config_listener *config = &bootstrap->config->listeners[listener];
    for (size_t r = 0; r < config->route_count; r++) {
        const struct config_route *route = config->routes[r];
        struct slice names[PASSTHROUGH_NAMES_MAX], name;
        size_t count = 0, given = route->hostname_count ? route->hostname_count : 1;
        for (size_t i = 0; i < given && i < PASSTHROUGH_NAMES_MAX; i++)
            if (name_at(bootstrap->config, config, route, i, &name))
                names[count++] = name;
        emit_chain(bootstrap, emit, listener, route, names, count);
    }
    // A name of this listener that none of its routes has must not fall to another listener's wildcard.
    if (!config_listener_tls_route(config, config->hostname))
        emit_chain(bootstrap, emit, listener, NULL, &config->hostname, 1);
}

// ---- clusters -------------------------------------------------------------------------------------------------

void passthrough_name(const struct config_route *route, char *text, size_t cap)
{
    snprintf(text, cap, "tlsroute/" SLICE_FMT "/" SLICE_FMT "/rule/-1", SLICE_ARG(route->namespace_),
             SLICE_ARG(route->name));
}

void passthrough_nobody(const struct bootstrap *bootstrap, struct emit *emit, bool with_type)
{
    bool is_needed = false;
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        is_needed |= bootstrap->config->listeners[i].protocol == LISTENER_PASSTHROUGH;
    if (!is_needed)
        return;
    if (with_type)
        emit_any(emit, "", "envoy.config.cluster.v3.Cluster");
    else
        emit_object(emit, "");
    emit_cstr(emit, "name", NOBODY);
    emit_cstr(emit, "type", "STATIC");
    emit_end(emit);
}
