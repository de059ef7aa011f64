// The control thread: opens the ports, starts workers, owns signals, the admin port, reloads and the drain. Workers get
// their orders by message; nothing here is on the path of a request.
#define _GNU_SOURCE

#include "host/native/server.h"

#include "host/native/admin.h"
#include "host/native/folder_watch.h"
#include "host/native/health_check.h"
#include "host/native/metrics.h"
#include "host/native/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHANGE_POLL_MS 500
#define WORKERS_MAX 512

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
#define SIGNAL_COUNT (sizeof signals / sizeof signals[0])

struct server {
    const struct server_options *options;
    struct loop loop;
    uv_signal_t signals[SIGNAL_COUNT];
    struct loop_timer change_timer;
    struct folder_watch *watch; // NULL: only the timer looks
    struct loop_wake ended;     // a worker's thread has ended
    struct dns *dns;            // for active health checks
    struct admin *admin;
    struct logsink *logsink;
    struct health_checks *checks;
    struct generation *generation;
    struct generation *previous; // its health checks may still be closing
    uint64_t next_generation;
    struct worker **workers;
    unsigned worker_count;
    unsigned ended_count; // atomic
    struct port **ports;  // all that were ever listened on
    bool *is_port_open;
    size_t port_count;
    bool is_draining;
    struct metrics_process process;
};

static void say(const struct server *server, enum server_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(const struct server *server, enum server_log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char line[1024];
    va_list args;
    if (level > server->options->log_level)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "weir: %s: %s\n", names[level], line);
}

// ---- ports --------------------------------------------------------------------------------------------------------

static struct port *find_port(const struct server *server, uint16_t number, size_t *ret_index)
{
    for (size_t i = 0; i < server->port_count; i++)
        if (server->ports[i]->number == number) {
            *ret_index = i;
            return server->ports[i];
        }
    return NULL;
}

static struct port *add_port(struct server *server, uint16_t number, size_t *ret_index)
{
    struct port *port = find_port(server, number, ret_index);
    if (port)
        return port;
    struct port **ports = realloc(server->ports, (server->port_count + 1) * sizeof(struct port *));
    if (ports)
        server->ports = ports;
    bool *is_open = realloc(server->is_port_open, server->port_count + 1);
    if (is_open)
        server->is_port_open = is_open;
    port = ports && is_open ? calloc(1, sizeof *port) : NULL;
    if (!port)
        return NULL;
    port->number = number;
    server->is_port_open[server->port_count] = false;
    *ret_index = server->port_count;
    server->ports[server->port_count++] = port;
    return port;
}

