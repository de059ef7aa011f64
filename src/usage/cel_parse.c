// From tokens to a tree (cel-spec, langdef.md, "Syntax"). Every level of nesting, of the source or of the tree, counts
// against CEL_DEPTH_MAX, so neither reading nor evaluating goes deeper.
#include "usage/cel_lex.h"

struct parser {
    struct cel_compile *compile;
    struct cel_token token; // the next one
    size_t at;              // behind it
    unsigned nesting;       // of the source
};

static struct cel_node *parse_expression(struct parser *parser);

static void advance(struct parser *parser)
{
    parser->token = cel_lex(parser->compile, &parser->at);
}

static bool is_symbol(const struct parser *parser, const char *symbol)
{
    return parser->token.kind == CEL_TOKEN_SYMBOL && slice_eq(parser->token.text, slice_from_cstr(symbol));
}

static bool accept(struct parser *parser, const char *symbol)
{
    bool is_there = is_symbol(parser, symbol);
    if (is_there)
        advance(parser);
    return is_there;
}

static bool expect(struct parser *parser, const char *symbol)
{
    if (accept(parser, symbol))
        return true;
    cel_fault(parser->compile, parser->token.at, "'%s' is expected before '" SLICE_FMT "'", symbol,
              SLICE_ARG(parser->token.text));
    return false;
}

static struct cel_node *new_node(struct parser *parser, enum cel_op op, size_t at)
{
    struct cel_node *node = ARENA_NEW(parser->compile->arena, struct cel_node);
    if (!node) {
        cel_fault(parser->compile, at, "out of memory");
        return NULL;
    }
    node->op = op;
    node->at = at;
    return node;
}

// Notes that `child` is below `node`. False when the tree becomes too deep.
static bool deepen(struct parser *parser, struct cel_node *node, const struct cel_node *child)
{
    if (child->depth >= CEL_DEPTH_MAX) {
        cel_fault(parser->compile, node->at, "the expression is nested too deeply");
        return false;
    }
    if (node->depth <= child->depth)
        node->depth = child->depth + 1;
    return true;
}

static bool add_arg(struct parser *parser, struct cel_node *node, struct cel_node *arg)
{
    if (!arg)
        return false;
    if (node->arg_count == CEL_ARGS_MAX) {
        cel_fault(parser->compile, arg->at, "too many arguments");
        return false;
    }
    node->args[node->arg_count++] = arg;
    return deepen(parser, node, arg);
}

// A node over up to two others; NULL when one is missing.
static struct cel_node *join(struct parser *parser, enum cel_op op, size_t at, struct cel_node *left,
                             struct cel_node *right)
{
    struct cel_node *node = left && right ? new_node(parser, op, at) : NULL;
    return node && add_arg(parser, node, left) && add_arg(parser, node, right) ? node : NULL;
}

// ---- primaries ------------------------------------------------------------------------------------------------

static struct cel_node *parse_value(struct parser *parser, struct cel_value value)
{
    struct cel_node *node = new_node(parser, CEL_OP_CONST, parser->token.at);
    if (node)
        node->value = value;
    advance(parser);
    return node;
}

static struct cel_node *parse_literal(struct parser *parser)
{
    if (parser->token.is_beyond_int) {
        cel_fault(parser->compile, parser->token.at, "this number is beyond the range of int; write u behind it");
        return NULL;
    }
    return parse_value(parser, parser->token.value);
}

static bool parse_args(struct parser *parser, struct cel_node *call)
{
    if (accept(parser, ")"))
        return true;
    do {
        if (!add_arg(parser, call, parse_expression(parser)))
            return false;
    } while (accept(parser, ","));
    return expect(parser, ")");
}

// The macro has(a.b) asks whether a has the key b.
static struct cel_node *make_has(struct parser *parser, struct cel_node *call)
{
    struct cel_node *field = call->arg_count == 1 ? call->args[0] : NULL;
    if (!field || field->op != CEL_OP_SELECT) {
        cel_fault(parser->compile, call->at, "has() takes one selection, such as has(request.headers.name)");
        return NULL;
    }
    call->op = CEL_OP_HAS;
    return call;
}

