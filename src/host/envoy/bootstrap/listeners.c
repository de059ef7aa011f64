// Listeners: a connection manager for each port with limits as the native host has them, the module, the router.
#include "host/envoy/bootstrap/bootstrap.h"

#include <stdio.h>

#define FILTER_TYPE "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"
#define STRING_TYPE "google.protobuf.StringValue"

bool bootstrap_is_first_of_port(const struct bootstrap *bootstrap, size_t listener)
{
    const struct config_listener *listeners = bootstrap->config->listeners;
    for (size_t i = 0; i < listener; i++)
        if (listeners[i].port == listeners[listener].port)
            return false;
    return true;
}

void bootstrap_module(const struct bootstrap *bootstrap, struct emit *emit)
{
    emit_object(emit, "dynamic_module_config");
    emit_object(emit, "module");
    emit_object(emit, "local");
    emit_text(emit, "filename", bootstrap->module_path);
    emit_end(emit);
    emit_end(emit);
    emit_bool(emit, "do_not_close", true);
    emit_end(emit);
}

static void emit_codecs(struct emit *emit, const struct config_client *client)
{
    emit_object(emit, "common_http_protocol_options");
    emit_ms(emit, "idle_timeout", client->keep_alive_idle_ms);
    emit_u64(emit, "max_headers_count", client->header_count);
    emit_end(emit);
    emit_object(emit, "http_protocol_options");
    emit_bool(emit, "accept_http_10", true);
    emit_end(emit);
    emit_object(emit, "http2_protocol_options");
    emit_u64(emit, "max_concurrent_streams", 100);
    emit_u64(emit, "initial_stream_window_size", 65536);
    emit_u64(emit, "initial_connection_window_size", 1048576);
    emit_end(emit);
    uint64_t kib = (client->header_bytes + 1023) / 1024;
    emit_u64(emit, "max_request_headers_kb", kib < 8192 ? kib : 8192);
    emit_ms(emit, "request_headers_timeout", client->head_timeout_ms);
    if (client->request_timeout_ms > 0)
        emit_ms(emit, "request_timeout", client->request_timeout_ms);
    emit_ms(emit, "stream_idle_timeout", client->stream_idle_ms > 0 ? client->stream_idle_ms : 300000);
}

// Paths, ids and forwarding fields are the exchange's business: Envoy leaves them alone.
static void emit_manners(struct emit *emit)
{
    emit_cstr(emit, "server_header_transformation", "PASS_THROUGH");
    emit_bool(emit, "use_remote_address", true);
    emit_bool(emit, "skip_xff_append", true);
    emit_bool(emit, "generate_request_id", false);
    emit_bool(emit, "preserve_external_request_id", true);
    emit_bool(emit, "normalize_path", false);
    emit_cstr(emit, "path_with_escaped_slashes_action", "KEEP_UNCHANGED");
}

static void emit_filters(const struct bootstrap *bootstrap, struct emit *emit)
{
    emit_list(emit, "http_filters");
    emit_typed(emit, "", "weir", FILTER_TYPE);
    bootstrap_module(bootstrap, emit);
    emit_cstr(emit, "filter_name", "weir");
    emit_any(emit, "filter_config", STRING_TYPE);
    emit_cstr(emit, "value", "{\"position\":\"listener\"}");
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_typed(emit, "", "envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router");
    emit_bool(emit, "suppress_envoy_headers", true);
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
}

static void emit_route_source(const struct bootstrap *bootstrap, struct emit *emit, size_t listener)
{
    if (!bootstrap->xds_dir.len) {
        emit_object(emit, "route_config");
        bootstrap_routes(bootstrap, emit, listener, false);
        emit_end(emit);
        return;
    }
    char name[32];
    snprintf(name, sizeof name, "port-%u", bootstrap->config->listeners[listener].port);
    emit_object(emit, "rds");
    emit_cstr(emit, "route_config_name", name);
    emit_object(emit, "config_source");
    emit_cstr(emit, "resource_api_version", "V3");
    emit_object(emit, "path_config_source");
    struct buf path;
    buf_init(&path, 8192);
    buf_append(&path, bootstrap->xds_dir);
    buf_append(&path, SLICE("/rds.json"));
    emit_text(emit, "path", buf_slice(&path));
    buf_fini(&path);
    emit_object(emit, "watched_directory");
    emit_text(emit, "path", bootstrap->xds_dir);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

static void emit_manager(const struct bootstrap *bootstrap, struct emit *emit, size_t listener)
{
    const struct config_listener *config = &bootstrap->config->listeners[listener];
    char name[32];
    snprintf(name, sizeof name, "port_%u", config->port);
    emit_typed(emit, "", "envoy.filters.network.http_connection_manager",
               "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
    emit_cstr(emit, "stat_prefix", name);
    emit_codecs(emit, &config->client);
    emit_manners(emit);
    emit_route_source(bootstrap, emit, listener);
    emit_filters(bootstrap, emit);
    bootstrap_access_logs(emit, config);
    emit_end(emit);
    emit_end(emit);
}

void bootstrap_listener(const struct bootstrap *bootstrap, struct emit *emit, size_t listener, bool with_type)
{
    const struct config_listener *config = &bootstrap->config->listeners[listener];
    char name[32];
    snprintf(name, sizeof name, "port-%u", config->port);
    if (with_type)
        emit_any(emit, "", "envoy.config.listener.v3.Listener");
    else
        emit_object(emit, "");
    emit_cstr(emit, "name", name);
    emit_object(emit, "address");
    emit_object(emit, "socket_address");
    emit_text(emit, "address", bootstrap->address);
    emit_u64(emit, "port_value", (uint64_t)config->port + bootstrap->port_offset);
    if (slice_find(bootstrap->address, ':') != SLICE_NOT_FOUND)
        emit_bool(emit, "ipv4_compat", true);
    emit_end(emit);
    emit_end(emit);
    emit_list(emit, "filter_chains");
    emit_object(emit, "");
    emit_list(emit, "filters");
    emit_manager(bootstrap, emit, listener);
    emit_list_end(emit);
    emit_end(emit);
    emit_list_end(emit);
    emit_end(emit);
}
