// SSE framing: the first byte says where the text is cut; whole and cut must give the same events, and together they
// must be all bytes of the input.
#include "http/sse.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static void take(struct buf *out, const struct sse_event *event, size_t *raw_bytes)
{
    *raw_bytes += event->raw.len;
    if (event->is_late_lf) // where the text is cut decides whether it comes by itself
        return;
    buf_append(out, event->event);
    buf_append_byte(out, event->has_data ? '=' : '-');
    buf_append(out, event->data);
    buf_append_byte(out, 0);
}

static void run(struct slice text, size_t step, struct buf *out)
{
    struct sse_parser parser;
    struct sse_event event;
    enum sse_status status = SSE_NEED_MORE;
    size_t raw_bytes = 0;
    sse_init(&parser, 512);
    for (size_t at = 0; at < text.len && status != SSE_TOO_LARGE; at += step) {
        struct slice piece = slice_sub(text, at, step);
        while ((status = sse_next(&parser, &piece, &event)) == SSE_EVENT)
            take(out, &event, &raw_bytes);
    }
    if (sse_finish(&parser, &event))
        take(out, &event, &raw_bytes);
    REQUIRE(status == SSE_TOO_LARGE || raw_bytes == text.len);
    buf_append_byte(out, status == SSE_TOO_LARGE ? '!' : '.');
    sse_fini(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, split;
    if (size == 0)
        return 0;
    struct slice text = slice_make((const char *)data + 1, size - 1);
    buf_init(&whole, SIZE_MAX / 2);
    buf_init(&split, SIZE_MAX / 2);
    run(text, text.len ? text.len : 1, &whole);
    run(text, (size_t)data[0] % 16 + 1, &split);
    REQUIRE(slice_eq(buf_slice(&whole), buf_slice(&split)));
    buf_fini(&whole);
    buf_fini(&split);
    return 0;
}
