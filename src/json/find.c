// SSE2 is part of x86-64, so there is nothing to choose at run time here.
#include "json/find.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static bool ends_plain_string(unsigned char c)
{
    return c == '"' || c == '\\';
}

// The brackets of both kinds differ in one bit only: '[' | 0x20 is '{', ']' | 0x20 is '}'.
static bool is_bracket(unsigned char c)
{
    return c == '"' || (c | 0x20) == '{' || (c | 0x20) == '}';
}

size_t json_find_in_string(struct slice text)
{
    size_t at = 0;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    for (; text.len - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text.ptr + at));
        __m128i hits = _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        int mask = _mm_movemask_epi8(hits);
        if (mask)
            return at + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; at < text.len; at++)
        if (ends_plain_string((unsigned char)text.ptr[at]))
            return at;
    return SLICE_NOT_FOUND;
}

size_t json_find_bracket(struct slice text)
{
    size_t at = 0;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), bit = _mm_set1_epi8(0x20);
    const __m128i open = _mm_set1_epi8('{'), close = _mm_set1_epi8('}');
    for (; text.len - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text.ptr + at));
        __m128i folded = _mm_or_si128(bytes, bit);
        __m128i brackets = _mm_or_si128(_mm_cmpeq_epi8(folded, open), _mm_cmpeq_epi8(folded, close));
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), brackets));
        if (mask)
            return at + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; at < text.len; at++)
        if (is_bracket((unsigned char)text.ptr[at]))
            return at;
    return SLICE_NOT_FOUND;
}
