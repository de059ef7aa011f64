#include "host/envoy/bootstrap/bootstrap.h"

static void check_choice(const struct config_tls_choice *choice, struct mark mark, struct findings *findings)
{
    if (choice->ciphers.text.len || choice->curves.text.len || choice->signature_algorithms.text.len)
        finding_error(findings, mark, "weir envoy does not write ciphers, curves and signature algorithms");
}

static void check_server_tls(const struct config_server_tls *tls, struct findings *findings)
{
    check_choice(&tls->choice, tls->mark, findings);
    if (tls->client_trust.crl_pem.len)
        finding_error(findings, tls->mark, "weir envoy does not write revocation lists");
    if (tls->client_name_count)
        finding_error(findings, tls->mark, "weir envoy does not write names of clients' certificates");
    if (tls->client_hash_count || tls->client_key_hash_count)
        finding_error(findings, tls->mark, "weir envoy does not write hashes of clients' certificates");
}

// Heads are the exchange's business in Envoy too; connections, and what Envoy does before the exchange sees it, are not.
static void check_client(const struct config_client *client, struct mark mark, struct findings *findings)
{
    static const char words[] =
        "weir envoy does not write %s of a ClientTrafficPolicy; leave it out, or set it in Envoy's "
        "own configuration";
    if (client->proxy_protocol != PROXY_PROTOCOL_OFF)
        finding_error(findings, mark, words, "proxyProtocol");
    if (client->origin.kind != ORIGIN_CONNECTION)
        finding_error(findings, mark, words, "clientIPDetection");
    if (client->client_cert != CLIENT_CERT_DROPPED)
        finding_error(findings, mark, words, "headers.xForwardedClientCert");
    if (client->max_requests || client->max_age_ms)
        finding_error(findings, mark, words, "maxRequestsPerConnection and maxConnectionDuration");
}

static void check_listener(const struct bootstrap *bootstrap, const struct config_listener *listener,
                           struct findings *findings)
{
    if ((uint32_t)listener->port + bootstrap->port_offset > UINT16_MAX)
        finding_error(findings, listener->mark, "port %u plus --port-offset is over 65535", listener->port);
    if (listener->protocol == LISTENER_PASSTHROUGH)
        finding_error(findings, listener->mark, "weir envoy does not write TLS listeners that pass through");
    if (listener->protocol == LISTENER_HTTPS)
        check_server_tls(&listener->tls, findings);
    check_client(&listener->client, listener->mark, findings);
    if (listener->client.is_keep_alive_off || listener->client.max_connections)
        finding_error(findings, listener->mark,
                      "weir envoy does not write connection limits and switched-off keep-alive of a "
                      "ClientTrafficPolicy; leave them out, or set them in Envoy's own configuration");
}

static void check_backend(const struct config_backend *backend, struct findings *findings)
{
    if (backend->proxy)
        finding_error(findings, backend->proxy->mark, "weir envoy does not write forward proxies");
    const struct config_tls *tls = &backend->tls;
    if (!tls->is_enabled)
        return;
    if (tls->certificate)
        finding_error(findings, tls->mark, "weir envoy does not write client certificates towards backends");
    if (tls->trust.crl_pem.len)
        finding_error(findings, tls->mark, "weir envoy does not write revocation lists");
    check_choice(&tls->choice, tls->mark, findings);
}

// What was asked for and is not written is never left out in silence (S10).
// A cluster speaks one protocol.
static void check_protocols(const struct config_rule *rule, struct findings *findings)
{
    for (size_t i = 1; i < rule->ref_count; i++)
        if (rule->refs[i].backend && rule->refs[0].backend &&
            rule->refs[i].backend->is_h2c != rule->refs[0].backend->is_h2c)
            finding_error(findings, rule->mark,
                          "weir envoy does not write rules of which some backends have appProtocols and others not");
}

void bootstrap_check(const struct bootstrap *bootstrap, struct findings *findings)
{
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        check_listener(bootstrap, &bootstrap->config->listeners[i], findings);
    for (size_t i = 0; i < bootstrap->config->backend_count; i++)
        check_backend(&bootstrap->config->backends[i], findings);
    for (size_t i = 0; i < bootstrap->config->route_count; i++)
        for (size_t j = 0; j < bootstrap->config->routes[i].rule_count; j++)
            check_protocols(&bootstrap->config->routes[i].rules[j], findings);
}

// ---- xDS ------------------------------------------------------------------------------------------------------

static void emit_source(const struct bootstrap *bootstrap, struct emit *emit, const char *key, const char *file)
{
    struct buf path;
    buf_init(&path, 8192);
    buf_append(&path, bootstrap->xds_dir);
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
    emit_source(bootstrap, emit, "lds_config", "/lds.json");
    emit_source(bootstrap, emit, "cds_config", "/cds.json");
    emit_end(emit);
}

static void emit_listeners(const struct bootstrap *bootstrap, struct emit *emit, bool with_type)
{
    for (size_t i = 0; i < bootstrap->config->listener_count; i++)
        if (bootstrap_is_first_of_port(bootstrap, i))
            bootstrap_listener(bootstrap, emit, i, with_type);
}

bool bootstrap_write_xds(const struct bootstrap *bootstrap, const char *kind, struct slice version, struct buf *buf)
{
    struct emit emit = {.buf = buf};
    emit_object(&emit, "");
    emit_text(&emit, "version_info", version);
    emit_list(&emit, "resources");
    if (kind[0] == 'l')
        emit_listeners(bootstrap, &emit, true);
    else if (kind[0] == 'c')
        bootstrap_clusters(bootstrap, &emit, true);
    for (size_t i = 0; kind[0] == 'r' && i < bootstrap->config->listener_count; i++)
        if (bootstrap_is_first_of_port(bootstrap, i) || bootstrap->config->listeners[i].protocol != LISTENER_HTTP)
            bootstrap_routes(bootstrap, &emit, i, true);
    emit_list_end(&emit);
    emit_end(&emit);
    return buf_append_byte(buf, '\n') && !buf->has_failed;
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
    emit_end(&emit);
    return buf_append_byte(buf, '\n') && !buf->has_failed;
}
