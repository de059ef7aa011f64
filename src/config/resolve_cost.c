// Costs: those of a route over those of its Gateway, per metadata key (config-model.md 1.7).
#include "config/resolve_parts.h"

static const struct {
    const char *name;
    enum config_cost_type type;
} types[] = {
    {"InputToken", COST_INPUT},
    {"CachedInputToken", COST_CACHED_INPUT},
    {"OutputToken", COST_OUTPUT},
    {"CacheCreationInputToken", COST_CACHE_CREATION_INPUT},
    {"TotalToken", COST_TOTAL},
    {"ReasoningToken", COST_REASONING},
    {"CEL", COST_CEL},
};

static bool read_cost(const struct node *node, struct config_cost *ret_cost)
{
    struct slice type = node_get_text(node, SLICE("type"));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_eq(type, slice_from_cstr(types[i].name))) {
            *ret_cost = (struct config_cost){node_get_text(node, SLICE("metadataKey")), types[i].type,
                                             node_config_text(node_get(node, SLICE("cel")))};
            return ret_cost->key.len && (ret_cost->type != COST_CEL || ret_cost->cel.text.len);
        }
    return false;
}

// Sets or replaces by key.
static void put_cost(struct config_cost *costs, size_t *count, const struct config_cost *cost)
{
    for (size_t i = 0; i < *count; i++)
        if (slice_eq(costs[i].key, cost->key)) {
            costs[i] = *cost;
            return;
        }
    costs[(*count)++] = *cost;
}

static void warn_of_repeats(struct resolver *resolver, const struct node *list)
{
    for (const struct node *cost = node_first(list); cost; cost = cost->next)
        for (const struct node *later = cost->next; later; later = later->next) {
            const struct node *key = node_get(cost, SLICE("metadataKey"));
            if (!slice_eq(node_text(key), node_get_text(later, SLICE("metadataKey"))))
                continue;
            finding_warn(resolver->findings, node_mark(key),
                         "metadataKey \"" SLICE_FMT
                         "\" stands in this route again (line %u), and the later one counts; "
                         "take one out",
                         SLICE_ARG(node_text(key)), later->mark.line);
            break;
        }
}

void resolve_costs(struct resolver *resolver, const struct resource *resource, const struct resource *gateway_config,
                   struct config_route *route)
{
    const struct node *global = gateway_config ? node_get(gateway_config->spec, SLICE("globalLLMRequestCosts")) : NULL;
    const struct node *own = node_get(resource->spec, SLICE("llmRequestCosts"));
    struct config_cost *costs = RESOLVE_ARRAY(resolver, struct config_cost, node_count(global) + node_count(own));
    struct config_cost cost;
    route->costs = costs;
    warn_of_repeats(resolver, own);
    for (const struct node *node = node_first(global); costs && node; node = node->next)
        if (read_cost(node, &cost))
            put_cost(costs, &route->cost_count, &cost);
    for (const struct node *node = node_first(own); costs && node; node = node->next)
        if (read_cost(node, &cost))
            put_cost(costs, &route->cost_count, &cost);
}
