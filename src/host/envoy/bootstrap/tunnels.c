// Forward proxies. A backend behind one is an internal listener to its rule's cluster: Envoy connects to itself, and what it
// has accepted there it leads through a tunnel by CONNECT. So the proxy gets the backend's name, resolves it itself, and
// reads nothing of what is spoken, with TLS or without; health checks go the same way. (The http_11_proxy transport socket
// knows addresses only, hands requests without TLS to the proxy in the clear, and sends no credentials.)
#include "host/envoy/bootstrap/bootstrap.h"

#include <stdio.h>

#include "base/map.h"

#define CONNECT_MS 5000 // to the proxy itself; the rule's own limit holds for the tunnel with TLS in it

static void proxy_name(const struct config_forward_proxy *proxy, char *text, size_t cap)
{
    snprintf(text, cap, "proxy/" SLICE_FMT "/" SLICE_FMT, SLICE_ARG(proxy->namespace_), SLICE_ARG(proxy->name));
}

void bootstrap_endpoint_address(const struct config_endpoint *endpoint, char *text, size_t cap)
{
    bool is_v6 = slice_find(endpoint->host, ':') != SLICE_NOT_FOUND;
    snprintf(text, cap, is_v6 ? "[" SLICE_FMT "]:%u" : SLICE_FMT ":%u", SLICE_ARG(endpoint->host), endpoint->port);
}

// By what it leads to and through which proxy: a name never comes to mean another tunnel while Envoy changes over.
static void tunnel_name(const struct config_backend *backend, const struct config_endpoint *endpoint, char *text,
                        size_t cap)
{
    char address[512];
    bootstrap_endpoint_address(endpoint, address, sizeof address);
    snprintf(text, cap, "tunnel/" SLICE_FMT "/" SLICE_FMT "/%s", SLICE_ARG(backend->proxy->namespace_),
             SLICE_ARG(backend->proxy->name), address);
}

bool bootstrap_has_tunnels(const struct bootstrap *bootstrap)
{
    for (size_t i = 0; i < bootstrap->config->backend_count; i++)
        if (bootstrap->config->backends[i].proxy)
            return true;
    return false;
}

void bootstrap_tunnel_address(struct emit *emit, const struct config_backend_ref *ref,
                              const struct config_endpoint *endpoint)
{
    char name[1024];
    tunnel_name(ref->backend, endpoint, name, sizeof name);
    emit_object(emit, "envoy_internal_address");
    emit_cstr(emit, "server_listener_name", name);
    emit_text(emit, "endpoint_id", ref->key);
    emit_end(emit);
}

void bootstrap_tunnel_extension(struct emit *emit)
{
    emit_list(emit, "bootstrap_extensions");
    emit_typed(emit, "", "envoy.bootstrap.internal_listener",
               "envoy.extensions.bootstrap.internal_listener.v3.InternalListener");
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
}

// ---- listeners ------------------------------------------------------------------------------------------------

static void emit_credentials(struct emit *emit, const struct config_forward_proxy *proxy)
{
    if (!secret_is_set(proxy->authorization))
        return;
    emit_list(emit, "headers_to_add");
    emit_object(emit, "");
    emit_object(emit, "header");
    emit_cstr(emit, "key", "proxy-authorization");
    emit_text(emit, "value", secret_reveal(proxy->authorization)); // base64 has no % of a format
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
}

// Why there is no tunnel never gets to the rule's cluster, which sees its connection end: Envoy's log has it.
static void emit_failures(struct emit *emit, const struct config_forward_proxy *proxy, const char *address)
{
    struct buf line;
    buf_init(&line, 4096);
    buf_printf(&line,
               "[%%START_TIME%%] weir: no tunnel to %s through forward proxy %.*s:%u (GatewayConfig " SLICE_FMT
               "/" SLICE_FMT "): %%UPSTREAM_TRANSPORT_FAILURE_REASON%% %%RESPONSE_FLAGS%%\n",
               address, SLICE_ARG(proxy->host), proxy->port, SLICE_ARG(proxy->namespace_), SLICE_ARG(proxy->name));
    emit_list(emit, "access_log");
    emit_object(emit, "");
    emit_cstr(emit, "name", "envoy.access_loggers.file");
    emit_object(emit, "filter");
    emit_object(emit, "response_flag_filter");
    emit_list(emit, "flags");
    emit_cstr(emit, "", "UF");
    emit_list_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_any(emit, "typed_config", "envoy.extensions.access_loggers.file.v3.FileAccessLog");
    emit_cstr(emit, "path", "/dev/stderr");
    emit_object(emit, "log_format");
    emit_object(emit, "text_format_source");
    emit_text(emit, "inline_string", buf_slice(&line));
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
    buf_fini(&line);
}

