// Reading of string bodies 64 bytes at a time. Each block becomes a few 64-bit masks, one bit a byte; which quotes are
// escaped is then arithmetic, not a loop (the carry trick is that of simdjson, Langdale and Lemire 2019). Blocks with
// something rarer than text, `\"`, `\\` and `\n` are walked byte by byte.
#include "json/reader.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define BLOCK_BYTES 64

struct block { // bit i: byte i of the block is ...
    uint64_t quote;
    uint64_t backslash;
    uint64_t letter_n;
    uint64_t rare; // a control byte or not ASCII
};

// The bytes that a backslash escapes. *carry: the block's first byte is escaped (in), the next block's is (out).
static inline uint64_t escaped_bytes(uint64_t backslash, uint64_t *carry)
{
    const uint64_t even = 0x5555555555555555;
    uint64_t first = *carry;
    if (!backslash) {
        *carry = 0;
        return first;
    }
    backslash &= ~first;
    uint64_t follows = backslash << 1 | first;
    // A run of backslashes that begins at an odd bit, plus the run itself, carries out at the run's end.
    uint64_t odd_starts = backslash & ~even & ~follows;
    uint64_t sums;
    *carry = __builtin_add_overflow(odd_starts, backslash, &sums);
    return (even ^ (sums << 1)) & follows;
}

enum block_verdict { BLOCK_PLAIN, BLOCK_CLOSES, BLOCK_RARE };

// What a block means for the string. BLOCK_CLOSES: *ret_quote is the index of the closing quote.
static inline enum block_verdict judge_block(const struct block *block, uint64_t *carry, unsigned *ret_quote)
{
    uint64_t escaped = escaped_bytes(block->backslash, carry);
    uint64_t quote = block->quote & ~escaped;
    uint64_t inside = quote ? (quote & (0 - quote)) - 1 : UINT64_MAX;
    uint64_t odd_escapes = escaped & ~(block->quote | block->backslash | block->letter_n);
    if (__builtin_expect(((block->rare | odd_escapes) & inside) != 0, 0))
        return BLOCK_RARE;
    if (!quote)
        return BLOCK_PLAIN;
    *ret_quote = (unsigned)__builtin_ctzll(quote);
    return BLOCK_CLOSES;
}

// One 64-byte step, the same for every instruction set: advances *at; true when *at is the closing quote (or NULL
// after an error).
static inline __attribute__((always_inline)) bool take_block(struct json_reader *reader, const unsigned char **at,
                                                             const struct block *block, uint64_t *carry)
{
    unsigned quote = 0;
    uint64_t was_escaped = *carry;
    bool is_closed = false;
    switch (judge_block(block, carry, &quote)) {
    case BLOCK_PLAIN:
        *at += BLOCK_BYTES;
        return false;
    case BLOCK_CLOSES:
        *at += quote;
        return true;
    case BLOCK_RARE:
        // An escape that began in the block before is read again from its backslash.
        *at = json_string_step(reader, *at - was_escaped, *at + BLOCK_BYTES, &is_closed);
        *carry = 0;
        return is_closed || !*at;
    }
    return true;
}

static inline struct block classify_sse2(const unsigned char *at)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), letter_n = _mm_set1_epi8('n');
    const __m128i blank = _mm_set1_epi8(' ');
    struct block block = {0, 0, 0, 0};
    for (unsigned i = 0; i < BLOCK_BYTES; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        block.quote |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, quote)) << i;
        block.backslash |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, backslash)) << i;
        block.letter_n |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, letter_n)) << i;
        // Signed: below the blank are the control bytes and all that is not ASCII.
        block.rare |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(blank, bytes)) << i;
    }
    return block;
}

const unsigned char *json_string_sse2(struct json_reader *reader, const unsigned char *at)
{
    uint64_t carry = 0;
    while (reader->end - at >= BLOCK_BYTES) {
        struct block block = classify_sse2(at);
        if (take_block(reader, &at, &block, &carry))
            return at;
    }
    return json_string_scalar(reader, at - carry);
}

#define AVX2 __attribute__((target("avx2,bmi")))

AVX2 static inline uint64_t mask_avx2(__m256i low, __m256i high)
{
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

AVX2 static inline struct block classify_avx2(const unsigned char *at)
{
    const __m256i quote = _mm256_set1_epi8('"'), backslash = _mm256_set1_epi8('\\'), letter_n = _mm256_set1_epi8('n');
    const __m256i blank = _mm256_set1_epi8(' ');
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)at);
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
    return (struct block){
        .quote = mask_avx2(_mm256_cmpeq_epi8(low, quote), _mm256_cmpeq_epi8(high, quote)),
        .backslash = mask_avx2(_mm256_cmpeq_epi8(low, backslash), _mm256_cmpeq_epi8(high, backslash)),
        .letter_n = mask_avx2(_mm256_cmpeq_epi8(low, letter_n), _mm256_cmpeq_epi8(high, letter_n)),
        .rare = mask_avx2(_mm256_cmpgt_epi8(blank, low), _mm256_cmpgt_epi8(blank, high)),
    };
}

AVX2 const unsigned char *json_string_avx2(struct json_reader *reader, const unsigned char *at)
{
    uint64_t carry = 0;
    while (reader->end - at >= BLOCK_BYTES) {
        struct block block = classify_avx2(at);
        if (take_block(reader, &at, &block, &carry))
            return at;
    }
    return json_string_scalar(reader, at - carry);
}

json_string_fn *json_string_pick(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") ? json_string_avx2 : json_string_sse2;
}

#else

json_string_fn *json_string_pick(void)
{
    return json_string_scalar;
}

#endif
