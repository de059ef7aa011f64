// Operations on borrowed bytes that are too long to stand in the header.
#define _GNU_SOURCE
#include "base/slice.h"

// The bit of the case in each of eight bytes that is an ASCII letter.
static uint64_t case_bits(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101U;
    uint64_t low = (bytes | ones * 0x20) & (ones * 0x7f);
    uint64_t from_a = low + ones * (0x80 - 'a');
    uint64_t past_z = low + ones * (0x7f - 'z');
    return ((from_a ^ past_z) & ~bytes & (ones * 0x80)) >> 2;
}

// Where they differ, it may be in the case of letters alone. Most names are spelt alike.
static bool eq8_nocase(uint64_t a, uint64_t b)
{
    uint64_t differ = a ^ b;
    return __builtin_expect(differ == 0, 1) || (differ & ~case_bits(a)) == 0;
}

static uint64_t load8(const char *at)
{
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

// The first and the last four of 4 to 8 bytes.
static uint64_t load_ends(const char *at, size_t len)
{
    uint32_t first, last;
    memcpy(&first, at, sizeof first);
    memcpy(&last, at + len - sizeof last, sizeof last);
    return (uint64_t)first << 32 | last;
}

// Most calls compare field names, of which many share a length: eight bytes a step, the last step overlaps.
bool slice_eq_nocase_bytes(const char *a, const char *b, size_t len)
{
    if (len < 4) {
        for (size_t i = 0; i < len; i++)
            if (ascii_lower(a[i]) != ascii_lower(b[i]))
                return false;
        return true;
    }
    if (len < 8)
        return eq8_nocase(load_ends(a, len), load_ends(b, len));
    for (size_t i = 0; i < len - 8; i += 8)
        if (!eq8_nocase(load8(a + i), load8(b + i)))
            return false;
    return eq8_nocase(load8(a + len - 8), load8(b + len - 8));
}

bool slice_starts_with_nocase(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq_nocase(slice_sub(s, 0, prefix.len), prefix);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.ptr, b.ptr, shared) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

size_t slice_find_slice(struct slice s, struct slice needle)
{
    if (needle.len == 0)
        return 0;
    const char *at = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return at ? (size_t)(at - s.ptr) : SLICE_NOT_FOUND;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = slice_from(s, 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct slice slice_split(struct slice *rest, char sep)
{
    struct slice whole = *rest;
    size_t at = slice_find(whole, sep);
    if (at == SLICE_NOT_FOUND) {
        *rest = (struct slice){NULL, 0};
        return whole;
    }
    *rest = slice_from(whole, at + 1);
    return slice_sub(whole, 0, at);
}

bool slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10U, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}
