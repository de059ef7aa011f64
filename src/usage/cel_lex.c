// Tokens of CEL (cel-spec, langdef.md, "Syntax").
#include "usage/cel_lex.h"

#include <stdlib.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' || is_digit(c);
}

// The byte at an offset; NUL behind the end.
static char byte_at(struct slice text, size_t at)
{
    return at < text.len ? text.ptr[at] : '\0';
}

static size_t skip_blanks(struct slice text, size_t at)
{
    while (at < text.len) {
        if (slice_starts_with(slice_from(text, at), SLICE("//"))) {
            size_t line = slice_find(slice_from(text, at), '\n');
            at = line == SLICE_NOT_FOUND ? text.len : at + line;
        } else if (slice_find(SLICE(" \t\r\n\f"), text.ptr[at]) == SLICE_NOT_FOUND) {
            break;
        } else {
            at++;
        }
    }
    return at;
}

static struct cel_token bad(struct cel_compile *compile, size_t at, const char *what)
{
    cel_fault(compile, at, "%s", what);
    return (struct cel_token){.kind = CEL_TOKEN_BAD, .at = at};
}

// ---- numbers --------------------------------------------------------------------------------------------------

static size_t skip_digits(struct slice text, size_t at)
{
    while (is_digit(byte_at(text, at)))
        at++;
    return at;
}

// Behind the fraction and the exponent of a double; `at` itself when there is neither.
static size_t skip_fraction(struct slice text, size_t at)
{
    if (byte_at(text, at) == '.' && is_digit(byte_at(text, at + 1)))
        at = skip_digits(text, at + 1);
    if (ascii_lower(byte_at(text, at)) != 'e')
        return at;
    char sign = byte_at(text, at + 1);
    size_t digits = at + 1 + (sign == '+' || sign == '-');
    return is_digit(byte_at(text, digits)) ? skip_digits(text, digits) : at;
}

