// Strict multipart/form-data: wherever two readers could disagree about where a part begins or what it is called, the
// body is refused, because the gateway routes by one reading and the provider serves by its own (S1).
#include "http/multipart.h"

#include "http/head.h"
#include "http/media_type.h"

#define PARTS_MAX 1024
#define PART_HEADER_BYTES_MAX ((size_t)16 * 1024)
#define BOUNDARY_BYTES_MAX 70 // RFC 2046 section 5.1.1

// RFC 2046 section 5.1.1: bchars.
static bool is_boundary(struct slice text)
{
    static const bool is_bchar[256] = {
        ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['\''] = 1, ['('] = 1, [')'] = 1, ['+'] = 1, ['_'] = 1,
        [','] = 1,         ['-'] = 1,         ['.'] = 1,         ['/'] = 1,  [':'] = 1, ['='] = 1, ['?'] = 1, [' '] = 1,
    };
    if (text.len == 0 || text.len > BOUNDARY_BYTES_MAX || text.ptr[text.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_bchar[(unsigned char)text.ptr[i]])
            return false;
    return true;
}

bool multipart_boundary(struct slice content_type, struct arena *arena, struct slice *ret_boundary)
{
    struct slice value;
    if (!media_type_is(content_type, SLICE("multipart/form-data")) ||
        !media_type_parameter(content_type, SLICE("boundary"), &value) || !is_boundary(value))
        return false;
    struct slice copy = arena_dup(arena, value);
    if (!copy.ptr)
        return false;
    *ret_boundary = copy;
    return true;
}

void multipart_init(struct multipart *reader, struct slice body, struct slice boundary)
{
    *reader = (struct multipart){.body = body, .boundary = boundary};
}

static enum multipart_status bad(struct multipart *reader, const char *why)
{
    reader->why = why;
    return MULTIPART_BAD;
}

// Offset of the CRLF before the next `--boundary`, at or behind `from`.
static size_t find_delimiter(const struct multipart *reader, size_t from)
{
    struct slice rest = slice_from(reader->body, from);
    for (;;) {
        size_t at = slice_find_slice(rest, SLICE("\r\n--"));
        if (at == SLICE_NOT_FOUND)
            return SLICE_NOT_FOUND;
        rest = slice_from(rest, at + 4);
        if (slice_starts_with(rest, reader->boundary))
            return (size_t)(rest.ptr - reader->body.ptr) - 4;
    }
}

// `name` and `filename` escape only what they must; any other backslash is read differently by different servers.
static bool unescape(struct slice text, bool is_name, struct arena *arena, struct slice *ret_text)
{
    if (slice_find(text, '\\') == SLICE_NOT_FOUND) {
        *ret_text = text;
        return true;
    }
    char *out = arena_alloc(arena, text.len);
    size_t len = 0;
    if (!out)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_escape = text.ptr[i] == '\\' && i + 1 < text.len && (text.ptr[i + 1] == '"' || text.ptr[i + 1] == '\\');
        if (text.ptr[i] == '\\' && !is_escape && is_name)
            return false;
        i += is_escape;
        out[len++] = text.ptr[i];
    }
    *ret_text = slice_make(out, len);
    return true;
}

// One `; key=value` of a disposition; takes it off *rest. The value comes without quotes, escapes not resolved.
static bool take_parameter(struct slice *rest, struct slice *ret_key, struct slice *ret_value)
{
    struct slice text = slice_trim(slice_from(*rest, 1));
    size_t equals = slice_find(text, '=');
    if (rest->ptr[0] != ';' || equals == SLICE_NOT_FOUND)
        return false;
    *ret_key = slice_sub(text, 0, equals);
    struct slice value = slice_from(text, equals + 1);
    size_t len = 0;
    if (value.len && value.ptr[0] == '"') {
        for (len = 1; len < value.len && value.ptr[len] != '"'; len++)
            len += value.ptr[len] == '\\';
        if (len >= value.len)
            return false;
        *ret_value = slice_sub(value, 1, len - 1);
        len++;
    } else {
        while (len < value.len && value.ptr[len] != ';' && value.ptr[len] != ' ' && value.ptr[len] != '\t')
            len++;
        *ret_value = slice_sub(value, 0, len);
        if (!http_is_token(*ret_value))
            return false;
    }
    *rest = slice_trim(slice_from(value, len));
    return http_is_token(*ret_key);
}

