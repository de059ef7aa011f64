// Reading of string bodies one byte at a time: the reference for the vector readers, their way through blocks with
// rare bytes, and what reads the last bytes of a text.
#include "json/reader.h"

const unsigned char *json_fail(struct json_reader *reader, enum json_status status, const unsigned char *at)
{
    if (reader->status == JSON_OK) {
        reader->status = status;
        reader->error_at = at;
    }
    return NULL;
}

static bool is_continuation(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

size_t json_utf8_length(const unsigned char *at, const unsigned char *end)
{
    size_t left = (size_t)(end - at);
    unsigned char lead = at[0];
    if (lead < 0xC2 || lead > 0xF4 || left < 2 || !is_continuation(at[1]))
        return 0;
    if (lead < 0xE0)
        return 2;
    if (left < 3 || !is_continuation(at[2]))
        return 0;
    if (lead < 0xF0) {
        bool is_overlong = lead == 0xE0 && at[1] < 0xA0;
        bool is_surrogate = lead == 0xED && at[1] > 0x9F;
        return is_overlong || is_surrogate ? 0 : 3;
    }
    if (left < 4 || !is_continuation(at[3]))
        return 0;
    bool is_overlong = lead == 0xF0 && at[1] < 0x90;
    bool is_beyond = lead == 0xF4 && at[1] > 0x8F;
    return is_overlong || is_beyond ? 0 : 4;
}

static bool is_hex(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

// The byte behind an escape that begins at `at`.
static const unsigned char *step_escape(struct json_reader *reader, const unsigned char *at)
{
    if (reader->end - at < 2)
        return json_fail(reader, JSON_SYNTAX, reader->end);
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        for (const unsigned char *digit = at + 2; digit < at + 6; digit++)
            if (digit >= reader->end || !is_hex(*digit))
                return json_fail(reader, JSON_SYNTAX, digit);
        return at + 6;
    default:
        return json_fail(reader, JSON_SYNTAX, at + 1);
    }
}

static const unsigned char *step_character(struct json_reader *reader, const unsigned char *at)
{
    size_t length = json_utf8_length(at, reader->end);
    return length ? at + length : json_fail(reader, JSON_UTF8, at);
}

const unsigned char *json_string_step(struct json_reader *reader, const unsigned char *at, const unsigned char *limit,
                                      bool *ret_closed)
{
    *ret_closed = false;
    while (at && at < limit) {
        unsigned char c = *at;
        if (c == '"') {
            *ret_closed = true;
            return at;
        }
        if (c == '\\')
            at = step_escape(reader, at);
        else if (c < 0x20)
            return json_fail(reader, JSON_SYNTAX, at);
        else if (c < 0x80)
            at++;
        else
            at = step_character(reader, at);
    }
    return at;
}

const unsigned char *json_string_scalar(struct json_reader *reader, const unsigned char *at)
{
    bool is_closed;
    at = json_string_step(reader, at, reader->end, &is_closed);
    if (at && !is_closed)
        return json_fail(reader, JSON_SYNTAX, reader->end);
    return at;
}