static struct cel_token lex_double(struct cel_compile *compile, size_t from, size_t to)
{
    struct slice text = slice_sub(compile->source->text, from, to - from);
    char spelt[64];
    if (text.len >= sizeof spelt)
        return bad(compile, from, "this number has too many digits");
    memcpy(spelt, text.ptr, text.len);
    spelt[text.len] = '\0';
    double value = strtod(spelt, NULL);
    if (value > 1.7976931348623157e308)
        return bad(compile, from, "this number is beyond the range of double");
    return (struct cel_token){CEL_TOKEN_VALUE, from, text, {.type = CEL_DOUBLE, .real = value}, false};
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The digits at *at in a base of 10 or 16. False beyond 64 bits or without a digit.
static bool read_natural(struct slice text, size_t *at, unsigned base, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t from = *at;
    for (;; ++*at) {
        int digit = hex_digit(byte_at(text, *at));
        if (digit < 0 || (unsigned)digit >= base)
            break;
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *ret_value = value;
    return *at > from;
}

static struct cel_token lex_number(struct cel_compile *compile, size_t *at)
{
    struct slice text = compile->source->text;
    size_t from = *at, digits = skip_digits(text, from), end = skip_fraction(text, digits);
    if (end > digits) {
        *at = end;
        return lex_double(compile, from, end);
    }
    bool is_hex = byte_at(text, from) == '0' && ascii_lower(byte_at(text, from + 1)) == 'x';
    uint64_t value = 0;
    *at = is_hex ? from + 2 : from;
    if (!read_natural(text, at, is_hex ? 16 : 10, &value))
        return bad(compile, from, "this number is beyond 64 bits, or has no digits");
    bool is_unsigned = ascii_lower(byte_at(text, *at)) == 'u';
    *at += is_unsigned;
    if (is_name_byte(byte_at(text, *at)))
        return bad(compile, *at, "a letter follows a number");
    struct cel_token token = {.kind = CEL_TOKEN_VALUE, .at = from, .text = slice_sub(text, from, *at - from)};
    token.value.type = is_unsigned ? CEL_UINT : CEL_INT;
    token.value.natural = value;
    if (is_unsigned || value <= INT64_MAX)
        return token;
    token.is_beyond_int = value == (uint64_t)INT64_MAX + 1;
    return token.is_beyond_int ? token
                               : bad(compile, from, "this number is beyond the range of int; write u behind it");
}

// ---- strings --------------------------------------------------------------------------------------------------

static size_t encode_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(leads[extra] | code >> (6 * extra));
    for (size_t i = 1; i <= extra; i++)
        out[i] = (char)(0x80 | (code >> (6 * (extra - i)) & 0x3F));
    return extra + 1;
}

// `count` digits of a base at *at. False when one is missing or the code is no code point.
static bool read_code(struct slice text, size_t *at, size_t count, int base, uint32_t *ret_code)
{
    uint32_t code = 0;
    for (size_t i = 0; i < count; i++, ++*at) {
        int digit = hex_digit(byte_at(text, *at));
        if (digit < 0 || digit >= base)
            return false;
        code = code * (uint32_t)base + (uint32_t)digit;
        if (code > 0x10FFFF)
            return false;
    }
    *ret_code = code;
    return code < 0xD800 || code > 0xDFFF;
}

// The escape whose backslash is at *at. False when it is none.
static bool read_escape(struct slice text, size_t *at, uint32_t *ret_code)
{
    static const char letters[] = "abfnrtv\\?\"'`", codes[] = "\a\b\f\n\r\t\v\\?\"'`";
    char c = byte_at(text, *at + 1);
    size_t plain = slice_find(slice_make(letters, sizeof letters - 1), c);
    if (plain != SLICE_NOT_FOUND) {
        *at += 2;
        *ret_code = (unsigned char)codes[plain];
        return true;
    }
    if (c >= '0' && c <= '3') {
        *at += 1;
        return read_code(text, at, 3, 8, ret_code);
    }
    *at += 2;
    switch (c) {
    case 'x':
    case 'X':
        return read_code(text, at, 2, 16, ret_code);
    case 'u':
        return read_code(text, at, 4, 16, ret_code);
    case 'U':
        return read_code(text, at, 8, 16, ret_code);
    default:
        return false;
    }
}

// The string whose first quote is at *at.
static struct cel_token lex_string(struct cel_compile *compile, size_t from, size_t *at, bool is_raw)
{
    struct slice text = compile->source->text;
    struct slice quote = slice_sub(text, *at, 1), triple = slice_sub(text, *at, 3);
    bool is_triple = slice_eq(triple, SLICE("\"\"\"")) || slice_eq(triple, SLICE("'''"));
    quote = is_triple ? triple : quote;
    *at += quote.len;
    char *out = arena_alloc(compile->arena, text.len - *at); // an escape is never shorter than its bytes
    size_t len = 0;
    while (out && *at < text.len && !slice_starts_with(slice_from(text, *at), quote)) {
        uint32_t code;
        if (text.ptr[*at] == '\n' && !is_triple)
            break;
        if (is_raw || text.ptr[*at] != '\\') {
            out[len++] = text.ptr[(*at)++];
            continue;
        }
        size_t escape = *at;
        if (!read_escape(text, at, &code))
            return bad(compile, escape, "this escape is unknown or names no character");
        len += encode_utf8(code, out + len);
    }
    if (!out || !slice_starts_with(slice_from(text, *at), quote))
        return bad(compile, from, "this string has no end");
    *at += quote.len;
    struct cel_value value = {.type = CEL_STRING, .text = {out, len}};
    return (struct cel_token){CEL_TOKEN_VALUE, from, slice_sub(text, from, *at - from), value, false};
}

// ---- all ------------------------------------------------------------------------------------------------------

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

static struct cel_token lex_symbol(struct cel_compile *compile, size_t *at)
{
    static const struct slice symbols[] = {
        SLICE_INIT("&&"), SLICE_INIT("||"), SLICE_INIT("=="), SLICE_INIT("!="), SLICE_INIT("<="), SLICE_INIT(">="),
        SLICE_INIT("<"),  SLICE_INIT(">"),  SLICE_INIT("!"),  SLICE_INIT("+"),  SLICE_INIT("-"),  SLICE_INIT("*"),
        SLICE_INIT("/"),  SLICE_INIT("%"),  SLICE_INIT("?"),  SLICE_INIT(":"),  SLICE_INIT("."),  SLICE_INIT(","),
        SLICE_INIT("("),  SLICE_INIT(")"),  SLICE_INIT("["),  SLICE_INIT("]"),
    };
    struct slice rest = slice_from(compile->source->text, *at);
    size_t from = *at;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        if (!slice_starts_with(rest, symbols[i]))
            continue;
        *at += symbols[i].len;
        return (struct cel_token){.kind = CEL_TOKEN_SYMBOL, .at = from, .text = symbols[i]};
    }
    if (rest.ptr[0] == '{' || rest.ptr[0] == '}')
        return bad(compile, from, "maps and messages are not supported here");
    if (rest.ptr[0] == '=')
        return bad(compile, from, "'=' is no operator; did you mean '=='?");
    return bad(compile, from, "this character has no meaning here");
}

struct cel_token cel_lex(struct cel_compile *compile, size_t *at)
{
    struct slice text = compile->source->text;
    size_t from = *at = skip_blanks(text, *at);
    char c = byte_at(text, from), next = byte_at(text, from + 1);
    if (from == text.len)
        return (struct cel_token){.kind = CEL_TOKEN_END, .at = from, .text = SLICE("the end")};
    if (is_digit(c) || (c == '.' && is_digit(next)))
        return lex_number(compile, at);
    if (is_quote(c))
        return lex_string(compile, from, at, false);
    if (ascii_lower(c) == 'r' && is_quote(next)) {
        ++*at;
        return lex_string(compile, from, at, true);
    }
    if (ascii_lower(c) == 'b' && is_quote(next))
        return bad(compile, from, "bytes are not supported here; use a string");
    if (!is_name_byte(c))
        return lex_symbol(compile, at);
    while (is_name_byte(byte_at(text, *at)))
        ++*at;
    return (struct cel_token){.kind = CEL_TOKEN_NAME, .at = from, .text = slice_sub(text, from, *at - from)};
}
