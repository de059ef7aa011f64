// Inside of the resolver: what its parts share. A resolver lives for one config_resolve; all that it makes lives in the
// arena of the config.
#ifndef WEIR_CONFIG_RESOLVE_PARTS_H
#define WEIR_CONFIG_RESOLVE_PARTS_H

#include "config/resolve.h"

// Where a config_listener comes from.
struct listener_source {
    const struct resource *gateway;
    const struct node *node;
    const struct resource *gateway_config; // NULL: none
    const struct resource *backend_tls;    // the EnvoyProxy, if it has spec.backendTLS; NULL: none
    size_t route_cap;                      // of the config_listener's routes
};

struct resolver {
    struct config *config;
    const struct documents *docs;
    struct findings *findings;
    struct arena *arena;
    struct map traffic;                       // policies by what they target (policy_for): BackendTrafficPolicy
    struct map client;                        // ClientTrafficPolicy
    struct map credentials;                   // BackendSecurityPolicy
    struct map tls;                           // BackendTLSPolicy
    struct map backends;                      // "kind/namespace/name" -> struct config_backend
    struct listener_source *sources;          // beside config->listeners
    bool is_passthrough;                      // what is read now speaks TLS itself
    const struct resource *backend_tls;       // likewise of its Gateway; NULL: none
    const struct node **own_tls;              // Backend.spec.tls by config_backend.id
    struct map certificates;                  // "namespace/name" of an EnvoyProxy -> struct config_certificate
    const struct config_forward_proxy *proxy; // for the backends of the route that is read now; NULL: none
    bool has_failed;                          // memory was refused
};

// ---- references (resolve_reference.c) ---------------------------------------------------------------------------

// The members of an object reference; the namespace is that of the referrer where the reference has none.
struct reference {
    struct slice name;
    struct slice namespace_;
    struct mark mark; // of the name
};
struct reference reference_of(const struct node *ref, struct slice own_namespace);
// The resource that is meant; a finding and NULL when there is none.
const struct resource *resolve_find(struct resolver *resolver, enum resource_kind kind,
                                    const struct reference *reference);
// Whether `from` may refer to `to` (ReferenceGrant, `to.name` included); a finding when not.
bool resolve_may_refer(struct resolver *resolver, const struct resource *from, const struct resource *to,
                       struct mark mark);
// Both: the resource that a reference of `owner` names, if it may be referred to. The mark is that of the name.
const struct resource *resolve_granted(struct resolver *resolver, const struct resource *owner, const struct node *ref,
                                       enum resource_kind kind, struct mark *ret_mark);
// An entry of a Secret or ConfigMap without white space at the ends; a finding and false when it is not there or empty.
bool resolve_datum(struct resolver *resolver, const struct resource *resource, struct slice key, struct mark mark,
                   struct slice *ret_value);
// A zeroed array that is never NULL for no reason: remembers that memory was refused.
void *resolve_array(struct resolver *resolver, size_t count, size_t item_bytes);
#define RESOLVE_ARRAY(resolver, type, count) ((type *)resolve_array((resolver), (count), sizeof(type)))

// ---- policies (resolve_policy.c) --------------------------------------------------------------------------------

// Sorts the policies of all four kinds by target; targets that are not there and second policies are findings.
void resolve_policies(struct resolver *resolver);
// The policy on a target ("Gateway", "HTTPRoute", "Backend", "AIServiceBackend"); `section` empty: on the whole of it.
const struct resource *policy_for(const struct map *policies, struct arena *arena, const char *kind,
                                  const struct resource *target, struct slice section);

// ---- the parts, one file each -----------------------------------------------------------------------------------

void resolve_gateways(struct resolver *resolver);
// The access logs that an EnvoyProxy asks for.
void resolve_logs(struct resolver *resolver, const struct resource *proxy, struct config_listener *listener);
// NULL policy: S11's defaults.
struct config_client resolve_client(struct resolver *resolver, const struct resource *policy);
// A window of HTTP/2, within what flow control can count with (RFC 9113 section 6.9.1); less than the protocol's own
// default gains nothing.
uint32_t resolve_window(const struct node *http2, struct slice name, uint64_t absent);
struct config_traffic resolve_traffic(struct resolver *resolver, const struct resource *policy);

// One config_backend for each AIServiceBackend.
void resolve_ai_backends(struct resolver *resolver);
// The backend of an AIServiceBackend, or of a Backend that an HTTPRoute names, as the resolver's proxy leads to it: Gateways
// with different proxies have different backends. NULL without memory.
struct config_backend *resolve_backend(struct resolver *resolver, const struct resource *resource);
// Reads those of all GatewayConfigs, for their findings too.
void resolve_forward_proxies(struct resolver *resolver);
// NULL: none (also of a NULL GatewayConfig).
const struct config_forward_proxy *resolve_forward_proxy(struct resolver *resolver,
                                                         const struct resource *gateway_config);
struct config_lookup resolve_lookup(const struct node *dns);
struct config_tls resolve_tls(struct resolver *resolver, const struct resource *backend);
// Reads the client certificate of EnvoyProxy.spec.backendTLS, for its findings too.
void resolve_tls_defaults(struct resolver *resolver, const struct resource *envoy_proxy);
// What such an EnvoyProxy says of what `own`, the Backend's tls or NULL, does not.
void resolve_apply_tls_defaults(struct resolver *resolver, const struct resource *envoy_proxy, const struct node *own,
                                struct config_tls *tls);
// Of a listener of protocol HTTPS; `policy`: its ClientTrafficPolicy or NULL.
struct config_server_tls resolve_server_tls(struct resolver *resolver, const struct resource *gateway,
                                            const struct node *listener, const struct resource *policy);
struct config_credential resolve_credential(struct resolver *resolver, const struct resource *backend);
struct config_mutation resolve_header_mutation(struct resolver *resolver, const struct node *mutation);
struct config_mutation resolve_body_mutation(struct resolver *resolver, const struct node *mutation);

void resolve_routes(struct resolver *resolver);
// The rules of a route; `traffic` gives the policy that holds for the Gateways that it is attached to.
void resolve_rules(struct resolver *resolver, const struct resource *resource, const struct resource *gateway_traffic,
                   struct config_route *route);
// Matches of a rule; without any the one that takes everything.
void resolve_matches(struct resolver *resolver, const struct node *rule_node, struct config_rule *rule);
struct config_rule_filters resolve_filters(struct resolver *resolver, const struct node *list);
// The route's costs over those of its Gateways, per key.
void resolve_costs(struct resolver *resolver, const struct resource *resource, const struct resource *gateway_config,
                   struct config_route *route);

#endif
