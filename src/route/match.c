// Whether an entry applies to a request, and the search for the best one that does.
#include "config/hostname.h"
#include "route/table.h"

// ---- conditions -----------------------------------------------------------------------------------------------

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = ascii_lower(c);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

// Percent-decoded; a '%' without two hex digits stands for itself. Borrowed when nothing is encoded.
static struct slice decode_percent(struct slice text, struct arena *scratch)
{
    if (slice_find(text, '%') == SLICE_NOT_FOUND)
        return text;
    char *out = arena_alloc(scratch, text.len);
    size_t len = 0;
    if (!out)
        return (struct slice){NULL, 0};
    for (size_t i = 0; i < text.len; i++) {
        int high = i + 2 < text.len && text.ptr[i] == '%' ? hex_digit(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
        out[len++] = low >= 0 ? (char)(high * 16 + low) : text.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    return slice_make(out, len);
}

// Value of the first parameter of that name (Gateway API: exact, on decoded names and values); NULL pointer: none.
static struct slice query_value(struct slice target, struct slice name, struct arena *scratch)
{
    struct slice rest = http_query(target);
    while (rest.ptr) {
        struct slice pair = slice_split(&rest, '&');
        struct slice value = pair;
        struct slice key = slice_split(&value, '=');
        if (slice_eq(decode_percent(key, scratch), name))
            return value.ptr ? decode_percent(value, scratch) : SLICE("");
    }
    return (struct slice){NULL, 0};
}

static struct slice none_if_empty(struct slice s)
{
    return s.len ? s : (struct slice){NULL, 0};
}

static struct slice cond_actual(const struct route_cond *cond, const struct route_request *request,
                                struct arena *scratch)
{
    switch (cond->source) {
    case COND_MODEL:
        return none_if_empty(request->model);
    case COND_BACKEND:
        return none_if_empty(request->backend);
    case COND_HOST:
        return none_if_empty(request->host);
    case COND_QUERY:
        return query_value(request->target, cond->name, scratch);
    case COND_HEADER:
        break;
    }
    return fields_joined(request->fields, cond->name, scratch);
}

bool cond_holds(const struct route_cond *cond, const struct route_request *request, struct arena *scratch,
                struct slice *ret_actual)
{
    struct slice actual = cond_actual(cond, request, scratch);
    *ret_actual = actual;
    if (!actual.ptr)
        return false;
    return cond->regex ? regex_matches(cond->regex, actual, scratch) : slice_eq(actual, cond->value);
}

static struct verdict check_conds(enum miss miss, const struct route_cond *conds, size_t count,
                                  const struct route_request *request, struct arena *scratch)
{
    struct verdict verdict = {.miss = MISS_NONE};
    for (size_t i = 0; i < count; i++)
        if (!cond_holds(&conds[i], request, scratch, &verdict.actual)) {
            verdict.miss = miss;
            verdict.cond = &conds[i];
            return verdict;
        }
    return verdict;
}

// ---- entries --------------------------------------------------------------------------------------------------

// Prefixes match by whole elements: "/foo" stands for /foo and /foo/bar, not for /foobar (Gateway API, PathPrefix).
static bool has_prefix(struct slice path, struct slice prefix)
{
    if (!slice_starts_with(path, prefix))
        return false;
    struct slice rest = slice_from(path, prefix.len);
    return rest.len > 0 ? rest.ptr[0] == '/' : prefix.len > 0;
}

static bool path_matches(const struct route_entry *entry, struct slice path, struct arena *scratch)
{
    switch (entry->path_type) {
    case MATCH_EXACT:
        return slice_eq(path, entry->path);
    case MATCH_PREFIX:
        return has_prefix(path, entry->path);
    case MATCH_REGEX:
        return entry->path_regex && regex_matches(entry->path_regex, path, scratch);
    }
    return false;
}

// S3: to a request that names a backend, a match by model name alone is not eligible.
static bool is_eligible(const struct route_entry *entry, const struct route_request *request)
{
    return request->backend.len == 0 || entry->names_backend || !entry->names_model;
}

// All but the host.
static struct verdict check_entry(const struct route_entry *entry, const struct route_request *request,
                                  struct arena *scratch)
{
    struct slice path = http_path(request->target);
    if (request->is_plain && entry->kind == ROUTE_AI)
        return (struct verdict){.miss = MISS_KIND, .actual = path};
    if (!is_eligible(entry, request))
        return (struct verdict){.miss = MISS_PIN, .actual = request->backend};
    if (!path_matches(entry, path, scratch))
        return (struct verdict){.miss = MISS_PATH, .actual = path};
    if (entry->method.len > 0 && !slice_eq(entry->method, request->method))
        return (struct verdict){.miss = MISS_METHOD, .actual = request->method};
    struct verdict verdict = check_conds(MISS_HEADER, entry->headers, entry->header_count, request, scratch);
    return verdict.miss ? verdict : check_conds(MISS_QUERY, entry->query, entry->query_count, request, scratch);
}

bool entry_serves_host(const struct route_table *table, const struct route_entry *entry, struct slice host)
{
    return hostname_matches(entry->hostname.len ? entry->hostname : table->listener->hostname, host);
}

struct verdict entry_check(const struct route_table *table, const struct route_entry *entry,
                           const struct route_request *request, struct arena *scratch)
{
    if (!entry_serves_host(table, entry, request->host))
        return (struct verdict){.miss = MISS_HOST, .actual = request->host};
    return check_entry(entry, request, scratch);
}

// ---- hosts ----------------------------------------------------------------------------------------------------

#define WALK_DONE SIZE_MAX

void bucket_walk_init(struct bucket_walk *walk, const struct route_table *table, struct slice host)
{
    walk->at = hostname_matches(table->listener->hostname, host) ? 0 : WALK_DONE;
    walk->host_len = host.len <= sizeof walk->host ? host.len : 0;
    for (size_t i = 0; i < walk->host_len; i++)
        walk->host[i] = ascii_lower(host.ptr[i]);
}

// The next wildcard that fits, longest first; at the first one, the search starts behind the first byte.
static const struct route_bucket *next_wildcard(struct bucket_walk *walk, const struct route_table *table)
{
    while (walk->at < walk->host_len) {
        struct slice rest = slice_make(walk->host + walk->at, walk->host_len - walk->at);
        size_t dot = slice_find(rest, '.');
        if (dot == SLICE_NOT_FOUND)
            break;
        struct slice suffix = slice_from(rest, dot);
        walk->at += dot + 1;
        if (suffix.len > table->wildcard_max)
            continue;
        const struct route_bucket *bucket = map_get(&table->wildcards, suffix);
        if (bucket)
            return bucket;
    }
    return NULL;
}

const struct route_bucket *bucket_walk_next(struct bucket_walk *walk, const struct route_table *table)
{
    const struct route_bucket *bucket = NULL;
    if (walk->at == WALK_DONE)
        return NULL;
    if (walk->at == 0) {
        walk->at = 1;
        bucket = map_get(&table->exact, slice_make(walk->host, walk->host_len));
    }
    if (!bucket && table->wildcard_max > 0)
        bucket = next_wildcard(walk, table);
    if (!bucket) {
        walk->at = WALK_DONE;
        bucket = table->any;
    }
    return bucket;
}

// ---- the search -----------------------------------------------------------------------------------------------

// The first entry of the list that applies and stands before `best`.
static const struct route_entry *first_of(const struct entry_list *list, const struct route_entry *best,
                                          const struct route_request *request, struct arena *scratch)
{
    for (size_t i = 0; list && i < list->count; i++) {
        if (best && best->rank < list->items[i]->rank)
            break;
        if (check_entry(list->items[i], request, scratch).miss == MISS_NONE)
            return list->items[i];
    }
    return best;
}

// Looks under the path and under each of its beginnings that a prefix may be, which are no more than a configured one is
// long: a request's slashes alone make no work.
static const struct route_entry *best_by_path(const struct route_bucket *bucket, const struct route_entry *best,
                                              const struct route_request *request, struct arena *scratch)
{
    struct slice path = http_path(request->target);
    if (bucket->by_path.count > 0)
        best = first_of(map_get(&bucket->by_path, path), best, request, scratch);
    size_t longest = path.len < bucket->prefix_max ? path.len : bucket->prefix_max;
    for (size_t len = 1; len <= longest; len++)
        if (len == path.len || path.ptr[len] == '/')
            best = first_of(map_get(&bucket->by_prefix, slice_sub(path, 0, len)), best, request, scratch);
    return best;
}

static const struct route_entry *best_in_bucket(const struct route_bucket *bucket, const struct route_request *request,
                                                struct arena *scratch)
{
    const struct entry_list *indexed = request->backend.len ? map_get(&bucket->by_backend, request->backend)
                                       : request->model.len ? map_get(&bucket->by_model, request->model)
                                                            : NULL;
    const struct route_entry *best = first_of(indexed, NULL, request, scratch);
    best = best_by_path(bucket, best, request, scratch);
    return first_of(&bucket->others, best, request, scratch);
}

bool route_match(const struct route_table *table, const struct route_request *request, struct arena *scratch,
                 struct route_hit *ret_hit)
{
    struct bucket_walk walk __attribute__((uninitialized));
    bucket_walk_init(&walk, table, request->host);
    const struct route_entry *best = NULL;
    const struct route_bucket *bucket;
    while (!best && (bucket = bucket_walk_next(&walk, table)))
        best = best_in_bucket(bucket, request, scratch);
    if (!best)
        return false;
    *ret_hit = (struct route_hit){
        .route = best->route, .rule = best->rule, .match_index = best->match_index, .name = best->name};
    return true;
}