static const char *read_disposition(struct slice value, struct arena *arena, struct multipart_part *part)
{
    size_t end = slice_find(value, ';');
    if (part->name.ptr)
        return "a part has two content-disposition fields";
    if (end == SLICE_NOT_FOUND || !slice_eq_nocase(slice_trim(slice_sub(value, 0, end)), SLICE("form-data")))
        return "a part's content-disposition is not form-data with a name";
    for (struct slice rest = slice_from(value, end), key, text; rest.len;) {
        if (!take_parameter(&rest, &key, &text))
            return "a part's content-disposition is malformed";
        bool is_name = slice_eq_nocase(key, SLICE("name"));
        bool is_filename = slice_eq_nocase(key, SLICE("filename"));
        if (slice_eq_nocase(key, SLICE("name*")) || (is_name && part->name.ptr) || (is_filename && part->filename.ptr))
            return "a part's content-disposition names it twice";
        if ((is_name || is_filename) && !unescape(text, is_name, arena, is_name ? &part->name : &part->filename))
            return "a part's name holds an escape other than \\\" and \\\\";
        if (slice_eq_nocase(key, SLICE("filename*")) && !part->filename.ptr)
            part->filename = text;
    }
    return part->name.ptr && part->name.len ? NULL : "a part has no name";
}

static bool is_identity(struct slice encoding)
{
    return slice_eq_nocase(encoding, SLICE("7bit")) || slice_eq_nocase(encoding, SLICE("8bit")) ||
           slice_eq_nocase(encoding, SLICE("binary"));
}

static const char *read_field(struct slice line, struct arena *arena, struct multipart_part *part)
{
    size_t colon = slice_find(line, ':');
    if (colon == SLICE_NOT_FOUND)
        return "a part's header line has no colon";
    struct slice name = slice_sub(line, 0, colon);
    struct slice value = slice_trim(slice_from(line, colon + 1));
    if (!http_is_token(name) || !http_is_field_value(value))
        return "a part's header line is malformed";
    if (slice_eq_nocase(name, SLICE("content-disposition")))
        return read_disposition(value, arena, part);
    if (slice_eq_nocase(name, SLICE("content-transfer-encoding")) && !is_identity(value))
        return "a part has a content-transfer-encoding";
    if (slice_eq_nocase(name, SLICE("content-type")))
        part->type = value;
    return NULL;
}

// Reads the header lines in [at, end of the blank line). Sets the offset of the content.
static const char *read_headers(struct multipart *reader, struct arena *arena, struct multipart_part *part)
{
    struct slice rest = slice_sub(reader->body, reader->at, PART_HEADER_BYTES_MAX);
    const char *begin = rest.ptr;
    const char *why = NULL;
    for (;;) {
        size_t end = slice_find_slice(rest, SLICE("\r\n"));
        if (end == SLICE_NOT_FOUND)
            return "a part's headers do not end or are too large";
        struct slice line = slice_sub(rest, 0, end);
        if (line.len == 0)
            break;
        why = read_field(line, arena, part);
        if (why)
            return why;
        rest = slice_from(rest, end + 2);
    }
    part->headers = slice_make(begin, (size_t)(rest.ptr - begin));
    reader->at += part->headers.len + 2;
    return part->name.ptr ? NULL : "a part has no content-disposition";
}

// Behind a `--boundary`: CRLF when a part follows, `--` (and at most one CRLF) at the end of the body.
static enum multipart_status read_delimiter(struct multipart *reader)
{
    struct slice rest = slice_from(reader->body, reader->at);
    if (slice_starts_with(rest, SLICE("\r\n"))) {
        reader->at += 2;
        return MULTIPART_PART;
    }
    if (!slice_starts_with(rest, SLICE("--")))
        return bad(reader, "a boundary is followed by other bytes");
    rest = slice_from(rest, 2);
    if (rest.len && !slice_eq(rest, SLICE("\r\n")))
        return bad(reader, "bytes follow the last boundary");
    reader->is_ended = true;
    return MULTIPART_END;
}

static enum multipart_status read_first_delimiter(struct multipart *reader)
{
    struct slice rest = reader->body;
    if (slice_starts_with(rest, SLICE("\r\n")))
        rest = slice_from(rest, 2);
    if (!slice_starts_with(rest, SLICE("--")) || !slice_starts_with(slice_from(rest, 2), reader->boundary))
        return bad(reader, "the body does not begin with its boundary");
    reader->at = reader->body.len - rest.len + 2 + reader->boundary.len;
    return read_delimiter(reader);
}

enum multipart_status multipart_next(struct multipart *reader, struct arena *arena, struct multipart_part *ret_part)
{
    struct multipart_part part = {0};
    if (reader->why)
        return MULTIPART_BAD;
    if (reader->is_ended)
        return MULTIPART_END;
    enum multipart_status status = reader->at ? read_delimiter(reader) : read_first_delimiter(reader);
    if (status != MULTIPART_PART)
        return status;
    if (reader->part_count++ == PARTS_MAX)
        return bad(reader, "there are more than 1024 parts");
    const char *why = read_headers(reader, arena, &part);
    if (why)
        return bad(reader, why);
    size_t end = find_delimiter(reader, reader->at);
    if (end == SLICE_NOT_FOUND)
        return bad(reader, "the last boundary is missing");
    part.content = slice_sub(reader->body, reader->at, end - reader->at);
    reader->at = end + 4 + reader->boundary.len;
    *ret_part = part;
    return MULTIPART_PART;
}
