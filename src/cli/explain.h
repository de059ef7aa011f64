// What `weir explain` found out about one request; printed for people (explain_text.c) or machines (explain_json.c).
#ifndef WEIR_CLI_EXPLAIN_H
#define WEIR_CLI_EXPLAIN_H

#include "cli/load.h"
#include "host/memory/memory.h"
#include "route/route.h"

struct explanation {
    struct arena *arena;
    struct snapshot *snapshot;
    const struct config_listener *listener;
    struct memory_request request;
    struct route_request routed; // the request as the router saw it
    struct route_trace_line *trace;
    size_t trace_count;
    // What comes of the request when every backend fails: shows the order of attempts and what each would get.
    struct memory_result failing;
    // The same when the first backend answers.
    struct memory_result serving;
};

void explain_print_text(FILE *out, const struct explanation *explanation, bool has_colour);
void explain_print_json(FILE *out, const struct explanation *about);

// A field value as it may be shown: credentials, what the environment says, and the backend's key become ***. `ref` is
// NULL for what Weir answers itself.
struct slice explain_masked(const struct config_backend_ref *ref, const struct field *field);
// The body of an attempt, likewise.
struct slice explain_body(const struct memory_attempt *attempt, struct arena *arena);
// The Host that an attempt sends: for a backend without a name, its addresses, each of which would stand for itself.
struct slice explain_host(const struct memory_attempt *attempt, struct arena *arena);
// What a log or the usage of the answer needs, in words; "" when nothing.
bool explain_asks_usage(const struct explanation *explanation, const struct memory_attempt *attempt);
// "connect failure, reset, status 429 500 ..." of a rule's retries, and how many.
struct slice explain_retry_words(const struct config_rule *rule, struct arena *arena);
struct slice explain_endpoint_words(const struct config_backend *backend, struct arena *arena);

#endif
