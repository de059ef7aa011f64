// The endpoint table, targets, error shapes, and OpenAI's way to ask for usage.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schema/openai/openai.h"
#include "schema/schema.h"

static void assert_slice(struct slice got, const char *wanted)
{
    if (!slice_eq(got, slice_from_cstr(wanted)))
        fail_msg("got \"" SLICE_FMT "\", wanted \"%s\"", SLICE_ARG(got), wanted);
}

static void finds_endpoints_by_exact_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < ENDPOINT_COUNT; i++) {
        const struct endpoint *endpoint = endpoint_at((enum endpoint_id)i);
        assert_int_equal(endpoint->id, i);
        assert_ptr_equal(endpoint_find(endpoint->path), endpoint);
    }
    static const char *others[] = {"", "/", "/v1", "/v1/chat/completions/", "/V1/chat/completions", "/v1/completion"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_null(endpoint_find(slice_from_cstr(others[i])));
    assert_null(endpoint_at(ENDPOINT_NONE));
}

static void makes_targets(void **state)
{
    (void)state;
    static const struct {
        enum endpoint_id endpoint;
        const char *prefix;
        const char *from;
        const char *to;
    } cases[] = {
        {ENDPOINT_CHAT_COMPLETIONS, "v1", "/v1/chat/completions", "/v1/chat/completions"},
        {ENDPOINT_CHAT_COMPLETIONS, "v1", "/v1/chat/completions?", "/v1/chat/completions?"},
        {ENDPOINT_CHAT_COMPLETIONS, "v2", "/v1/chat/completions?a=/v1/x", "/v2/chat/completions?a=/v1/x"},
        {ENDPOINT_CHAT_COMPLETIONS, "", "/v1/chat/completions", "/chat/completions"},
        {ENDPOINT_CHAT_COMPLETIONS, "openai/v1", "/v1/chat/completions?q", "/openai/v1/chat/completions?q"},
        {ENDPOINT_RESPONSES_INPUT_TOKENS, "v1beta", "/v1/responses/input_tokens", "/v1beta/responses/input_tokens"},
        {ENDPOINT_TOKENIZE, "v1", "/tokenize?x", "/tokenize?x"},
    };
    struct arena arena;
    arena_init(&arena, 1024, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_backend backend = {.schema = SCHEMA_OPENAI, .prefix = slice_from_cstr(cases[i].prefix)};
        assert_slice(
            schema_target(endpoint_at(cases[i].endpoint), &backend, SLICE("m"), slice_from_cstr(cases[i].from), &arena),
            cases[i].to);
    }
    arena_fini(&arena);
}

static void writes_errors_in_the_familys_shape(void **state)
{
    (void)state;
    struct schema_error error = {.status = 404,
                                 .type = SLICE("invalid_request_error"),
                                 .code = SLICE("model_not_found"),
                                 .message = SLICE("no \"x\"\n"),
                                 .request_id = SLICE("id-1")};
    struct buf buf;
    buf_init(&buf, 4096);
    assert_true(schema_write_error(FAMILY_OPENAI, &error, &buf));
    assert_slice(buf_slice(&buf), "{\"error\":{\"message\":\"no \\\"x\\\"\\n\",\"type\":\"invalid_request_error\","
                                  "\"param\":null,\"code\":\"model_not_found\"}}");
    buf_reset(&buf);
    assert_true(schema_write_error(FAMILY_ANTHROPIC, &error, &buf));
    assert_slice(buf_slice(&buf), "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":"
                                  "\"no \\\"x\\\"\\n\"},\"request_id\":\"id-1\"}");
    buf_reset(&buf);
    assert_true(schema_write_error_event(endpoint_at(ENDPOINT_CHAT_COMPLETIONS), &error, &buf));
    assert_slice(buf_slice(&buf), "data: {\"error\":{\"message\":\"no \\\"x\\\"\\n\",\"type\":"
                                  "\"invalid_request_error\",\"param\":null,\"code\":\"model_not_found\"}}\n\n");
    buf_reset(&buf);
    assert_true(schema_write_error_event(endpoint_at(ENDPOINT_RESPONSES), &error, &buf));
    assert_slice(buf_slice(&buf), "event: error\ndata: {\"type\":\"error\",\"code\":\"model_not_found\",\"message\":"
                                  "\"no \\\"x\\\"\\n\",\"param\":null}\n\n");
    buf_fini(&buf);
    buf_init(&buf, 10);
    assert_false(schema_write_error(FAMILY_OPENAI, &error, &buf));
    buf_fini(&buf);
}

static void reads_whether_usage_was_asked_for(void **state)
{
    (void)state;
    assert_int_equal(openai_usage_ask(SLICE("")), OPENAI_USAGE_NOT_ASKED);
    assert_int_equal(openai_usage_ask(SLICE("null")), OPENAI_USAGE_NOT_ASKED);
    assert_int_equal(openai_usage_ask(SLICE("{}")), OPENAI_USAGE_NOT_ASKED);
    assert_int_equal(openai_usage_ask(SLICE("{\"include_usage\":false}")), OPENAI_USAGE_NOT_ASKED);
    assert_int_equal(openai_usage_ask(SLICE("{\"a\":1, \"include_usage\" : true}")), OPENAI_USAGE_ASKED);
    assert_int_equal(openai_usage_ask(SLICE("{\"a\":{\"include_usage\":true}}")), OPENAI_USAGE_NOT_ASKED);
    assert_int_equal(openai_usage_ask(SLICE("{\"include_usage\":true,\"include_usage\":false}")), OPENAI_USAGE_UNCLEAR);
    assert_int_equal(openai_usage_ask(SLICE("[]")), OPENAI_USAGE_UNCLEAR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_endpoints_by_exact_path),
        cmocka_unit_test(makes_targets),
        cmocka_unit_test(writes_errors_in_the_familys_shape),
        cmocka_unit_test(reads_whether_usage_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
