// All rules of all routes of one listener as one table, ordered by global specificity (S4), with pins (S3).
#ifndef WEIR_ROUTE_ROUTE_H
#define WEIR_ROUTE_ROUTE_H

#include "base/finding.h"
#include "config/model.h"
#include "http/head.h"

struct route_table;

// Compiles the routes of a listener (regular expressions by PCRE2 with JIT and match limits, whole-value matches).
// Findings: bad expressions (errors), shadowed rules and ties told apart only by age or name (warnings that say which
// wins). The config must outlive the table. NULL on error. route_table_free releases what does not live in the arena.
struct route_table *route_table_new(struct arena *arena, const struct config_listener *listener, uint64_t seed,
                                    struct findings *findings);
void route_table_free(struct route_table *table);

// A request as the router sees it: after lifting. `fields` has x-ai-eg-model / x-ai-eg-backend as lifted.
struct route_request {
    struct slice method;
    struct slice target;
    struct slice host; // without port; compared in lower case
    const struct fields *fields;
    struct slice model;   // empty: none
    struct slice backend; // the pin (S3); empty: none
    bool is_plain;        // the path is no model endpoint: only plain HTTPRoutes apply
};

struct route_hit {
    const struct config_route *route;
    const struct config_rule *rule;
    size_t match_index;
    struct slice name; // "httproute/ns/name/rule/i/match/j/host", dots of the host as underscores, "*" for all hosts
};

// False: no rule applies. `scratch` serves joined header values. The cost does not depend on the number of rules whose
// match has an exact x-ai-eg-model or x-ai-eg-backend, or another exact path or prefix than the request has.
bool route_match(const struct route_table *table, const struct route_request *request, struct arena *scratch,
                 struct route_hit *ret_hit);

// For `weir explain`: each candidate in the order of the table with why it lost.
struct route_trace_line {
    const struct config_route *route;
    const struct config_rule *rule;
    size_t match_index;
    struct slice hostname;
    bool is_match; // applies to the request
    bool is_winner;
    struct slice why; // the losing reason, or what the match was by
};
size_t route_explain(const struct route_table *table, const struct route_request *request, struct arena *arena,
                     struct route_trace_line **ret_lines);

// Models for GET /v1/models on a host (config-model.md 3.6): exact x-ai-eg-model matches, without duplicates, in a
// stable order.
struct route_model {
    struct slice id;
    struct slice owned_by;
    int64_t created_s;
};
size_t route_models(const struct route_table *table, struct slice host, const struct fields *fields,
                    struct arena *arena, struct route_model **ret_models);
// Whether any AI route serves this host: then model endpoints are known there (S9: 404 model_not_found rather than path).
bool route_serves_models(const struct route_table *table, struct slice host);

#endif
