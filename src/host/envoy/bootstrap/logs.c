// Access logs as Envoy writes them, with what only Weir knows read from dynamic metadata.
#include "host/envoy/bootstrap/bootstrap.h"
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

static void emit_matches(struct emit *emit, const struct config_log *log)
{
    if (!log->match_count)
        return;
    struct buf all;
    buf_init(&all, (size_t)1 << 20);
    for (size_t i = 0; i < log->match_count; i++) {
        if (i)
            buf_append(&all, SLICE(" && "));
        buf_append_byte(&all, '(');
        buf_append(&all, log->matches[i].text);
        buf_append_byte(&all, ')');
    }
    emit_object(emit, "filter");
    emit_typed(emit, "extension_filter", "envoy.access_loggers.extension_filters.cel",
               "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter");
    emit_text(emit, "expression", buf_slice(&all));
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    buf_fini(&all);
}

static void emit_log(struct emit *emit, const struct config_log *log)
{
    emit_object(emit, "");
    emit_cstr(emit, "name", "envoy.access_loggers.file");
    emit_matches(emit, log);
    emit_any(emit, "typed_config", "envoy.extensions.access_loggers.file.v3.FileAccessLog");
    emit_text(emit, "path", log->path.len ? log->path : SLICE("/dev/stdout"));
    emit_object(emit, "log_format");
    if (log->format == LOG_TEXT)
        emit_text_format(emit, log->text.text);
    else
        emit_json_format(emit, log);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

void bootstrap_access_logs(struct emit *emit, const struct config_listener *listener)
{
    static const struct config_log preset = {.format = LOG_JSON};
    emit_list(emit, "access_log");
    if (!listener->has_logs)
        emit_log(emit, &preset);
    for (size_t i = 0; listener->has_logs && i < listener->log_count; i++)
        emit_log(emit, &listener->logs[i]);
    emit_list_end(emit);
}
