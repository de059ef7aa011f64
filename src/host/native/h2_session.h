// What HTTP/2 sessions of both sides have in common (RFC 9113, by nghttp2): the head that is being read, the guard
// against floods, and writing. Embedded, first, in the session of a client's connection (h2.h) or of a backend's
// (upstream_h2.h); nghttp2's callbacks get it as their context.
//
// nghttp2's callbacks note what happened and may open and feed streams; whatever frees one waits until no callback is on
// the stack. Frames are written at the end of the loop's turn, those of all streams together.
#ifndef WEIR_HOST_NATIVE_H2_SESSION_H
#define WEIR_HOST_NATIVE_H2_SESSION_H

#include "host/native/h2_guard.h"
#include "host/native/h2_head.h"
#include "host/native/list.h"

#include <nghttp2/nghttp2.h>

struct h2_session;
struct worker;

// What the two sides do differently.
struct h2_session_ops {
    // Bytes given to `write` before still wait for the socket.
    bool (*is_blocked)(const struct h2_session *session);
    // Sends bytes, or keeps them; false when the connection is gone.
    bool (*write)(struct h2_session *session, struct slice bytes);
    // The end of a turn, before writing: what was taken of the streams' windows is given back.
    void (*give_windows)(struct h2_session *session);
    // The end of a turn: everything was written that could be. May free the session.
    void (*settle)(struct h2_session *session);
};

struct h2_session {
    nghttp2_session *ng;
    struct worker *worker;
    const struct h2_session_ops *ops;
    uint64_t *flood_counter;
    struct list flush_node;
    struct h2_head head;
    struct h2_guard guard;
    bool is_in_call;    // nghttp2 is on the stack
    bool is_broken;     // the connection ends without another byte
    bool is_terminated; // a GOAWAY with an error is on its way; nothing more is read
};

void h2_session_init(struct h2_session *session, struct worker *worker, const struct h2_session_ops *ops,
                     uint64_t *flood_counter);
void h2_session_fini(struct h2_session *session);
// Ends the connection with GOAWAY, behind what was said already.
void h2_session_terminate(struct h2_session *session, uint32_t error);
// The same because of a flood.
void h2_session_end_attack(struct h2_session *session);
void h2_session_count_idle_frame(struct h2_session *session);
// Whether a frame that begins is one of those that cost work and bring nothing.
bool h2_session_is_idle_frame(const nghttp2_frame_hd *frame);
// Bytes from the socket.
void h2_session_receive(struct h2_session *session, struct slice bytes);
// While frames are gathered: whether those of DATA have to wait (NGHTTP2_ERR_WOULDBLOCK) until what there is was written.
bool h2_session_is_full(const struct h2_session *session);
// Settles at the end of the loop's turn.
void h2_session_schedule(struct h2_session *session);
// Writes at once what the socket takes; tells nobody of it.
void h2_session_write(struct h2_session *session);

// ---- for nghttp2 --------------------------------------------------------------------------------------------------

nghttp2_nv h2_session_pair(struct slice name, struct slice value);
// Fields that belong to a connection or are written by the host itself.
bool h2_session_is_framing(struct slice name);
// Callbacks and options of both sides.
void h2_session_set_callbacks(nghttp2_session_callbacks *callbacks);
void h2_session_set_options(nghttp2_option *option);

#endif
