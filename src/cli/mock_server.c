// The mock's epoll loop: one read and one write a request, paced streams on one timer wheel.
#define _GNU_SOURCE // accept4
#include "cli/mock.h"

#include "cli/mock_answer.h"
#include "cli/mock_wheel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)
#define REQUEST_MAX_BYTES ((size_t)1 << 30)
#define WORKER_MAX 64
#define EVENT_COUNT 256

enum phase {
    PHASE_READ,   // waits for a request
    PHASE_DELAY,  // has one, waits before the answer; the request stands in `in`
    PHASE_PUMP,   // sends the answer
    PHASE_SILENT, // sends nothing more
};

struct connection {
    struct mock_timer timer; // first: a timer is its connection
    struct connection *next; // of all of a worker
    struct connection *previous;
    int fd;
    enum phase phase;
    enum mock_step step; // what the answer said last
    bool wants_out;      // registered for EPOLLOUT
    bool must_close;
    bool is_counted; // as an open stream
    bool is_delayed; // the delay of this request has passed
    struct buf in;   // an incomplete or a delayed request, and what follows it
    size_t needed;   // bytes that `in` needs at least; 0: unknown
    struct buf out;  // made but not sent
    size_t sent;     // of out
    size_t chunk_bytes;
    struct mock_answer answer;
};

struct worker {
    struct mock *mock;
    pthread_t thread;
    bool is_started;
    int epoll_fd;
    int listen_fd;
    int64_t now_us;
    struct mock_wheel wheel;
    struct mock_maker maker;
    struct buf read_space;
    struct buf chunks;
    struct buf out;
    struct connection *connections;
    atomic_uint_fast64_t requests;
    atomic_uint_fast64_t open_connections;
    atomic_uint_fast64_t open_streams;
    atomic_uint_fast64_t cancelled_streams;
};

struct mock {
    const struct mock_options *options;
    uint16_t port;
    int stop_fd; // readable: end
    unsigned worker_count;
    struct worker workers[WORKER_MAX];
};

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

// ---- connections ----------------------------------------------------------------------------------------------------

static void count_stream(struct worker *worker, struct connection *connection, bool is_open)
{
    if (connection->is_counted == is_open)
        return;
    connection->is_counted = is_open;
    if (is_open)
        atomic_fetch_add_explicit(&worker->open_streams, 1, memory_order_relaxed);
    else
        atomic_fetch_sub_explicit(&worker->open_streams, 1, memory_order_relaxed);
}

static void close_connection(struct worker *worker, struct connection *connection)
{
    mock_wheel_clear(&worker->wheel, &connection->timer);
    count_stream(worker, connection, false);
    atomic_fetch_sub_explicit(&worker->open_connections, 1, memory_order_relaxed);
    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        worker->connections = connection->next;
    close(connection->fd);
    buf_fini(&connection->in);
    buf_fini(&connection->out);
    mock_answer_fini(&connection->answer);
    free(connection);
}

// The client is gone, or sent its last byte: either way there is nobody to stream to.
static void hang_up(struct worker *worker, struct connection *connection)
{
    if (connection->is_counted)
        atomic_fetch_add_explicit(&worker->cancelled_streams, 1, memory_order_relaxed);
    close_connection(worker, connection);
}

