// The running configuration as JSON for the admin port: what the user's resources came to, secrets masked.
#ifndef WEIR_HOST_NATIVE_ADMIN_CONFIG_H
#define WEIR_HOST_NATIVE_ADMIN_CONFIG_H

#include "base/buf.h"
#include "exchange/snapshot.h"

// Appends the whole configuration: listeners with their limits, backends, routes. False as buf_append.
bool admin_write_config(const struct snapshot *snapshot, struct buf *out);
// Appends the routes of each listener: hostnames, matches, backends with priority and weight.
bool admin_write_routes(const struct snapshot *snapshot, struct buf *out);

#endif
