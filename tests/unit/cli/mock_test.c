// The mock: requests at every split, answers that are what an OpenAI client expects, timers that keep their order.
#include "cli/mock_answer.h"
#include "cli/mock_wheel.h"
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct mock_options options;

static enum mock_parse parse(struct slice input, struct buf *chunks, struct mock_request *request, size_t *bytes)
{
    options = mock_options_default();
    return mock_request_parse(input, &options, chunks, request, bytes);
}

// Each proper prefix asks for more; the whole is understood, whatever follows it. The bytes stand in a block of their
// exact size, so that a read past the end is seen.
static void check_every_split(struct slice whole, struct slice body)
{
    struct buf chunks;
    struct mock_request request;
    size_t bytes = 0;
    buf_init(&chunks, 1 << 20);
    for (size_t len = 0; len < whole.len; len++) {
        char *exact = malloc(len + 1);
        memcpy(exact, whole.ptr, len);
        assert_int_equal(parse(slice_make(exact, len), &chunks, &request, &bytes), MOCK_PARSE_MORE);
        free(exact);
    }
    assert_int_equal(parse(whole, &chunks, &request, &bytes), MOCK_PARSE_DONE);
    assert_int_equal(bytes, whole.len);
    assert_true(slice_eq(request.body, body));
    buf_fini(&chunks);
}

static void test_requests_at_every_split(void **state)
{
    (void)state;
    check_every_split(SLICE("POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
                      SLICE("hello"));
    check_every_split(
        SLICE("POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;e=1\r\nhel\r\n02\r\nlo\r\n0\r\nt: 1\r\n\r\n"),
        SLICE("hello"));
    check_every_split(SLICE("GET /v1/models HTTP/1.1\r\n\r\n"), SLICE(""));
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const struct slice bad[] = {SLICE_INIT("\r\n\r\n"),
                                       SLICE_INIT("GET\r\n\r\n"),
                                       SLICE_INIT("GET / HTTP/2\r\n\r\n"),
                                       SLICE_INIT("GET / HTTP/1.1\r\nno colon\r\n\r\n"),
                                       SLICE_INIT("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"),
                                       SLICE_INIT("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")};
    struct buf chunks;
    struct mock_request request;
    size_t bytes = 0;
    buf_init(&chunks, 1 << 20);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i], &chunks, &request, &bytes), MOCK_PARSE_BAD);
    buf_fini(&chunks);
}

static void test_wishes_are_read(void **state)
{
    (void)state;
    struct buf chunks;
    struct mock_request request;
    size_t bytes = 0;
    buf_init(&chunks, 1 << 20);
    struct slice text =
        SLICE("GET / HTTP/1.1\r\nX-Mock-Status: 429\r\nx-mock-retry-after: 7\r\nx-mock-delay: 2s\r\nx-mock-cut: 3\r\n"
              "x-mock-stall:\r\nx-mock-tokens: 9\r\nx-mock-rate: 50\r\nx-mock-chunk: 11\r\n\r\n");
    assert_int_equal(parse(text, &chunks, &request, &bytes), MOCK_PARSE_DONE);
    assert_int_equal(request.wishes.status, 429);
    assert_true(slice_eq(request.wishes.retry_after, SLICE("7")));
    assert_int_equal(request.wishes.delay_us, 2000000);
    assert_int_equal(request.wishes.cut_after, 3);
    assert_true(request.wishes.is_silent);
    assert_int_equal(request.wishes.tokens, 9);
    assert_int_equal(request.wishes.rate, 50);
    assert_int_equal(request.wishes.chunk_bytes, 11);
    buf_fini(&chunks);
}

// ---- answers --------------------------------------------------------------------------------------------------------

struct answered {
    struct buf bytes;
    struct slice body;
    enum mock_step step;
};

