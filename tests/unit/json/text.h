// For the tests of this room: text that ends where readable memory ends.
#ifndef TESTS_JSON_TEXT_H
#define TESTS_JSON_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "json/json.h"

#define EDGE_BYTES ((size_t)1 << 16)

// A region of EDGE_BYTES with an unreadable page behind it.
static inline char *edge_map(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *region = mmap(NULL, EDGE_BYTES + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(region, MAP_FAILED);
    assert_int_equal(mprotect(region + EDGE_BYTES, page, PROT_NONE), 0);
    return region;
}

static inline void edge_unmap(char *region)
{
    munmap(region, EDGE_BYTES + (size_t)sysconf(_SC_PAGESIZE));
}

// A copy of `text` that ends at the unreadable page.
static inline struct slice edge_copy(char *region, struct slice text)
{
    char *at = region + EDGE_BYTES - text.len;
    memcpy(at, text.ptr, text.len);
    return slice_make(at, text.len);
}

static inline struct slice join_pieces(struct arena *arena, const struct slice *pieces, size_t count)
{
    struct slice text = arena_join(arena, pieces, count);
    assert_non_null(text.ptr);
    return text;
}

#define assert_slice_equal(a, b)                                                                                       \
    do {                                                                                                               \
        struct slice left = (a), right = (b);                                                                          \
        assert_int_equal(left.len, right.len);                                                                         \
        assert_memory_equal(left.len ? left.ptr : "", right.len ? right.ptr : "", left.len);                           \
    } while (0)

#endif
