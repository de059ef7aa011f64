// Pools of connections to backends.
#include "host/native/pool.h"

#include "host/native/stream.h"

#include <stdlib.h>

// ---- sets of pools ------------------------------------------------------------------------------------------------

static bool init_backend(struct backend_pool *backend, struct pools *pools, const struct config_backend *config)
{
    struct generation *generation = pools->generation;
    backend->pools = pools;
    backend->config = config;
    backend->load = generation->loads[config->id];
    list_init(&backend->waiting);
    backend->endpoints = calloc(config->endpoint_count + 1, sizeof *backend->endpoints);
    if (!backend->endpoints)
        return false;
    for (size_t i = 0; i < config->endpoint_count; i++) {
        struct endpoint_pool *endpoint = &backend->endpoints[i];
        endpoint->backend = backend;
        endpoint->config = &config->endpoints[i];
        endpoint->tls = generation->tls[config->id] ? generation->tls[config->id][i] : NULL;
        list_init(&endpoint->idle);
    }
    return true;
}

static void open_logs(struct pools *pools)
{
    struct snapshot *snapshot = pools->generation->snapshot;
    size_t listeners = snapshot_config(snapshot)->listener_count;
    pools->logs = calloc(listeners + 1, sizeof *pools->logs);
    for (size_t i = 0; pools->logs && i < listeners; i++) {
        size_t count = snapshot_log_count(snapshot, i);
        pools->logs[i] = calloc(count + 1, sizeof *pools->logs[i]);
        for (size_t j = 0; pools->logs[i] && j < count; j++)
            pools->logs[i][j] =
                logsink_open(pools->worker->logsink, pools->worker->index, snapshot_log_path(snapshot, i, j));
    }
}

static void free_pools(struct pools *pools)
{
    for (size_t i = 0; pools->backends && i < pools->backend_count; i++)
        free(pools->backends[i].endpoints);
    free(pools->backends);
    size_t listeners = snapshot_config(pools->generation->snapshot)->listener_count;
    for (size_t i = 0; pools->logs && i < listeners; i++)
        free(pools->logs[i]);
    free(pools->logs);
    health_view_fini(&pools->health);
    list_remove(&pools->node);
    generation_unref(pools->generation);
    free(pools);
}

struct pools *pools_new(struct worker *worker, struct generation *generation)
{
    const struct config *config = snapshot_config(generation->snapshot);
    struct pools *pools = calloc(1, sizeof *pools);
    if (!pools)
        return NULL;
    pools->worker = worker;
    pools->generation = generation_ref(generation);
    list_init(&pools->node);
    pools->backend_count = config->backend_count;
    pools->backends = calloc(config->backend_count + 1, sizeof *pools->backends);
    bool is_ok = pools->backends && health_view_init(&pools->health, generation->health);
    for (size_t i = 0; is_ok && i < config->backend_count; i++)
        is_ok = init_backend(&pools->backends[i], pools, &config->backends[i]);
    if (!is_ok) {
        free_pools(pools);
        return NULL;
    }
    open_logs(pools);
    list_push(&worker->all_pools, &pools->node);
    return pools;
}

void pools_close_idle(struct pools *pools)
{
    for (size_t i = 0; i < pools->backend_count; i++)
        for (size_t j = 0; j < pools->backends[i].config->endpoint_count; j++) {
            struct list *idle = &pools->backends[i].endpoints[j].idle;
            while (!list_is_empty(idle))
                upstream_abort(LIST_OWNER(idle->next, struct upstream, idle_node));
        }
}

// The load is shared by all generations of a backend. Ids seldom move far.
static struct backend_pool *find_same_backend(struct pools *pools, const struct backend_pool *backend)
{
    for (size_t i = 0; i < pools->backend_count; i++) {
        struct backend_pool *other = &pools->backends[(backend->config->id + i) % pools->backend_count];
        if (other->load == backend->load)
            return other;
    }
    return NULL;
}

