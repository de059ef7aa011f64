#include "host/envoy/bootstrap/bootstrap.h"

#include <stdio.h>

#include "base/map.h"
#include "host/envoy/bootstrap/tls.h"

#define ENVOY_HEAD_BYTES_MAX ((size_t)8 << 20)

// Connections, and what Envoy does before the exchange sees a request, are the same for all listeners of a plain port.
static const char *difference(const struct config_client *a, const struct config_client *b)
{
    if (a->header_bytes != b->header_bytes)
        return "headers.maxRequestHeaderLimit";
    if (a->head_timeout_ms != b->head_timeout_ms || a->keep_alive_idle_ms != b->keep_alive_idle_ms ||
        a->request_timeout_ms != b->request_timeout_ms || a->stream_idle_ms != b->stream_idle_ms)
        return "timeout.http";
    if (a->max_requests != b->max_requests || a->max_age_ms != b->max_age_ms)
        return "connection.connectionLimit";
    if (a->h2_streams != b->h2_streams || a->h2_stream_window != b->h2_stream_window ||
        a->h2_connection_window != b->h2_connection_window)
        return "http2";
    return NULL;
}

static void check_client(const struct bootstrap *bootstrap, const struct config_listener *listener,
                         struct findings *findings)
{
    const struct config_listener *first = bootstrap->config->listeners;
    while (first->port != listener->port)
        first++;
    const char *what = listener->protocol == LISTENER_HTTP ? difference(&first->client, &listener->client) : NULL;
    if (what)
        finding_error(findings, listener->mark,
                      "weir envoy does not write plain listeners of one port with different ClientTrafficPolicies: %s "
                      "differs from that of listener " SLICE_FMT,
                      what, SLICE_ARG(first->name));
}

static void check_listener(const struct bootstrap *bootstrap, const struct config_listener *listener,
                           struct findings *findings)
{
    if ((uint32_t)listener->port + bootstrap->port_offset > UINT16_MAX)
        finding_error(findings, listener->mark, "port %u plus --port-offset is over 65535", listener->port);
    if (listener->protocol == LISTENER_HTTPS)
        bootstrap_check_tls(&listener->tls.choice, listener->tls.certificates, listener->tls.certificate_count,
                            findings);
    check_client(bootstrap, listener, findings);
    if (listener->client.header_bytes > ENVOY_HEAD_BYTES_MAX)
        finding_error(findings, listener->mark, "Envoy reads no heads beyond 8Mi: lower headers.maxRequestHeaderLimit");
}

static void check_backend(const struct config_backend *backend, struct findings *findings)
{
    if (backend->tls.is_enabled)
        bootstrap_check_tls(&backend->tls.choice, backend->tls.certificate, backend->tls.certificate != NULL, findings);
}

// What was asked for and is not written is never left out in silence (S10).
static void check_protocols(const struct config_rule *rule, struct findings *findings)
{
    if (bootstrap_protocol_of(rule) == PROTOCOL_MIXED)
        finding_error(
            findings, rule->mark,
            "weir envoy does not write rules whose backends have no protocol in common, or need TLS to agree on "
            "one while others have none: some speak HTTP/2 (appProtocols, alpnProtocols: [h2]) and others may "
            "not; give them rules of their own, or all of them HTTP/2 alone");
}

// Envoy's health checks run on a thread that has no listeners inside Envoy.
static void check_health(const struct config_rule *rule, struct findings *findings)
{
    for (size_t i = 0; rule->traffic.active.is_set && i < rule->ref_count; i++)
        if (rule->refs[i].backend && rule->refs[i].backend->proxy) {
            finding_error(findings, rule->mark,
                          "weir envoy does not write active health checks of backends behind a forward proxy; use "
                          "healthCheck.passive");
            return;
        }
}

