// One request under way: drives the exchange, between a client's connection and connections to backends.
#ifndef WEIR_HOST_NATIVE_STREAM_H
#define WEIR_HOST_NATIVE_STREAM_H

#include "exchange/exchange.h"
#include "host/native/front.h"
#include "host/native/h1.h"
#include "host/native/pool.h"

struct client;

enum stream_state {
    STREAM_BODY,    // the exchange wants the request body
    STREAM_WAIT,    // until `wait_until_us`, then the next backend is asked for
    STREAM_CONNECT, // a connection is queued for, made, or shaken hands on
    STREAM_ANSWER,  // the request is being sent or was; the answer is awaited or passed on
    STREAM_FLUSH,   // all is said; the last bytes wait for the client to read
};

struct stream {
    struct list node;    // in worker.streams
    struct front *front; // the client
    struct worker *worker;
    struct pools *pools;
    struct exchange *exchange;
    struct attempt *attempt;
    const struct config_backend_ref *ref;
    struct back *back; // the connection that the request goes over, or that is made for it
    struct pool_waiter waiter;
    struct backend_load *load; // counted in as a request; NULL when not
    enum stream_state state;
    enum exchange_end end; // with STREAM_FLUSH
    bool is_streamed;      // BODY_STREAMED
    bool has_streamed;     // a piece of the body went to an upstream: no second connection
    bool is_body_read;     // the client's message is complete
    bool is_retry;
    bool is_retry_load;    // counted in load.retries
    bool has_raced;        // this attempt was sent again once
    bool is_answer_begun;  // a head went to the client
    bool is_sent_whole;    // the client has the whole message
    int64_t wait_until_us; // STREAM_WAIT
    uint64_t body_bytes;   // of the request
    uint64_t sent_bytes;   // of the answer's body
};

// ---- from the client's connection ---------------------------------------------------------------------------------

// Opens the exchange for a parsed head that came over the connection `client`; `front` is whom to answer. NULL: no
// memory.
struct stream *stream_open(struct client *client, struct front *front, size_t listener_id,
                           const struct h1_request *request, enum exchange_want *ret_want);
// Goes on as the exchange said at open; call once, after the front knows the stream.
void stream_start(struct stream *stream, enum exchange_want want);
// Whether body bytes may be given now; if not, the client stops reading until front_resume.
bool stream_takes_body(const struct stream *stream);
// Memory to read the next body bytes into without a copy, when the body is held; {NULL, 0} when they are to be read
// elsewhere. What was put there is given to stream_body before anything else happens to the stream.
struct slice stream_body_space(struct stream *stream, size_t wanted);
void stream_body(struct stream *stream, struct slice piece, bool is_end);
// The end of the body, read into the worker's buffer with nothing behind it: a long one is kept where it lies, and the
// worker has another buffer afterwards.
void stream_body_whole(struct stream *stream, struct slice body);
// The request can't be completed: malformed body, time limit.
void stream_fail(struct stream *stream, enum error_code error);
// What it holds in memory, about.
size_t stream_held_bytes(const struct stream *stream);
// Memory is short: ends it, with what the client can still be told.
void stream_shed(struct stream *stream);
// The client left, or its connection must end now: cancels everything and frees the stream.
void stream_abort(struct stream *stream, enum exchange_end end);
// What was queued for the client has been sent.
void stream_sent(struct stream *stream);
// The client's queue fell below its low mark.
void stream_resume(struct stream *stream);
// The earliest moment at which stream_time must be called.
int64_t stream_deadline_us(const struct stream *stream);
void stream_time(struct stream *stream, int64_t now_us);

// ---- from upstream connections ------------------------------------------------------------------------------------

// stream->back is connected: send.
void stream_upstream_ready(struct stream *stream);
// Its turn in the queue: stream->back is connected (`is_ready`) or connecting, or NULL with a reason.
void stream_upstream_given(struct stream *stream, bool is_ready, struct slice why);
// The connection is gone (it is closed already). `is_race`: a reused one, before any byte of an answer.
void stream_upstream_failed(struct stream *stream, enum error_code error, struct slice why, bool is_race);
// A piece of the answer: the head when it has just come, body bytes, the end.
void stream_upstream_answer(struct stream *stream, const struct h1_response *response, struct slice body, bool is_end);
// Queued bytes of a streamed request body have been sent.
void stream_upstream_drained(struct stream *stream);

#endif
