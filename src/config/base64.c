#include "config/base64.h"

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

bool base64_decode(struct slice text, struct arena *arena, struct slice *ret_bytes)
{
    char *out = arena_alloc(arena, text.len / 4 * 3 + 4);
    size_t len = 0;
    size_t digits = 0;
    size_t pads = 0;
    uint32_t bits = 0;
    if (!out)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (is_blank(c))
            continue;
        int value = sextet(c);
        if (c == '=') {
            pads++;
            continue;
        }
        if (value < 0 || pads)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (++digits % 4 != 1)
            out[len++] = (char)(bits >> (6 - 2 * ((digits - 1) % 4)) & 0xff);
    }
    // A last group of two or three digits is filled up by pads, and its spare bits are zero.
    size_t tail = digits % 4;
    if (tail == 1 || pads != (4 - tail) % 4)
        return false;
    if ((tail == 2 && bits & 0xf) || (tail == 3 && bits & 0x3))
        return false;
    *ret_bytes = slice_make(out, len);
    return true;
}

struct slice base64_encode(struct slice bytes, struct slice prefix, struct arena *arena)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = prefix.len + (bytes.len + 2) / 3 * 4;
    char *out = arena_alloc(arena, len), *to = out;
    if (!out)
        return slice_make(NULL, 0);
    memcpy(to, prefix.ptr, prefix.len);
    to += prefix.len;
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t group = 0;
        for (size_t j = 0; j < 3; j++)
            group = group << 8 | (i + j < bytes.len ? (unsigned char)bytes.ptr[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            *to++ = i + j <= bytes.len ? letters[group >> (18 - 6 * j) & 63] : '=';
    }
    return slice_make(out, len);
}
