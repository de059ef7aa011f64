// The control thread: opens the ports, starts workers, owns signals, the admin port, reloads and the drain. Workers get
// their orders by message; nothing here is on the path of a request.
#define _GNU_SOURCE

#include "host/native/server.h"

#include "host/native/admin.h"
#include "host/native/folder_watch.h"
#include "host/native/handover.h"
#include "host/native/health_check.h"
#include "host/native/inherited.h"
#include "host/native/metrics.h"
#include "host/native/ports.h"
#include "host/native/service.h"
#include "host/native/takeover.h"
#include "host/native/upgrade.h"
#include "host/native/worker.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHANGE_POLL_MS 500
#define WORKERS_MAX 512

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
#define SIGNAL_COUNT (sizeof signals / sizeof signals[0])

struct server {
    const struct server_options *options;
    struct loop loop;
    uv_signal_t signals[SIGNAL_COUNT];
    struct loop_timer change_timer;
    struct loop_timer memory_timer;
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
    struct inherited inherited;
    struct ports ports;
    struct upgrade upgrade;
    struct handover *handover; // NULL: it does not hand over (any more)
    bool is_draining;
    bool is_stop_asked; // by a signal
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

// ---- orders to the workers ------------------------------------------------------------------------------------------

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

// What each worker is to do for this generation: its sockets for ports that were not open before. NULL: said why.
static struct worker_order *make_orders(struct server *server, struct generation *generation)
{
    char why[128] = "out of memory";
    struct worker_order *orders = calloc(server->worker_count, sizeof *orders);
    for (unsigned i = 0; orders && i < server->worker_count; i++)
        orders[i].generation = generation_ref(generation);
    if (orders && ports_open(&server->ports, snapshot_config(generation->snapshot), orders, server->worker_count, why,
                             sizeof why))
        return orders;
    say(server, SERVER_LOG_ERROR, "%s", why);
    free_orders(orders, server->worker_count);
    return NULL;
}

// ---- reloads ------------------------------------------------------------------------------------------------------

static void start_checks(struct server *server)
{
    health_checks_free(server->checks);
    server->checks =
        health_checks_new(&server->loop, server->dns, server->generation->snapshot, server->generation->health);
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
    ports_settle(&server->ports, snapshot_config(next->snapshot));
    generation_unref(server->previous);
    server->previous = server->generation;
    server->generation = next;
    start_checks(server);
    return true;
}

static void load_again(struct server *server)
{
    struct snapshot *snapshot = NULL;
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

static void reload(struct server *server)
{
    if (!server->options->reload || server->is_draining) {
        say(server, SERVER_LOG_INFO, "reload ignored");
        return;
    }
    service_reloading();
    load_again(server);
    service_ready();
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

static void drain(struct server *server, enum worker_drain_kind kind)
{
    say(server, SERVER_LOG_INFO, "draining, %lld s at most", (long long)(server->options->drain_ms / 1000));
    server->is_draining = true;
    handover_free(server->handover);
    server->handover = NULL;
    ports_release(&server->ports);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_drain(server->workers[i], kind);
}

static void on_stop_signal(struct server *server)
{
    bool is_second = server->is_stop_asked;
    server->is_stop_asked = true;
    service_stopping();
    if (!server->is_draining)
        drain(server, WORKER_DRAIN_STOP);
    for (unsigned i = 0; is_second && i < server->worker_count; i++)
        worker_stop(server->workers[i]);
}

// A container ends with its process 1, whoever else serves in it.
static bool may_upgrade(const struct server *server, struct slice *ret_why)
{
    if (getpid() == 1)
        *ret_why = SLICE("process 1 of a container can't be replaced; start a new container");
    else if (server->is_draining)
        *ret_why = SLICE("it is draining");
    else if (server->upgrade.is_under_way || handover_is_under_way(server->handover))
        *ret_why = SLICE("one is under way");
    else
        return true;
    return false;
}

static struct upgrade_socket *list_sockets(const struct server *server, size_t *ret_count)
{
    int of_admin[ADMIN_LISTENERS_MAX];
    size_t admin_count = server->admin ? admin_sockets(server->admin, of_admin) : 0, count = 0;
    for (size_t i = 0; i < server->ports.count; i++)
        count += server->ports.items[i].socket_count;
    struct upgrade_socket *sockets = calloc(count + admin_count + 1, sizeof *sockets);
    *ret_count = 0;
    for (size_t i = 0; sockets && i < server->ports.count; i++)
        for (size_t j = 0; j < server->ports.items[i].socket_count; j++) {
            struct upgrade_socket *socket = &sockets[(*ret_count)++];
            socket->fd = server->ports.items[i].sockets[j];
            snprintf(socket->name, sizeof socket->name, "%u", (unsigned)server->ports.items[i].port->number);
        }
    for (size_t i = 0; sockets && i < admin_count; i++)
        sockets[(*ret_count)++] = (struct upgrade_socket){of_admin[i], INHERITED_NAME_ADMIN};
    return sockets;
}

static void upgrade_failed(struct server *server, struct slice why)
{
    server->process.upgrades_failed++;
    say(server, SERVER_LOG_ERROR, "the upgrade failed, this process goes on: " SLICE_FMT, SLICE_ARG(why));
}

static void on_upgraded(void *context, int pid, struct slice why)
{
    struct server *server = context;
    if (pid == 0) {
        upgrade_failed(server, why);
        return;
    }
    say(server, SERVER_LOG_INFO, "process %d serves now", pid);
    if (server->is_draining) // stopped meanwhile: so is the new one, by who sent the signal
        return;
    service_handed_over(pid);
    if (server->admin)
        admin_close_listeners(server->admin);
    drain(server, WORKER_DRAIN_HAND_OVER);
}

static void upgrade(struct server *server)
{
    struct slice why = SLICE("it was started without a path");
    size_t count = 0;
    struct upgrade_socket *sockets = list_sockets(server, &count);
    bool is_begun = false;
    if (may_upgrade(server, &why) && server->options->argv && sockets)
        is_begun = upgrade_begin(&server->upgrade, &server->loop, server->options->argv, sockets, count, &why);
    free(sockets);
    if (is_begun)
        say(server, SERVER_LOG_INFO, "upgrade: process %d starts with %zu sockets", server->upgrade.pid, count);
    else
        upgrade_failed(server, why);
}

// For a process that was started with --upgrade.
static struct upgrade_socket *list_for_taker(void *context, size_t *ret_count, struct slice *ret_why)
{
    struct server *server = context;
    return may_upgrade(server, ret_why) ? list_sockets(server, ret_count) : NULL;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    if (number == SIGHUP)
        reload(server);
    else if (number == SIGUSR1)
        logsink_reopen(server->logsink);
    else if (number == SIGUSR2)
        upgrade(server);
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

// ---- short of memory ----------------------------------------------------------------------------------------------

static unsigned find_largest(const struct server *server)
{
    uint64_t largest = 0;
    unsigned index = UINT_MAX;
    for (unsigned i = 0; i < server->worker_count; i++) {
        uint64_t bytes = __atomic_load_n(&server->workers[i]->largest_bytes, __ATOMIC_RELAXED);
        if (bytes > largest) {
            largest = bytes;
            index = i;
        }
    }
    return index;
}

static void note_level(struct server *server, enum overload_level before, enum overload_level level, uint64_t used)
{
    if (level == before)
        return;
    for (enum overload_level i = before + 1; i <= level; i++)
        server->process.overload_entered[i]++;
    say(server, level > before ? SERVER_LOG_WARN : SERVER_LOG_INFO, "memory: %llu of %llu MiB, overload level %s",
        (unsigned long long)(used >> 20), (unsigned long long)(server->process.memory_limit_bytes >> 20),
        overload_names[level]);
}

// What was freed goes back to the system: only resident memory tells whether things are better.
static void on_memory_timer(struct loop_timer *timer)
{
    struct server *server = LIST_OWNER(timer, struct server, memory_timer);
    enum overload_level before = server->process.overload;
    if (before > OVERLOAD_NONE)
        malloc_trim(0);
    uint64_t used = overload_used_bytes();
    enum overload_level level = overload_next(before, used, server->process.memory_limit_bytes);
    unsigned largest = level == OVERLOAD_SHED ? find_largest(server) : UINT_MAX;
    server->process.overload = level;
    note_level(server, before, level, used);
    for (unsigned i = 0; (level != before || level == OVERLOAD_SHED) && i < server->worker_count; i++)
        worker_overload(server->workers[i], level, i == largest);
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
    if (!loop_timer_init(&server->loop, &server->memory_timer, on_memory_timer))
        return false;
    if (server->options->reload && server->options->has_changed) {
        loop_timer_start(&server->change_timer, CHANGE_POLL_MS, CHANGE_POLL_MS);
        if (server->options->folders)
            server->watch = folder_watch_new(&server->loop.uv, on_folder_event, server);
        watch_folders(server);
    }
    return true;
}

// A process that was taken over from may have had its admin port elsewhere, or have one that is not wanted here.
static bool take_over(struct server *server)
{
    char why[TAKEOVER_WHY_MAX];
    int pid = 0;
    if (!server->options->takes_over || inherited_is_awaited(&server->inherited)) // a later SIGUSR2 came first
        return true;
    if (!takeover_ask(snapshot_config(server->generation->snapshot), server->options->port_offset, &server->inherited,
                      &pid, why)) {
        say(server, SERVER_LOG_ERROR, "--upgrade: %s", why);
        return false;
    }
    inherited_drop_admin(&server->inherited, server->options->admin_port);
    say(server, SERVER_LOG_INFO, "taking over from process %d", pid);
    return true;
}

static bool open_admin(struct server *server, const struct admin_source *source)
{
    struct slice why = SLICE("");
    int sockets[ADMIN_LISTENERS_MAX];
    size_t count = 0;
    while (count < ADMIN_LISTENERS_MAX && (sockets[count] = inherited_find_admin(&server->inherited)) >= 0)
        count++;
    if (count > 0)
        server->admin = admin_new_on(&server->loop.uv, sockets, count, source, &why);
    else if (server->options->admin_port == 0)
        return true;
    else
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
    for (size_t i = 0; i < server->ports.count && at < sizeof line - 100; i++)
        at += (size_t)snprintf(line + at, sizeof line - at, is_v6 ? "%s%s://[%s]:%u" : "%s%s://%s:%u", i ? ", " : "",
                               generation_has_tls(server->generation, server->ports.items[i].port->number) ? "https"
                                                                                                           : "http",
                               host, (unsigned)server->ports.items[i].port->number + server->options->port_offset);
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
    ports_fini(&server->ports);
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
    if (!take_over(server) || !open_admin(server, source))
        return false;
    struct worker_order *orders = make_orders(server, server->generation);
    if (!orders)
        return false;
    ports_settle(&server->ports, snapshot_config(server->generation->snapshot));
    bool is_ok = make_workers(server, orders);
    free_orders(orders, server->worker_count);
    if (is_ok)
        start_checks(server);
    uint64_t limit = server->options->memory_limit_bytes;
    server->process.memory_limit_bytes = limit == 0 ? overload_cgroup_limit() : limit == UINT64_MAX ? 0 : limit;
    if (is_ok && server->process.memory_limit_bytes)
        loop_timer_start(&server->memory_timer, OVERLOAD_LOOK_MS, OVERLOAD_LOOK_MS);
    return is_ok;
}

static void offer_sockets(struct server *server)
{
    const struct handover_owner owner = {list_for_taker, on_upgraded, server};
    server->handover = handover_new(&server->loop, &owner);
    if (!server->handover)
        say(server, SERVER_LOG_DEBUG, "no socket for `weir run --upgrade`");
}

int server_run(struct snapshot *take_snapshot, const struct server_options *options)
{
    struct server server = {.options = options};
    struct admin_source source = {is_ready, write_metrics, current_snapshot, &server};
    size_t unused;
    int64_t started_us = options->started_us ? options->started_us : loop_now_us();
    signal(SIGPIPE, SIG_IGN);
    server.worker_count = options->workers ? options->workers : count_cores();
    if (server.worker_count > WORKERS_MAX)
        server.worker_count = WORKERS_MAX;
    inherited_take(&server.inherited);
    ports_init(&server.ports, options->address, options->port_offset, &server.inherited);
    upgrade_init(&server.upgrade, on_upgraded, &server);
    server.generation = first_generation(&server, take_snapshot);
    if (!server.generation)
        return 1;
    server.next_generation = snapshot_generation(server.generation->snapshot) + 1;
    if (!init_control(&server) || !start(&server, &source)) {
        say(&server, SERVER_LOG_ERROR, "cannot start");
        _exit(1); // nothing runs yet; sockets and files are the system's to close
    }
    if ((unused = inherited_close(&server.inherited)) > 0)
        say(&server, SERVER_LOG_WARN, "%zu sockets were handed down that no listener asks for", unused);
    offer_sockets(&server);
    print_ready(&server, started_us);
    service_ready();
    inherited_tell_ready(&server.inherited);
    loop_run(&server.loop);
    fini(&server);
    return 0;
}
