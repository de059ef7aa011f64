// HTTP/2 towards clients (RFC 9113), by nghttp2: one session hangs on a client's connection, which keeps the socket and
// lends its address texts, limits and time. Each HTTP/2 stream is the front of one `struct stream`.
#ifndef WEIR_HOST_NATIVE_H2_H
#define WEIR_HOST_NATIVE_H2_H

#include "config/model.h"
#include "host/native/deadline.h"
#include "host/native/front.h"
#include "host/native/h2_session.h"
#include "host/native/stream.h"

#define H2_FINISHED_KEPT 64 // closed streams that are remembered to tell what must not come any more

struct client;
struct worker;

enum h2_drain_state { H2_SERVING, H2_NOTICED, H2_GOING };

struct h2 {
    struct h2_session base; // first, so that it can be found from it
    struct client *client;
    struct list streams; // h2_stream.node
    struct list touched; // streams with news for their exchange (h2_stream.touched_node)
    struct list closed;  // streams that nghttp2 has let go of (h2_stream.node)
    struct list owed;    // streams with a window to give back (h2_stream.owed_node)
    struct config_client limits;
    int32_t head_stream;                // whose head is coming; 0: none
    int64_t head_since_us;              // its first byte
    int64_t idle_since_us;              // without streams since
    int64_t going_us;                   // when the second GOAWAY is due
    int32_t finished[H2_FINISHED_KEPT]; // streams that the client ended and that are closed, a ring
    uint32_t finished_count;
    int32_t last_stream;   // the newest that was opened
    int32_t skipped_first; // the newest gap in the client's numbers: such a stream can't be opened any more
    int32_t skipped_end;
    enum h2_drain_state drain;
    uint32_t stream_count;
    bool has_served; // a request at least
};

struct h2_stream {
    struct front front;
    struct h2 *h2;
    struct stream *stream; // NULL: answered, refused, or gone
    struct list node;
    struct list touched_node;
    struct list owed_node;
    struct deadline deadline;
    int32_t id;
    uint32_t error;      // of the end, with is_closed
    struct buf held;     // body bytes that the stream could not take yet; at most a window
    struct buf queue;    // of the answer
    size_t queue_at;     // sent of it
    size_t owed_window;  // body bytes that were taken and not given back to the client's window
    int64_t answer_left; // bytes of a content-length still owed; -1: not counted
    int64_t begun_us;
    int64_t received_us;   // the last body byte
    size_t received_bytes; // since then, less than CLIENT_BODY_STEP
    size_t progress_bytes; // sent since sent_us, less than CLIENT_SEND_STEP
    int64_t sent_us;       // last progress of sending
    int64_t body_idle_us;
    int64_t send_timeout_us;
    int64_t request_until_us;
    int64_t linger_until_us; // the answer is out, the rest of the request is thrown away; 0: not so
    size_t thrown_bytes;
    bool wants_continue;
    bool is_head_request;
    bool is_request_read; // END_STREAM came
    bool is_end_given;    // and was told to the stream
    bool has_answer;      // its head was handed over
    bool has_no_body;     // HEAD, 204, 304
    bool is_answer_ended; // no more will be queued
    bool is_deferred;     // nghttp2 waits for bytes
    bool is_reset;        // by the client
    bool is_closed;       // nghttp2 has let go of it
};

// ---- for connections ----------------------------------------------------------------------------------------------

enum h2_preface { H2_PREFACE_NO, H2_PREFACE_PART, H2_PREFACE_WHOLE };

// Whether a connection begins as HTTP/2 does (RFC 9113 section 3.4).
enum h2_preface h2_preface_in(struct slice bytes);
// NULL: no memory.
struct h2 *h2_new(struct client *client, const struct config_client *limits);
// Ends all streams and frees the session.
void h2_free(struct h2 *h2, enum exchange_end end);
// What was written before has left: more may come.
void h2_writable(struct h2 *h2);
// Nothing more will be read, or is there to be written.
bool h2_is_over(const struct h2 *h2);
// Ends gracefully: GOAWAY twice, then when the last stream has ended.
void h2_drain(struct h2 *h2);
void h2_set_limits(struct h2 *h2, const struct config_client *limits);
// The moment of the next limit of the connection as a whole, and what is to be done then.
int64_t h2_deadline_us(const struct h2 *h2);
void h2_time(struct h2 *h2, int64_t now_us);

// ---- between session and streams ----------------------------------------------------------------------------------

void h2_touch(struct h2_stream *stream);

// Opens a stream for a head that was read; `error` as h2_head_request said. False: no memory.
bool h2_stream_open(struct h2 *h2, int32_t id, const struct h1_request *request, bool is_end, enum error_code error);
void h2_stream_data(struct h2_stream *stream, struct slice piece);
void h2_stream_data_end(struct h2_stream *stream);
// Gives back what was taken of the stream's window, unless nothing more can come.
void h2_stream_give_window(struct h2_stream *stream);
// The answer went out, the request has not come to its end: what still comes is thrown away for a while, so that a
// client that is busy sending sees the answer, before the stream is reset.
void h2_stream_linger(struct h2_stream *stream);
// Tells its exchange what became of queued bytes; of its end. Frees after h2_stream_end.
void h2_stream_news(struct h2_stream *stream);
void h2_stream_end(struct h2_stream *stream, enum exchange_end end);
// nghttp2 asks for body bytes.
nghttp2_ssize h2_stream_read(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t len, uint32_t *flags,
                             nghttp2_data_source *source, void *context);
// Takes `len` queued bytes out; the frame's header was written already. False: no memory.
bool h2_stream_take(struct h2_stream *stream, size_t len, struct buf *out);

#endif
