// What a stream talks to as its client: an HTTP/1.1 connection, or one stream of an HTTP/2 connection. Lives in the
// connection or the HTTP/2 stream.
#ifndef WEIR_HOST_NATIVE_FRONT_H
#define WEIR_HOST_NATIVE_FRONT_H

#include "http/head.h"

#define CLIENT_UNSENT_HIGH 65536 // of an answer: at this the upstream is paused (S11),
#define CLIENT_UNSENT_LOW 32768  // and below this resumed
// Never more of an answer that is still coming: what S11 says, and an event of a stream, which comes whole or not at all.
#define CLIENT_UNSENT_MAX (262144 + 1048576)

struct front;

struct front_ops {
    // Sends 100 (Continue) if the client waits for it.
    void (*go_on)(struct front *front);
    // Prepares a head; it goes out with the next `send`. `body_bytes` -1: unknown. Gives false when the head does not
    // fit.
    bool (*head)(struct front *front, const struct response_head *head, bool has_body, int64_t body_bytes);
    // Sends pieces of the body, with the prepared head before them. False: the client is gone.
    bool (*send)(struct front *front, const struct slice *pieces, size_t count, bool is_end);
    // How many bytes wait to be sent.
    size_t (*unsent)(const struct front *front);
    // The stream has ended and is freed. `is_cut`: the message is not complete and must not look so.
    void (*done)(struct front *front, bool is_cut);
    // Body bytes are wanted again.
    void (*resume)(struct front *front);
    // Time limits changed.
    void (*arm)(struct front *front);
    // The connection can't be used for another request, because the framing of this one is in doubt.
    void (*spoil)(struct front *front);
};

struct front {
    const struct front_ops *ops;
};

// A content-length that was promised must be kept to the byte: what is too much is not sent, and what is missing makes
// the message a cut one. `left`: bytes of it that are still to come; negative: none was promised.
static inline bool front_keeps_length(int64_t *left, size_t bytes, bool is_end)
{
    if (*left < 0)
        return true;
    if (bytes > (uint64_t)*left)
        return false;
    *left -= (int64_t)bytes;
    return !is_end || *left == 0;
}

static inline void front_continue(struct front *front)
{
    front->ops->go_on(front);
}

static inline bool front_head(struct front *front, const struct response_head *head, bool has_body, int64_t body_bytes)
{
    return front->ops->head(front, head, has_body, body_bytes);
}

static inline bool front_send(struct front *front, const struct slice *pieces, size_t count, bool is_end)
{
    return front->ops->send(front, pieces, count, is_end);
}

static inline size_t front_unsent(const struct front *front)
{
    return front->ops->unsent(front);
}

static inline void front_done(struct front *front, bool is_cut)
{
    front->ops->done(front, is_cut);
}

static inline void front_resume(struct front *front)
{
    front->ops->resume(front);
}

static inline void front_arm(struct front *front)
{
    front->ops->arm(front);
}

static inline void front_spoil(struct front *front)
{
    front->ops->spoil(front);
}

#endif
