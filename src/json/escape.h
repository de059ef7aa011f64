// Private to the room: which bytes of a 64-byte block a backslash escapes, as masks of one bit a byte. The carry trick is
// that of simdjson (Langdale and Lemire 2019).
#ifndef WEIR_JSON_ESCAPE_H
#define WEIR_JSON_ESCAPE_H

#include <stdint.h>

// The bytes that a backslash escapes. *carry: the block's first byte is escaped (in), the next block's is (out).
static inline uint64_t json_escaped_bytes(uint64_t backslash, uint64_t *carry)
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

#endif