// One socket; on all addresses where none was given, IPv4 alone where the machine has no IPv6.
static int listen_on(const struct server *server, uint16_t port)
{
    struct net_address address;
    const char *given = server->options->address;
    if (given)
        return net_parse_ip(slice_from_cstr(given), port, &address) ? net_listen(&address, false)
                                                                    : (errno = EADDRNOTAVAIL, -1);
    net_parse_ip(SLICE("::"), port, &address);
    int fd = net_listen(&address, true);
    if (fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
        return fd;
    net_parse_ip(SLICE("0.0.0.0"), port, &address);
    return net_listen(&address, false);
}

// Something that does not share the port may listen on it: without SO_REUSEPORT a second server would not be noticed
// only if it shared it too, which a second weir does. A socket without sharing tells.
static bool is_port_free(const struct server *server, uint16_t port)
{
    struct net_address address;
    struct slice host = server->options->address ? slice_from_cstr(server->options->address) : SLICE("0.0.0.0");
    if (!net_parse_ip(host, port, &address))
        return true;
    int fd = socket(address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return true;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool is_free = bind(fd, &address.at.any, address.len) == 0 || errno != EADDRINUSE;
    close(fd);
    return is_free;
}

static void free_orders(struct worker_order *orders, unsigned count)
{
    for (unsigned i = 0; orders && i < count; i++) {
        for (size_t j = 0; j < orders[i].socket_count; j++)
            close(orders[i].sockets[j].fd);
        free(orders[i].sockets);
        generation_unref(orders[i].generation);
    }
    free(orders);
}

static bool open_port(struct server *server, uint16_t number, struct worker_order *orders, size_t cap)
{
    size_t index;
    struct port *port = add_port(server, number, &index);
    if (!port)
        return false;
    if (server->is_port_open[index])
        return true;
    unsigned at = (unsigned)number + server->options->port_offset;
    if (at > UINT16_MAX || !is_port_free(server, (uint16_t)at)) {
        say(server, SERVER_LOG_ERROR, at > UINT16_MAX ? "port %u is out of range" : "port %u is in use", at);
        return false;
    }
    for (unsigned i = 0; i < server->worker_count; i++) {
        int fd = listen_on(server, (uint16_t)at);
        if (fd < 0 || orders[i].socket_count == cap) {
            say(server, SERVER_LOG_ERROR, "cannot listen on port %u: %s", at, strerror(errno));
            return false;
        }
        orders[i].sockets[orders[i].socket_count++] = (struct listen_socket){port, fd};
    }
    return true;
}

// What each worker is to do for this generation: its sockets for ports that were not open before. NULL: said why.
static struct worker_order *make_orders(struct server *server, struct generation *generation)
{
    const struct config *config = snapshot_config(generation->snapshot);
    struct worker_order *orders = calloc(server->worker_count, sizeof *orders);
    bool is_ok = orders != NULL;
    for (unsigned i = 0; is_ok && i < server->worker_count; i++) {
        orders[i].generation = generation_ref(generation);
        orders[i].sockets = calloc(config->listener_count + 1, sizeof *orders[i].sockets);
        is_ok = orders[i].sockets != NULL;
    }
    for (size_t i = 0; is_ok && i < config->listener_count; i++) {
        bool is_repeated = false;
        for (size_t j = 0; j < i; j++)
            is_repeated |= config->listeners[j].port == config->listeners[i].port;
        is_ok = is_repeated || open_port(server, config->listeners[i].port, orders, config->listener_count);
    }
    if (is_ok)
        return orders;
    free_orders(orders, server->worker_count);
    return NULL;
}

static void note_open_ports(struct server *server, const struct config *config)
{
    for (size_t i = 0; i < server->port_count; i++) {
        server->is_port_open[i] = false;
        for (size_t j = 0; j < config->listener_count; j++)
            server->is_port_open[i] |= config->listeners[j].port == server->ports[i]->number;
    }
}

// ---- reloads ------------------------------------------------------------------------------------------------------

static void start_checks(struct server *server)
{
    health_checks_free(server->checks);
    server->checks =
        health_checks_new(&server->loop.uv, server->dns, server->generation->snapshot, server->generation->health);
}

static bool swap_generation(struct server *server, struct snapshot *take_snapshot)
{
    struct arena arena;
    struct slice why;
    arena_init(&arena, 4096, 64U << 20);
    struct generation *next = generation_new(take_snapshot, server->generation, loop_now_us(), &arena, &why);
    if (!next)
        say(server, SERVER_LOG_ERROR, SLICE_FMT, SLICE_ARG(why));
    arena_fini(&arena);
    struct worker_order *orders = next ? make_orders(server, next) : NULL;
    if (!orders) {
        generation_unref(next);
        return false;
    }
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_reload(server->workers[i], &orders[i]);
    free(orders);
    note_open_ports(server, snapshot_config(next->snapshot));
    generation_unref(server->previous);
    server->previous = server->generation;
    server->generation = next;
    start_checks(server);
    return true;
}

static void reload(struct server *server)
{
    struct snapshot *snapshot = NULL;
    if (!server->options->reload || server->is_draining) {
        say(server, SERVER_LOG_INFO, "reload ignored");
        return;
    }
    switch (server->options->reload(server->options->context, server->next_generation, &snapshot)) {
    case SERVER_RELOAD_REJECTED:
        server->process.reloads_rejected++;
        say(server, SERVER_LOG_ERROR, "the new configuration is not valid; the old one stays");
        return;
    case SERVER_RELOAD_DONE:
        break;
    }
    if (!swap_generation(server, snapshot)) {
        server->process.reloads_rejected++;
        say(server, SERVER_LOG_ERROR, "the new configuration cannot be served; the old one stays");
        return;
    }
    server->process.reloads_ok++;
    say(server, SERVER_LOG_INFO, "configuration %llu is served", (unsigned long long)server->next_generation);
    server->next_generation++;
}

static void watch_folders(struct server *server)
{
    size_t count = 0;
    if (!server->watch)
        return;
    char **folders = server->options->folders(server->options->context, &count);
    folder_watch_set(server->watch, folders, count);
}

static void on_folder_event(void *context)
{
    struct server *server = context;
    if (server->is_draining)
        return;
    if (server->options->has_changed(server->options->context))
        reload(server);
    watch_folders(server); // a link may lead elsewhere now
}

static void on_change_timer(struct loop_timer *timer)
{
    struct server *server = LIST_OWNER(timer, struct server, change_timer);
    if (server->is_draining || !server->options->has_changed(server->options->context))
        return;
    reload(server);
    watch_folders(server);
}

// ---- signals and the end ------------------------------------------------------------------------------------------

static void on_stop_signal(struct server *server)
{
    bool is_second = server->is_draining;
    if (!is_second)
        say(server, SERVER_LOG_INFO, "draining, %lld s at most", (long long)(server->options->drain_ms / 1000));
    server->is_draining = true;
    for (unsigned i = 0; i < server->worker_count; i++)
        is_second ? worker_stop(server->workers[i]) : worker_drain(server->workers[i]);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    if (number == SIGHUP)
        reload(server);
    else if (number == SIGUSR1)
        logsink_reopen(server->logsink);
    else
        on_stop_signal(server);
}

static void on_worker_end(void *context)
{
    struct server *server = context;
    __atomic_add_fetch(&server->ended_count, 1, __ATOMIC_ACQ_REL);
    loop_wake_send(&server->ended);
}

static void on_ended(struct loop_wake *wake)
{
    struct server *server = LIST_OWNER(wake, struct server, ended);
    if (__atomic_load_n(&server->ended_count, __ATOMIC_ACQUIRE) == server->worker_count)
        loop_stop(&server->loop);
}

// ---- the admin port -----------------------------------------------------------------------------------------------

static bool is_ready(void *context, struct slice *ret_why)
{
    const struct server *server = context;
    if (server->is_draining)
        *ret_why = SLICE("draining");
    return !server->is_draining;
}

static void write_metrics(void *context, struct buf *out)
{
    struct server *server = context;
    struct counters sum = {0};
    for (unsigned i = 0; i < server->worker_count; i++)
        metrics_add(&sum, &server->workers[i]->counters);
    server->process.log_lines_lost = logsink_lost_lines(server->logsink);
    server->process.workers = server->worker_count;
    metrics_write(out, &sum, &server->process, server->generation, loop_now_us());
}

static struct snapshot *current_snapshot(void *context)
{
    const struct server *server = context;
    return snapshot_ref(server->generation->snapshot);
}

// ---- start --------------------------------------------------------------------------------------------------------

static unsigned count_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

// Raises the limit of descriptors as far as it goes; gives how many connections of clients each worker may have: 45 %,
// since each may need one to a backend.
static size_t connection_limit(unsigned workers)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 400 / workers + 1;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    size_t files = limit.rlim_cur == RLIM_INFINITY ? 1U << 20 : (size_t)limit.rlim_cur;
    return files * 45 / 100 / workers + 1;
}

static bool init_control(struct server *server)
{
    struct slice why;
    if (!loop_init(&server->loop))
        return false;
    server->dns = dns_new(&server->loop.uv, &why);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (uv_signal_init(&server->loop.uv, &server->signals[i]) != 0)
            return false;
        server->signals[i].data = server;
        uv_signal_start(&server->signals[i], on_signal, signals[i]);
    }
    if (!server->dns || !loop_wake_init(&server->loop, &server->ended, on_ended) ||
        !loop_timer_init(&server->loop, &server->change_timer, on_change_timer))
        return false;
    if (server->options->reload && server->options->has_changed) {
        loop_timer_start(&server->change_timer, CHANGE_POLL_MS, CHANGE_POLL_MS);
        if (server->options->folders)
            server->watch = folder_watch_new(&server->loop.uv, on_folder_event, server);
        watch_folders(server);
    }
    return true;
}

