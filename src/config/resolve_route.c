// Routes to listeners. A route on several Gateways is built once for each set of Gateway-level settings that hold for it
// (traffic policy, costs), so that every copy means one thing.
#include "config/hostname.h"
#include "config/resolve_parts.h"

struct variant {
    const struct resource *resource;
    const struct resource *traffic;        // BackendTrafficPolicy of listener or Gateway
    const struct resource *gateway_config; // NULL: none
    const struct resource *backend_tls;    // EnvoyProxy; NULL: none
    size_t *listeners;                     // ids
    size_t listener_count;
};

struct variants {
    struct variant *items;
    size_t count;
    size_t cap;
};

// ---- attaching ------------------------------------------------------------------------------------------------

struct attachment {
    struct resolver *resolver;
    struct variants *variants;
    const struct resource *route;
    size_t first;     // the route's first variant
    bool *hosts_used; // by index of spec.hostnames
};

static const struct resource *listener_traffic(struct resolver *resolver, size_t id)
{
    const struct resource *gateway = resolver->sources[id].gateway;
    const struct resource *own =
        policy_for(&resolver->traffic, resolver->arena, "Gateway", gateway, resolver->config->listeners[id].name);
    return own ? own : policy_for(&resolver->traffic, resolver->arena, "Gateway", gateway, SLICE(""));
}

static struct variant *find_variant(struct attachment *attachment, const struct resource *traffic,
                                    const struct resource *gateway_config, const struct resource *backend_tls)
{
    struct resolver *resolver = attachment->resolver;
    struct variants *variants = attachment->variants;
    for (size_t i = attachment->first; i < variants->count; i++)
        if (variants->items[i].traffic == traffic && variants->items[i].gateway_config == gateway_config &&
            variants->items[i].backend_tls == backend_tls)
            return &variants->items[i];
    size_t *ids = RESOLVE_ARRAY(resolver, size_t, resolver->config->listener_count);
    if (!ids || !ARENA_GROW(resolver->arena, variants)) {
        resolver->has_failed = true;
        return NULL;
    }
    struct variant *variant = &variants->items[variants->count++];
    *variant = (struct variant){attachment->route, traffic, gateway_config, backend_tls, ids, 0};
    return variant;
}

static bool is_attached(const struct attachment *attachment, size_t id)
{
    for (size_t i = attachment->first; i < attachment->variants->count; i++)
        for (size_t j = 0; j < attachment->variants->items[i].listener_count; j++)
            if (attachment->variants->items[i].listeners[j] == id)
                return true;
    return false;
}

static void attach(struct attachment *attachment, size_t id)
{
    struct resolver *resolver = attachment->resolver;
    if (is_attached(attachment, id))
        return; // two parentRefs may lead to one listener
    struct variant *variant = find_variant(attachment, listener_traffic(resolver, id),
                                           resolver->sources[id].gateway_config, resolver->sources[id].backend_tls);
    if (variant)
        variant->listeners[variant->listener_count++] = id;
}

// A route without hostnames shares all of the listener's.
static bool shares_host(struct attachment *attachment, struct slice listener_host)
{
    const struct node *hostnames = node_get(attachment->route->spec, SLICE("hostnames"));
    bool shares = node_count(hostnames) == 0;
    size_t index = 0;
    for (const struct node *item = node_first(hostnames); item; item = item->next, index++) {
        struct slice both;
        if (!hostname_intersect(listener_host, node_text(item), &both))
            continue;
        attachment->hosts_used[index] = true;
        shares = true;
    }
    return shares;
}

static bool takes_namespace(const struct resolver *resolver, size_t id, struct slice namespace_)
{
    const struct listener_source *source = &resolver->sources[id];
    struct slice from = node_get_text(node_path(source->node, SLICE("allowedRoutes.namespaces")), SLICE("from"));
    if (slice_eq(from, SLICE("All")))
        return true;
    return !slice_eq(from, SLICE("None")) && slice_eq(source->gateway->namespace_, namespace_);
}

// How far a parentRef came with the listeners of its Gateway.
struct progress {
    size_t named;   // by sectionName and port
    size_t spoken;  // of these, by protocol
    size_t allowed; // of these, by namespace
    size_t joined;  // of these, by hostname
};

