// Types and names: what cel-go's checker would refuse is refused here, with the place of it.
#include "usage/cel.h"

#include <stdarg.h>
#include <stdio.h>

struct slice cel_type_name(enum cel_type type)
{
    switch (type) {
    case CEL_BOOL:
        return SLICE("bool");
    case CEL_INT:
        return SLICE("int");
    case CEL_UINT:
        return SLICE("uint");
    case CEL_DOUBLE:
        return SLICE("double");
    case CEL_STRING:
        return SLICE("string");
    case CEL_LIST:
        return SLICE("list");
    case CEL_MAP:
        return SLICE("map");
    case CEL_NONE:
        break;
    }
    return SLICE("nothing");
}

// The mark of a byte of the expression: exact when the expression stands on one line; with more lines the place goes
// into the text, as the file may indent or fold them.
static struct mark place_of(const struct cel_compile *compile, size_t at, struct slice *ret_line)
{
    struct mark mark = compile->source->mark;
    struct slice before = slice_sub(compile->source->text, 0, at);
    uint32_t line = 1, column = 1;
    for (size_t i = 0; i < before.len; i++, column++)
        if (before.ptr[i] == '\n') {
            line++;
            column = 0;
        }
    *ret_line = SLICE("");
    if (slice_find(compile->source->text, '\n') != SLICE_NOT_FOUND)
        *ret_line = arena_printf(compile->arena, " (line %u, column %u of the expression)", line, column);
    else if (mark.column)
        mark.column += (uint32_t)before.len;
    return mark;
}

void cel_fault(struct cel_compile *compile, size_t at, const char *format, ...)
{
    char text[512];
    struct slice line;
    va_list args;
    if (compile->has_failed)
        return;
    compile->has_failed = true;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args); // NOLINT(clang-analyzer-valist.Uninitialized): begun right above
    va_end(args);
    struct mark mark = place_of(compile, at, &line);
    finding_error(compile->findings, mark, "CEL: %s" SLICE_FMT, text, SLICE_ARG(line));
}

static bool refuse_types(struct cel_compile *compile, const struct cel_node *node)
{
    struct slice op = cel_op_text(node->op), left = cel_type_name(node->args[0]->type);
    if (node->arg_count == 1) {
        cel_fault(compile, node->at, "'" SLICE_FMT "' does not take " SLICE_FMT, SLICE_ARG(op), SLICE_ARG(left));
        return false;
    }
    struct slice right = cel_type_name(node->args[1]->type);
    bool is_uint = node->args[0]->type == CEL_UINT || node->args[1]->type == CEL_UINT;
    cel_fault(compile, node->at, "'" SLICE_FMT "' does not take " SLICE_FMT " and " SLICE_FMT "%s", SLICE_ARG(op),
              SLICE_ARG(left), SLICE_ARG(right),
              is_uint ? "; write whole numbers as 6u, fractions as uint(double(x) * 0.1)" : "");
    return false;
}

// ---- names ----------------------------------------------------------------------------------------------------

// Whether the node spells the dotted name, which ends with the node's own part.
static bool spells(const struct cel_node *node, struct slice name)
{
    while (node->op == CEL_OP_SELECT) {
        if (name.len <= node->name.len + 1 || !slice_ends_with(name, node->name))
            return false;
        name.len -= node->name.len + 1;
        if (name.ptr[name.len] != '.')
            return false;
        node = node->args[0];
    }
    return node->op == CEL_OP_NAME && slice_eq(node->name, name);
}

static bool resolve_variable(const struct cel_compile *compile, struct cel_node *node)
{
    for (size_t i = 0; i < compile->env->count; i++) {
        if (!spells(node, compile->env->variables[i].name))
            continue;
        node->op = CEL_OP_VARIABLE;
        node->variable = i;
        node->type = compile->env->variables[i].type;
        return true;
    }
    return false;
}

