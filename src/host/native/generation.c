// Configurations as the workers share them.
#include "host/native/generation.h"

#include "base/map.h"

#include <stdlib.h>

static bool is_same_endpoint(const struct config_endpoint *a, const struct config_endpoint *b)
{
    return a->port == b->port && a->is_ip == b->is_ip && slice_eq(a->host, b->host) &&
           slice_eq(a->hostname, b->hostname);
}

// ---- the backends of the generation before --------------------------------------------------------------------------

static struct slice key_of(const struct config_backend *backend, struct arena *arena)
{
    const struct config_forward_proxy *proxy = backend->proxy;
    const struct slice parts[] = {backend->namespace_,
                                  SLICE("/"),
                                  backend->name,
                                  proxy ? SLICE("/") : SLICE(""),
                                  proxy ? proxy->namespace_ : SLICE(""),
                                  proxy ? SLICE("/") : SLICE(""),
                                  proxy ? proxy->name : SLICE(""),
                                  backend->tls_from.len ? SLICE(" ") : SLICE(""),
                                  backend->tls_from};
    return arena_join(arena, parts, 9);
}

// Gives for each backend the id that it had before, SIZE_MAX where it is new. NULL without memory.
static size_t *match_backends(const struct config *config, const struct config *before, struct arena *arena)
{
    struct map ids;
    size_t *matches = arena_alloc(arena, (config->backend_count + 1) * sizeof *matches);
    map_init(&ids, arena, 0);
    for (size_t i = 0; before && i < before->backend_count; i++) {
        const struct config_backend *backend = &before->backends[i];
        struct slice key = key_of(backend, arena);
        if (!key.ptr || !map_put(&ids, key, (void *)(uintptr_t)backend))
            return NULL;
    }
    for (size_t i = 0; matches && i < config->backend_count; i++) {
        struct slice key = key_of(&config->backends[i], arena);
        if (!key.ptr)
            return NULL;
        const struct config_backend *known = map_get(&ids, key);
        matches[i] = known ? known->id : SIZE_MAX;
    }
    return matches;
}

static struct backend_load *ref_load(struct backend_load *load)
{
    __atomic_fetch_add(&load->references, 1, __ATOMIC_RELAXED);
    return load;
}

static struct backend_load *new_load(void)
{
    struct backend_load *load = aligned_alloc(sizeof *load, sizeof *load);
    if (load)
        *load = (struct backend_load){.references = 1};
    return load;
}

static void unref_load(struct backend_load *load)
{
    if (load && __atomic_sub_fetch(&load->references, 1, __ATOMIC_ACQ_REL) == 0)
        free(load);
}

static struct tls_context *find_context(const struct generation *before, size_t id,
                                        const struct config_backend *backend, const struct config_endpoint *endpoint)
{
    if (!before || id == SIZE_MAX || !before->tls[id])
        return NULL;
    const struct config_backend *old = &snapshot_config(before->snapshot)->backends[id];
    for (size_t i = 0; i < old->endpoint_count && tls_is_same_config(&old->tls, &backend->tls); i++)
        if (is_same_endpoint(&old->endpoints[i], endpoint))
            return before->tls[id][i];
    return NULL;
}

static bool make_backend_tls(struct generation *generation, const struct config_backend *backend,
                             const struct generation *before, size_t id_before, struct arena *arena,
                             struct slice *ret_why)
{
    if (!backend->tls.is_enabled)
        return true;
    struct tls_context **row = calloc(backend->endpoint_count + 1, sizeof *row);
    generation->tls[backend->id] = row;
    for (size_t i = 0; row && i < backend->endpoint_count; i++) {
        const struct config_endpoint *endpoint = &backend->endpoints[i];
        struct slice host = endpoint->is_ip && endpoint->hostname.len ? endpoint->hostname : endpoint->host;
        struct tls_context *known = find_context(before, id_before, backend, endpoint);
        row[i] = known ? tls_context_ref(known) : tls_context_new(&backend->tls, host, arena, ret_why);
        if (!row[i]) {
            *ret_why = arena_printf(arena, "TLS of backend " SLICE_FMT "/" SLICE_FMT ": " SLICE_FMT,
                                    SLICE_ARG(backend->namespace_), SLICE_ARG(backend->name), SLICE_ARG(*ret_why));
            return false;
        }
    }
    return row != NULL;
}

