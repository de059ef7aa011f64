// Backends: an AIServiceBackend with its Backend, TLS and credential, or a Backend that an HTTPRoute names.
#include "config/dialect.h"
#include "config/resolve_parts.h"

// ---- mutations ------------------------------------------------------------------------------------------------

// Else a finding tells that it is missing.
static bool is_said(const struct node *node)
{
    return node && !node->is_unset;
}

static struct config_mutation read_mutation(struct resolver *resolver, const struct node *mutation, struct slice name)
{
    const struct node *set = node_get(mutation, SLICE("set"));
    const struct node *remove = node_get(mutation, SLICE("remove"));
    struct config_mutation result = {.set = RESOLVE_ARRAY(resolver, struct config_set, node_count(set)),
                                     .remove = RESOLVE_ARRAY(resolver, struct config_text, node_count(remove))};
    if (!result.set || !result.remove)
        return (struct config_mutation){.set_count = 0};
    for (const struct node *item = node_first(set); item; item = item->next)
        if (is_said(node_get(item, name)) && is_said(node_get(item, SLICE("value"))))
            result.set[result.set_count++] = (struct config_set){node_config_text(node_get(item, name)),
                                                                 node_config_text(node_get(item, SLICE("value")))};
    for (const struct node *item = node_first(remove); item; item = item->next)
        result.remove[result.remove_count++] = node_config_text(item);
    return result;
}

struct config_mutation resolve_header_mutation(struct resolver *resolver, const struct node *mutation)
{
    return read_mutation(resolver, mutation, SLICE("name"));
}

// S6: what a body mutation can't reach is said once, where it stands.
struct config_mutation resolve_body_mutation(struct resolver *resolver, const struct node *mutation)
{
    if (node_count(node_get(mutation, SLICE("set"))) || node_count(node_get(mutation, SLICE("remove"))))
        finding_note(resolver->findings, node_mark(mutation),
                     "bodyMutation changes JSON bodies only: requests to multipart endpoints (audio transcriptions and "
                     "translations) go on without it");
    return read_mutation(resolver, mutation, SLICE("path"));
}

// ---- endpoints ------------------------------------------------------------------------------------------------

static struct slice without_brackets(struct slice address)
{
    return slice_starts_with(address, SLICE("[")) && slice_ends_with(address, SLICE("]"))
               ? slice_sub(address, 1, address.len - 2)
               : address;
}

static bool read_endpoint(const struct node *node, struct config_endpoint *endpoint)
{
    const struct node *fqdn = node_get(node, SLICE("fqdn"));
    const struct node *ip = node_get(node, SLICE("ip"));
    const struct node *address = fqdn ? fqdn : ip;
    *endpoint = (struct config_endpoint){
        .host = fqdn ? node_get_text(fqdn, SLICE("hostname")) : without_brackets(node_get_text(ip, SLICE("address"))),
        .port = (uint16_t)node_get_i64(address, SLICE("port"), 0),
        .is_ip = !fqdn,
        .hostname = node_get_text(node, SLICE("hostname")),
    };
    return endpoint->host.len && endpoint->port;
}

static void read_endpoints(struct resolver *resolver, const struct node *list, struct config_backend *backend)
{
    backend->endpoints = RESOLVE_ARRAY(resolver, struct config_endpoint, node_count(list));
    if (!backend->endpoints)
        return;
    for (const struct node *item = node_first(list); item; item = item->next)
        if (read_endpoint(item, &backend->endpoints[backend->endpoint_count]))
            backend->endpoint_count++;
}

static struct slice endpoint_name(const struct config_endpoint *endpoint)
{
    return endpoint->is_ip ? endpoint->hostname : endpoint->host;
}

// S7: the FQDN, or the host name of the TLS settings, or address and port. Where the endpoints of a backend have
// different names, each is called by its own address and port too.
static struct slice host_to_send(const struct config_backend *backend)
{
    if (backend->endpoint_count == 0)
        return SLICE("");
    struct slice first = endpoint_name(&backend->endpoints[0]);
    for (size_t i = 1; i < backend->endpoint_count; i++)
        if (!slice_eq_nocase(first, endpoint_name(&backend->endpoints[i])))
            return SLICE("");
    if (first.len)
        return first;
    return backend->tls.is_enabled ? backend->tls.sni : SLICE("");
}

static void check_plain_443(struct resolver *resolver, const struct resource *resource,
                            const struct config_backend *backend)
{
    for (size_t i = 0; i < backend->endpoint_count; i++)
        if (!backend->tls.is_enabled && backend->endpoints[i].port == 443) {
            finding_warn(resolver->findings, resource->mark,
                         "Backend \"" SLICE_FMT "\" has port 443 but no TLS: requests and keys would go in plain text; "
                         "add spec.tls or a BackendTLSPolicy that targets it",
                         SLICE_ARG(resource->name));
            return;
        }
}

