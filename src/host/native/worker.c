// Worker threads: their loop, listening sockets, coarse clock, and what the control thread tells them.
#define _GNU_SOURCE

#include "host/native/worker.h"

#include "host/native/arrival.h"
#include "host/native/client.h"
#include "host/native/passthrough.h"
#include "host/native/pool.h"
#include "host/native/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 32
#define ACCEPT_PAUSE_MS 100
#define ACCEPTS_LAST 65536
#define HAND_OVER_IDLE_US 5000000 // how long idle connections live on beside the process that took over
#define FRESH_US 1000000          // how long after a stop signal a new connection may send its request
#define TICK_MS (DEADLINE_TICK_US / 1000)
#define LOG_LINE_MAX (256U << 10)
#define HEAD_MAX (256U << 10)

bool worker_give_read_bytes(struct worker *worker, struct buf *ret_block)
{
    char *next = malloc(WORKER_READ_BYTES);
    if (!next)
        return false;
    *ret_block = (struct buf){.ptr = worker->read_bytes, .cap = WORKER_READ_BYTES, .max = WORKER_READ_BYTES};
    worker->read_bytes = next;
    return true;
}

// xorshift128+ (Vigna): weights, request ids; nothing that must not be guessed.
uint64_t worker_random(struct worker *worker)
{
    uint64_t a = worker->random[0], b = worker->random[1];
    worker->random[0] = b;
    a ^= a << 23;
    worker->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return worker->random[1] + b;
}

// ---- time ---------------------------------------------------------------------------------------------------------

void worker_deadline(struct worker *worker, struct deadline *deadline, int64_t at_us)
{
    deadline_set(&worker->deadlines, deadline, at_us);
    if (worker->deadlines.count == 0 || worker->is_ticking)
        return;
    worker->is_ticking = true;
    loop_timer_start(&worker->tick, TICK_MS, TICK_MS);
}

static void close_all(struct worker *worker)
{
    arrival_end_all(worker);
    passthrough_end_all(worker);
    while (!list_is_empty(&worker->clients))
        client_close(LIST_OWNER(worker->clients.next, struct client, node));
}

// Idle connections that may still send a request are left alone for a while: it could be on its way already.
static void drain_clients(struct worker *worker)
{
    bool is_hand_over = worker->drain_kind == WORKER_DRAIN_HAND_OVER;
    bool has_time = worker->idle_until_us != DEADLINE_NONE;
    struct list *node = worker->clients.next;
    while (node != &worker->clients) {
        struct client *client = LIST_OWNER(node, struct client, node);
        node = node->next;
        if (!has_time || !(is_hand_over ? client_is_idle(client) : client_is_fresh(client)))
            client_drain(client);
    }
}

// ---- short of memory ----------------------------------------------------------------------------------------------

static void close_idle_clients(struct worker *worker)
{
    struct list *node = worker->clients.next;
    while (node != &worker->clients) {
        struct client *client = LIST_OWNER(node, struct client, node);
        node = node->next;
        bool is_idle_h2 = client->h2 && client->h2->stream_count == 0;
        if (!is_idle_h2 && !client_is_idle(client))
            continue;
        counter_add(&worker->counters.overload_closed, 1);
        client_retire(client);
    }
}

static struct stream *find_largest(struct worker *worker, size_t *ret_bytes)
{
    struct stream *largest = NULL;
    *ret_bytes = 0;
    for (struct list *node = worker->streams.next; node != &worker->streams; node = node->next) {
        struct stream *stream = LIST_OWNER(node, struct stream, node);
        size_t bytes = stream_held_bytes(stream);
        if (bytes > *ret_bytes) {
            *ret_bytes = bytes;
            largest = stream;
        }
    }
    return largest;
}

