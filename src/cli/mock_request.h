// What the mock reads of a request: framing, the wishes in x-mock-* headers, and of the body what an answer needs.
#ifndef WEIR_CLI_MOCK_REQUEST_H
#define WEIR_CLI_MOCK_REQUEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "cli/mock.h"

struct json_names;

#define MOCK_NO_LIMIT UINT64_MAX

struct mock_wishes { // from the options and the x-mock-* headers
    uint16_t status; // 0: the ordinary answer
    struct slice retry_after;
    int64_t delay_us;
    uint64_t cut_after;   // events; MOCK_NO_LIMIT: not at all
    uint64_t stall_after; // events; MOCK_NO_LIMIT: not at all
    bool is_silent;       // never answers
    bool is_reset;
    bool is_echo;
    uint64_t body_bytes; // 0: as it comes
    uint32_t tokens;
    uint32_t rate;
    size_t chunk_bytes;
    uint32_t cached_tokens;
    uint32_t reasoning_tokens;
};

struct mock_request { // borrows the bytes that it was parsed from
    struct slice method;
    struct slice path; // without the query
    struct slice target;
    struct slice fields; // raw header lines, each with its CRLF
    struct slice content_type;
    struct slice body; // whole, chunks taken apart
    bool is_chunked;
    bool must_close; // connection: close, or HTTP/1.0 without keep-alive
    bool is_http10;
    bool wants_continue;
    uint64_t content_length;
    struct mock_wishes wishes;
};

enum mock_parse {
    MOCK_PARSE_DONE,
    MOCK_PARSE_MORE, // *ret_bytes: so many bytes are needed at least (0: unknown)
    MOCK_PARSE_BAD,
};

// Parses one request at the front of `input`. MOCK_PARSE_DONE: *ret_bytes is its length. A chunked body is put
// together in `chunks`, which the request then borrows.
enum mock_parse mock_request_parse(struct slice input, const struct mock_options *options, struct buf *chunks,
                                   struct mock_request *ret_request, size_t *ret_bytes);

// The members of a JSON body (or the parts of a form) that decide the answer.
struct mock_body {
    struct slice model; // JSON string with quotes; `""` when there is none
    uint64_t prompt_bytes;
    uint64_t token_limit; // of max_tokens and its sisters; MOCK_NO_LIMIT: none
    uint64_t inputs;      // of an embedding: how many texts
    uint64_t dimensions;
    uint64_t images;
    bool is_stream;
    bool wants_usage;  // stream_options.include_usage
    bool wants_base64; // encoding_format
    bool is_text;      // response_format of a transcription: plain text
    struct slice tool; // JSON string: name of the function that must be called; empty: none
};

// What mock_body_read looks for; built once for each thread.
const struct json_names *mock_body_names(struct arena *arena);
// False when the body is no JSON object (JSON endpoints).
bool mock_body_read(const struct mock_request *request, const struct json_names *names, struct mock_body *ret_body);
// The same for multipart/form-data; false when it is none.
bool mock_form_read(const struct mock_request *request, struct arena *arena, struct mock_body *ret_body);

#endif
