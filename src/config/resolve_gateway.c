// Gateways to listeners, with what is attached to them: client settings, access logs, the settings of the Gateway.
#include "config/resolve_parts.h"

// ---- the EnvoyProxy -------------------------------------------------------------------------------------------

static const struct resource *find_class(struct resolver *resolver, const struct resource *gateway)
{
    const struct node *name = node_get(gateway->spec, SLICE("gatewayClassName"));
    const struct resource *class_ = documents_find(resolver->docs, KIND_GATEWAY_CLASS, SLICE(""), node_text(name));
    if (!class_ && node_text(name).len && !resolver->docs->is_incomplete)
        finding_warn(resolver->findings, node_mark(name),
                     "GatewayClass \"" SLICE_FMT
                     "\" is not in this configuration; what its parametersRef would say does "
                     "not hold; add it",
                     SLICE_ARG(node_text(name)));
    return class_;
}

// The Gateway's own replaces that of its class.
static const struct resource *find_proxy(struct resolver *resolver, const struct resource *gateway)
{
    const struct resource *class_ = find_class(resolver, gateway);
    const struct node *own = node_path(gateway->spec, SLICE("infrastructure.parametersRef"));
    const struct node *of_class = class_ ? node_get(class_->spec, SLICE("parametersRef")) : NULL;
    struct reference reference =
        own ? reference_of(own, gateway->namespace_) : reference_of(of_class, SLICE("default"));
    return own || of_class ? resolve_find(resolver, KIND_ENVOY_PROXY, &reference) : NULL;
}

static const struct resource *find_gateway_config(struct resolver *resolver, const struct resource *gateway)
{
    const struct node *name = node_member(gateway->annotations, SLICE("aigateway.envoyproxy.io/gateway-config"));
    struct reference reference = {node_text(name), gateway->namespace_, node_mark(name)};
    return reference.name.len ? resolve_find(resolver, KIND_GATEWAY_CONFIG, &reference) : NULL;
}

// ---- listeners ------------------------------------------------------------------------------------------------

static void check_port(struct resolver *resolver, const struct config_listener *listener)
{
    for (size_t i = 0; i < listener->id; i++) {
        const struct config_listener *other = &resolver->config->listeners[i];
        if (other->port == listener->port &&
            (other->protocol == LISTENER_HTTP) != (listener->protocol == LISTENER_HTTP) &&
            resolver->sources[i].gateway != resolver->sources[listener->id].gateway) {
            finding_error(resolver->findings, listener->mark,
                          "listener \"" SLICE_FMT "\" of Gateway " SLICE_FMT "/" SLICE_FMT
                          " has port %u with another protocol; a port has TLS or has none",
                          SLICE_ARG(other->name), SLICE_ARG(other->namespace_), SLICE_ARG(other->gateway),
                          listener->port);
            return;
        }
        if (other->port != listener->port || !slice_eq(other->hostname, listener->hostname) ||
            resolver->sources[i].gateway == resolver->sources[listener->id].gateway)
            continue; // within one Gateway the document's check says it
        finding_error(resolver->findings, listener->mark,
                      "listener \"" SLICE_FMT "\" has the port %u and the hostname of listener \"" SLICE_FMT
                      "\" of Gateway " SLICE_FMT "/" SLICE_FMT "; give it another port or hostname",
                      SLICE_ARG(listener->name), listener->port, SLICE_ARG(other->name), SLICE_ARG(other->namespace_),
                      SLICE_ARG(other->gateway));
        return;
    }
}

static const struct resource *client_policy(struct resolver *resolver, const struct resource *gateway,
                                            struct slice listener)
{
    const struct resource *own = policy_for(&resolver->client, resolver->arena, "Gateway", gateway, listener);
    return own ? own : policy_for(&resolver->client, resolver->arena, "Gateway", gateway, SLICE(""));
}

#define NO_TLS_WORDS                                                                                                   \
    "clientValidation does not hold on listener \"" SLICE_FMT "\", where Weir ends no TLS: use protocol HTTPS"