static void take_overload(struct worker *worker, enum overload_level level, bool is_shed)
{
    enum overload_level before = worker->overload;
    size_t bytes;
    worker->overload = level;
    if (level >= OVERLOAD_SHRINK && before < OVERLOAD_SHRINK) {
        close_idle_clients(worker);
        if (worker->pools)
            pools_close_idle(worker->pools);
    }
    struct stream *largest = level == OVERLOAD_SHED ? find_largest(worker, &bytes) : NULL;
    if (is_shed && largest) {
        counter_add(&worker->counters.overload_shed, 1);
        stream_shed(largest);
        find_largest(worker, &bytes);
    }
    __atomic_store_n(&worker->largest_bytes, level == OVERLOAD_SHED ? bytes : 0, __ATOMIC_RELAXED);
}

// ---- time, again --------------------------------------------------------------------------------------------------

static void serve_waiting(struct worker *worker)
{
    struct list *node = worker->all_pools.next;
    while (node != &worker->all_pools) {
        struct pools *pools = LIST_OWNER(node, struct pools, node);
        node = node->next;
        if (pools->waiting_count)
            pools_serve_waiting(pools);
    }
}

static void on_tick(struct loop_timer *timer)
{
    struct worker *worker = LIST_OWNER(timer, struct worker, tick);
    int64_t now_us = loop_now_us();
    deadlines_run(&worker->deadlines, now_us);
    serve_waiting(worker);
    if (worker->is_draining && now_us >= worker->idle_until_us) {
        worker->idle_until_us = DEADLINE_NONE;
        drain_clients(worker);
    }
    if (worker->is_draining && now_us >= worker->drain_until_us)
        close_all(worker);
    if (worker->deadlines.count == 0 && !worker->is_draining) {
        worker->is_ticking = false;
        loop_timer_stop(&worker->tick);
    }
}

// ---- accepting ----------------------------------------------------------------------------------------------------

static void watch_listeners(struct worker *worker, bool is_watched)
{
    for (size_t i = 0; i < worker->listener_count; i++)
        if (worker->listeners[i]->is_open)
            loop_io_want(&worker->listeners[i]->io, is_watched ? LOOP_READ : 0);
}

// Descriptors or memory ran out: better to let clients wait in the queue than to spin.
static void pause_accepting(struct worker *worker)
{
    counter_add(&worker->counters.accept_pauses, 1);
    watch_listeners(worker, false);
    loop_timer_start(&worker->accept_timer, ACCEPT_PAUSE_MS, 0);
}

static void on_accept_timer(struct loop_timer *timer)
{
    struct worker *worker = LIST_OWNER(timer, struct worker, accept_timer);
    if (worker->reserve_fd < 0) // another thread was quicker
        worker->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    watch_listeners(worker, true);
}

// The connection can't be served. TLS would have to shake hands first: it is closed without a word.
static void turn_away(const struct listener *listener, int take_fd)
{
    static const char answer[] =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
        "connection: close\r\ncontent-length: 103\r\n\r\n"
        "{\"error\":{\"message\":\"The gateway has too many connections.\",\"type\":"
        "\"server_error\",\"code\":\"overloaded\"}}";
    char ignored[4096];
    if (!generation_has_tls(listener->worker->generation, listener->port->number)) {
        struct iovec part = {(void *)(uintptr_t)answer, sizeof answer - 1};
        net_read(take_fd, ignored, sizeof ignored); // what is unread turns the close into a reset
        net_write(take_fd, &part, 1);
        shutdown(take_fd, SHUT_WR);
    }
    close(take_fd);
}

