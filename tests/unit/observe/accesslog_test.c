// Access-log formats: operators, types, escaping, and what is refused at load.
#include "observe/accesslog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct arena arena;
static struct findings findings;
static struct fields request, response;
static struct record record;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 4096, 1 << 20);
    findings_init(&findings, &arena);
    request = response = (struct fields){0};
    fields_add(&request, &arena, SLICE("User-Agent"), SLICE("curl/8 \"x\""));
    fields_add(&request, &arena, SLICE("x-ai-eg-model"), SLICE("gpt-4o"));
    fields_add(&response, &arena, SLICE("Content-Type"), SLICE("application/json"));
    record = (struct record){
        .start_unix_us = 1764079199123456,
        .duration_us = 1234567,
        .upstream_time_us = 42999,
        .method = SLICE("POST"),
        .path = SLICE("/v1/chat/completions?a=1"),
        .authority = SLICE("gw.example:1975"),
        .protocol = SLICE("HTTP/1.1"),
        .scheme = SLICE("http"),
        .request = &request,
        .response = &response,
        .status = 200,
        .flags = SLICE(""),
        .details = SLICE("via_upstream"),
        .bytes_received = 1024,
        .bytes_sent = UINT64_C(5000000000),
        .upstream_host = SLICE("10.0.0.1:443"),
        .upstream_protocol = SLICE("HTTP/2"),
        .upstream_cluster = SLICE("httproute/ns/r/rule/0"),
        .downstream_local_address = SLICE("[::1]:1975"),
        .downstream_remote_address = SLICE("127.0.0.1:50000"),
        .attempts = 2,
        .metadata = {{.key = SLICE("llm_input_token"), .type = RECORD_NUMBER, .number = 12},
                     {.key = SLICE("response_model"), .type = RECORD_STRING, .text = SLICE("a\nb\xff")},
                     {.key = SLICE("token_latency_ttft"), .type = RECORD_NUMBER, .number = 12.3450}},
        .metadata_count = 3,
    };
    usage_set(&record.usage, USAGE_OUTPUT, 7);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void assert_line(const struct accesslog *log, const char *expected)
{
    struct buf buf;
    buf_init(&buf, 1 << 16);
    assert_non_null(log);
    assert_true(accesslog_write(log, &record, &buf));
    buf_append_byte(&buf, '\0');
    assert_string_equal(buf.ptr, expected);
    buf_fini(&buf);
}

static const struct accesslog *text_log(const char *format)
{
    struct config_log config = {.format = LOG_TEXT, .text = {.text = slice_from_cstr(format)}};
    return accesslog_new(&arena, &config, &findings);
}

static const struct accesslog *json_log(const char *format)
{
    struct config_log_field field = {.name = SLICE("f"), .format = {.text = slice_from_cstr(format)}};
    struct config_log config = {.format = LOG_JSON, .fields = &field, .field_count = 1};
    return accesslog_new(&arena, &config, &findings);
}

static void expect_text(const char *format, const char *expected)
{
    assert_line(text_log(format), expected);
}

static void expect_json(const char *format, const char *expected)
{
    assert_line(json_log(format), expected);
}

static void text_operators(void **state)
{
    (void)state;
    expect_text("[%START_TIME%] %REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%",
                "[2025-11-25T13:59:59.123Z] POST /v1/chat/completions?a=1 HTTP/1.1\n");
    expect_text("%START_TIME(%Y/%m/%dT%H:%M:%S%z %s.%3f)%\n", "2025/11/25T13:59:59+0000 1764079199.123\n");
    expect_text("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% 100%%", "200 - via_upstream 100%\n");
    expect_text("%BYTES_RECEIVED% %BYTES_SENT% %DURATION%", "1024 5000000000 1234\n");
    expect_text("%REQ(user-agent):4% %REQ(none)% %REQ(none?USER-AGENT):6%", "curl - curl/8\n");
    expect_text("%REQ(:AUTHORITY)% %REQ(host)% %REQ(:scheme)%", "gw.example:1975 gw.example:1975 http\n");
    expect_text("%RESP(content-type)% %RESP(:status)% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
                "application/json 200 42\n");
    expect_text("%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_PROTOCOL%",
                "10.0.0.1:443 httproute/ns/r/rule/0 - HTTP/2\n");
    expect_text("%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% "
                "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REQUEST_ATTEMPT_COUNT%",
                "[::1]:1975 ::1 127.0.0.1 2\n");
    expect_text("%USAGE(output)% %USAGE(input)%", "7 -\n");
}

