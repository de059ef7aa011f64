// Heads to bytes.
#include "host/native/h1_write.h"

static void put(struct buf *buf, struct slice s)
{
    memcpy(buf->ptr + buf->len, s.ptr, s.len);
    buf->len += s.len;
}

// Fields that the host writes itself; a stray one in a head from the core must not double them.
static bool is_framing(struct slice name)
{
    switch (name.len) {
    case 10:
        return slice_eq_nocase(name, SLICE("connection")) || slice_eq_nocase(name, SLICE("keep-alive"));
    case 14:
        return slice_eq_nocase(name, SLICE("content-length"));
    case 16:
        return slice_eq_nocase(name, SLICE("proxy-connection"));
    case 17:
        return slice_eq_nocase(name, SLICE("transfer-encoding"));
    case 7:
        return slice_eq_nocase(name, SLICE("trailer")) || slice_eq_nocase(name, SLICE("upgrade"));
    default:
        return false;
    }
}

static bool put_fields(struct buf *buf, const struct fields *fields)
{
    size_t bytes = 0;
    for (size_t i = 0; i < fields->count; i++)
        bytes += fields->items[i].name.len + fields->items[i].value.len + 4;
    if (!buf_reserve(buf, bytes))
        return false;
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (is_framing(field->name))
            continue;
        put(buf, field->name);
        put(buf, SLICE(": "));
        put(buf, field->value);
        put(buf, SLICE("\r\n"));
    }
    return true;
}

static bool put_response_framing(struct buf *buf, const struct h1_framing *framing)
{
    if (framing->kind == H1_SEND_CHUNKED)
        buf_append(buf, SLICE("transfer-encoding: chunked\r\n"));
    if (framing->kind == H1_SEND_LENGTH) {
        buf_append(buf, SLICE("content-length: "));
        buf_append_i64(buf, framing->body_bytes);
        buf_append(buf, SLICE("\r\n"));
    }
    if (framing->is_close)
        buf_append(buf, SLICE("connection: close\r\n"));
    else if (framing->is_client_1_0)
        buf_append(buf, SLICE("connection: keep-alive\r\n"));
    return buf_append(buf, SLICE("\r\n"));
}

bool h1_write_response(struct buf *buf, const struct response_head *head, const struct h1_framing *framing)
{
    struct slice reason = head->reason.len ? head->reason : http_reason(head->status);
    buf_append(buf, SLICE("HTTP/1.1 "));
    buf_append_u64(buf, head->status);
    buf_append_byte(buf, ' ');
    buf_append(buf, reason);
    buf_append(buf, SLICE("\r\n"));
    return put_fields(buf, &head->fields) && put_response_framing(buf, framing) && !buf->has_failed;
}

bool h1_method_expects_body(struct slice method)
{
    return slice_eq(method, SLICE("POST")) || slice_eq(method, SLICE("PUT")) || slice_eq(method, SLICE("PATCH"));
}

bool h1_write_request(struct buf *buf, struct slice method, struct slice target, struct slice authority,
                      const struct fields *fields, int64_t body_bytes)
{
    buf_append(buf, method);
    buf_append_byte(buf, ' ');
    buf_append(buf, target);
    buf_append(buf, SLICE(" HTTP/1.1\r\nhost: "));
    buf_append(buf, authority);
    buf_append(buf, SLICE("\r\n"));
    if (!put_fields(buf, fields))
        return false;
    if (body_bytes < 0) {
        buf_append(buf, SLICE("transfer-encoding: chunked\r\n"));
    } else if (body_bytes > 0 || h1_method_expects_body(method)) {
        buf_append(buf, SLICE("content-length: "));
        buf_append_i64(buf, body_bytes);
        buf_append(buf, SLICE("\r\n"));
    }
    return buf_append(buf, SLICE("\r\n")) && !buf->has_failed;
}

struct slice h1_chunk_line(char *line, size_t len)
{
    char digits[16];
    size_t count = 0, at = 0;
    for (; len; len >>= 4)
        digits[count++] = "0123456789abcdef"[len & 15];
    while (count)
        line[at++] = digits[--count];
    line[at++] = '\r';
    line[at++] = '\n';
    return slice_make(line, at);
}
