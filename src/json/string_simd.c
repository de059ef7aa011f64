// Reading of string bodies 64 bytes at a time. Each block becomes a few 64-bit masks, one bit a byte; which quotes are
// escaped is then arithmetic, not a loop (the carry trick is that of simdjson, Langdale and Lemire 2019). Blocks with
// something rarer than text, `\"`, `\\`, `\n` and `\t` are walked byte by byte; with AVX2, text is all of UTF-8.
#include "json/escape.h"
#include "json/reader.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define BLOCK_BYTES 64

struct block { // bit i: byte i of the block is ...
    uint64_t quote;
    uint64_t backslash;
    uint64_t letter; // n or t
    uint64_t rare;   // a control byte, or what the instruction set has no short way for
    uint64_t broken; // where a UTF-8 sequence is seen to be wrong
};

enum block_verdict { BLOCK_PLAIN, BLOCK_CLOSES, BLOCK_RARE };

// What a block means for the string. BLOCK_CLOSES: *ret_quote is the index of the closing quote.
static inline enum block_verdict judge_block(const struct block *block, uint64_t *carry, unsigned *ret_quote)
{
    uint64_t escaped = json_escaped_bytes(block->backslash, carry);
    uint64_t quote = block->quote & ~escaped;
    uint64_t inside = quote ? quote ^ (quote - 1) : UINT64_MAX; // up to the closing quote and with it
    uint64_t odd_escapes = escaped & ~(block->quote | block->backslash | block->letter);
    if (__builtin_expect(((block->rare | block->broken | odd_escapes) & inside) != 0, 0))
        return BLOCK_RARE;
    if (!quote)
        return BLOCK_PLAIN;
    *ret_quote = (unsigned)__builtin_ctzll(quote);
    return BLOCK_CLOSES;
}

// Back to the lead byte of a character that began before `at` and does not end there; else `at`.
static const unsigned char *character_start(const unsigned char *start, const unsigned char *at)
{
    static const unsigned char leads[] = {0xC0, 0xE0, 0xF0}; // of what has more than 1, 2, 3 bytes
    for (int back = 1; back <= 3 && at - back >= start; back++)
        if (at[-back] >= 0xC0)
            return at[-back] >= leads[back - 1] ? at - back : at;
    return at;
}

// One 64-byte step, the same for every instruction set: advances *at; true when *at is the closing quote (or NULL
// after an error).
static inline __attribute__((always_inline)) bool take_block(struct json_reader *reader, const unsigned char *start,
                                                             const unsigned char **at, const struct block *block,
                                                             uint64_t *carry)
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
        // An escape or a character that began in the block before is read again from its first byte.
        *at = json_string_step(reader, character_start(start, *at - was_escaped), *at + BLOCK_BYTES, &is_closed);
        *carry = 0;
        return is_closed || !*at;
    }
    return true;
}

// Without a byte shuffle (SSSE3) there is no short way to check UTF-8: what is not ASCII is rare here.
static inline struct block classify_sse2(const unsigned char *at)
{
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), blank = _mm_set1_epi8(' ');
    const __m128i n = _mm_set1_epi8('n'), t = _mm_set1_epi8('t');
    struct block block = {0, 0, 0, 0, 0};
    for (unsigned i = 0; i < BLOCK_BYTES; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
        __m128i letter = _mm_or_si128(_mm_cmpeq_epi8(bytes, n), _mm_cmpeq_epi8(bytes, t));
        block.quote |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, quote)) << i;
        block.backslash |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, backslash)) << i;
        block.letter |= (uint64_t)(unsigned)_mm_movemask_epi8(letter) << i;
        // Signed: below the blank are the control bytes and all that is not ASCII.
        block.rare |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(blank, bytes)) << i;
    }
    return block;
}

const unsigned char *json_string_sse2(struct json_reader *reader, const unsigned char *at)
{
    const unsigned char *start = at;
    uint64_t carry = 0;
    while (reader->end - at >= BLOCK_BYTES) {
        struct block block = classify_sse2(at);
        if (take_block(reader, start, &at, &block, &carry))
            return at;
    }
    return json_string_scalar(reader, at - carry);
}

// ---- AVX2 -----------------------------------------------------------------------------------------------------

#define AVX2 __attribute__((target("avx2,bmi")))

AVX2 static inline uint64_t mask_avx2(__m256i low, __m256i high)
{
    return (uint64_t)(uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

AVX2 static inline __m256i either_avx2(__m256i bytes, char one, char other)
{
    return _mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(one)),
                           _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(other)));
}

AVX2 static inline __m256i below_blank_avx2(__m256i bytes)
{
    return _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes);
}

AVX2 static inline struct block classify_avx2(__m256i low, __m256i high)
{
    const __m256i quote = _mm256_set1_epi8('"'), backslash = _mm256_set1_epi8('\\');
    return (struct block){
        .quote = mask_avx2(_mm256_cmpeq_epi8(low, quote), _mm256_cmpeq_epi8(high, quote)),
        .backslash = mask_avx2(_mm256_cmpeq_epi8(low, backslash), _mm256_cmpeq_epi8(high, backslash)),
        .letter = mask_avx2(either_avx2(low, 'n', 't'), either_avx2(high, 'n', 't')),
        .rare = mask_avx2(below_blank_avx2(low), below_blank_avx2(high)),
    };
}