// What a provider sent can't begin a new line.
static void text_is_one_line(void **state)
{
    (void)state;
    expect_text("%DYNAMIC_METADATA(io.envoy.ai_gateway:response_model)%", "a\\x0ab\xff\n");
}

static void json_types(void **state)
{
    (void)state;
    expect_json("%RESPONSE_CODE%", "{\"f\":200}\n");
    expect_json("%RESPONSE_CODE%.", "{\"f\":\"200.\"}\n");
    expect_json("%REQ(USER-AGENT)%", "{\"f\":\"curl/8 \\\"x\\\"\"}\n");
    expect_json("ua=%REQ(USER-AGENT)%;%REQ(x)%", "{\"f\":\"ua=curl/8 \\\"x\\\";-\"}\n");
    expect_json("%REQ(absent)%", "{\"f\":null}\n");
    expect_json("%DYNAMIC_METADATA(io.envoy.ai_gateway:llm_input_token)%", "{\"f\":12}\n");
    expect_json("%DYNAMIC_METADATA(io.envoy.ai_gateway:token_latency_ttft)%", "{\"f\":12.345}\n");
    expect_json("%DYNAMIC_METADATA(io.envoy.ai_gateway:other)%", "{\"f\":null}\n");
    expect_json("%DYNAMIC_METADATA(io.envoy.ai_gateway:response_model)%", "{\"f\":\"a\\nb\xef\xbf\xbd\"}\n");
    expect_json("a\"%%b", "{\"f\":\"a\\\"%b\"}\n");
    expect_json("", "{\"f\":\"\"}\n");
    expect_json("%RESPONSE_FLAGS%", "{\"f\":\"-\"}\n");
}

static void reals(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.5, "-0.5"},
                 {0.000001, "0.000001"},
                 {0.0000001, "0"},
                 {99.999999, "99.999999"},
                 {0.9999999, "1"},
                 {-12, "-12"},
                 {1e15, "1000000000000000"},
                 {-0.0000001, "0"},
                 {1.0 / 0.0, "null"},
                 {2147483648.25, "2147483648.25"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char expected[64];
        record.metadata[0].number = cases[i].number;
        snprintf(expected, sizeof expected, "{\"f\":%s}\n", cases[i].text);
        expect_json("%DYNAMIC_METADATA(io.envoy.ai_gateway:llm_input_token)%", expected);
    }
}

static void json_order_and_nesting(void **state)
{
    (void)state;
    struct config_log_field inner[] = {{.name = SLICE("z"), .format = {.text = SLICE("%PROTOCOL%")}}};
    struct config_log_field fields[] = {{.name = SLICE("b"), .format = {.text = SLICE("1")}},
                                        {.name = SLICE("a\""), .members = inner, .member_count = 1}};
    struct config_log config = {.format = LOG_JSON, .fields = fields, .field_count = 2};
    assert_line(accesslog_new(&arena, &config, &findings), "{\"b\":\"1\",\"a\\\"\":{\"z\":\"HTTP/1.1\"}}\n");
}

static void empty_record(void **state)
{
    (void)state;
    record = (struct record){.upstream_time_us = -1};
    expect_text("%REQ(A)% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %RESP(:status)% %RESPONSE_CODE% %UPSTREAM_HOST%",
                "- - - 0 -\n");
}

static void refused(void **state)
{
    (void)state;
    static const char *const formats[] = {
        "%NOPE%",
        "%REQ%",
        "%REQ()%",
        "%REQ(a b)%",
        "%REQ(:nope)%",
        "%RESP(:path)%",
        "%REQ(A",
        "%REQ(A)",
        "%REQ(A):x%",
        "%REQ(A):0%",
        "%PROTOCOL()%",
        "%PROTOCOL(x)%",
        "%",
        "100% sure",
        "%START_TIME(%Q)%",
        "%DYNAMIC_METADATA(other:key)%",
        "%DYNAMIC_METADATA(io.envoy.ai_gateway)%",
        "%DYNAMIC_METADATA(io.envoy.ai_gateway:a:b)%",
        "%USAGE(tokens)%",
        "%REQ(Authorization)%",
        "%REQ(x?x-api-key)%",
        "%REQ(cookie)%",
        "%REQ(x-aigw-openai-key)%",
        "%RESP(set-cookie)%",
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t before = findings.error_count;
        if (text_log(formats[i]) || findings.error_count != before + 1)
            fail_msg("text: %s", formats[i]);
        if (json_log(formats[i]) || findings.error_count != before + 2)
            fail_msg("json: %s", formats[i]);
    }
}

