#include "host/envoy/bootstrap/emit.h"

#include "json/json.h"

static void begin_named(struct emit *emit, struct slice key)
{
    if (emit->needs_comma)
        buf_append_byte(emit->buf, ',');
    emit->needs_comma = true;
    if (!key.ptr)
        return;
    json_write_string(emit->buf, key);
    buf_append_byte(emit->buf, ':');
}

static void begin(struct emit *emit, const char *key)
{
    begin_named(emit, *key ? slice_from_cstr(key) : (struct slice){NULL, 0});
}

static void open(struct emit *emit, char bracket)
{
    buf_append_byte(emit->buf, bracket);
    emit->needs_comma = false;
}

static void close(struct emit *emit, char bracket)
{
    buf_append_byte(emit->buf, bracket);
    emit->needs_comma = true;
}

void emit_object(struct emit *emit, const char *key)
{
    begin(emit, key);
    open(emit, '{');
}

void emit_list(struct emit *emit, const char *key)
{
    begin(emit, key);
    open(emit, '[');
}

void emit_end(struct emit *emit)
{
    close(emit, '}');
}

void emit_list_end(struct emit *emit)
{
    close(emit, ']');
}

void emit_text(struct emit *emit, const char *key, struct slice text)
{
    begin(emit, key);
    json_write_string(emit->buf, text);
}

void emit_cstr(struct emit *emit, const char *key, const char *text)
{
    emit_text(emit, key, slice_from_cstr(text));
}

void emit_u64(struct emit *emit, const char *key, uint64_t value)
{
    begin(emit, key);
    buf_append_u64(emit->buf, value);
}

void emit_bool(struct emit *emit, const char *key, bool value)
{
    begin(emit, key);
    buf_append(emit->buf, value ? SLICE("true") : SLICE("false"));
}

void emit_ms(struct emit *emit, const char *key, int64_t ms)
{
    begin(emit, key);
    buf_printf(emit->buf, "\"%lld.%03llds\"", (long long)(ms / 1000), (long long)(ms % 1000));
}

void emit_any(struct emit *emit, const char *key, const char *type)
{
    begin(emit, key);
    open(emit, '{');
    begin(emit, "@type");
    buf_printf(emit->buf, "\"type.googleapis.com/%s\"", type);
}

void emit_typed(struct emit *emit, const char *key, const char *name, const char *type)
{
    emit_object(emit, key);
    emit_cstr(emit, "name", name);
    emit_any(emit, "typed_config", type);
}

void emit_named_object(struct emit *emit, struct slice key)
{
    begin_named(emit, key);
    open(emit, '{');
}

void emit_named_text(struct emit *emit, struct slice key, struct slice text)
{
    begin_named(emit, key);
    json_write_string(emit->buf, text);
}
