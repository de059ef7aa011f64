// Borrowed bytes. A slice never owns what it points to and is not NUL-terminated.
#ifndef WEIR_BASE_SLICE_H
#define WEIR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

// A slice of a string literal.
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
// The same for static initialisers.
#define SLICE_INIT(literal)                                                                                            \
    {                                                                                                                  \
        "" literal, sizeof(literal) - 1                                                                                \
    }
// For printf-like calls: printf(SLICE_FMT, SLICE_ARG(s)).
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) (int)((s).len > INT32_MAX ? INT32_MAX : (s).len), (s).ptr

#define SLICE_NOT_FOUND SIZE_MAX

// A slice of a NUL-terminated string that we wrote ourselves (never input).
static inline struct slice slice_from_cstr(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline struct slice slice_make(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

// The bytes [from, from + len), cut to what is there.
static inline struct slice slice_sub(struct slice s, size_t from, size_t len)
{
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    if (from) // never so for a NULL pointer, whose length is 0
        s.ptr += from;
    s.len = len;
    return s;
}

static inline struct slice slice_from(struct slice s, size_t from)
{
    return slice_sub(s, from, SIZE_MAX);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_sub(s, 0, prefix.len), prefix);
}

static inline bool slice_ends_with(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

// Index of the first `byte`, or SLICE_NOT_FOUND.
static inline size_t slice_find(struct slice s, char byte)
{
    const char *at = s.len ? memchr(s.ptr, byte, s.len) : NULL;
    return at ? (size_t)(at - s.ptr) : SLICE_NOT_FOUND;
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

// The rest of slice_eq_nocase: both have this length, which is not 0.
bool slice_eq_nocase_bytes(const char *a, const char *b, size_t len);

// ASCII case-insensitive comparison, for header names, host names and the like. Most comparisons fail, and most of these
// by the length or the first byte: that is seen without a call.
static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    return a.len == 0 || (((a.ptr[0] ^ b.ptr[0]) & ~0x20) == 0 && slice_eq_nocase_bytes(a.ptr, b.ptr, a.len));
}

bool slice_starts_with_nocase(struct slice s, struct slice prefix);
// <0, 0, >0 by bytes; a shorter prefix sorts first.
int slice_cmp(struct slice a, struct slice b);
// Index of the first `needle`, or SLICE_NOT_FOUND.
size_t slice_find_slice(struct slice s, struct slice needle);
// Without SP and HTAB at both ends (RFC 9110 OWS).
struct slice slice_trim(struct slice s);
// Cuts off and returns what stands before the first `sep`; *rest holds what follows. Without a `sep` the whole
// is returned and *rest becomes empty with a NULL pointer, so `while (rest.ptr)` walks all parts.
struct slice slice_split(struct slice *rest, char sep);
// Decimal digits only, no sign, no blanks. False when empty, not a number or above `max`.
bool slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value);

#endif