static void nothing_partial(void **state)
{
    (void)state;
    struct buf buf;
    const struct accesslog *log = text_log("%REQ(:PATH)% %REQ(:PATH)%");
    buf_init(&buf, 40);
    buf_append(&buf, SLICE("before\n"));
    assert_false(accesslog_write(log, &record, &buf));
    assert_int_equal(buf.len, 7);
    buf_fini(&buf);
}

// The same line into buffers of every ceiling: whole where it fits to the byte, else not at all.
static void every_ceiling(void **state)
{
    (void)state;
    static const char format[] =
        "%PROTOCOL%, then %RESPONSE_CODE%; and what is longer than any block of literal bytes: "
        "%USAGE(output)%%UPSTREAM_HOST% %REQ(none)%.";
    const struct slice expected = SLICE("HTTP/1.1, then 200; and what is longer than any block of literal bytes: "
                                        "710.0.0.1:443 -.\n");
    const struct accesslog *log = text_log(format);
    for (size_t max = 0; max <= expected.len + 64; max++) {
        struct buf buf;
        bool fits = max >= expected.len;
        buf_init(&buf, max);
        assert_int_equal(accesslog_write(log, &record, &buf), fits);
        assert_true(slice_eq(buf_slice(&buf), fits ? expected : SLICE("")));
        buf_fini(&buf);
    }
}

static void literals_alone(void **state)
{
    (void)state;
    expect_text("no operator", "no operator\n");
    expect_text("", "\n");
    expect_text("%PROTOCOL%%PROTOCOL%", "HTTP/1.1HTTP/1.1\n");
    expect_text("a text that is as long as 32 byte%PROTOCOL%", "a text that is as long as 32 byteHTTP/1.1\n");
}

// The second header is looked at when the first is absent or empty, whatever kind either is of.
static void alternatives(void **state)
{
    (void)state;
    fields_add(&request, &arena, SLICE("X-Empty"), SLICE(""));
    fields_add(&response, &arena, SLICE("X-Envoy-Upstream-Service-Time"), SLICE("17"));
    expect_text("%REQ(x-empty?X-AI-EG-MODEL)% %REQ(none?:path)% %REQ(:METHOD?none)% %REQ(none?X-EMPTY)%",
                "gpt-4o /v1/chat/completions?a=1 POST -\n");
    expect_text("%REQ(none?Host)% %REQ(:Authority?none)% %REQ(x-empty?:scheme)%",
                "gw.example:1975 gw.example:1975 http\n");
    expect_text("%RESP(none?:status)% %RESP(:STATUS?content-type)% %RESP(x-envoy-upstream-service-time)%",
                "200 200 17\n");
    record.response = NULL;
    record.status = 0;
    expect_text("%RESP(:status?x-envoy-upstream-service-time)% %RESP(content-type?:status)%", "42 -\n");
    record.upstream_time_us = -1;
    expect_text("%RESP(:status?x-envoy-upstream-service-time)%", "-\n");
    record.request = NULL;
    expect_text("%REQ(x-ai-eg-model?:method)%", "POST\n");
}

static void default_line(void **state)
{
    (void)state;
    struct buf buf;
    const struct accesslog *log = accesslog_default(&arena);
    buf_init(&buf, 4096);
    assert_non_null(log);
    assert_true(accesslog_wants(log, &record));
    assert_true(accesslog_write(log, &record, &buf));
    assert_true(
        slice_starts_with(buf_slice(&buf), SLICE("{\"start_time\":\"2025-11-25T13:59:59.123Z\",\"method\":\"POST\"")));
    assert_true(slice_find_slice(buf_slice(&buf), SLICE("\"gen_ai.usage.output_tokens\":7,")) != SLICE_NOT_FOUND);
    assert_true(slice_ends_with(buf_slice(&buf), SLICE("}\n")));
    buf_fini(&buf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_operators),         TEST(text_is_one_line), TEST(json_types),     TEST(reals),
        TEST(json_order_and_nesting), TEST(empty_record),     TEST(refused),        TEST(default_line),
        TEST(nothing_partial),        TEST(every_ceiling),    TEST(literals_alone), TEST(alternatives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
