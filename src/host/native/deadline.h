// Coarse time limits for many objects: a wheel of 50 ms slots with lazy moves. Putting a deadline off costs one store;
// the wheel looks again when the old time comes. No system timer for each request.
#ifndef WEIR_HOST_NATIVE_DEADLINE_H
#define WEIR_HOST_NATIVE_DEADLINE_H

#include "host/native/list.h"

#include <stdint.h>

#define DEADLINE_TICK_US 50000
#define DEADLINE_SLOTS 256 // 12.8 s a turn; what is farther away is looked at once a turn
#define DEADLINE_NONE INT64_MAX

static inline int64_t deadline_earlier(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

// Lives in its owner. `at_us` is the moment that counts; `slot_tick` where it hangs, never later than `at_us`.
struct deadline {
    struct list node;
    int64_t at_us;
    int64_t slot_tick;
    void (*call)(struct deadline *deadline, int64_t now_us);
};

struct deadlines {
    struct list slots[DEADLINE_SLOTS];
    int64_t tick; // all slots up to this one have been looked at
    size_t count; // of hanging deadlines
};

void deadlines_init(struct deadlines *wheel, int64_t now_us);
// Calls all that are due; each is taken off first and may be set again, or freed, by its call. Deadlines of other
// objects may be cleared and set meanwhile.
void deadlines_run(struct deadlines *wheel, int64_t now_us);

void deadline_init(struct deadline *deadline, void (*call)(struct deadline *deadline, int64_t now_us));
// DEADLINE_NONE puts it off for good, but leaves it hanging until its slot comes (cheap to set again).
void deadline_set(struct deadlines *wheel, struct deadline *deadline, int64_t at_us);
// Takes it off; needed before its owner is freed.
void deadline_clear(struct deadlines *wheel, struct deadline *deadline);

#endif
