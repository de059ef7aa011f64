// One HTTP/1.1 connection to a backend: connects, sends a request, reads the answer, goes back to its pool.
#ifndef WEIR_HOST_NATIVE_UPSTREAM_H
#define WEIR_HOST_NATIVE_UPSTREAM_H

#include "base/buf.h"
#include "exchange/exchange.h"
#include "host/native/connector.h"
#include "host/native/deadline.h"
#include "host/native/h1.h"
#include "host/native/loop.h"
#include "host/native/net.h"
#include "host/native/tls.h"

#define UPSTREAM_HEAD_BYTES 61440 // S11
#define UPSTREAM_HEAD_FIELDS 100
#define UPSTREAM_EARLY_HEADS 32  // 1xx answers before the one that counts
#define UPSTREAM_BODY_HIGH 65536 // unsent bytes of a streamed request body at which the client is paused

struct stream;
struct endpoint_pool;
struct worker;

enum upstream_state {
    UPSTREAM_CONNECTING, // there is no socket yet
    UPSTREAM_HANDSHAKE,
    UPSTREAM_IDLE,
    UPSTREAM_BUSY,
    UPSTREAM_CLOSED, // waits for the loop to let go of it
};

struct upstream {
    struct loop_io io; // first, so that it can be found from it
    struct worker *worker;
    struct endpoint_pool *pool;
    struct stream *stream; // whose request is under way; NULL when idle
    struct list idle_node;
    struct deadline deadline; // connecting, or idle
    struct tls_session *tls;
    enum upstream_state state;
    bool is_reused;       // has served a request before this one
    bool has_answer;      // some byte of this request's answer has come
    bool has_head;        // the final head has come
    bool is_keep_alive;   // as the answer says
    bool is_spoilt;       // can't be used again
    bool is_head_request; // the answer to HEAD has no body
    bool is_paused;
    bool wants_write_for_read; // TLS: reading waits for the socket to become writable
    bool is_body_ended;        // all of the request's body was handed over
    uint32_t early_heads;      // 1xx answers to this request
    uint32_t requests;         // sent on this connection
    uint32_t max_requests;
    int64_t idle_us; // how long it may be idle
    struct h1_reader reader;
    struct buf held;          // of a response head that came in pieces
    struct buf unsent;        // of what was sent: the rest of the head, or of a streamed body
    const struct slice *body; // the held body's slices, borrowed from the attempt
    size_t body_count;
    size_t body_index;
    size_t body_offset;
    struct connector *connector; // while connecting
    struct net_address address;
    uint8_t address_len; // of the texts, for the log; written when connected
    uint8_t local_len;
    char address_text[NET_ADDRESS_TEXT_MAX];
    char local_text[NET_ADDRESS_TEXT_MAX];
};

// Begins a connection to an endpoint for a stream. NULL: *ret_why.
struct upstream *upstream_connect(struct endpoint_pool *pool, struct stream *stream,
                                  const struct config_traffic *traffic, struct slice *ret_why);
// Whether an idle connection may be used: nothing has come on it that the loop has not told of yet. Its event closes one
// that isn't fit; until then it must not be found again.
bool upstream_is_fit(struct upstream *upstream);
// Gives an idle connection to a stream.
void upstream_assign(struct upstream *upstream, struct stream *stream);
// Sends a request's head, and its held body's slices, which stay valid until the answer is complete or the connection
// is let go. `is_head` for the method HEAD; `is_whole`: no piece of a streamed body follows.
void upstream_send(struct upstream *upstream, struct slice head, const struct slice *body, size_t body_count,
                   bool is_head, bool is_whole);
// Sends a piece of a streamed body (copied when it can't go at once). `is_chunked` as the head said.
void upstream_send_piece(struct upstream *upstream, struct slice piece, bool is_end, bool is_chunked);
// Bytes that wait to be sent; at UPSTREAM_BODY_HIGH whoever feeds a streamed body stops until stream_upstream_drained.
size_t upstream_unsent(const struct upstream *upstream);
// The request went out whole: nothing of its body is looked at any more.
bool upstream_is_sent(const struct upstream *upstream);
// Stops or resumes the reading of the answer.
void upstream_pause(struct upstream *upstream, bool is_paused);
// The stream is through with it: back to the pool if its message was complete, else closed.
void upstream_release(struct upstream *upstream);
// Closes, whatever is under way.
void upstream_abort(struct upstream *upstream);

#endif
