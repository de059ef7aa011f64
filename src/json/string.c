// Strings between their two forms: decoded from the text, written into it. Also plain integers.
#include "json/reader.h"

// ---- decoding -------------------------------------------------------------------------------------------------

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

// The four digits behind `\u`, which a scan has checked.
static uint32_t read_unit(const char *digits)
{
    uint32_t unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit << 4 | hex_value(digits[i]);
    return unit;
}

static bool is_high_surrogate(uint32_t unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low_surrogate(uint32_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

// Reads the code point of the `\u` escape that `*rest` begins with, both halves of a pair. False on a lone surrogate.
static bool read_code_point(struct slice *rest, uint32_t *ret_code)
{
    if (rest->len < 6)
        return false;
    uint32_t unit = read_unit(rest->ptr + 2);
    *rest = slice_from(*rest, 6);
    if (is_low_surrogate(unit))
        return false;
    *ret_code = unit;
    if (!is_high_surrogate(unit))
        return true;
    if (rest->len < 6 || rest->ptr[0] != '\\' || rest->ptr[1] != 'u')
        return false;
    uint32_t low = read_unit(rest->ptr + 2);
    *rest = slice_from(*rest, 6);
    *ret_code = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    return is_low_surrogate(low);
}

static size_t encode_utf8(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

static char plain_escape(char letter)
{
    switch (letter) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter; // " \ /
    }
}

// Decodes the escape that `*rest` begins with. 0 on a lone surrogate or cut text.
static size_t read_escape(struct slice *rest, char out[4])
{
    uint32_t code;
    if (rest->len < 2)
        return 0;
    if (rest->ptr[1] == 'u')
        return read_code_point(rest, &code) ? encode_utf8(code, out) : 0;
    out[0] = plain_escape(rest->ptr[1]);
    *rest = slice_from(*rest, 2);
    return 1;
}

bool json_string_decode_into(struct slice raw, char *out, size_t cap, size_t *ret_len)
{
    struct slice rest = slice_sub(raw, 1, raw.len - 2);
    size_t len = 0;
    while (rest.len) {
        char escape[4];
        size_t plain = slice_find(rest, '\\');
        struct slice piece = slice_sub(rest, 0, plain);
        if (plain == 0) {
            piece = slice_make(escape, read_escape(&rest, escape));
            if (!piece.len)
                return false;
        } else {
            rest = slice_from(rest, piece.len);
        }
        if (piece.len > cap - len)
            return false;
        memcpy(out + len, piece.ptr, piece.len);
        len += piece.len;
    }
    *ret_len = len;
    return true;
}

bool json_string_decode(struct slice raw, struct arena *arena, struct slice *ret_text)
{
    if (raw.len < 2)
        return false;
    struct slice inner = slice_sub(raw, 1, raw.len - 2);
    if (slice_find(inner, '\\') == SLICE_NOT_FOUND) {
        *ret_text = inner;
        return true;
    }
    size_t len;
    char *out = arena_alloc(arena, inner.len); // an escape is never shorter than what it stands for
    if (!out || !json_string_decode_into(raw, out, inner.len, &len))
        return false;
    *ret_text = slice_make(out, len);
    return true;
}

bool json_key_is(struct slice raw, struct slice name)
{
    struct slice rest = slice_sub(raw, 1, raw.len - 2);
    while (rest.len) {
        char escape[4];
        size_t plain = slice_find(rest, '\\');
        struct slice piece = slice_sub(rest, 0, plain);
        if (plain == 0) {
            piece = slice_make(escape, read_escape(&rest, escape));
            if (!piece.len)
                return false;
        } else {
            rest = slice_from(rest, piece.len);
        }
        if (!slice_starts_with(name, piece))
            return false;
        name = slice_from(name, piece.len);
    }
    return name.len == 0;
}

bool json_to_u64(struct slice raw, uint64_t *ret_value)
{
    return slice_to_u64(raw, UINT64_MAX, ret_value);
}

// ---- writing --------------------------------------------------------------------------------------------------

static bool write_escape(struct buf *buf, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btn?fr"; // for 8 to 13; 11 has none
    char text[6] = {'\\', (char)c, '0', '0', hex[c >> 4 & 1], hex[c & 15]};
    if (c == '"' || c == '\\')
        return buf_append(buf, slice_make(text, 2));
    if (c >= 8 && c <= 13 && c != 11) {
        text[1] = letters[c - 8];
        return buf_append(buf, slice_make(text, 2));
    }
    text[1] = 'u';
    return buf_append(buf, slice_make(text, sizeof text));
}

// Sixteen bytes at once, in one register where the processor has such.
typedef signed char bytes16 __attribute__((vector_size(16)));
typedef uint64_t halves16 __attribute__((vector_size(16)));

// Whether any byte is a quote, a backslash, a control byte or not ASCII (signed: below the blank).
static inline bool has_odd_byte(bytes16 bytes)
{
    halves16 odd = (halves16)((bytes < ' ') | (bytes == '"') | (bytes == '\\'));
    return (odd[0] | odd[1]) != 0;
}

// Fewer than 16 bytes: the first and the last of them, which may overlap.
static bool copy_short(char *to, const char *from, size_t len)
{
    uint64_t first = 0x2020202020202020U, last = first; // blanks where there is no text
    if (len >= 8) {
        memcpy(&first, from, 8);
        memcpy(&last, from + len - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + len - 8, &last, 8);
    } else if (len >= 4) {
        memcpy(&first, from, 4);
        memcpy(&last, from + len - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + len - 4, &last, 4);
    } else {
        for (size_t i = 0; i < len; i++)
            first = first << 8 | (unsigned char)(to[i] = from[i]);
    }
    return !has_odd_byte((bytes16)(halves16){first, last});
}

// Copies the text as far as it is ASCII that needs no escape. Whether that was all of it.
static bool copy_plain(char *to, struct slice text)
{
    bytes16 bytes;
    size_t at = 0;
    if (text.len < sizeof bytes)
        return copy_short(to, text.ptr, text.len);
    for (; at < text.len; at += sizeof bytes) {
        if (at > text.len - sizeof bytes) // the last step overlaps
            at = text.len - sizeof bytes;
        memcpy(&bytes, text.ptr + at, sizeof bytes);
        memcpy(to + at, &bytes, sizeof bytes);
        if (has_odd_byte(bytes))
            return false;
    }
    return true;
}

// How many bytes from the start can be written as they are.
static size_t plain_length(struct slice text)
{
    const unsigned char *start = (const unsigned char *)text.ptr, *end = start + text.len, *at = start;
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20) {
        size_t length = *at < 0x80 ? 1 : json_utf8_length(at, end);
        if (!length)
            break;
        at += length;
    }
    return (size_t)(at - start);
}

bool json_is_utf8(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
    size_t length = 1;
    for (; at < end && length; at += length)
        length = *at < 0x80 ? 1 : json_utf8_length(at, end);
    return length > 0;
}

static bool write_body(struct buf *buf, struct slice text)
{
    while (text.len) {
        size_t plain = plain_length(text);
        if (!buf_append(buf, slice_sub(text, 0, plain)))
            return false;
        text = slice_from(text, plain);
        if (!text.len)
            break;
        unsigned char c = (unsigned char)text.ptr[0];
        if (!(c < 0x80 ? write_escape(buf, c) : buf_append(buf, SLICE("\xEF\xBF\xBD"))))
            return false;
        text = slice_from(text, 1);
    }
    return true;
}

// Apart from json_write_string, most of whose texts don't come here: a call of that saves few registers then.
static __attribute__((noinline)) bool write_escaped(struct buf *buf, struct slice text)
{
    size_t from = buf->len;
    if (buf_append_byte(buf, '"') && write_body(buf, text) && buf_append_byte(buf, '"'))
        return true;
    buf->len = from; // whole or not at all
    return false;
}

bool json_write_string(struct buf *buf, struct slice text)
{
    size_t len = text.len + 2; // at least; nothing in memory is so long that this overflows
    if (!buf_reserve(buf, len))
        return false;
    char *at = buf->ptr + buf->len;
    if (!copy_plain(at + 1, text))
        return write_escaped(buf, text);
    at[0] = at[len - 1] = '"';
    buf->len += len;
    return true;
}
