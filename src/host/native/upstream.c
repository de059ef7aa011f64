// Connections to backends: how they are made, and how they end.
#include "host/native/upstream_parts.h"

#include "host/native/pool.h"
#include "host/native/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void on_event(struct loop_io *io, unsigned events);
static void on_deadline(struct deadline *deadline, int64_t now_us);
static void on_connected(void *context, const struct connector_result *result);

// ---- life ---------------------------------------------------------------------------------------------------------

static void free_upstream(struct upstream *upstream)
{
    tls_session_free(upstream->tls);
    buf_fini(&upstream->held);
    buf_fini(&upstream->unsent);
    free(upstream);
}

static void on_closed(struct loop_io *io)
{
    free_upstream((struct upstream *)(void *)io);
}

void upstream_close(struct upstream *upstream)
{
    if (upstream->state == UPSTREAM_CLOSED)
        return;
    struct worker *worker = upstream->worker;
    struct backend_pool *backend = upstream->pool->backend;
    bool has_socket = upstream->io.fd >= 0;
    if (upstream->stream)
        upstream->pool->active--;
    upstream->stream = NULL;
    upstream->state = UPSTREAM_CLOSED;
    list_remove(&upstream->idle_node);
    deadline_clear(&worker->deadlines, &upstream->deadline);
    load_give(&backend->load->connections);
    counter_add(&worker->counters.open_upstreams, (uint64_t)-1);
    connector_cancel(upstream->connector);
    upstream->connector = NULL;
    if (has_socket)
        loop_io_close(&upstream->io, on_closed);
    else
        free_upstream(upstream);
    pool_serve(backend);
    pools_unuse(backend->pools);
}

void upstream_fail(struct upstream *upstream, enum error_code error, struct slice why)
{
    struct stream *stream = upstream->stream;
    bool is_race = upstream->is_reused && !upstream->has_answer && upstream->state == UPSTREAM_BUSY;
    if (upstream->state == UPSTREAM_BUSY)
        counter_add(&upstream->worker->counters.upstream_resets, 1);
    else
        counter_add(&upstream->worker->counters.upstream_connect_failures, 1);
    char text[160];
    size_t len = why.len < sizeof text ? why.len : sizeof text; // the reason may live in the connection
    memcpy(text, why.ptr, len);
    upstream_close(upstream);
    if (stream)
        stream_upstream_failed(stream, error, slice_make(text, len), is_race);
}

void upstream_abort(struct upstream *upstream)
{
    if (upstream->tls && upstream->state == UPSTREAM_BUSY)
        tls_close(upstream->tls);
    upstream_close(upstream);
}

static struct upstream *new_upstream(struct endpoint_pool *pool, struct stream *stream)
{
    struct worker *worker = pool->backend->pools->worker;
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream)
        return NULL;
    upstream->worker = worker;
    upstream->pool = pool;
    upstream->stream = stream;
    upstream->io.fd = -1;
    list_init(&upstream->idle_node);
    deadline_init(&upstream->deadline, on_deadline);
    buf_init(&upstream->held, UPSTREAM_HEAD_BYTES + WORKER_READ_BYTES);
    buf_init(&upstream->unsent, UPSTREAM_UNSENT_MAX);
    pool->active++;
    pools_use(pool->backend->pools);
    counter_add(&worker->counters.open_upstreams, 1);
    counter_add(&worker->counters.upstream_connects, 1);
    return upstream;
}

// ---- connecting ---------------------------------------------------------------------------------------------------

struct upstream *upstream_connect(struct endpoint_pool *pool, struct stream *stream,
                                  const struct config_traffic *traffic, struct slice *ret_why)
{
    const struct connector_target target = {
        .host = pool->config->host,
        .port = pool->config->port,
        .lookup = &traffic->lookup,
        .proxy = pool->backend->config->proxy,
        .memory = &pool->memory,
    };
    struct upstream *upstream = new_upstream(pool, stream);
    *ret_why = SLICE("out of memory");
    if (!upstream) {
        load_give(&pool->backend->load->connections);
        return NULL;
    }
    struct worker *worker = upstream->worker;
    upstream->state = UPSTREAM_CONNECTING;
    upstream->connector = connector_start(&worker->loop, worker->dns, &target, on_connected, upstream);
    if (!upstream->connector) {
        upstream_close(upstream);
        return NULL;
    }
    stream->upstream = upstream;
    worker_deadline(worker, &upstream->deadline, loop_now_us() + traffic->connect_timeout_ms * 1000);
    return upstream;
}

