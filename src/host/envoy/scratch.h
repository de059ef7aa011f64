// Memory for the length of one hook: an open stream holds none of it. Most hooks find what they need on the stack.
#ifndef WEIR_HOST_ENVOY_SCRATCH_H
#define WEIR_HOST_ENVOY_SCRATCH_H

#include "base/arena.h"

#include <stdalign.h>

struct scratch {
    struct arena arena;
    alignas(16) char space[6 << 10];
};

// To be declared __attribute__((uninitialized)), or clearing it costs more than it saves.
static inline struct arena *scratch_init(struct scratch *scratch)
{
    arena_init_in(&scratch->arena, scratch->space, sizeof scratch->space, (size_t)8 << 10, (size_t)4 << 20);
    return &scratch->arena;
}

static inline void scratch_fini(struct scratch *scratch)
{
    arena_fini(&scratch->arena);
}

#endif
