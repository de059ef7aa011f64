// Writes JSON as it goes: objects and lists open and close, members follow each other. Commas are counted here.
#ifndef WEIR_HOST_ENVOY_EMIT_H
#define WEIR_HOST_ENVOY_EMIT_H

#include "base/buf.h"

struct emit {
    struct buf *buf;
    bool needs_comma;
};

// `key` is empty in lists. All text is escaped.
void emit_object(struct emit *emit, const char *key);
void emit_list(struct emit *emit, const char *key);
void emit_end(struct emit *emit);      // of an object
void emit_list_end(struct emit *emit); // of a list
void emit_text(struct emit *emit, const char *key, struct slice text);
void emit_cstr(struct emit *emit, const char *key, const char *text);
void emit_u64(struct emit *emit, const char *key, uint64_t value);
void emit_bool(struct emit *emit, const char *key, bool value);
// A protobuf duration of milliseconds.
void emit_ms(struct emit *emit, const char *key, int64_t ms);
// Opens {"name": NAME, "typed_config": {"@type": TYPE, which two emit_end close.
void emit_typed(struct emit *emit, const char *key, const char *name, const char *type);
// Opens KEY: {"@type": TYPE.
void emit_any(struct emit *emit, const char *key, const char *type);
// A member whose name is not ours.
void emit_named_object(struct emit *emit, struct slice key);
void emit_named_text(struct emit *emit, struct slice key, struct slice text);

#endif
