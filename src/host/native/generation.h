// What all workers share of one configuration: the snapshot, the health of its backends, their TLS contexts, and the
// load on them, for the circuit breakers, whose limits hold for the whole process. Reference counted across threads.
#ifndef WEIR_HOST_NATIVE_GENERATION_H
#define WEIR_HOST_NATIVE_GENERATION_H

#include "exchange/snapshot.h"
#include "host/native/health.h"
#include "host/native/tls.h"

// Lives as long as a generation has the backend of this name, so that a reload forgets nobody who is under way. Also what
// tells a worker that two backends of two generations are one.
struct backend_load {
    uint32_t references;
    uint32_t connections; // open ones, idle ones too
    uint32_t pending;     // requests that wait for a connection
    uint32_t requests;    // requests under way
    uint32_t retries;     // of these, second and further attempts
    char padding[44];     // one cache line each
};

struct generation {
    struct snapshot *snapshot;
    struct health *health;
    struct backend_load **loads; // by config_backend.id
    struct tls_context ***tls;   // by backend id and endpoint; NULL rows for backends without TLS
    struct tls_server **servers; // by listener id; NULL for listeners without TLS
    uint32_t references;
};

// Takes the snapshot, also on failure: NULL, and a reason in `arena`. What `before` (or NULL) knows of the backends'
// health, the load on them, and TLS contexts whose settings are still the same are carried over. One reference.
struct generation *generation_new(struct snapshot *take_snapshot, const struct generation *before, int64_t now_us,
                                  struct arena *arena, struct slice *ret_why);
struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation *generation);

// Among the listeners of a port (as configured) the one whose host name fits best: exact, then the longest wildcard,
// then none. NULL: none fits. `name` in any case; empty: not given.
const struct config_listener *generation_find_name(const struct generation *generation, uint16_t port,
                                                   struct slice name);
// The first listener of a port, for what is needed before a name is known; NULL when the port is served no more.
const struct config_listener *generation_first_listener(const struct generation *generation, uint16_t port);
// Whether connections to the port begin with TLS; all listeners of a port agree on that.
bool generation_has_tls(const struct generation *generation, uint16_t port);

// Whether connections to the port begin with a PROXY header; all listeners of a port agree on that, too.
enum config_proxy_protocol generation_proxy_protocol(const struct generation *generation, uint16_t port);

// Adds one if that does not go beyond `limit` (0: no limit).
bool load_take(uint32_t *load, uint32_t limit);
void load_give(uint32_t *load);

#endif