// No descriptor is left: gives up the reserve to take a connection from the queue and tell it so. False when that does
// not help either.
static bool turn_away_with_reserve(struct listener *listener)
{
    struct worker *worker = listener->worker;
    struct net_address peer;
    if (worker->reserve_fd < 0)
        return false;
    close(worker->reserve_fd);
    int fd = net_accept(listener->io.fd, &peer);
    if (fd >= 0) {
        turn_away(listener, fd);
        counter_add(&worker->counters.connections_turned_away, 1);
    }
    worker->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static bool is_full(const struct listener *listener)
{
    const struct config *config = snapshot_config(listener->worker->generation->snapshot);
    uint32_t limit = 0;
    for (size_t i = 0; i < config->listener_count && limit == 0; i++)
        if (config->listeners[i].port == listener->port->number)
            limit = config->listeners[i].client.max_connections;
    return listener->worker->connection_count >= listener->worker->max_connections ||
           (limit && __atomic_load_n(&listener->port->connections, __ATOMIC_RELAXED) >= limit);
}

static void welcome(struct listener *listener, int take_fd, const struct net_address *peer)
{
    const struct generation *generation = listener->worker->generation;
    if (generation_has_tls(generation, listener->port->number) ||
        generation_proxy_protocol(generation, listener->port->number) != PROXY_PROTOCOL_OFF)
        arrival_begin(listener, take_fd, peer);
    else
        client_accept(listener, take_fd, peer);
}

static void accept_some(struct listener *listener, unsigned max)
{
    for (unsigned i = 0; i < max; i++) {
        struct net_address peer;
        int fd = net_accept(listener->io.fd, &peer);
        if (fd < 0) {
            if ((errno == EMFILE || errno == ENFILE) && turn_away_with_reserve(listener))
                continue;
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_accepting(listener->worker);
            return;
        }
        if (!is_full(listener)) {
            welcome(listener, fd, &peer);
            continue;
        }
        turn_away(listener, fd);
        counter_add(&listener->worker->counters.connections_refused, 1);
    }
}

void worker_count_response(struct worker *worker, uint16_t status)
{
    struct counters *counters = &worker->counters;
    counter_add(status < 300   ? &counters->responses_2xx
                : status < 400 ? &counters->responses_3xx
                : status < 500 ? &counters->responses_4xx
                               : &counters->responses_5xx,
                1);
}

static void on_acceptable(struct loop_io *io, unsigned events)
{
    (void)events;
    accept_some((struct listener *)(void *)io, ACCEPTS_A_TURN);
}

void worker_connection_opened(struct worker *worker, struct listener *listener)
{
    worker->connection_count++;
    __atomic_add_fetch(&listener->port->connections, 1, __ATOMIC_RELAXED);
    counter_add(&worker->counters.connections, 1);
    counter_add(&worker->counters.open_connections, 1);
}

void worker_connection_closed(struct worker *worker, struct listener *listener)
{
    worker->connection_count--;
    __atomic_sub_fetch(&listener->port->connections, 1, __ATOMIC_RELAXED);
    counter_add(&worker->counters.open_connections, (uint64_t)-1);
    if (worker->is_draining && worker->connection_count == 0)
        loop_stop(&worker->loop);
}

static void close_listener(struct listener *listener)
{
    if (!listener->is_open)
        return;
    listener->is_open = false;
    loop_io_close(&listener->io, NULL);
}

static void open_listener(struct worker *worker, const struct listen_socket *socket)
{
    struct listener *listener = calloc(1, sizeof *listener);
    struct listener **list = realloc(worker->listeners, (worker->listener_count + 1) * sizeof(struct listener *));
    if (list)
        worker->listeners = list;
    if (!listener || !list || !loop_io_init(&worker->loop, &listener->io, socket->fd, on_acceptable)) {
        free(listener);
        close(socket->fd);
        return;
    }
    listener->worker = worker;
    listener->port = socket->port;
    listener->is_open = true;
    worker->listeners[worker->listener_count++] = listener;
    if (worker->is_draining)
        close_listener(listener);
    else
        loop_io_want(&listener->io, LOOP_READ);
}

static void close_unknown_listeners(struct worker *worker)
{
    const struct config *config = snapshot_config(worker->generation->snapshot);
    for (size_t i = 0; i < worker->listener_count; i++) {
        bool is_known = false;
        for (size_t j = 0; j < config->listener_count; j++)
            is_known |= config->listeners[j].port == worker->listeners[i]->port->number;
        if (!is_known)
            close_listener(worker->listeners[i]);
    }
}

// ---- orders -------------------------------------------------------------------------------------------------------

// Clients between requests take the new limits; those whose port is gone end.
static void refresh_clients(struct worker *worker)
{
    struct list *node = worker->clients.next;
    while (node != &worker->clients) {
        struct client *client = LIST_OWNER(node, struct client, node);
        node = node->next;
        if (!client->stream && !client_refresh(client))
            client_retire(client);
    }
}

static void take_order(struct worker *worker, struct worker_order *order)
{
    struct pools *pools = pools_new(worker, order->generation);
    if (!pools) { // no memory: the old configuration stays
        generation_unref(order->generation);
    } else {
        struct pools *old_pools = worker->pools;
        struct generation *old = worker->generation;
        worker->pools = pools;
        worker->generation = order->generation;
        refresh_clients(worker);
        if (old_pools)
            pools_retire(old_pools, pools);
        generation_unref(old);
    }
    for (size_t i = 0; i < order->socket_count; i++)
        open_listener(worker, &order->sockets[i]);
    free(order->sockets);
    *order = (struct worker_order){0};
    if (worker->generation)
        close_unknown_listeners(worker);
}

static void drain(struct worker *worker)
{
    int64_t now_us = loop_now_us();
    int64_t idle_us = worker->drain_kind == WORKER_DRAIN_HAND_OVER ? HAND_OVER_IDLE_US : FRESH_US;
    worker->is_draining = true;
    worker->drain_until_us = now_us + worker->options->drain_ms * 1000;
    worker->idle_until_us = now_us + idle_us;
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (worker->listeners[i]->is_open) // who waits in the queue has connected already
            accept_some(worker->listeners[i], ACCEPTS_LAST);
        close_listener(worker->listeners[i]);
    }
    drain_clients(worker);
    if (worker->connection_count == 0)
        loop_stop(&worker->loop);
    worker->is_ticking = true;
    loop_timer_start(&worker->tick, TICK_MS, TICK_MS);
}

