// A configuration made ready to serve: the validated config and all that is compiled from it (route tables, merged
// mutations, cost programs, log formats). Immutable and reference counted; a reload swaps one pointer a worker, and
// requests in flight finish on the snapshot that they began with.
#ifndef WEIR_EXCHANGE_SNAPSHOT_H
#define WEIR_EXCHANGE_SNAPSHOT_H

#include "config/config.h"

struct snapshot;

// Compiles. Takes the config, also on failure. Adds findings (bad regular expressions, CEL, log formats, shadowed and
// tied rules); NULL when there was an error. `seed`: random, for hash tables. The reference count is 1.
struct snapshot *snapshot_new(struct config *take_config, uint64_t generation, uint64_t seed,
                              struct findings *findings);
// Thread-safe.
struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);

const struct config *snapshot_config(const struct snapshot *snapshot);
uint64_t snapshot_generation(const struct snapshot *snapshot);

struct route_table;
// The compiled table of a listener (route/route.h), for explain and the admin port.
const struct route_table *snapshot_routes(const struct snapshot *snapshot, size_t listener_id);

// Compiled access logs of a listener; one line for each sink is formatted by the host off the hot path.
struct accesslog;
size_t snapshot_log_count(const struct snapshot *snapshot, size_t listener_id);
const struct accesslog *snapshot_log(const struct snapshot *snapshot, size_t listener_id, size_t index);
// Where its lines go: "/dev/stdout", "/dev/stderr" or a path.
struct slice snapshot_log_path(const struct snapshot *snapshot, size_t listener_id, size_t index);

#endif
