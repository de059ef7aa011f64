// Open addressing with linear probing; grows at three quarters.
#include "base/map.h"

struct map_slot {
    struct slice key;
    uint64_t hash;
    void *value; // NULL: free
};

void map_init(struct map *map, struct arena *arena, uint64_t seed)
{
    *map = (struct map){.arena = arena, .seed = seed};
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load_u64(const char *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len);
    return word;
}

uint64_t hash_bytes(struct slice bytes, uint64_t seed)
{
    uint64_t state = seed ^ 0x9e3779b97f4a7c15U;
    size_t at = 0;
    for (; bytes.len - at >= 8; at += 8)
        state = mix(state ^ load_u64(bytes.ptr + at, 8), 0xe7037ed1a0b428dbU);
    if (bytes.len > at)
        state = mix(state ^ load_u64(bytes.ptr + at, bytes.len - at), 0x8ebc6af09c88c6e3U);
    return mix(state ^ bytes.len, 0x589965cc75374cc3U);
}

// The slot of the key, or the free slot where it would stand.
static struct map_slot *find_slot(const struct map *map, struct slice key, uint64_t hash)
{
    size_t mask = map->slot_count - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct map_slot *slot = &map->slots[i];
        if (!slot->value || (slot->hash == hash && slice_eq(slot->key, key)))
            return slot;
    }
}

static bool grow(struct map *map)
{
    struct map bigger = *map;
    bigger.slot_count = map->slot_count ? map->slot_count * 2 : 16;
    bigger.slots = ARENA_ARRAY(map->arena, struct map_slot, bigger.slot_count);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < map->slot_count; i++)
        if (map->slots[i].value)
            *find_slot(&bigger, map->slots[i].key, map->slots[i].hash) = map->slots[i];
    *map = bigger;
    return true;
}

bool map_put(struct map *map, struct slice key, void *value)
{
    if (map->count + map->count / 3 + 1 >= map->slot_count && !grow(map))
        return false;
    uint64_t hash = hash_bytes(key, map->seed);
    struct map_slot *slot = find_slot(map, key, hash);
    if (!slot->value)
        map->count++;
    *slot = (struct map_slot){key, hash, value};
    return true;
}

void *map_get(const struct map *map, struct slice key)
{
    return map->count ? find_slot(map, key, hash_bytes(key, map->seed))->value : NULL;
}

bool map_next(const struct map *map, size_t *at, struct slice *ret_key, void **ret_value)
{
    for (; *at < map->slot_count; ++*at) {
        const struct map_slot *slot = &map->slots[*at];
        if (slot->value) {
            *ret_key = slot->key;
            *ret_value = slot->value;
            ++*at;
            return true;
        }
    }
    return false;
}