static void tell_unattached(struct resolver *resolver, const struct node *ref, const struct resource *gateway,
                            const struct progress *progress)
{
    const struct node *section = node_get(ref, SLICE("sectionName"));
    const struct node *port = node_get(ref, SLICE("port"));
    const struct node *at = section ? section : port ? port : node_get(ref, SLICE("name"));
    const char *why = "none of the route's hostnames is one of its listeners'; mend the hostnames of one of the two";
    if (progress->named == 0)
        why = "it has no listener of that sectionName and port; mend the parentRef";
    else if (progress->spoken == 0)
        why = "its listeners are of another protocol: TLSRoutes attach to TLS, all others to HTTP and HTTPS";
    else if (progress->allowed == 0)
        why = "its listeners take no routes of this namespace; set allowedRoutes.namespaces.from: All there";
    finding_error(resolver->findings, node_mark(at),
                  "the route does not attach to Gateway " SLICE_FMT "/" SLICE_FMT ": %s",
                  SLICE_ARG(gateway->namespace_), SLICE_ARG(gateway->name), why);
}

static bool is_named(const struct config_listener *listener, const struct node *ref)
{
    struct slice section = node_get_text(ref, SLICE("sectionName"));
    int64_t port = node_get_i64(ref, SLICE("port"), 0);
    return (section.len == 0 || slice_eq(section, listener->name)) && (port == 0 || port == listener->port);
}

static void attach_to(struct attachment *attachment, const struct node *ref)
{
    struct resolver *resolver = attachment->resolver;
    struct reference reference = reference_of(ref, attachment->route->namespace_);
    struct slice kind = node_get_text(ref, SLICE("kind"));
    const struct resource *gateway = NULL;
    if (kind.len == 0 || slice_eq(kind, SLICE("Gateway"))) // another kind: said already
        gateway = resolve_find(resolver, KIND_GATEWAY, &reference);
    struct progress progress = {0, 0, 0, 0};
    bool is_tls = attachment->route->kind == KIND_TLS_ROUTE;
    for (size_t id = 0; gateway && id < resolver->config->listener_count; id++) {
        const struct config_listener *listener = &resolver->config->listeners[id];
        if (resolver->sources[id].gateway != gateway || !is_named(listener, ref))
            continue;
        progress.named++;
        if (is_tls != (listener->protocol == LISTENER_PASSTHROUGH))
            continue;
        progress.spoken++;
        if (!takes_namespace(resolver, id, attachment->route->namespace_))
            continue;
        progress.allowed++;
        if (!shares_host(attachment, listener->hostname))
            continue;
        progress.joined++;
        attach(attachment, id);
    }
    if (gateway && progress.joined == 0 && !gateway->has_errors)
        tell_unattached(resolver, ref, gateway, &progress);
}

static void warn_of_unused_hosts(struct attachment *attachment)
{
    const struct node *hostnames = node_get(attachment->route->spec, SLICE("hostnames"));
    size_t index = 0;
    for (const struct node *item = node_first(hostnames); item; item = item->next, index++)
        if (!attachment->hosts_used[index])
            finding_warn(attachment->resolver->findings, node_mark(item),
                         "hostname \"" SLICE_FMT "\" is served by no listener that this route attaches to; take it out "
                         "or mend the listener's hostname",
                         SLICE_ARG(node_text(item)));
}

// A route that attaches nowhere is still read, for its findings.
static void attach_route(struct resolver *resolver, const struct resource *route, struct variants *variants)
{
    const struct node *parents = node_get(route->spec, SLICE("parentRefs"));
    const struct node *hostnames = node_get(route->spec, SLICE("hostnames"));
    struct attachment attachment = {.resolver = resolver,
                                    .variants = variants,
                                    .route = route,
                                    .first = variants->count,
                                    .hosts_used = RESOLVE_ARRAY(resolver, bool, node_count(hostnames))};
    if (!attachment.hosts_used)
        return;
    for (const struct node *ref = node_first(parents); ref; ref = ref->next)
        attach_to(&attachment, ref);
    if (variants->count > attachment.first)
        warn_of_unused_hosts(&attachment);
    else
        find_variant(&attachment, NULL, NULL, NULL);
    if (node_count(parents) == 0 && !route->has_errors)
        finding_warn(resolver->findings, route->mark,
                     "this route has no parentRefs and serves nothing; name its Gateway in spec.parentRefs");
}

// ---- building -------------------------------------------------------------------------------------------------

