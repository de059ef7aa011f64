// One connection to a backend: made for a stream; then it carries one request after the other in HTTP/1.1 and rests in its
// pool in between (upstream_h1.c), or many at once in HTTP/2 (upstream_h2.h).
#ifndef WEIR_HOST_NATIVE_UPSTREAM_H
#define WEIR_HOST_NATIVE_UPSTREAM_H

#include "base/buf.h"
#include "host/native/back.h"
#include "host/native/connector.h"
#include "host/native/deadline.h"
#include "host/native/h1.h"
#include "host/native/loop.h"
#include "host/native/net.h"
#include "host/native/tls.h"

#define UPSTREAM_HEAD_BYTES 61440 // S11
#define UPSTREAM_HEAD_FIELDS 100
#define UPSTREAM_EARLY_HEADS 32 // 1xx answers before the one that counts

struct config_traffic;
struct stream;
struct endpoint_pool;
struct upstream_h2;
struct worker;

enum upstream_state {
    UPSTREAM_CONNECTING, // there is no socket yet
    UPSTREAM_HANDSHAKE,
    UPSTREAM_IDLE,   // HTTP/1.1
    UPSTREAM_BUSY,   // HTTP/1.1
    UPSTREAM_SHARED, // HTTP/2
    UPSTREAM_CLOSED, // waits for the loop to let go of it
};

struct upstream {
    struct loop_io io; // first, so that it can be found from it
    struct worker *worker;
    struct endpoint_pool *pool;
    struct stream *stream; // that it is made for, or whose HTTP/1.1 request is under way; NULL when idle
    struct back back;      // for that stream
    struct list pool_node; // in endpoint_pool.making, idle or shared
    struct list joiners;   // pool_waiter.node: requests that wait for what becomes of it
    uint32_t joiner_count;
    struct upstream_h2 *h2;   // UPSTREAM_SHARED
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
    bool is_chunked;           // the streamed body goes out in chunks
    uint32_t early_heads;      // 1xx answers to this request
    uint32_t requests;         // sent on this connection
    uint32_t max_requests;
    int64_t idle_us;     // how long it may be idle
    uint32_t h2_streams; // at once, whatever the backend allows
    uint32_t h2_stream_window;
    uint32_t h2_connection_window;
    int64_t h2_ping_us; // between two PINGs; 0: none
    int64_t h2_ping_patience_us;
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
// The limits of the rule that it is used for next.
void upstream_set_limits(struct upstream *upstream, const struct config_traffic *traffic);
// Whether an idle HTTP/1.1 connection may be used: nothing has come on it that the loop has not told of yet. Its event
// closes one that isn't fit; until then it must not be found again.
bool upstream_is_fit(struct upstream *upstream);
// Gives an idle HTTP/1.1 connection to a stream.
void upstream_assign(struct upstream *upstream, struct stream *stream);
// Closes, whatever is under way.
void upstream_abort(struct upstream *upstream);
// No request is under way on it, or waits for it.
bool upstream_is_idle(const struct upstream *upstream);

#endif
