// Paths that two servers could read in two ways.
#include "http/head.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = ascii_lower(c);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

// The byte at `*at`, percent-decoded once; `*at` goes behind it.
static char take_byte(struct slice path, size_t *at)
{
    size_t i = (*at)++;
    if (path.ptr[i] != '%' || path.len - i < 3)
        return path.ptr[i];
    int high = hex_digit(path.ptr[i + 1]);
    int low = hex_digit(path.ptr[i + 2]);
    if (high < 0 || low < 0)
        return '%';
    *at += 2;
    return (char)(high * 16 + low);
}

// RFC 3986 section 3.3: pchar without '%', and '/'.
static const bool is_path_char[256] = {
    ['!'] = 1, ['$'] = 1,         ['&' ... '/'] = 1, ['0' ... '9'] = 1, [':'] = 1, [';'] = 1,
    ['='] = 1, ['@' ... 'Z'] = 1, ['_'] = 1,         ['a' ... 'z'] = 1, ['~'] = 1,
};

bool http_is_target(struct slice target)
{
    size_t at = 0;
    for (; at < target.len && target.ptr[at] != '?'; at++) {
        unsigned char c = (unsigned char)target.ptr[at];
        if (is_path_char[c])
            continue;
        size_t end = at;
        unsigned char decoded = (unsigned char)take_byte(target, &end);
        if (c != '%' || end != at + 3 || decoded < 0x20 || decoded == 0x7f)
            return false;
        at = end - 1;
    }
    for (; at < target.len; at++) {
        unsigned char c = (unsigned char)target.ptr[at];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
    }
    return true;
}

bool http_has_dot_segment(struct slice path)
{
    if (slice_find(path, '.') == SLICE_NOT_FOUND && slice_find(path, '%') == SLICE_NOT_FOUND)
        return false;
    size_t dots = 0;           // that the segment consists of so far
    bool is_dots_only = false; // the first segment begins behind the first '/'
    bool has_parameters = false;
    for (size_t at = 0; at < path.len;) {
        char c = take_byte(path, &at);
        if (c == '/' || c == '\\') {
            if (is_dots_only && (dots == 1 || dots == 2))
                return true;
            dots = 0;
            is_dots_only = true;
            has_parameters = false;
        } else if (c == ';') {
            has_parameters = true;
        } else if (!has_parameters) {
            dots += c == '.';
            is_dots_only = is_dots_only && c == '.';
        }
    }
    return is_dots_only && (dots == 1 || dots == 2);
}

bool http_has_slash_escape(struct slice path)
{
    for (size_t i = 0; i + 2 < path.len; i++)
        if (path.ptr[i] == '%' && (slice_eq_nocase(slice_sub(path, i + 1, 2), SLICE("2f")) ||
                                   slice_eq_nocase(slice_sub(path, i + 1, 2), SLICE("5c"))))
            return true;
    return false;
}
