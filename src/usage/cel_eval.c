// Evaluation of a checked tree. Types need no checks any more; what can fail is arithmetic, a conversion, a missing key,
// a limit.
#include "usage/cel.h"

bool cel_run_fail(struct cel_run *run, struct slice why)
{
    run->why = why;
    return false;
}

char *cel_run_scratch(struct cel_run *run, size_t bytes)
{
    if (bytes > sizeof run->scratch - run->scratch_used) {
        run->why = SLICE("the strings grew too large");
        return NULL;
    }
    char *at = run->scratch + run->scratch_used;
    run->scratch_used += bytes;
    return at;
}

static bool give_bool(struct cel_value *ret_value, bool boolean)
{
    *ret_value = (struct cel_value){.type = CEL_BOOL, .boolean = boolean};
    return true;
}

// ---- arithmetic -----------------------------------------------------------------------------------------------

static bool add_text(struct cel_run *run, struct slice left, struct slice right, struct cel_value *ret_value)
{
    size_t len;
    char *at = __builtin_add_overflow(left.len, right.len, &len) ? NULL : cel_run_scratch(run, len);
    if (!at)
        return false;
    memcpy(at, left.len ? left.ptr : "", left.len);
    memcpy(at + left.len, right.len ? right.ptr : "", right.len);
    *ret_value = (struct cel_value){.type = CEL_STRING, .text = {at, len}};
    return true;
}

static bool compute_int(struct cel_run *run, enum cel_op op, int64_t left, int64_t right, int64_t *ret_value)
{
    bool is_over = false;
    if ((op == CEL_OP_DIVIDE || op == CEL_OP_REMAINDER) && right == 0)
        return cel_run_fail(run, op == CEL_OP_DIVIDE ? SLICE("division by zero") : SLICE("modulus by zero"));
    if ((op == CEL_OP_DIVIDE || op == CEL_OP_REMAINDER) && left == INT64_MIN && right == -1)
        return cel_run_fail(run, SLICE("int overflow"));
    if (op == CEL_OP_ADD)
        is_over = __builtin_add_overflow(left, right, ret_value);
    else if (op == CEL_OP_SUBTRACT)
        is_over = __builtin_sub_overflow(left, right, ret_value);
    else if (op == CEL_OP_MULTIPLY)
        is_over = __builtin_mul_overflow(left, right, ret_value);
    else
        *ret_value = op == CEL_OP_DIVIDE ? left / right : left % right;
    return !is_over || cel_run_fail(run, SLICE("int overflow"));
}

static bool compute_uint(struct cel_run *run, enum cel_op op, uint64_t left, uint64_t right, uint64_t *ret_value)
{
    bool is_over = false;
    if ((op == CEL_OP_DIVIDE || op == CEL_OP_REMAINDER) && right == 0)
        return cel_run_fail(run, op == CEL_OP_DIVIDE ? SLICE("division by zero") : SLICE("modulus by zero"));
    if (op == CEL_OP_ADD)
        is_over = __builtin_add_overflow(left, right, ret_value);
    else if (op == CEL_OP_SUBTRACT)
        is_over = __builtin_sub_overflow(left, right, ret_value);
    else if (op == CEL_OP_MULTIPLY)
        is_over = __builtin_mul_overflow(left, right, ret_value);
    else
        *ret_value = op == CEL_OP_DIVIDE ? left / right : left % right;
    return !is_over || cel_run_fail(run, SLICE("uint overflow"));
}

// IEEE 754: a division by zero gives an infinity or NaN, as in CEL.
__attribute__((no_sanitize("float-divide-by-zero"))) static double compute_double(enum cel_op op, double left,
                                                                                  double right)
{
    switch (op) {
    case CEL_OP_ADD:
        return left + right;
    case CEL_OP_SUBTRACT:
        return left - right;
    case CEL_OP_MULTIPLY:
        return left * right;
    default:
        return left / right;
    }
}

static bool compute(struct cel_run *run, enum cel_op op, const struct cel_value *left, const struct cel_value *right,
                    struct cel_value *ret_value)
{
    ret_value->type = left->type;
    switch (left->type) {
    case CEL_INT:
        return compute_int(run, op, left->number, right->number, &ret_value->number);
    case CEL_UINT:
        return compute_uint(run, op, left->natural, right->natural, &ret_value->natural);
    case CEL_DOUBLE:
        ret_value->real = compute_double(op, left->real, right->real);
        return true;
    default:
        return add_text(run, left->text, right->text, ret_value);
    }
}

static bool negate(struct cel_run *run, const struct cel_value *value, struct cel_value *ret_value)
{
    if (value->type == CEL_DOUBLE) {
        *ret_value = (struct cel_value){.type = CEL_DOUBLE, .real = -value->real};
        return true;
    }
    struct cel_value zero = {.type = CEL_INT, .number = 0};
    return compute(run, CEL_OP_SUBTRACT, &zero, value, ret_value);
}

// ---- relations ------------------------------------------------------------------------------------------------

#define ORDER(left, right) ((left) < (right) ? -1 : (left) > (right))

static bool is_equal(const struct cel_value *left, const struct cel_value *right)
{
    switch (left->type) {
    case CEL_BOOL:
        return left->boolean == right->boolean;
    case CEL_DOUBLE:
        return left->real == right->real;
    case CEL_STRING:
        return slice_eq(left->text, right->text);
    default:
        return left->natural == right->natural;
    }
}

