// The functions of CEL (cel-spec, langdef.md, "List of Standard Definitions"), one row an overload.
#include "usage/cel.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef bool function_body(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value);

enum call_form { CALL_GLOBAL = 1, CALL_MEMBER = 2, CALL_BOTH = 3 };

struct cel_function {
    struct slice name;
    enum call_form form;
    enum cel_type result;
    enum cel_type args[2]; // CEL_NONE: there is none
    function_body *body;   // NULL: matches() and the sizes of lists, which the check and the call do themselves
};

static bool give_int(struct cel_value *ret_value, int64_t number)
{
    *ret_value = (struct cel_value){.type = CEL_INT, .number = number};
    return true;
}

static bool give_uint(struct cel_value *ret_value, uint64_t natural)
{
    *ret_value = (struct cel_value){.type = CEL_UINT, .natural = natural};
    return true;
}

static bool give_double(struct cel_value *ret_value, double real)
{
    *ret_value = (struct cel_value){.type = CEL_DOUBLE, .real = real};
    return true;
}

static bool give_bool(struct cel_value *ret_value, bool boolean)
{
    *ret_value = (struct cel_value){.type = CEL_BOOL, .boolean = boolean};
    return true;
}

static bool same(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    (void)run;
    *ret_value = args[0];
    return true;
}

// ---- strings --------------------------------------------------------------------------------------------------

static bool starts_with(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    (void)run;
    return give_bool(ret_value, slice_starts_with(args[0].text, args[1].text));
}

static bool ends_with(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    (void)run;
    return give_bool(ret_value, slice_ends_with(args[0].text, args[1].text));
}

static bool contains(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    (void)run;
    return give_bool(ret_value, slice_find_slice(args[0].text, args[1].text) != SLICE_NOT_FOUND);
}

// In code points.
static bool size_of_text(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    int64_t count = 0;
    for (size_t i = 0; i < args[0].text.len; i++)
        count += (args[0].text.ptr[i] & 0xC0) != 0x80;
    (void)run;
    return give_int(ret_value, count);
}

// ---- to int ---------------------------------------------------------------------------------------------------

static bool int_of_uint(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    if (args[0].natural > INT64_MAX)
        return cel_run_fail(run, SLICE("int overflow"));
    return give_int(ret_value, (int64_t)args[0].natural);
}

static bool int_of_double(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    const double edge = 9223372036854775808.0;
    if (!(args[0].real > -edge && args[0].real < edge))
        return cel_run_fail(run, SLICE("int overflow"));
    return give_int(ret_value, (int64_t)args[0].real);
}

static bool int_of_text(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    struct slice digits = args[0].text;
    bool is_negative = slice_starts_with(digits, SLICE("-"));
    uint64_t value;
    if (is_negative || slice_starts_with(digits, SLICE("+")))
        digits = slice_from(digits, 1);
    if (!slice_to_u64(digits, (uint64_t)INT64_MAX + is_negative, &value))
        return cel_run_fail(run, SLICE("the string is no int"));
    return give_int(ret_value, (int64_t)(is_negative ? 0 - value : value));
}

// ---- to uint --------------------------------------------------------------------------------------------------

static bool uint_of_int(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    if (args[0].number < 0)
        return cel_run_fail(run, SLICE("uint overflow"));
    return give_uint(ret_value, (uint64_t)args[0].number);
}

static bool uint_of_double(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    if (!(args[0].real >= 0 && args[0].real < 18446744073709551616.0))
        return cel_run_fail(run, SLICE("uint overflow"));
    return give_uint(ret_value, (uint64_t)args[0].real);
}

static bool uint_of_text(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    uint64_t value;
    if (!slice_to_u64(args[0].text, UINT64_MAX, &value))
        return cel_run_fail(run, SLICE("the string is no uint"));
    return give_uint(ret_value, value);
}

// ---- to double ------------------------------------------------------------------------------------------------

static bool double_of_int(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    (void)run;
    return give_double(ret_value, (double)args[0].number);
}

static bool double_of_uint(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    (void)run;
    return give_double(ret_value, (double)args[0].natural);
}

