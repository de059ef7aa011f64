// The Envoy configuration that serves the same resources as `weir run`, with the module: a static bootstrap, or the
// resources of file-based xDS (the same three lists) with a bootstrap that follows them.
//
// One Envoy listener a port, one virtual host a Gateway listener, one route and one cluster a rule. Routes are found by
// Weir's rule field in a hash map, so their number costs nothing. Resources stand with the virtual hosts, so that a
// change of routes is one route configuration and never touches a listener or its connections.
#ifndef WEIR_HOST_ENVOY_BOOTSTRAP_H
#define WEIR_HOST_ENVOY_BOOTSTRAP_H

#include "base/buf.h"
#include "config/config.h"
#include "config/rule.h"
#include "host/envoy/bootstrap/emit.h"

struct bootstrap {
    const struct config *config;
    const struct config_file *documents; // what the module is to read, as it was given
    size_t document_count;
    struct slice module_path; // of libweir_envoy.so, as Envoy sees it
    struct slice address;     // that listeners bind
    uint16_t port_offset;
    uint16_t admin_port;  // 0: none
    struct slice xds_dir; // empty: static
    bool publishes_all;   // the module's setting "publish"
};

// What can't be said in an Envoy configuration becomes an error finding.
void bootstrap_check(const struct bootstrap *bootstrap, struct findings *findings);
// The whole bootstrap. False when the buffer refused.
bool bootstrap_write(const struct bootstrap *bootstrap, struct buf *buf);
// One file of xDS: "rtds" or "lds"; `version` is any text that changes with the content.
bool bootstrap_write_xds(const struct bootstrap *bootstrap, const char *kind, struct slice version, struct buf *buf);
// The file "cds", in the place of `before`: what a change drops stays in it for a while (kept.c). `ret_is_slow`: Envoy needs
// a moment until it has the new clusters ready. False when memory or the buffer refused.
bool bootstrap_write_clusters(const struct bootstrap *bootstrap, struct slice before, uint64_t now_s, struct buf *buf,
                              bool *ret_is_slow);

// Envoy takes one secret and one route configuration a file. Their names are "sds-" and "rds-", a hash of what they are
// called (Kubernetes' names together may be longer than a file's), and ".json".
#define BOOTSTRAP_FILE_MAX 32
void bootstrap_secret_file(const struct config_certificate *certificate, char text[BOOTSTRAP_FILE_MAX]);
bool bootstrap_write_secret(const struct config_certificate *certificate, struct slice version, struct buf *buf);
// Whether the listener has a route configuration: plain ones of a port share that of the first, and connections that are
// passed on have none.
bool bootstrap_has_routes(const struct bootstrap *bootstrap, size_t listener);
void bootstrap_routes_file(const struct config_listener *listener, char text[BOOTSTRAP_FILE_MAX]);
bool bootstrap_write_routes(const struct bootstrap *bootstrap, size_t listener, struct slice version, struct buf *buf);

// ---- parts ----------------------------------------------------------------------------------------------------

// Whether no earlier listener has that listener's port.
bool bootstrap_is_first_of_port(const struct bootstrap *bootstrap, size_t listener);
// Each writes one resource; `with_type` adds "@type", as xDS wants it.
void bootstrap_listener(const struct bootstrap *bootstrap, struct emit *emit, size_t listener, bool with_type);
// Of the whole port, `listener` being its first; over TLS of that listener alone.
void bootstrap_routes(const struct bootstrap *bootstrap, struct emit *emit, size_t listener, bool with_type);
// Of a port, or over TLS, where SNI has chosen the listener before any request, of one listener.
void bootstrap_route_name(const struct config_listener *listener, char *text, size_t cap);
void bootstrap_clusters(const struct bootstrap *bootstrap, struct emit *emit, bool with_type);
void bootstrap_access_logs(const struct bootstrap *bootstrap, struct emit *emit, size_t listener);
// Whether the module makes that listener's lines (settings "log": "weir").
bool bootstrap_logs_by_module(const struct bootstrap *bootstrap, size_t listener);
// The member `key`, a source of xDS: that file of the folder.
void bootstrap_source(const struct bootstrap *bootstrap, struct emit *emit, const char *key, const char *file);
// The members that load the module: "dynamic_module_config".
void bootstrap_module(const struct bootstrap *bootstrap, struct emit *emit);
void bootstrap_rule_name(const struct config_route *route, const struct config_rule *rule, char *text, size_t cap);
// The rule's cluster has its name; that of a route that is on several Gateways with different settings is one for each. In
// xDS the name says what is in it, too: with other backends it is another cluster.
void bootstrap_cluster_name(const struct bootstrap *bootstrap, const struct config_route *route,
                            const struct config_rule *rule, char *text, size_t cap);
// What a rule's cluster speaks with its backends: one protocol with all, unless ALPN tells with each.
enum bootstrap_protocol {
    PROTOCOL_HTTP_1,
    PROTOCOL_H2,
    PROTOCOL_BY_ALPN,
    PROTOCOL_MIXED, // there is none that all of them speak
};
enum bootstrap_protocol bootstrap_protocol_of(const struct config_rule *rule);
// Whether the module builds the rule's requests before Envoy picks an endpoint (settings "build": "ahead"): its cluster has
// no filter of ours then. Filters that are added before the router and look at lifted fields would see a finished request.
bool bootstrap_builds_ahead(const struct bootstrap *bootstrap, const struct config_rule *rule);
bool bootstrap_has_usable(const struct config_rule *rule);

// ---- forward proxies (tunnels.c) ------------------------------------------------------------------------------

bool bootstrap_has_tunnels(const struct bootstrap *bootstrap);
// The bootstrap's member without which there are none.
void bootstrap_tunnel_extension(struct emit *emit);
// Listeners inside Envoy that lead to the backends, and the clusters of the proxies.
void bootstrap_tunnels(const struct bootstrap *bootstrap, struct emit *emit, bool with_type);
void bootstrap_proxy_clusters(const struct bootstrap *bootstrap, struct emit *emit, bool with_type);
// The address that an endpoint of a backend with a proxy has in its rule's cluster.
void bootstrap_tunnel_address(struct emit *emit, const struct config_backend_ref *ref,
                              const struct config_endpoint *endpoint);
// "host:port", as CONNECT and Host have it.
void bootstrap_endpoint_address(const struct config_endpoint *endpoint, char *text, size_t cap);

#endif
