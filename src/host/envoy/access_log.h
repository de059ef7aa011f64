// The files that the module writes access-log lines to itself (settings "log": "weir"), by the sink of the native host: a
// worker copies a line into a ring of its own, one thread of the process writes them.
#ifndef WEIR_HOST_ENVOY_ACCESS_LOG_H
#define WEIR_HOST_ENVOY_ACCESS_LOG_H

#include "exchange/snapshot.h"

// On Envoy's main thread, when a configuration is made: opens the logs of a listener for all workers. `snapshot` is NULL
// where the resources stand elsewhere, with a route. False, after a message in Envoy's log: one can't be opened.
bool access_log_open(const struct snapshot *snapshot, size_t listener);
// On a worker: whole lines, line feed included. Where there is no room, because the destination takes nothing, they are
// lost, which Envoy's log says once in a while.
void access_log_write(uint32_t worker, struct slice path, struct slice lines);

#endif
