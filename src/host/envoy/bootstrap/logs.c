// Access logs. The module writes the lines of requests that reached it; all others, which Envoy answered before (malformed
// heads and the like), Envoy's own operators describe, into the same files. Formats that the module can't write go by
// Envoy's operators alone, with what only Weir knows read from dynamic metadata.
#include "host/envoy/bootstrap/bootstrap.h"

#include <stdio.h>

#include "host/envoy/names.h"
#include "observe/accesslog.h"

// Operators that Envoy has not, or that name what Weir does not send to clients, by the metadata they stand for.
static const struct {
    struct slice from;
    struct slice to;
} replacements[] = {
    {SLICE_INIT("%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"), SLICE_INIT("%DYNAMIC_METADATA(weir:upstream_ms)%")},
    {SLICE_INIT("%ROUTE_NAME%"), SLICE_INIT("%DYNAMIC_METADATA(weir:route_name)%")},
    {SLICE_INIT("%RESPONSE_FLAGS%"), SLICE_INIT("%COALESCE({\"operators\":[{\"command\":\"DYNAMIC_METADATA\",\"param\":"
                                                "\"weir:flags\"},\"RESPONSE_FLAGS\"]})%")},
    {SLICE_INIT("%DOWNSTREAM_REMOTE_ADDRESS%"),
     SLICE_INIT("%COALESCE({\"operators\":[{\"command\":\"DYNAMIC_METADATA\",\"param\":"
                "\"weir:client\"},\"DOWNSTREAM_REMOTE_ADDRESS\"]})%")},
    {SLICE_INIT("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
     SLICE_INIT("%COALESCE({\"operators\":[{\"command\":\"DYNAMIC_METADATA\",\"param\":"
                "\"weir:client_ip\"},\"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT\"]})%")},
    // A request that was answered before it had an id is found by that of its answer.
    {SLICE_INIT("%REQ(X-REQUEST-ID)%"),
     SLICE_INIT("%COALESCE({\"operators\":[{\"command\":\"REQ\",\"param\":\"x-request-id\"},"
                "{\"command\":\"RESP\",\"param\":\"x-request-id\"}]})%")},
    {SLICE_INIT("%USAGE("), SLICE_INIT("%DYNAMIC_METADATA(weir:")},
};

static void emit_format(struct emit *emit, struct slice name, struct slice format)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    for (size_t i = 0; i < format.len;) {
        struct slice rest = slice_from(format, i);
        size_t which = 0;
        while (which < sizeof replacements / sizeof *replacements &&
               !slice_starts_with_nocase(rest, replacements[which].from))
            which++;
        if (which < sizeof replacements / sizeof *replacements) {
            buf_append(&text, replacements[which].to);
            i += replacements[which].from.len;
        } else {
            buf_append_byte(&text, format.ptr[i++]);
        }
    }
    emit_named_text(emit, name, buf_slice(&text));
    if (text.has_failed)
        emit->buf->has_failed = true;
    buf_fini(&text);
}

#define MEMBER_DEPTH_MAX 16 // as accesslog.c, which has refused what is deeper

static void emit_fields(struct emit *emit, const struct config_log_field *fields, size_t count, unsigned depth)
{
    for (size_t i = 0; i < count && depth < MEMBER_DEPTH_MAX; i++) {
        if (!fields[i].members) {
            emit_format(emit, fields[i].name, fields[i].format.text);
            continue;
        }
        emit_named_object(emit, fields[i].name);
        emit_fields(emit, fields[i].members, fields[i].member_count, depth + 1);
        emit_end(emit);
    }
}

static void emit_json_format(struct emit *emit, const struct config_log *log)
{
    size_t count = log->field_count;
    const struct config_log_field *fields = count ? log->fields : accesslog_default_fields(&count);
    emit_object(emit, "json_format");
    emit_fields(emit, fields, count, 0);
    emit_end(emit);
}

static void emit_text_format(struct emit *emit, struct slice format)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    buf_append(&text, format);
    if (!slice_ends_with(format, SLICE("\n")))
        buf_append_byte(&text, '\n');
    emit_object(emit, "text_format_source");
    emit_format(emit, SLICE("inline_string"), buf_slice(&text));
    emit_end(emit);
    buf_fini(&text);
}

// ---- which lines are printed ----------------------------------------------------------------------------------

static void emit_cel(struct emit *emit, const char *key, const struct config_log *log)
{
    struct buf all;
    buf_init(&all, (size_t)1 << 20);
    for (size_t i = 0; i < log->match_count; i++) {
        if (i)
            buf_append(&all, SLICE(" && "));
        buf_append_byte(&all, '(');
        buf_append(&all, log->matches[i].text);
        buf_append_byte(&all, ')');
    }
    emit_object(emit, key);
    emit_typed(emit, "extension_filter", "envoy.access_loggers.extension_filters.cel",
               "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter");
    emit_text(emit, "expression", buf_slice(&all));
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    buf_fini(&all);
}