void bootstrap_check(const struct bootstrap *bootstrap, struct findings *findings)
{
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        check_listener(bootstrap, &bootstrap->config->listeners[i], findings);
    for (size_t i = 0; i < bootstrap->config->backend_count; i++)
        check_backend(&bootstrap->config->backends[i], findings);
    for (size_t i = 0; i < bootstrap->config->route_count; i++)
        for (size_t j = 0; j < bootstrap->config->routes[i].rule_count; j++) {
            check_protocols(&bootstrap->config->routes[i].rules[j], findings);
            check_health(&bootstrap->config->routes[i].rules[j], findings);
        }
}

// ---- connections at a time ------------------------------------------------------------------------------------

// As the native host counts them: of the whole port, by the first of its listeners that has a limit.
static uint32_t connection_limit(const struct bootstrap *bootstrap, uint16_t port)
{
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        if (bootstrap->config->listeners[i].port == port && bootstrap->config->listeners[i].client.max_connections)
            return bootstrap->config->listeners[i].client.max_connections;
    return 0;
}

static bool has_connection_limits(const struct bootstrap *bootstrap)
{
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        if (bootstrap->config->listeners[i].client.max_connections)
            return true;
    return false;
}

// Envoy has the limit of a listener, which holds before TLS and for all its chains together, as a runtime value.
static void emit_connection_limits(const struct bootstrap *bootstrap, struct emit *emit, const char *key)
{
    emit_object(emit, key);
    for (size_t i = 0; i < bootstrap->config->listener_count; i++) {
        uint16_t port = bootstrap->config->listeners[i].port;
        uint32_t limit = connection_limit(bootstrap, port);
        char name[64];
        snprintf(name, sizeof name, "envoy.resource_limits.listener.port-%u.connection_limit", port);
        if (limit && bootstrap_is_first_of_port(bootstrap, i))
            emit_u64(emit, name, limit);
    }
    emit_end(emit);
}

static void emit_runtime_resource(const struct bootstrap *bootstrap, struct emit *emit)
{
    emit_any(emit, "", "envoy.service.runtime.v3.Runtime");
    emit_cstr(emit, "name", "weir");
    emit_connection_limits(bootstrap, emit, "layer");
    emit_end(emit);
}

// ---- xDS ------------------------------------------------------------------------------------------------------

void bootstrap_source(const struct bootstrap *bootstrap, struct emit *emit, const char *key, const char *file)
{
    struct buf path;
    buf_init(&path, 8192);
    buf_append(&path, bootstrap->xds_dir);
    buf_append_byte(&path, '/');
    buf_append(&path, slice_from_cstr(file));
    emit_object(emit, key);
    emit_cstr(emit, "resource_api_version", "V3");
    emit_object(emit, "path_config_source");
    emit_text(emit, "path", buf_slice(&path));
    emit_object(emit, "watched_directory");
    emit_text(emit, "path", bootstrap->xds_dir);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    buf_fini(&path);
}

static void emit_dynamic(const struct bootstrap *bootstrap, struct emit *emit)
{
    emit_object(emit, "node");
    emit_cstr(emit, "id", "weir");
    emit_cstr(emit, "cluster", "weir");
    emit_end(emit);
    emit_object(emit, "dynamic_resources");
    bootstrap_source(bootstrap, emit, "lds_config", "lds.json");
    bootstrap_source(bootstrap, emit, "cds_config", "cds.json");
    emit_end(emit);
}

// The layer of the admin port is there by default only where no others are.
static void emit_runtime(const struct bootstrap *bootstrap, struct emit *emit)
{
    if (!bootstrap->xds_dir.len && !has_connection_limits(bootstrap))
        return;
    emit_object(emit, "layered_runtime");
    emit_list(emit, "layers");
    emit_object(emit, "");
    emit_cstr(emit, "name", "weir");
    if (bootstrap->xds_dir.len) {
        emit_object(emit, "rtds_layer");
        emit_cstr(emit, "name", "weir");
        bootstrap_source(bootstrap, emit, "rtds_config", "rtds.json");
        emit_end(emit);
    } else {
        emit_connection_limits(bootstrap, emit, "static_layer");
    }
    emit_end(emit);
    emit_object(emit, "");
    emit_cstr(emit, "name", "admin");
    emit_object(emit, "admin_layer");
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
    emit_end(emit);
}