// How long a connection may be silent is the rule's to say.
static void emit_tunnel(struct emit *emit, const struct config_backend *backend, const struct config_endpoint *endpoint)
{
    char cluster[1024], address[512];
    proxy_name(backend->proxy, cluster, sizeof cluster);
    bootstrap_endpoint_address(endpoint, address, sizeof address);
    emit_typed(emit, "", "envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy");
    emit_cstr(emit, "stat_prefix", "tunnel");
    emit_cstr(emit, "cluster", cluster);
    emit_ms(emit, "idle_timeout", 0);
    emit_object(emit, "tunneling_config");
    emit_cstr(emit, "hostname", address);
    emit_credentials(emit, backend->proxy);
    emit_end(emit);
    emit_failures(emit, backend->proxy, address);
    emit_end(emit);
    emit_end(emit);
}

static void emit_listener(struct emit *emit, const struct config_backend *backend,
                          const struct config_endpoint *endpoint, const char *name, bool with_type)
{
    if (with_type)
        emit_any(emit, "", "envoy.config.listener.v3.Listener");
    else
        emit_object(emit, "");
    emit_cstr(emit, "name", name);
    emit_object(emit, "internal_listener");
    emit_end(emit);
    emit_list(emit, "filter_chains");
    emit_object(emit, "");
    emit_list(emit, "filters");
    emit_tunnel(emit, backend, endpoint);
    emit_list_end(emit);
    emit_end(emit);
    emit_list_end(emit);
    emit_end(emit);
}

// Backends that share an address and a proxy share the tunnel's listener. `seen` has the names of those that are written.
static void emit_backend(struct emit *emit, const struct config_backend *backend, struct map *seen, bool with_type)
{
    for (size_t i = 0; backend->proxy && i < backend->endpoint_count; i++) {
        char name[1024];
        tunnel_name(backend, &backend->endpoints[i], name, sizeof name);
        if (map_get(seen, slice_from_cstr(name)))
            continue;
        struct slice copy = arena_dup(seen->arena, slice_from_cstr(name));
        if (!copy.ptr || !map_put(seen, copy, seen))
            emit->buf->has_failed = true;
        emit_listener(emit, backend, &backend->endpoints[i], name, with_type);
    }
}

void bootstrap_tunnels(const struct bootstrap *bootstrap, struct emit *emit, bool with_type)
{
    struct arena arena;
    struct map seen;
    arena_init(&arena, (size_t)16 << 10, SIZE_MAX);
    map_init(&seen, &arena, 0);
    for (size_t i = 0; i < bootstrap->config->backend_count; i++)
        emit_backend(emit, &bootstrap->config->backends[i], &seen, with_type);
    arena_fini(&arena);
}

// ---- clusters -------------------------------------------------------------------------------------------------

static bool is_ip(struct slice host)
{
    struct ip ip;
    return ip_parse(host, &ip);
}

static void emit_address(struct emit *emit, const struct config_forward_proxy *proxy, const char *name)
{
    emit_object(emit, "load_assignment");
    emit_cstr(emit, "cluster_name", name);
    emit_list(emit, "endpoints");
    emit_object(emit, "");
    emit_list(emit, "lb_endpoints");
    emit_object(emit, "");
    emit_object(emit, "endpoint");
    emit_object(emit, "address");
    emit_object(emit, "socket_address");
    emit_text(emit, "address", proxy->host);
    emit_u64(emit, "port_value", proxy->port);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
    emit_list_end(emit);
    emit_end(emit);
    emit_list_end(emit);
    emit_end(emit);
}

// A tunnel is a request to Envoy: how many there may be is what the rules say of their connections.
static void emit_no_limits(struct emit *emit)
{
    emit_object(emit, "circuit_breakers");
    emit_list(emit, "thresholds");
    emit_object(emit, "");
    emit_u64(emit, "max_connections", UINT32_MAX);
    emit_u64(emit, "max_pending_requests", UINT32_MAX);
    emit_u64(emit, "max_requests", UINT32_MAX);
    emit_end(emit);
    emit_list_end(emit);
    emit_end(emit);
}

// A name's addresses are raced, of both families.
void bootstrap_proxy_clusters(const struct bootstrap *bootstrap, struct emit *emit, bool with_type)
{
    bool has_tunnels = bootstrap_has_tunnels(bootstrap);
    for (size_t i = 0; has_tunnels && i < bootstrap->config->proxy_count; i++) {
        const struct config_forward_proxy *proxy = &bootstrap->config->proxies[i];
        char name[1024];
        proxy_name(proxy, name, sizeof name);
        if (with_type)
            emit_any(emit, "", "envoy.config.cluster.v3.Cluster");
        else
            emit_object(emit, "");
        emit_cstr(emit, "name", name);
        emit_cstr(emit, "type", is_ip(proxy->host) ? "STATIC" : "LOGICAL_DNS");
        if (!is_ip(proxy->host)) {
            emit_cstr(emit, "dns_lookup_family", "ALL");
            emit_bool(emit, "respect_dns_ttl", true);
        }
        emit_ms(emit, "connect_timeout", CONNECT_MS);
        emit_no_limits(emit);
        emit_address(emit, proxy, name);
        emit_end(emit);
    }
}
