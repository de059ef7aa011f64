// Reading HTTP/2 heads (RFC 9113 section 8.3): fields in as HPACK gives them, one head out, with the verdicts of HTTP/1.1. nghttp2 has checked before what is malformed by itself: names and values byte by byte, the set and order of
// pseudo-fields, fields of the connection. Pure.
#ifndef WEIR_HOST_NATIVE_H2_HEAD_H
#define WEIR_HOST_NATIVE_H2_HEAD_H

#include "base/buf.h"
#include "host/native/h1.h"

#define H2_HEAD_STORED_MAX (512U << 10) // whatever the configuration says
#define H2_HEAD_DECODED_MAX (1U << 20)  // of one head, stored or not; more is an attack on the decoder

// Where a field lies in the collected bytes.
struct h2_span {
    uint32_t name_at;
    uint32_t name_len;
    uint32_t value_at;
    uint32_t value_len;
};

// The head that is coming, or was read last, on one connection (header blocks never interleave). Lives in the
// connection.
struct h2_head {
    struct buf bytes;
    struct buf spans; // struct h2_span each
    struct h1_limits limits;
    struct h2_span method;
    struct h2_span target;
    struct h2_span authority;
    struct h2_span host; // the field; name_len 0: none
    struct h2_span status;
    size_t counted; // bytes, as HTTP/1.1 would have written them
    size_t field_count;
    size_t crumb_count; // cookie fields among them
    bool is_answer;     // not a request's
    enum error_code error;
};

void h2_head_init(struct h2_head *head);
void h2_head_fini(struct h2_head *head);
// A head, or the trailers of a message, begins.
void h2_head_begin(struct h2_head *head, const struct h1_limits *limits, bool is_answer);
// One field more. False: so much was decoded that the connection should end.
bool h2_head_field(struct h2_head *head, struct slice name, struct slice value);
// The head is complete. The slices of *ret_request point into `head` and `spans` until the next h2_head_begin.
// `is_end`: no body follows. ERROR_EXPECTATION comes with a filled *ret_request, other errors do not.
enum error_code h2_head_request(struct h2_head *head, bool is_end, struct h1_spans *spans,
                                struct h1_request *ret_request);
// The same for an answer, 1xx ones too. `is_head`: to a HEAD request. ERROR_UPSTREAM_TOO_LARGE or _MALFORMED where it is
// not good.
enum error_code h2_head_response(struct h2_head *head, bool is_end, bool is_head, struct h1_spans *spans,
                                 struct h1_response *ret_response);
// Lets go of memory beyond a small rest.
void h2_head_trim(struct h2_head *head);

#endif
