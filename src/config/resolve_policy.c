// Policies by what they target. A policy stands in the namespace of its target; the more specific one replaces the other
// as a whole (config-model.md 2.2); two of one kind on one target are an error (S10).
#include "config/resolve_parts.h"

struct policy {
    const struct resource *resource;
};

static struct slice target_key(struct arena *arena, struct slice kind, struct slice namespace_, struct slice name,
                               struct slice section)
{
    return arena_printf(arena, SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT, SLICE_ARG(kind),
                        SLICE_ARG(namespace_), SLICE_ARG(name), SLICE_ARG(section));
}

const struct resource *policy_for(const struct map *policies, struct arena *arena, const char *kind,
                                  const struct resource *target, struct slice section)
{
    struct slice key = target_key(arena, slice_from_cstr(kind), target->namespace_, target->name, section);
    const struct policy *policy = map_get(policies, key);
    return policy ? policy->resource : NULL;
}

// A policy names the HTTPRoute that an AIGatewayRoute would become; both have one name.
static const struct resource *find_target(struct resolver *resolver, struct slice kind,
                                          const struct reference *reference)
{
    if (slice_eq(kind, SLICE("HTTPRoute"))) {
        const struct resource *route =
            documents_find(resolver->docs, KIND_AI_GATEWAY_ROUTE, reference->namespace_, reference->name);
        if (route)
            return route;
    }
    enum resource_kind wanted = resource_kind_from_name(kind);
    return wanted == KIND_COUNT ? NULL : resolve_find(resolver, wanted, reference);
}

static bool has_named(const struct node *list, struct slice name)
{
    for (const struct node *item = node_first(list); item; item = item->next)
        if (slice_eq(node_get_text(item, SLICE("name")), name))
            return true;
    return false;
}

static bool has_section(const struct resource *target, struct slice section)
{
    return section.len == 0 || has_named(node_get(target->spec, SLICE("listeners")), section) ||
           has_named(node_get(target->spec, SLICE("rules")), section);
}

static void tell_second(struct resolver *resolver, const struct resource *policy, const struct resource *first,
                        struct mark mark)
{
    finding_error(resolver->findings, mark,
                  SLICE_FMT " \"" SLICE_FMT "\" targets this already (line %u of " SLICE_FMT
                            "); leave one policy on each target",
                  SLICE_ARG(policy->kind_name), SLICE_ARG(first->name), first->mark.line, SLICE_ARG(first->mark.file));
}

static void add_target(struct resolver *resolver, struct map *policies, const struct resource *resource,
                       const struct node *ref)
{
    struct slice kind = node_get_text(ref, SLICE("kind"));
    struct slice section = node_get_text(ref, SLICE("sectionName"));
    struct reference reference = {node_get_text(ref, SLICE("name")), resource->namespace_,
                                  node_mark(node_get(ref, SLICE("name")))};
    const struct resource *target = find_target(resolver, kind, &reference);
    if (!target)
        return;
    if (!has_section(target, section) && !target->has_errors)
        finding_error(resolver->findings, node_mark(node_get(ref, SLICE("sectionName"))),
                      SLICE_FMT " " SLICE_FMT "/" SLICE_FMT " has no %s \"" SLICE_FMT "\"; mend sectionName",
                      SLICE_ARG(target->kind_name), SLICE_ARG(target->namespace_), SLICE_ARG(target->name),
                      target->kind == KIND_GATEWAY ? "listener" : "rule named", SLICE_ARG(section));
    // AIGatewayRoute as a target is the same as the HTTPRoute that it becomes.
    struct slice as = slice_eq(kind, SLICE("AIGatewayRoute")) ? SLICE("HTTPRoute") : kind;
    struct slice key = target_key(resolver->arena, as, resource->namespace_, reference.name, section);
    const struct policy *first = map_get(policies, key);
    struct policy *policy = ARENA_NEW(resolver->arena, struct policy);
    if (first)
        tell_second(resolver, resource, first->resource, reference.mark);
    else if (!policy || !key.ptr || !map_put(policies, key, policy))
        resolver->has_failed = true;
    else
        policy->resource = resource;
}

static void add_policies(struct resolver *resolver, enum resource_kind kind, struct map *policies)
{
    for (size_t i = 0; i < resolver->docs->count; i++) {
        const struct resource *resource = resolver->docs->items[i];
        if (resource->kind != kind)
            continue;
        const struct node *one = node_get(resource->spec, SLICE("targetRef"));
        const struct node *many = node_get(resource->spec, SLICE("targetRefs"));
        if (one)
            add_target(resolver, policies, resource, one);
        for (const struct node *ref = node_first(many); ref; ref = ref->next)
            add_target(resolver, policies, resource, ref);
        if (!one && !node_count(many) && !resource->has_errors)
            finding_warn(resolver->findings, resource->mark,
                         "this " SLICE_FMT " targets nothing and has no effect; name a target in targetRefs",
                         SLICE_ARG(resource->kind_name));
    }
}

void resolve_policies(struct resolver *resolver)
{
    add_policies(resolver, KIND_BACKEND_TRAFFIC_POLICY, &resolver->traffic);
    add_policies(resolver, KIND_CLIENT_TRAFFIC_POLICY, &resolver->client);
    add_policies(resolver, KIND_BACKEND_SECURITY_POLICY, &resolver->credentials);
    add_policies(resolver, KIND_BACKEND_TLS_POLICY, &resolver->tls);
}
