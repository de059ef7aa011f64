// The loop on libuv. Sockets are watched with uv_poll_t: reads and writes are the owners', one system call each.
#include "host/native/loop.h"

#include <stddef.h>
#include <time.h>
#include <unistd.h>

bool loop_init(struct loop *loop)
{
    return uv_loop_init(&loop->uv) == 0;
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_fini(struct loop *loop)
{
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
}

// The moment of the event that this thread handles, so that one event asks the clock once: OUTSIDE when it handles none,
// UNASKED until somebody wants to know.
#define OUTSIDE (-2)
#define UNASKED (-1)
static _Thread_local int64_t event_us = OUTSIDE;

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop_io *io = poll->data;
    unsigned told = 0;
    event_us = UNASKED;
    if (status < 0) { // EPOLLERR: libuv has stopped the watch
        io->wanted = 0;
        told = LOOP_ERROR;
    }
    if (events & UV_READABLE)
        told |= LOOP_READ;
    if (events & UV_WRITABLE)
        told |= LOOP_WRITE;
    if (events & UV_DISCONNECT)
        told |= LOOP_HANGUP;
    io->call(io, told);
    event_us = OUTSIDE;
}

bool loop_io_init(struct loop *loop, struct loop_io *io, int fd, loop_io_call *call)
{
    if (uv_poll_init(&loop->uv, &io->poll, fd) != 0)
        return false;
    io->poll.data = io;
    io->call = call;
    io->closed = NULL;
    io->fd = fd;
    io->wanted = 0;
    return true;
}

void loop_io_want(struct loop_io *io, unsigned events)
{
    if (io->wanted == events || io->fd < 0)
        return;
    io->wanted = events;
    int flags = 0;
    if (events & LOOP_READ)
        flags |= UV_READABLE;
    if (events & LOOP_WRITE)
        flags |= UV_WRITABLE;
    if (events & LOOP_HANGUP)
        flags |= UV_DISCONNECT;
    if (flags)
        uv_poll_start(&io->poll, flags, on_poll);
    else
        uv_poll_stop(&io->poll);
}

static void on_closed(uv_handle_t *handle)
{
    struct loop_io *io = handle->data;
    if (io->closed)
        io->closed(io);
}

void loop_io_close(struct loop_io *io, loop_io_closed *closed)
{
    if (io->fd < 0)
        return;
    io->closed = closed;
    uv_close((uv_handle_t *)&io->poll, on_closed); // takes it off at once: before the descriptor goes to somebody else
    close(io->fd);
    io->fd = -1;
}

void loop_io_release(struct loop_io *io, loop_io_closed *closed)
{
    io->closed = closed;
    io->fd = -1;
    uv_close((uv_handle_t *)&io->poll, on_closed);
}

static void on_timer(uv_timer_t *handle)
{
    struct loop_timer *timer = handle->data;
    timer->call(timer);
}

bool loop_timer_init(struct loop *loop, struct loop_timer *timer, void (*call)(struct loop_timer *timer))
{
    if (uv_timer_init(&loop->uv, &timer->timer) != 0)
        return false;
    timer->timer.data = timer;
    timer->call = call;
    return true;
}

void loop_timer_start(struct loop_timer *timer, uint64_t first_ms, uint64_t repeat_ms)
{
    uv_timer_start(&timer->timer, on_timer, first_ms, repeat_ms);
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->timer);
}

static void on_check(uv_check_t *check)
{
    struct loop_turn *turn = check->data;
    turn->call(turn);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop_turn *turn = prepare->data;
    turn->call(turn);
}

bool loop_turn_init(struct loop *loop, struct loop_turn *turn, void (*call)(struct loop_turn *turn))
{
    if (uv_check_init(&loop->uv, &turn->check) != 0 || uv_prepare_init(&loop->uv, &turn->prepare) != 0)
        return false;
    turn->call = call;
    turn->check.data = turn->prepare.data = turn;
    uv_check_start(&turn->check, on_check);
    uv_prepare_start(&turn->prepare, on_prepare);
    uv_unref((uv_handle_t *)&turn->check);
    uv_unref((uv_handle_t *)&turn->prepare);
    return true;
}

static void on_wake(uv_async_t *handle)
{
    struct loop_wake *wake = handle->data;
    wake->call(wake);
}

bool loop_wake_init(struct loop *loop, struct loop_wake *wake, void (*call)(struct loop_wake *wake))
{
    if (uv_async_init(&loop->uv, &wake->async, on_wake) != 0)
        return false;
    wake->async.data = wake;
    wake->call = call;
    return true;
}

void loop_wake_send(struct loop_wake *wake)
{
    uv_async_send(&wake->async);
}

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t loop_now_us(void)
{
    if (event_us >= 0)
        return event_us;
    int64_t now_us = clock_us(CLOCK_MONOTONIC);
    if (event_us == UNASKED)
        event_us = now_us;
    return now_us;
}

int64_t loop_unix_us(void)
{
    return clock_us(CLOCK_REALTIME);
}
