// Listeners: a connection manager for each port with limits as the native host has them, the module, the router.
#include "host/envoy/bootstrap/bootstrap.h"
#include "host/envoy/bootstrap/passthrough.h"
#include "host/envoy/bootstrap/tls.h"
#include "host/envoy/names.h"

#include <stdio.h>

#define FILTER_TYPE "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"
#define STRING_TYPE "google.protobuf.StringValue"
#define DRAIN_MS 1000
#define BUFFER_BYTES ((size_t)1 << 20)

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
    uint32_t requests = client->is_keep_alive_off ? 1 : client->max_requests;
    if (requests)
        emit_u64(emit, "max_requests_per_connection", requests);
    if (client->max_age_ms > 0)
        emit_ms(emit, "max_connection_duration", client->max_age_ms);
    emit_end(emit);
    if (requests || client->max_age_ms > 0) // between word of the end and the end
        emit_ms(emit, "drain_timeout", DRAIN_MS);
    emit_object(emit, "http_protocol_options");
    emit_bool(emit, "accept_http_10", true);
    emit_cstr(emit, "default_host_for_http_10", WEIR_NO_HOST);
    emit_end(emit);
    emit_object(emit, "http2_protocol_options");
    emit_u64(emit, "max_concurrent_streams", client->h2_streams);
    emit_u64(emit, "initial_stream_window_size", client->h2_stream_window);
    emit_u64(emit, "initial_connection_window_size", client->h2_connection_window);
    // A malformed request is its stream's error, not that of all on its connection (RFC 9113 section 8.1.1).
    emit_bool(emit, "override_stream_error_on_invalid_http_message", true);
    emit_end(emit);
    uint64_t kib = (client->header_bytes + 1023) / 1024;
    emit_u64(emit, "max_request_headers_kb", kib < 8192 ? kib : 8192);
    emit_ms(emit, "request_headers_timeout", client->head_timeout_ms);
    if (client->request_timeout_ms > 0)
        emit_ms(emit, "request_timeout", client->request_timeout_ms);
    // Before a request has a route, that is while its body is held; routes say how long it may be silent then.
    emit_ms(emit, "stream_idle_timeout", client->body_idle_timeout_ms);
}

// Whether requests for the one come by the connection manager of the other, too.
static bool is_shared(const struct config_listener *own, const struct config_listener *other)
{
    return other == own || (own->protocol == LISTENER_HTTP && other->port == own->port);
}

// Whether the exchange looks behind other proxies for the client.
static bool has_origin(const struct bootstrap *bootstrap, const struct config_listener *own)
{
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        if (is_shared(own, &bootstrap->config->listeners[i]) &&
            bootstrap->config->listeners[i].client.origin.kind != ORIGIN_CONNECTION)
            return true;
    return false;
}

// What some listener lets through: the exchange knows of which one, but filters that users add don't.
static const char *client_certs(const struct bootstrap *bootstrap, const struct config_listener *own)
{
    static const char *const modes[] = {[CLIENT_CERT_DROPPED] = "SANITIZE",
                                        [CLIENT_CERT_FORWARDED_OVER_MTLS] = "FORWARD_ONLY",
                                        [CLIENT_CERT_FORWARDED] = "ALWAYS_FORWARD_ONLY"};
    enum config_client_cert most = CLIENT_CERT_DROPPED;
    for (size_t i = 0; i < bootstrap->config->listener_count; i++) {
        const struct config_listener *other = &bootstrap->config->listeners[i];
        if (is_shared(own, other) && other->client.client_cert > most)
            most = other->client.client_cert;
    }
    return modes[most];
}

// With the connection's own address Envoy writes x-forwarded-proto anew, which a trusted proxy has its say in. So it is
// told to look for the address farther back than any list goes: the connection's holds, and what was received stays.
// (With a trusted range that nobody is in, it would append an address of its own to x-forwarded-for.)
static void emit_nobody(struct emit *emit)
{
    emit_bool(emit, "use_remote_address", false);
    emit_list(emit, "original_ip_detection_extensions");
    emit_typed(emit, "", "envoy.http.original_ip_detection.xff",
               "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig");
    emit_bool(emit, "skip_xff_append", true);
    emit_u64(emit, "xff_num_trusted_hops", UINT32_MAX);
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
}

// Paths, ids and forwarding fields are the exchange's business: Envoy leaves them alone.
static void emit_manners(const struct bootstrap *bootstrap, struct emit *emit, const struct config_listener *config)
{
    emit_cstr(emit, "server_header_transformation", "PASS_THROUGH");
    if (has_origin(bootstrap, config))
        emit_nobody(emit);
    else
        emit_bool(emit, "use_remote_address", true);
    emit_bool(emit, "skip_xff_append", true);
    emit_object(emit, "scheme_header_transformation"); // what HTTP/2 tells backends is how they are called
    emit_bool(emit, "match_upstream", true);
    emit_end(emit);
    emit_cstr(emit, "forward_client_cert_details", client_certs(bootstrap, config));
    emit_bool(emit, "generate_request_id", false);
    emit_bool(emit, "preserve_external_request_id", true);
    emit_bool(emit, "normalize_path", false);
    emit_cstr(emit, "path_with_escaped_slashes_action", "KEEP_UNCHANGED");
}