// Same address, and the same TLS settings, since these share a context then.
static struct endpoint_pool *find_same_endpoint(struct backend_pool *backend, const struct endpoint_pool *endpoint)
{
    for (size_t i = 0; i < backend->config->endpoint_count; i++) {
        struct endpoint_pool *other = &backend->endpoints[i];
        if (other->config->port == endpoint->config->port && slice_eq(other->config->host, endpoint->config->host) &&
            other->tls == endpoint->tls)
            return other;
    }
    return NULL;
}

struct endpoint_pool *pool_successor(const struct endpoint_pool *endpoint)
{
    struct pools *pools = endpoint->backend->pools->worker->pools;
    if (!pools || pools == endpoint->backend->pools)
        return NULL;
    struct backend_pool *backend = find_same_backend(pools, endpoint->backend);
    return backend ? find_same_endpoint(backend, endpoint) : NULL;
}

void pool_adopt(struct endpoint_pool *to, struct upstream *upstream)
{
    struct pools *from = upstream->pool->backend->pools;
    upstream->pool = to;
    pools_use(to->backend->pools);
    pools_unuse(from);
}

static void hand_over(struct endpoint_pool *from, struct endpoint_pool *to)
{
    while (!list_is_empty(&from->idle)) { // the oldest first, so that the order stays
        struct upstream *upstream = LIST_OWNER(from->idle.prev, struct upstream, idle_node);
        list_remove(&upstream->idle_node);
        list_push(&to->idle, &upstream->idle_node);
        pool_adopt(to, upstream);
    }
}

static void hand_over_idle(struct pools *pools, struct pools *successor)
{
    for (size_t i = 0; i < pools->backend_count; i++) {
        struct backend_pool *to = NULL;
        for (size_t j = 0; j < pools->backends[i].config->endpoint_count; j++) {
            struct endpoint_pool *endpoint = &pools->backends[i].endpoints[j];
            if (list_is_empty(&endpoint->idle))
                continue;
            if (!to)
                to = find_same_backend(successor, &pools->backends[i]);
            struct endpoint_pool *same = to ? find_same_endpoint(to, endpoint) : NULL;
            if (same)
                hand_over(endpoint, same);
        }
    }
}

void pools_retire(struct pools *pools, struct pools *successor)
{
    pools->users++; // so that the last connection does not free it under us
    pools->is_retired = true;
    if (successor)
        hand_over_idle(pools, successor);
    pools_close_idle(pools);
    pools_unuse(pools);
}

void pools_use(struct pools *pools)
{
    pools->users++;
}

void pools_unuse(struct pools *pools)
{
    if (--pools->users == 0 && pools->is_retired)
        free_pools(pools);
}

// ---- choosing -----------------------------------------------------------------------------------------------------

size_t pool_pick(enum config_lb lb, const struct endpoint_pool *endpoints, size_t count, size_t *turn, uint64_t random)
{
    if (count < 2)
        return 0;
    size_t one = (size_t)((random & UINT32_MAX) % count);
    if (lb == LB_ROUND_ROBIN)
        return (*turn)++ % count;
    if (lb == LB_RANDOM)
        return one;
    size_t other = (one + 1 + (size_t)((random >> 32) % (count - 1))) % count;
    return endpoints[other].active < endpoints[one].active ? other : one;
}

static struct upstream *take_idle(struct endpoint_pool *endpoint, struct stream *stream)
{
    while (!list_is_empty(&endpoint->idle)) {
        struct upstream *upstream = LIST_OWNER(endpoint->idle.next, struct upstream, idle_node);
        list_remove(&upstream->idle_node);
        if (!upstream_is_fit(upstream))
            continue; // its own event, which is due, closes it
        upstream_assign(upstream, stream);
        stream->upstream = upstream;
        return upstream;
    }
    return NULL;
}

// Room for one more connection of this backend, if need be by closing an idle one to another endpoint.
static bool make_room(struct backend_pool *backend, uint32_t limit)
{
    if (load_take(&backend->load->connections, limit))
        return true;
    for (size_t i = 0; i < backend->config->endpoint_count; i++) {
        struct list *idle = &backend->endpoints[i].idle;
        if (!list_is_empty(idle)) {
            upstream_abort(LIST_OWNER(idle->prev, struct upstream, idle_node));
            return load_take(&backend->load->connections, limit);
        }
    }
    return false;
}

