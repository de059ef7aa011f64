// Building the table: one entry for each match and hostname, sorted by S4, then indexed by host and by lifted values.
#include "config/hostname.h"
#include "route/table.h"

#include <stdlib.h>

static const struct slice model_header = SLICE_INIT("x-ai-eg-model");
static const struct slice backend_header = SLICE_INIT("x-ai-eg-backend");

struct builder {
    struct route_table *table;
    struct findings *findings;
    bool has_failed; // a bad expression (a finding says so) or no memory
};

// ---- conditions -----------------------------------------------------------------------------------------------

static const struct regex *compile(struct builder *builder, struct config_text pattern)
{
    struct route_table *table = builder->table;
    struct regex *regex = map_get(&table->regexes, pattern.text);
    if (regex)
        return regex;
    struct slice why;
    regex = regex_new(table->arena, pattern.text, &why);
    if (regex && map_put(&table->regexes, pattern.text, regex))
        return regex;
    regex_free(regex);
    builder->has_failed = true;
    if (why.len)
        finding_error(builder->findings, pattern.mark,
                      "the regular expression \"" SLICE_FMT "\" is not valid: " SLICE_FMT "; mend the expression",
                      SLICE_ARG(pattern.is_hidden ? SLICE("(hidden)") : pattern.text), SLICE_ARG(why));
    return NULL;
}

static enum cond_source header_source(struct slice name)
{
    if (slice_eq_nocase(name, model_header))
        return COND_MODEL;
    if (slice_eq_nocase(name, backend_header))
        return COND_BACKEND;
    return slice_eq_nocase(name, SLICE("host")) ? COND_HOST : COND_HEADER;
}

static struct route_cond *make_conds(struct builder *builder, const struct config_name_match *from, size_t count,
                                     bool is_query)
{
    struct route_cond *conds = ARENA_ARRAY(builder->table->arena, struct route_cond, count);
    if (!conds) {
        builder->has_failed = true;
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        enum cond_source source = is_query ? COND_QUERY : header_source(from[i].name.text);
        conds[i] = (struct route_cond){
            .source = source,
            .name = from[i].name.text,
            .value = from[i].value.text,
            .regex = from[i].type == MATCH_REGEX ? compile(builder, from[i].value) : NULL,
            // The name of a model or a deployment is no secret, wherever it comes from.
            .is_hidden = from[i].value.is_hidden && source != COND_MODEL && source != COND_BACKEND,
        };
    }
    return conds;
}

static void note_lifted(struct route_entry *entry)
{
    for (size_t i = 0; i < entry->header_count; i++) {
        const struct route_cond *cond = &entry->headers[i];
        struct slice exact = cond->regex ? (struct slice){NULL, 0} : cond->value;
        entry->exact_count += cond->regex ? 0 : 1;
        if (cond->source == COND_MODEL) {
            entry->names_model = true;
            entry->model = exact;
        } else if (cond->source == COND_BACKEND) {
            entry->names_backend = true;
            entry->backend = exact;
        }
    }
}

// ---- entries --------------------------------------------------------------------------------------------------

static struct slice without_end_slash(struct slice path)
{
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    return path;
}

// What the entries of a match have in common.
static struct route_entry make_entry(struct builder *builder, const struct config_route *route,
                                     const struct config_rule *rule, size_t match_index)
{
    const struct config_match *match = &rule->matches[match_index];
    struct route_entry entry = {.route = route,
                                .rule = rule,
                                .match_index = match_index,
                                .match = match,
                                .kind = route->kind,
                                .path_type = match->path_type,
                                .path = match->path.text,
                                .method = match->method,
                                .header_count = match->header_count,
                                .query_count = match->query_count};
    if (entry.path_type == MATCH_PREFIX)
        entry.path = without_end_slash(match->path.text);
    if (entry.path_type == MATCH_REGEX)
        entry.path_regex = compile(builder, match->path);
    entry.headers = make_conds(builder, match->headers, match->header_count, false);
    entry.query = make_conds(builder, match->query, match->query_count, true);
    if (entry.headers)
        note_lifted(&entry);
    return entry;
}

// As Envoy Gateway names its routes.
static struct slice name_entry(struct arena *arena, const struct route_entry *entry, struct slice hostname)
{
    struct slice host = hostname.len ? hostname : SLICE("*");
    struct slice name = arena_printf(arena, "httproute/" SLICE_FMT "/" SLICE_FMT "/rule/%zu/match/%zu/" SLICE_FMT,
                                     SLICE_ARG(entry->route->namespace_), SLICE_ARG(entry->route->name),
                                     entry->rule->index, entry->match_index, SLICE_ARG(host));
    for (size_t i = name.len - host.len; name.ptr && i < name.len; i++)
        if (name.ptr[i] == '.')
            ((char *)(uintptr_t)name.ptr)[i] = '_';
    return name;
}

static void add_entry(struct builder *builder, const struct route_entry *entry, struct slice hostname)
{
    struct route_table *table = builder->table;
    struct slice name = name_entry(table->arena, entry, hostname);
    if (!name.ptr ||
        !arena_grow(table->arena, (void *)&table->entries, &table->cap, table->count, sizeof *table->entries)) {
        builder->has_failed = true;
        return;
    }
    table->entries[table->count] = *entry;
    table->entries[table->count].hostname = hostname;
    table->entries[table->count++].name = name;
}

static bool contains(const struct slice *items, size_t count, struct slice wanted)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(items[i], wanted))
            return true;
    return false;
}

