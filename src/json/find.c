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

struct marks { // bit i: byte i of the block is ...
    uint64_t quote;
    uint64_t backslash;
    uint64_t open;
    uint64_t close;
};

// The brackets of both kinds differ in one bit only: '[' | 0x20 is '{', ']' | 0x20 is '}'.
static struct marks find_marks(const char *at)
{
    struct marks marks = {0, 0, 0, 0};
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), bit = _mm_set1_epi8(0x20);
    const __m128i open = _mm_set1_epi8('{'), close = _mm_set1_epi8('}');
    for (unsigned i = 0; i < BLOCK_BYTES; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i folded = _mm_or_si128(bytes, bit);
        marks.quote |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, quote)) << i;
        marks.backslash |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, backslash)) << i;
        marks.open |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(folded, open)) << i;
        marks.close |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(folded, close)) << i;
    }
#else
    for (unsigned i = 0; i < BLOCK_BYTES; i++) {
        marks.quote |= (uint64_t)(at[i] == '"') << i;
        marks.backslash |= (uint64_t)(at[i] == '\\') << i;
        marks.open |= (uint64_t)((at[i] | 0x20) == '{') << i;
        marks.close |= (uint64_t)((at[i] | 0x20) == '}') << i;
    }
#endif
    return marks;
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
    struct marks marks = find_marks(at);
    uint64_t carry = nesting->is_escaped;
    uint64_t escaped = json_escaped_bytes(marks.backslash, &carry);
    uint64_t in_string = running_parity(marks.quote & ~escaped) ^ (nesting->is_in_string ? UINT64_MAX : 0);
    size_t passed = count_brackets(nesting, marks.open & ~in_string, marks.close & ~in_string, len);
    bool is_over = nesting->depth == 1;
    nesting->is_in_string = !is_over && in_string >> (BLOCK_BYTES - 1);
    nesting->is_escaped = !is_over && (len < BLOCK_BYTES ? escaped >> len & 1 : carry);
    return passed;
}

size_t json_pass_nested(struct json_nesting *nesting, struct slice text)
{
    size_t at = 0;
    while (text.len - at >= BLOCK_BYTES) {
        at += pass_block(nesting, text.ptr + at, BLOCK_BYTES);
        if (nesting->depth == 1)
            return at;
    }
    if (at == text.len)
        return at;
    char rest[BLOCK_BYTES] = {0};
    memcpy(rest, text.ptr + at, text.len - at);
    return at + pass_block(nesting, rest, text.len - at);
}