static void become_ready(struct upstream *upstream)
{
    struct stream *stream = upstream->stream;
    struct net_address local;
    net_local_address(upstream->io.fd, &local);
    upstream->local_len = (uint8_t)net_write_address(&local, upstream->local_text);
    upstream->address_len = (uint8_t)net_write_address(&upstream->address, upstream->address_text);
    upstream->state = UPSTREAM_BUSY;
    worker_deadline(upstream->worker, &upstream->deadline, DEADLINE_NONE);
    loop_io_want(&upstream->io, LOOP_READ);
    stream_upstream_ready(stream, upstream);
}

static void go_on_handshake(struct upstream *upstream)
{
    switch (tls_handshake(upstream->tls)) {
    case TLS_OK:
        become_ready(upstream);
        return;
    case TLS_WANT_READ:
        loop_io_want(&upstream->io, LOOP_READ);
        return;
    case TLS_WANT_WRITE:
        loop_io_want(&upstream->io, LOOP_WRITE);
        return;
    case TLS_EOF:
    case TLS_FAILED:
        break;
    }
    upstream_fail(upstream, ERROR_UPSTREAM_TLS, tls_reason(upstream->tls));
}

static void begin_handshake(struct upstream *upstream)
{
    upstream->tls = tls_session_new(upstream->pool->tls, upstream->io.fd);
    upstream->state = UPSTREAM_HANDSHAKE;
    if (upstream->tls)
        go_on_handshake(upstream);
    else
        upstream_fail(upstream, ERROR_UPSTREAM_TLS, SLICE("out of memory"));
}

static void on_connected(void *context, const struct connector_result *result)
{
    struct upstream *upstream = context;
    upstream->connector = NULL;
    if (result->fd < 0) {
        upstream_fail(upstream, result->error, result->why);
        return;
    }
    upstream->address = result->address;
    if (!loop_io_init(&upstream->worker->loop, &upstream->io, result->fd, on_event)) {
        close(result->fd);
        upstream->io.fd = -1;
        upstream_fail(upstream, ERROR_UPSTREAM_CONNECT, SLICE("the event loop refused the socket"));
    } else if (upstream->pool->tls) {
        begin_handshake(upstream);
    } else {
        become_ready(upstream);
    }
}

static void on_deadline(struct deadline *deadline, int64_t now_us)
{
    (void)now_us;
    struct upstream *upstream = LIST_OWNER(deadline, struct upstream, deadline);
    if (upstream->state == UPSTREAM_IDLE)
        upstream_abort(upstream);
    else if (upstream->connector && connector_is_resolving(upstream->connector))
        upstream_fail(upstream, ERROR_UPSTREAM_DNS, SLICE("DNS resolution failed: no answer in time"));
    else if (upstream->state != UPSTREAM_BUSY)
        upstream_fail(upstream, ERROR_CONNECT_TIMEOUT, SLICE("connection timeout"));
}

// ---- bytes and events ---------------------------------------------------------------------------------------------

ssize_t upstream_read(struct upstream *upstream, char *bytes, size_t cap)
{
    size_t len = 0;
    if (!upstream->tls)
        return net_read(upstream->io.fd, bytes, cap);
    switch (tls_read(upstream->tls, bytes, cap, &len)) {
    case TLS_OK:
        return (ssize_t)len;
    case TLS_EOF:
        return NET_END;
    case TLS_WANT_WRITE:
        upstream->wants_write_for_read = true;
        return NET_AGAIN;
    case TLS_WANT_READ:
        return NET_AGAIN;
    case TLS_FAILED:
        break;
    }
    return NET_FAILED;
}

ssize_t upstream_write(struct upstream *upstream, const struct slice *parts, size_t count)
{
    size_t len = 0;
    struct iovec vectors[UPSTREAM_PARTS_MAX] __attribute__((uninitialized)); // only what is used is filled
    if (upstream->tls) {
        enum tls_status status = tls_write(upstream->tls, parts, count, &len);
        if (len)
            return (ssize_t)len;
        return status == TLS_WANT_READ || status == TLS_WANT_WRITE ? NET_AGAIN : NET_FAILED;
    }
    for (size_t i = 0; i < count; i++)
        vectors[i] = (struct iovec){(void *)(uintptr_t)parts[i].ptr, parts[i].len};
    return net_write(upstream->io.fd, vectors, count);
}

static void on_event(struct loop_io *io, unsigned events)
{
    struct upstream *upstream = (struct upstream *)(void *)io;
    switch (upstream->state) {
    case UPSTREAM_HANDSHAKE:
        go_on_handshake(upstream);
        return;
    case UPSTREAM_IDLE:
        upstream_h1_idle_event(upstream, events);
        return;
    case UPSTREAM_BUSY:
        upstream_h1_busy_event(upstream, events);
        return;
    case UPSTREAM_CONNECTING: // the connector's
    case UPSTREAM_CLOSED:
        return;
    }
}
