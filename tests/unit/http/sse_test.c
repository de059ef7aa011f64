// SSE framing: every spelling of line ends, every split, every limit (S8).
#include "http/sse.h"
#include "guard_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define LIMIT 4096

// Events as one text: `[event|data]` or `[event|-]`, raw bytes counted; the unfinished one after '~'.
static void print_event(struct buf *out, const struct sse_event *event)
{
    if (event->is_late_lf) { // as if it had come with its event
        assert_true(out->len > 0 && !event->has_data);
        out->ptr[out->len - 1] = '\n';
        buf_append_byte(out, ']');
        return;
    }
    buf_append_byte(out, '[');
    buf_append(out, event->event);
    buf_append_byte(out, '|');
    buf_append(out, event->has_data ? event->data : SLICE("(none)"));
    buf_append_byte(out, '|');
    buf_append(out, event->raw);
    buf_append_byte(out, ']');
}

static bool feed(struct sse_parser *parser, struct slice piece, struct buf *out)
{
    static struct guard_page guard; // kept: there are very many pieces
    struct slice input = guard_page_copy(&guard, piece);
    struct sse_event event;
    enum sse_status status;
    while ((status = sse_next(parser, &input, &event)) == SSE_EVENT)
        print_event(out, &event);
    if (status == SSE_NEED_MORE)
        assert_int_equal(input.len, 0);
    return status == SSE_NEED_MORE;
}

static void finish(struct sse_parser *parser, struct buf *out)
{
    struct sse_event event;
    buf_append_byte(out, '~');
    if (sse_finish(parser, &event))
        print_event(out, &event);
    buf_append_byte(out, '\0');
}

// `cuts` ascending offsets.
static void run_split(struct slice text, const size_t *cuts, size_t count, struct buf *out)
{
    struct sse_parser parser;
    sse_init(&parser, LIMIT);
    size_t from = 0;
    bool is_fine = true;
    for (size_t i = 0; i <= count && is_fine; i++) {
        size_t to = i < count ? cuts[i] : text.len;
        is_fine = feed(&parser, slice_sub(text, from, to - from), out);
        from = to;
    }
    if (!is_fine)
        buf_append(out, SLICE("TOO LARGE"));
    finish(&parser, out);
    sse_fini(&parser);
}

static void expect_any_split(struct slice text, const char *expected)
{
    struct buf whole, split;
    buf_init(&whole, 1 << 20);
    buf_init(&split, 1 << 20);
    run_split(text, NULL, 0, &whole);
    if (expected)
        assert_string_equal(whole.ptr, expected);
    for (size_t i = 0; i <= text.len; i++)
        for (size_t k = i; k <= text.len; k++) {
            buf_reset(&split);
            run_split(text, (size_t[]){i, k}, 2, &split);
            assert_string_equal(split.ptr, whole.ptr);
        }
    size_t *every = calloc(text.len + 1, sizeof *every);
    for (size_t i = 0; i < text.len; i++)
        every[i] = i;
    buf_reset(&split);
    run_split(text, every, text.len, &split);
    assert_string_equal(split.ptr, whole.ptr);
    free(every);
    buf_fini(&whole);
    buf_fini(&split);
}

static void line_ends(void **state)
{
    (void)state;
    expect_any_split(SLICE("data: a\n\ndata:b\n\n"), "[|a|data: a\n\n][|b|data:b\n\n]~");
    expect_any_split(SLICE("data: a\r\n\r\ndata:b\r\n\r\n"), "[|a|data: a\r\n\r\n][|b|data:b\r\n\r\n]~");
    expect_any_split(SLICE("data: a\r\rdata:b\r\r"), "[|a|data: a\r\r][|b|data:b\r\r]~");
    expect_any_split(SLICE("data: a\r\n\ndata:b\n\rdata:c\r\r\n"),
                     "[|a|data: a\r\n\n][|b|data:b\n\r][|c|data:c\r\r\n]~");
}

