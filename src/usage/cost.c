// Cost expressions (operations-and-mcp.md 5.1; eaig llmcostcel): the plain types are a token count, CEL is compiled,
// type-checked and tried once while the configuration is loaded.
#include "usage/cost.h"

#include "usage/cel.h"

struct cost_program { // in the snapshot's arena
    enum config_cost_type type;
    const struct cel_node *node; // of COST_CEL
};

enum cost_variable { COST_MODEL, COST_BACKEND, COST_ROUTE_NAME, COST_FIRST_COUNT };

static const struct cel_variable cost_variables[] = {
    [COST_MODEL] = {SLICE_INIT("model"), CEL_STRING},
    [COST_BACKEND] = {SLICE_INIT("backend"), CEL_STRING},
    [COST_ROUTE_NAME] = {SLICE_INIT("route_name"), CEL_STRING},
    [COST_FIRST_COUNT + USAGE_INPUT] = {SLICE_INIT("input_tokens"), CEL_UINT},
    [COST_FIRST_COUNT + USAGE_CACHED_INPUT] = {SLICE_INIT("cached_input_tokens"), CEL_UINT},
    [COST_FIRST_COUNT + USAGE_CACHE_CREATION_INPUT] = {SLICE_INIT("cache_creation_input_tokens"), CEL_UINT},
    [COST_FIRST_COUNT + USAGE_OUTPUT] = {SLICE_INIT("output_tokens"), CEL_UINT},
    [COST_FIRST_COUNT + USAGE_TOTAL] = {SLICE_INIT("total_tokens"), CEL_UINT},
    [COST_FIRST_COUNT + USAGE_REASONING] = {SLICE_INIT("reasoning_tokens"), CEL_UINT},
};

static const struct cel_env cost_env = {cost_variables, sizeof cost_variables / sizeof *cost_variables};

static void read_variable(const void *context, size_t variable, struct cel_value *ret_value)
{
    const struct cost_input *input = context;
    struct slice texts[] = {input->model, input->backend, input->route_name};
    if (variable < COST_FIRST_COUNT)
        *ret_value = (struct cel_value){.type = CEL_STRING, .text = texts[variable]};
    else
        *ret_value = (struct cel_value){.type = CEL_UINT, .natural = input->usage.tokens[variable - COST_FIRST_COUNT]};
}

static bool eval_cel(const struct cel_node *node, const struct cost_input *input, uint64_t *ret_value,
                     struct slice *ret_why)
{
    struct cel_run run;
    struct cel_value value;
    cel_run_init(&run, input);
    run.read = read_variable;
    if (!cel_eval(&run, node, &value)) {
        *ret_why = run.why;
        return false;
    }
    if (value.type == CEL_INT && value.number < 0) {
        *ret_why = SLICE("the result is negative");
        return false;
    }
    *ret_value = value.natural;
    return true;
}

static bool is_cost_type(struct cel_compile *compile, const struct cel_node *node)
{
    if (node->type == CEL_INT || node->type == CEL_UINT)
        return true;
    cel_fault(compile, 0, "a cost must be an int or a uint, but this is a " SLICE_FMT "%s",
              SLICE_ARG(cel_type_name(node->type)), node->type == CEL_DOUBLE ? "; write uint(...) around it" : "");
    return false;
}

// With no tokens at all, as eaig tries it: what fails then is refused while it can still be mended.
static bool is_good_at_zero(struct cel_compile *compile, const struct cel_node *node)
{
    struct cost_input zero = {.model = SLICE("dummy"), .backend = SLICE("dummy"), .route_name = SLICE("dummy")};
    uint64_t value;
    struct slice why;
    if (eval_cel(node, &zero, &value, &why))
        return true;
    cel_fault(compile, 0, "the expression fails when all token counts are 0: " SLICE_FMT, SLICE_ARG(why));
    return false;
}

static const struct cel_node *compile_cel(struct arena *arena, const struct config_text *text,
                                          struct findings *findings)
{
    struct cel_compile compile = {.arena = arena, .findings = findings, .env = &cost_env, .source = text};
    const struct cel_node *node = cel_compile(arena, &cost_env, text, findings);
    return node && is_cost_type(&compile, node) && is_good_at_zero(&compile, node) ? node : NULL;
}

const struct cost_program *cost_compile(struct arena *arena, const struct config_cost *cost, struct findings *findings)
{
    struct cost_program *program = ARENA_NEW(arena, struct cost_program);
    if (!program) {
        finding_error(findings, cost->cel.mark, "out of memory");
        return NULL;
    }
    program->type = cost->type;
    if (cost->type == COST_CEL)
        program->node = compile_cel(arena, &cost->cel, findings);
    return cost->type != COST_CEL || program->node ? program : NULL;
}

static enum usage_kind kind_of(enum config_cost_type type)
{
    switch (type) {
    case COST_CACHED_INPUT:
        return USAGE_CACHED_INPUT;
    case COST_CACHE_CREATION_INPUT:
        return USAGE_CACHE_CREATION_INPUT;
    case COST_OUTPUT:
        return USAGE_OUTPUT;
    case COST_TOTAL:
        return USAGE_TOTAL;
    case COST_REASONING:
        return USAGE_REASONING;
    case COST_INPUT:
    case COST_CEL:
        break;
    }
    return USAGE_INPUT;
}

bool cost_eval(const struct cost_program *program, const struct cost_input *input, uint64_t *ret_value,
               struct slice *ret_why)
{
    if (program->type == COST_CEL)
        return eval_cel(program->node, input, ret_value, ret_why);
    *ret_value = input->usage.tokens[kind_of(program->type)]; // 0 when it was not told
    return true;
}
