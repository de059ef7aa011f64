// HTTP/2 towards a backend (RFC 9113), by nghttp2: one session on a connection, which carries many requests at once; each
// of them is the back of one `struct stream`.
#ifndef WEIR_HOST_NATIVE_UPSTREAM_H2_H
#define WEIR_HOST_NATIVE_UPSTREAM_H2_H

#include "host/native/h2_session.h"
#include "host/native/upstream_parts.h"

struct upstream_h2 {
    struct h2_session base; // first, so that it can be found from it
    struct upstream *upstream;
    struct list calls;     // that nghttp2 knows (upstream_h2_call.node)
    struct list closed;    // that it has let go of, or never knew
    struct list touched;   // with news for their streams (upstream_h2_call.touched_node)
    struct list owed;      // with a window to give back (upstream_h2_call.owed_node)
    uint32_t open_count;   // calls that nghttp2 has not let go of
    uint32_t used_count;   // calls that a stream holds
    uint64_t received;     // times that something came from the backend
    int64_t idle_until_us; // DEADLINE_NONE: it is not idle
    int64_t ping_next_us;  // DEADLINE_NONE: none is due
    int64_t ping_until_us; // when the answer to the one that was sent is missing; DEADLINE_NONE: none was
    struct slice end_why;  // with is_ended
    bool has_settings;     // of the backend
    bool has_room_news;    // there may be room for more than before
    bool is_settling;      // streams are being told
    bool is_going;         // takes no more requests, ends with the last one
    bool is_suspect;       // an answer did not come: takes no requests until the answer to a PING comes
    bool is_ended;         // by the backend
};

// One request under way. Lives until its stream is through with it and nghttp2 has let go of it.
struct upstream_h2_call {
    struct back back;
    struct upstream_h2 *h2;
    struct stream *stream; // NULL: through with it
    struct list node;
    struct list touched_node;
    struct list owed_node;
    int32_t id;               // 0: not sent yet
    uint32_t reset_code;      // of the backend, with is_reset; else why nghttp2 let go of it
    enum error_code failure;  // what was wrong with the answer
    struct slice failure_why; // a constant
    uint64_t received_before; // h2.received when it was sent
    int64_t sent_us;
    const struct slice *body; // the held body's slices, borrowed from the attempt
    size_t body_count;
    size_t body_index;
    size_t body_offset;
    size_t body_left;     // bytes of them
    struct buf unsent;    // of a streamed body
    size_t unsent_at;     // sent of it
    struct buf held;      // of the answer, while the client does not read; at most a window
    size_t owed_window;   // of the answer's bytes: taken, and not given back to the backend's window
    int64_t answer_left;  // bytes of its content-length; -1: it told none
    uint32_t early_heads; // 1xx answers
    struct deadline linger;
    bool is_first; // on its connection
    bool is_head_request;
    bool is_body_ended; // no more will be added to `unsent`
    bool is_deferred;   // nghttp2 waits for bytes of the body
    bool is_drained;    // enough of `unsent` went: the stream is to be told
    bool is_head_sent;
    bool is_end_sent;
    bool has_head; // the final head has come
    bool is_end_read;
    bool is_whole; // all of the answer has come, though maybe not END_STREAM
    bool is_paused;
    bool is_reset;  // by the backend
    bool is_closed; // nghttp2 has let go of it, or never knew it
};

// ---- for connections ----------------------------------------------------------------------------------------------

// The connection has been made: sends the request of the stream that it was made for, and lets others share it.
void upstream_h2_start(struct upstream *upstream);
void upstream_h2_event(struct upstream_h2 *h2, unsigned events);
// The connection's deadline has come: it was idle for too long, or a PING is due.
void upstream_h2_time(struct upstream_h2 *h2, int64_t now_us);
// GOAWAY, as far as the socket takes it.
void upstream_h2_say_goodbye(struct upstream_h2 *h2);
// Frees the session. No stream holds a call any more. NULL is fine.
void upstream_h2_free(struct upstream_h2 *take_h2);

// ---- for pools ----------------------------------------------------------------------------------------------------

// A place for one more request; NULL when there is none.
struct back *upstream_h2_open(struct upstream_h2 *h2, struct stream *stream);
// No stream holds a call, and nobody is about to look at the session.
bool upstream_h2_is_idle(const struct upstream_h2 *h2);
// Moves the connection, and what is counted for it, to another set's pool, in whose list it stands already.
void upstream_h2_move(struct upstream_h2 *h2, struct endpoint_pool *to);

// ---- between session and calls (upstream_h2_call.c) -----------------------------------------------------------------

struct upstream_h2_call *upstream_h2_call_new(struct upstream_h2 *h2, struct stream *stream);
// A head was read, or trailers.
void upstream_h2_call_head(struct upstream_h2_call *call, bool is_end);
void upstream_h2_call_data(struct upstream_h2_call *call, struct slice piece);
void upstream_h2_call_data_end(struct upstream_h2_call *call);
// Gives back what was taken of the stream's window, unless nothing more can come.
void upstream_h2_call_give_window(struct upstream_h2_call *call);
// Tells the stream what became of it while nghttp2 was on the stack.
void upstream_h2_call_news(struct upstream_h2_call *call);
// nghttp2 has let go of it: tells the stream when its answer is not complete. May free it.
void upstream_h2_call_closed(struct upstream_h2_call *call);
// The connection is lost.
void upstream_h2_call_lost(struct upstream_h2_call *call, enum error_code error, struct slice why);
void upstream_h2_call_free(struct upstream_h2_call *call);
// Takes `len` bytes of the body out; the frame's header was written already. False: no memory.
bool upstream_h2_call_take(struct upstream_h2_call *call, size_t len, struct buf *out);
void upstream_h2_touch(struct upstream_h2_call *call);

#endif
