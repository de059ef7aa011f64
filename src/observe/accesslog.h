// Access-log lines by Envoy's command operators (operations-and-mcp.md 3.4): compiled once, then written for each record.
#ifndef WEIR_OBSERVE_ACCESSLOG_H
#define WEIR_OBSERVE_ACCESSLOG_H

#include "base/buf.h"
#include "base/finding.h"
#include "config/model.h"
#include "observe/record.h"

struct accesslog;

// Compiles formats and CEL matches; unknown operators are findings at their mark. NULL on error or without memory.
const struct accesslog *accesslog_new(struct arena *arena, const struct config_log *config, struct findings *findings);
// The built-in JSON format for listeners without a configured one.
const struct accesslog *accesslog_default(struct arena *arena);
// The fields of that format, for who writes it down elsewhere.
const struct config_log_field *accesslog_default_fields(size_t *ret_count);
// Whether this log wants a line for the record (its `matches`).
bool accesslog_wants(const struct accesslog *log, const struct record *record);
// Appends one line, newline included. False when the buffer refused; nothing partial stays then.
bool accesslog_write(const struct accesslog *log, const struct record *record, struct buf *buf);

#endif