static void on_wake(struct loop_wake *wake)
{
    struct worker *worker = LIST_OWNER(wake, struct worker, wake);
    pthread_mutex_lock(&worker->mutex);
    struct worker_order order = worker->order;
    bool is_drain_asked = worker->is_drain_asked, is_stop_asked = worker->is_stop_asked;
    enum overload_level overload = worker->overload_asked;
    bool is_shed = worker->is_shed_asked;
    worker->is_shed_asked = false;
    worker->order = (struct worker_order){0};
    pthread_mutex_unlock(&worker->mutex);
    if (order.generation)
        take_order(worker, &order);
    if (overload != worker->overload || overload == OVERLOAD_SHED)
        take_overload(worker, overload, is_shed);
    if (is_stop_asked) {
        worker->is_draining = true;
        close_all(worker);
        loop_stop(&worker->loop);
    } else if (is_drain_asked && !worker->is_draining) {
        drain(worker);
    }
}

// ---- life ---------------------------------------------------------------------------------------------------------

static void on_turn(struct loop_turn *turn)
{
    h2_flush_all(&LIST_OWNER(turn, struct worker, turn)->h2);
}

static bool init_loop(struct worker *worker)
{
    struct slice why;
    if (!loop_init(&worker->loop))
        return false;
    bool is_ok = loop_timer_init(&worker->loop, &worker->tick, on_tick) &&
                 loop_timer_init(&worker->loop, &worker->accept_timer, on_accept_timer) &&
                 loop_turn_init(&worker->loop, &worker->turn, on_turn) &&
                 loop_wake_init(&worker->loop, &worker->wake, on_wake);
    worker->dns = is_ok ? dns_new(&worker->loop.uv, &why) : NULL;
    if (worker->dns)
        return true;
    loop_fini(&worker->loop);
    return false;
}

