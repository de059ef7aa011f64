// Arenas: chains of blocks from malloc, the newest first.
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN_DOWN(bytes) ((bytes) & ~(size_t)(ARENA_ALIGN - 1))

struct arena_block {
    struct arena_block *older;
    size_t bytes; // of the whole block, this header included
    alignas(ARENA_ALIGN) char data[];
};

void arena_init(struct arena *arena, size_t block_bytes, size_t max_bytes)
{
    *arena = (struct arena){.block_bytes = block_bytes, .max_bytes = max_bytes};
}

void arena_init_in(struct arena *arena, void *space, size_t space_bytes, size_t block_bytes, size_t max_bytes)
{
    arena_init(arena, block_bytes, max_bytes);
    arena->next = space;
    arena->end = arena->next + ALIGN_DOWN(space_bytes);
}

static void free_blocks(struct arena_block *block)
{
    while (block) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
}

void arena_fini(struct arena *arena)
{
    free_blocks(arena->blocks);
    arena_init(arena, arena->block_bytes, arena->max_bytes);
}

static void begin_block(struct arena *arena, struct arena_block *block)
{
    arena->blocks = block;
    arena->next = block->data;
    arena->end = block->data + ALIGN_DOWN(block->bytes - sizeof *block);
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;
    while (keep && keep->bytes != arena->block_bytes) {
        struct arena_block *older = keep->older;
        free(keep);
        keep = older;
    }
    if (!keep) {
        arena_init(arena, arena->block_bytes, arena->max_bytes);
        return;
    }
    free_blocks(keep->older);
    keep->older = NULL;
    begin_block(arena, keep);
    arena->held_bytes = keep->bytes;
    arena->has_failed = false;
}

static struct arena_block *take_block(struct arena *arena, size_t bytes)
{
    size_t held;
    struct arena_block *block = NULL;
    if (!__builtin_add_overflow(arena->held_bytes, bytes, &held) && held <= arena->max_bytes)
        block = malloc(bytes);
    if (!block) {
        arena->has_failed = true;
        return NULL;
    }
    arena->held_bytes = held;
    block->bytes = bytes;
    return block;
}

// A block of its own for an object that would not fit an ordinary one. The newest ordinary block stays in use.
static void *alloc_large(struct arena *arena, size_t size)
{
    size_t bytes;
    if (__builtin_add_overflow(size, sizeof(struct arena_block), &bytes)) {
        arena->has_failed = true;
        return NULL;
    }
    struct arena_block *block = take_block(arena, bytes);
    if (!block)
        return NULL;
    if (arena->blocks) {
        block->older = arena->blocks->older;
        arena->blocks->older = block;
    } else {
        block->older = NULL;
        arena->blocks = block;
    }
    return block->data;
}

static bool add_block(struct arena *arena)
{
    struct arena_block *block = take_block(arena, arena->block_bytes);
    if (!block)
        return false;
    block->older = arena->blocks;
    begin_block(arena, block);
    return true;
}

void *arena_alloc_more(struct arena *arena, size_t size)
{
    size_t rounded;
    if (__builtin_add_overflow(size ? size : 1, ARENA_ALIGN - 1, &rounded)) {
        arena->has_failed = true;
        return NULL;
    }
    rounded = ALIGN_DOWN(rounded);
    if (rounded > (size_t)(arena->end - arena->next)) {
        if (rounded > arena->block_bytes - sizeof(struct arena_block))
            return alloc_large(arena, rounded);
        if (!add_block(arena))
            return NULL;
    }
    void *at = arena->next;
    arena->next += rounded;
    return at;
}

struct slice arena_join(struct arena *arena, const struct slice *parts, size_t count)
{
    size_t total = 1;
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(total, parts[i].len, &total))
            return (struct slice){NULL, 0};
    char *at = arena_alloc(arena, total);
    if (!at)
        return (struct slice){NULL, 0};
    char *out = at;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len)
            memcpy(out, parts[i].ptr, parts[i].len);
        out += parts[i].len;
    }
    *out = '\0';
    return (struct slice){at, total - 1};
}

struct slice arena_dup(struct arena *arena, struct slice s)
{
    char *at = s.len < SIZE_MAX ? arena_alloc(arena, s.len + 1) : NULL;
    if (!at)
        return (struct slice){NULL, 0};
    if (s.len)
        memcpy(at, s.ptr, s.len);
    at[s.len] = '\0';
    return (struct slice){at, s.len};
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *at = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (!at)
        return (struct slice){NULL, 0};
    va_start(args, format);
    vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    return (struct slice){at, (size_t)len};
}

bool arena_grow(struct arena *arena, void *items, size_t *cap, size_t count, size_t item_bytes)
{
    void *old;
    memcpy(&old, items, sizeof old);
    if (count < *cap)
        return true;
    size_t new_cap = *cap ? *cap * 2 : 8;
    void *grown = arena_calloc(arena, new_cap, item_bytes);
    if (!grown)
        return false;
    if (count)
        memcpy(grown, old, count * item_bytes);
    memcpy(items, &grown, sizeof grown);
    *cap = new_cap;
    return true;
}