static void set_limits(struct upstream *upstream, const struct config_traffic *traffic)
{
    upstream->max_requests = traffic->max_requests_per_connection;
    upstream->idle_us = traffic->upstream_idle_ms * 1000;
}

static enum pool_answer begin(struct endpoint_pool *endpoint, const struct config_traffic *traffic,
                              struct stream *stream, struct upstream **ret_upstream, struct slice *ret_why)
{
    struct upstream *upstream = upstream_connect(endpoint, stream, traffic, ret_why);
    if (!upstream)
        return POOL_FAILED;
    set_limits(upstream, traffic);
    *ret_upstream = upstream;
    return POOL_BEGUN;
}

enum pool_answer pool_take(struct backend_pool *backend, const struct config_traffic *traffic, struct stream *stream,
                           struct pool_waiter *waiter, bool fresh, struct upstream **ret_upstream,
                           struct slice *ret_why)
{
    size_t count = backend->config->endpoint_count;
    *ret_why = SLICE("the backend has no endpoint");
    if (count == 0)
        return POOL_FAILED;
    size_t pick = pool_pick(traffic->lb, backend->endpoints, count, &backend->turn,
                            count > 1 ? worker_random(backend->pools->worker) : 0);
    struct endpoint_pool *endpoint = &backend->endpoints[pick];
    *ret_upstream = fresh ? NULL : take_idle(endpoint, stream);
    if (*ret_upstream) {
        set_limits(*ret_upstream, traffic);
        return POOL_READY;
    }
    if (!load_take(&backend->load->pending, traffic->max_pending_requests))
        return POOL_OVERFLOW;
    waiter->backend = backend;
    waiter->traffic = traffic;
    list_init(&waiter->node);
    if (make_room(backend, traffic->max_connections))
        return begin(endpoint, traffic, stream, ret_upstream, ret_why);
    list_append(&backend->waiting, &waiter->node);
    backend->pools->waiting_count++;
    return POOL_WAITING;
}

static bool is_queued(const struct pool_waiter *waiter)
{
    return waiter->backend && !list_is_empty(&waiter->node);
}

static void leave_queue(struct pool_waiter *waiter)
{
    if (is_queued(waiter))
        waiter->backend->pools->waiting_count--;
    list_remove(&waiter->node);
}

void pool_leave(struct pool_waiter *waiter)
{
    if (!waiter->backend)
        return;
    leave_queue(waiter);
    load_give(&waiter->backend->load->pending);
    waiter->backend = NULL;
}

// Gives the first in the queue an idle connection or a new one. False when neither is to be had.
static bool serve_first(struct backend_pool *backend)
{
    struct pool_waiter *waiter = LIST_OWNER(backend->waiting.next, struct pool_waiter, node);
    struct stream *stream = LIST_OWNER(waiter, struct stream, waiter);
    struct upstream *upstream = NULL;
    struct slice why = SLICE("");
    for (size_t i = 0; !upstream && i < backend->config->endpoint_count; i++)
        upstream = take_idle(&backend->endpoints[i], stream);
    if (upstream) {
        set_limits(upstream, waiter->traffic);
        leave_queue(waiter);
        stream_upstream_given(stream, upstream, true, why);
        return true;
    }
    if (!make_room(backend, waiter->traffic->max_connections))
        return false;
    leave_queue(waiter);
    size_t pick = pool_pick(waiter->traffic->lb, backend->endpoints, backend->config->endpoint_count, &backend->turn,
                            worker_random(backend->pools->worker));
    begin(&backend->endpoints[pick], waiter->traffic, stream, &upstream, &why);
    stream_upstream_given(stream, upstream, false, why);
    return true;
}

void pool_serve(struct backend_pool *backend)
{
    while (!list_is_empty(&backend->waiting) && serve_first(backend))
        ;
}

void pools_serve_waiting(struct pools *pools)
{
    pools_use(pools);
    for (size_t i = 0; pools->waiting_count && i < pools->backend_count; i++)
        pool_serve(&pools->backends[i]);
    pools_unuse(pools);
}
