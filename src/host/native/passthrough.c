// Splices. Each end holds what its socket did not take; while it holds something, nothing more is read from the other.
#include "host/native/passthrough.h"

#include "config/rule.h"
#include "host/native/access_log.h"
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

// What the access log tells of a connection, when it is over: the configuration that it began with is gone by then.
struct splice_story {
    int64_t begun_us;
    uint64_t bytes[2]; // that the client and the backend sent
    struct slice flags;
    struct slice failure;     // why no backend was reached
    struct slice termination; // why the connection was ended by us
    uint32_t attempts;
    struct net_address peer;
    struct net_address direct;
    struct net_address local;
    struct net_address backend;
    struct net_address own;   // our end towards the backend
    struct slice server_name; // both in `names`
    struct slice cluster;
    struct buf names;
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
    struct splice_story story;
};

static void on_event(struct loop_io *io, unsigned events);
static void try_endpoint(struct splice *splice);

// ---- the access log -----------------------------------------------------------------------------------------------

static struct slice write_address(const struct net_address *address, char *text)
{
    return slice_make(text, address->len ? net_write_address(address, text) : 0);
}

// One line when the connection is over, with what Envoy's TCP proxy would put in it: no request, status 0.
static void write_log(const struct splice *splice)
{
    static const struct fields none;
    struct worker *worker = splice->worker;
    const struct splice_story *story = &splice->story;
    const struct config_listener *listener =
        generation_find_name(worker->generation, splice->listener->port->number, story->server_name);
    char texts[5][NET_ADDRESS_TEXT_MAX];
    if (!listener || !worker->pools)
        return;
    struct record record = {
        .duration_us = loop_now_us() - story->begun_us,
        .upstream_time_us = -1,
        .request = &none,
        .flags = story->flags.len ? story->flags : SLICE("-"),
        .termination_details = story->termination,
        .transport_failure = story->failure,
        .bytes_received = story->bytes[CLIENT],
        .bytes_sent = story->bytes[BACKEND],
        .upstream_host = write_address(&story->backend, texts[0]),
        .upstream_local_address = write_address(&story->own, texts[1]),
        .upstream_cluster = story->cluster,
        .downstream_remote_address = write_address(&story->peer, texts[2]),
        .downstream_direct_remote_address = write_address(&story->direct, texts[3]),
        .downstream_local_address = write_address(&story->local, texts[4]),
        .requested_server_name = story->server_name,
        .attempts = story->attempts,
        .generation = snapshot_generation(worker->generation->snapshot),
    };
    record.start_unix_us = loop_unix_us() - record.duration_us;
    access_log_write(worker, worker->pools, listener->id, &record);
}

static bool keep_names(struct splice_story *story, const struct config_route *route, struct slice server_name)
{
    struct buf *names = &story->names;
    buf_init(names, 4096);
    if (!buf_append(names, server_name) || (route && !buf_printf(names, "tlsroute/" SLICE_FMT "/" SLICE_FMT "/rule/-1",
                                                                 SLICE_ARG(route->namespace_), SLICE_ARG(route->name))))
        return false;
    story->server_name = slice_sub(buf_slice(names), 0, server_name.len);
    story->cluster = slice_from(buf_slice(names), server_name.len);
    return true;
}

// ---- the end ------------------------------------------------------------------------------------------------------

static void free_splice(struct splice *splice)
{
    for (int i = 0; i < 2; i++)
        buf_fini(&splice->ends[i].unsent);
    buf_fini(&splice->story.names);
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
    write_log(splice);
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
    while (!list_is_empty(&worker->splices)) {
        struct splice *splice = LIST_OWNER(worker->splices.next, struct splice, node);
        splice->story.termination = SLICE("draining");
        end(splice);
    }
}

