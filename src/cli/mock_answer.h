// Answers of the mock: whole ones at once, streams and very long ones bit by bit as the socket takes them.
#ifndef WEIR_CLI_MOCK_ANSWER_H
#define WEIR_CLI_MOCK_ANSWER_H

#include "cli/mock_request.h"

enum mock_stream {
    MOCK_STREAM_NONE, // this endpoint never streams
    MOCK_STREAM_CHAT,
    MOCK_STREAM_COMPLETION,
    MOCK_STREAM_RESPONSE,
    MOCK_STREAM_SPEECH,
    MOCK_STREAM_TRANSCRIPT,
};

// An answer under way; lives in its connection and owns its bytes.
struct mock_answer {
    enum mock_stream stream;
    bool is_stream;  // sent as events
    bool is_chunked; // HTTP/1.0 clients get a stream until the close
    bool wants_usage;
    uint64_t serial;
    uint64_t at;     // events made so far
    uint64_t tokens; // events that carry a token
    uint64_t prompt_tokens;
    uint32_t cached_tokens;
    uint32_t reasoning_tokens;
    uint64_t cut_after;
    uint64_t stall_after;
    int64_t interval_us; // between tokens; 0: none
    int64_t due_us;      // of the next token
    uint64_t token_pad;  // bytes added to every token
    struct buf model;    // JSON string, of a stream
    struct buf tool;     // JSON string; empty: no tool is called
    struct buf prefix;   // how every token's event begins
    uint64_t fill;       // whole answers: so many bytes of filler, then `tail`
    struct buf tail;
};

enum mock_step {
    MOCK_STEP_MORE,  // send what was made, then ask again
    MOCK_STEP_WAIT,  // nothing before due_us
    MOCK_STEP_STALL, // nothing ever
    MOCK_STEP_END,   // complete
    MOCK_STEP_CUT,   // send what was made, then close without an end
};

// What an answer needs besides its request; one for each thread.
struct mock_maker {
    struct arena arena; // of one request
    struct arena names_arena;
    const struct json_names *names;
    struct buf body; // scratch: one body or one event
    size_t gap;      // where filler goes into the body
    uint64_t serial;
    int64_t unix_s;
};

void mock_maker_init(struct mock_maker *maker, int64_t unix_s);
void mock_maker_fini(struct mock_maker *maker);
void mock_answer_fini(struct mock_answer *answer);
// Begins the answer to a request: appends the head and what of the body is ready to `out`.
enum mock_step mock_answer_begin(struct mock_answer *answer, struct mock_maker *maker,
                                 const struct mock_request *request, int64_t now_us, struct buf *out);
// Appends what comes next.
enum mock_step mock_answer_next(struct mock_answer *answer, struct mock_maker *maker, int64_t now_us, struct buf *out);
// A plain JSON answer that has nothing to do with models.
void mock_answer_plain(struct buf *out, uint16_t status, struct slice json);

// ---- between the two halves (mock_answer.c, mock_stream.c) ------------------------------------------------------

// Appends a literal.
#define PUT(out, literal) buf_append((out), SLICE(literal))

// The text that the mock says: `tokens` tokens of it, or one.
void mock_write_text(struct buf *out, uint64_t tokens);
void mock_write_token(struct buf *out, uint64_t index);
// `{"prompt_tokens":...}` of chat and completions, `{"input_tokens":...}` of all others.
void mock_write_usage(struct buf *out, const struct mock_answer *answer);
// A whole response object of the responses endpoint, done or just begun; leaves the end of its text in maker->gap.
void mock_write_response(struct mock_maker *maker, const struct mock_answer *answer, bool is_done);
// A stream whose fields are filled in; makes its prefix.
void mock_stream_begin(struct mock_answer *answer, struct mock_maker *maker);
// Makes the next event, bare, in maker->body. False when it is the last.
bool mock_stream_event(struct mock_answer *answer, struct mock_maker *maker);
// Whether the next event carries a token, and so has to wait for its time.
bool mock_stream_is_token(const struct mock_answer *answer);

#endif
