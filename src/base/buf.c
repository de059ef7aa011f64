// Growable bytes with a ceiling.
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *buf, size_t max_bytes)
{
    *buf = (struct buf){.max = max_bytes};
}

void buf_fini(struct buf *buf)
{
    free(buf->ptr);
    buf_init(buf, buf->max);
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->has_failed = false;
}

static bool refuse(struct buf *buf)
{
    buf->has_failed = true;
    return false;
}

bool buf_grow(struct buf *buf, size_t more)
{
    size_t need;
    if (more == 0)
        return true;
    if (__builtin_add_overflow(buf->len, more, &need) || need > buf->max)
        return refuse(buf);
    size_t cap = buf->cap > buf->max / 2 ? buf->max : buf->cap * 2;
    if (cap < 64)
        cap = buf->max < 64 ? buf->max : 64;
    if (cap < need)
        cap = need;
    char *grown = realloc(buf->ptr, cap);
    if (!grown)
        return refuse(buf);
    buf->ptr = grown;
    buf->cap = cap;
    return true;
}

static size_t count_digits(uint64_t value)
{
    size_t count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

bool buf_append_u64(struct buf *buf, uint64_t value)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051"
        "525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    size_t count = count_digits(value);
    if (!buf_reserve(buf, count))
        return false;
    buf->len += count;
    char *at = buf->ptr + buf->len; // from the last digit to the first
    for (; value >= 100; value /= 100)
        memcpy(at -= 2, pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(at - 2, pairs + value * 2, 2);
    else
        at[-1] = (char)('0' + value);
    return true;
}

bool buf_append_i64(struct buf *buf, int64_t value)
{
    if (value >= 0)
        return buf_append_u64(buf, (uint64_t)value);
    return buf_append_byte(buf, '-') && buf_append_u64(buf, 0 - (uint64_t)value);
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !buf_reserve(buf, (size_t)len + 1))
        return refuse(buf);
    va_start(args, format);
    vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
    return true;
}

void buf_drop_front(struct buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove(buf->ptr, buf->ptr + len, buf->len - len);
    buf->len -= len;
}
