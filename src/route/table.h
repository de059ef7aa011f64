// Inside of the route room: what the table is made of. All of it lives in the arena that route_table_new was given, but
// for what PCRE2 holds.
#ifndef WEIR_ROUTE_TABLE_H
#define WEIR_ROUTE_TABLE_H

#include "base/map.h"
#include "route/regex.h"
#include "route/route.h"

// Where the value of a condition comes from. The two lifted values never come from the field list: what a client wrote
// there counts for nothing (S2).
enum cond_source { COND_HEADER, COND_MODEL, COND_BACKEND, COND_HOST, COND_QUERY };

struct route_cond {
    enum cond_source source;
    struct slice name;
    struct slice value;
    const struct regex *regex; // NULL: exact
    bool is_hidden;            // the value is not to be shown
};

// One match of one rule under one hostname. What a lookup reads of it stands here, so that it seldom has to go to the
// configuration, which is spread over much more memory.
struct route_entry {
    size_t rank; // place in the table, 0 wins over all
    const struct config_route *route;
    const struct config_rule *rule;
    size_t match_index;
    const struct config_match *match;
    enum config_route_kind kind;
    struct slice hostname; // intersection of listener and route; empty: the route names none
    enum config_match_type path_type;
    struct slice path;   // of a prefix without the '/' at its end
    struct slice method; // empty: any
    const struct regex *path_regex;
    struct route_cond *headers;
    size_t header_count;
    struct route_cond *query;
    size_t query_count;
    size_t exact_count; // header conditions that are no regular expressions
    bool names_model;   // some condition on x-ai-eg-model
    bool names_backend;
    struct slice model;   // exact value of such a condition; empty: none
    struct slice backend; // likewise
    struct slice name;    // as route_hit
};

struct entry_list {
    const struct route_entry **items; // in the order of the table
    size_t count;
    size_t cap;
};

// The entries of one hostname: they stand side by side in the table, and the lists below give those that can apply.
struct route_bucket {
    struct slice hostname;
    size_t first; // index of the first entry; `count` of them
    size_t count;
    struct map by_backend; // value -> struct entry_list: matches with an exact x-ai-eg-backend
    struct map by_model;   // likewise for x-ai-eg-model, of those without a condition on the backend
    struct map by_path;    // of the others those with an exact path: path -> struct entry_list
    struct map by_prefix;  // likewise with a prefix, but "/"
    size_t prefix_max;     // bytes of the longest of these
    struct entry_list others;
    bool has_ai;
};

struct route_table {
    struct arena *arena;
    const struct config_listener *listener;
    struct route_entry *entries; // best first
    size_t count;
    size_t cap;
    struct map exact;     // hostname -> struct route_bucket
    struct map wildcards; // ".example.com" -> struct route_bucket
    size_t wildcard_max;  // length of the longest key of `wildcards`
    struct route_bucket *any;
    struct map regexes; // pattern -> struct regex
    uint64_t seed;
};

// The steps of S4, in their order. entry_compare says which one decided.
enum order_step {
    ORDER_HOST,
    ORDER_PATH,
    ORDER_METHOD,
    ORDER_HEADERS,
    ORDER_QUERY,
    ORDER_EXACT,
    ORDER_AGE,
    ORDER_DOCUMENT,
    ORDER_NAME,
    ORDER_RULE,
    ORDER_SAME,
};

// <0: `a` stands before `b`.
int entry_compare(const struct route_entry *a, const struct route_entry *b, enum order_step *ret_step);
// Why the winner of that step wins, as in "rule x wins: ...".
struct slice order_step_text(enum order_step step);

// What keeps an entry from applying to a request.
enum miss { MISS_NONE, MISS_HOST, MISS_KIND, MISS_PIN, MISS_PATH, MISS_METHOD, MISS_HEADER, MISS_QUERY };
struct verdict {
    enum miss miss;
    const struct route_cond *cond; // of MISS_HEADER and MISS_QUERY
    struct slice actual;           // what the request has instead; NULL pointer: nothing
};
struct verdict entry_check(const struct route_table *table, const struct route_entry *entry,
                           const struct route_request *request, struct arena *scratch);
bool cond_holds(const struct route_cond *cond, const struct route_request *request, struct arena *scratch,
                struct slice *ret_actual);
// Whether this entry's hostname, or for an entry without one the listener's, stands for the host.
bool entry_serves_host(const struct route_table *table, const struct route_entry *entry, struct slice host);

// The buckets that a host may be served by, most specific first, at most one exact, then wildcards, then the one for all.
// Start with a zeroed walk.
struct bucket_walk {
    size_t at; // 0: the exact one comes next; then offset of the next '.' to try + 1; SIZE_MAX: done
    char host[256];
    size_t host_len; // 0: too long to be a name
};
void bucket_walk_init(struct bucket_walk *walk, const struct route_table *table, struct slice host);
const struct route_bucket *bucket_walk_next(struct bucket_walk *walk, const struct route_table *table);

// Warns of matches that can never win and of ties that only age or name decide.
void overlap_check(const struct route_table *table, struct findings *findings);

#endif
