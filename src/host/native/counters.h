// The numbers that a worker counts (counters.def). Each worker writes its own; the control thread reads them all.
#ifndef WEIR_HOST_NATIVE_COUNTERS_H
#define WEIR_HOST_NATIVE_COUNTERS_H

#include <stdint.h>

struct counters {
#define COUNTER(name, metric, labels, help) uint64_t name;
#define GAUGE(name, metric, labels, help) uint64_t name;
#include "host/native/counters.def"
#undef COUNTER
#undef GAUGE
};

// One writer each, so that a plain add is enough; relaxed stores keep the reader's view whole.
static inline void counter_add(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, *counter + by, __ATOMIC_RELAXED);
}

static inline uint64_t counter_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
