// A snapshot's birth, sharing and end, and what hosts may ask of it.
#include "exchange/compiled.h"

#define SNAPSHOT_BLOCK_BYTES ((size_t)16 * 1024)

static void release(struct snapshot *snapshot)
{
    if (snapshot->listeners)
        for (size_t i = 0; i < snapshot->config->listener_count; i++)
            if (snapshot->listeners[i].table)
                route_table_free(snapshot->listeners[i].table);
    struct config *config = snapshot->config;
    struct arena arena = snapshot->arena; // holds the snapshot itself
    arena_fini(&arena);
    config_free(config);
}

static bool is_same_place(const struct finding *a, const struct finding *b)
{
    return a->mark.line == b->mark.line && a->mark.column == b->mark.column && a->level == b->level &&
           slice_eq(a->mark.file, b->mark.file);
}

// A backend that several rules name is merged for each of them: what is odd about it is said once. Where loading found
// an error already (findings before `first`), compiling adds none.
static void drop_repeats(struct findings *findings, size_t first)
{
    size_t kept = first;
    for (size_t i = first; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        size_t j = 0;
        while (j < kept &&
               !(is_same_place(&findings->items[j], finding) &&
                 ((j < first && finding->level == FINDING_ERROR) || slice_eq(findings->items[j].text, finding->text))))
            j++;
        if (j == kept)
            findings->items[kept++] = *finding;
        else if (finding->level == FINDING_ERROR)
            findings->error_count--;
    }
    findings->count = kept;
}

struct snapshot *snapshot_new(struct config *take_config, uint64_t generation, uint64_t seed, struct findings *findings)
{
    struct arena arena;
    arena_init(&arena, SNAPSHOT_BLOCK_BYTES, SIZE_MAX / 2);
    struct snapshot *snapshot = ARENA_NEW(&arena, struct snapshot);
    if (!snapshot) {
        config_free(take_config);
        return NULL;
    }
    snapshot->arena = arena;
    snapshot->config = take_config;
    snapshot->generation = generation;
    atomic_init(&snapshot->references, 1);
    size_t errors_before = findings->error_count;
    size_t findings_before = findings->count;
    // Both run, so that all findings come at once (S10).
    bool is_whole = snapshot_compile_routes(snapshot, findings);
    is_whole = snapshot_compile_listeners(snapshot, seed, findings) && is_whole;
    drop_repeats(findings, findings_before);
    findings_keep_files(findings, findings_before); // the configuration goes when this fails
    if (is_whole && findings->error_count == errors_before)
        return snapshot;
    release(snapshot);
    return NULL;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (snapshot && atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) == 1)
        release(snapshot);
}

const struct config *snapshot_config(const struct snapshot *snapshot)
{
    return snapshot->config;
}

uint64_t snapshot_generation(const struct snapshot *snapshot)
{
    return snapshot->generation;
}

static const struct compiled_listener *listener_at(const struct snapshot *snapshot, size_t listener_id)
{
    return listener_id < snapshot->config->listener_count ? &snapshot->listeners[listener_id] : NULL;
}

const struct route_table *snapshot_routes(const struct snapshot *snapshot, size_t listener_id)
{
    const struct compiled_listener *listener = listener_at(snapshot, listener_id);
    return listener ? listener->table : NULL;
}

size_t snapshot_log_count(const struct snapshot *snapshot, size_t listener_id)
{
    const struct compiled_listener *listener = listener_at(snapshot, listener_id);
    return listener ? listener->log_count : 0;
}

const struct accesslog *snapshot_log(const struct snapshot *snapshot, size_t listener_id, size_t index)
{
    return index < snapshot_log_count(snapshot, listener_id) ? snapshot->listeners[listener_id].logs[index].log : NULL;
}

struct slice snapshot_log_path(const struct snapshot *snapshot, size_t listener_id, size_t index)
{
    return index < snapshot_log_count(snapshot, listener_id) ? snapshot->listeners[listener_id].logs[index].path
                                                             : (struct slice){NULL, 0};
}
