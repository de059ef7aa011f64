// CONNECT.
#include "host/native/tunnel.h"

#define REASON_BYTES_MAX 60

static void write_authority(struct buf *out, struct slice host, uint16_t port)
{
    bool is_v6 = slice_find(host, ':') != SLICE_NOT_FOUND;
    buf_append(out, is_v6 ? SLICE("[") : SLICE(""));
    buf_append(out, host);
    buf_append(out, is_v6 ? SLICE("]:") : SLICE(":"));
    buf_append_u64(out, port);
}

bool tunnel_write_request(struct buf *out, const struct config_forward_proxy *proxy, struct slice host, uint16_t port)
{
    buf_append(out, SLICE("CONNECT "));
    write_authority(out, host, port);
    buf_append(out, SLICE(" HTTP/1.1\r\nhost: "));
    write_authority(out, host, port);
    if (secret_is_set(proxy->authorization)) {
        buf_append(out, SLICE("\r\nproxy-authorization: "));
        buf_append(out, secret_reveal(proxy->authorization));
    }
    return buf_append(out, SLICE("\r\n\r\n")) && !out->has_failed;
}

static size_t head_length(struct slice bytes)
{
    for (size_t at = 0; at + 4 <= bytes.len; at++)
        if (memcmp(bytes.ptr + at, "\r\n\r\n", 4) == 0)
            return at + 4;
    return 0;
}

// RFC 9112 section 4: "HTTP/1.1 200 Connection established", where the words may be absent. 0: no status line.
static unsigned read_status(struct slice head, struct slice *ret_reason)
{
    uint64_t status = 0;
    bool is_version = slice_starts_with(head, SLICE("HTTP/1.1 ")) || slice_starts_with(head, SLICE("HTTP/1.0 "));
    if (!is_version || head.len < 14 || !slice_to_u64(slice_sub(head, 9, 3), 599, &status) || status < 100)
        return 0;
    if (head.ptr[12] != ' ' && head.ptr[12] != '\r')
        return 0;
    size_t end = 12;
    while (head.ptr[end] != '\r') // there is one: the head ends with it
        end++;
    *ret_reason = end > 13 ? slice_sub(head, 13, end - 13) : SLICE("");
    return (unsigned)status;
}

static void write_refusal(struct buf *why, unsigned status, struct slice reason)
{
    buf_printf(why, "it answered %u", status);
    size_t len = reason.len < REASON_BYTES_MAX ? reason.len : REASON_BYTES_MAX;
    if (len)
        buf_append_byte(why, ' ');
    for (size_t i = 0; i < len; i++)
        buf_append_byte(why, reason.ptr[i] >= ' ' && reason.ptr[i] < 0x7f ? reason.ptr[i] : '?');
}

enum tunnel_answer tunnel_read_answer(struct slice bytes, struct buf *why)
{
    bool is_too_long = bytes.len >= TUNNEL_ANSWER_BYTES;
    for (;;) {
        struct slice reason = SLICE("");
        size_t len = head_length(bytes);
        if (len == 0 && !is_too_long)
            return TUNNEL_MORE;
        unsigned status = len ? read_status(slice_sub(bytes, 0, len), &reason) : 0;
        bytes = slice_from(bytes, len);
        if (status >= 100 && status < 200 && status != 101)
            continue;
        if (status >= 200 && status < 300 && bytes.len == 0)
            return TUNNEL_OPEN;
        if (len == 0)
            buf_append(why, SLICE("its answer is too long"));
        else if (status == 0)
            buf_append(why, SLICE("its answer is no HTTP/1.1"));
        else if (status >= 200 && status < 300)
            buf_append(why, SLICE("bytes that nobody asked for came through the tunnel"));
        else
            write_refusal(why, status, reason);
        return TUNNEL_CLOSED;
    }
}