static void reset_connection(struct worker *worker, struct connection *connection)
{
    struct linger linger = {1, 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close_connection(worker, connection);
}

static void watch(struct worker *worker, struct connection *connection, bool wants_out)
{
    if (connection->wants_out == wants_out)
        return;
    connection->wants_out = wants_out;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (wants_out ? EPOLLOUT : 0U), .data.ptr = connection};
    epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void wake_at(struct worker *worker, struct connection *connection, int64_t due_us)
{
    mock_wheel_set(&worker->wheel, &connection->timer, (due_us + 999) / 1000);
}

static void accept_all(struct worker *worker)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(worker->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) {
            close(fd);
            return;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection->fd = fd;
        buf_init(&connection->in, REQUEST_MAX_BYTES);
        buf_init(&connection->out, REQUEST_MAX_BYTES);
        connection->next = worker->connections;
        if (connection->next)
            connection->next->previous = connection;
        worker->connections = connection;
        atomic_fetch_add_explicit(&worker->open_connections, 1, memory_order_relaxed);
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = connection};
        epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

// ---- writing --------------------------------------------------------------------------------------------------------

// Sends what can be sent of `bytes`, at most one piece where the answer is to come in pieces. False: the connection
// is broken.
static bool send_some(struct connection *connection, struct slice bytes, size_t *ret_sent)
{
    struct slice piece = slice_sub(bytes, 0, connection->chunk_bytes ? connection->chunk_bytes : SIZE_MAX);
    ssize_t sent = piece.len ? send(connection->fd, piece.ptr, piece.len, MSG_NOSIGNAL) : 0;
    *ret_sent = sent > 0 ? (size_t)sent : 0;
    return sent >= 0 || errno == EAGAIN || errno == EINTR;
}

// What is left waits for the socket, or for the next tick when pieces are wanted.
static void wait_to_send(struct worker *worker, struct connection *connection, bool is_blocked)
{
    watch(worker, connection, is_blocked);
    if (!is_blocked)
        wake_at(worker, connection, worker->now_us + 1000);
}

// The whole answer is with the socket. False when the connection is gone.
static bool end_answer(struct worker *worker, struct connection *connection)
{
    count_stream(worker, connection, false);
    if (connection->step == MOCK_STEP_CUT || connection->must_close) {
        shutdown(connection->fd, SHUT_WR);
        close_connection(worker, connection);
        return false;
    }
    watch(worker, connection, false);
    connection->phase = PHASE_READ;
    connection->chunk_bytes = 0;
    connection->is_delayed = false;
    if (connection->out.cap > 4096)
        buf_fini(&connection->out);
    return true;
}

// Sends what stands in `out` of the connection. True: all of it went.
static bool flush_out(struct worker *worker, struct connection *connection, bool *ret_gone)
{
    size_t sent = 0;
    struct slice left = slice_from(buf_slice(&connection->out), connection->sent);
    *ret_gone = false;
    if (left.len == 0)
        return true;
    if (!send_some(connection, left, &sent)) {
        hang_up(worker, connection);
        *ret_gone = true;
        return false;
    }
    connection->sent += sent;
    if (sent < left.len) {
        wait_to_send(worker, connection, sent == 0 || connection->chunk_bytes == 0);
        return false;
    }
    buf_reset(&connection->out);
    connection->sent = 0;
    return true;
}

// Sends a part of the answer that was just made; what does not go is kept. False when the connection is gone.
static bool send_made(struct worker *worker, struct connection *connection)
{
    size_t sent = 0;
    struct slice made = buf_slice(&worker->out);
    if (!send_some(connection, made, &sent)) {
        hang_up(worker, connection);
        return false;
    }
    if (sent < made.len) {
        buf_append(&connection->out, slice_from(made, sent));
        wait_to_send(worker, connection, sent == 0 || connection->chunk_bytes == 0);
    }
    return true;
}

// Goes on with the answer as far as socket and time allow. False when the connection is gone.
static bool pump(struct worker *worker, struct connection *connection)
{
    bool is_gone = false;
    while (flush_out(worker, connection, &is_gone)) {
        switch (connection->step) {
        case MOCK_STEP_END:
        case MOCK_STEP_CUT:
            return end_answer(worker, connection);
        case MOCK_STEP_STALL:
            watch(worker, connection, false);
            connection->phase = PHASE_SILENT;
            return true;
        case MOCK_STEP_WAIT:
            if (worker->now_us < connection->answer.due_us) {
                watch(worker, connection, false);
                wake_at(worker, connection, connection->answer.due_us);
                return true;
            }
            break;
        case MOCK_STEP_MORE:
            break;
        }
        buf_reset(&worker->out);
        connection->step = mock_answer_next(&connection->answer, &worker->maker, worker->now_us, &worker->out);
        if (!send_made(worker, connection))
            return false;
    }
    return !is_gone;
}

// ---- reading --------------------------------------------------------------------------------------------------------

static void answer_stats(struct worker *worker, struct buf *out)
{
    uint64_t requests = 0, connections = 0, open = 0, cancelled = 0;
    for (unsigned i = 0; i < worker->mock->worker_count; i++) {
        struct worker *each = &worker->mock->workers[i];
        requests += atomic_load_explicit(&each->requests, memory_order_relaxed);
        connections += atomic_load_explicit(&each->open_connections, memory_order_relaxed);
        open += atomic_load_explicit(&each->open_streams, memory_order_relaxed);
        cancelled += atomic_load_explicit(&each->cancelled_streams, memory_order_relaxed);
    }
    char text[256];
    int len = snprintf(text, sizeof text,
                       "{\"requests\":%llu,\"connections\":%llu,\"open_streams\":%llu,\"cancelled_streams\":%llu}\n",
                       (unsigned long long)requests, (unsigned long long)connections, (unsigned long long)open,
                       (unsigned long long)cancelled);
    mock_answer_plain(out, 200, slice_make(text, (size_t)len));
}

// Answers one whole request. False when the connection is gone or the request has to wait for its delay.
static bool take_request(struct worker *worker, struct connection *connection, const struct mock_request *request)
{
    if (request->wishes.is_reset) {
        reset_connection(worker, connection);
        return false;
    }
    if (request->wishes.delay_us > 0 && !connection->is_delayed) {
        connection->phase = PHASE_DELAY;
        wake_at(worker, connection, worker->now_us + request->wishes.delay_us);
        return false;
    }
    buf_reset(&worker->out);
    connection->phase = PHASE_PUMP;
    connection->must_close = request->must_close;
    connection->chunk_bytes = request->wishes.chunk_bytes;
    if (request->wishes.is_silent) {
        connection->phase = PHASE_SILENT;
        return true;
    }
    if (slice_eq(request->path, SLICE("/mock/stats"))) {
        answer_stats(worker, &worker->out);
        connection->step = MOCK_STEP_END;
    } else {
        atomic_fetch_add_explicit(&worker->requests, 1, memory_order_relaxed);
        connection->step =
            mock_answer_begin(&connection->answer, &worker->maker, request, worker->now_us, &worker->out);
        count_stream(worker, connection, connection->step != MOCK_STEP_END && connection->answer.is_stream);
    }
    return send_made(worker, connection) && pump(worker, connection);
}

static void answer_bad(struct worker *worker, struct connection *connection)
{
    static const char bad[] = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    send(connection->fd, bad, sizeof bad - 1, MSG_NOSIGNAL);
    close_connection(worker, connection);
}

static void keep(struct connection *connection, struct slice input)
{
    if (connection->in.ptr && input.ptr >= connection->in.ptr && input.ptr <= connection->in.ptr + connection->in.len)
        buf_drop_front(&connection->in, (size_t)(input.ptr - connection->in.ptr));
    else
        buf_append(&connection->in, input);
}

// Answers the requests in `input`, which stands in connection->in or in the worker's read space.
static void take_input(struct worker *worker, struct connection *connection, struct slice input)
{
    while (input.len > 0 && connection->phase == PHASE_READ) {
        struct mock_request request;
        size_t bytes = 0;
        enum mock_parse result = mock_request_parse(input, worker->mock->options, &worker->chunks, &request, &bytes);
        if (result == MOCK_PARSE_BAD) {
            answer_bad(worker, connection);
            return;
        }
        if (result == MOCK_PARSE_MORE) {
            if (request.wants_continue && connection->needed == 0)
                send(connection->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
            connection->needed = bytes;
            break;
        }
        connection->needed = 0;
        struct slice rest = slice_from(input, bytes);
        // A request that waits keeps its bytes, to be read again; take_request says so by its phase.
        if (request.wishes.delay_us > 0 && !connection->is_delayed && !request.wishes.is_reset) {
            keep(connection, input);
            take_request(worker, connection, &request);
            return;
        }
        if (!take_request(worker, connection, &request))
            return;
        input = rest;
    }
    keep(connection, input);
    if (connection->in.len == 0 && connection->in.cap > 4096)
        buf_fini(&connection->in);
}

static void read_again(struct worker *worker, struct connection *connection)
{
    if (connection->phase == PHASE_READ && connection->in.len > 0)
        take_input(worker, connection, buf_slice(&connection->in));
}

static void read_more(struct worker *worker, struct connection *connection)
{
    struct buf *space = connection->in.len > 0 ? &connection->in : &worker->read_space;
    size_t wanted = connection->needed > connection->in.len ? connection->needed - connection->in.len : READ_BYTES;
    if (connection->in.len == 0)
        buf_reset(space);
    if (!buf_reserve(space, wanted > READ_BYTES ? wanted : READ_BYTES)) {
        close_connection(worker, connection);
        return;
    }
    ssize_t got = read(connection->fd, space->ptr + space->len, space->cap - space->len);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        hang_up(worker, connection);
        return;
    }
    space->len += (size_t)got;
    if (connection->phase != PHASE_READ) { // pipelined: waits for its turn
        if (space != &connection->in)
            buf_append(&connection->in, buf_slice(space));
        return;
    }
    if (connection->needed <= space->len)
        take_input(worker, connection, buf_slice(space));
    else if (space != &connection->in)
        buf_append(&connection->in, buf_slice(space));
}

// ---- the loop -------------------------------------------------------------------------------------------------------

static void wake(struct worker *worker, struct connection *connection)
{
    if (connection->phase == PHASE_DELAY) {
        connection->phase = PHASE_READ;
        connection->is_delayed = true;
        read_again(worker, connection);
    } else if (connection->phase == PHASE_PUMP && pump(worker, connection)) {
        read_again(worker, connection);
    }
}

static void on_event(struct worker *worker, struct connection *connection, uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP)) {
        hang_up(worker, connection);
        return;
    }
    if (events & EPOLLOUT) {
        if (connection->phase == PHASE_PUMP && pump(worker, connection))
            read_again(worker, connection);
        return; // what else there is to read is told again
    }
    if (events & (EPOLLIN | EPOLLRDHUP))
        read_more(worker, connection);
}

