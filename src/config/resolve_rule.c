// The rules of AIGatewayRoutes and HTTPRoutes: their backends, time limits, and the traffic policy that holds for each.
#include "config/resolve_parts.h"

// ---- backendRefs ----------------------------------------------------------------------------------------------

struct rule_reader {
    struct resolver *resolver;
    const struct resource *resource;
    const struct config_route *route;
    struct config_rule *rule;
};

static struct slice ref_key(const struct rule_reader *reader, struct slice backend, size_t index)
{
    const struct config_route *route = reader->route;
    return arena_printf(reader->resolver->arena, SLICE_FMT "/" SLICE_FMT "/route/" SLICE_FMT "/rule/%zu/ref/%zu",
                        SLICE_ARG(route->namespace_), SLICE_ARG(backend), SLICE_ARG(route->name), reader->rule->index,
                        index);
}

// What the reference leads to; NULL when a finding says why not, here or in the document's check.
static const struct resource *find_backend(const struct rule_reader *reader, const struct node *ref)
{
    bool is_ai = reader->route->kind == ROUTE_AI;
    struct slice kind = node_get_text(ref, SLICE("kind"));
    struct reference reference = reference_of(ref, reader->resource->namespace_);
    if (is_ai ? kind.len > 0 && !slice_eq(kind, SLICE("AIServiceBackend")) : !slice_eq(kind, SLICE("Backend")))
        return NULL;
    const struct resource *found =
        resolve_find(reader->resolver, is_ai ? KIND_AI_SERVICE_BACKEND : KIND_BACKEND, &reference);
    return found && resolve_may_refer(reader->resolver, reader->resource, found, reference.mark) ? found : NULL;
}

static void read_ref(const struct rule_reader *reader, const struct node *node, size_t index)
{
    struct resolver *resolver = reader->resolver;
    struct config_backend_ref *ref = &reader->rule->refs[index];
    struct slice name = node_get_text(node, SLICE("name"));
    const struct resource *target = find_backend(reader, node);
    ref->mark = node_mark(node);
    ref->id = resolver->config->ref_count++;
    ref->index = index;
    ref->key = ref_key(reader, name, index);
    resolver->has_failed |= !ref->key.ptr;
    ref->weight = (uint32_t)node_get_i64(node, SLICE("weight"), 1);
    ref->model_override = node_get_text(node, SLICE("modelNameOverride"));
    ref->header_mutation = resolve_header_mutation(resolver, node_get(node, SLICE("headerMutation")));
    ref->body_mutation = resolve_body_mutation(resolver, node_get(node, SLICE("bodyMutation")));
    ref->backend = target ? resolve_backend(resolver, target) : NULL;
    int64_t fallback = ref->backend && ref->backend->is_fallback ? 1 : 0;
    ref->priority = (uint32_t)node_get_i64(node, SLICE("priority"), fallback);
}

static void check_refs(const struct rule_reader *reader)
{
    const struct config_rule *rule = reader->rule;
    bool has_weight = false;
    for (size_t i = 0; i < rule->ref_count; i++)
        has_weight |= rule->refs[i].weight > 0;
    if (has_weight || reader->resource->has_errors || rule->filters.redirect_status)
        return;
    finding_warn(reader->resolver->findings, rule->mark,
                 rule->ref_count
                     ? "all backendRefs of this rule have weight 0: its requests are answered with an error; "
                       "give one a weight"
                     : "this rule has no backendRefs: its requests are answered with an error; add one");
}

static void read_refs(const struct rule_reader *reader, const struct node *list)
{
    struct config_rule *rule = reader->rule;
    rule->refs = RESOLVE_ARRAY(reader->resolver, struct config_backend_ref, node_count(list));
    for (const struct node *node = node_first(list); rule->refs && node; node = node->next)
        read_ref(reader, node, rule->ref_count++);
    check_refs(reader);
}

// ---- rules ----------------------------------------------------------------------------------------------------

