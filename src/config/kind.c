// The table of tables.
#include "config/kind.h"

static const struct kind *const kinds[KIND_COUNT] = {
    [KIND_GATEWAY_CLASS] = &kind_gateway_class,
    [KIND_GATEWAY] = &kind_gateway,
    [KIND_AI_GATEWAY_ROUTE] = &kind_ai_gateway_route,
    [KIND_AI_SERVICE_BACKEND] = &kind_ai_service_backend,
    [KIND_BACKEND_SECURITY_POLICY] = &kind_backend_security_policy,
    [KIND_BACKEND] = &kind_backend,
    [KIND_BACKEND_TLS_POLICY] = &kind_backend_tls_policy,
    [KIND_BACKEND_TRAFFIC_POLICY] = &kind_backend_traffic_policy,
    [KIND_CLIENT_TRAFFIC_POLICY] = &kind_client_traffic_policy,
    [KIND_HTTP_ROUTE] = &kind_http_route,
    [KIND_TLS_ROUTE] = &kind_tls_route,
    [KIND_ENVOY_PROXY] = &kind_envoy_proxy,
    [KIND_GATEWAY_CONFIG] = &kind_gateway_config,
    [KIND_REFERENCE_GRANT] = &kind_reference_grant,
    [KIND_SECRET] = &kind_secret,
    [KIND_CONFIG_MAP] = &kind_config_map,
};

const struct kind *kind_of(enum resource_kind kind)
{
    return kinds[kind];
}

struct slice resource_kind_name(enum resource_kind kind)
{
    return slice_from_cstr(kinds[kind]->name);
}

enum resource_kind resource_kind_from_name(struct slice name)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (slice_eq(name, slice_from_cstr(kinds[i]->name)))
            return (enum resource_kind)i;
    return KIND_COUNT;
}