static bool open_admin(struct server *server, const struct admin_source *source)
{
    struct slice why = SLICE("");
    if (server->options->admin_port == 0)
        return true;
    server->admin = admin_new(&server->loop.uv, server->options->admin_port, source, &why);
    if (!server->admin)
        say(server, SERVER_LOG_ERROR, "admin port %u: " SLICE_FMT, server->options->admin_port, SLICE_ARG(why));
    return server->admin != NULL;
}

static bool make_workers(struct server *server, struct worker_order *orders)
{
    size_t limit = connection_limit(server->worker_count);
    for (unsigned i = 0; i < server->worker_count; i++) {
        server->workers[i] = worker_new(i, server->options, server->logsink, limit, &orders[i]);
        if (!server->workers[i])
            return false;
        orders[i] = (struct worker_order){0}; // taken
    }
    for (unsigned i = 0; i < server->worker_count; i++)
        if (!worker_start(server->workers[i], on_worker_end, server)) {
            // Threads that run already would touch what is freed now: there is no way back from here.
            say(server, SERVER_LOG_ERROR, "cannot start a thread");
            _exit(1);
        }
    return true;
}

static void print_ready(const struct server *server, int64_t started_us)
{
    char line[1024];
    size_t at = 0;
    const char *host = server->options->address ? server->options->address : "localhost";
    bool is_v6 = strchr(host, ':') && host[0] != '[';
    for (size_t i = 0; i < server->port_count && at < sizeof line - 100; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, is_v6 ? "%s%s://[%s]:%u" : "%s%s://%s:%u", i ? ", " : "",
                               generation_has_tls(server->generation, server->ports[i]->number) ? "https" : "http",
                               host, (unsigned)server->ports[i]->number + server->options->port_offset);
    if (server->admin && at < sizeof line - 100)
        snprintf(line + at, sizeof line - at, " (admin http://localhost:%u)", admin_port(server->admin));
    fprintf(stderr, "weir: listening on %s after %lld ms\n", line, (long long)(loop_now_us() - started_us) / 1000);
}

