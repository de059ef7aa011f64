// Connections to backends: how they are made, and how they end.
#include "host/native/upstream_parts.h"

#include "host/native/pool.h"
#include "host/native/stream.h"
#include "host/native/upstream_h2.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define REASON_BYTES 160
#define SHRUNK_IDLE_US 1000000 // where memory is short

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
    upstream_h2_free(upstream->h2);
    upstream->h2 = NULL;
    pool_requeue(upstream);
    list_remove(&upstream->pool_node);
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

// The reason may live in the connection, which goes before it is told.
static struct slice keep_reason(char text[REASON_BYTES], struct slice why)
{
    size_t len = why.len < REASON_BYTES ? why.len : REASON_BYTES;
    memcpy(text, why.ptr, len);
    return slice_make(text, len);
}

void upstream_fail(struct upstream *upstream, enum error_code error, struct slice why)
{
    struct stream *stream = upstream->stream;
    bool is_busy = upstream->state == UPSTREAM_BUSY;
    bool is_race = upstream->is_reused && !upstream->has_answer && is_busy;
    struct counters *counters = &upstream->worker->counters;
    counter_add(is_busy ? &counters->upstream_resets : &counters->upstream_connect_failures, 1);
    char text[REASON_BYTES];
    struct list joiners;
    why = keep_reason(text, why);
    pool_take_joiners(upstream, &joiners);
    upstream_close(upstream);
    if (stream)
        stream_upstream_failed(stream, error, why, is_race);
    pool_fail_joiners(&joiners, error, why);
}

void upstream_abort(struct upstream *upstream)
{
    if (upstream->h2)
        upstream_h2_say_goodbye(upstream->h2);
    if (upstream->tls && (upstream->state == UPSTREAM_BUSY || upstream->state == UPSTREAM_SHARED))
        tls_close(upstream->tls);
    upstream_close(upstream);
}

bool upstream_is_idle(const struct upstream *upstream)
{
    if (upstream->state == UPSTREAM_SHARED)
        return upstream_h2_is_idle(upstream->h2) && upstream->joiner_count == 0;
    return upstream->state == UPSTREAM_IDLE;
}

// The stream has left while the connection was being made: it is made for the next one that waits for it, if any.
static void leave_unmade(struct back *back)
{
    struct upstream *upstream = LIST_OWNER(back, struct upstream, back);
    if (!pool_promote(upstream))
        upstream_abort(upstream);
}

static const struct back_ops unmade_ops = {.release = leave_unmade};

void upstream_set_limits(struct upstream *upstream, const struct config_traffic *traffic)
{
    upstream->max_requests = traffic->max_requests_per_connection;
    upstream->idle_us = traffic->upstream_idle_ms * 1000;
    upstream->h2_streams = traffic->h2_streams;
    upstream->h2_stream_window = traffic->h2_stream_window;
    upstream->h2_connection_window = traffic->h2_connection_window;
    upstream->h2_ping_us = traffic->h2_ping_interval_ms * 1000;
    upstream->h2_ping_patience_us = traffic->h2_ping_timeout_ms * 1000;
}

int64_t upstream_idle_us(const struct upstream *upstream)
{
    bool is_short = upstream->worker->overload >= OVERLOAD_SHRINK && upstream->idle_us > SHRUNK_IDLE_US;
    return is_short ? SHRUNK_IDLE_US : upstream->idle_us;
}

bool upstream_follow_reload(struct upstream *upstream, uint32_t active)
{
    struct backend_pool *backend = upstream->pool->backend;
    if (!backend->pools->is_retired || !list_is_empty(&backend->waiting))
        return true;
    struct endpoint_pool *successor = pool_successor(upstream->pool);
    if (!successor)
        return false;
    upstream->pool->active -= active;
    successor->active += active;
    pool_adopt(successor, upstream);
    return true;
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
    upstream->back = (struct back){&unmade_ops, upstream};
    list_init(&upstream->joiners);
    list_init(&upstream->pool_node);
    list_append(&pool->making, &upstream->pool_node);
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
    stream->back = &upstream->back;
    worker_deadline(worker, &upstream->deadline, loop_now_us() + traffic->connect_timeout_ms * 1000);
    return upstream;
}

// Which protocol the connection speaks: as ALPN told, or without a word of it as the configuration says (RFC 9113 section
// 3.3). False when there is none that both sides want.
static bool choose_protocol(struct upstream *upstream, struct slice *ret_why)
{
    const struct config_backend *config = upstream->pool->backend->config;
    struct slice agreed = upstream->tls ? tls_protocol(upstream->tls) : SLICE("");
    bool is_h2 = agreed.len ? slice_eq(agreed, SLICE("h2")) : config->is_h2c;
    const struct config_tls_choice *choice = &config->tls.choice;
    *ret_why = SLICE("the backend does not agree on HTTP/2 (ALPN), and nothing else is offered to it");
    if (upstream->tls && !is_h2 && choice->has_alpn && choice->offers_h2 && !choice->offers_http_1)
        return false;
    upstream->pool->protocol = is_h2 ? POOL_HTTP_2 : POOL_HTTP_1;
    return true;
}

static void become_ready(struct upstream *upstream)
{
    struct net_address local;
    struct slice why;
    net_local_address(upstream->io.fd, &local);
    upstream->local_len = (uint8_t)net_write_address(&local, upstream->local_text);
    upstream->address_len = (uint8_t)net_write_address(&upstream->address, upstream->address_text);
    if (!choose_protocol(upstream, &why)) {
        upstream_fail(upstream, ERROR_UPSTREAM_TLS, why);
        return;
    }
    list_remove(&upstream->pool_node);
    if (upstream->pool->protocol == POOL_HTTP_2) {
        upstream_h2_start(upstream);
        return;
    }
    pool_requeue(upstream);
    upstream_h1_start(upstream);
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
    struct upstream *upstream = LIST_OWNER(deadline, struct upstream, deadline);
    if (upstream->state == UPSTREAM_IDLE)
        upstream_abort(upstream);
    else if (upstream->state == UPSTREAM_SHARED)
        upstream_h2_time(upstream->h2, now_us);
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
    case UPSTREAM_SHARED:
        upstream_h2_event(upstream->h2, events);
        return;
    case UPSTREAM_CONNECTING: // the connector's
    case UPSTREAM_CLOSED:
        return;
    }
}
