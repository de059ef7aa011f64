// CEL: whatever is compiled evaluates within its bounds, and what is refused gives exactly one finding. The first byte
// chooses between a cost and a condition.
#include "usage/cost.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static bool header(const void *context, struct slice name, struct slice *ret_value)
{
    (void)context;
    *ret_value = SLICE("value");
    return name.len % 2;
}

static void run_condition(struct arena *arena, const struct config_text *text, struct findings *findings)
{
    const struct cel_predicate *predicate = cel_predicate_compile(arena, text, findings);
    struct cel_request request = {.header = header,
                                  .method = SLICE("POST"),
                                  .path = SLICE("/v1/x?y"),
                                  .host = SLICE("h"),
                                  .protocol = SLICE("HTTP/1.1"),
                                  .response_code = 200};
    REQUIRE((predicate != NULL) == (findings->count == 0));
    if (predicate)
        (void)cel_predicate_eval(predicate, &request);
}

static void run_cost(struct arena *arena, const struct config_text *text, struct findings *findings)
{
    struct config_cost cost = {.type = COST_CEL, .cel = *text};
    const struct cost_program *program = cost_compile(arena, &cost, findings);
    struct cost_input input = {.model = SLICE("gpt-4o"), .backend = SLICE("b\xC3\xA9"), .route_name = SLICE("")};
    uint64_t value;
    struct slice why = {NULL, 0};
    REQUIRE((program != NULL) == (findings->count == 0));
    for (unsigned kind = 0; kind < USAGE_KIND_COUNT; kind++)
        usage_set(&input.usage, kind, (uint64_t)INT64_MAX - 2 + kind);
    if (program)
        REQUIRE(cost_eval(program, &input, &value, &why) || why.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct findings findings;
    if (size < 1)
        return 0;
    struct config_text text = {.text = {(const char *)data + 1, size - 1}, .mark = {SLICE("f"), 1, 1}};
    arena_init(&arena, 65536, 16 << 20);
    findings_init(&findings, &arena);
    if (data[0] & 1)
        run_cost(&arena, &text, &findings);
    else
        run_condition(&arena, &text, &findings);
    REQUIRE(findings.count <= 1);
    arena_fini(&arena);
    return 0;
}