// The hostnames under which a route stands: its own, narrowed by the listener's, each once; one empty name for a route
// without any.
static size_t route_hosts(struct builder *builder, const struct config_route *route, struct slice **ret_hosts)
{
    size_t count = 0;
    struct slice *hosts = ARENA_ARRAY(builder->table->arena, struct slice, route->hostname_count + 1);
    *ret_hosts = hosts;
    if (!hosts)
        builder->has_failed = true;
    else if (route->hostname_count == 0)
        count = 1;
    for (size_t i = 0; hosts && i < route->hostname_count; i++) {
        struct slice both;
        if (hostname_intersect(builder->table->listener->hostname, route->hostnames[i].text, &both) &&
            !contains(hosts, count, both))
            hosts[count++] = both;
    }
    return count;
}

static void add_route(struct builder *builder, const struct config_route *route)
{
    struct slice *hosts;
    size_t host_count = route_hosts(builder, route, &hosts);
    for (size_t i = 0; host_count && i < route->rule_count; i++)
        for (size_t j = 0; j < route->rules[i].match_count; j++) {
            struct route_entry entry = make_entry(builder, route, &route->rules[i], j);
            for (size_t k = 0; k < host_count; k++)
                add_entry(builder, &entry, hosts[k]);
        }
}

static int compare_entries(const void *a, const void *b)
{
    enum order_step step;
    return entry_compare(a, b, &step);
}

// ---- indexes --------------------------------------------------------------------------------------------------

static bool list_add(struct arena *arena, struct entry_list *list, const struct route_entry *entry)
{
    if (!ARENA_GROW(arena, list)) // NOLINT(bugprone-sizeof-expression): of pointers
        return false;
    list->items[list->count++] = entry;
    return true;
}

static bool index_add(struct arena *arena, struct map *map, struct slice value, const struct route_entry *entry)
{
    struct entry_list *list = map_get(map, value);
    if (!list) {
        list = ARENA_NEW(arena, struct entry_list);
        if (!list || !map_put(map, value, list))
            return false;
    }
    return list_add(arena, list, entry);
}

static bool bucket_add(struct arena *arena, struct route_bucket *bucket, const struct route_entry *entry)
{
    bucket->count++;
    bucket->has_ai |= entry->route->kind == ROUTE_AI;
    if (entry->backend.len)
        return index_add(arena, &bucket->by_backend, entry->backend, entry);
    if (entry->model.len && !entry->names_backend)
        return index_add(arena, &bucket->by_model, entry->model, entry);
    if (entry->path_type == MATCH_EXACT)
        return index_add(arena, &bucket->by_path, entry->path, entry);
    if (entry->path_type == MATCH_PREFIX && entry->path.len > 0) {
        if (entry->path.len > bucket->prefix_max)
            bucket->prefix_max = entry->path.len;
        return index_add(arena, &bucket->by_prefix, entry->path, entry);
    }
    return list_add(arena, &bucket->others, entry);
}

static struct route_bucket *add_bucket(struct route_table *table, struct slice hostname, size_t first)
{
    struct route_bucket *bucket = ARENA_NEW(table->arena, struct route_bucket);
    if (!bucket)
        return NULL;
    bucket->hostname = hostname;
    bucket->first = first;
    map_init(&bucket->by_backend, table->arena, table->seed);
    map_init(&bucket->by_model, table->arena, table->seed);
    map_init(&bucket->by_path, table->arena, table->seed);
    map_init(&bucket->by_prefix, table->arena, table->seed);
    if (hostname.len == 0) {
        table->any = bucket;
        return bucket;
    }
    if (!hostname_is_wildcard(hostname))
        return map_put(&table->exact, hostname, bucket) ? bucket : NULL;
    struct slice suffix = slice_from(hostname, 1);
    if (suffix.len > table->wildcard_max)
        table->wildcard_max = suffix.len;
    return map_put(&table->wildcards, suffix, bucket) ? bucket : NULL;
}

// The entries are in order, those of a hostname side by side.
static bool index_entries(struct route_table *table)
{
    struct route_bucket *bucket = NULL;
    for (size_t i = 0; i < table->count; i++) {
        struct route_entry *entry = &table->entries[i];
        entry->rank = i;
        if (!bucket || !slice_eq(bucket->hostname, entry->hostname))
            bucket = add_bucket(table, entry->hostname, i);
        if (!bucket || !bucket_add(table->arena, bucket, entry))
            return false;
    }
    return true;
}

// ---- life -----------------------------------------------------------------------------------------------------

struct route_table *route_table_new(struct arena *arena, const struct config_listener *listener, uint64_t seed,
                                    struct findings *findings)
{
    struct route_table *table = ARENA_NEW(arena, struct route_table);
    if (!table)
        return NULL;
    table->arena = arena;
    table->listener = listener;
    table->seed = seed;
    map_init(&table->exact, arena, seed);
    map_init(&table->wildcards, arena, seed);
    map_init(&table->regexes, arena, seed);
    struct builder builder = {.table = table, .findings = findings};
    for (size_t i = 0; i < listener->route_count; i++)
        add_route(&builder, listener->routes[i]);
    if (!builder.has_failed) {
        if (table->count)
            qsort(table->entries, table->count, sizeof *table->entries, compare_entries);
        builder.has_failed = !index_entries(table);
    }
    if (builder.has_failed) {
        route_table_free(table);
        return NULL;
    }
    overlap_check(table, findings);
    return table;
}

void route_table_free(struct route_table *table)
{
    size_t at = 0;
    struct slice pattern;
    void *regex;
    while (table && map_next(&table->regexes, &at, &pattern, &regex))
        regex_free(regex);
}
