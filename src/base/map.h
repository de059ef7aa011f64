// A hash table from byte strings to pointers, in an arena. Keys are borrowed and must live as long as the map.
// Insert-only: built at load, read on the request path. Seeded, so that names from clients can't be made to collide.
#ifndef WEIR_BASE_MAP_H
#define WEIR_BASE_MAP_H

#include "base/arena.h"

struct map_slot;

struct map {
    struct arena *arena;
    struct map_slot *slots; // power of two, open addressing
    size_t slot_count;
    size_t count;
    uint64_t seed;
};

void map_init(struct map *map, struct arena *arena, uint64_t seed);
// Sets or replaces. False when memory was refused. `value` must not be NULL.
bool map_put(struct map *map, struct slice key, void *value);
// NULL when there is none.
void *map_get(const struct map *map, struct slice key);
// Walks all entries in no stated order: start with *at = 0; false when done.
bool map_next(const struct map *map, size_t *at, struct slice *ret_key, void **ret_value);
// The hash that the map uses (wyhash-like 64-bit mix), for other tables.
uint64_t hash_bytes(struct slice bytes, uint64_t seed);

#endif
