// Access logs of an EnvoyProxy: each sink of each setting is a log of its own. The rooms that compile formats and CEL
// report what is wrong in them.
#include "config/resolve_parts.h"

static struct config_log_field *read_fields(struct resolver *resolver, const struct node *map, size_t *ret_count)
{
    struct config_log_field *fields = RESOLVE_ARRAY(resolver, struct config_log_field, node_count(map));
    for (const struct node *member = node_first(map); fields && member; member = member->next) {
        struct config_log_field *field = &fields[(*ret_count)++];
        field->name = member->key;
        field->format = node_config_text(member);
        if (member->type == NODE_MAP) // as deep as documents go
            field->members = read_fields(resolver, member, &field->member_count);
    }
    return fields;
}

static void read_matches(struct resolver *resolver, const struct node *list, struct config_log *log)
{
    log->matches = RESOLVE_ARRAY(resolver, struct config_text, node_count(list));
    for (const struct node *item = node_first(list); log->matches && item; item = item->next)
        log->matches[log->match_count++] = node_config_text(item);
}

// Without a format the line is the default one: LOG_JSON without fields.
static struct config_log read_setting(struct resolver *resolver, const struct node *setting)
{
    const struct node *format = node_get(setting, SLICE("format"));
    const struct node *text = node_get(format, SLICE("text"));
    struct config_log log = {.format = text ? LOG_TEXT : LOG_JSON,
                             .text = node_config_text(text),
                             .mark = node_mark(format ? format : setting)};
    if (!text)
        log.fields = read_fields(resolver, node_get(format, SLICE("json")), &log.field_count);
    read_matches(resolver, node_get(setting, SLICE("matches")), &log);
    return log;
}

static size_t count_sinks(const struct node *settings)
{
    size_t count = 0;
    for (const struct node *setting = node_first(settings); setting; setting = setting->next)
        count += node_count(node_get(setting, SLICE("sinks")));
    return count;
}

void resolve_logs(struct resolver *resolver, const struct resource *proxy, struct config_listener *listener)
{
    const struct node *access_log = node_path(proxy->spec, SLICE("telemetry.accessLog"));
    const struct node *settings = node_get(access_log, SLICE("settings"));
    struct config_log *logs = RESOLVE_ARRAY(resolver, struct config_log, count_sinks(settings));
    bool is_off = node_get_bool(access_log, SLICE("disable"), false);
    listener->has_logs = is_off || node_count(settings);
    listener->logs = logs;
    for (const struct node *setting = node_first(settings); logs && !is_off && setting; setting = setting->next) {
        struct config_log log = read_setting(resolver, setting);
        for (const struct node *sink = node_first(node_get(setting, SLICE("sinks"))); sink; sink = sink->next) {
            log.path = node_get_text(node_get(sink, SLICE("file")), SLICE("path"));
            if (log.path.len)
                logs[listener->log_count++] = log;
        }
    }
}