static struct cel_node *parse_name(struct parser *parser)
{
    struct cel_token name = parser->token;
    advance(parser);
    if (slice_eq(name.text, SLICE("null"))) {
        cel_fault(parser->compile, name.at, "null is not supported here");
        return NULL;
    }
    struct cel_node *node = new_node(parser, CEL_OP_NAME, name.at);
    if (!node)
        return NULL;
    node->name = name.text;
    bool is_true = slice_eq(name.text, SLICE("true"));
    if (is_true || slice_eq(name.text, SLICE("false"))) {
        node->op = CEL_OP_CONST;
        node->value = (struct cel_value){.type = CEL_BOOL, .boolean = is_true};
        return node;
    }
    if (!accept(parser, "("))
        return node;
    node->op = CEL_OP_CALL;
    if (!parse_args(parser, node))
        return NULL;
    return slice_eq(name.text, SLICE("has")) ? make_has(parser, node) : node;
}

static struct cel_node *parse_list(struct parser *parser)
{
    struct cel_node *list = new_node(parser, CEL_OP_LIST, parser->token.at);
    advance(parser);
    struct cel_node **end = list ? &list->first_item : NULL;
    while (list && !is_symbol(parser, "]")) {
        *end = parse_expression(parser);
        if (!*end || !deepen(parser, list, *end))
            return NULL;
        end = &(*end)->next;
        list->item_count++;
        if (!accept(parser, ","))
            break;
    }
    return list && expect(parser, "]") ? list : NULL;
}

static struct cel_node *parse_primary(struct parser *parser)
{
    if (parser->token.kind == CEL_TOKEN_VALUE)
        return parse_literal(parser);
    if (is_symbol(parser, "["))
        return parse_list(parser);
    if (accept(parser, "(")) {
        struct cel_node *inner = parse_expression(parser);
        return inner && expect(parser, ")") ? inner : NULL;
    }
    accept(parser, "."); // an absolute name; there are no others
    if (parser->token.kind == CEL_TOKEN_NAME && !slice_eq(parser->token.text, SLICE("in")))
        return parse_name(parser);
    cel_fault(parser->compile, parser->token.at, "a value is expected before '" SLICE_FMT "'",
              SLICE_ARG(parser->token.text));
    return NULL;
}

// ---- members and operators ------------------------------------------------------------------------------------

static struct cel_node *parse_select(struct parser *parser, struct cel_node *object)
{
    struct cel_token name = parser->token;
    if (name.kind != CEL_TOKEN_NAME) {
        cel_fault(parser->compile, name.at, "a name is expected before '" SLICE_FMT "'", SLICE_ARG(name.text));
        return NULL;
    }
    advance(parser);
    struct cel_node *node = new_node(parser, CEL_OP_SELECT, name.at);
    if (!node || !add_arg(parser, node, object))
        return NULL;
    node->name = name.text;
    if (!accept(parser, "("))
        return node;
    node->op = CEL_OP_CALL;
    node->is_member_call = true;
    return parse_args(parser, node) ? node : NULL;
}

static struct cel_node *parse_member(struct parser *parser)
{
    struct cel_node *node = parse_primary(parser);
    while (node) {
        size_t at = parser->token.at;
        if (accept(parser, ".")) {
            node = parse_select(parser, node);
        } else if (accept(parser, "[")) {
            node = join(parser, CEL_OP_INDEX, at, node, parse_expression(parser));
            if (node && !expect(parser, "]"))
                return NULL;
        } else {
            break;
        }
    }
    return node;
}

// A minus right before a number belongs to it, so that the least int can be written.
static struct cel_node *parse_negative(struct parser *parser, size_t at)
{
    struct cel_value *value = &parser->token.value;
    if (value->type == CEL_DOUBLE)
        value->real = -value->real;
    else
        value->natural = 0 - value->natural;
    parser->token.is_beyond_int = false;
    parser->token.at = at;
    return parse_member(parser);
}

static struct cel_node *parse_unary(struct parser *parser);

