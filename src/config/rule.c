#include "config/rule.h"

#include "config/hostname.h"

bool config_ref_is_usable(const struct config_backend_ref *ref)
{
    return ref->weight > 0 && ref->backend && ref->backend->endpoint_count > 0;
}

static bool has_one_request(const struct config_backend *backend)
{
    return !backend->proxy && (backend->host.len || backend->endpoint_count == 1);
}

const struct config_backend_ref *config_rule_only_ref(const struct config_rule *rule)
{
    const struct config_retry *retry = &rule->traffic.retry;
    const struct config_backend_ref *only = NULL;
    if (retry->is_set && retry->triggers & ~(uint32_t)RETRY_CONNECT_FAILURE)
        return NULL;
    for (size_t i = 0; i < rule->ref_count; i++) {
        if (!config_ref_is_usable(&rule->refs[i]))
            continue;
        if (only)
            return NULL;
        only = &rule->refs[i];
    }
    return only && has_one_request(only->backend) ? only : NULL;
}

struct slice config_ref_host(const struct config_rule *rule, const struct config_backend_ref *ref)
{
    return rule->filters.rewrite_host.len ? rule->filters.rewrite_host : ref->backend->host;
}

// How well a route's names fit: 0 not, then no name given, wildcards by their length, the exact name.
static size_t fit(const struct config_route *route, struct slice name)
{
    size_t best = route->hostname_count == 0 ? 1 : 0;
    for (size_t i = 0; i < route->hostname_count; i++) {
        struct slice pattern = route->hostnames[i].text;
        size_t rank = hostname_is_wildcard(pattern) ? 1 + pattern.len : 1000;
        if (hostname_matches(pattern, name) && rank > best)
            best = rank;
    }
    return best;
}

const struct config_route *config_listener_tls_route(const struct config_listener *listener, struct slice name)
{
    const struct config_route *route = NULL;
    size_t best = 0;
    for (size_t i = 0; i < listener->route_count; i++) {
        size_t rank = fit(listener->routes[i], name);
        if (rank > best && listener->routes[i]->rule_count) { // the first of equals
            best = rank;
            route = listener->routes[i];
        }
    }
    return route;
}
