// Reading HTTP/1.1 messages (RFC 9112): llhttp in its strict mode for heads and chunked bodies, and our own checks of
// what it lets pass. Pure: bytes in, heads and body spans out. Message bodies of known length and those that end with
// the connection are counted here without a parser.
#ifndef WEIR_HOST_NATIVE_H1_H
#define WEIR_HOST_NATIVE_H1_H

#include "base/error.h"
#include "http/head.h"

#include <llhttp.h>

#define H1_MAX_FIELDS 1024         // whatever the configuration says
#define H1_MAX_TARGET 65536        // of an absolute-form target without a path
#define H1_MAX_CHUNK_EXTENSION 256 // bytes a chunk (S11)

enum h1_body { H1_BODY_NONE, H1_BODY_LENGTH, H1_BODY_CHUNKED, H1_BODY_UNTIL_CLOSE };

struct h1_limits {
    size_t head_bytes;
    size_t head_fields;
    size_t target_bytes;
};

// Where a head's parts are noted while it is read; one for each thread. The spans point into the bytes given.
struct h1_spans {
    struct slice method;
    struct slice target;
    struct slice version; // "1.1"
    struct slice reason;
    size_t field_count;
    bool is_value_seen; // of the newest field
    struct field fields[H1_MAX_FIELDS];
    char target_text[H1_MAX_TARGET];
};

// One message after another on one connection; lives in the connection.
struct h1_reader {
    llhttp_t parser;
    uint64_t left; // H1_BODY_LENGTH: bytes still to come
    enum error_code error;
    enum h1_body body;
    uint32_t target_bytes;    // of the head that is being read
    uint32_t extension_bytes; // of the chunk that is being read
    uint32_t trailer_bytes;
    uint32_t trailer_fields;
    uint32_t max_trailer_bytes;
    uint32_t max_trailer_fields;
    bool is_complete; // the message has been read to its end
};

enum h1_result {
    H1_MORE,   // more bytes are needed
    H1_READY,  // the head (or this piece of body) is there
    H1_FAILED, // `error` says why; the connection can't be used again
};

struct h1_request {
    struct request_head head;
    int64_t content_length; // as exchange_open wants it: -1 chunked, 0 none
    bool is_keep_alive;
    bool expects_continue;
};

struct h1_response {
    struct response_head head;
    int64_t content_length; // -1 unknown
    bool is_keep_alive;
    bool has_body;
};

// Reads a head. `bytes` begin with its first byte and hold all of it that has come; the first `fed` of them were given
// to an earlier call. READY: *ret_used is the length of the head, the spans point into `bytes`.
enum h1_result h1_read_request(struct h1_reader *reader, struct slice bytes, size_t fed, const struct h1_limits *limits,
                               struct h1_spans *spans, struct h1_request *ret_request, size_t *ret_used);
// The same for an answer. 1xx heads come like others; the caller drops them and reads on. `is_head`: to a HEAD request.
enum h1_result h1_read_response(struct h1_reader *reader, struct slice bytes, size_t fed,
                                const struct h1_limits *limits, bool is_head, struct h1_spans *spans,
                                struct h1_response *ret_response, size_t *ret_used);
// Reads body bytes, in place: *ret_body is the part of them that is content, pushed together at the front when it is
// chunked, maybe empty. *ret_used is less than `len` only when the message is complete (reader->is_complete).
enum h1_result h1_read_body(struct h1_reader *reader, char *bytes, size_t len, struct slice *ret_body,
                            size_t *ret_used);
// The connection was closed by the peer: true when the message is complete thereby.
bool h1_end_of_file(struct h1_reader *reader);

// ---- what HTTP/2 shares -------------------------------------------------------------------------------------------

// Reads the Expect field: sets expects_continue, or gives ERROR_EXPECTATION.
enum error_code h1_check_expect(struct h1_request *request);

#endif
