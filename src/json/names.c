// Sets of wanted member names: an open-addressing table, so that a scan's cost does not grow with the set.
#include "json/names.h"

#include "json/reader.h"

struct json_names {
    struct slice *names;
    size_t count;
    size_t longest;
    uint32_t *slots; // index + 1, 0: free
    size_t mask;
};

// Names are few and not the client's to choose: length and both ends tell most of them apart.
static size_t slot_of(const struct json_names *names, struct slice name)
{
    if (!name.len)
        return 0;
    size_t first = (unsigned char)name.ptr[0], last = (unsigned char)name.ptr[name.len - 1];
    return (name.len * 7 + first * 5 + last) & names->mask;
}

static void enter(struct json_names *names, size_t index)
{
    size_t slot = slot_of(names, names->names[index]);
    while (names->slots[slot])
        slot = (slot + 1) & names->mask;
    names->slots[slot] = (uint32_t)index + 1;
}

const struct json_names *json_names_new(struct arena *arena, const struct slice *names, size_t count)
{
    size_t slot_count = 8;
    while (slot_count < count * 4 && slot_count < SIZE_MAX / 2)
        slot_count *= 2;
    struct json_names *set = ARENA_NEW(arena, struct json_names);
    if (!set || count >= UINT32_MAX)
        return NULL;
    set->names = ARENA_ARRAY(arena, struct slice, count);
    set->slots = ARENA_ARRAY(arena, uint32_t, slot_count);
    set->mask = slot_count - 1;
    if (!set->names || !set->slots)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        set->names[i] = arena_dup(arena, names[i]);
        if (!set->names[i].ptr)
            return NULL;
        if (names[i].len > set->longest)
            set->longest = names[i].len;
        enter(set, i);
    }
    set->count = count;
    return set;
}

size_t json_names_count(const struct json_names *names)
{
    return names->count;
}

struct slice json_names_at(const struct json_names *names, size_t index)
{
    return names->names[index];
}

size_t json_names_index(const struct json_names *names, struct slice name)
{
    for (size_t slot = slot_of(names, name); names->slots[slot]; slot = (slot + 1) & names->mask) {
        size_t index = names->slots[slot] - 1;
        if (slice_eq(names->names[index], name))
            return index;
    }
    return SLICE_NOT_FOUND;
}

// An escaped key is decoded a name at a time, which needs no memory and hardly ever happens.
static size_t match_escaped(const struct json_names *names, struct slice raw_key)
{
    for (size_t i = 0; i < names->count; i++)
        if (json_key_is(raw_key, names->names[i]))
            return i;
    return SLICE_NOT_FOUND;
}

size_t json_names_match(const struct json_names *names, struct slice raw_key)
{
    struct slice inner = slice_sub(raw_key, 1, raw_key.len - 2);
    if (slice_find(inner, '\\') != SLICE_NOT_FOUND)
        return match_escaped(names, raw_key);
    return inner.len > names->longest ? SLICE_NOT_FOUND : json_names_index(names, inner);
}
