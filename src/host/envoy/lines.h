// Access-log lines made by the module (settings "log": "weir"): Envoy prints them, formatted once and by the same code as
// in the native host, instead of looking up each field of each line in its own maps.
#ifndef WEIR_HOST_ENVOY_LINES_H
#define WEIR_HOST_ENVOY_LINES_H

#include "host/envoy/stream_parts.h"

// Sets log0, log1... of the metadata "weir" for the logs of the stream's listener; empty where a log wants no line.
void lines_put(const struct stream *stream, struct arena *scratch, const struct record *record);

#endif
