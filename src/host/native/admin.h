// The admin port: a small HTTP/1.1 server on loopback (GET and HEAD), on the main thread's loop, so that it answers while
// workers are busy and while draining: /health, /ready, /metrics, /config, /routes.
#ifndef WEIR_HOST_NATIVE_ADMIN_H
#define WEIR_HOST_NATIVE_ADMIN_H

#include "base/buf.h"
#include "exchange/snapshot.h"

#include <uv.h>

// What the server tells the admin port. All are called on its loop's thread.
struct admin_source {
    // False with a short reason: draining, no configuration.
    bool (*is_ready)(void *context, struct slice *ret_why);
    // Appends Prometheus text (exposition format 0.0.4); process metrics are added by the admin port.
    void (*metrics)(void *context, struct buf *out);
    // The current snapshot with a reference of the caller's own, or NULL.
    struct snapshot *(*snapshot)(void *context);
    void *context;
};

struct admin;

// Listens on 127.0.0.1 and, where there is IPv6, ::1. `source` is borrowed. NULL when the port can't be had: *ret_why.
struct admin *admin_new(uv_loop_t *loop, uint16_t port, const struct admin_source *source, struct slice *ret_why);
#define ADMIN_LISTENERS_MAX 2
// The same on sockets that listen already, which it takes.
struct admin *admin_new_on(uv_loop_t *loop, const int *take_sockets, size_t count, const struct admin_source *source,
                           struct slice *ret_why);
// Its listening sockets, which stay its own; gives how many.
size_t admin_sockets(const struct admin *admin, int ret_sockets[ADMIN_LISTENERS_MAX]);
// No new connections; those that are open are answered.
void admin_close_listeners(struct admin *admin);
// The port that was got (for port 0).
uint16_t admin_port(const struct admin *admin);
// Closes all handles; memory goes when the loop has run once more.
void admin_free(struct admin *take_admin);

#endif
