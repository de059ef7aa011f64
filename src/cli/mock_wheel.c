// A hashed wheel: a timer stands in the slot of its millisecond; one further away than a turn is passed over until due.
#include "cli/mock_wheel.h"

#include <string.h>

static size_t slot_of(int64_t ms)
{
    return (size_t)ms % MOCK_WHEEL_SLOTS;
}

void mock_wheel_init(struct mock_wheel *wheel, int64_t now_ms)
{
    memset(wheel, 0, sizeof *wheel);
    wheel->now_ms = now_ms;
}

void mock_wheel_clear(struct mock_wheel *wheel, struct mock_timer *timer)
{
    if (!timer->link)
        return;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->link = NULL;
    wheel->count--;
}

void mock_wheel_set(struct mock_wheel *wheel, struct mock_timer *timer, int64_t due_ms)
{
    mock_wheel_clear(wheel, timer);
    timer->due_ms = due_ms > wheel->now_ms ? due_ms : wheel->now_ms + 1;
    size_t slot = slot_of(timer->due_ms);
    timer->next = wheel->slots[slot];
    timer->link = &wheel->slots[slot];
    if (timer->next)
        timer->next->link = &timer->next;
    wheel->slots[slot] = timer;
    wheel->used[slot / 64] |= UINT64_C(1) << (slot % 64);
    wheel->count++;
}

static struct mock_timer *due_in_slot(struct mock_wheel *wheel, size_t slot, int64_t now_ms)
{
    for (struct mock_timer *timer = wheel->slots[slot]; timer; timer = timer->next)
        if (timer->due_ms <= now_ms)
            return timer;
    if (!wheel->slots[slot])
        wheel->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    return NULL;
}

struct mock_timer *mock_wheel_next(struct mock_wheel *wheel, int64_t now_ms)
{
    if (wheel->count == 0 || now_ms - wheel->now_ms > MOCK_WHEEL_SLOTS)
        wheel->now_ms = wheel->count == 0 ? now_ms : now_ms - MOCK_WHEEL_SLOTS;
    for (; wheel->now_ms < now_ms; wheel->now_ms++) {
        struct mock_timer *timer = due_in_slot(wheel, slot_of(wheel->now_ms + 1), now_ms);
        if (timer) {
            mock_wheel_clear(wheel, timer);
            return timer;
        }
    }
    return NULL;
}

int mock_wheel_wait_ms(const struct mock_wheel *wheel, int64_t now_ms)
{
    if (wheel->count == 0)
        return -1;
    for (int64_t ms = wheel->now_ms + 1; ms < wheel->now_ms + MOCK_WHEEL_SLOTS;) {
        size_t slot = slot_of(ms);
        uint64_t word = wheel->used[slot / 64] >> (slot % 64);
        if (word) {
            int64_t at = ms + __builtin_ctzll(word);
            return at > now_ms ? (int)(at - now_ms) : 0;
        }
        ms += 64 - (int64_t)(slot % 64);
    }
    return MOCK_WHEEL_SLOTS / 2;
}
