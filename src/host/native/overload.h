// What the process does when its memory runs short, in steps, before the kernel ends it. The level follows the resident
// memory and a limit: the cgroup's, or --memory-limit. For the control thread; workers are told the level.
#ifndef WEIR_HOST_NATIVE_OVERLOAD_H
#define WEIR_HOST_NATIVE_OVERLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OVERLOAD_LOOK_MS 100

enum overload_level {
    OVERLOAD_NONE,
    OVERLOAD_SHRINK, // from 75 %: idle connections close, answers end their connection, idle times are a second
    OVERLOAD_REFUSE, // from 85 %: new requests are answered 503 with retry-after
    OVERLOAD_SHED,   // from 95 %: the request that holds the most is ended, one at each look
    OVERLOAD_LEVELS,
};

extern const char *const overload_names[OVERLOAD_LEVELS];

// The level after `before` with so much memory used: a level is left 5 points below where it begins. Pure.
enum overload_level overload_next(enum overload_level before, uint64_t used_bytes, uint64_t limit_bytes);

// The smallest memory limit of the process's cgroup and those above it (v2, or v1's memory controller). 0: none.
uint64_t overload_cgroup_limit(void);
// Resident memory of the process. 0 when it can't be read.
uint64_t overload_used_bytes(void);

#endif