static void emit_listeners(const struct bootstrap *bootstrap, struct emit *emit, bool with_type)
{
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        if (bootstrap_is_first_of_port(bootstrap, i))
            bootstrap_listener(bootstrap, emit, i, with_type);
    bootstrap_tunnels(bootstrap, emit, with_type);
}

bool bootstrap_has_routes(const struct bootstrap *bootstrap, size_t listener)
{
    enum config_listener_protocol protocol = bootstrap->config->listeners[listener].protocol;
    return protocol == LISTENER_HTTPS || (protocol == LISTENER_HTTP && bootstrap_is_first_of_port(bootstrap, listener));
}

static void begin_response(struct emit *emit, struct slice version)
{
    emit_object(emit, "");
    emit_text(emit, "version_info", version);
    emit_list(emit, "resources");
}

static bool end_response(struct emit *emit)
{
    emit_list_end(emit);
    emit_end(emit);
    return buf_append_byte(emit->buf, '\n') && !emit->buf->has_failed;
}

static void name_file(const char *kind, struct slice resource, char text[BOOTSTRAP_FILE_MAX])
{
    snprintf(text, BOOTSTRAP_FILE_MAX, "%s-%016llx.json", kind, (unsigned long long)hash_bytes(resource, 0));
}

void bootstrap_secret_file(const struct config_certificate *certificate, char text[BOOTSTRAP_FILE_MAX])
{
    name_file("sds", certificate->secret, text);
}

void bootstrap_routes_file(const struct config_listener *listener, char text[BOOTSTRAP_FILE_MAX])
{
    char name[1024];
    bootstrap_route_name(listener, name, sizeof name);
    name_file("rds", slice_from_cstr(name), text);
}

bool bootstrap_write_secret(const struct config_certificate *certificate, struct slice version, struct buf *buf)
{
    struct emit emit = {.buf = buf};
    begin_response(&emit, version);
    bootstrap_secret(&emit, certificate);
    return end_response(&emit);
}

bool bootstrap_write_routes(const struct bootstrap *bootstrap, size_t listener, struct slice version, struct buf *buf)
{
    struct emit emit = {.buf = buf};
    begin_response(&emit, version);
    bootstrap_routes(bootstrap, &emit, listener, true);
    return end_response(&emit);
}

bool bootstrap_write_xds(const struct bootstrap *bootstrap, const char *kind, struct slice version, struct buf *buf)
{
    struct emit emit = {.buf = buf};
    begin_response(&emit, version);
    if (kind[0] == 'l')
        emit_listeners(bootstrap, &emit, true);
    else
        emit_runtime_resource(bootstrap, &emit);
    return end_response(&emit);
}

// ---- the whole ------------------------------------------------------------------------------------------------

static void emit_static(const struct bootstrap *bootstrap, struct emit *emit)
{
    emit_object(emit, "static_resources");
    emit_list(emit, "listeners");
    emit_listeners(bootstrap, emit, false);
    emit_list_end(emit);
    emit_list(emit, "clusters");
    bootstrap_clusters(bootstrap, emit, false);
    emit_list_end(emit);
    emit_end(emit);
}

static void emit_admin(struct emit *emit, uint16_t port)
{
    emit_object(emit, "admin");
    emit_object(emit, "address");
    emit_object(emit, "socket_address");
    emit_cstr(emit, "address", "127.0.0.1");
    emit_u64(emit, "port_value", port);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

bool bootstrap_write(const struct bootstrap *bootstrap, struct buf *buf)
{
    struct emit emit = {.buf = buf};
    emit_object(&emit, "");
    if (bootstrap->admin_port)
        emit_admin(&emit, bootstrap->admin_port);
    if (bootstrap->xds_dir.len)
        emit_dynamic(bootstrap, &emit);
    else
        emit_static(bootstrap, &emit);
    if (bootstrap->xds_dir.len || bootstrap_has_tunnels(bootstrap))
        bootstrap_tunnel_extension(&emit);
    emit_runtime(bootstrap, &emit);
    emit_end(&emit);
    return buf_append_byte(buf, '\n') && !buf->has_failed;
}
