// UTF-8 and the characters that YAML admits.
#include "config/printable.h"

// Length of the UTF-8 sequence at `at`, of which `left` bytes are there, and its code point; 0 when it is malformed
// (RFC 3629, section 4).
static size_t decode(const char *at, size_t left, uint32_t *ret_point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)at[0];
    size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
    if (len == 0 || len > left)
        return 0;
    uint32_t point = len == 1 ? first : first & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | ((unsigned char)at[i] & 0x3f);
    }
    if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return 0;
    *ret_point = point;
    return len;
}

// c-printable of YAML 1.2.2, section 5.1.
static bool is_printable(uint32_t point)
{
    if (point < 0x20 || point == 0x7f)
        return point == '\t' || point == '\n' || point == '\r';
    return point < 0x7f || point == 0x85 || (point >= 0xa0 && point != 0xfffe && point != 0xffff);
}

size_t printable_find_bad(struct slice text)
{
    uint32_t point = 0;
    for (size_t at = 0; at < text.len;) {
        size_t len = decode(text.ptr + at, text.len - at, &point);
        if (len == 0 || !is_printable(point))
            return at;
        at += len;
    }
    return SLICE_NOT_FOUND;
}