// Whether some known name begins with this one and a dot.
static bool is_name_of_group(const struct cel_compile *compile, struct slice name)
{
    for (size_t i = 0; i < compile->env->count; i++) {
        struct slice known = compile->env->variables[i].name;
        if (slice_starts_with(known, name) && known.len > name.len && known.ptr[name.len] == '.')
            return true;
    }
    return false;
}

// Of a dotted name the first part is told when nothing begins with it.
static bool refuse_name(struct cel_compile *compile, const struct cel_node *node)
{
    struct slice known = SLICE("");
    const struct cel_node *root = node;
    while (root->op == CEL_OP_SELECT)
        root = root->args[0];
    if (root->op == CEL_OP_NAME && !is_name_of_group(compile, root->name))
        node = root;
    for (size_t i = 0; i < compile->env->count; i++)
        known = arena_printf(compile->arena, SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(known), i ? ", " : "",
                             SLICE_ARG(compile->env->variables[i].name));
    cel_fault(compile, node->at, "the name '" SLICE_FMT "' is unknown; known are " SLICE_FMT, SLICE_ARG(node->name),
              SLICE_ARG(known));
    return false;
}

// a.b of a map is a["b"].
static bool check_select(struct cel_compile *compile, struct cel_node *node)
{
    if (resolve_variable(compile, node))
        return true;
    struct cel_node *object = node->args[0];
    bool is_path = object->op == CEL_OP_NAME || object->op == CEL_OP_SELECT;
    if (is_path && !resolve_variable(compile, object))
        return refuse_name(compile, node);
    if (!cel_check(compile, object))
        return false;
    struct cel_node *key = ARENA_NEW(compile->arena, struct cel_node);
    if (object->type != CEL_MAP || !key) {
        cel_fault(compile, node->at, SLICE_FMT " has no members", SLICE_ARG(cel_type_name(object->type)));
        return false;
    }
    *key = (struct cel_node){.op = CEL_OP_CONST, .type = CEL_STRING, .at = node->at};
    key->value = (struct cel_value){.type = CEL_STRING, .text = node->name};
    node->op = CEL_OP_INDEX;
    node->args[1] = key;
    node->arg_count = 2;
    node->type = CEL_STRING;
    return true;
}

static bool check_index(struct cel_compile *compile, struct cel_node *node)
{
    if (node->args[0]->type != CEL_MAP || node->args[1]->type != CEL_STRING) {
        cel_fault(compile, node->at, "only a map takes [ ], with a string in it");
        return false;
    }
    node->type = CEL_STRING;
    return true;
}

static bool check_has(struct cel_compile *compile, struct cel_node *node)
{
    struct cel_node *field = node->args[0];
    if (!cel_check(compile, field))
        return false;
    if (field->op != CEL_OP_INDEX) {
        cel_fault(compile, node->at, "has() asks about a member of a map, such as has(request.headers.name)");
        return false;
    }
    node->type = CEL_BOOL;
    return true;
}

// ---- operators ------------------------------------------------------------------------------------------------

static bool is_one_of(enum cel_type type, const enum cel_type *types)
{
    while (*types != CEL_NONE && *types != type)
        types++;
    return *types != CEL_NONE;
}

// The operand types that an operator of two equal types takes.
static const enum cel_type *types_of(enum cel_op op)
{
    static const enum cel_type comparable[] = {CEL_BOOL, CEL_INT, CEL_UINT, CEL_DOUBLE, CEL_STRING, CEL_NONE};
    static const enum cel_type addable[] = {CEL_INT, CEL_UINT, CEL_DOUBLE, CEL_STRING, CEL_NONE};
    static const enum cel_type numbers[] = {CEL_INT, CEL_UINT, CEL_DOUBLE, CEL_NONE};
    static const enum cel_type whole[] = {CEL_INT, CEL_UINT, CEL_NONE};
    static const enum cel_type signs[] = {CEL_INT, CEL_DOUBLE, CEL_NONE};
    static const enum cel_type truth[] = {CEL_BOOL, CEL_NONE};
    switch (op) {
    case CEL_OP_ADD:
        return addable;
    case CEL_OP_SUBTRACT:
    case CEL_OP_MULTIPLY:
    case CEL_OP_DIVIDE:
        return numbers;
    case CEL_OP_REMAINDER:
        return whole;
    case CEL_OP_NEGATE:
        return signs;
    case CEL_OP_AND:
    case CEL_OP_OR:
    case CEL_OP_NOT:
        return truth;
    default:
        return comparable;
    }
}

