// The folder of file-based xDS that a running Envoy follows.
#ifndef WEIR_CLI_ENVOY_XDS_H
#define WEIR_CLI_ENVOY_XDS_H

#include "cli/cli.h"
#include "host/envoy/bootstrap/bootstrap.h"

#define ENVOY_OUTPUT_MAX_BYTES ((size_t)1 << 30)

// Writes or replaces the files of bootstrap->xds_dir and removes those that nothing names any more. False, with a line on
// stderr, when a file can't be written; then the rest is as it was.
bool envoy_write_xds(struct cli *cli, struct arena *arena, const struct bootstrap *bootstrap);

#endif
