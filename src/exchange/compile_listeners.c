// Listeners of a snapshot: the table of routes and the access logs.
#include "exchange/compiled.h"

// Whether some format of a log mentions `text`.
static bool fields_mention(const struct config_log_field *fields, size_t count, struct slice text)
{
    for (size_t i = 0; i < count; i++)
        if (slice_find_slice(fields[i].format.text, text) != SLICE_NOT_FOUND ||
            fields_mention(fields[i].members, fields[i].member_count, text))
            return true;
    return false;
}

static bool log_mentions(const struct config_log *log, struct slice text)
{
    return slice_find_slice(log->text.text, text) != SLICE_NOT_FOUND ||
           fields_mention(log->fields, log->field_count, text);
}

static bool compile_log(struct snapshot *snapshot, struct compiled_listener *listener, const struct config_log *config,
                        struct findings *findings)
{
    struct compiled_log *log = &listener->logs[listener->log_count];
    log->log = accesslog_new(&snapshot->arena, config, findings);
    log->path = config->path.len ? config->path : SLICE("/dev/stdout");
    if (!log->log)
        return false;
    listener->log_count++;
    bool is_default_line = config->format == LOG_JSON && !config->field_count;
    listener->logs_tokens |= is_default_line || log_mentions(config, SLICE("_token")) ||
                             log_mentions(config, SLICE("%USAGE(")) ||
                             log_mentions(config, SLICE("token_latency_itl")); // time over tokens
    listener->logs_usage |= listener->logs_tokens || log_mentions(config, SLICE("response_model"));
    return true;
}

static bool compile_default_log(struct snapshot *snapshot, struct compiled_listener *listener)
{
    listener->logs[0].log = accesslog_default(&snapshot->arena);
    listener->logs[0].path = SLICE("/dev/stdout");
    listener->logs_usage = true;
    listener->logs_tokens = true;
    listener->log_count = 1;
    return listener->logs[0].log;
}

static bool compile_logs(struct snapshot *snapshot, struct compiled_listener *listener, struct findings *findings)
{
    const struct config_listener *config = listener->config;
    listener->logs = ARENA_ARRAY(&snapshot->arena, struct compiled_log, config->log_count + 1);
    if (!listener->logs)
        return false;
    if (!config->has_logs)
        return compile_default_log(snapshot, listener);
    bool is_whole = true;
    for (size_t i = 0; i < config->log_count; i++)
        is_whole = compile_log(snapshot, listener, &config->logs[i], findings) && is_whole;
    return is_whole;
}

static bool compile_listener(struct snapshot *snapshot, struct compiled_listener *listener, uint64_t seed,
                             struct findings *findings)
{
    const struct config_listener *config = listener->config;
    for (size_t i = 0; i < config->route_count; i++)
        listener->has_ai |= config->routes[i]->kind == ROUTE_AI;
    listener->table = route_table_new(&snapshot->arena, config, seed, findings);
    bool has_logs = compile_logs(snapshot, listener, findings);
    return listener->table && has_logs;
}

bool snapshot_compile_listeners(struct snapshot *snapshot, uint64_t seed, struct findings *findings)
{
    const struct config *config = snapshot->config;
    snapshot->listeners = ARENA_ARRAY(&snapshot->arena, struct compiled_listener, config->listener_count);
    if (!snapshot->listeners)
        return false;
    bool is_whole = true;
    for (size_t i = 0; i < config->listener_count; i++) {
        snapshot->listeners[i].config = &config->listeners[i];
        is_whole = compile_listener(snapshot, &snapshot->listeners[i], seed + i, findings) && is_whole;
    }
    return is_whole;
}
