// Private to the room: what the walk, the cursor and the string readers share about raw text.
#ifndef WEIR_JSON_READER_H
#define WEIR_JSON_READER_H

#include "json/walk.h"

// Reads a string's bytes from behind its opening quote, validates escapes, control bytes and UTF-8 on the way, and
// returns its closing quote; NULL with the reader's status set otherwise. Never reads at or past `end`.
typedef const unsigned char *json_string_fn(struct json_reader *reader, const unsigned char *at);

json_string_fn json_string_scalar;
#if defined(__x86_64__)
json_string_fn json_string_sse2;
json_string_fn json_string_avx2;
#endif
// The fastest of these that the processor knows. No state: the answer is asked of the processor's feature word, which
// the C runtime fills in before main.
json_string_fn *json_string_pick(void);

// Reads on byte by byte until `limit` is reached or passed (never in the midst of a character or an escape), or up to
// the closing quote (*ret_closed). NULL with the reader's status set when something is wrong.
const unsigned char *json_string_step(struct json_reader *reader, const unsigned char *at, const unsigned char *limit,
                                      bool *ret_closed);

// Notes the first error and returns NULL.
const unsigned char *json_fail(struct json_reader *reader, enum json_status status, const unsigned char *at);

static inline bool json_is_blank(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const unsigned char *json_skip_blanks(const unsigned char *at, const unsigned char *end)
{
    // Most tokens stand without blanks: one comparison then.
    while (at < end && *at <= ' ' && json_is_blank(*at))
        at++;
    return at;
}

// Length of a well-formed UTF-8 sequence of two to four bytes at `at` (Unicode 15, table 3-7), 0 when it is none.
size_t json_utf8_length(const unsigned char *at, const unsigned char *end);
// The end of a value in validated text; `end` when the text is cut.
const unsigned char *json_value_end(const unsigned char *at, const unsigned char *end);
// The kind of value that begins with this byte.
enum json_type json_type_of(unsigned char first);
// Whether a raw key (quotes included) decodes to `name`.
bool json_key_is(struct slice raw, struct slice name);

#endif