// What a relation of order says of two doubles; with a NaN none holds.
static bool relate_doubles(enum cel_op op, double left, double right)
{
    switch (op) {
    case CEL_OP_LESS:
        return left < right;
    case CEL_OP_LESS_EQUAL:
        return left <= right;
    case CEL_OP_GREATER:
        return left > right;
    default:
        return left >= right;
    }
}

static int order_of(const struct cel_value *left, const struct cel_value *right)
{
    switch (left->type) {
    case CEL_BOOL:
        return ORDER(left->boolean, right->boolean);
    case CEL_INT:
        return ORDER(left->number, right->number);
    case CEL_UINT:
        return ORDER(left->natural, right->natural);
    default:
        return slice_cmp(left->text, right->text);
    }
}

static bool relate(enum cel_op op, const struct cel_value *left, const struct cel_value *right)
{
    if (op == CEL_OP_EQUAL || op == CEL_OP_NOT_EQUAL)
        return is_equal(left, right) == (op == CEL_OP_EQUAL);
    if (left->type == CEL_DOUBLE)
        return relate_doubles(op, left->real, right->real);
    return relate_doubles(op, order_of(left, right), 0);
}

// ---- logic, choice, lists, maps -------------------------------------------------------------------------------

// && and || are decided by either side, whatever the other does: `x || true` is true though x fails (langdef.md,
// "Logical Operators").
static bool decide(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value)
{
    bool decisive = node->op == CEL_OP_OR;
    struct cel_value left, right;
    bool is_left = cel_eval(run, node->args[0], &left);
    if (is_left && left.boolean == decisive)
        return give_bool(ret_value, decisive);
    struct slice why = run->why;
    bool is_right = cel_eval(run, node->args[1], &right);
    if (is_right && right.boolean == decisive)
        return give_bool(ret_value, decisive);
    if (!is_left)
        return cel_run_fail(run, why);
    return is_right && give_bool(ret_value, !decisive);
}

static bool choose(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value)
{
    struct cel_value condition;
    return cel_eval(run, node->args[0], &condition) && cel_eval(run, node->args[condition.boolean ? 1 : 2], ret_value);
}

static bool find_in(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value)
{
    const struct cel_node *right = node->args[1];
    struct cel_value wanted, item;
    struct slice found;
    bool is_found = false;
    if (!cel_eval(run, node->args[0], &wanted))
        return false;
    if (right->type == CEL_MAP)
        return give_bool(ret_value, run->look_up(run->context, right->variable, wanted.text, &found));
    for (const struct cel_node *at = right->first_item; at; at = at->next) {
        if (!cel_eval(run, at, &item))
            return false;
        is_found |= is_equal(&wanted, &item);
    }
    return give_bool(ret_value, is_found);
}

// A map is always a variable: the check lets nothing else become one.
static bool look_up(struct cel_run *run, const struct cel_node *index, bool *ret_is_found, struct slice *ret_value)
{
    struct cel_value key;
    if (!cel_eval(run, index->args[1], &key))
        return false;
    *ret_is_found = run->look_up(run->context, index->args[0]->variable, key.text, ret_value);
    return true;
}

static bool take_member(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value)
{
    bool is_found;
    struct slice text;
    if (!look_up(run, node, &is_found, &text))
        return false;
    *ret_value = (struct cel_value){.type = CEL_STRING, .text = text};
    return is_found || cel_run_fail(run, SLICE("no such key"));
}

static bool has_member(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value)
{
    bool is_found;
    struct slice text;
    return look_up(run, node->args[0], &is_found, &text) && give_bool(ret_value, is_found);
}

static bool call(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value)
{
    struct cel_value args[CEL_ARGS_MAX];
    for (size_t i = 0; i < node->arg_count; i++)
        if (!cel_eval(run, node->args[i], &args[i]))
            return false;
    return cel_function_call(node->function, run, node, args, ret_value);
}

static bool eval_operator(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value)
{
    struct cel_value left, right;
    if (!cel_eval(run, node->args[0], &left))
        return false;
    if (node->op == CEL_OP_NOT)
        return give_bool(ret_value, !left.boolean);
    if (node->op == CEL_OP_NEGATE)
        return negate(run, &left, ret_value);
    if (!cel_eval(run, node->args[1], &right))
        return false;
    if (node->type == CEL_BOOL)
        return give_bool(ret_value, relate(node->op, &left, &right));
    return compute(run, node->op, &left, &right, ret_value);
}

// As deep as the tree, which the parser keeps within CEL_DEPTH_MAX.
bool cel_eval(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value)
{
    switch (node->op) {
    case CEL_OP_CONST:
        *ret_value = node->value;
        return true;
    case CEL_OP_VARIABLE:
        run->read(run->context, node->variable, ret_value);
        return true;
    case CEL_OP_INDEX:
        return take_member(run, node, ret_value);
    case CEL_OP_HAS:
        return has_member(run, node, ret_value);
    case CEL_OP_CALL:
        return call(run, node, ret_value);
    case CEL_OP_AND:
    case CEL_OP_OR:
        return decide(run, node, ret_value);
    case CEL_OP_CHOOSE:
        return choose(run, node, ret_value);
    case CEL_OP_IN:
        return find_in(run, node, ret_value);
    default:
        return eval_operator(run, node, ret_value);
    }
}