// The most specific policy counts: on the rule, on the route, on the Gateway or its listener.
static const struct resource *traffic_policy(const struct rule_reader *reader, const struct resource *of_gateway)
{
    struct resolver *resolver = reader->resolver;
    const struct resource *policy = NULL;
    if (reader->rule->name.len)
        policy = policy_for(&resolver->traffic, resolver->arena, "HTTPRoute", reader->resource, reader->rule->name);
    if (!policy)
        policy = policy_for(&resolver->traffic, resolver->arena, "HTTPRoute", reader->resource, SLICE(""));
    return policy ? policy : of_gateway;
}

// A route's own time limits win over those of its policy. S8: without any, an answer may take as long as it wants.
static void read_timeouts(const struct node *node, const struct resource *policy, struct config_rule *rule)
{
    const struct node *timeouts = node_get(node, SLICE("timeouts"));
    const struct node *http = policy ? node_path(policy->spec, SLICE("timeout.http")) : NULL;
    rule->request_timeout_ms = node_get_ms(timeouts, SLICE("request"), node_get_ms(http, SLICE("requestTimeout"), -1));
    rule->backend_request_timeout_ms = node_get_ms(timeouts, SLICE("backendRequest"), -1);
    rule->stream_idle_ms =
        node_get_ms(node, SLICE("streamIdleTimeout"), node_get_ms(http, SLICE("streamIdleTimeout"), -1));
}

static void read_models(const struct node *node, const struct resource *resource, struct config_rule *rule)
{
    struct slice owner = node_get_text(node, SLICE("modelsOwnedBy"));
    rule->models_owned_by = owner.len ? owner : SLICE("Envoy AI Gateway");
    rule->models_created_s = resource->has_created ? resource->created_s : 0;
    node_to_time(node_get(node, SLICE("modelsCreatedAt")), &rule->models_created_s);
}

// Checks by HTTP speak HTTP/1.1.
static void check_checks(const struct rule_reader *reader)
{
    const struct config_rule *rule = reader->rule;
    if (!rule->traffic.active.is_set || rule->traffic.active.type != ACTIVE_HTTP)
        return;
    for (size_t i = 0; i < rule->ref_count; i++) {
        const struct config_backend *backend = rule->refs[i].backend;
        const struct config_tls_choice *choice = backend ? &backend->tls.choice : NULL;
        if (backend && (backend->is_h2c || (choice->has_alpn && choice->offers_h2 && !choice->offers_http_1)))
            finding_error(reader->resolver->findings, rule->mark,
                          "healthCheck.active by HTTP asks in HTTP/1.1, which backend \"" SLICE_FMT
                          "\" is not to be spoken to in (appProtocols, alpnProtocols); use type TCP",
                          SLICE_ARG(backend->name));
    }
}

static void read_rule(const struct rule_reader *reader, const struct node *node, const struct resource *of_gateway)
{
    struct resolver *resolver = reader->resolver;
    struct config_rule *rule = reader->rule;
    rule->name = node_get_text(node, SLICE("name"));
    rule->mark = node ? node_mark(node) : reader->resource->mark;
    const struct resource *policy = traffic_policy(reader, of_gateway);
    rule->traffic = resolve_traffic(resolver, policy);
    read_timeouts(node, policy, rule);
    read_models(node, reader->resource, rule);
    resolve_matches(resolver, node, rule);
    if (reader->route->kind == ROUTE_HTTP)
        rule->filters = resolve_filters(resolver, node_get(node, SLICE("filters")));
    read_refs(reader, node_get(node, SLICE("backendRefs")));
    check_checks(reader);
}

void resolve_rules(struct resolver *resolver, const struct resource *resource, const struct resource *gateway_traffic,
                   struct config_route *route)
{
    const struct node *list = node_get(resource->spec, SLICE("rules"));
    bool is_implied = node_count(list) == 0 && route->kind == ROUTE_HTTP; // Gateway API's default: one that takes all
    route->rules = RESOLVE_ARRAY(resolver, struct config_rule, node_count(list) + 1);
    struct rule_reader reader = {.resolver = resolver, .resource = resource, .route = route};
    const struct node *node = node_first(list);
    while (route->rules && (node || is_implied)) {
        reader.rule = &route->rules[route->rule_count];
        reader.rule->index = route->rule_count++;
        read_rule(&reader, node, gateway_traffic);
        node = node ? node->next : NULL;
        is_implied = false;
    }
}