static bool is_decimal(struct slice text)
{
    bool has_digit = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        has_digit |= c >= '0' && c <= '9';
        if (!(c >= '0' && c <= '9') && slice_find(SLICE("+-.eE"), c) == SLICE_NOT_FOUND)
            return false;
    }
    return has_digit;
}

static bool double_of_text(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    char text[64], *end = text;
    double value = 0;
    if (args[0].text.len < sizeof text && is_decimal(args[0].text)) {
        memcpy(text, args[0].text.ptr, args[0].text.len);
        text[args[0].text.len] = '\0';
        value = strtod(text, &end);
    }
    if (end != text + args[0].text.len || end == text || !isfinite(value))
        return cel_run_fail(run, SLICE("the string is no double"));
    return give_double(ret_value, value);
}

// ---- to string and bool ---------------------------------------------------------------------------------------

static bool give_number_text(struct cel_run *run, uint64_t natural, bool is_negative, struct cel_value *ret_value)
{
    char *text = cel_run_scratch(run, 20);
    size_t at = 20;
    if (!text)
        return false;
    do {
        text[--at] = (char)('0' + natural % 10);
        natural /= 10;
    } while (natural);
    if (is_negative)
        text[--at] = '-'; // 19 digits at most stand behind it
    *ret_value = (struct cel_value){.type = CEL_STRING, .text = {text + at, 20 - at}};
    return true;
}

static bool text_of_int(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    bool is_negative = args[0].number < 0;
    uint64_t natural = (uint64_t)args[0].number;
    return give_number_text(run, is_negative ? 0 - natural : natural, is_negative, ret_value);
}

static bool text_of_uint(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    return give_number_text(run, args[0].natural, false, ret_value);
}

static bool text_of_bool(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    (void)run;
    *ret_value = (struct cel_value){.type = CEL_STRING, .text = args[0].boolean ? SLICE("true") : SLICE("false")};
    return true;
}

// The shortest digits that read back as the same double, in Go's form 'g'.
static bool text_of_double(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    double real = args[0].real;
    char text[40];
    int digits = 0, len;
    if (!isfinite(real)) {
        struct slice name = isnan(real) ? SLICE("NaN") : real < 0 ? SLICE("-Inf") : SLICE("+Inf");
        *ret_value = (struct cel_value){.type = CEL_STRING, .text = name};
        return true;
    }
    do
        len = snprintf(text, sizeof text, "%.*e", digits, real);
    while (strtod(text, NULL) != real && ++digits < 17);
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent >= -4 && exponent < 21)
        len = snprintf(text, sizeof text, "%.*f", digits > exponent ? digits - exponent : 0, real);
    char *out = cel_run_scratch(run, (size_t)len);
    if (!out)
        return false;
    memcpy(out, text, (size_t)len);
    *ret_value = (struct cel_value){.type = CEL_STRING, .text = {out, (size_t)len}};
    return true;
}

static bool bool_of_text(struct cel_run *run, const struct cel_value *args, struct cel_value *ret_value)
{
    static const struct slice yes[] = {SLICE_INIT("1"),    SLICE_INIT("t"),    SLICE_INIT("T"),
                                       SLICE_INIT("true"), SLICE_INIT("TRUE"), SLICE_INIT("True")};
    static const struct slice no[] = {SLICE_INIT("0"),     SLICE_INIT("f"),     SLICE_INIT("F"),
                                      SLICE_INIT("false"), SLICE_INIT("FALSE"), SLICE_INIT("False")};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (slice_eq(args[0].text, yes[i]) || slice_eq(args[0].text, no[i]))
            return give_bool(ret_value, slice_eq(args[0].text, yes[i]));
    return cel_run_fail(run, SLICE("the string is no bool"));
}

// ---- the table ------------------------------------------------------------------------------------------------

