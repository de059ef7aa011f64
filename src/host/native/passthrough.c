// Splices. Each end holds what its socket did not take; while it holds something, nothing more is read from the other.
#include "host/native/passthrough.h"

#include "config/hostname.h"
#include "host/native/connector.h"

#include <stdlib.h>
#include <unistd.h>

#define UNSENT_MAX ((size_t)WORKER_READ_BYTES + 32768) // one read, and the ClientHello
#define CLIENT 0
#define BACKEND 1

struct splice;

struct splice_end {
    struct loop_io io; // first, so that it can be found from it
    struct splice *splice;
    struct buf unsent;
    bool is_open;  // there is a socket
    bool is_ended; // it sends no more
    bool is_shut;  // nothing more is sent to it
};

struct splice {
    struct worker *worker;
    struct listener *listener;
    struct list node; // in worker.splices
    struct deadline deadline;
    struct splice_end ends[2];
    struct generation *generation; // until the backend is connected

    const struct config_backend *backend;
    size_t turn;                 // endpoint to try
    size_t turns_left;           // others to try after it
    struct connector *connector; // while connecting
    struct connector_memory memory;
    const struct config_lookup *lookup;
    int64_t idle_us;
    int64_t active_us; // last byte
    bool is_connected;
    bool is_closed;
    unsigned open_count; // sockets that the loop still has
};

static void on_event(struct loop_io *io, unsigned events);
static void try_endpoint(struct splice *splice);

// ---- the end ------------------------------------------------------------------------------------------------------

static void free_splice(struct splice *splice)
{
    for (int i = 0; i < 2; i++)
        buf_fini(&splice->ends[i].unsent);
    free(splice);
}

static void on_closed(struct loop_io *io)
{
    struct splice *splice = ((struct splice_end *)(void *)io)->splice;
    if (--splice->open_count == 0)
        free_splice(splice);
}

static void end(struct splice *splice)
{
    if (splice->is_closed)
        return;
    splice->is_closed = true;
    connector_cancel(splice->connector);
    splice->connector = NULL;
    deadline_clear(&splice->worker->deadlines, &splice->deadline);
    list_remove(&splice->node);
    generation_unref(splice->generation);
    splice->generation = NULL;
    worker_connection_closed(splice->worker, splice->listener);
    for (int i = 0; i < 2; i++)
        if (splice->ends[i].is_open)
            loop_io_close(&splice->ends[i].io, on_closed);
}

void passthrough_end_all(struct worker *worker)
{
    while (!list_is_empty(&worker->splices))
        end(LIST_OWNER(worker->splices.next, struct splice, node));
}

// No backend: the client is told in the words of TLS (internal_error), since it has heard nothing yet.
static void fail(struct splice *splice)
{
    static const char alert[] = {21, 3, 3, 0, 2, 2, 80};
    struct iovec part = {(void *)(uintptr_t)alert, sizeof alert};
    counter_add(&splice->worker->counters.splice_failures, 1);
    net_write(splice->ends[CLIENT].io.fd, &part, 1);
    end(splice);
}

// ---- bytes --------------------------------------------------------------------------------------------------------

static struct splice_end *other(struct splice_end *side)
{
    struct splice *splice = side->splice;
    return side == &splice->ends[CLIENT] ? &splice->ends[BACKEND] : &splice->ends[CLIENT];
}

static void want(struct splice_end *side)
{
    unsigned events = 0;
    if (!side->is_ended && other(side)->unsent.len == 0)
        events |= LOOP_READ;
    if (side->unsent.len)
        events |= LOOP_WRITE;
    loop_io_want(&side->io, events);
}

static void shut(struct splice_end *side)
{
    if (side->is_shut)
        return;
    side->is_shut = true;
    shutdown(side->io.fd, SHUT_WR);
}

static void count_bytes(struct splice_end *from, size_t len)
{
    struct splice *splice = from->splice;
    struct counters *counters = &splice->worker->counters;
    counter_add(from == &splice->ends[CLIENT] ? &counters->splice_bytes_in : &counters->splice_bytes_out, len);
    splice->active_us = loop_now_us();
}

// False when the connection is broken.
static bool send_bytes(struct splice_end *to, const char *bytes, size_t len)
{
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    ssize_t sent = net_write(to->io.fd, &part, 1);
    if (sent == NET_FAILED)
        return false;
    size_t taken = sent > 0 ? (size_t)sent : 0;
    return taken == len || buf_append(&to->unsent, slice_make(bytes + taken, len - taken));
}