// UTF-8 by table lookup (Keiser and Lemire, "Validating UTF-8 In Less Than One Instruction Per Byte", 2021). Each bit is
// one way in which two bytes in a row can be wrong; the three nibbles that tell are looked up and what all three allow
// is an error. TWO_CONTS alone is none when the byte must be a third or fourth one.
enum utf8_error {
    TOO_SHORT = 1 << 0, // a lead byte, then none that continues it
    TOO_LONG = 1 << 1,  // ASCII, then one that continues
    OVERLONG_3 = 1 << 2,
    TOO_LARGE = 1 << 3, // beyond U+10FFFF
    SURROGATE = 1 << 4,
    OVERLONG_2 = 1 << 5,
    TOO_LARGE_1000 = 1 << 6,
    OVERLONG_4 = 1 << 6,
    TWO_CONTS = 1 << 7,
    ANY_LOW = TOO_SHORT | TOO_LONG | TWO_CONTS, // told by the high nibbles alone
};

#define NIBBLE_TABLE(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
#define C(bits) ((char)(bits))

AVX2 static inline __m256i high_nibbles(__m256i bytes)
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
}

AVX2 static inline __m256i special_cases(__m256i bytes, __m256i before)
{
    const __m256i first_high =
        NIBBLE_TABLE(TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, C(TWO_CONTS),
                     C(TWO_CONTS), C(TWO_CONTS), C(TWO_CONTS), TOO_SHORT | OVERLONG_2, TOO_SHORT,
                     TOO_SHORT | OVERLONG_3 | SURROGATE, TOO_SHORT | TOO_LARGE | TOO_LARGE_1000);
    const char large = C(ANY_LOW | TOO_LARGE | TOO_LARGE_1000);
    const __m256i first_low =
        NIBBLE_TABLE(C(ANY_LOW | OVERLONG_3 | OVERLONG_2 | OVERLONG_4), C(ANY_LOW | OVERLONG_2), C(ANY_LOW), C(ANY_LOW),
                     C(ANY_LOW | TOO_LARGE), large, large, large, large, large, large, large, large,
                     C(ANY_LOW | TOO_LARGE | TOO_LARGE_1000 | SURROGATE), large, large);
    const char late = C(TOO_LONG | OVERLONG_2 | TWO_CONTS | SURROGATE | TOO_LARGE);
    const __m256i second_high =
        NIBBLE_TABLE(TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
                     C(TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4),
                     C(TOO_LONG | OVERLONG_2 | TWO_CONTS | OVERLONG_3 | TOO_LARGE), late, late, TOO_SHORT, TOO_SHORT,
                     TOO_SHORT, TOO_SHORT);
    __m256i low_nibbles = _mm256_and_si256(before, _mm256_set1_epi8(0x0F));
    return _mm256_and_si256(_mm256_and_si256(_mm256_shuffle_epi8(first_high, high_nibbles(before)),
                                             _mm256_shuffle_epi8(first_low, low_nibbles)),
                            _mm256_shuffle_epi8(second_high, high_nibbles(bytes)));
}

// The 32 bytes that stand `back` places before those of `bytes`, `previous` being the 32 before them.
#define SHIFTED(previous, bytes, back)                                                                                 \
    _mm256_alignr_epi8(bytes, _mm256_permute2x128_si256(previous, bytes, 0x21), 16 - (back))

// All ones where no error is.
AVX2 static inline __m256i good_utf8(__m256i previous, __m256i bytes)
{
    __m256i cases = special_cases(bytes, SHIFTED(previous, bytes, 1));
    __m256i third = _mm256_subs_epu8(SHIFTED(previous, bytes, 2), _mm256_set1_epi8(0xE0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(SHIFTED(previous, bytes, 3), _mm256_set1_epi8(0xF0 - 0x80));
    __m256i must_continue = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8(C(0x80)));
    return _mm256_cmpeq_epi8(_mm256_xor_si256(must_continue, cases), _mm256_setzero_si256());
}

AVX2 const unsigned char *json_string_avx2(struct json_reader *reader, const unsigned char *at)
{
    const unsigned char *start = at;
    uint64_t carry = 0;
    __m256i previous = _mm256_setzero_si256(); // the last 32 bytes taken; only what is not ASCII in them matters
    while (reader->end - at >= BLOCK_BYTES) {
        __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)at);
        __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
        struct block block = classify_avx2(low, high);
        if (mask_avx2(_mm256_or_si256(low, previous), high))
            block.broken = ~mask_avx2(good_utf8(previous, low), good_utf8(low, high));
        const unsigned char *next = at + BLOCK_BYTES;
        if (take_block(reader, start, &at, &block, &carry))
            return at;
        // Behind a block that was walked byte by byte, `at` may be elsewhere, but is between two characters.
        previous = at == next ? high : _mm256_setzero_si256();
    }
    return json_string_scalar(reader, character_start(start, at - carry));
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
