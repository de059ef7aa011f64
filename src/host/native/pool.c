// Pools of connections to backends.
#include "host/native/pool.h"

#include "host/native/stream.h"
#include "host/native/upstream_h2.h"

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
        list_init(&endpoint->making);
        list_init(&endpoint->idle);
        list_init(&endpoint->shared);
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

static void close_idle_in(struct list *connections)
{
    struct list all;
    list_take_all(&all, connections);
    while (!list_is_empty(&all)) {
        struct upstream *upstream = LIST_OWNER(all.next, struct upstream, pool_node);
        list_remove(&upstream->pool_node);
        list_append(connections, &upstream->pool_node);
        if (upstream_is_idle(upstream))
            upstream_abort(upstream);
    }
}

static void close_idle(struct endpoint_pool *endpoint)
{
    close_idle_in(&endpoint->making);
    close_idle_in(&endpoint->shared);
    close_idle_in(&endpoint->idle);
}

void pools_close_idle(struct pools *pools)
{
    for (size_t i = 0; i < pools->backend_count; i++)
        for (size_t j = 0; j < pools->backends[i].config->endpoint_count; j++)
            close_idle(&pools->backends[i].endpoints[j]);
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

// Same address and protocol, and the same TLS settings, since these share a context then.
static struct endpoint_pool *find_same_endpoint(struct backend_pool *backend, const struct endpoint_pool *endpoint)
{
    if (backend->config->is_h2c != endpoint->backend->config->is_h2c)
        return NULL;
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
    to->protocol = from->protocol;
    to->h2_streams = from->h2_streams;
    while (!list_is_empty(&from->idle)) { // the oldest first, so that the order stays
        struct upstream *upstream = LIST_OWNER(from->idle.prev, struct upstream, pool_node);
        list_remove(&upstream->pool_node);
        list_push(&to->idle, &upstream->pool_node);
        pool_adopt(to, upstream);
    }
    while (list_is_empty(&from->backend->waiting) && !list_is_empty(&from->shared)) {
        struct upstream *upstream = LIST_OWNER(from->shared.prev, struct upstream, pool_node);
        list_remove(&upstream->pool_node);
        list_push(&to->shared, &upstream->pool_node);
        upstream_h2_move(upstream->h2, to);
    }
}

static void hand_over_all(struct pools *pools, struct pools *successor)
{
    for (size_t i = 0; i < pools->backend_count; i++) {
        struct backend_pool *to = NULL;
        for (size_t j = 0; j < pools->backends[i].config->endpoint_count; j++) {
            struct endpoint_pool *endpoint = &pools->backends[i].endpoints[j];
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
        hand_over_all(pools, successor);
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

// Whether the stream got a connection, or a part of one, that it can send on at once.
static bool take_ready(struct endpoint_pool *endpoint, const struct config_traffic *traffic, struct stream *stream)
{
    for (struct list *node = endpoint->shared.next, *next; node != &endpoint->shared; node = next) {
        struct upstream *upstream = LIST_OWNER(node, struct upstream, pool_node);
        next = node->next;
        upstream_set_limits(upstream, traffic);
        stream->back = upstream_h2_open(upstream->h2, stream);
        if (stream->back)
            return true;
    }
    while (!list_is_empty(&endpoint->idle)) {
        struct upstream *upstream = LIST_OWNER(endpoint->idle.next, struct upstream, pool_node);
        list_remove(&upstream->pool_node);
        if (!upstream_is_fit(upstream))
            continue; // its own event, which is due, closes it
        upstream_assign(upstream, stream);
        upstream_set_limits(upstream, traffic);
        stream->back = &upstream->back;
        return true;
    }
    return false;
}

// A request that began before a reload finds the connections where these went, if the endpoint is still there.
static bool take_ready_of_successor(struct endpoint_pool *endpoint, const struct config_traffic *traffic,
                                    struct stream *stream)
{
    struct endpoint_pool *successor = endpoint->backend->pools->is_retired ? pool_successor(endpoint) : NULL;
    return successor && take_ready(successor, traffic, stream);
}

static bool close_one_idle(struct list *connections)
{
    for (struct list *node = connections->prev; node != connections; node = node->prev) {
        struct upstream *upstream = LIST_OWNER(node, struct upstream, pool_node);
        if (upstream_is_idle(upstream)) {
            upstream_abort(upstream);
            return true;
        }
    }
    return false;
}

// Room for one more connection of this backend, if need be by closing an idle one to another endpoint.
static bool make_room(struct backend_pool *backend, uint32_t limit)
{
    if (load_take(&backend->load->connections, limit))
        return true;
    for (size_t i = 0; i < backend->config->endpoint_count; i++)
        if (close_one_idle(&backend->endpoints[i].idle) || close_one_idle(&backend->endpoints[i].shared))
            return load_take(&backend->load->connections, limit);
    return false;
}

static bool begin(struct endpoint_pool *endpoint, const struct config_traffic *traffic, struct stream *stream,
                  struct slice *ret_why)
{
    struct upstream *upstream = upstream_connect(endpoint, stream, traffic, ret_why);
    if (upstream)
        upstream_set_limits(upstream, traffic);
    return upstream != NULL;
}

#define JOINERS_UNKNOWN                                                                                                \
    99 // what a peer that has not told its limit should take at least, less one (RFC 9113 section 6.5.2)

static bool may_share(const struct endpoint_pool *endpoint)
{
    const struct config_backend *config = endpoint->backend->config;
    if (endpoint->protocol != POOL_UNKNOWN)
        return endpoint->protocol == POOL_HTTP_2;
    return config->is_h2c || (endpoint->tls && (!config->tls.choice.has_alpn || config->tls.choice.offers_h2));
}

// A connection that is being made, will probably be shared and has places left; or NULL.
static struct upstream *find_making(const struct endpoint_pool *endpoint)
{
    uint32_t places = endpoint->h2_streams ? endpoint->h2_streams - 1 : JOINERS_UNKNOWN;
    if (!may_share(endpoint))
        return NULL;
    for (struct list *node = endpoint->making.next; node != &endpoint->making; node = node->next) {
        struct upstream *upstream = LIST_OWNER(node, struct upstream, pool_node);
        if (upstream->joiner_count < places)
            return upstream;
    }
    return NULL;
}

static void join(struct upstream *upstream, struct pool_waiter *waiter)
{
    list_append(&upstream->joiners, &waiter->node);
    upstream->joiner_count++;
    waiter->joined = upstream;
}

static void wait_in_queue(struct pool_waiter *waiter)
{
    list_append(&waiter->backend->waiting, &waiter->node);
    waiter->is_queued = true;
    waiter->backend->pools->waiting_count++;
}

enum pool_answer pool_take(struct backend_pool *backend, const struct config_traffic *traffic, struct stream *stream,
                           struct pool_waiter *waiter, bool fresh, struct slice *ret_why)
{
    size_t count = backend->config->endpoint_count;
    *ret_why = SLICE("the backend has no endpoint");
    if (count == 0)
        return POOL_FAILED;
    size_t pick = pool_pick(traffic->lb, backend->endpoints, count, &backend->turn,
                            count > 1 ? worker_random(backend->pools->worker) : 0);
    struct endpoint_pool *endpoint = &backend->endpoints[pick];
    if (!fresh && (take_ready(endpoint, traffic, stream) || take_ready_of_successor(endpoint, traffic, stream)))
        return POOL_READY;
    if (!load_take(&backend->load->pending, traffic->max_pending_requests))
        return POOL_OVERFLOW;
    *waiter = (struct pool_waiter){.backend = backend, .traffic = traffic};
    list_init(&waiter->node);
    struct upstream *making = find_making(endpoint);
    if (making) {
        join(making, waiter);
        return POOL_WAITING;
    }
    if (make_room(backend, traffic->max_connections))
        return begin(endpoint, traffic, stream, ret_why) ? POOL_BEGUN : POOL_FAILED;
    wait_in_queue(waiter);
    return POOL_WAITING;
}

static void leave_queue(struct pool_waiter *waiter)
{
    if (waiter->joined)
        waiter->joined->joiner_count--;
    if (waiter->is_queued)
        waiter->backend->pools->waiting_count--;
    waiter->joined = NULL;
    waiter->is_queued = false;
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

static struct stream *stream_of(struct pool_waiter *waiter)
{
    return LIST_OWNER(waiter, struct stream, waiter);
}

// Gives the first in the queue a place on a connection, a connection, or a new one. False when none is to be had.
static bool serve_first(struct backend_pool *backend)
{
    struct pool_waiter *waiter = LIST_OWNER(backend->waiting.next, struct pool_waiter, node);
    struct stream *stream = stream_of(waiter);
    struct slice why = SLICE("");
    for (size_t i = 0; i < backend->config->endpoint_count; i++)
        if (take_ready(&backend->endpoints[i], waiter->traffic, stream)) {
            leave_queue(waiter);
            stream_upstream_given(stream, true, why);
            return true;
        }
    size_t pick = pool_pick(waiter->traffic->lb, backend->endpoints, backend->config->endpoint_count, &backend->turn,
                            worker_random(backend->pools->worker));
    struct upstream *making = find_making(&backend->endpoints[pick]);
    if (making) {
        leave_queue(waiter);
        join(making, waiter);
        return true;
    }
    if (!make_room(backend, waiter->traffic->max_connections))
        return false;
    leave_queue(waiter);
    begin(&backend->endpoints[pick], waiter->traffic, stream, &why);
    stream_upstream_given(stream, false, why);
    return true;
}

void pool_serve(struct backend_pool *backend)
{
    if (backend->is_serving) // somebody above us does it
        return;
    backend->is_serving = true;
    while (!list_is_empty(&backend->waiting) && serve_first(backend))
        ;
    backend->is_serving = false;
}

void pools_serve_waiting(struct pools *pools)
{
    pools_use(pools);
    for (size_t i = 0; pools->waiting_count && i < pools->backend_count; i++)
        pool_serve(&pools->backends[i]);
    pools_unuse(pools);
}

// ---- requests that wait for a connection that is being made -------------------------------------------------------

void pool_take_joiners(struct upstream *upstream, struct list *ret_joiners)
{
    list_take_all(ret_joiners, &upstream->joiners);
    for (struct list *node = ret_joiners->next; node != ret_joiners; node = node->next)
        LIST_OWNER(node, struct pool_waiter, node)->joined = NULL;
    upstream->joiner_count = 0;
}

// Takes one out of a list that is no queue.
static struct stream *pull_first(struct list *joiners)
{
    struct pool_waiter *waiter = LIST_OWNER(joiners->next, struct pool_waiter, node);
    list_remove(&waiter->node);
    return stream_of(waiter);
}

void pool_fail_joiners(struct list *joiners, enum error_code error, struct slice why)
{
    while (!list_is_empty(joiners))
        stream_upstream_failed(pull_first(joiners), error, why, false);
}

void pool_requeue(struct upstream *upstream)
{
    struct list joiners;
    struct backend_pool *backend = NULL;
    pool_take_joiners(upstream, &joiners);
    while (!list_is_empty(&joiners)) { // the last one first, each to the front
        struct pool_waiter *waiter = LIST_OWNER(joiners.prev, struct pool_waiter, node);
        backend = waiter->backend;
        list_remove(&waiter->node);
        list_push(&backend->waiting, &waiter->node);
        waiter->is_queued = true;
        backend->pools->waiting_count++;
    }
    if (!backend)
        return;
    struct pools *pools = backend->pools;
    pools_use(pools);
    pool_serve(backend);
    pools_unuse(pools);
}

bool pool_promote(struct upstream *upstream)
{
    if (list_is_empty(&upstream->joiners))
        return false;
    struct pool_waiter *waiter = LIST_OWNER(upstream->joiners.next, struct pool_waiter, node);
    leave_queue(waiter);
    upstream->stream = stream_of(waiter);
    upstream->stream->back = &upstream->back;
    return true;
}

void pool_serve_joiners(struct upstream *upstream)
{
    while (!list_is_empty(&upstream->joiners)) {
        struct pool_waiter *waiter = LIST_OWNER(upstream->joiners.next, struct pool_waiter, node);
        struct stream *stream = stream_of(waiter);
        stream->back = upstream_h2_open(upstream->h2, stream);
        if (!stream->back)
            break;
        leave_queue(waiter);
        stream_upstream_given(stream, true, SLICE(""));
    }
    pool_requeue(upstream);
}
