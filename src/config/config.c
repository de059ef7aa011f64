// Files in, one configuration or findings out.
#include "config/config.h"

#include "config/resolve.h"

#define CONFIG_BLOCK_BYTES ((size_t)64 << 10)
#define CONFIG_MAX_BYTES ((size_t)4 << 30)

// What is behind a `struct config`: the documents, kept for the Secrets to be wiped.
struct loaded {
    struct config config; // first: config_free gets its address
    struct documents documents;
};

static struct loaded *new_loaded(void)
{
    struct arena arena;
    arena_init(&arena, CONFIG_BLOCK_BYTES, CONFIG_MAX_BYTES);
    struct loaded *loaded = ARENA_NEW(&arena, struct loaded);
    if (!loaded)
        return NULL;
    loaded->config.arena = arena;
    return loaded;
}

struct config *config_load_for_findings(const struct config_file *files, size_t count, const struct config_env *env,
                                        struct findings *findings)
{
    size_t first_finding = findings->count;
    size_t errors = findings->error_count;
    struct loaded *loaded = new_loaded();
    if (!loaded) {
        finding_error(findings, (struct mark){0}, "no memory for the configuration");
        return NULL;
    }
    struct config *config = &loaded->config;
    bool is_good = documents_load(&loaded->documents, &config->arena, files, count, env, findings) &&
                   config_resolve(config, &loaded->documents, findings) && !config->arena.has_failed;
    if (config->arena.has_failed)
        finding_error(findings, (struct mark){0}, "no memory for the configuration");
    else if (!is_good && findings->error_count == errors)
        finding_error(findings, (struct mark){0}, "the configuration can't be used");
    findings_keep_files(findings, first_finding);
    findings_sort(findings);
    if (!config->arena.has_failed)
        return config;
    config_free(config);
    return NULL;
}

struct config *config_load(const struct config_file *files, size_t count, const struct config_env *env,
                           struct findings *findings)
{
    size_t errors = findings->error_count;
    struct config *config = config_load_for_findings(files, count, env, findings);
    if (findings->error_count == errors)
        return config;
    config_free(config);
    return NULL;
}

static void wipe_text(struct slice text)
{
    secret_wipe(&(struct secret){text});
}

static void wipe_scalars(const struct node *node)
{
    if (node_is_scalar(node))
        wipe_text(node->text);
    for (const struct node *child = node_first(node); child; child = child->next)
        wipe_scalars(child);
}

static void wipe_secret(const struct resource *resource)
{
    wipe_scalars(node_get(resource->root, SLICE("data")));
    wipe_scalars(node_get(resource->root, SLICE("stringData")));
    for (size_t i = 0; i < resource->datum_count; i++)
        wipe_text(resource->data[i].value);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    struct loaded *loaded = (struct loaded *)config;
    for (size_t i = 0; i < loaded->documents.count; i++)
        if (loaded->documents.items[i]->kind == KIND_SECRET)
            wipe_secret(loaded->documents.items[i]);
    for (size_t i = 0; i < config->backend_count; i++)
        secret_wipe(&config->backends[i].credential.key);
    for (size_t i = 0; i < config->proxy_count; i++)
        secret_wipe(&config->proxies[i].authorization);
    struct arena arena = config->arena; // it holds the config itself
    arena_fini(&arena);
}