static void check_tls_name(struct resolver *resolver, const struct resource *resource,
                           const struct config_backend *backend)
{
    if (!backend->tls.is_enabled || backend->tls.is_unverified || backend->tls.sni.len)
        return;
    for (size_t i = 0; i < backend->endpoint_count; i++)
        if (!endpoint_name(&backend->endpoints[i]).len) {
            finding_error(resolver->findings, backend->tls.mark,
                          "Backend \"" SLICE_FMT "\" is given by its address, so there is no name to verify its "
                          "certificate by; say the name in sni, or use a BackendTLSPolicy",
                          SLICE_ARG(resource->name));
            return;
        }
}

// What a Backend says: where, and over what.
static void read_backend(struct resolver *resolver, const struct resource *resource, struct config_backend *backend)
{
    read_endpoints(resolver, node_get(resource->spec, SLICE("endpoints")), backend);
    backend->is_h2c = node_count(node_get(resource->spec, SLICE("appProtocols"))) > 0; // h2c is all that is let through
    backend->is_fallback = node_get_bool(resource->spec, SLICE("fallback"), false);
    backend->tls = resolve_tls(resolver, resource);
    resolver->own_tls[backend->id] = node_get(resource->spec, SLICE("tls"));
    if (backend->tls.is_enabled && !backend->tls.sni.len && backend->endpoint_count)
        if (backend->endpoints[0].is_ip)
            backend->tls.sni = backend->endpoints[0].hostname;
    backend->host = host_to_send(backend);
    if (resource->has_errors)
        return;
    if (!resolver->is_passthrough)
        check_plain_443(resolver, resource, backend);
    check_tls_name(resolver, resource, backend);
}

// ---- AIServiceBackend -----------------------------------------------------------------------------------------

static struct slice without_slashes(struct slice prefix)
{
    while (prefix.len && prefix.ptr[0] == '/')
        prefix = slice_from(prefix, 1);
    while (prefix.len && prefix.ptr[prefix.len - 1] == '/')
        prefix.len--;
    return prefix;
}

static void read_schema(const struct node *schema, struct config_backend *backend)
{
    backend->schema = dialect_from_name(node_get_text(schema, SLICE("name")));
    backend->version = node_get_text(schema, SLICE("version"));
    if (backend->schema != SCHEMA_OPENAI && backend->schema != SCHEMA_ANTHROPIC)
        return;
    struct slice prefix = node_get_text(schema, SLICE("prefix"));
    backend->prefix = prefix.len ? without_slashes(prefix) : SLICE("v1");
}

// S7: without a credential of its own a backend gets those of the client.
static void check_credential(struct resolver *resolver, const struct resource *resource,
                             const struct config_backend *backend)
{
    if (backend->credential.type == CREDENTIAL_NONE && !resource->has_errors && !resolver->docs->is_incomplete &&
        !policy_for(&resolver->credentials, resolver->arena, "AIServiceBackend", resource, SLICE("")))
        finding_warn(resolver->findings, resource->mark,
                     "AIServiceBackend \"" SLICE_FMT "\" has no BackendSecurityPolicy: the client's own credentials "
                     "(authorization, x-api-key, cookie, ...) are forwarded to it; add a policy, or remove the headers "
                     "with headerMutation",
                     SLICE_ARG(resource->name));
}

static void read_ai_backend(struct resolver *resolver, const struct resource *resource, struct config_backend *backend)
{
    const struct node *ref = node_get(resource->spec, SLICE("backendRef"));
    struct reference reference = reference_of(ref, resource->namespace_);
    const struct resource *target = NULL;
    read_schema(node_get(resource->spec, SLICE("schema")), backend);
    backend->header_mutation = resolve_header_mutation(resolver, node_get(resource->spec, SLICE("headerMutation")));
    backend->body_mutation = resolve_body_mutation(resolver, node_get(resource->spec, SLICE("bodyMutation")));
    backend->credential = resolve_credential(resolver, resource);
    check_credential(resolver, resource, backend);
    if (slice_eq(node_get_text(ref, SLICE("kind")), SLICE("Backend"))) // another kind: said already
        target = resolve_find(resolver, KIND_BACKEND, &reference);
    if (target && resolve_may_refer(resolver, resource, target, reference.mark))
        read_backend(resolver, target, backend);
}

static bool remember(struct resolver *resolver, struct slice key, const struct config_backend *backend)
{
    if (key.ptr && map_put(&resolver->backends, key, (void *)(uintptr_t)backend))
        return true;
    resolver->has_failed = true;
    return false;
}

