// Connections to backends, kept for reuse: for each worker and configuration one pool an endpoint. Chooses among a
// backend's endpoints, counts against the circuit breakers, lets requests wait when all connections are taken.
#ifndef WEIR_HOST_NATIVE_POOL_H
#define WEIR_HOST_NATIVE_POOL_H

#include "host/native/upstream.h"
#include "host/native/worker.h"

struct stream;

// What an endpoint's newest connection speaks: decides whether requests wait for one that is being made, or have their own
// made.
enum pool_protocol { POOL_UNKNOWN, POOL_HTTP_1, POOL_HTTP_2 };

struct endpoint_pool {
    struct backend_pool *backend;
    const struct config_endpoint *config;
    struct tls_context *tls; // NULL: plaintext. Borrowed from the generation
    struct list making;      // connections that are not ready yet (upstream.pool_node)
    struct list idle;        // HTTP/1.1 connections, the one used last first
    struct list shared;      // HTTP/2 connections that may take more requests
    enum pool_protocol protocol;
    uint32_t h2_streams; // as many as the newest HTTP/2 connection took at once; 0: not known
    uint32_t active;     // requests under way or connecting
    struct connector_memory memory;
};

struct backend_pool {
    struct pools *pools;
    const struct config_backend *config;
    struct backend_load *load;
    struct endpoint_pool *endpoints;
    size_t turn;         // round robin
    struct list waiting; // streams that wait for a connection (pool_waiter.node)
    bool is_serving;
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
    struct list node;             // in backend_pool.waiting, or upstream.joiners
    struct backend_pool *backend; // NULL: not waiting
    struct upstream *joined;      // the connection that is being made and may be shared
    bool is_queued;               // in backend_pool.waiting
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
    POOL_READY,    // stream->back is connected: send at once
    POOL_BEGUN,    // stream->back is connecting; stream_upstream_ready or _failed follows
    POOL_WAITING,  // in the queue; stream_upstream_given follows
    POOL_OVERFLOW, // a circuit breaker is open
    POOL_FAILED,   // no connection could be begun: *ret_why
};

// Finds a connection for a request. `fresh`: a new one, because a reused one has just been found closed.
enum pool_answer pool_take(struct backend_pool *backend, const struct config_traffic *traffic, struct stream *stream,
                           struct pool_waiter *waiter, bool fresh, struct slice *ret_why);
// The stream does not want to wait any more. Safe when it doesn't.
void pool_leave(struct pool_waiter *waiter);
// A connection became free or was closed: serves who waits.
void pool_serve(struct backend_pool *backend);
// ---- requests that wait for a connection that is being made, because it may be shared (HTTP/2) ---------------------

// Takes them off, to `ret_joiners`: for pool_fail_joiners.
void pool_take_joiners(struct upstream *upstream, struct list *ret_joiners);
void pool_fail_joiners(struct list *joiners, enum error_code error, struct slice why);
// They go back to the queue, to its front, and are served from there.
void pool_requeue(struct upstream *upstream);
// The stream for which it is made has left: the first joiner takes its place. False when there is none.
bool pool_promote(struct upstream *upstream);
// It is shared now: serves the joiners as far as there is room, the others go back to the queue.
void pool_serve_joiners(struct upstream *upstream);

// Looks at all queues, for places that became free in another worker.
void pools_serve_waiting(struct pools *pools);
// Least request, round robin or random among the endpoints. Pure but for the turn.
size_t pool_pick(enum config_lb lb, const struct endpoint_pool *endpoints, size_t count, size_t *turn, uint64_t random);

#endif
