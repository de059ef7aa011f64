// What a stream sends its request through: an HTTP/1.1 connection to a backend, or one stream of an HTTP/2 connection; and
// before that, the connection that is being made for it. Lives in the connection or the HTTP/2 stream.
#ifndef WEIR_HOST_NATIVE_BACK_H
#define WEIR_HOST_NATIVE_BACK_H

#include "exchange/exchange.h"

#define BACK_UNSENT_HIGH 65536 // bytes of a streamed request body that wait to be sent: at this the client is paused

struct back;
struct upstream;

struct back_ops {
    // Sends a request's head, and its held body's slices, which stay valid until the answer is complete or the back is let
    // go. `is_whole`: no piece of a streamed body follows. False when the head does not fit.
    bool (*send)(struct back *back, const struct attempt_request *request, struct slice authority, bool is_whole);
    // Sends a piece of a streamed body (copied when it can't go at once).
    void (*send_piece)(struct back *back, struct slice piece, bool is_end);
    // Bytes that wait to be sent; at BACK_UNSENT_HIGH whoever feeds a streamed body stops until stream_upstream_drained.
    size_t (*unsent)(const struct back *back);
    // The request went out whole: nothing of its body is looked at any more.
    bool (*is_sent)(const struct back *back);
    // Stops or resumes the reading of the answer.
    void (*pause)(struct back *back, bool is_paused);
    // The stream is through with it: what it held is kept for others where the messages were complete, else ended.
    void (*release)(struct back *back);
};

struct back {
    const struct back_ops *ops;
    struct upstream *upstream; // the connection
};

static inline bool back_send(struct back *back, const struct attempt_request *request, struct slice authority,
                             bool is_whole)
{
    return back->ops->send(back, request, authority, is_whole);
}

static inline void back_send_piece(struct back *back, struct slice piece, bool is_end)
{
    back->ops->send_piece(back, piece, is_end);
}

static inline size_t back_unsent(const struct back *back)
{
    return back->ops->unsent(back);
}

static inline bool back_is_sent(const struct back *back)
{
    return back->ops->is_sent(back);
}

static inline void back_pause(struct back *back, bool is_paused)
{
    back->ops->pause(back, is_paused);
}

static inline void back_release(struct back *back)
{
    back->ops->release(back);
}

#endif