static void run_timers(struct worker *worker)
{
    struct mock_timer *timer;
    while ((timer = mock_wheel_next(&worker->wheel, worker->now_us / 1000)))
        wake(worker, (struct connection *)timer);
}

static void *run_worker(void *context)
{
    struct worker *worker = context;
    struct epoll_event events[EVENT_COUNT];
    for (;;) {
        int wait_ms = mock_wheel_wait_ms(&worker->wheel, clock_us(CLOCK_MONOTONIC) / 1000);
        int count = epoll_wait(worker->epoll_fd, events, EVENT_COUNT, wait_ms);
        worker->now_us = clock_us(CLOCK_MONOTONIC);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &worker->mock->stop_fd)
                return NULL;
            if (events[i].data.ptr == &worker->listen_fd)
                accept_all(worker);
            else
                on_event(worker, events[i].data.ptr, events[i].events);
        }
        run_timers(worker);
    }
}

// ---- start and stop -------------------------------------------------------------------------------------------------

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t len;
};

static bool parse_address(struct slice text, uint16_t port, struct address *ret_address)
{
    char literal[64] = "";
    *ret_address = (struct address){.len = sizeof(struct sockaddr_in)};
    if (text.len >= sizeof literal)
        return false;
    memcpy(literal, text.ptr, text.len);
    if (inet_pton(AF_INET, literal, &ret_address->v4.sin_addr) == 1) {
        ret_address->v4.sin_family = AF_INET;
        ret_address->v4.sin_port = htons(port);
        return true;
    }
    ret_address->len = sizeof(struct sockaddr_in6);
    ret_address->v6.sin6_family = AF_INET6;
    ret_address->v6.sin6_port = htons(port);
    return inet_pton(AF_INET6, literal, &ret_address->v6.sin6_addr) == 1;
}