// For answers of Envoy's own routes: clients that are still sending miss what comes before their body has ended.
static void emit_buffer(struct emit *emit)
{
    emit_object(emit, "");
    emit_cstr(emit, "name", "buffer");
    emit_bool(emit, "disabled", true); // but where a virtual host wants it (routes.c)
    emit_any(emit, "typed_config", "envoy.extensions.filters.http.buffer.v3.Buffer");
    emit_u64(emit, "max_request_bytes", BUFFER_BYTES);
    emit_end(emit);
    emit_end(emit);
}

static void emit_filters(const struct bootstrap *bootstrap, struct emit *emit, size_t listener)
{
    emit_list(emit, "http_filters");
    if (bootstrap->config->listeners[listener].protocol == LISTENER_HTTPS)
        emit_buffer(emit);
    emit_typed(emit, "", "weir", FILTER_TYPE);
    bootstrap_module(bootstrap, emit);
    emit_cstr(emit, "filter_name", "weir");
    emit_any(emit, "filter_config", STRING_TYPE);
    char settings[128];
    snprintf(settings, sizeof settings, "{\"position\":\"listener\",\"publish\":\"%s\",\"log\":\"%s\"}",
             bootstrap->publishes_all ? "all" : "costs",
             bootstrap_logs_by_module(bootstrap, listener) ? "weir" : "envoy");
    emit_cstr(emit, "value", settings);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_typed(emit, "", "envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router");
    emit_bool(emit, "suppress_envoy_headers", true);
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
}

void bootstrap_route_name(const struct config_listener *listener, char *text, size_t cap)
{
    if (listener->protocol == LISTENER_HTTP)
        snprintf(text, cap, "port-%u", listener->port);
    else
        snprintf(text, cap, SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT, SLICE_ARG(listener->namespace_),
                 SLICE_ARG(listener->gateway), SLICE_ARG(listener->name));
}

static void emit_route_source(const struct bootstrap *bootstrap, struct emit *emit, size_t listener)
{
    if (!bootstrap->xds_dir.len) {
        emit_object(emit, "route_config");
        bootstrap_routes(bootstrap, emit, listener, false);
        emit_end(emit);
        return;
    }
    char name[1024];
    bootstrap_route_name(&bootstrap->config->listeners[listener], name, sizeof name);
    emit_object(emit, "rds");
    emit_cstr(emit, "route_config_name", name);
    char file[BOOTSTRAP_FILE_MAX];
    bootstrap_routes_file(&bootstrap->config->listeners[listener], file);
    bootstrap_source(bootstrap, emit, "config_source", file);
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
    emit_manners(bootstrap, emit, config);
    emit_route_source(bootstrap, emit, listener);
    emit_filters(bootstrap, emit, listener);
    bootstrap_access_logs(bootstrap, emit, listener);
    emit_end(emit);
    emit_end(emit);
}

// ---- listeners ------------------------------------------------------------------------------------------------

static void emit_chain(const struct bootstrap *bootstrap, struct emit *emit, size_t listener)
{
    const struct config_listener *config = &bootstrap->config->listeners[listener];
    bool is_tls = config->protocol == LISTENER_HTTPS;
    emit_object(emit, "");
    if (is_tls && config->hostname.len) {
        emit_object(emit, "filter_chain_match");
        emit_list(emit, "server_names");
        emit_text(emit, "", config->hostname);
        emit_list_end(emit);
        emit_end(emit);
    }
    emit_list(emit, "filters");
    emit_manager(bootstrap, emit, listener);
    emit_list_end(emit);
    if (is_tls) {
        bootstrap_server_tls(bootstrap, emit, &config->tls);
        if (config->client.tls_handshake_ms > 0)
            emit_ms(emit, "transport_socket_connect_timeout", config->client.tls_handshake_ms);
    }
    emit_end(emit);
}

// Over TLS every Gateway listener of the port has filter chains of its own, chosen by SNI.
static void emit_chains(const struct bootstrap *bootstrap, struct emit *emit, size_t first)
{
    const struct config_listener *listeners = bootstrap->config->listeners;
    emit_list(emit, "filter_chains");
    for (size_t i = first; i < bootstrap->config->listener_count; i++) {
        if (listeners[i].port != listeners[first].port || (i != first && listeners[i].protocol == LISTENER_HTTP))
            continue;
        if (listeners[i].protocol == LISTENER_PASSTHROUGH)
            passthrough_chains(bootstrap, emit, i);
        else
            emit_chain(bootstrap, emit, i);
    }
    emit_list_end(emit);
}

// What stands before requests, and before TLS: the PROXY header, then the name that the client asks for.
static void emit_arrival(struct emit *emit, const struct config_listener *config)
{
    bool is_tls = config->protocol != LISTENER_HTTP, has_header = config->client.proxy_protocol != PROXY_PROTOCOL_OFF;
    if (!is_tls && !has_header)
        return;
    emit_list(emit, "listener_filters");
    if (has_header) {
        emit_typed(emit, "", "envoy.filters.listener.proxy_protocol",
                   "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol");
        emit_bool(emit, "allow_requests_without_proxy_protocol",
                  config->client.proxy_protocol == PROXY_PROTOCOL_OPTIONAL);
        emit_end(emit);
        emit_end(emit);
    }
    if (is_tls) {
        emit_typed(emit, "", "envoy.filters.listener.tls_inspector",
                   "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector");
        emit_end(emit);
        emit_end(emit);
    }
    emit_list_end(emit);
    emit_ms(emit, "listener_filters_timeout",
            is_tls ? config->client.tls_handshake_ms : config->client.head_timeout_ms);
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
    emit_chains(bootstrap, emit, listener);
    emit_arrival(emit, config);
    emit_end(emit);
}