static const struct cel_function functions[] = {
    {SLICE_INIT("size"), CALL_BOTH, CEL_INT, {CEL_STRING}, size_of_text},
    {SLICE_INIT("size"), CALL_BOTH, CEL_INT, {CEL_LIST}, NULL},
    {SLICE_INIT("startsWith"), CALL_MEMBER, CEL_BOOL, {CEL_STRING, CEL_STRING}, starts_with},
    {SLICE_INIT("endsWith"), CALL_MEMBER, CEL_BOOL, {CEL_STRING, CEL_STRING}, ends_with},
    {SLICE_INIT("contains"), CALL_MEMBER, CEL_BOOL, {CEL_STRING, CEL_STRING}, contains},
    {SLICE_INIT("matches"), CALL_BOTH, CEL_BOOL, {CEL_STRING, CEL_STRING}, NULL},
    {SLICE_INIT("int"), CALL_GLOBAL, CEL_INT, {CEL_INT}, same},
    {SLICE_INIT("int"), CALL_GLOBAL, CEL_INT, {CEL_UINT}, int_of_uint},
    {SLICE_INIT("int"), CALL_GLOBAL, CEL_INT, {CEL_DOUBLE}, int_of_double},
    {SLICE_INIT("int"), CALL_GLOBAL, CEL_INT, {CEL_STRING}, int_of_text},
    {SLICE_INIT("uint"), CALL_GLOBAL, CEL_UINT, {CEL_UINT}, same},
    {SLICE_INIT("uint"), CALL_GLOBAL, CEL_UINT, {CEL_INT}, uint_of_int},
    {SLICE_INIT("uint"), CALL_GLOBAL, CEL_UINT, {CEL_DOUBLE}, uint_of_double},
    {SLICE_INIT("uint"), CALL_GLOBAL, CEL_UINT, {CEL_STRING}, uint_of_text},
    {SLICE_INIT("double"), CALL_GLOBAL, CEL_DOUBLE, {CEL_DOUBLE}, same},
    {SLICE_INIT("double"), CALL_GLOBAL, CEL_DOUBLE, {CEL_INT}, double_of_int},
    {SLICE_INIT("double"), CALL_GLOBAL, CEL_DOUBLE, {CEL_UINT}, double_of_uint},
    {SLICE_INIT("double"), CALL_GLOBAL, CEL_DOUBLE, {CEL_STRING}, double_of_text},
    {SLICE_INIT("string"), CALL_GLOBAL, CEL_STRING, {CEL_STRING}, same},
    {SLICE_INIT("string"), CALL_GLOBAL, CEL_STRING, {CEL_INT}, text_of_int},
    {SLICE_INIT("string"), CALL_GLOBAL, CEL_STRING, {CEL_UINT}, text_of_uint},
    {SLICE_INIT("string"), CALL_GLOBAL, CEL_STRING, {CEL_DOUBLE}, text_of_double},
    {SLICE_INIT("string"), CALL_GLOBAL, CEL_STRING, {CEL_BOOL}, text_of_bool},
    {SLICE_INIT("bool"), CALL_GLOBAL, CEL_BOOL, {CEL_BOOL}, same},
    {SLICE_INIT("bool"), CALL_GLOBAL, CEL_BOOL, {CEL_STRING}, bool_of_text},
};

static bool takes(const struct cel_function *function, const struct cel_node *call)
{
    size_t count = function->args[1] == CEL_NONE ? 1 : 2;
    if (call->arg_count != count || !(function->form & (call->is_member_call ? CALL_MEMBER : CALL_GLOBAL)))
        return false;
    for (size_t i = 0; i < count; i++)
        if (call->args[i]->type != function->args[i])
            return false;
    return true;
}

const struct cel_function *cel_function_find(const struct cel_node *call, bool *ret_is_known)
{
    *ret_is_known = false;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!slice_eq(functions[i].name, call->name))
            continue;
        *ret_is_known = true;
        if (takes(&functions[i], call))
            return &functions[i];
    }
    return NULL;
}

enum cel_type cel_function_result(const struct cel_function *function)
{
    return function->result;
}

bool cel_function_takes_regex(const struct cel_function *function)
{
    return !function->body && function->result == CEL_BOOL;
}

bool cel_function_call(const struct cel_function *function, struct cel_run *run, const struct cel_node *node,
                       const struct cel_value *args, struct cel_value *ret_value)
{
    bool is_found;
    if (function->body)
        return function->body(run, args, ret_value);
    return cel_regex_find(node->regex, run, args[0].text, &is_found) && give_bool(ret_value, is_found);
}
