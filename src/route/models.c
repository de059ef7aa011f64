// The models that a host's routes name: what GET /v1/models lists (config-model.md 3.6, with its decisions in 13.9).
#include "config/hostname.h"
#include "route/table.h"

static bool route_serves(const struct route_table *table, const struct config_route *route, struct slice host)
{
    if (host.len == 0)
        return true; // who asks without a host sees all
    if (!hostname_matches(table->listener->hostname, host))
        return false;
    for (size_t i = 0; i < route->hostname_count; i++)
        if (hostname_matches(route->hostnames[i].text, host))
            return true;
    return route->hostname_count == 0;
}

static bool header_holds(const struct config_name_match *header, struct slice actual, const struct route_table *table,
                         struct arena *arena)
{
    if (!actual.ptr)
        return false;
    if (header->type != MATCH_REGEX)
        return slice_eq(actual, header->value.text);
    const struct regex *regex = map_get(&table->regexes, header->value.text);
    return regex && regex_matches(regex, actual, arena);
}

// A model behind further conditions is shown only to who fulfils them.
static bool is_shown(const struct config_match *match, const struct fields *fields, const struct route_table *table,
                     struct arena *arena)
{
    for (size_t i = 0; i < match->header_count; i++) {
        const struct config_name_match *header = &match->headers[i];
        if (slice_eq_nocase(header->name.text, SLICE("x-ai-eg-model")))
            continue;
        if (!header_holds(header, fields_joined(fields, header->name.text, arena), table, arena))
            return false;
    }
    return true;
}

// The model that a match asks for; empty when it asks for none, or by a regular expression.
static struct slice exact_model(const struct config_match *match)
{
    for (size_t i = 0; i < match->header_count; i++)
        if (match->headers[i].type == MATCH_EXACT &&
            slice_eq_nocase(match->headers[i].name.text, SLICE("x-ai-eg-model")))
            return match->headers[i].value.text;
    return (struct slice){NULL, 0};
}

struct model_list {
    struct arena *arena;
    struct map seen;
    struct route_model *items;
    size_t count;
    size_t cap;
};

static void add_model(struct model_list *list, struct slice id, const struct config_rule *rule)
{
    if (id.len == 0 || map_get(&list->seen, id) || !ARENA_GROW(list->arena, list))
        return;
    struct route_model *model = &list->items[list->count];
    *model = (struct route_model){id, rule->models_owned_by, rule->models_created_s};
    if (map_put(&list->seen, id, model)) // any pointer will do
        list->count++;
}

size_t route_models(const struct route_table *table, struct slice host, const struct fields *fields,
                    struct arena *arena, struct route_model **ret_models)
{
    struct model_list list = {.arena = arena};
    map_init(&list.seen, arena, table->seed);
    for (size_t i = 0; i < table->listener->route_count; i++) {
        const struct config_route *route = table->listener->routes[i];
        if (route->kind != ROUTE_AI || !route_serves(table, route, host))
            continue;
        for (size_t j = 0; j < route->rule_count; j++)
            for (size_t k = 0; k < route->rules[j].match_count; k++) {
                const struct config_match *match = &route->rules[j].matches[k];
                if (is_shown(match, fields, table, arena))
                    add_model(&list, exact_model(match), &route->rules[j]);
            }
    }
    *ret_models = list.items;
    return list.count;
}

bool route_serves_models(const struct route_table *table, struct slice host)
{
    struct bucket_walk walk __attribute__((uninitialized));
    bucket_walk_init(&walk, table, host);
    const struct route_bucket *bucket;
    while ((bucket = bucket_walk_next(&walk, table)))
        if (bucket->has_ai)
            return true;
    return false;
}