static bool read_from(struct splice_end *from)
{
    struct splice_end *to = other(from);
    char *bytes = from->splice->worker->read_bytes;
    ssize_t got = net_read(from->io.fd, bytes, WORKER_READ_BYTES);
    if (got == NET_AGAIN)
        return true;
    if (got == NET_FAILED)
        return false;
    if (got > 0) {
        count_bytes(from, (size_t)got);
        return send_bytes(to, bytes, (size_t)got);
    }
    from->is_ended = true;
    if (to->unsent.len == 0)
        shut(to);
    return true;
}

static bool flush(struct splice_end *to)
{
    struct iovec part = {to->unsent.ptr, to->unsent.len};
    ssize_t sent = net_write(to->io.fd, &part, 1);
    if (sent == NET_FAILED)
        return false;
    if (sent > 0)
        buf_drop_front(&to->unsent, (size_t)sent);
    if (to->unsent.len)
        return true;
    buf_fini(&to->unsent); // an open connection holds nothing
    buf_init(&to->unsent, UNSENT_MAX);
    if (other(to)->is_ended)
        shut(to);
    return true;
}

static void move(struct splice_end *side, unsigned events)
{
    struct splice *splice = side->splice;
    bool is_fine = true;
    if ((events & LOOP_WRITE) && side->unsent.len)
        is_fine = flush(side);
    if (is_fine && (events & LOOP_READ) && !side->is_ended && other(side)->unsent.len == 0)
        is_fine = read_from(side);
    bool is_over = splice->ends[CLIENT].is_shut && splice->ends[BACKEND].is_shut;
    if (!is_fine || is_over || (events & LOOP_ERROR)) {
        end(splice);
        return;
    }
    want(side);
    want(other(side));
}

// ---- time ---------------------------------------------------------------------------------------------------------

static void on_deadline(struct deadline *deadline, int64_t now_us)
{
    struct splice *splice = LIST_OWNER(deadline, struct splice, deadline);
    if (!splice->is_connected)
        fail(splice);
    else if (splice->active_us + splice->idle_us <= now_us)
        end(splice);
    else
        worker_deadline(splice->worker, &splice->deadline, splice->active_us + splice->idle_us);
}

// ---- the backend --------------------------------------------------------------------------------------------------

static void become_connected(struct splice *splice)
{
    struct worker *worker = splice->worker;
    counter_add(&worker->counters.splices, 1);
    splice->is_connected = true;
    generation_unref(splice->generation);
    splice->generation = NULL;
    splice->active_us = loop_now_us();
    if (splice->idle_us)
        worker_deadline(worker, &splice->deadline, splice->active_us + splice->idle_us);
    else
        deadline_clear(&worker->deadlines, &splice->deadline);
    want(&splice->ends[CLIENT]);
    move(&splice->ends[BACKEND], LOOP_WRITE); // the ClientHello
}

// The endpoint does not answer: the next one, within the same time.
static void endpoint_failed(struct splice *splice)
{
    if (splice->turns_left == 0) {
        fail(splice);
        return;
    }
    splice->turns_left--;
    splice->turn = (splice->turn + 1) % splice->backend->endpoint_count;
    try_endpoint(splice);
}

static void on_connected(void *context, const struct connector_result *result)
{
    struct splice *splice = context;
    struct splice_end *backend = &splice->ends[BACKEND];
    splice->connector = NULL;
    if (result->fd < 0) {
        endpoint_failed(splice);
    } else if (!loop_io_init(&splice->worker->loop, &backend->io, result->fd, on_event)) {
        close(result->fd);
        backend->io.fd = -1;
        fail(splice);
    } else {
        backend->is_open = true;
        splice->open_count++;
        become_connected(splice);
    }
}

static void try_endpoint(struct splice *splice)
{
    const struct config_endpoint *endpoint = &splice->backend->endpoints[splice->turn];
    const struct connector_target target = {
        .host = endpoint->host, .port = endpoint->port, .lookup = splice->lookup, .memory = &splice->memory};
    splice->connector = connector_start(&splice->worker->loop, splice->worker->dns, &target, on_connected, splice);
    if (!splice->connector)
        fail(splice);
}

