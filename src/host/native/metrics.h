// The text of the admin port's /metrics: what the workers count, summed, and the state of the backends.
#ifndef WEIR_HOST_NATIVE_METRICS_H
#define WEIR_HOST_NATIVE_METRICS_H

#include "base/buf.h"
#include "host/native/counters.h"
#include "host/native/generation.h"
#include "host/native/overload.h"

// What the control thread counts itself.
struct metrics_process {
    uint64_t reloads_ok;
    uint64_t reloads_rejected;
    uint64_t upgrades_failed;
    uint64_t overload_entered[OVERLOAD_LEVELS];
    enum overload_level overload;
    uint64_t memory_limit_bytes; // 0: none
    uint64_t log_lines_lost;
    unsigned workers;
};

// Adds what one worker has counted so far. From any thread.
void metrics_add(struct counters *sum, const struct counters *of_worker);
// Appends all in the exposition format of Prometheus.
void metrics_write(struct buf *out, const struct counters *sum, const struct metrics_process *process,
                   const struct generation *generation, int64_t now_us);

#endif
