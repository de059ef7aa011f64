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

// A field value as it may be shown: secrets, and parts that are a backend's key, become ***.
struct slice explain_masked(const struct explanation *explanation, const struct config_backend *backend,
                            const struct field *field);
// What a log or the usage of the answer needs, in words; "" when nothing.
bool explain_asks_usage(const struct explanation *explanation, const struct memory_attempt *attempt);
// "connect failure, reset, status 429 500 ..." of a rule's retries, and how many.
struct slice explain_retry_words(const struct config_rule *rule, struct arena *arena);
struct slice explain_endpoint_words(const struct config_backend *backend, struct arena *arena);

#endif
