// What a plain scalar is: YAML 1.2.2, section 10.3.2 (core schema).
#include "config/document.h"

static bool is_one_of(struct slice s, const char *const *words)
{
    for (; *words; words++)
        if (slice_eq(s, slice_from_cstr(*words)))
            return true;
    return false;
}

static size_t skip_digits(struct slice s, size_t at)
{
    while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
        at++;
    return at;
}

static bool is_radix(struct slice s, char letter, const char *digits)
{
    if (s.len < 3 || s.ptr[0] != '0' || s.ptr[1] != letter)
        return false;
    for (size_t i = 2; i < s.len; i++)
        if (!strchr(digits, s.ptr[i]) || s.ptr[i] == '\0')
            return false;
    return true;
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
static enum node_type number_type(struct slice s)
{
    size_t at = s.len && (s.ptr[0] == '-' || s.ptr[0] == '+') ? 1 : 0;
    size_t whole = skip_digits(s, at);
    if (whole == s.len)
        return whole > at ? NODE_INT : NODE_STRING;
    size_t digits = whole - at;
    at = whole;
    if (s.ptr[at] == '.') {
        size_t fraction = skip_digits(s, at + 1);
        digits += fraction - at - 1;
        at = fraction;
    }
    if (digits == 0)
        return NODE_STRING;
    if (at < s.len && (s.ptr[at] == 'e' || s.ptr[at] == 'E')) {
        at++;
        if (at < s.len && (s.ptr[at] == '-' || s.ptr[at] == '+'))
            at++;
        size_t exponent = skip_digits(s, at);
        if (exponent == at)
            return NODE_STRING;
        at = exponent;
    }
    return at == s.len ? NODE_FLOAT : NODE_STRING;
}

enum node_type document_plain_type(struct slice text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const bools[] = {"true", "True", "TRUE", "false", "False", "FALSE", NULL};
    static const char *const specials[] = {".inf",  ".Inf",  ".INF", "-.inf", "-.Inf", "-.INF", "+.inf",
                                           "+.Inf", "+.INF", ".nan", ".NaN",  ".NAN",  NULL};
    if (is_one_of(text, nulls))
        return NODE_NULL;
    if (is_one_of(text, bools))
        return NODE_BOOL;
    if (is_radix(text, 'o', "01234567") || is_radix(text, 'x', "0123456789abcdefABCDEF"))
        return NODE_INT;
    if (is_one_of(text, specials))
        return NODE_FLOAT;
    return number_type(text);
}
