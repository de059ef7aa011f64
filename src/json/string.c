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

// Whether any of eight bytes is a quote, a backslash, a control byte or not ASCII. A subtraction borrows from the next
// byte only where it found such a byte, so there is no false alarm.
static bool has_odd_byte(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101U, highs = ones << 7;
    uint64_t quote = bytes ^ ones * '"', backslash = bytes ^ ones * '\\';
    uint64_t odd = bytes | (bytes - ones * 0x20) | (quote - ones) | (backslash - ones);
    return (odd & highs) != 0;
}

static uint64_t load8(const char *at)
{
    uint64_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

// Whether the text is ASCII that needs no escape, eight bytes a step, the last step overlaps.
static bool is_plain(struct slice text)
{
    uint64_t bytes = 0x2020202020202020U;
    if (text.len < 8) {
        if (text.len)
            memcpy(&bytes, text.ptr, text.len);
        return !has_odd_byte(bytes);
    }
    for (size_t at = 0; at < text.len - 8; at += 8)
        if (has_odd_byte(load8(text.ptr + at)))
            return false;
    return !has_odd_byte(load8(text.ptr + text.len - 8));
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

bool json_write_string(struct buf *buf, struct slice text)
{
    size_t len = buf->len;
    if (text.len < SIZE_MAX - 2 && is_plain(text) && buf_reserve(buf, text.len + 2)) {
        char *at = buf->ptr + len; // most texts need no escape
        at[0] = '"';
        if (text.len)
            memcpy(at + 1, text.ptr, text.len);
        at[text.len + 1] = '"';
        buf->len = len + text.len + 2;
        return true;
    }
    if (buf_append_byte(buf, '"') && write_body(buf, text) && buf_append_byte(buf, '"'))
        return true;
    buf->len = len; // whole or not at all
    return false;
}
