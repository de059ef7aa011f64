// What all HTTP/2 sessions of a worker share.
#ifndef WEIR_HOST_NATIVE_H2_SHARED_H
#define WEIR_HOST_NATIVE_H2_SHARED_H

#include "base/buf.h"
#include "host/native/list.h"

#include <nghttp2/nghttp2.h>

struct h2_side {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
};

struct h2_shared {
    struct h2_side clients;
    struct h2_side backends;
    struct list flush; // sessions that have something to write (h2_session.flush_node)
    struct buf out;    // frames on their way to the socket
};

// False without memory; h2_shared_fini is needed then, too.
bool h2_shared_init(struct h2_shared *shared);
// Safe on a zeroed one.
void h2_shared_fini(struct h2_shared *shared);
// Writes what the sessions have; at the end of each turn of the loop.
void h2_flush_all(struct h2_shared *shared);

// Where the two sides name what they want to be told (h2.c, upstream_h2.c).
void h2_set_callbacks(nghttp2_session_callbacks *callbacks);
void upstream_h2_set_callbacks(nghttp2_session_callbacks *callbacks);

#endif