static struct answered answer(struct slice path, struct slice extra, struct slice json)
{
    struct answered answered = {0};
    struct mock_maker maker;
    struct mock_answer state = {0};
    struct mock_request request;
    struct buf chunks, text;
    size_t bytes = 0;
    mock_maker_init(&maker, 1767225600);
    buf_init(&answered.bytes, 8 << 20);
    buf_init(&chunks, 1 << 20);
    buf_init(&text, 1 << 20);
    buf_printf(&text, "POST " SLICE_FMT " HTTP/1.1\r\n" SLICE_FMT "content-length: %zu\r\n\r\n" SLICE_FMT,
               SLICE_ARG(path), SLICE_ARG(extra), json.len, SLICE_ARG(json));
    assert_int_equal(parse(buf_slice(&text), &chunks, &request, &bytes), MOCK_PARSE_DONE);
    answered.step = mock_answer_begin(&state, &maker, &request, 0, &answered.bytes);
    while (answered.step == MOCK_STEP_MORE)
        answered.step = mock_answer_next(&state, &maker, 0, &answered.bytes);
    size_t head = slice_find_slice(buf_slice(&answered.bytes), SLICE("\r\n\r\n"));
    assert_int_not_equal(head, SLICE_NOT_FOUND);
    answered.body = slice_from(buf_slice(&answered.bytes), head + 4);
    mock_answer_fini(&state);
    mock_maker_fini(&maker);
    buf_fini(&chunks);
    buf_fini(&text);
    return answered;
}

static bool has(struct slice text, struct slice part)
{
    return slice_find_slice(text, part) != SLICE_NOT_FOUND;
}

static void test_whole_answers_are_json_with_usage(void **state)
{
    (void)state;
    static const struct slice paths[] = {SLICE_INIT("/v1/chat/completions"),
                                         SLICE_INIT("/v1/completions"),
                                         SLICE_INIT("/v1/embeddings"),
                                         SLICE_INIT("/v1/responses"),
                                         SLICE_INIT("/v1/responses/input_tokens"),
                                         SLICE_INIT("/v1/images/generations"),
                                         SLICE_INIT("/openai/v1/models"),
                                         SLICE_INIT("/tokenize"),
                                         SLICE_INIT("/nothing")};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct answered got =
            answer(paths[i], SLICE(""), SLICE("{\"model\":\"a\\u0062\",\"input\":[\"x\",\"y\"],\"messages\":[]}"));
        size_t at = 0;
        assert_int_equal(got.step, MOCK_STEP_END);
        assert_int_equal(json_validate(got.body, &at), JSON_OK);
        buf_fini(&got.bytes);
    }
    struct answered got =
        answer(SLICE("/v1/chat/completions"), SLICE(""),
               SLICE("{\"model\":\"m\",\"max_tokens\":3,\"messages\":[{\"content\":\"12345678901234\"}]}"));
    assert_true(has(got.body, SLICE("\"content\":\"Water runs over\"")));
    assert_true(has(got.body, SLICE("\"completion_tokens\":3")));
    assert_true(has(got.body, SLICE("\"finish_reason\":\"length\"")));
    buf_fini(&got.bytes);
}

static size_t count_of(struct slice text, struct slice part)
{
    size_t count = 0;
    for (size_t at; (at = slice_find_slice(text, part)) != SLICE_NOT_FOUND; count++)
        text = slice_from(text, at + part.len);
    return count;
}

