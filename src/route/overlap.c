// What `weir check` says of the table (S4): matches that can never win because another one takes every request that they
// apply to, and pairs of matches that both apply to some requests and are told apart only by the age, name or place of
// their routes.
//
// A match is shadowed when a better-placed one asks for a part of its conditions. That is looked for by asking, for each
// match, for the texts of all condition sets that would cover it; so the cost is linear in the number of matches.
#include "route/table.h"

#include <stdlib.h>

#define TIES_TOLD_MAX 16U
#define TIE_PAIRS_MAX 2000000U // comparisons; what is left out is said in a note
#define SUBSET_CONDS_MAX 8U    // of a match with more conditions only the whole set and the empty one are tried

struct analysis {
    const struct route_table *table;
    struct findings *findings;
    struct arena scratch;
    struct map by_key; // text of a condition set -> the best-placed entry with it
    size_t ties;
    size_t pairs;
};

// ---- telling --------------------------------------------------------------------------------------------------

static struct mark entry_mark(const struct route_entry *entry)
{
    return entry->match->mark.line ? entry->match->mark : entry->rule->mark;
}

static struct slice entry_name(struct arena *arena, const struct route_entry *entry)
{
    struct mark mark = entry_mark(entry);
    return arena_printf(arena, SLICE_FMT "/" SLICE_FMT " rule %zu match %zu (" SLICE_FMT ":%u)",
                        SLICE_ARG(entry->route->namespace_), SLICE_ARG(entry->route->name), entry->rule->index,
                        entry->match_index, SLICE_ARG(mark.file), mark.line);
}

// A route on several hosts or listeners gives the same warning once.
static void warn(struct analysis *analysis, const struct route_entry *entry, struct slice text)
{
    struct mark mark = entry_mark(entry);
    if (text.ptr && !findings_know(analysis->findings, mark, text))
        finding_warn(analysis->findings, mark, SLICE_FMT, SLICE_ARG(text));
}

static struct slice why_wins(const struct route_entry *winner, const struct route_entry *loser)
{
    enum order_step step;
    entry_compare(winner, loser, &step);
    return order_step_text(step);
}

// Where a listener has hosts of its own, what holds there may not hold on others of the route.
static struct slice where(struct analysis *analysis)
{
    const struct config_listener *listener = analysis->table->listener;
    if (!listener->hostname.len)
        return SLICE("");
    return arena_printf(&analysis->scratch, " on listener \"" SLICE_FMT "\" (" SLICE_FMT ")", SLICE_ARG(listener->name),
                        SLICE_ARG(listener->hostname));
}

static void tell_shadowed(struct analysis *analysis, const struct route_entry *entry, const struct route_entry *by)
{
    struct slice name = entry_name(&analysis->scratch, by);
    struct slice because = why_wins(by, entry);
    struct slice here = where(analysis);
    warn(analysis, entry,
         arena_printf(&analysis->scratch,
                      "this match can never win" SLICE_FMT ": " SLICE_FMT
                      " applies to all of its requests and wins because " SLICE_FMT
                      "; remove one of the two or give this one a further condition",
                      SLICE_ARG(here), SLICE_ARG(name), SLICE_ARG(because)));
}

static void tell_tie(struct analysis *analysis, const struct route_entry *entry, const struct route_entry *winner)
{
    if (++analysis->ties > TIES_TOLD_MAX)
        return;
    struct slice name = entry_name(&analysis->scratch, winner);
    struct slice because = why_wins(winner, entry);
    struct slice here = where(analysis);
    warn(analysis, entry,
         arena_printf(&analysis->scratch,
                      "this match ties" SLICE_FMT " with " SLICE_FMT
                      " on requests that fulfil both; that one wins, only because " SLICE_FMT
                      "; give one of the two a further condition to make the choice plain",
                      SLICE_ARG(here), SLICE_ARG(name), SLICE_ARG(because)));
}

// ---- condition sets as text -----------------------------------------------------------------------------------

static struct slice lower(struct arena *arena, struct slice name)
{
    char *out = arena_alloc(arena, name.len);
    for (size_t i = 0; out && i < name.len; i++)
        out[i] = ascii_lower(name.ptr[i]);
    return slice_make(out, out ? name.len : 0);
}