static void emit_status_but(struct emit *emit, uint64_t status)
{
    emit_object(emit, "");
    emit_object(emit, "status_code_filter");
    emit_object(emit, "comparison");
    emit_cstr(emit, "op", "NE");
    emit_object(emit, "value");
    emit_u64(emit, "default_value", status);
    emit_cstr(emit, "runtime_key", "weir.access_log.status"); // Envoy demands one
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

// Whether the module has left the line to Envoy; with `is_unsaid_too` also when it has said nothing.
static void emit_left(struct emit *emit, bool is_unsaid_too)
{
    emit_object(emit, "");
    emit_object(emit, "metadata_filter");
    emit_object(emit, "matcher");
    emit_cstr(emit, "filter", WEIR_METADATA);
    emit_list(emit, "path");
    emit_object(emit, "");
    emit_cstr(emit, "key", WEIR_METADATA_LINE);
    emit_end(emit);
    emit_list_end(emit);
    emit_object(emit, "value");
    emit_object(emit, "double_match");
    emit_u64(emit, "exact", 0);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_bool(emit, "match_if_key_not_found", is_unsaid_too);
    emit_end(emit);
    emit_end(emit);
}

static void begin_filters(struct emit *emit, const char *key, const char *kind)
{
    emit_object(emit, key);
    emit_object(emit, kind);
    emit_list(emit, "filters");
}

static void end_filters(struct emit *emit)
{
    emit_list_end(emit);
    emit_end(emit);
    emit_end(emit);
}

// Requests of which the module has made no line (lines.h). The status alone says so of most.
static void emit_no_line(struct emit *emit, const char *key)
{
    begin_filters(emit, key, "or_filter");
    emit_left(emit, false);
    begin_filters(emit, "", "and_filter");
    emit_status_but(emit, 200);
    emit_left(emit, true);
    end_filters(emit);
    end_filters(emit);
}

static void emit_filter(struct emit *emit, const struct config_log *log, bool is_ours)
{
    bool has_matches = log->match_count > 0;
    if (!is_ours) {
        if (has_matches)
            emit_cel(emit, "filter", log);
        return;
    }
    if (!has_matches) {
        emit_no_line(emit, "filter");
        return;
    }
    begin_filters(emit, "filter", "and_filter");
    emit_no_line(emit, "");
    emit_cel(emit, "", log);
    end_filters(emit);
}

// ---- logs -----------------------------------------------------------------------------------------------------

static void emit_file(struct emit *emit, const struct config_log *log)
{
    emit_any(emit, "typed_config", "envoy.extensions.access_loggers.file.v3.FileAccessLog");
    emit_text(emit, "path", log->path.len ? log->path : SLICE("/dev/stdout"));
    emit_object(emit, "log_format");
}

static void emit_log(struct emit *emit, const struct config_log *log, bool is_ours)
{
    emit_object(emit, "");
    emit_cstr(emit, "name", "envoy.access_loggers.file");
    emit_filter(emit, log, is_ours);
    emit_file(emit, log);
    if (log->format == LOG_TEXT)
        emit_text_format(emit, log->text.text);
    else
        emit_json_format(emit, log);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

static const struct config_log preset = {.format = LOG_JSON};

static const struct config_log *logs_of(const struct config_listener *listener, size_t *ret_count)
{
    *ret_count = listener->has_logs ? listener->log_count : 1;
    return listener->has_logs ? listener->logs : &preset;
}

// Listeners of one Gateway have the same logs; which one a request is for is known after Envoy's listener is chosen.
static bool is_alone(const struct bootstrap *bootstrap, size_t listener)
{
    const struct config_listener *own = &bootstrap->config->listeners[listener];
    for (size_t i = 0; i < bootstrap->config->listener_count; i++) {
        const struct config_listener *other = &bootstrap->config->listeners[i];
        if (other->port == own->port && own->protocol == LISTENER_HTTP &&
            !(slice_eq(other->gateway, own->gateway) && slice_eq(other->namespace_, own->namespace_)))
            return false;
    }
    return true;
}

// What was spoken with a backend, and who stands before a PROXY header, Envoy alone can tell: its interface has no way to
// ask.
static bool is_told_by_envoy(struct slice format)
{
    return slice_find_slice(format, SLICE("%UPSTREAM_PROTOCOL")) != SLICE_NOT_FOUND ||
           slice_find_slice(format, SLICE("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS")) != SLICE_NOT_FOUND;
}

static bool are_told_by_envoy(const struct config_log_field *fields, size_t count, unsigned depth)
{
    bool is_told = false;
    for (size_t i = 0; i < count && depth < MEMBER_DEPTH_MAX && !is_told; i++)
        is_told = fields[i].members ? are_told_by_envoy(fields[i].members, fields[i].member_count, depth + 1)
                                    : is_told_by_envoy(fields[i].format.text);
    return is_told;
}

static bool is_by_module(const struct config_log *log)
{
    if (log->format == LOG_TEXT)
        return !is_told_by_envoy(log->text.text);
    return !are_told_by_envoy(log->fields, log->field_count, 0);
}

bool bootstrap_logs_by_module(const struct bootstrap *bootstrap, size_t listener)
{
    size_t count;
    const struct config_log *logs = logs_of(&bootstrap->config->listeners[listener], &count);
    if (bootstrap->config->listeners[listener].protocol == LISTENER_PASSTHROUGH)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!is_by_module(&logs[i]))
            return false;
    return is_alone(bootstrap, listener);
}

void bootstrap_access_logs(const struct bootstrap *bootstrap, struct emit *emit, size_t listener)
{
    size_t count;
    const struct config_log *logs = logs_of(&bootstrap->config->listeners[listener], &count);
    bool are_by_module = bootstrap_logs_by_module(bootstrap, listener);
    emit_list(emit, "access_log");
    for (size_t i = 0; i < count; i++)
        emit_log(emit, &logs[i], are_by_module);
    emit_list_end(emit);
}