// The port that the system chose, where 0 was asked for.
static uint16_t bound_port(int fd)
{
    struct address bound = {.len = sizeof(struct sockaddr_in6)};
    if (getsockname(fd, &bound.any, &bound.len) != 0)
        return 0;
    return ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
}

static int listen_on(const struct address *address)
{
    int on = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, &address->any, address->len) == 0 && listen(fd, 4096) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static bool init_worker(struct worker *worker, struct mock *mock, const struct address *address)
{
    worker->mock = mock;
    worker->now_us = clock_us(CLOCK_MONOTONIC);
    mock_wheel_init(&worker->wheel, worker->now_us / 1000);
    mock_maker_init(&worker->maker, clock_us(CLOCK_REALTIME) / 1000000);
    buf_init(&worker->read_space, REQUEST_MAX_BYTES);
    buf_init(&worker->chunks, REQUEST_MAX_BYTES);
    buf_init(&worker->out, REQUEST_MAX_BYTES);
    worker->listen_fd = listen_on(address);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (worker->listen_fd < 0 || worker->epoll_fd < 0)
        return false;
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = &worker->listen_fd};
    struct epoll_event stopping = {.events = EPOLLIN, .data.ptr = &mock->stop_fd};
    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->listen_fd, &listening) == 0 &&
           epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, mock->stop_fd, &stopping) == 0;
}

