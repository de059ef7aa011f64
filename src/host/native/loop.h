// The event loop behind an interface of our own, so that it can be exchanged: readiness of sockets, one-shot and
// repeated timers, wake-ups from other threads. libuv below. All calls but loop_wake_send belong to the loop's thread.
#ifndef WEIR_HOST_NATIVE_LOOP_H
#define WEIR_HOST_NATIVE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct loop {
    uv_loop_t uv;
};

// Readiness of a socket, level-triggered.
enum loop_event {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_HANGUP = 4, // the peer ended its side
    LOOP_ERROR = 8,  // never asked for, always told; the watch has ended then
};

struct loop_io;
typedef void loop_io_call(struct loop_io *io, unsigned events);
typedef void loop_io_closed(struct loop_io *io);

// A watched socket. Lives in its owner; may be freed only after `closed` was called.
struct loop_io {
    uv_poll_t poll;
    loop_io_call *call;
    loop_io_closed *closed;
    int fd;
    unsigned wanted;
};

struct loop_timer {
    uv_timer_t timer;
    void (*call)(struct loop_timer *timer);
};

// Wakes the loop from another thread; several sends may give one call.
struct loop_wake {
    uv_async_t async;
    void (*call)(struct loop_wake *wake);
};

// Called at the end of each turn of the loop: behind the sockets' events, and before it sleeps.
struct loop_turn {
    uv_check_t check;
    uv_prepare_t prepare;
    void (*call)(struct loop_turn *turn);
};

bool loop_init(struct loop *loop);
// Runs until loop_stop, or until nothing is watched any more.
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
// Closes what is still open and frees the loop.
void loop_fini(struct loop *loop);

// Watches `fd`, which must be non-blocking; at first for nothing. False when the system refuses; then nothing is to be
// closed.
bool loop_io_init(struct loop *loop, struct loop_io *io, int fd, loop_io_call *call);
// Changes what is watched; free of cost when it is what was wanted already.
void loop_io_want(struct loop_io *io, unsigned events);
// Ends the watch and closes the socket; `closed` is called later in the same turn of the loop.
void loop_io_close(struct loop_io *io, loop_io_closed *closed);

// Ends the watch only: the socket is the caller's again. `closed` is called later in the same turn of the loop.
void loop_io_release(struct loop_io *io, loop_io_closed *closed);

bool loop_timer_init(struct loop *loop, struct loop_timer *timer, void (*call)(struct loop_timer *timer));
// After `first_ms`, then each `repeat_ms` (0: once).
void loop_timer_start(struct loop_timer *timer, uint64_t first_ms, uint64_t repeat_ms);
void loop_timer_stop(struct loop_timer *timer);

bool loop_turn_init(struct loop *loop, struct loop_turn *turn, void (*call)(struct loop_turn *turn));

bool loop_wake_init(struct loop *loop, struct loop_wake *wake, void (*call)(struct loop_wake *wake));
// From any thread.
void loop_wake_send(struct loop_wake *wake);

// Monotonic microseconds and the wall clock's, the times that the exchange is given. While a socket's event is handled
// the monotonic time stands still: asking for it again is free of cost.
int64_t loop_now_us(void);
int64_t loop_unix_us(void);

#endif
