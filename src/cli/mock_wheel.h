// Timers of the mock: one wheel of millisecond slots, so that thousands of paced streams cost one list step each.
#ifndef WEIR_CLI_MOCK_WHEEL_H
#define WEIR_CLI_MOCK_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOCK_WHEEL_SLOTS 4096

struct mock_timer { // part of what it wakes; zeroed: not set
    struct mock_timer *next;
    struct mock_timer **link; // what points to this one; NULL: not set
    int64_t due_ms;
};

struct mock_wheel {
    struct mock_timer *slots[MOCK_WHEEL_SLOTS];
    uint64_t used[MOCK_WHEEL_SLOTS / 64]; // slots that may hold timers
    int64_t now_ms;                       // all timers due up to here were given out
    size_t count;
};

void mock_wheel_init(struct mock_wheel *wheel, int64_t now_ms);
// Sets or moves a timer; a time that is past becomes the next tick.
void mock_wheel_set(struct mock_wheel *wheel, struct mock_timer *timer, int64_t due_ms);
void mock_wheel_clear(struct mock_wheel *wheel, struct mock_timer *timer);
// Takes out one timer that is due at `now_ms`; NULL when there is none.
struct mock_timer *mock_wheel_next(struct mock_wheel *wheel, int64_t now_ms);
// Milliseconds until something may be due: -1 without timers.
int mock_wheel_wait_ms(const struct mock_wheel *wheel, int64_t now_ms);

#endif