// No backend: the client is told in the words of TLS (internal_error), since it has heard nothing yet.
static void fail(struct splice *splice, enum error_code error, struct slice why)
{
    splice->story.flags = error_info(error)->flags;
    splice->story.failure = why;
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
    bool is_client = from == &splice->ends[CLIENT];
    counter_add(is_client ? &counters->splice_bytes_in : &counters->splice_bytes_out, len);
    splice->story.bytes[is_client ? CLIENT : BACKEND] += len;
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
    if (!splice->is_connected) {
        fail(splice, ERROR_CONNECT_TIMEOUT, SLICE("connect timeout"));
    } else if (splice->active_us + splice->idle_us <= now_us) {
        splice->story.termination = SLICE("tcp_session_idle_timeout");
        end(splice);
    } else {
        worker_deadline(splice->worker, &splice->deadline, splice->active_us + splice->idle_us);
    }
}

// ---- the backend --------------------------------------------------------------------------------------------------

static void become_connected(struct splice *splice)
{
    struct worker *worker = splice->worker;
    counter_add(&worker->counters.splices, 1);
    splice->is_connected = true;
    net_local_address(splice->ends[BACKEND].io.fd, &splice->story.own);
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
static void endpoint_failed(struct splice *splice, enum error_code error, struct slice why)
{
    if (splice->turns_left == 0) {
        fail(splice, error, why);
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
    splice->story.backend = result->address;
    if (result->fd < 0) {
        endpoint_failed(splice, result->error, result->why);
    } else if (!loop_io_init(&splice->worker->loop, &backend->io, result->fd, on_event)) {
        close(result->fd);
        backend->io.fd = -1;
        fail(splice, ERROR_OVERLOADED, SLICE("no memory"));
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
    splice->story.attempts++;
    if (!splice->connector)
        fail(splice, ERROR_OVERLOADED, SLICE("no memory"));
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

static const struct config_backend *find_backend(struct worker *worker, const struct config_rule *rule)
{
    uint64_t total = 0;
    for (size_t i = 0; rule && i < rule->ref_count; i++)
        total += config_ref_is_usable(&rule->refs[i]) ? rule->refs[i].weight : 0;
    if (total == 0)
        return NULL;
    uint64_t at = worker_random(worker) % total;
    for (size_t i = 0; i < rule->ref_count; i++) {
        if (!config_ref_is_usable(&rule->refs[i]))
            continue;
        if (at < rule->refs[i].weight)
            return rule->refs[i].backend;
        at -= rule->refs[i].weight;
    }
    return NULL;
}

static void begin_story(struct splice_story *story, const struct arrival_ends *ends, int fd)
{
    story->begun_us = loop_now_us();
    story->peer = ends->peer;
    story->direct = ends->direct;
    story->local = ends->local;
    if (!story->local.len)
        net_local_address(fd, &story->local);
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

void passthrough_begin(struct listener *listener, int take_fd, const struct arrival_ends *ends,
                       const struct config_listener *config, struct slice server_name, struct buf *take_hello)
{
    struct worker *worker = listener->worker;
    const struct config_route *route = config_listener_tls_route(config, server_name);
    const struct config_rule *rule = route ? &route->rules[0] : NULL;
    const struct config_backend *backend = find_backend(worker, rule);
    struct splice *splice = new_splice(listener, take_fd, take_hello);
    if (!splice)
        return;
    begin_story(&splice->story, ends, take_fd);
    count_bytes(&splice->ends[CLIENT], splice->ends[BACKEND].unsent.len);
    if (!keep_names(&splice->story, route, server_name) || !backend) {
        fail(splice, route ? ERROR_NO_HEALTHY_BACKEND : ERROR_PATH_UNKNOWN,
             route ? SLICE("no usable backend") : SLICE("no route"));
        return;
    }
    splice->generation = generation_ref(worker->generation);
    splice->backend = backend;
    splice->turn = worker_random(worker) % backend->endpoint_count;
    splice->memory.turn = (uint32_t)worker_random(worker);
    splice->lookup = &rule->traffic.lookup;
    splice->turns_left = backend->endpoint_count - 1;
    splice->idle_us = config->client.tcp_idle_ms * 1000;
    worker_deadline(worker, &splice->deadline, loop_now_us() + rule->traffic.connect_timeout_ms * 1000);
    try_endpoint(splice);
}
