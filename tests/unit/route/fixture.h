// Route tables from short texts, for the tests of this room: a match is written as
//   "GET prefix:/v1 h:x-org=a h:x-org~regex q:page=1"   (exact:/p, regex:/p.*; every part may be left out)
#ifndef WEIR_TEST_ROUTE_FIXTURE_H
#define WEIR_TEST_ROUTE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "route/route.h"

#include <stdio.h>

#define FIXTURE_ROUTES 16
#define FIXTURE_MATCHES 8

struct fixture {
    struct arena arena;
    struct findings findings;
    struct config_listener listener;
    struct config_route *routes[FIXTURE_ROUTES];
    struct route_table *table;
};

static inline void fixture_init(struct fixture *fixture, const char *hostname)
{
    *fixture = (struct fixture){.listener = {.hostname = slice_from_cstr(hostname)}};
    arena_init(&fixture->arena, 16384, SIZE_MAX);
    findings_init(&fixture->findings, &fixture->arena);
    fixture->listener.routes = fixture->routes;
}

static inline void fixture_fini(struct fixture *fixture)
{
    route_table_free(fixture->table);
    arena_fini(&fixture->arena);
}

// `created` 0: none. `hosts` separated by blanks.
static inline struct config_route *add_route(struct fixture *fixture, const char *name, int64_t created,
                                             const char *hosts)
{
    assert_true(fixture->listener.route_count < FIXTURE_ROUTES);
    struct config_route *route = ARENA_NEW(&fixture->arena, struct config_route);
    route->kind = ROUTE_AI;
    route->namespace_ = SLICE("ns");
    route->name = slice_from_cstr(name);
    route->has_created = created != 0;
    route->created_s = created;
    route->order = fixture->listener.route_count;
    route->hostnames = ARENA_ARRAY(&fixture->arena, struct config_text, 8);
    route->rules = ARENA_ARRAY(&fixture->arena, struct config_rule, 8);
    for (struct slice rest = slice_from_cstr(hosts); rest.ptr && rest.len;)
        route->hostnames[route->hostname_count++].text = slice_split(&rest, ' ');
    fixture->routes[fixture->listener.route_count++] = route;
    return route;
}

static inline void parse_cond(struct config_name_match *cond, struct slice part)
{
    size_t exact = slice_find(part, '=');
    size_t regex = slice_find(part, '~');
    size_t at = exact < regex ? exact : regex;
    assert_true(at != SLICE_NOT_FOUND);
    cond->type = regex < exact ? MATCH_REGEX : MATCH_EXACT;
    cond->name.text = slice_sub(part, 0, at);
    cond->value.text = slice_from(part, at + 1);
}

static inline void parse_part(struct config_match *match, struct slice part)
{
    struct slice value = part;
    struct slice key = slice_split(&value, ':');
    if (!value.ptr) {
        match->method = part;
    } else if (slice_eq(key, SLICE("h"))) {
        parse_cond(&match->headers[match->header_count++], value);
    } else if (slice_eq(key, SLICE("q"))) {
        parse_cond(&match->query[match->query_count++], value);
    } else {
        match->path_type = slice_eq(key, SLICE("exact"))    ? MATCH_EXACT
                           : slice_eq(key, SLICE("prefix")) ? MATCH_PREFIX
                                                            : MATCH_REGEX;
        match->path.text = value;
    }
}

static inline void add_match(struct fixture *fixture, struct config_rule *rule, const char *text)
{
    struct config_match *match = &rule->matches[rule->match_count++];
    *match = (struct config_match){.path_type = MATCH_PREFIX, .path.text = SLICE_INIT("/")};
    match->headers = ARENA_ARRAY(&fixture->arena, struct config_name_match, 8);
    match->query = ARENA_ARRAY(&fixture->arena, struct config_name_match, 8);
    for (struct slice rest = slice_from_cstr(text); rest.ptr && rest.len;)
        parse_part(match, slice_split(&rest, ' '));
}

// A rule with one match; more with add_match on the result.
static inline struct config_rule *add_rule(struct fixture *fixture, struct config_route *route, const char *text)
{
    struct config_rule *rule = &route->rules[route->rule_count];
    rule->index = route->rule_count++;
    rule->mark = (struct mark){SLICE("routes.yaml"), (uint32_t)(route->order * 100 + rule->index + 1), 1};
    rule->matches = ARENA_ARRAY(&fixture->arena, struct config_match, FIXTURE_MATCHES);
    add_match(fixture, rule, text);
    return rule;
}

static inline void compile(struct fixture *fixture)
{
    route_table_free(fixture->table);
    fixture->table = route_table_new(&fixture->arena, &fixture->listener, 42, &fixture->findings);
}

// A request as "host GET /path?query model backend h:name=value ...": "-" for none.
static inline struct route_request parse_request(struct fixture *fixture, const char *text, struct fields *fields)
{
    struct slice rest = slice_from_cstr(text);
    struct slice parts[5];
    for (size_t i = 0; i < 5; i++) {
        parts[i] = slice_split(&rest, ' ');
        if (slice_eq(parts[i], SLICE("-")))
            parts[i] = SLICE("");
    }
    *fields = (struct fields){NULL, 0, 0};
    while (rest.ptr && rest.len) {
        struct slice value = slice_from(slice_split(&rest, ' '), 2);
        struct slice name = slice_split(&value, '=');
        assert_true(fields_add(fields, &fixture->arena, name, value));
    }
    return (struct route_request){.host = parts[0],
                                  .method = parts[1],
                                  .target = parts[2],
                                  .model = parts[3],
                                  .backend = parts[4],
                                  .fields = fields};
}

// The winner as "route/rule/match", or "none"; route_explain has to tell of the same one.
static inline const char *winner(struct fixture *fixture, const char *text)
{
    struct fields fields;
    struct route_request request = parse_request(fixture, text, &fields);
    struct route_hit hit = {.match_index = 0};
    bool is_hit = route_match(fixture->table, &request, &fixture->arena, &hit);
    struct route_trace_line *lines;
    size_t count = route_explain(fixture->table, &request, &fixture->arena, &lines);
    const struct route_trace_line *told = NULL;
    for (size_t i = 0; i < count; i++)
        if (lines[i].is_winner) {
            assert_null(told);
            told = &lines[i];
        }
    assert_int_equal(is_hit, told != NULL);
    if (!is_hit)
        return "none";
    assert_ptr_equal(told->rule, hit.rule);
    assert_int_equal(told->match_index, hit.match_index);
    return arena_printf(&fixture->arena, SLICE_FMT "/%zu/%zu", SLICE_ARG(hit.route->name), hit.rule->index,
                        hit.match_index)
        .ptr;
}

static inline size_t count_findings(const struct fixture *fixture, enum finding_level level, const char *part)
{
    size_t count = 0;
    for (size_t i = 0; i < fixture->findings.count; i++)
        count += fixture->findings.items[i].level == level &&
                 slice_find_slice(fixture->findings.items[i].text, slice_from_cstr(part)) != SLICE_NOT_FOUND;
    return count;
}

#endif
