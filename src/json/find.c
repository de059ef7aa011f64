// SSE2 is part of x86-64, so there is nothing to choose at run time here.
#include "json/find.h"

#include "json/escape.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static bool ends_plain_string(unsigned char c)
{
    return c == '"' || c == '\\';
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

// ---- nested text ----------------------------------------------------------------------------------------------

#define BLOCK_BYTES 64

// Bit i: byte i of the block, with the bits of `fold` set, is `byte`.
static uint64_t find_byte(const char *at, char byte, char fold)
{
    uint64_t found = 0;
#if defined(__SSE2__)
    for (unsigned i = 0; i < BLOCK_BYTES; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i equal = _mm_cmpeq_epi8(_mm_or_si128(bytes, _mm_set1_epi8(fold)), _mm_set1_epi8(byte));
        found |= (uint64_t)(unsigned)_mm_movemask_epi8(equal) << i;
    }
#else
    for (unsigned i = 0; i < BLOCK_BYTES; i++)
        found |= (uint64_t)((at[i] | fold) == byte) << i;
#endif
    return found;
}

// Bit i is the parity of the bits up to and with i: set from an opening quote on, clear from its closing one on.
static uint64_t running_parity(uint64_t bits)
{
    for (unsigned shift = 1; shift < BLOCK_BYTES; shift *= 2)
        bits ^= bits << shift;
    return bits;
}

// Counts brackets in the order of the text. Gives the index behind the one that brings the depth down to 1, else `len`.
static size_t count_brackets(struct json_nesting *nesting, uint64_t open, uint64_t close, size_t len)
{
    for (uint64_t both = open | close; both; both &= both - 1) {
        uint64_t lowest = both & (~both + 1);
        if (open & lowest)
            nesting->depth++;
        else if (--nesting->depth == 1)
            return (size_t)__builtin_ctzll(lowest) + 1;
    }
    return len;
}

// The `len` bytes of a block that count, 1 to BLOCK_BYTES; the others are zeros.
static size_t pass_block(struct json_nesting *nesting, const char *at, size_t len)
{
    uint64_t carry = nesting->is_escaped;
    uint64_t escaped = json_escaped_bytes(find_byte(at, '\\', 0), &carry);
    uint64_t quote = find_byte(at, '"', 0) & ~escaped;
    uint64_t in_string = running_parity(quote) ^ (nesting->is_in_string ? UINT64_MAX : 0);
    size_t passed = len;
    if (in_string != UINT64_MAX) {
        // The brackets of both kinds differ in one bit only: '[' | 0x20 is '{', ']' | 0x20 is '}'.
        uint64_t open = find_byte(at, '{', 0x20), close = find_byte(at, '}', 0x20);
        passed = count_brackets(nesting, open & ~in_string, close & ~in_string, len);
    }
    bool is_over = nesting->depth == 1;
    nesting->is_in_string = !is_over && in_string >> (BLOCK_BYTES - 1);
    nesting->is_escaped = !is_over && (len < BLOCK_BYTES ? escaped >> len & 1 : carry);
    return passed;
}

static size_t pass_first_block(struct json_nesting *nesting, struct slice text)
{
    if (text.len >= BLOCK_BYTES)
        return pass_block(nesting, text.ptr, BLOCK_BYTES);
    char block[BLOCK_BYTES] = {0};
    memcpy(block, text.ptr, text.len);
    return pass_block(nesting, block, text.len);
}

size_t json_pass_nested(struct json_nesting *nesting, struct slice text)
{
    struct slice rest = text;
    while (rest.len && nesting->depth > 1) {
        if (nesting->is_in_string && !nesting->is_escaped) { // most of a long string is plain: found in smaller steps
            size_t plain = json_find_in_string(rest);
            if (plain == SLICE_NOT_FOUND)
                return text.len;
            rest = slice_from(rest, plain);
        }
        rest = slice_from(rest, pass_first_block(nesting, rest));
    }
    return text.len - rest.len;
}