static void fini_worker(struct worker *worker)
{
    while (worker->connections)
        close_connection(worker, worker->connections);
    if (worker->listen_fd >= 0)
        close(worker->listen_fd);
    if (worker->epoll_fd >= 0)
        close(worker->epoll_fd);
    mock_maker_fini(&worker->maker);
    buf_fini(&worker->read_space);
    buf_fini(&worker->chunks);
    buf_fini(&worker->out);
}

// Threads take no signals: those are the main thread's.
static bool start_threads(struct mock *mock)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_good = true;
    for (unsigned i = 0; i < mock->worker_count && is_good; i++) {
        int result = pthread_create(&mock->workers[i].thread, NULL, run_worker, &mock->workers[i]);
        is_good = mock->workers[i].is_started = result == 0;
        errno = result;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return is_good;
}

static bool start(struct mock *mock)
{
    struct address address;
    errno = EINVAL;
    if (!parse_address(mock->options->address, mock->options->port, &address))
        return false;
    mock->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mock->stop_fd < 0)
        return false;
    unsigned wanted = mock->options->workers < WORKER_MAX ? mock->options->workers : WORKER_MAX;
    for (unsigned i = 0; i < wanted; i++) {
        mock->worker_count++;
        if (!init_worker(&mock->workers[i], mock, &address))
            return false;
        if (mock->port == 0) { // the others join the first one's
            mock->port = bound_port(mock->workers[0].listen_fd);
            parse_address(mock->options->address, mock->port, &address);
        }
    }
    return start_threads(mock);
}

struct mock_options mock_options_default(void)
{
    return (struct mock_options){.address = SLICE("127.0.0.1"), .port = MOCK_DEFAULT_PORT, .workers = 1, .tokens = 16};
}

struct mock *mock_start(const struct mock_options *options, const char **ret_why)
{
    struct mock *mock = calloc(1, sizeof *mock);
    if (!mock) {
        *ret_why = "out of memory";
        return NULL;
    }
    mock->options = options;
    mock->stop_fd = -1;
    if (start(mock))
        return mock;
    *ret_why = strerror(errno);
    mock_stop(mock);
    return NULL;
}

uint16_t mock_port(const struct mock *mock)
{
    return mock->port;
}

void mock_stop(struct mock *mock)
{
    if (!mock)
        return;
    uint64_t one = 1;
    if (mock->stop_fd >= 0 && write(mock->stop_fd, &one, sizeof one) < 0)
        return; // can't happen: the counter is far from full
    for (unsigned i = 0; i < mock->worker_count; i++)
        if (mock->workers[i].is_started)
            pthread_join(mock->workers[i].thread, NULL);
    for (unsigned i = 0; i < mock->worker_count; i++)
        fini_worker(&mock->workers[i]);
    if (mock->stop_fd >= 0)
        close(mock->stop_fd);
    free(mock);
}
