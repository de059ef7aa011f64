// Access-log lines made by the module (settings "log": "weir"): formatted and written by the same code as in the native
// host, where Envoy's loggers would look up each field of each line in its own maps.
#ifndef WEIR_HOST_ENVOY_LINES_H
#define WEIR_HOST_ENVOY_LINES_H

#include "host/envoy/stream_parts.h"

// Writes the lines that the logs of the stream's listener want. Puts into the record what Envoy knows better.
//
// Envoy's own lines are for requests without ours. To tell them apart costs the usual request nothing: an upstream's answer
// that went out whole with the status 200 has one, and for all others the metadata "weir" says so.
void lines_put(const struct stream *stream, struct arena *scratch, struct record *record);
// For a stream that never got an exchange, whatever its status: Envoy's own line is wanted.
void lines_leave_to_envoy(const struct stream *stream);

#endif
