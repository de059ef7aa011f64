// Usage and model of responses in every shape, whatever the splits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "usage/reader.h"

#define NO UINT64_MAX

struct expected {
    uint64_t tokens[USAGE_KIND_COUNT]; // input, cached, cache creation, output, total, reasoning; NO: not set
    const char *model;
};

static void check(const struct usage_reader *reader, const struct expected *expected, const char *what)
{
    const struct usage *usage = usage_reader_usage(reader);
    for (unsigned kind = 0; kind < USAGE_KIND_COUNT; kind++) {
        uint64_t got = usage_has(usage, kind) ? usage->tokens[kind] : NO;
        if (got != expected->tokens[kind])
            fail_msg("kind %u is %llu: %s", kind, (unsigned long long)got, what);
    }
    if (!slice_eq(usage_reader_model(reader), slice_from_cstr(expected->model)))
        fail_msg("model is " SLICE_FMT ": %s", SLICE_ARG(usage_reader_model(reader)), what);
}

static const struct {
    enum usage_shape shape;
    const char *body;
    struct expected expected;
} bodies[] = {
    {USAGE_SHAPE_CHAT,
     "{\"id\":\"x\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"message\":{\"content\":\"\\\"usage\\\":{\\\\\"}}],"
     "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":20,\"total_tokens\":120,\"prompt_tokens_details\":"
     "{\"cached_tokens\":64,\"audio_tokens\":0,\"cache_creation_input_tokens\":7},\"completion_tokens_details\":"
     "{\"reasoning_tokens\":12}},\"system_fingerprint\":null}",
     {{100, 64, 7, 20, 120, 12}, "gpt-4o-2024-08-06"}},
    {USAGE_SHAPE_CHAT,
     " {\n \"usage\" : { \"completion_tokens\" : 3 , \"prompt_tokens\" : 4 } , \"model\" : \"m\\u002d1\\n\" }\n",
     {{4, NO, NO, 3, 7, NO}, "m-1\n"}},
    {USAGE_SHAPE_CHAT, "{\"usage\":null,\"model\":null}", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT,
     "{\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":2.5,\"total_tokens\":\"9\"}}",
     {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT,
     "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":18446744073709551615}}",
     {{1, NO, NO, UINT64_MAX - 0, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT,
     "{\"a\":{\"usage\":{\"prompt_tokens\":1}},\"b\":[{\"model\":\"no\"}],\"c\":\"usage\"}",
     {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT, "{\"usage\":{\"prompt_tokens\":1,}}", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT, "[{\"usage\":{\"prompt_tokens\":1}}]", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT, "<html>{\"usage\":{\"prompt_tokens\":1}}</html>", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT, "{\"usage\":{\"prompt_tokens\":1}", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT,
     "{\"averyveryveryverylongnameofamember\":1,\"\":2,\"usage\":{\"prompt_tokens\":1}}",
     {{1, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_EMBEDDING,
     "{\"object\":\"list\",\"data\":[{\"embedding\":[0.1,-2e-5,[]],\"index\":0}],\"model\":\"e3\",\"usage\":{\"prompt_"
     "tokens\":8,"
     "\"total_tokens\":8}}",
     {{8, NO, NO, NO, 8, NO}, "e3"}},
    {USAGE_SHAPE_RESPONSES,
     "{\"model\":\"gpt-5\",\"output\":[{\"usage\":1}],\"usage\":{\"input_tokens\":36,\"input_tokens_details\":{"
     "\"cached_tokens\":5,"
     "\"cache_creation_input_tokens\":2},\"output_tokens\":87,\"output_tokens_details\":{\"reasoning_tokens\":80},"
     "\"total_tokens\":123}}",
     {{36, 5, 2, 87, 123, 80}, "gpt-5"}},
    {USAGE_SHAPE_COUNT, "{\"object\":\"response.input_tokens\",\"input_tokens\":11}", {{11, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT, "{\"input_tokens\":11}", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_MEDIA,
     "{\"data\":[{\"b64_json\":\"AAAA\"}],\"usage\":{\"total_tokens\":9,\"input_tokens\":4,\"output_tokens\":5}}",
     {{4, NO, NO, 5, 9, NO}, ""}},
    // What is malformed anywhere in the object, or stands elsewhere than where it belongs, is not believed.
    {USAGE_SHAPE_CHAT,
     "{\"usage\":{\"prompt_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":01}}}",
     {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT, "{\"usage\":{\"prompt_tokens\":1,\"x\":[{\"y\":\"\\x\"}]}}", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT, "{\"usage\":{\"prompt_tokens\":1} 2}", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT,
     "{\"usage\":{\"prompt_tokens_details\":{\"x\":{\"cached_tokens\":1},\"cached_tokens\":2},\"cached_tokens\":3,"
     "\"completion_tokens_details\":[{\"reasoning_tokens\":4},5],\"x\":{\"prompt_tokens\":6}}}",
     {{NO, 2, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT,
     "{\"usage\":{\"prompt_tokens\":1,\"prompt_tokens\":2,\"prompt_tokens\":null,\"compl\\u0065tion_tokens\":3}}",
     {{2, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_CHAT, "{\"usage\":[{\"prompt_tokens\":1}],\"usage\":7}", {{NO, NO, NO, NO, NO, NO}, ""}},
    {USAGE_SHAPE_NONE, "{\"usage\":{\"prompt_tokens\":1,\"input_tokens\":1}}", {{NO, NO, NO, NO, NO, NO}, ""}},
};

// The body in pieces of `step` bytes behind a first piece of `first`.
static void check_split(size_t index, size_t first, size_t step)
{
    struct arena arena;
    struct slice rest = slice_from_cstr(bodies[index].body);
    arena_init(&arena, 4096, 65536);
    struct usage_reader *reader = usage_reader_new(&arena, bodies[index].shape, NULL);
    assert_non_null(reader);
    usage_reader_piece(reader, slice_sub(rest, 0, first), false);
    for (rest = slice_from(rest, first); rest.len; rest = slice_from(rest, step)) {
        // A copy of its own, so that a sanitizer sees a reading of bytes that are gone.
        struct slice piece = slice_sub(rest, 0, step);
        char *copy = malloc(piece.len);
        memcpy(copy, piece.ptr, piece.len);
        usage_reader_piece(reader, slice_make(copy, piece.len), false);
        free(copy);
    }
    usage_reader_piece(reader, (struct slice){NULL, 0}, true);
    check(reader, &bodies[index].expected, bodies[index].body);
    usage_reader_fini(reader);
    arena_fini(&arena);
}

static void test_bodies_at_every_split(void **state)
{
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        size_t len = strlen(bodies[i].body);
        for (size_t first = 0; first <= len; first++)
            check_split(i, first, len);
        for (size_t step = 1; step < 20; step++)
            check_split(i, 0, step);
    }
    (void)state;
}

static void test_large_members_are_passed_over(void **state)
{
    struct arena arena;
    struct buf body;
    arena_init(&arena, 4096, 65536);
    buf_init(&body, 1 << 20);
    buf_printf(&body, "{\"model\":\"m\",\"usage\":{\"x\":\"");
    while (body.len < 200000)
        buf_append_byte(&body, 'x');
    buf_printf(&body, "\",\"prompt_tokens\":5},\"model\":\"n\"}");
    for (int is_whole = 0; is_whole < 2; is_whole++) {
        struct usage_reader *reader = usage_reader_new(&arena, USAGE_SHAPE_CHAT, NULL);
        for (size_t at = 0; at < body.len; at += is_whole ? body.len : 1000)
            usage_reader_piece(reader, slice_sub(buf_slice(&body), at, is_whole ? body.len : 1000), false);
        usage_reader_piece(reader, (struct slice){NULL, 0}, true);
        check(reader, &(struct expected){{NO, NO, NO, NO, NO, NO}, "n"}, "large");
        usage_reader_fini(reader);
    }
    buf_fini(&body);
    arena_fini(&arena);
    (void)state;
}

struct event_case {
    const char *data;
    bool is_usage_only;
};

static void check_events(enum usage_shape shape, const struct event_case *events, size_t count,
                         const struct expected *expected)
{
    struct arena arena;
    arena_init(&arena, 4096, 65536);
    struct usage_reader *reader = usage_reader_new(&arena, shape, usage_reader_names(&arena));
    assert_non_null(reader);
    for (size_t i = 0; i < count; i++) {
        struct sse_event event = {.data = slice_from_cstr(events[i].data), .has_data = events[i].data != NULL};
        bool is_usage_only = usage_reader_event(reader, &event);
        if (is_usage_only != events[i].is_usage_only)
            fail_msg("event %zu", i);
    }
    check(reader, expected, "stream");
    usage_reader_fini(reader);
    arena_fini(&arena);
}

static void test_chat_stream(void **state)
{
    static const struct event_case events[] = {
        {NULL, false},
        {"{\"model\":\"gpt-4o-x\",\"choices\":[{\"delta\":{\"role\":\"assistant\"}}],\"usage\":null}", false},
        {"{\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\"\"}}]}", false},
        {"not json \"usage\"", false},
        {"{\"choices\":[],\"usage\":null}", false},
        {"{\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}", false},
        {"{\"model\":\"\",\"choices\": [ ] "
         ",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_tokens\":13}}",
         true},
        {"[DONE]", false},
    };
    check_events(USAGE_SHAPE_CHAT, events, sizeof events / sizeof *events,
                 &(struct expected){{5, NO, NO, 7, 13, NO}, "gpt-4o-x"});
    (void)state;
}

static void test_total_follows_later_figures(void **state)
{
    static const struct event_case events[] = {
        {"{\"choices\":[{}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}", false},
        {"{\"choices\":[{}],\"usage\" :\n {\"prompt_tokens\":5,\"completion_tokens\":9}}", false},
    };
    check_events(USAGE_SHAPE_CHAT, events, 2, &(struct expected){{5, NO, NO, 9, 14, NO}, ""});
    (void)state;
}

static void test_responses_stream(void **state)
{
    static const struct event_case events[] = {
        {"{\"type\":\"response.created\",\"response\":{\"model\":\"gpt-5-x\",\"usage\":null}}", false},
        {"{\"type\":\"response.output_text.delta\",\"delta\":\"usage\"}", false},
        {"{\"type\":\"response.incomplete\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":4,"
         "\"output_tokens_details\":{\"reasoning_tokens\":2}}}}",
         false},
    };
    check_events(USAGE_SHAPE_RESPONSES, events, 3, &(struct expected){{3, NO, NO, 4, 7, 2}, "gpt-5-x"});
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_at_every_split), cmocka_unit_test(test_large_members_are_passed_over),
        cmocka_unit_test(test_chat_stream),           cmocka_unit_test(test_total_follows_later_figures),
        cmocka_unit_test(test_responses_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
