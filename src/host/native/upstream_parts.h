// Inside of connections to backends: what their files share. Nobody else includes this.
#ifndef WEIR_HOST_NATIVE_UPSTREAM_PARTS_H
#define WEIR_HOST_NATIVE_UPSTREAM_PARTS_H

#include "host/native/upstream.h"

#define UPSTREAM_PARTS_MAX 64          // slices for one system call
#define UPSTREAM_UNSENT_MAX (1U << 20) // of a streamed body: the high mark, and what one read of the client may add

// ---- the connection (upstream.c) ----------------------------------------------------------------------------------

// Ends the connection. The memory stays until the loop's turn is over, unless there was no socket yet.
void upstream_close(struct upstream *upstream);
// Closes, then tells the stream.
void upstream_fail(struct upstream *upstream, enum error_code error, struct slice why);
// As net_read and net_write, through TLS where that is spoken.
ssize_t upstream_read(struct upstream *upstream, char *bytes, size_t cap);
ssize_t upstream_write(struct upstream *upstream, const struct slice *parts, size_t count);

// How long it may be idle now.
int64_t upstream_idle_us(const struct upstream *upstream);
// The configuration changed meanwhile: the connection goes on in the new one's pool, if that has its endpoint; but
// requests that began before and still wait for a connection come first. `active`: requests under way on it. False when
// there is no place for it any more.
bool upstream_follow_reload(struct upstream *upstream, uint32_t active);

// ---- HTTP/1.1 (upstream_h1.c) -------------------------------------------------------------------------------------

// It is connected.
void upstream_h1_start(struct upstream *upstream);
// Of a connection that a request is under way on, or none.
void upstream_h1_busy_event(struct upstream *upstream, unsigned events);
void upstream_h1_idle_event(struct upstream *upstream, unsigned events);

#endif
