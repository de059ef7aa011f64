// The way out to backends: how their names are resolved, and the forward proxy before them.
#include "config/base64.h"
#include "config/resolve_parts.h"

#define REFRESH_MS 30000 // Envoy Gateway's, where times to live are not respected

// ---- names ----------------------------------------------------------------------------------------------------

static enum config_family read_family(struct slice name)
{
    static const struct {
        struct slice name;
        enum config_family family;
    } families[] = {
        {SLICE_INIT("IPv4"), FAMILY_V4},
        {SLICE_INIT("IPv6"), FAMILY_V6},
        {SLICE_INIT("IPv4Preferred"), FAMILY_V4_PREFERRED},
        {SLICE_INIT("IPv6Preferred"), FAMILY_V6_PREFERRED},
        {SLICE_INIT("IPv4AndIPv6"), FAMILY_ALL},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (slice_eq(name, families[i].name))
            return families[i].family;
    return FAMILY_UNSET;
}

struct config_lookup resolve_lookup(const struct node *dns)
{
    bool is_ttl = node_get_bool(dns, SLICE("respectDnsTtl"), true);
    return (struct config_lookup){
        .family = read_family(node_get_text(dns, SLICE("lookupFamily"))),
        .refresh_ms = is_ttl ? 0 : node_get_ms(dns, SLICE("dnsRefreshRate"), REFRESH_MS),
    };
}

// ---- the proxy ------------------------------------------------------------------------------------------------

// RFC 7617 section 2: no control bytes, and no colon in the name.
static bool is_credential(struct slice text, bool is_name)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f || (is_name && text.ptr[i] == ':'))
            return false;
    return true;
}

static struct secret basic(struct resolver *resolver, struct slice name, struct slice password)
{
    const struct slice parts[] = {name, SLICE(":"), password};
    struct secret pair = {arena_join(resolver->arena, parts, 3)};
    struct secret value = {base64_encode(pair.hidden, SLICE("Basic "), resolver->arena)};
    resolver->has_failed |= !pair.hidden.ptr || !value.hidden.ptr;
    if (pair.hidden.ptr)
        secret_wipe(&pair);
    return value;
}

// The annotation names a Secret with the entries of type kubernetes.io/basic-auth, beside the GatewayConfig.
static struct secret read_credentials(struct resolver *resolver, const struct resource *owner)
{
    const struct node *name = node_member(owner->annotations, SLICE(PROXY_CREDENTIALS_ANNOTATION));
    struct reference reference = {node_text(name), owner->namespace_, name ? node_mark(name) : owner->mark};
    struct secret none = {{NULL, 0}}, user, password;
    const struct resource *secret = name ? resolve_find(resolver, KIND_SECRET, &reference) : NULL;
    if (!secret || !resolve_datum(resolver, secret, SLICE("username"), reference.mark, &user.hidden) ||
        !resolve_datum(resolver, secret, SLICE("password"), reference.mark, &password.hidden))
        return none;
    if (is_credential(secret_reveal(user), true) && is_credential(secret_reveal(password), false))
        return basic(resolver, secret_reveal(user), secret_reveal(password));
    finding_error(resolver->findings, reference.mark,
                  "Secret " SLICE_FMT "/" SLICE_FMT
                  " has control bytes in username or password, or a colon in username; "
                  "basic authentication can't send these",
                  SLICE_ARG(secret->namespace_), SLICE_ARG(secret->name));
    return none;
}

static void read_address(struct slice address, struct config_forward_proxy *proxy)
{
    size_t colon = address.len;
    uint64_t port = 0;
    while (colon > 0 && address.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !slice_to_u64(slice_from(address, colon), UINT16_MAX, &port))
        return; // said already
    proxy->port = (uint16_t)port;
    proxy->host = slice_sub(address, 0, colon - 1);
    if (slice_starts_with(proxy->host, SLICE("[")))
        proxy->host = slice_sub(proxy->host, 1, proxy->host.len - 2);
}

const struct config_forward_proxy *resolve_forward_proxy(struct resolver *resolver,
                                                         const struct resource *gateway_config)
{
    const struct node *node = gateway_config ? node_get(gateway_config->spec, SLICE("forwardProxy")) : NULL;
    struct config *config = resolver->config;
    if (!node)
        return NULL;
    for (size_t i = 0; i < config->proxy_count; i++)
        if (slice_eq(config->proxies[i].namespace_, gateway_config->namespace_) &&
            slice_eq(config->proxies[i].name, gateway_config->name))
            return &config->proxies[i];
    struct config_forward_proxy *proxy = &config->proxies[config->proxy_count++];
    *proxy = (struct config_forward_proxy){
        .namespace_ = gateway_config->namespace_, .name = gateway_config->name, .mark = node_mark(node)};
    read_address(node_get_text(node, SLICE("address")), proxy);
    proxy->authorization = read_credentials(resolver, gateway_config);
    return proxy;
}

static void make_room(struct resolver *resolver)
{
    size_t count = 0;
    for (size_t i = 0; i < resolver->docs->count; i++)
        count += resolver->docs->items[i]->kind == KIND_GATEWAY_CONFIG;
    resolver->config->proxies = RESOLVE_ARRAY(resolver, struct config_forward_proxy, count);
}

// Credentials for no proxy are a mistake that would show only as 407s, or never.
void resolve_forward_proxies(struct resolver *resolver)
{
    make_room(resolver);
    for (size_t i = 0; i < resolver->docs->count && !resolver->has_failed; i++) {
        const struct resource *resource = resolver->docs->items[i];
        if (resource->kind != KIND_GATEWAY_CONFIG)
            continue;
        const struct node *credentials = node_member(resource->annotations, SLICE(PROXY_CREDENTIALS_ANNOTATION));
        if (!resolve_forward_proxy(resolver, resource) && credentials)
            finding_error(resolver->findings, node_mark(credentials),
                          "the annotation " PROXY_CREDENTIALS_ANNOTATION
                          " is for spec.forwardProxy, which this GatewayConfig does not have");
    }
}