// A PROXY header comes before anything tells which listener of a port is meant.
static void check_proxy_protocol(struct resolver *resolver, const struct config_listener *listener)
{
    for (size_t i = 0; i < listener->id; i++) {
        const struct config_listener *other = &resolver->config->listeners[i];
        if (other->port != listener->port || other->client.proxy_protocol == listener->client.proxy_protocol)
            continue;
        finding_error(resolver->findings, listener->mark,
                      "listener \"" SLICE_FMT "\" and listener \"" SLICE_FMT
                      "\" share the port %u, but not what their ClientTrafficPolicies say of the PROXY protocol",
                      SLICE_ARG(listener->name), SLICE_ARG(other->name), listener->port);
        return;
    }
}

// Who asks for certificates of clients must not believe that they are asked for where there is no TLS of Weir's.
static void check_validation(struct resolver *resolver, const struct resource *gateway,
                             const struct config_listener *listener, const struct resource *policy)
{
    const struct node *validation = policy ? node_path(policy->spec, SLICE("tls.clientValidation")) : NULL;
    bool is_own = policy_for(&resolver->client, resolver->arena, "Gateway", gateway, listener->name) == policy;
    if (!validation || listener->protocol == LISTENER_HTTPS)
        return;
    if (is_own)
        finding_error(resolver->findings, node_mark(validation), NO_TLS_WORDS, SLICE_ARG(listener->name));
    else
        finding_warn(resolver->findings, node_mark(validation), NO_TLS_WORDS, SLICE_ARG(listener->name));
}

static void add_listener(struct resolver *resolver, const struct resource *gateway, const struct node *node,
                         const struct resource *proxy, const struct resource *gateway_config)
{
    size_t id = resolver->config->listener_count++;
    struct config_listener *listener = &resolver->config->listeners[id];
    resolver->sources[id] =
        (struct listener_source){.gateway = gateway, .node = node, .gateway_config = gateway_config};
    if (proxy && node_get(proxy->spec, SLICE("backendTLS"))) {
        resolver->sources[id].backend_tls = proxy;
        resolve_tls_defaults(resolver, proxy);
    }
    struct slice name = node_get_text(node, SLICE("name"));
    const struct resource *policy = client_policy(resolver, gateway, name);
    *listener = (struct config_listener){
        .id = id,
        .namespace_ = gateway->namespace_,
        .gateway = gateway->name,
        .name = name,
        .mark = node_mark(node_get(node, SLICE("name"))),
        .hostname = node_get_text(node, SLICE("hostname")),
        .port = (uint16_t)node_get_i64(node, SLICE("port"), 0),
        .client = resolve_client(resolver, policy),
    };
    if (slice_eq(node_get_text(node, SLICE("protocol")), SLICE("HTTPS"))) {
        listener->protocol = LISTENER_HTTPS;
        listener->tls = resolve_server_tls(resolver, gateway, node, policy);
    } else if (slice_eq(node_get_text(node, SLICE("protocol")), SLICE("TLS"))) {
        listener->protocol = LISTENER_PASSTHROUGH;
    }
    check_validation(resolver, gateway, listener, policy);
    if (proxy)
        resolve_logs(resolver, proxy, listener);
    check_port(resolver, listener);
    check_proxy_protocol(resolver, listener);
}

void resolve_gateways(struct resolver *resolver)
{
    const struct documents *docs = resolver->docs;
    size_t most = 0;
    for (size_t i = 0; i < docs->count; i++)
        if (docs->items[i]->kind == KIND_GATEWAY)
            most += node_count(node_get(docs->items[i]->spec, SLICE("listeners")));
    resolver->config->listeners = RESOLVE_ARRAY(resolver, struct config_listener, most);
    resolver->sources = RESOLVE_ARRAY(resolver, struct listener_source, most);
    for (size_t i = 0; i < docs->count && !resolver->has_failed; i++) {
        const struct resource *gateway = docs->items[i];
        if (gateway->kind != KIND_GATEWAY)
            continue;
        const struct resource *proxy = find_proxy(resolver, gateway);
        const struct resource *gateway_config = find_gateway_config(resolver, gateway);
        for (const struct node *node = node_first(node_get(gateway->spec, SLICE("listeners"))); node; node = node->next)
            add_listener(resolver, gateway, node, proxy, gateway_config);
    }
}
