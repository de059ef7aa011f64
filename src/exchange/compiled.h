// What a snapshot holds: every rule of the configuration compiled, found from the configuration's own pointers by index.
// Private to the room. Lives as long as the snapshot.
#ifndef WEIR_EXCHANGE_COMPILED_H
#define WEIR_EXCHANGE_COMPILED_H

#include <stdatomic.h>

#include "exchange/snapshot.h"
#include "json/json.h"
#include "mutate/mutate.h"
#include "observe/accesslog.h"
#include "route/route.h"
#include "usage/cost.h"

// Places in the set of member names that one scan of a body looks for; roots of body mutations follow.
enum body_name { NAME_MODEL, NAME_BACKEND, NAME_STREAM, NAME_STREAM_OPTIONS, NAME_STREAM_FORMAT, NAME_FIRST_ROOT };

struct compiled_ref {
    struct header_mutation headers;
    struct body_mutation body;
    size_t *roots;           // for each change of `body`: the place of its first name in the snapshot's names
    struct slice model;      // what the mutations make of the model; empty: as the client named it
    struct slice short_name; // "ns/backend"
};

struct compiled_rule {
    struct compiled_ref *refs;       // as config_rule.refs
    struct slice cluster;            // "httproute/ns/name/rule/i"
    struct header_mutation request;  // RequestHeaderModifier
    struct header_mutation response; // ResponseHeaderModifier
    uint32_t usable_refs;            // with a weight and a backend
    bool edits_body;                 // some ref has a body mutation
};

struct compiled_route {
    struct compiled_rule *rules;
    const struct cost_program **costs; // as config_route.costs
    uint32_t cost_kinds;               // of account_cost_kinds
    struct slice name;                 // "ns/name"
};

struct compiled_log {
    const struct accesslog *log;
    struct slice path;
};

struct compiled_listener {
    const struct config_listener *config;
    struct route_table *table;
    struct compiled_log *logs;
    size_t log_count;
    bool logs_usage; // some log shows tokens or the response's model
    bool logs_tokens;
    bool has_ai; // some AI route is attached
};

struct snapshot {
    atomic_size_t references;
    struct arena arena;
    struct config *config; // owned
    uint64_t generation;
    struct compiled_listener *listeners;
    struct compiled_route *routes; // as config.routes
    const struct json_names *names;
    size_t name_count;
    const struct json_names *usage_names; // of the events that usage is read off
    // Header names, other than x-aigw-*, that some policy takes a credential from: never forwarded to anybody.
    struct slice *override_names;
    size_t override_count;
};

// The compiled rule of a configuration's rule.
static inline const struct compiled_route *compiled_route(const struct snapshot *snapshot,
                                                          const struct config_route *route)
{
    return &snapshot->routes[route - snapshot->config->routes];
}

static inline const struct compiled_rule *
compiled_rule(const struct snapshot *snapshot, const struct config_route *route, const struct config_rule *rule)
{
    return &compiled_route(snapshot, route)->rules[rule - route->rules];
}

// The kinds of tokens, bit 1 << kind, whose own metadata key is that of a cost of the route.
uint32_t account_cost_kinds(const struct config_route *route);

// Compiles the routes of the configuration into snapshot->routes, and the names that bodies are scanned for. False on an
// error finding or without memory.
bool snapshot_compile_routes(struct snapshot *snapshot, struct findings *findings);
// Compiles tables and logs into snapshot->listeners.
bool snapshot_compile_listeners(struct snapshot *snapshot, uint64_t seed, struct findings *findings);

#endif
