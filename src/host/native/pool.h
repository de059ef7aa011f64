// Connections to backends, kept for reuse: for each worker and configuration one pool an endpoint. Chooses among a
// backend's endpoints, counts against the circuit breakers, lets requests wait when all connections are taken.
#ifndef WEIR_HOST_NATIVE_POOL_H
#define WEIR_HOST_NATIVE_POOL_H

#include "host/native/upstream.h"
#include "host/native/worker.h"

struct stream;

struct endpoint_pool {
    struct backend_pool *backend;
    const struct config_endpoint *config;
    struct tls_context *tls; // NULL: plaintext. Borrowed from the generation
    struct list idle;        // connections, the one used last first
    uint32_t active;         // requests under way or connecting
    struct connector_memory memory;
};

struct backend_pool {
    struct pools *pools;
    const struct config_backend *config;
    struct backend_load *load;
    struct endpoint_pool *endpoints;
    size_t turn;         // round robin
    struct list waiting; // streams that wait for a connection (pool_waiter.node)
};

struct pools {
    struct worker *worker;
    struct generation *generation; // holds a reference
    struct health_view health;
    struct backend_pool *backends;
    size_t backend_count;
    size_t users; // streams and open connections; a retired set goes with the last
    bool is_retired;
    size_t waiting_count;
    struct list node;               // in worker.all_pools
    struct logsink_channel ***logs; // by listener and log index; rows may be NULL
};

// A request's place in a queue; lives in its stream.
struct pool_waiter {
    struct list node;
    struct backend_pool *backend; // NULL: not waiting
    const struct config_traffic *traffic;
};

struct pools *pools_new(struct worker *worker, struct generation *generation);
// A newer configuration came: its pools take over idle connections to endpoints that it still has, the others close. Frees
// the set when its last user has gone. `successor` may be NULL.
void pools_retire(struct pools *pools, struct pools *successor);
// Closes connections that no request is under way on.
void pools_close_idle(struct pools *pools);
// Of a retired set: the pool of the worker's present set for the same endpoint of the same backend, NULL when there is none.
struct endpoint_pool *pool_successor(const struct endpoint_pool *endpoint);
// Moves a connection that no request is under way on, and what is counted for it, to another set's pool.
void pool_adopt(struct endpoint_pool *to, struct upstream *upstream);
void pools_use(struct pools *pools);
void pools_unuse(struct pools *pools);

enum pool_answer {
    POOL_READY,    // *ret_upstream is connected and belongs to the stream: send at once
    POOL_BEGUN,    // *ret_upstream is connecting; stream_upstream_ready or _failed follows
    POOL_WAITING,  // in the queue; stream_upstream_given follows
    POOL_OVERFLOW, // a circuit breaker is open
    POOL_FAILED,   // no connection could be begun: *ret_why
};

// Finds a connection for a request. `fresh`: a new one, because a reused one has just been found closed.
enum pool_answer pool_take(struct backend_pool *backend, const struct config_traffic *traffic, struct stream *stream,
                           struct pool_waiter *waiter, bool fresh, struct upstream **ret_upstream,
                           struct slice *ret_why);
// The stream does not want to wait any more. Safe when it doesn't.
void pool_leave(struct pool_waiter *waiter);
// A connection became free or was closed: serves who waits.
void pool_serve(struct backend_pool *backend);
// Looks at all queues, for places that became free in another worker.
void pools_serve_waiting(struct pools *pools);
// Least request, round robin or random among the endpoints. Pure but for the turn.
size_t pool_pick(enum config_lb lb, const struct endpoint_pool *endpoints, size_t count, size_t *turn, uint64_t random);

#endif