static void test_streams_have_an_event_for_each_token(void **state)
{
    (void)state;
    struct answered got =
        answer(SLICE("/v1/chat/completions"), SLICE("x-mock-tokens: 5\r\n"),
               SLICE("{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[]}"));
    assert_int_equal(got.step, MOCK_STEP_END);
    assert_int_equal(count_of(got.body, SLICE("data: ")), 1 + 5 + 1 + 1 + 1);
    assert_int_equal(count_of(got.body, SLICE("\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":5")),
                     1);
    assert_true(slice_ends_with(got.body, SLICE("data: [DONE]\n\n\r\n0\r\n\r\n")));
    buf_fini(&got.bytes);
    got = answer(SLICE("/v1/chat/completions"), SLICE("x-mock-tokens: 5\r\n"),
                 SLICE("{\"model\":\"m\",\"stream\":true}"));
    assert_int_equal(count_of(got.body, SLICE("usage")), 0);
    buf_fini(&got.bytes);
    got = answer(SLICE("/v1/responses"), SLICE("x-mock-tokens: 5\r\n"),
                 SLICE("{\"model\":\"m\",\"stream\":true,\"input\":\"x\"}"));
    assert_int_equal(count_of(got.body, SLICE("event: response.output_text.delta")), 5);
    assert_int_equal(count_of(got.body, SLICE("event: response.completed")), 1);
    buf_fini(&got.bytes);
}

static void test_faults(void **state)
{
    (void)state;
    struct slice stream = SLICE("{\"model\":\"m\",\"stream\":true}");
    struct answered got = answer(SLICE("/v1/chat/completions"), SLICE("x-mock-cut: 2\r\n"), stream);
    assert_int_equal(got.step, MOCK_STEP_CUT);
    assert_int_equal(count_of(got.body, SLICE("data: ")), 2);
    buf_fini(&got.bytes);
    got = answer(SLICE("/v1/chat/completions"), SLICE("x-mock-stall: 3\r\n"), stream);
    assert_int_equal(got.step, MOCK_STEP_STALL);
    assert_int_equal(count_of(got.body, SLICE("data: ")), 3);
    buf_fini(&got.bytes);
    got = answer(SLICE("/v1/chat/completions"), SLICE("x-mock-status: 429\r\nx-mock-retry-after: 3\r\n"), stream);
    assert_true(slice_starts_with(buf_slice(&got.bytes), SLICE("HTTP/1.1 429 ")));
    assert_true(has(buf_slice(&got.bytes), SLICE("retry-after: 3\r\n")));
    assert_true(has(got.body, SLICE("rate_limit_error")));
    buf_fini(&got.bytes);
    got = answer(SLICE("/v1/chat/completions"), SLICE("x-mock-body-bytes: 300000\r\n"), SLICE("{\"model\":\"m\"}"));
    assert_int_equal(got.body.len, 300000);
    buf_fini(&got.bytes);
    got = answer(SLICE("/v1/chat/completions"), SLICE("x-mock-echo: 1\r\n"), SLICE("{\"model\":\"m\"}"));
    assert_true(has(got.body, SLICE("[\"x-mock-echo\",\"1\"]")));
    assert_true(has(got.body, SLICE("\"body\":\"{\\\"model\\\":\\\"m\\\"}\"")));
    buf_fini(&got.bytes);
    got = answer(SLICE("/v1/chat/completions"), SLICE(""), SLICE("{\"model\":"));
    assert_true(slice_starts_with(buf_slice(&got.bytes), SLICE("HTTP/1.1 400 ")));
    buf_fini(&got.bytes);
}

// ---- timers ---------------------------------------------------------------------------------------------------------

static void test_timers_come_when_due(void **state)
{
    (void)state;
    struct mock_wheel *wheel = malloc(sizeof *wheel);
    struct mock_timer timers[4] = {0};
    const int64_t due[] = {1005, 1001, 1000 + MOCK_WHEEL_SLOTS + 5, 1003};
    mock_wheel_init(wheel, 1000);
    assert_int_equal(mock_wheel_wait_ms(wheel, 1000), -1);
    for (size_t i = 0; i < 4; i++)
        mock_wheel_set(wheel, &timers[i], due[i]);
    mock_wheel_clear(wheel, &timers[3]);
    assert_int_equal(mock_wheel_wait_ms(wheel, 1000), 1);
    assert_null(mock_wheel_next(wheel, 1000));
    assert_ptr_equal(mock_wheel_next(wheel, 1002), &timers[1]);
    assert_null(mock_wheel_next(wheel, 1004));
    assert_ptr_equal(mock_wheel_next(wheel, 1005), &timers[0]);
    assert_null(mock_wheel_next(wheel, 1005));
    int64_t now = 1005;
    while (!timers[3].link && now < 20000) { // the far one comes at its own turn, not a turn early
        int wait = mock_wheel_wait_ms(wheel, now);
        assert_true(wait >= 0);
        now += wait > 0 ? wait : 1;
        if (mock_wheel_next(wheel, now) == &timers[2])
            break;
    }
    assert_int_equal(now, due[2]);
    assert_int_equal(wheel->count, 0);
    free(wheel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_at_every_split),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_wishes_are_read),
        cmocka_unit_test(test_whole_answers_are_json_with_usage),
        cmocka_unit_test(test_streams_have_an_event_for_each_token),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_timers_come_when_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
