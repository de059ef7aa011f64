// Copies of bytes that end at, or begin behind, an unreadable page: a parser that reads one byte too far dies.
#ifndef WEIR_TESTS_GUARD_PAGE_H
#define WEIR_TESTS_GUARD_PAGE_H

#include "base/slice.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard_page {
    char *map;
    size_t bytes;
};

// The copy's last byte is the last readable one. Begin with a zeroed guard; the next copy reuses the pages.
static inline struct slice guard_page_copy(struct guard_page *guard, struct slice s)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t data = (s.len / page + 1) * page;
    if (guard->bytes < data + page) {
        if (guard->map)
            munmap(guard->map, guard->bytes);
        guard->bytes = data + page;
        guard->map = mmap(NULL, guard->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert(guard->map != MAP_FAILED);
        mprotect(guard->map + data, page, PROT_NONE);
    }
    char *at = guard->map + guard->bytes - page - s.len;
    if (s.len)
        memcpy(at, s.ptr, s.len);
    return slice_make(at, s.len);
}

static inline void guard_page_free(struct guard_page *guard)
{
    munmap(guard->map, guard->bytes);
}

#endif
