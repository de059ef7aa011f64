// The resolver's story: policies first, as all others ask for them; then what they hold for.
#include "config/resolve.h"

#include "config/resolve_parts.h"

#define RESOLVE_SEED 0x7765697244696374U // names come from the configuration's author: nobody to defend against

static void init_maps(struct resolver *resolver)
{
    struct map *maps[] = {&resolver->traffic, &resolver->client,   &resolver->credentials,
                          &resolver->tls,     &resolver->backends, &resolver->certificates};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++)
        map_init(maps[i], resolver->arena, RESOLVE_SEED);
}

static void check_emptiness(struct resolver *resolver)
{
    const struct config *config = resolver->config;
    if (config->listener_count > 0 || resolver->docs->is_incomplete || resolver->findings->error_count > 0)
        return;
    struct mark mark = resolver->docs->count ? resolver->docs->items[0]->mark : (struct mark){.line = 0};
    finding_error(resolver->findings, mark, "the configuration has no Gateway with a listener; add one");
}

bool config_resolve(struct config *config, const struct documents *docs, struct findings *findings)
{
    struct resolver resolver = {.config = config, .docs = docs, .findings = findings, .arena = &config->arena};
    size_t errors = findings->error_count;
    init_maps(&resolver);
    resolve_policies(&resolver);
    resolve_gateways(&resolver);
    if (!resolver.has_failed)
        resolve_forward_proxies(&resolver);
    if (!resolver.has_failed)
        resolve_ai_backends(&resolver);
    if (!resolver.has_failed)
        resolve_routes(&resolver);
    check_emptiness(&resolver);
    return !resolver.has_failed && findings->error_count == errors;
}
