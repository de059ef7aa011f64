// Writing HTTP/1.1 heads. Pure: from heads to bytes. The framing fields and `connection` are written here and nowhere
// else; the core's heads come without them.
#ifndef WEIR_HOST_NATIVE_H1_WRITE_H
#define WEIR_HOST_NATIVE_H1_WRITE_H

#include "base/buf.h"
#include "http/head.h"

// How the body of an answer is told to the client.
struct h1_framing {
    enum { H1_SEND_NOTHING, H1_SEND_LENGTH, H1_SEND_CHUNKED, H1_SEND_UNTIL_CLOSE } kind;
    int64_t body_bytes; // H1_SEND_LENGTH
    bool is_close;      // the connection ends after this message
    bool is_client_1_0; // needs "connection: keep-alive" to be kept
};

// Appends an answer's head; false when the buffer refused.
bool h1_write_response(struct buf *buf, const struct response_head *head, const struct h1_framing *framing);
// Appends a request's head. `body_bytes`: -1 chunked, 0 none (a length is written then only for methods that expect a
// body).
bool h1_write_request(struct buf *buf, struct slice method, struct slice target, struct slice authority,
                      const struct fields *fields, int64_t body_bytes);
// Whether a request of this method says its length even when it has no body (RFC 9110 section 8.6).
bool h1_method_expects_body(struct slice method);
// The line that begins a chunk, into `line` (at least 20 bytes). `len` must not be 0.
struct slice h1_chunk_line(char *line, size_t len);

#endif
