#include "host/envoy/table.h"

#include <stdlib.h>

#define SLOTS_FIRST 64U
#define SLOTS_MAX (1U << TABLE_SLOT_BITS)
#define SLOT_MASK (SLOTS_MAX - 1)

struct slot {
    struct stream *stream; // NULL: free
    uint32_t generation;   // of the stream that has it, or had it last; never 0 in a number that was given out
    uint32_t next_free;    // 1 + the next free slot; 0: none
};

struct table {
    struct slot *slots;
    uint32_t count;
    uint32_t first_free; // 1 + slot
};

// Process state on purpose: two filter configurations that know nothing of each other meet here. It lives as long as the
// process, as Envoy's workers do.
static struct table tables[TABLE_WORKERS_MAX];

static bool grow(struct table *table)
{
    uint32_t count = table->count ? table->count * 2 : SLOTS_FIRST;
    if (count > SLOTS_MAX)
        return false;
    struct slot *slots = realloc(table->slots, count * sizeof *slots);
    if (!slots)
        return false;
    for (uint32_t i = table->count; i < count; i++)
        slots[i] = (struct slot){.next_free = i + 1 < count ? i + 2 : 0};
    table->slots = slots;
    table->first_free = table->count + 1;
    table->count = count;
    return true;
}

uint64_t table_add(uint32_t worker, struct stream *stream)
{
    if (worker >= TABLE_WORKERS_MAX)
        return 0;
    struct table *table = &tables[worker];
    if (!table->first_free && !grow(table))
        return 0;
    uint32_t index = table->first_free - 1;
    struct slot *slot = &table->slots[index];
    table->first_free = slot->next_free;
    slot->stream = stream;
    if (++slot->generation == 0)
        slot->generation = 1;
    return (uint64_t)slot->generation << TABLE_SLOT_BITS | index;
}

static struct slot *slot_of(uint32_t worker, uint64_t id)
{
    uint32_t index = (uint32_t)(id & SLOT_MASK);
    if (worker >= TABLE_WORKERS_MAX || index >= tables[worker].count)
        return NULL;
    struct slot *slot = &tables[worker].slots[index];
    return slot->stream && slot->generation == id >> TABLE_SLOT_BITS ? slot : NULL;
}

struct stream *table_find(uint32_t worker, uint64_t id)
{
    const struct slot *slot = slot_of(worker, id);
    return slot ? slot->stream : NULL;
}

void table_remove(uint32_t worker, uint64_t id)
{
    struct slot *slot = slot_of(worker, id);
    if (!slot)
        return;
    struct table *table = &tables[worker];
    slot->stream = NULL;
    slot->next_free = table->first_free;
    table->first_free = (uint32_t)(slot - table->slots) + 1;
}