static bool is_relation(enum cel_op op)
{
    return op >= CEL_OP_EQUAL && op <= CEL_OP_GREATER_EQUAL;
}

static bool check_operator(struct cel_compile *compile, struct cel_node *node)
{
    enum cel_type type = node->args[0]->type;
    if (!is_one_of(type, types_of(node->op)) || (node->arg_count == 2 && node->args[1]->type != type))
        return refuse_types(compile, node);
    node->type = is_relation(node->op) ? CEL_BOOL : type;
    return true;
}

static bool check_choice(struct cel_compile *compile, struct cel_node *node)
{
    enum cel_type yes = node->args[1]->type, no = node->args[2]->type;
    if (node->args[0]->type != CEL_BOOL || yes != no || yes == CEL_LIST || yes == CEL_MAP) {
        cel_fault(compile, node->at,
                  "'? :' takes a bool and two values of one type, not " SLICE_FMT ", " SLICE_FMT " and " SLICE_FMT,
                  SLICE_ARG(cel_type_name(node->args[0]->type)), SLICE_ARG(cel_type_name(yes)),
                  SLICE_ARG(cel_type_name(no)));
        return false;
    }
    node->type = yes;
    return true;
}

static bool check_in(struct cel_compile *compile, struct cel_node *node)
{
    const struct cel_node *left = node->args[0], *right = node->args[1];
    bool is_in_list = right->type == CEL_LIST && (right->element == CEL_NONE || right->element == left->type);
    bool is_in_map = right->type == CEL_MAP && left->type == CEL_STRING;
    if (left->type == CEL_LIST || left->type == CEL_MAP || !(is_in_list || is_in_map)) {
        struct slice element = right->type == CEL_LIST ? cel_type_name(right->element) : SLICE("");
        cel_fault(compile, node->at, "'in' does not take " SLICE_FMT " and " SLICE_FMT "%s" SLICE_FMT,
                  SLICE_ARG(cel_type_name(left->type)), SLICE_ARG(cel_type_name(right->type)),
                  element.len ? " of " : "", SLICE_ARG(element));
        return false;
    }
    node->type = CEL_BOOL;
    return true;
}

static bool check_list(struct cel_compile *compile, struct cel_node *node)
{
    node->type = CEL_LIST;
    for (struct cel_node *item = node->first_item; item; item = item->next) {
        if (!cel_check(compile, item))
            return false;
        if (item == node->first_item)
            node->element = item->type;
        if (item->type != node->element || item->type == CEL_LIST || item->type == CEL_MAP) {
            cel_fault(compile, item->at, "the items of a list must be simple values of one type");
            return false;
        }
    }
    return true;
}

// ---- calls ----------------------------------------------------------------------------------------------------

static bool is_macro(struct slice name)
{
    static const struct slice macros[] = {SLICE_INIT("all"), SLICE_INIT("exists"), SLICE_INIT("exists_one"),
                                          SLICE_INIT("map"), SLICE_INIT("filter")};
    for (size_t i = 0; i < sizeof macros / sizeof *macros; i++)
        if (slice_eq(macros[i], name))
            return true;
    return false;
}