static struct config_text *read_hostnames(struct resolver *resolver, const struct node *list, size_t *ret_count)
{
    struct config_text *items = RESOLVE_ARRAY(resolver, struct config_text, node_count(list));
    for (const struct node *node = node_first(list); items && node; node = node->next)
        items[(*ret_count)++] = node_config_text(node);
    return items;
}

static void build_route(struct resolver *resolver, const struct variant *variant, struct config_route *route)
{
    const struct resource *resource = variant->resource;
    *route = (struct config_route){.kind = resource->kind == KIND_TLS_ROUTE    ? ROUTE_TLS
                                           : resource->kind == KIND_HTTP_ROUTE ? ROUTE_HTTP
                                                                               : ROUTE_AI,
                                   .namespace_ = resource->namespace_,
                                   .name = resource->name,
                                   .mark = resource->mark,
                                   .has_created = resource->has_created,
                                   .created_s = resource->created_s,
                                   .order = resource->order};
    route->hostnames = read_hostnames(resolver, node_get(resource->spec, SLICE("hostnames")), &route->hostname_count);
    if (route->kind == ROUTE_AI)
        resolve_costs(resolver, resource, variant->gateway_config, route);
    resolver->is_passthrough = route->kind == ROUTE_TLS;
    resolver->proxy = route->kind == ROUTE_AI ? resolve_forward_proxy(resolver, variant->gateway_config) : NULL;
    resolver->backend_tls = route->kind == ROUTE_TLS ? NULL : variant->backend_tls;
    resolve_rules(resolver, resource, variant->traffic, route);
    resolver->is_passthrough = false;
    resolver->proxy = NULL;
    resolver->backend_tls = NULL;
}

static void add_to_listeners(struct resolver *resolver, const struct variant *variant, struct config_route *route)
{
    for (size_t i = 0; i < variant->listener_count; i++) {
        struct config_listener *listener = &resolver->config->listeners[variant->listeners[i]];
        size_t *cap = &resolver->sources[listener->id].route_cap;
        if (!arena_grow(resolver->arena, (void *)&listener->routes, cap, listener->route_count,
                        sizeof *listener->routes)) { // NOLINT(bugprone-sizeof-expression): of pointers
            resolver->has_failed = true;
            return;
        }
        listener->routes[listener->route_count++] = route;
    }
}

static void build_routes(struct resolver *resolver, const struct variants *variants)
{
    struct config *config = resolver->config;
    config->routes = RESOLVE_ARRAY(resolver, struct config_route, variants->count);
    for (size_t i = 0; i < variants->count && !resolver->has_failed; i++) {
        const struct variant *variant = &variants->items[i];
        struct findings *told = resolver->findings;
        struct findings again; // what the first variant of a route has told already
        findings_init(&again, resolver->arena);
        if (i > 0 && variants->items[i - 1].resource == variant->resource)
            resolver->findings = &again;
        build_route(resolver, variant, &config->routes[i]);
        resolver->findings = told;
        config->route_count++;
        add_to_listeners(resolver, variant, &config->routes[i]);
    }
}

// An AIGatewayRoute becomes an HTTPRoute of its name at Envoy AI Gateway, and policies name it so.
static void check_name(struct resolver *resolver, const struct resource *route)
{
    if (route->kind == KIND_HTTP_ROUTE &&
        documents_find(resolver->docs, KIND_AI_GATEWAY_ROUTE, route->namespace_, route->name))
        finding_error(resolver->findings, route->mark,
                      "HTTPRoute \"" SLICE_FMT
                      "\" has the name of an AIGatewayRoute of its namespace, so that policies "
                      "could not tell them apart; give one another name",
                      SLICE_ARG(route->name));
}

void resolve_routes(struct resolver *resolver)
{
    struct variants variants = {NULL, 0, 0};
    for (size_t i = 0; i < resolver->docs->count && !resolver->has_failed; i++) {
        const struct resource *resource = resolver->docs->items[i];
        if (resource->kind != KIND_AI_GATEWAY_ROUTE && resource->kind != KIND_HTTP_ROUTE &&
            resource->kind != KIND_TLS_ROUTE)
            continue;
        check_name(resolver, resource);
        attach_route(resolver, resource, &variants);
    }
    if (!resolver->has_failed)
        build_routes(resolver, &variants);
}
