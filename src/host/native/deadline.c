// The wheel of coarse deadlines.
#include "host/native/deadline.h"

void deadlines_init(struct deadlines *wheel, int64_t now_us)
{
    for (size_t i = 0; i < DEADLINE_SLOTS; i++)
        list_init(&wheel->slots[i]);
    wheel->tick = now_us / DEADLINE_TICK_US;
    wheel->count = 0;
}

void deadline_init(struct deadline *deadline, void (*call)(struct deadline *deadline, int64_t now_us))
{
    list_init(&deadline->node);
    deadline->at_us = DEADLINE_NONE;
    deadline->slot_tick = INT64_MAX;
    deadline->call = call;
}

void deadline_clear(struct deadlines *wheel, struct deadline *deadline)
{
    if (deadline->slot_tick != INT64_MAX)
        wheel->count--;
    list_remove(&deadline->node);
    deadline->slot_tick = INT64_MAX;
    deadline->at_us = DEADLINE_NONE;
}

// Hangs it in the slot of its time, or, when that is more than a turn away, in the last one before the present.
static void hang(struct deadlines *wheel, struct deadline *deadline)
{
    // One tick late at most, never early: a slot is looked at when its whole 50 ms have gone by.
    int64_t tick = deadline->at_us / DEADLINE_TICK_US + 1;
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    if (tick > wheel->tick + DEADLINE_SLOTS - 1)
        tick = wheel->tick + DEADLINE_SLOTS - 1;
    deadline->slot_tick = tick;
    list_append(&wheel->slots[tick % DEADLINE_SLOTS], &deadline->node);
    wheel->count++;
}

void deadline_set(struct deadlines *wheel, struct deadline *deadline, int64_t at_us)
{
    deadline->at_us = at_us;
    bool is_hanging = deadline->slot_tick != INT64_MAX;
    if (at_us == DEADLINE_NONE || (is_hanging && deadline->slot_tick * DEADLINE_TICK_US <= at_us + DEADLINE_TICK_US))
        return;
    if (is_hanging) {
        list_remove(&deadline->node);
        wheel->count--;
    }
    hang(wheel, deadline);
}

static void run_slot(struct deadlines *wheel, struct list *slot, int64_t now_us)
{
    struct list due;
    list_take_all(&due, slot);
    while (!list_is_empty(&due)) {
        struct deadline *deadline = LIST_OWNER(due.next, struct deadline, node);
        list_remove(&deadline->node);
        deadline->slot_tick = INT64_MAX;
        wheel->count--;
        if (deadline->at_us <= now_us)
            deadline->call(deadline, now_us);
        else if (deadline->at_us != DEADLINE_NONE)
            hang(wheel, deadline);
    }
}

void deadlines_run(struct deadlines *wheel, int64_t now_us)
{
    int64_t last = now_us / DEADLINE_TICK_US;
    if (last - wheel->tick > DEADLINE_SLOTS) // after a long pause each slot once is enough
        wheel->tick = last - DEADLINE_SLOTS;
    while (wheel->tick < last) {
        wheel->tick++;
        run_slot(wheel, &wheel->slots[wheel->tick % DEADLINE_SLOTS], now_us);
    }
}
