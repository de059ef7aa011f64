// Cost expressions: llmRequestCosts of all types, CEL included (operations-and-mcp.md 5.1), compiled and type-checked at
// load. No recursion on input, bounded steps.
#ifndef WEIR_USAGE_COST_H
#define WEIR_USAGE_COST_H

#include "base/finding.h"
#include "config/model.h"
#include "usage/usage.h"

struct cost_program;

// What an expression may read.
struct cost_input {
    struct slice model;
    struct slice backend;
    struct slice route_name;
    struct usage usage;
};

// Compiles one cost. A wrong expression (syntax, types, unknown names, result not int or uint, failing on all-zero
// usage) is an error finding with the column inside the expression. NULL then.
const struct cost_program *cost_compile(struct arena *arena, const struct config_cost *cost, struct findings *findings);
// False when the expression fails at run time (overflow, division by zero, negative result); *ret_why says it then.
bool cost_eval(const struct cost_program *program, const struct cost_input *input, uint64_t *ret_value,
               struct slice *ret_why);

// The same engine serves boolean CEL over the request in access-log matches: `request.headers['x'] != ''` and so on.
struct cel_request {
    const void *context;
    // Value of a request header by lower-case name; false when absent. Called during evaluation only.
    bool (*header)(const void *context, struct slice name, struct slice *ret_value);
    struct slice method;
    struct slice path;
    struct slice host;
    struct slice protocol;
    uint16_t response_code;
};
struct cel_predicate;
const struct cel_predicate *cel_predicate_compile(struct arena *arena, const struct config_text *text,
                                                  struct findings *findings);
// An expression that fails at run time is false (as Envoy's).
bool cel_predicate_eval(const struct cel_predicate *predicate, const struct cel_request *request);

#endif
