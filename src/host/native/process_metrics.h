// The process as the system sees it, under the names that Prometheus' own clients use.
#ifndef WEIR_HOST_NATIVE_PROCESS_METRICS_H
#define WEIR_HOST_NATIVE_PROCESS_METRICS_H

#include "base/buf.h"

// Appends memory, processor time, descriptors and start time (Linux; what can't be read is left out).
void process_metrics_write(struct buf *out);

#endif