static struct config_backend *make_backend(struct resolver *resolver, const struct resource *resource)
{
    struct config_backend *backend = &resolver->config->backends[resolver->config->backend_count];
    *backend = (struct config_backend){.id = resolver->config->backend_count++,
                                       .namespace_ = resource->namespace_,
                                       .name = resource->name,
                                       .mark = resource->mark};
    if (resource->kind == KIND_AI_SERVICE_BACKEND)
        read_ai_backend(resolver, resource, backend);
    else
        read_backend(resolver, resource, backend);
    return backend;
}

// As no Gateway has it yet.
static struct config_backend *find_plain(struct resolver *resolver, const struct resource *resource, struct slice key)
{
    struct slice plain = arena_printf(resolver->arena, SLICE_FMT "/plain", SLICE_ARG(key));
    struct config_backend *backend = map_get(&resolver->backends, key), *copy = map_get(&resolver->backends, plain);
    if (copy)
        return copy;
    if (!backend)
        backend = make_backend(resolver, resource);
    copy = ARENA_NEW(resolver->arena, struct config_backend);
    if (!copy || !remember(resolver, key, backend) || !remember(resolver, plain, copy))
        return NULL;
    *copy = *backend;
    return copy;
}

// Backends are made when their kind is read; the first route that leads to one says through which proxy and with which TLS
// settings of its Gateway. Others make another backend of it, with health, load and connections of its own.
static struct config_backend *place_backend(struct resolver *resolver, const struct config_backend *plain,
                                            struct slice key, const struct resource *backend_tls)
{
    struct slice first = arena_printf(resolver->arena, SLICE_FMT "/first", SLICE_ARG(key));
    struct config_backend *backend = map_get(&resolver->backends, key);
    if (map_get(&resolver->backends, first)) {
        struct config_backend *other = &resolver->config->backends[resolver->config->backend_count];
        *other = *plain;
        other->id = resolver->config->backend_count++;
        backend = other;
    }
    backend->proxy = resolver->proxy;
    if (backend_tls) {
        resolve_apply_tls_defaults(resolver, backend_tls, resolver->own_tls[plain->id], &backend->tls);
        backend->tls_from = arena_printf(resolver->arena, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(backend_tls->namespace_),
                                         SLICE_ARG(backend_tls->name));
    }
    return remember(resolver, first, backend) ? backend : NULL;
}

static struct slice key_of(struct resolver *resolver, const struct resource *resource)
{
    struct slice kind = resource_kind_name(resource->kind);
    return arena_printf(resolver->arena, SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT, SLICE_ARG(kind),
                        SLICE_ARG(resource->namespace_), SLICE_ARG(resource->name));
}

struct config_backend *resolve_backend(struct resolver *resolver, const struct resource *resource)
{
    const struct config_forward_proxy *proxy = resolver->proxy;
    struct slice key = key_of(resolver, resource);
    const struct config_backend *plain = find_plain(resolver, resource, key);
    if (!plain)
        return NULL;
    const struct resource *tls = plain->tls.is_enabled ? resolver->backend_tls : NULL;
    struct slice way = arena_printf(
        resolver->arena, SLICE_FMT "/via/" SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT, SLICE_ARG(key),
        SLICE_ARG(proxy ? proxy->namespace_ : SLICE("")), SLICE_ARG(proxy ? proxy->name : SLICE("")),
        SLICE_ARG(tls ? tls->namespace_ : SLICE("")), SLICE_ARG(tls ? tls->name : SLICE("")));
    struct config_backend *backend = map_get(&resolver->backends, way);
    if (backend)
        return backend;
    backend = place_backend(resolver, plain, key, tls);
    return backend && remember(resolver, way, backend) ? backend : NULL;
}

void resolve_ai_backends(struct resolver *resolver)
{
    const struct documents *docs = resolver->docs;
    size_t most = 0, proxies = 0;
    for (size_t i = 0; i < docs->count; i++)
        most += docs->items[i]->kind == KIND_AI_SERVICE_BACKEND || docs->items[i]->kind == KIND_BACKEND;
    for (size_t i = 0; i < docs->count; i++)
        proxies += docs->items[i]->kind == KIND_ENVOY_PROXY && node_get(docs->items[i]->spec, SLICE("backendTLS"));
    most *= (1 + resolver->config->proxy_count) * (1 + proxies); // the ways in which Gateways can call one
    resolver->config->backends = RESOLVE_ARRAY(resolver, struct config_backend, most);
    resolver->own_tls =
        RESOLVE_ARRAY(resolver, const struct node *, most); // NOLINT(bugprone-sizeof-expression): of pointers
    for (size_t i = 0; i < docs->count && !resolver->has_failed; i++)
        if (docs->items[i]->kind == KIND_AI_SERVICE_BACKEND)
            remember(resolver, key_of(resolver, docs->items[i]), make_backend(resolver, docs->items[i]));
}