static int compare_texts(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

// One text for each condition, sorted. `with_values` false: the names only.
static size_t cond_texts(struct arena *arena, const struct route_entry *entry, bool with_values,
                         struct slice **ret_texts)
{
    size_t count = entry->header_count + entry->query_count;
    struct slice *texts = ARENA_ARRAY(arena, struct slice, count + 1);
    *ret_texts = texts;
    for (size_t i = 0; texts && i < count; i++) {
        bool is_header = i < entry->header_count;
        const struct route_cond *cond = is_header ? &entry->headers[i] : &entry->query[i - entry->header_count];
        struct slice name = is_header ? lower(arena, cond->name) : cond->name;
        struct slice value = with_values ? cond->value : SLICE("");
        texts[i] = arena_printf(arena, "%c%c" SLICE_FMT "\n" SLICE_FMT "\n", is_header ? 'h' : 'q',
                                cond->regex && with_values ? '~' : '=', SLICE_ARG(name), SLICE_ARG(value));
    }
    if (texts && count)
        qsort(texts, count, sizeof *texts, compare_texts);
    return texts ? count : 0;
}

struct key_parts {
    enum config_route_kind kind;
    struct slice hostname;
    char path_type;
    struct slice path;
    struct slice method;
    const struct slice *conds;
    size_t cond_count;
    unsigned mask; // which conditions take part
};

#define ALL_CONDS UINT32_MAX

static struct slice make_key(struct arena *arena, const struct key_parts *parts)
{
    struct slice key =
        arena_printf(arena, "%d" SLICE_FMT "\n%c" SLICE_FMT "\n" SLICE_FMT "\n", (int)parts->kind,
                     SLICE_ARG(parts->hostname), parts->path_type, SLICE_ARG(parts->path), SLICE_ARG(parts->method));
    for (size_t i = 0; i < parts->cond_count; i++)
        if (parts->mask == ALL_CONDS || parts->mask >> i & 1)
            key = arena_join(arena, (struct slice[]){key, parts->conds[i]}, 2);
    return key;
}

static char path_letter(enum config_match_type type)
{
    return type == MATCH_EXACT ? '=' : type == MATCH_PREFIX ? '/' : '~';
}

static struct key_parts own_parts(struct arena *arena, const struct route_entry *entry)
{
    struct key_parts parts = {.kind = entry->route->kind,
                              .hostname = entry->hostname,
                              .path_type = path_letter(entry->path_type),
                              .path = entry->path,
                              .method = entry->method,
                              .mask = ALL_CONDS};
    struct slice *texts;
    parts.cond_count = cond_texts(arena, entry, true, &texts);
    parts.conds = texts;
    return parts;
}

// ---- shadows --------------------------------------------------------------------------------------------------

struct search {
    struct analysis *analysis;
    const struct route_entry *entry;
    const struct route_entry *found; // the best-placed entry that covers it
};

static void try_key(struct search *search, const struct key_parts *parts)
{
    const struct route_entry *entry = search->entry;
    const struct route_entry *by = map_get(&search->analysis->by_key, make_key(&search->analysis->scratch, parts));
    if (!by || by->rank >= entry->rank || (search->found && search->found->rank <= by->rank))
        return;
    // S3: on pinned requests a match by model name alone makes way for one that names the backend.
    if (by->names_model && !by->names_backend && entry->names_backend)
        return;
    search->found = by;
}

static void try_conds(struct search *search, struct key_parts parts)
{
    parts.mask = ALL_CONDS;
    try_key(search, &parts);
    size_t tried = parts.cond_count <= SUBSET_CONDS_MAX ? (size_t)1 << parts.cond_count : 1;
    for (parts.mask = 0; parts.mask < tried; parts.mask++)
        try_key(search, &parts);
}

static void try_methods(struct search *search, struct key_parts parts)
{
    try_conds(search, parts);
    if (parts.method.len == 0)
        return;
    parts.method = SLICE("");
    try_conds(search, parts);
}

// The path itself, and the prefixes above it; of a regular expression only the prefix "/".
static void try_paths(struct search *search, struct key_parts parts)
{
    try_methods(search, parts);
    bool is_regex = parts.path_type == '~';
    struct slice path = is_regex ? SLICE("") : parts.path;
    parts.path_type = '/';
    for (;;) {
        parts.path = path;
        try_methods(search, parts);
        if (path.len == 0)
            return;
        do
            path.len--;
        while (path.len && path.ptr[path.len] != '/');
    }
}

// Most entries can only be covered by one with the very same conditions, as whatever asks for less stands after them.
// Two kinds stand after entries that ask for less: paths by regular expression, and routes without hostnames on a
// listener that has one.
static void try_hosts(struct search *search, struct key_parts parts)
{
    struct slice listener_host = search->analysis->table->listener->hostname;
    if (parts.path_type == '~')
        try_paths(search, parts);
    else
        try_key(search, &parts);
    if (parts.hostname.len == 0 && listener_host.len) {
        parts.hostname = listener_host;
        try_paths(search, parts);
    }
}

// AI routes serve model endpoints alone, so they never cover a plain route; the other way round they may be covered.
static const struct route_entry *find_shadow(struct analysis *analysis, const struct route_entry *entry)
{
    struct search search = {.analysis = analysis, .entry = entry};
    struct key_parts parts = own_parts(&analysis->scratch, entry);
    parts.kind = ROUTE_HTTP;
    try_hosts(&search, parts);
    if (entry->route->kind == ROUTE_AI) {
        parts.kind = ROUTE_AI;
        try_hosts(&search, parts);
    }
    return search.found;
}

static void check_shadow(struct analysis *analysis, const struct route_entry *entry)
{
    struct key_parts parts = own_parts(&analysis->scratch, entry);
    const struct route_entry *by = find_shadow(analysis, entry);
    if (by)
        tell_shadowed(analysis, entry, by);
    struct slice key = make_key(&analysis->scratch, &parts);
    // Entries come best first: the first with a key stays.
    if (!map_get(&analysis->by_key, key)) {
        union { // maps hold plain pointers; this one is only read
            const struct route_entry *entry;
            void *value;
        } kept = {.entry = entry};
        map_put(&analysis->by_key, key, kept.value);
    }
}

// ---- ties -----------------------------------------------------------------------------------------------------

// Entries of one run of equals whose conditions are on the same names.
struct shape {
    struct entry_list entries;
    bool has_regex;
};

struct shapes {
    struct shape **items;
    size_t count;
    size_t cap;
};

static bool is_tie(const struct route_entry *a, const struct route_entry *b)
{
    enum order_step step;
    entry_compare(a, b, &step);
    return step > ORDER_EXACT;
}

static const struct route_cond *find_cond(const struct route_entry *entry, const struct route_cond *like)
{
    bool is_query = like->source == COND_QUERY;
    const struct route_cond *conds = is_query ? entry->query : entry->headers;
    size_t count = is_query ? entry->query_count : entry->header_count;
    for (size_t i = 0; i < count; i++)
        if (is_query ? slice_eq(conds[i].name, like->name) : slice_eq_nocase(conds[i].name, like->name))
            return &conds[i];
    return NULL;
}

// Whether some value fulfils both. Of two different regular expressions that is not known; no then.
static bool conds_agree(const struct route_cond *a, const struct route_cond *b, struct arena *scratch)
{
    if (!a->regex == !b->regex)
        return slice_eq(a->value, b->value);
    return a->regex ? regex_matches(a->regex, b->value, scratch) : regex_matches(b->regex, a->value, scratch);
}

static bool all_agree(const struct route_cond *conds, size_t count, const struct route_entry *other,
                      struct arena *scratch)
{
    for (size_t i = 0; i < count; i++) {
        const struct route_cond *theirs = find_cond(other, &conds[i]);
        if (theirs && !conds_agree(&conds[i], theirs, scratch))
            return false;
    }
    return true;
}

static bool only_model(const struct route_entry *entry)
{
    return entry->names_model && !entry->names_backend;
}

// Whether a request exists to which both apply. A lone pair of a pin and a model name never meets (S3).
static bool both_apply(const struct route_entry *a, const struct route_entry *b, struct arena *scratch)
{
    if (a->route == b->route || !slice_eq(a->path, b->path) || !slice_eq(a->method, b->method))
        return false;
    if ((only_model(a) && b->names_backend) || (only_model(b) && a->names_backend))
        return false;
    return all_agree(a->headers, a->header_count, b, scratch) && all_agree(a->query, a->query_count, b, scratch);
}

// That one is shadowed by the other has been told then.
static bool same_conds(struct analysis *analysis, const struct route_entry *a, const struct route_entry *winner)
{
    struct key_parts of_a = own_parts(&analysis->scratch, a);
    struct key_parts of_b = own_parts(&analysis->scratch, winner);
    if (winner->route->kind == ROUTE_HTTP)
        of_a.kind = ROUTE_HTTP;
    return slice_eq(make_key(&analysis->scratch, &of_a), make_key(&analysis->scratch, &of_b));
}

// The first entry of the list that ties with this one.
static const struct route_entry *find_tie(struct analysis *analysis, const struct route_entry *entry,
                                          const struct entry_list *others)
{
    for (size_t i = 0; i < others->count && analysis->pairs < TIE_PAIRS_MAX; i++) {
        const struct route_entry *other = others->items[i];
        analysis->pairs++;
        if (other->rank < entry->rank && both_apply(entry, other, &analysis->scratch) &&
            !same_conds(analysis, entry, other))
            return other;
    }
    return NULL;
}

static bool shapes_can_meet(const struct shape *a, const struct shape *b)
{
    const struct route_entry *first = a->entries.items[0];
    const struct route_entry *second = b->entries.items[0];
    if (a == b)
        return a->has_regex; // exact values of the same names are either all the same or exclude each other
    return !(only_model(first) && second->names_backend) && !(only_model(second) && first->names_backend);
}

static void compare_shapes(struct analysis *analysis, const struct shapes *shapes)
{
    for (size_t i = 0; i < shapes->count; i++)
        for (size_t j = 0; j < shapes->count; j++) {
            if (!shapes_can_meet(shapes->items[i], shapes->items[j]))
                continue;
            const struct entry_list *list = &shapes->items[i]->entries;
            for (size_t k = 0; k < list->count; k++) {
                const struct route_entry *winner = find_tie(analysis, list->items[k], &shapes->items[j]->entries);
                if (winner)
                    tell_tie(analysis, list->items[k], winner);
            }
        }
}

// The names of the conditions, the path and the method as one text.
static struct slice shape_key(struct arena *arena, const struct route_entry *entry)
{
    struct slice *names;
    struct key_parts parts = own_parts(arena, entry);
    parts.cond_count = cond_texts(arena, entry, false, &names);
    parts.conds = names;
    return make_key(arena, &parts);
}

static bool add_to_shape(struct analysis *analysis, struct map *by_key, struct shapes *shapes,
                         const struct route_entry *entry)
{
    struct slice key = shape_key(&analysis->scratch, entry);
    struct shape *shape = map_get(by_key, key);
    if (!shape) {
        shape = ARENA_NEW(&analysis->scratch, struct shape);
        if (!shape || !map_put(by_key, key, shape))
            return false;
        if (!ARENA_GROW(&analysis->scratch, shapes)) // NOLINT(bugprone-sizeof-expression): of pointers
            return false;
        shapes->items[shapes->count++] = shape;
    }
    if (!ARENA_GROW(&analysis->scratch, &shape->entries)) // NOLINT(bugprone-sizeof-expression): of pointers
        return false;
    shape->entries.items[shape->entries.count++] = entry;
    shape->has_regex |= entry->exact_count < entry->header_count;
    for (size_t i = 0; i < entry->query_count; i++)
        shape->has_regex |= entry->query[i].regex != NULL;
    return true;
}

// A run of entries that only age, name or rule order tells apart.
static void check_run(struct analysis *analysis, const struct route_entry *run, size_t count)
{
    struct map by_key;
    struct shapes shapes = {NULL, 0, 0};
    map_init(&by_key, &analysis->scratch, analysis->table->seed);
    for (size_t i = 0; i < count; i++)
        if (!add_to_shape(analysis, &by_key, &shapes, &run[i]))
            return;
    compare_shapes(analysis, &shapes);
}

static void check_ties(struct analysis *analysis)
{
    const struct route_table *table = analysis->table;
    for (size_t from = 0, to; from < table->count; from = to) {
        for (to = from + 1; to < table->count && is_tie(&table->entries[from], &table->entries[to]); to++)
            ;
        if (to - from > 1)
            check_run(analysis, &table->entries[from], to - from);
    }
}

static void tell_rest(struct analysis *analysis)
{
    struct mark mark = analysis->table->listener->mark;
    if (analysis->ties > TIES_TOLD_MAX)
        finding_note(analysis->findings, mark, "%zu further ties between matches of different routes are not listed",
                     analysis->ties - TIES_TOLD_MAX);
    if (analysis->pairs >= TIE_PAIRS_MAX)
        finding_note(analysis->findings, mark,
                     "the search for ties between routes ended after %u comparisons; there may be more", TIE_PAIRS_MAX);
}

void overlap_check(const struct route_table *table, struct findings *findings)
{
    struct analysis analysis = {.table = table, .findings = findings};
    arena_init(&analysis.scratch, (size_t)256 << 10, SIZE_MAX);
    map_init(&analysis.by_key, &analysis.scratch, table->seed);
    for (size_t i = 0; i < table->count; i++)
        check_shadow(&analysis, &table->entries[i]);
    check_ties(&analysis);
    tell_rest(&analysis);
    arena_fini(&analysis.scratch);
}