static void on_event(struct loop_io *io, unsigned events)
{
    struct splice_end *side = (struct splice_end *)(void *)io;
    struct splice *splice = side->splice;
    if (splice->is_closed || !side->is_open)
        return;
    if (splice->is_connected)
        move(side, events);
    else if (side == &splice->ends[CLIENT])
        end(splice); // it is not read yet: only an error is told
}

// ---- choosing -----------------------------------------------------------------------------------------------------

// How well a route's names fit: 0 not, then no name given, wildcards by their length, the exact name.
static size_t fit(const struct config_route *route, struct slice name)
{
    size_t best = route->hostname_count == 0 ? 1 : 0;
    for (size_t i = 0; i < route->hostname_count; i++) {
        struct slice pattern = route->hostnames[i].text;
        size_t rank = hostname_is_wildcard(pattern) ? 1 + pattern.len : 1000;
        if (hostname_matches(pattern, name) && rank > best)
            best = rank;
    }
    return best;
}

static const struct config_rule *find_rule(const struct config_listener *listener, struct slice name)
{
    const struct config_rule *rule = NULL;
    size_t best = 0;
    for (size_t i = 0; i < listener->route_count; i++) {
        size_t rank = fit(listener->routes[i], name);
        if (rank > best && listener->routes[i]->rule_count) { // the first of equals
            best = rank;
            rule = &listener->routes[i]->rules[0];
        }
    }
    return rule;
}

static bool is_usable(const struct config_backend_ref *ref)
{
    return ref->weight && ref->backend && ref->backend->endpoint_count;
}

static const struct config_backend *find_backend(struct worker *worker, const struct config_rule *rule)
{
    uint64_t total = 0;
    for (size_t i = 0; rule && i < rule->ref_count; i++)
        total += is_usable(&rule->refs[i]) ? rule->refs[i].weight : 0;
    if (total == 0)
        return NULL;
    uint64_t at = worker_random(worker) % total;
    for (size_t i = 0; i < rule->ref_count; i++) {
        if (!is_usable(&rule->refs[i]))
            continue;
        if (at < rule->refs[i].weight)
            return rule->refs[i].backend;
        at -= rule->refs[i].weight;
    }
    return NULL;
}

static struct splice *new_splice(struct listener *listener, int fd, struct buf *take_hello)
{
    struct worker *worker = listener->worker;
    struct splice *splice = calloc(1, sizeof *splice);
    if (!splice || !loop_io_init(&worker->loop, &splice->ends[CLIENT].io, fd, on_event)) {
        free(splice);
        close(fd);
        buf_fini(take_hello);
        worker_connection_closed(worker, listener);
        return NULL;
    }
    splice->worker = worker;
    splice->listener = listener;
    splice->ends[CLIENT].splice = splice->ends[BACKEND].splice = splice;
    splice->ends[CLIENT].is_open = true;
    splice->ends[BACKEND].io.fd = -1;
    splice->open_count = 1;
    buf_init(&splice->ends[CLIENT].unsent, UNSENT_MAX);
    splice->ends[BACKEND].unsent = *take_hello;
    splice->ends[BACKEND].unsent.max = UNSENT_MAX;
    deadline_init(&splice->deadline, on_deadline);
    list_append(&worker->splices, &splice->node);
    return splice;
}

void passthrough_begin(struct listener *listener, int take_fd, const struct config_listener *config,
                       struct slice server_name, struct buf *take_hello)
{
    struct worker *worker = listener->worker;
    const struct config_rule *rule = find_rule(config, server_name);
    const struct config_backend *backend = find_backend(worker, rule);
    struct splice *splice = new_splice(listener, take_fd, take_hello);
    if (!splice)
        return;
    if (!backend) {
        fail(splice);
        return;
    }
    splice->generation = generation_ref(worker->generation);
    splice->backend = backend;
    splice->turn = worker_random(worker) % backend->endpoint_count;
    splice->memory.turn = (uint32_t)worker_random(worker);
    splice->lookup = &rule->traffic.lookup;
    splice->turns_left = backend->endpoint_count - 1;
    splice->idle_us = config->client.tcp_idle_ms * 1000;
    count_bytes(&splice->ends[CLIENT], splice->ends[BACKEND].unsent.len);
    worker_deadline(worker, &splice->deadline, loop_now_us() + rule->traffic.connect_timeout_ms * 1000);
    try_endpoint(splice);
}