struct worker *worker_new(unsigned index, const struct server_options *options, struct logsink *logsink,
                          size_t max_connections, const struct worker_order *take_order)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker)
        return NULL;
    worker->index = index;
    worker->options = options;
    worker->logsink = logsink;
    worker->max_connections = max_connections;
    worker->read_bytes = malloc(WORKER_READ_BYTES);
    worker->spans = malloc(sizeof *worker->spans);
    list_init(&worker->clients);
    list_init(&worker->streams);
    worker->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    list_init(&worker->arrivals);
    list_init(&worker->splices);
    list_init(&worker->all_pools);
    buf_init(&worker->head, HEAD_MAX);
    buf_init(&worker->log_line, LOG_LINE_MAX);
    deadlines_init(&worker->deadlines, loop_now_us());
    pthread_mutex_init(&worker->mutex, NULL);
    if (getrandom(worker->random, sizeof worker->random, 0) != sizeof worker->random)
        worker->random[0] = (uint64_t)loop_unix_us() + index;
    worker->random[1] |= 1; // all zeros would stay so
    if (!worker->read_bytes || !worker->spans || !h2_shared_init(&worker->h2) || !init_loop(worker)) {
        h2_shared_fini(&worker->h2);
        free(worker->read_bytes);
        free(worker->spans);
        free(worker);
        return NULL;
    }
    worker->order = *take_order;
    return worker;
}

static void *run(void *context)
{
    struct worker *worker = context;
    on_wake(&worker->wake); // the first order
    loop_run(&worker->loop);
    close_all(worker);
    worker->on_end(worker->on_end_context);
    return NULL;
}

bool worker_start(struct worker *worker, void (*on_end)(void *context), void *context)
{
    worker->on_end = on_end;
    worker->on_end_context = context;
    return pthread_create(&worker->thread, NULL, run, worker) == 0;
}

// Puts the sockets of an order that was not yet taken before those of the order that replaces it.
static void keep_sockets(struct worker_order *order, const struct worker_order *untaken)
{
    size_t count = order->socket_count + untaken->socket_count;
    struct listen_socket *sockets =
        untaken->socket_count ? realloc(order->sockets, count * sizeof *sockets) : order->sockets;
    for (size_t i = 0; i < untaken->socket_count; i++) {
        if (sockets)
            sockets[order->socket_count++] = untaken->sockets[i];
        else
            close(untaken->sockets[i].fd);
    }
    if (sockets)
        order->sockets = sockets;
}

static void ask(struct worker *worker, const struct worker_order *order, bool is_drain, bool is_stop)
{
    struct worker_order untaken = {0};
    pthread_mutex_lock(&worker->mutex);
    if (order) {
        untaken = worker->order;
        worker->order = *order;
        keep_sockets(&worker->order, &untaken);
    }
    worker->is_drain_asked |= is_drain;
    worker->is_stop_asked |= is_stop;
    pthread_mutex_unlock(&worker->mutex);
    free(untaken.sockets);
    generation_unref(untaken.generation);
    loop_wake_send(&worker->wake);
}

void worker_reload(struct worker *worker, const struct worker_order *take_order)
{
    ask(worker, take_order, false, false);
}

void worker_drain(struct worker *worker, enum worker_drain_kind kind)
{
    __atomic_store_n(&worker->drain_kind, kind, __ATOMIC_RELAXED); // read after the drain was asked for
    ask(worker, NULL, true, false);
}

void worker_overload(struct worker *worker, enum overload_level level, bool is_shed)
{
    pthread_mutex_lock(&worker->mutex);
    worker->overload_asked = level;
    worker->is_shed_asked |= is_shed;
    pthread_mutex_unlock(&worker->mutex);
    loop_wake_send(&worker->wake);
}

void worker_stop(struct worker *worker)
{
    ask(worker, NULL, true, true);
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
    for (size_t i = 0; i < worker->listener_count; i++)
        close_listener(worker->listeners[i]);
    if (worker->pools)
        pools_retire(worker->pools, NULL);
    dns_free(worker->dns);
    loop_fini(&worker->loop);
    for (size_t i = 0; i < worker->listener_count; i++)
        free(worker->listeners[i]);
    free(worker->listeners);
    generation_unref(worker->generation);
    buf_fini(&worker->head);
    buf_fini(&worker->log_line);
    h2_shared_fini(&worker->h2);
    free(worker->read_bytes);
    free(worker->spans);
    if (worker->reserve_fd >= 0)
        close(worker->reserve_fd);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}
