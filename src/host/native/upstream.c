// Connections to backends: how they are made, and how they end.
#include "host/native/upstream_parts.h"

#include "host/native/pool.h"
#include "host/native/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void on_event(struct loop_io *io, unsigned events);
static void on_deadline(struct deadline *deadline, int64_t now_us);
static void on_resolved(struct dns_query *query, const struct dns_answer *answer);
static void go_on_connecting(struct upstream *upstream);

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
    bool has_socket = upstream->state != UPSTREAM_RESOLVING;
    if (upstream->stream)
        upstream->pool->active--;
    upstream->stream = NULL;
    upstream->state = UPSTREAM_CLOSED;
    list_remove(&upstream->idle_node);
    deadline_clear(&worker->deadlines, &upstream->deadline);
    load_give(&backend->load->connections);
    counter_add(&worker->counters.open_upstreams, (uint64_t)-1);
    dns_cancel(&upstream->query);
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
    upstream->query.done = on_resolved;
    pool->active++;
    pools_use(pool->backend->pools);
    counter_add(&worker->counters.open_upstreams, 1);
    counter_add(&worker->counters.upstream_connects, 1);
    return upstream;
}

// ---- connecting ---------------------------------------------------------------------------------------------------

static bool begin_connection(struct upstream *upstream, struct slice *ret_why)
{
    bool is_done;
    int fd = net_connect(&upstream->address, &is_done);
    if (fd < 0) {
        *ret_why = slice_from_cstr(strerror(errno));
        return false;
    }
    if (!loop_io_init(&upstream->worker->loop, &upstream->io, fd, on_event)) {
        close(fd);
        *ret_why = SLICE("the event loop refused the socket");
        return false;
    }
    upstream->state = UPSTREAM_CONNECTING;
    loop_io_want(&upstream->io, LOOP_WRITE); // told in the next turn even when it is done already
    return true;
}

static bool take_address(struct upstream *upstream, const struct dns_answer *answer, struct slice *ret_why)
{
    if (answer->count == 0) {
        *ret_why = answer->error;
        return false;
    }
    const struct dns_address *address = &answer->addresses[upstream->pool->address_turn++ % answer->count];
    upstream->address.len = address->len;
    memcpy(&upstream->address.at, &address->any, address->len);
    if (address->any.sa_family == AF_INET6)
        upstream->address.at.v6.sin6_port = htons(upstream->pool->config->port);
    else
        upstream->address.at.v4.sin_port = htons(upstream->pool->config->port);
    if (upstream->turns_left == UINT32_MAX)
        upstream->turns_left = (uint32_t)answer->count - 1;
    return true;
}

// Frees what was begun and could not go on; nobody has been told of it yet.
static void drop_begun(struct upstream *upstream)
{
    upstream->state = UPSTREAM_RESOLVING;
    upstream->stream->upstream = NULL;
    upstream_close(upstream);
}

static struct upstream *connect_turn(struct endpoint_pool *pool, struct stream *stream, int64_t until_us,
                                     uint32_t turns_left, struct slice *ret_why)
{
    struct upstream *upstream = new_upstream(pool, stream);
    struct dns_answer answer;
    *ret_why = SLICE("out of memory");
    if (!upstream) {
        load_give(&pool->backend->load->connections);
        return NULL;
    }
    upstream->state = UPSTREAM_RESOLVING;
    upstream->turns_left = turns_left;
    stream->upstream = upstream;
    bool is_known = true;
    if (pool->is_ip) {
        upstream->address = pool->address;
        upstream->turns_left = 0;
    } else if (dns_resolve(upstream->worker->dns, pool->config->host, &upstream->query, &answer) == DNS_PENDING) {
        is_known = false;
    } else if (!take_address(upstream, &answer, ret_why)) {
        drop_begun(upstream);
        return NULL;
    }
    if (is_known && !begin_connection(upstream, ret_why)) {
        drop_begun(upstream);
        return NULL;
    }
    worker_deadline(upstream->worker, &upstream->deadline, until_us);
    return upstream;
}

struct upstream *upstream_connect(struct endpoint_pool *pool, struct stream *stream, int64_t connect_us,
                                  struct slice *ret_why)
{
    return connect_turn(pool, stream, loop_now_us() + connect_us, UINT32_MAX, ret_why);
}

static void on_resolved(struct dns_query *query, const struct dns_answer *answer)
{
    struct upstream *upstream = LIST_OWNER(query, struct upstream, query);
    struct slice why;
    if (!take_address(upstream, answer, &why))
        upstream_fail(upstream, ERROR_UPSTREAM_DNS, why);
    else if (!begin_connection(upstream, &why))
        upstream_fail(upstream, ERROR_UPSTREAM_CONNECT, why);
}

// The address did not answer: the next one of the name, within the same time, or the end.
static void connect_failed(struct upstream *upstream, int error)
{
    struct endpoint_pool *pool = upstream->pool;
    struct stream *stream = upstream->stream;
    struct slice why = slice_from_cstr(strerror(error));
    if (upstream->turns_left == 0 || !stream) {
        upstream_fail(upstream, ERROR_UPSTREAM_CONNECT, why);
        return;
    }
    int64_t until_us = upstream->deadline.at_us;
    uint32_t turns_left = upstream->turns_left - 1;
    uint32_t max_requests = upstream->max_requests;
    int64_t idle_us = upstream->idle_us;
    __atomic_add_fetch(&pool->backend->load->connections, 1,
                       __ATOMIC_RELAXED); // the new one's, before the old one's goes
    counter_add(&upstream->worker->counters.upstream_connect_failures, 1);
    upstream_close(upstream);
    struct upstream *next = connect_turn(pool, stream, until_us, turns_left, &why);
    if (!next) {
        stream_upstream_failed(stream, ERROR_UPSTREAM_CONNECT, why, false);
        return;
    }
    next->max_requests = max_requests;
    next->idle_us = idle_us;
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

static void go_on_connecting(struct upstream *upstream)
{
    int error = net_connect_result(upstream->io.fd);
    if (error) {
        connect_failed(upstream, error);
        return;
    }
    if (!upstream->pool->tls) {
        become_ready(upstream);
        return;
    }
    upstream->tls = tls_session_new(upstream->pool->tls, upstream->io.fd);
    upstream->state = UPSTREAM_HANDSHAKE;
    if (upstream->tls)
        go_on_handshake(upstream);
    else
        upstream_fail(upstream, ERROR_UPSTREAM_TLS, SLICE("out of memory"));
}

static void on_deadline(struct deadline *deadline, int64_t now_us)
{
    (void)now_us;
    struct upstream *upstream = LIST_OWNER(deadline, struct upstream, deadline);
    if (upstream->state == UPSTREAM_IDLE)
        upstream_abort(upstream);
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
    case UPSTREAM_CONNECTING:
        go_on_connecting(upstream);
        return;
    case UPSTREAM_HANDSHAKE:
        go_on_handshake(upstream);
        return;
    case UPSTREAM_IDLE:
        upstream_h1_idle_event(upstream, events);
        return;
    case UPSTREAM_BUSY:
        upstream_h1_busy_event(upstream, events);
        return;
    case UPSTREAM_RESOLVING:
    case UPSTREAM_CLOSED:
        return;
    }
}