static bool refuse_call(struct cel_compile *compile, const struct cel_node *node, bool is_known)
{
    struct slice types = SLICE("");
    for (size_t i = 0; i < node->arg_count; i++)
        types = arena_printf(compile->arena, SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(types), i ? ", " : "",
                             SLICE_ARG(cel_type_name(node->args[i]->type)));
    if (is_known)
        cel_fault(compile, node->at, SLICE_FMT "() does not take (" SLICE_FMT ")%s", SLICE_ARG(node->name),
                  SLICE_ARG(types), node->is_member_call ? ", the first before the dot" : "");
    else
        cel_fault(compile, node->at, "the function " SLICE_FMT "() is unknown or not supported here",
                  SLICE_ARG(node->name));
    return false;
}

static bool compile_pattern(struct cel_compile *compile, struct cel_node *node)
{
    const struct cel_node *pattern = node->args[1];
    struct slice why = SLICE("");
    if (pattern->op != CEL_OP_CONST) {
        cel_fault(compile, pattern->at, "the pattern of matches() must be a literal string");
        return false;
    }
    node->regex = cel_regex_new(compile->arena, pattern->value.text, &why);
    if (!node->regex)
        cel_fault(compile, pattern->at, "the pattern is not valid: " SLICE_FMT, SLICE_ARG(why));
    return node->regex != NULL;
}

static bool check_call(struct cel_compile *compile, struct cel_node *node)
{
    bool is_known;
    node->function = cel_function_find(node, &is_known);
    if (!node->function)
        return refuse_call(compile, node, is_known);
    node->type = cel_function_result(node->function);
    if (cel_function_takes_regex(node->function))
        return compile_pattern(compile, node);
    if (node->args[0]->type != CEL_LIST)
        return true;
    // The only function of lists is size(), and a list's size is known now.
    node->op = CEL_OP_CONST;
    node->value = (struct cel_value){.type = CEL_INT, .number = (int64_t)node->args[0]->item_count};
    return true;
}

// ---- all ------------------------------------------------------------------------------------------------------

static bool check_args(struct cel_compile *compile, struct cel_node *node)
{
    for (size_t i = 0; i < node->arg_count; i++)
        if (!cel_check(compile, node->args[i]))
            return false;
    return true;
}

static bool check_node(struct cel_compile *compile, struct cel_node *node)
{
    switch (node->op) {
    case CEL_OP_LIST:
        return check_list(compile, node);
    case CEL_OP_INDEX:
        return check_index(compile, node);
    case CEL_OP_CALL:
        return check_call(compile, node);
    case CEL_OP_CHOOSE:
        return check_choice(compile, node);
    case CEL_OP_IN:
        return check_in(compile, node);
    default:
        return check_operator(compile, node);
    }
}

// As deep as the tree, which the parser keeps within CEL_DEPTH_MAX.
bool cel_check(struct cel_compile *compile, struct cel_node *node)
{
    switch (node->op) {
    case CEL_OP_CONST:
        node->type = node->value.type;
        return true;
    case CEL_OP_VARIABLE:
        return true;
    case CEL_OP_NAME:
        return resolve_variable(compile, node) || refuse_name(compile, node);
    case CEL_OP_SELECT:
        return check_select(compile, node);
    case CEL_OP_HAS:
        return check_has(compile, node);
    default:
        break;
    }
    if (node->op == CEL_OP_CALL && is_macro(node->name)) {
        cel_fault(compile, node->at, "the macro " SLICE_FMT "() is not supported here", SLICE_ARG(node->name));
        return false;
    }
    return check_args(compile, node) && check_node(compile, node);
}

const struct cel_node *cel_compile(struct arena *arena, const struct cel_env *env, const struct config_text *source,
                                   struct findings *findings)
{
    struct cel_compile compile = {.arena = arena, .findings = findings, .env = env, .source = source};
    if (source->text.len > CEL_TEXT_BYTES_MAX) {
        cel_fault(&compile, 0, "the expression is longer than %d bytes", CEL_TEXT_BYTES_MAX);
        return NULL;
    }
    struct cel_node *node = cel_parse(&compile);
    return node && cel_check(&compile, node) ? node : NULL;
}