static void fini(struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        if (server->workers && server->workers[i])
            worker_join(server->workers[i]);
    free(server->workers);
    if (server->admin)
        admin_free(server->admin);
    health_checks_free(server->checks);
    folder_watch_free(server->watch);
    if (server->dns)
        dns_free(server->dns);
    loop_fini(&server->loop);
    if (server->logsink)
        logsink_free(server->logsink);
    generation_unref(server->previous);
    generation_unref(server->generation);
    for (size_t i = 0; i < server->port_count; i++)
        free(server->ports[i]);
    free(server->ports);
    free(server->is_port_open);
}

static struct generation *first_generation(struct server *server, struct snapshot *take_snapshot)
{
    struct arena arena;
    struct slice why;
    arena_init(&arena, 4096, 64U << 20);
    struct generation *generation = generation_new(take_snapshot, NULL, loop_now_us(), &arena, &why);
    if (!generation)
        say(server, SERVER_LOG_ERROR, SLICE_FMT, SLICE_ARG(why));
    arena_fini(&arena);
    return generation;
}

// Everything up to the ready line. False: said why.
static bool start(struct server *server, const struct admin_source *source)
{
    server->workers = calloc(server->worker_count, sizeof(struct worker *));
    server->logsink = logsink_new();
    if (!server->workers || !server->logsink)
        return false;
    if (!open_admin(server, source))
        return false;
    struct worker_order *orders = make_orders(server, server->generation);
    if (!orders)
        return false;
    note_open_ports(server, snapshot_config(server->generation->snapshot));
    bool is_ok = make_workers(server, orders);
    free_orders(orders, server->worker_count);
    if (is_ok)
        start_checks(server);
    return is_ok;
}

int server_run(struct snapshot *take_snapshot, const struct server_options *options)
{
    struct server server = {.options = options};
    struct admin_source source = {is_ready, write_metrics, current_snapshot, &server};
    int64_t started_us = options->started_us ? options->started_us : loop_now_us();
    signal(SIGPIPE, SIG_IGN);
    server.worker_count = options->workers ? options->workers : count_cores();
    if (server.worker_count > WORKERS_MAX)
        server.worker_count = WORKERS_MAX;
    server.generation = first_generation(&server, take_snapshot);
    if (!server.generation)
        return 1;
    server.next_generation = snapshot_generation(server.generation->snapshot) + 1;
    if (!init_control(&server) || !start(&server, &source)) {
        say(&server, SERVER_LOG_ERROR, "cannot start");
        _exit(1); // nothing runs yet; sockets and files are the system's to close
    }
    print_ready(&server, started_us);
    loop_run(&server.loop);
    fini(&server);
    return 0;
}