static struct cel_node *parse_operand(struct parser *parser)
{
    size_t at = parser->token.at;
    bool is_not = accept(parser, "!");
    if (!is_not && !accept(parser, "-"))
        return parse_member(parser);
    const struct cel_token *next = &parser->token;
    if (!is_not && next->kind == CEL_TOKEN_VALUE && (next->value.type == CEL_INT || next->value.type == CEL_DOUBLE))
        return parse_negative(parser, at);
    struct cel_node *inner = parse_unary(parser);
    struct cel_node *node = inner ? new_node(parser, is_not ? CEL_OP_NOT : CEL_OP_NEGATE, at) : NULL;
    return node && add_arg(parser, node, inner) ? node : NULL;
}

static struct cel_node *parse_unary(struct parser *parser)
{
    if (parser->nesting == CEL_DEPTH_MAX) {
        cel_fault(parser->compile, parser->token.at, "the expression is nested too deeply");
        return NULL;
    }
    parser->nesting++;
    struct cel_node *node = parse_operand(parser);
    parser->nesting--;
    return node;
}

struct binary {
    enum cel_op op;
    int level; // binds tighter when higher
    const char *text;
};

static const struct binary binaries[] = {
    {CEL_OP_OR, 1, "||"},    {CEL_OP_AND, 2, "&&"},        {CEL_OP_EQUAL, 3, "=="},   {CEL_OP_NOT_EQUAL, 3, "!="},
    {CEL_OP_LESS, 3, "<"},   {CEL_OP_LESS_EQUAL, 3, "<="}, {CEL_OP_GREATER, 3, ">"},  {CEL_OP_GREATER_EQUAL, 3, ">="},
    {CEL_OP_IN, 3, "in"},    {CEL_OP_ADD, 4, "+"},         {CEL_OP_SUBTRACT, 4, "-"}, {CEL_OP_MULTIPLY, 5, "*"},
    {CEL_OP_DIVIDE, 5, "/"}, {CEL_OP_REMAINDER, 5, "%"},
};

struct slice cel_op_text(enum cel_op op)
{
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (binaries[i].op == op)
            return slice_from_cstr(binaries[i].text);
    return op == CEL_OP_NOT ? SLICE("!") : op == CEL_OP_NEGATE ? SLICE("-") : SLICE("");
}

static const struct binary *find_binary(const struct cel_token *token)
{
    if (token->kind != CEL_TOKEN_SYMBOL && token->kind != CEL_TOKEN_NAME)
        return NULL;
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (slice_eq(token->text, slice_from_cstr(binaries[i].text)))
            return &binaries[i];
    return NULL;
}

// Operators of at least `level`, all of which group to the left. Calls itself at most once a level.
static struct cel_node *parse_binary(struct parser *parser, int level)
{
    struct cel_node *left = parse_unary(parser);
    const struct binary *binary;
    while (left && (binary = find_binary(&parser->token)) != NULL && binary->level >= level) {
        size_t at = parser->token.at;
        advance(parser);
        left = join(parser, binary->op, at, left, parse_binary(parser, binary->level + 1));
    }
    return left;
}

static struct cel_node *parse_choice(struct parser *parser)
{
    struct cel_node *condition = parse_binary(parser, 1);
    size_t at = parser->token.at;
    if (!condition || !accept(parser, "?"))
        return condition;
    struct cel_node *yes = parse_binary(parser, 1);
    if (!yes || !expect(parser, ":"))
        return NULL;
    struct cel_node *node = join(parser, CEL_OP_CHOOSE, at, condition, yes);
    return node && add_arg(parser, node, parse_expression(parser)) ? node : NULL;
}

static struct cel_node *parse_expression(struct parser *parser)
{
    if (parser->nesting == CEL_DEPTH_MAX) {
        cel_fault(parser->compile, parser->token.at, "the expression is nested too deeply");
        return NULL;
    }
    parser->nesting++;
    struct cel_node *node = parse_choice(parser);
    parser->nesting--;
    return node;
}

struct cel_node *cel_parse(struct cel_compile *compile)
{
    struct parser parser = {.compile = compile};
    advance(&parser);
    struct cel_node *node = parse_expression(&parser);
    if (node && parser.token.kind != CEL_TOKEN_END) {
        cel_fault(compile, parser.token.at, "an operator or the end is expected before '" SLICE_FMT "'",
                  SLICE_ARG(parser.token.text));
        return NULL;
    }
    return compile->has_failed ? NULL : node;
}
