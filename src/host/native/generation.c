// Configurations as the workers share them.
#include "host/native/generation.h"

#include <stdlib.h>

static bool make_backend_tls(struct generation *generation, const struct config_backend *backend, struct arena *arena,
                             struct slice *ret_why)
{
    if (!backend->tls.is_enabled)
        return true;
    struct tls_context **row = calloc(backend->endpoint_count + 1, sizeof *row);
    generation->tls[backend->id] = row;
    for (size_t i = 0; row && i < backend->endpoint_count; i++) {
        const struct config_endpoint *endpoint = &backend->endpoints[i];
        struct slice host = endpoint->is_ip && endpoint->hostname.len ? endpoint->hostname : endpoint->host;
        row[i] = tls_context_new(&backend->tls, host, arena, ret_why);
        if (!row[i]) {
            *ret_why = arena_printf(arena, "TLS of backend " SLICE_FMT "/" SLICE_FMT ": " SLICE_FMT,
                                    SLICE_ARG(backend->namespace_), SLICE_ARG(backend->name), SLICE_ARG(*ret_why));
            return false;
        }
    }
    return row != NULL;
}

static bool fill(struct generation *generation, const struct generation *before, int64_t now_us, struct arena *arena,
                 struct slice *ret_why)
{
    const struct config *config = snapshot_config(generation->snapshot);
    *ret_why = SLICE("out of memory");
    generation->load_count = config->backend_count;
    generation->loads = calloc(config->backend_count + 1, sizeof *generation->loads);
    generation->tls = calloc(config->backend_count + 1, sizeof *generation->tls);
    generation->health = health_new(config, before ? before->health : NULL, now_us);
    if (!generation->loads || !generation->tls || !generation->health)
        return false;
    for (size_t i = 0; i < config->backend_count; i++)
        if (!make_backend_tls(generation, &config->backends[i], arena, ret_why))
            return false;
    return true;
}

struct generation *generation_new(struct snapshot *take_snapshot, const struct generation *before, int64_t now_us,
                                  struct arena *arena, struct slice *ret_why)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (!generation) {
        snapshot_unref(take_snapshot);
        *ret_why = SLICE("out of memory");
        return NULL;
    }
    generation->snapshot = take_snapshot;
    generation->references = 1;
    if (fill(generation, before, now_us, arena, ret_why))
        return generation;
    generation_unref(generation);
    return NULL;
}

struct generation *generation_ref(struct generation *generation)
{
    __atomic_fetch_add(&generation->references, 1, __ATOMIC_RELAXED);
    return generation;
}

static void free_tls(struct generation *generation)
{
    const struct config *config = snapshot_config(generation->snapshot);
    for (size_t i = 0; generation->tls && i < config->backend_count; i++) {
        struct tls_context **row = generation->tls[i];
        for (size_t j = 0; row && j < config->backends[i].endpoint_count; j++)
            tls_context_unref(row[j]);
        free(row);
    }
    free(generation->tls);
}

void generation_unref(struct generation *generation)
{
    if (!generation || __atomic_sub_fetch(&generation->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free_tls(generation);
    if (generation->health)
        health_free(generation->health);
    free(generation->loads);
    snapshot_unref(generation->snapshot);
    free(generation);
}

bool load_take(uint32_t *load, uint32_t limit)
{
    uint32_t now = __atomic_add_fetch(load, 1, __ATOMIC_RELAXED);
    if (limit == 0 || now <= limit)
        return true;
    __atomic_sub_fetch(load, 1, __ATOMIC_RELAXED);
    return false;
}

void load_give(uint32_t *load)
{
    __atomic_sub_fetch(load, 1, __ATOMIC_RELAXED);
}