static bool make_server(struct generation *generation, const struct config_listener *listener, struct arena *arena,
                        struct slice *ret_why)
{
    if (listener->protocol != LISTENER_HTTPS)
        return true;
    struct tls_server *server = tls_server_new(&listener->tls, arena, ret_why);
    generation->servers[listener->id] = server;
    if (!server)
        *ret_why = arena_printf(arena, "TLS of listener " SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT ": " SLICE_FMT,
                                SLICE_ARG(listener->namespace_), SLICE_ARG(listener->gateway),
                                SLICE_ARG(listener->name), SLICE_ARG(*ret_why));
    return server;
}

static bool fill(struct generation *generation, const struct generation *before, int64_t now_us, struct arena *arena,
                 struct slice *ret_why)
{
    const struct config *config = snapshot_config(generation->snapshot);
    *ret_why = SLICE("out of memory");
    generation->loads = calloc(config->backend_count + 1, sizeof *generation->loads);
    generation->tls = calloc(config->backend_count + 1, sizeof *generation->tls);
    generation->servers = calloc(config->listener_count + 1, sizeof(struct tls_server *));
    generation->health = health_new(config, before ? before->health : NULL, now_us);
    const size_t *matches = match_backends(config, before ? snapshot_config(before->snapshot) : NULL, arena);
    if (!generation->loads || !generation->tls || !generation->servers || !generation->health || !matches)
        return false;
    for (size_t i = 0; i < config->backend_count; i++) {
        generation->loads[i] = !before || matches[i] == SIZE_MAX ? new_load() : ref_load(before->loads[matches[i]]);
        if (!generation->loads[i] ||
            !make_backend_tls(generation, &config->backends[i], before, matches[i], arena, ret_why))
            return false;
    }
    for (size_t i = 0; i < config->listener_count; i++)
        if (!make_server(generation, &config->listeners[i], arena, ret_why))
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

static void free_backends(struct generation *generation)
{
    const struct config *config = snapshot_config(generation->snapshot);
    for (size_t i = 0; generation->loads && i < config->backend_count; i++)
        unref_load(generation->loads[i]);
    free(generation->loads);
    for (size_t i = 0; generation->tls && i < config->backend_count; i++) {
        struct tls_context **row = generation->tls[i];
        for (size_t j = 0; row && j < config->backends[i].endpoint_count; j++)
            tls_context_unref(row[j]);
        free(row);
    }
    free(generation->tls);
    for (size_t i = 0; generation->servers && i < config->listener_count; i++)
        tls_server_unref(generation->servers[i]);
    free(generation->servers);
}

static bool name_fits(struct slice pattern, struct slice name)
{
    if (slice_starts_with(pattern, SLICE("*."))) {
        struct slice suffix = slice_from(pattern, 1);
        return name.len > suffix.len && slice_eq_nocase(slice_from(name, name.len - suffix.len), suffix);
    }
    return pattern.len == 0 || slice_eq_nocase(pattern, name);
}

const struct config_listener *generation_find_name(const struct generation *generation, uint16_t port,
                                                   struct slice name)
{
    const struct config *config = snapshot_config(generation->snapshot);
    const struct config_listener *best = NULL;
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->port != port || !name_fits(listener->hostname, name))
            continue;
        bool is_exact = listener->hostname.len && listener->hostname.ptr[0] != '*';
        if (!best || is_exact || listener->hostname.len > best->hostname.len)
            best = listener;
        if (is_exact)
            break;
    }
    return best;
}

const struct config_listener *generation_first_listener(const struct generation *generation, uint16_t port)
{
    const struct config *config = snapshot_config(generation->snapshot);
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].port == port)
            return &config->listeners[i];
    return NULL;
}

bool generation_has_tls(const struct generation *generation, uint16_t port)
{
    const struct config_listener *listener = generation_first_listener(generation, port);
    return listener && listener->protocol != LISTENER_HTTP;
}

enum config_proxy_protocol generation_proxy_protocol(const struct generation *generation, uint16_t port)
{
    const struct config_listener *listener = generation_first_listener(generation, port);
    return listener ? listener->client.proxy_protocol : PROXY_PROTOCOL_OFF;
}

void generation_unref(struct generation *generation)
{
    if (!generation || __atomic_sub_fetch(&generation->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free_backends(generation);
    if (generation->health)
        health_free(generation->health);
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
