// Documents, their checks and their resolution: any bytes end in a configuration or in findings. The environment has
// one variable.
#include "config/config.h"
#include "config/resource.h"

#include <stdlib.h>

static bool get_variable(void *context, struct slice name, struct slice *ret_value)
{
    (void)context;
    *ret_value = SLICE("1");
    return slice_eq(name, SLICE("A"));
}

static bool read_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context;
    *ret_text = arena_dup(arena, SLICE("text\n"));
    return ret_text->ptr && path.len < 8;
}

static void check_resource_is_whole(const struct documents *documents, const struct resource *resource)
{
    if (resource->kind >= KIND_COUNT || !resource->root || resource->root->type != NODE_MAP)
        abort();
    if (resource->name.len && resource->name.len < 254 &&
        documents_find(documents, resource->kind, resource->namespace_, resource->name) != resource &&
        resource->namespace_.len < 64)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config_env env = {get_variable, read_file, NULL};
    struct config_file file = {SLICE("fuzz.yaml"), {(const char *)data, size}};
    struct arena arena;
    struct arena finding_arena;
    struct findings findings;
    struct documents documents;
    arena_init(&arena, 4096, (size_t)64 << 20);
    arena_init(&finding_arena, 4096, (size_t)64 << 20);
    findings_init(&findings, &finding_arena);
    if (documents_load(&documents, &arena, &file, 1, &env, &findings))
        for (size_t i = 0; i < documents.count; i++)
            check_resource_is_whole(&documents, documents.items[i]);
    size_t errors = findings.error_count;
    struct config *config = config_load(&file, 1, &env, &findings);
    if (!config && findings.error_count == errors)
        abort(); // refused without a word
    config_free(config);
    arena_fini(&arena);
    arena_fini(&finding_arena);
    return 0;
}
