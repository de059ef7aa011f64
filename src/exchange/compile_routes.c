// Routes of a snapshot: merged mutations of every backend reference, cost programs, and the set of member names that the
// one scan of a body looks for (S1).
#include "exchange/compiled.h"

#include "usage/reader.h"

static const struct slice read_names[NAME_FIRST_ROOT] = {
    [NAME_MODEL] = SLICE_INIT("model"),
    [NAME_BACKEND] = SLICE_INIT("backend"),
    [NAME_STREAM] = SLICE_INIT("stream"),
    [NAME_STREAM_OPTIONS] = SLICE_INIT("stream_options"),
    [NAME_STREAM_FORMAT] = SLICE_INIT("stream_format"),
};

struct name_list { // grows while the mutations are compiled
    struct arena *arena;
    struct slice *items;
    size_t count;
    size_t cap;
};

static bool name_place(struct name_list *names, struct slice name, size_t *ret_place)
{
    for (size_t i = 0; i < names->count; i++)
        if (slice_eq(names->items[i], name)) {
            *ret_place = i;
            return true;
        }
    if (!ARENA_GROW(names->arena, names))
        return false;
    *ret_place = names->count;
    names->items[names->count++] = name;
    return true;
}

// The last change of the whole member `model` to a string says what the provider will see.
static void note_model(struct compiled_ref *ref, struct arena *arena, const struct json_change *change)
{
    if (change->path->count != 1 || !slice_eq(change->path->names[0], SLICE("model")))
        return;
    ref->model = (struct slice){NULL, 0};
    if (change->value.len && change->value.ptr[0] == '"')
        json_string_decode(change->value, arena, &ref->model);
}

static bool compile_body(struct compiled_ref *ref, struct name_list *names)
{
    ref->roots = ARENA_ARRAY(names->arena, size_t, ref->body.count);
    if (!ref->roots)
        return false;
    for (size_t i = 0; i < ref->body.count; i++) {
        const struct json_change *change = &ref->body.changes[i];
        note_model(ref, names->arena, change);
        if (!name_place(names, change->path->names[0], &ref->roots[i]))
            return false;
    }
    return true;
}

// The first two segments of a backend key.
static struct slice short_name(struct slice key)
{
    size_t slash = slice_find(key, '/');
    if (slash == SLICE_NOT_FOUND)
        return key;
    size_t second = slice_find(slice_from(key, slash + 1), '/');
    return second == SLICE_NOT_FOUND ? key : slice_sub(key, 0, slash + 1 + second);
}

static bool compile_ref(struct compiled_ref *ref, const struct config_backend_ref *config, struct name_list *names,
                        struct findings *findings)
{
    static const struct config_mutation none;
    const struct config_backend *backend = config->backend;
    ref->short_name = short_name(config->key);
    bool has_headers = mutate_headers_merge(names->arena, &config->header_mutation,
                                            backend ? &backend->header_mutation : &none, findings, &ref->headers);
    bool has_body = mutate_body_merge(names->arena, &config->body_mutation, backend ? &backend->body_mutation : &none,
                                      config->model_override, findings, &ref->body);
    return has_headers && has_body && compile_body(ref, names);
}

static bool compile_filters(struct compiled_rule *rule, const struct config_rule_filters *filters, struct arena *arena,
                            struct findings *findings)
{
    static const struct config_mutation none;
    return mutate_headers_merge(arena, &filters->request_headers, &none, findings, &rule->request) &&
           mutate_headers_merge(arena, &filters->response_headers, &none, findings, &rule->response);
}

static bool compile_rule(struct compiled_rule *rule, const struct config_route *route, const struct config_rule *config,
                         struct name_list *names, struct findings *findings)
{
    struct arena *arena = names->arena;
    rule->cluster = arena_printf(arena, "httproute/" SLICE_FMT "/" SLICE_FMT "/rule/%zu", SLICE_ARG(route->namespace_),
                                 SLICE_ARG(route->name), config->index);
    rule->refs = ARENA_ARRAY(arena, struct compiled_ref, config->ref_count);
    bool is_whole = rule->cluster.ptr && rule->refs && compile_filters(rule, &config->filters, arena, findings);
    for (size_t i = 0; rule->refs && i < config->ref_count; i++) {
        is_whole = compile_ref(&rule->refs[i], &config->refs[i], names, findings) && is_whole;
        rule->edits_body |= rule->refs[i].body.count > 0;
        rule->usable_refs += config->refs[i].backend && config->refs[i].weight > 0;
    }
    return is_whole;
}

static bool compile_costs(struct compiled_route *compiled, const struct config_route *route, struct arena *arena,
                          struct findings *findings)
{
    compiled->costs = ARENA_ARRAY(arena, const struct cost_program *, route->cost_count);
    compiled->cost_kinds = account_cost_kinds(route);
    bool is_whole = compiled->costs;
    for (size_t i = 0; compiled->costs && i < route->cost_count; i++) {
        compiled->costs[i] = cost_compile(arena, &route->costs[i], findings);
        is_whole = is_whole && compiled->costs[i];
    }
    return is_whole;
}

static bool compile_route(struct compiled_route *compiled, const struct config_route *route, struct name_list *names,
                          struct findings *findings)
{
    struct arena *arena = names->arena;
    compiled->name = arena_join(arena, (struct slice[]){route->namespace_, SLICE("/"), route->name}, 3);
    compiled->rules = ARENA_ARRAY(arena, struct compiled_rule, route->rule_count);
    bool is_whole = compiled->name.ptr && compiled->rules && compile_costs(compiled, route, arena, findings);
    for (size_t i = 0; compiled->rules && i < route->rule_count; i++)
        is_whole = compile_rule(&compiled->rules[i], route, &route->rules[i], names, findings) && is_whole;
    return is_whole;
}

// Override headers that x-aigw-* and the well-known credential fields do not cover already.
static bool note_overrides(struct snapshot *snapshot)
{
    const struct config *config = snapshot->config;
    snapshot->override_names = ARENA_ARRAY(&snapshot->arena, struct slice, config->backend_count);
    for (size_t i = 0; snapshot->override_names && i < config->backend_count; i++) {
        struct slice name = config->backends[i].credential.override_header;
        if (name.len && !slice_starts_with_nocase(name, SLICE("x-aigw-")))
            snapshot->override_names[snapshot->override_count++] = name;
    }
    return snapshot->override_names;
}

bool snapshot_compile_routes(struct snapshot *snapshot, struct findings *findings)
{
    const struct config *config = snapshot->config;
    struct name_list names = {.arena = &snapshot->arena};
    size_t place;
    for (size_t i = 0; i < NAME_FIRST_ROOT; i++)
        if (!name_place(&names, read_names[i], &place))
            return false;
    snapshot->routes = ARENA_ARRAY(&snapshot->arena, struct compiled_route, config->route_count);
    bool is_whole = snapshot->routes && note_overrides(snapshot);
    for (size_t i = 0; snapshot->routes && i < config->route_count; i++)
        is_whole = compile_route(&snapshot->routes[i], &config->routes[i], &names, findings) && is_whole;
    snapshot->names = json_names_new(&snapshot->arena, names.items, names.count);
    snapshot->name_count = names.count;
    snapshot->usage_names = usage_reader_names(&snapshot->arena);
    return is_whole && snapshot->names && snapshot->usage_names;
}
