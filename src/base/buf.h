// Owned bytes that grow up to a ceiling given when the buffer is made.
#ifndef WEIR_BASE_BUF_H
#define WEIR_BASE_BUF_H

#include "base/slice.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max;
    bool has_failed; // an append was refused; the content is then incomplete
};

// Takes no memory yet.
void buf_init(struct buf *buf, size_t max_bytes);
// Frees. Safe on a zeroed buffer and twice.
void buf_fini(struct buf *buf);
// Empties, keeps the memory.
void buf_reset(struct buf *buf);
// The rest of buf_reserve, for when there is too little room. Apart, so that a caller saves no registers for it.
bool buf_grow(struct buf *buf, size_t more) __attribute__((noinline));
// Makes room for `more` bytes behind the content. False past the ceiling or without memory.
static inline bool buf_reserve(struct buf *buf, size_t more)
{
    return (buf->ptr && more <= buf->cap - buf->len) || buf_grow(buf, more);
}

// Each append is whole or not at all; a refused one gives false and sets has_failed.
static inline bool buf_append(struct buf *buf, struct slice s)
{
    if (!buf_reserve(buf, s.len))
        return false;
    if (s.len)
        memcpy(buf->ptr + buf->len, s.ptr, s.len);
    buf->len += s.len;
    return true;
}

static inline bool buf_append_byte(struct buf *buf, char byte)
{
    if (buf->len == buf->cap && !buf_grow(buf, 1))
        return false;
    buf->ptr[buf->len++] = byte;
    return true;
}

bool buf_append_u64(struct buf *buf, uint64_t value);
bool buf_append_i64(struct buf *buf, int64_t value);
// Formatted text (C locale). Not for the request path.
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Takes the first `len` bytes away.
void buf_drop_front(struct buf *buf, size_t len);

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->ptr, buf->len};
}

#endif
