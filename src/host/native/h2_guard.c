// A bucket for idle frames, a count a minute for resets.
#include "host/native/h2_guard.h"

#define ANSWERS_A_FRAME 4 // frames that one of ours may bring about,
#define ANSWER_BYTES 64   // and their bytes
#define OVERHEAD 8        // bytes that may come for one of content

void h2_guard_init(struct h2_guard *guard, int64_t now_us)
{
    *guard = (struct h2_guard){.tokens = H2_GUARD_IDLE_FRAMES, .filled_us = now_us, .resets_since_us = now_us};
}

static void give(struct h2_guard *guard, int64_t tokens)
{
    int64_t sum = (int64_t)guard->tokens + tokens;
    guard->tokens = sum > H2_GUARD_IDLE_FRAMES ? H2_GUARD_IDLE_FRAMES : (uint32_t)sum;
}

static void take_waste(struct h2_guard *guard, int64_t bytes)
{
    guard->waste = guard->waste > bytes ? guard->waste - bytes : 0;
}

bool h2_guard_idle_frame(struct h2_guard *guard, int64_t now_us)
{
    int64_t tokens = (now_us - guard->filled_us) * H2_GUARD_IDLE_RATE / 1000000;
    if (tokens > 0) {
        give(guard, tokens);
        guard->filled_us = now_us;
    }
    if (guard->tokens == 0)
        return false;
    guard->tokens--;
    return true;
}

void h2_guard_useful_frame(struct h2_guard *guard)
{
    give(guard, ANSWERS_A_FRAME);
    take_waste(guard, ANSWER_BYTES);
}

bool h2_guard_bytes(struct h2_guard *guard, size_t len)
{
    guard->waste += (int64_t)len;
    return guard->waste <= H2_GUARD_WASTE;
}

void h2_guard_useful_bytes(struct h2_guard *guard, size_t len)
{
    take_waste(guard, (int64_t)len * OVERHEAD);
}

bool h2_guard_reset(struct h2_guard *guard, int64_t now_us)
{
    if (now_us - guard->resets_since_us > H2_GUARD_RESETS_US) {
        guard->resets_since_us = now_us;
        guard->resets = 0;
    }
    return ++guard->resets <= H2_GUARD_RESETS;
}
