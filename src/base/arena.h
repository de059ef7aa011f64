// Memory whose lifetime is a place: everything taken from an arena goes at once, with arena_fini or arena_reset.
// An arena has a ceiling; past it, or without memory, allocation gives NULL and the arena remembers that it failed.
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include "base/slice.h"

#define ARENA_ALIGN 16U

struct arena_block;

struct arena {
    struct arena_block *blocks; // newest first
    char *next;                 // free bytes of the newest block, a multiple of ARENA_ALIGN of them
    char *end;
    size_t block_bytes; // size of an ordinary block
    size_t held_bytes;  // taken from the system now
    size_t max_bytes;   // ceiling of held_bytes
    bool has_failed;    // some allocation was refused since init or reset
};

// Takes no memory yet. `block_bytes` is what is taken from the system at a time (larger objects get their own block).
void arena_init(struct arena *arena, size_t block_bytes, size_t max_bytes);
// The same, with memory of the caller's (16-aligned, alive until arena_fini) to take from first: what fits it costs no
// call of malloc. Not for arena_reset.
void arena_init_in(struct arena *arena, void *space, size_t space_bytes, size_t block_bytes, size_t max_bytes);
// Frees all. Safe on a zeroed arena and twice.
void arena_fini(struct arena *arena);
// Frees all but one ordinary block, ready for use again.
void arena_reset(struct arena *arena);
// What arena_alloc does when the newest block is used up, and for a size of 0.
void *arena_alloc_more(struct arena *arena, size_t size) __attribute__((malloc, alloc_size(2), warn_unused_result));

// `size` bytes, 16-aligned, not zeroed. NULL when refused. Size 0 gives a valid pointer.
__attribute__((malloc, alloc_size(2), warn_unused_result)) static inline void *arena_alloc(struct arena *arena,
                                                                                           size_t size)
{
    if (size == 0 || size > (size_t)(arena->end - arena->next))
        return arena_alloc_more(arena, size);
    void *at = arena->next;
    arena->next += (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1); // fits, for what is free is such a multiple
    return at;
}

// Zeroed array; NULL when refused or when count * size overflows.
__attribute__((malloc, alloc_size(2, 3), warn_unused_result)) static inline void *
arena_calloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX; // refused by the call
    void *at = arena_alloc(arena, bytes);
    return at ? memset(at, 0, bytes) : NULL;
}

// A copy of `s`, followed by a NUL that the slice does not count. {NULL, 0} when refused.
struct slice arena_dup(struct arena *arena, struct slice s);
// Joins `count` slices. {NULL, 0} when refused.
struct slice arena_join(struct arena *arena, const struct slice *parts, size_t count);
// Formatted text (C locale), NUL-terminated. {NULL, 0} when refused. Not for the request path.
struct slice arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

// One zeroed object of a type.
#define ARENA_NEW(arena, type) ((type *)arena_calloc((arena), 1, sizeof(type)))
// A zeroed array of a type.
#define ARENA_ARRAY(arena, type, count) ((type *)arena_calloc((arena), (count), sizeof(type)))

// Makes room for one more element of an arena array that doubles as it grows (the old copy stays in the arena).
// `items` is a pointer to the array pointer. False when refused; nothing is changed then.
bool arena_grow(struct arena *arena, void *items, size_t *cap, size_t count, size_t item_bytes);
#define ARENA_GROW(arena, list)                                                                                        \
    arena_grow((arena), (void *)&(list)->items, &(list)->cap, (list)->count, sizeof *(list)->items)

#endif