static void fields(void **state)
{
    (void)state;
    expect_any_split(SLICE("event: x\ndata: 1\n\n"), "[x|1|event: x\ndata: 1\n\n]~");
    expect_any_split(SLICE("data:  two\ndata\ndata:\ndata:3\nid: 7\n\n"),
                     "[| two\n\n\n3|data:  two\ndata\ndata:\ndata:3\nid: 7\n\n]~");
    expect_any_split(SLICE(": hi\r\n\r\n\n"), "[|(none)|: hi\r\n\r\n][|(none)|\n]~");
    expect_any_split(SLICE("dat: 1\ndataset: 2\nevent:a\nevent:b\ndata: 1\r\ndata: 2\r\n\r\n"),
                     "[b|1\n2|dat: 1\ndataset: 2\nevent:a\nevent:b\ndata: 1\r\ndata: 2\r\n\r\n]~");
}

static void byte_order_mark(void **state)
{
    (void)state;
    expect_any_split(SLICE("\xef\xbb\xbf"
                           "data: a\n\n\xef\xbb\xbf"
                           "data: b\n\n"),
                     "[|a|\xef\xbb\xbf"
                     "data: a\n\n][|(none)|\xef\xbb\xbf"
                     "data: b\n\n]~");
}

static void unfinished(void **state)
{
    (void)state;
    expect_any_split(SLICE("data: a\n\ndata: b\n"), "[|a|data: a\n\n]~[|b|data: b\n]");
    expect_any_split(SLICE("data: a\n\ndata: b"), "[|a|data: a\n\n]~[|b|data: b]");
    expect_any_split(SLICE("data: a\r\ndata: b\r"), "~[|a\nb|data: a\r\ndata: b\r]");
    expect_any_split(SLICE("data: a\n\n:x"), "[|a|data: a\n\n]~[|(none)|:x]");
    expect_any_split(SLICE("data: a\n\r"), "[|a|data: a\n\r]~");
    expect_any_split(SLICE(""), "~");
}

static void limit(void **state)
{
    (void)state;
    struct buf text, out;
    buf_init(&text, 1 << 16);
    for (int over = 0; over < 2; over++) {
        for (size_t cut = 0; cut < 4200; cut += 100) {
            buf_reset(&text);
            buf_append(&text, SLICE("data: "));
            while (text.len < LIMIT - 2 + (size_t)over)
                buf_append_byte(&text, 'x');
            buf_append(&text, SLICE("\n\ndata: y\n\n"));
            buf_init(&out, 1 << 16);
            run_split(buf_slice(&text), &cut, 1, &out);
            assert_true((slice_find_slice(buf_slice(&out), SLICE("TOO LARGE")) != SLICE_NOT_FOUND) == (over == 1));
            assert_true((slice_find_slice(buf_slice(&out), SLICE("|y|")) != SLICE_NOT_FOUND) == (over == 0));
            buf_fini(&out);
        }
    }
    buf_fini(&text);
}

// A whole event in the input is lent from there.
static void no_copy(void **state)
{
    (void)state;
    struct sse_parser parser;
    struct sse_event event;
    struct slice input = SLICE("event: e\ndata: {\"a\":1}\n\n");
    const char *begin = input.ptr;
    sse_init(&parser, LIMIT);
    assert_int_equal(sse_next(&parser, &input, &event), SSE_EVENT);
    assert_ptr_equal(event.raw.ptr, begin);
    assert_ptr_equal(event.data.ptr, begin + 15);
    assert_null(parser.partial.ptr);
    sse_fini(&parser);
}

// Any mixture of the bytes that matter gives the same events however it is cut.
static void random_texts(void **state)
{
    (void)state;
    static const char *const words[] = {"\n",    "\r", "\r\n", "data",   ":",           " ",
                                        "event", "x",  "\n\n", "data: ", "\xef\xbb\xbf"};
    unsigned seed = 1;
    for (int round = 0; round < 100; round++) {
        struct buf text;
        buf_init(&text, 4096);
        for (int i = 0; i < 14; i++)
            buf_append(&text, slice_from_cstr(words[(unsigned)rand_r(&seed) % (sizeof words / sizeof *words)]));
        expect_any_split(buf_slice(&text), NULL);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_ends),    cmocka_unit_test(fields), cmocka_unit_test(byte_order_mark),
        cmocka_unit_test(unfinished),   cmocka_unit_test(limit),  cmocka_unit_test(no_copy),
        cmocka_unit_test(random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
