// The module by its hooks, as Envoy calls them, with a stand-in for Envoy: what a stream is given and what becomes of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// cmocka wants the headers above.
#include <cmocka.h>

#include "fake_envoy.h"
#include "host/envoy/failure.h"
#include "host/envoy/refusal.h"
#include "host/envoy/table.h"

#define DOCUMENT(kind, name, spec)                                                                                     \
    "{\\\"apiVersion\\\":\\\"" kind "\\\",\\\"metadata\\\":{\\\"name\\\":\\\"" name "\\\"},\\\"spec\\\":" spec         \
    "}\\n---\\n"
#define AI "aigateway.envoyproxy.io/v1beta1\\\",\\\"kind\\\":\\\""
#define GATEWAY "gateway.networking.k8s.io/v1\\\",\\\"kind\\\":\\\""
#define BACKEND(name, port)                                                                                            \
    DOCUMENT("gateway.envoyproxy.io/v1alpha1\\\",\\\"kind\\\":\\\"Backend", name,                                      \
             "{\\\"endpoints\\\":[{\\\"ip\\\":{\\\"address\\\":\\\"10.0.0.1\\\",\\\"port\\\":" port "}}]}")            \
    DOCUMENT(AI "AIServiceBackend", name,                                                                              \
             "{\\\"schema\\\":{\\\"name\\\":\\\"OpenAI\\\"},\\\"backendRef\\\":{\\\"group\\\":\\\"gateway.envoyproxy." \
             "io\\\","                                                                                                 \
             "\\\"kind\\\":\\\"Backend\\\",\\\"name\\\":\\\"" name "\\\"}}")

// clang-format off
#define RESOURCES "\"config\":\"" DOCUMENT( \
    GATEWAY "GatewayClass", "c", "{\\\"controllerName\\\":\\\"gateway.envoyproxy.io/gatewayclass-controller\\\"}") \
    DOCUMENT(GATEWAY "Gateway", "g", \
             "{\\\"gatewayClassName\\\":\\\"c\\\",\\\"listeners\\\":[{\\\"name\\\":\\\"l\\\",\\\"protocol\\\":" \
             "\\\"HTTP\\\",\\\"port\\\":80}]}") BACKEND("a", "1") BACKEND("b", "2") \
        DOCUMENT( \
            AI "AIGatewayRoute", "r", \
            "{\\\"parentRefs\\\":[{\\\"name\\\":\\\"g\\\"}],\\\"llmRequestCosts\\\":[{\\\"metadataKey\\\":" \
            "\\\"total\\\"," \
            "\\\"type\\\":\\\"TotalToken\\\"}],\\\"rules\\\":[{\\\"matches\\\":[{\\\"headers\\\":[{\\\"name\\\":" \
            "\\\"x-ai-eg-model\\\",\\\"value\\\":\\\"m\\\"}]}],\\\"backendRefs\\\":[{\\\"name\\\":\\\"a\\\"," \
            "\\\"modelNameOverride\\\":\\\"at-a\\\"},{\\\"name\\\":\\\"b\\\",\\\"priority\\\":1,\\\"headerMutation\\\":" \
            "{\\\"set\\\":[{\\\"name\\\":\\\"x-tier\\\",\\\"value\\\":\\\"shared\\\"}]}}]}]}") "\"}"
// clang-format on
static const char settings_text[] = "{" RESOURCES;
static const char lean_settings_text[] = "{\"publish\":\"costs\",\"log\":\"weir\"," RESOURCES;

static const struct slice path = SLICE_INIT("/v1/chat/completions");

struct test {
    struct envoy_filter fake;
    const void *settings;
    const void *upstream_settings;
    const void *filter;
};

static void begin_with(struct test *test, const char *settings)
{
    fake_init(&test->fake);
    test->settings = fake_settings(settings);
    test->upstream_settings = fake_settings("{\"position\":\"upstream\"}");
    assert_non_null(test->settings);
    assert_non_null(test->upstream_settings);
    test->filter = ENVOY_HOOK(http_filter_new)(test->settings, &test->fake);
    fake_add(&test->fake, 0, SLICE(":method"), SLICE("POST"));
    fake_add(&test->fake, 0, SLICE(":path"), path);
    fake_add(&test->fake, 0, SLICE(":authority"), SLICE("api.example.com"));
    fake_add(&test->fake, 0, SLICE(":scheme"), SLICE("http"));
    fake_add(&test->fake, 0, SLICE("content-type"), SLICE("application/json"));
    fake_add(&test->fake, 0, SLICE("x-ai-eg-model"), SLICE("spoofed"));
    fake_add(&test->fake, 0, SLICE("x-envoy-max-retries"), SLICE("100"));
}

static void begin(struct test *test)
{
    begin_with(test, settings_text);
}

static void end(struct test *test)
{
    ENVOY_HOOK(http_filter_stream_complete)(&test->fake, test->filter);
    ENVOY_HOOK(http_filter_destroy)(test->filter);
    ENVOY_HOOK(http_filter_config_destroy)(test->settings);
    ENVOY_HOOK(http_filter_config_destroy)(test->upstream_settings);
    fake_fini(&test->fake);
}

static enum envoy_body_status send_body(struct test *test, struct slice bytes, bool is_end)
{
    fake_frame(&test->fake, ENVOY_RECEIVED_REQUEST_BODY, bytes);
    return ENVOY_HOOK(http_filter_request_body)(&test->fake, test->filter, is_end);
}

// A whole request up to the route.
static void route(struct test *test, struct slice body)
{
    assert_int_equal(ENVOY_HOOK(http_filter_request_headers)(&test->fake, test->filter, false), ENVOY_HEADERS_STOP);
    assert_int_equal(send_body(test, slice_sub(body, 0, 5), false), ENVOY_BODY_STOP_NO_BUFFER);
    assert_int_equal(test->fake.bodies[ENVOY_RECEIVED_REQUEST_BODY].len, 0);
    assert_int_equal(send_body(test, slice_from(body, 5), false), ENVOY_BODY_STOP_NO_BUFFER);
    send_body(test, SLICE(""), true);
}

static void try(struct test *test, const char *ref)
{
    fake_try(&test->fake, test->upstream_settings, ref);
}

static void assert_slice(struct slice got, struct slice wanted)
{
    if (!slice_eq(got, wanted))
        fail_msg("got '" SLICE_FMT "', wanted '" SLICE_FMT "'", SLICE_ARG(got), SLICE_ARG(wanted));
}

static struct slice request(const struct test *test, struct slice name)
{
    return fake_value(&test->fake, ENVOY_REQUEST_HEADERS, name);
}

static void answer(struct test *test, struct slice type, struct slice body, bool is_end)
{
    fake_add(&test->fake, 2, SLICE(":status"), SLICE("200"));
    fake_add(&test->fake, 2, SLICE("content-type"), type);
    ENVOY_HOOK(http_filter_response_headers)(&test->fake, test->filter, false);
    fake_frame(&test->fake, ENVOY_RECEIVED_RESPONSE_BODY, body);
    ENVOY_HOOK(http_filter_response_body)(&test->fake, test->filter, is_end);
}

// ---- tests ----------------------------------------------------------------------------------------------------

static void each_try_is_built_from_the_original(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    route(&test, SLICE("{\"model\":\"m\",\"messages\":[]}"));
    assert_true(test.fake.is_route_cleared);
    assert_slice(request(&test, SLICE("x-envoy-original-url")), SLICE("httproute/default/r/rule/0"));
    assert_slice(request(&test, SLICE("x-ai-eg-model")), SLICE("m"));
    assert_null(request(&test, SLICE("x-envoy-max-retries")).ptr);
    try(&test, "default/a/route/r/rule/0/ref/0");
    assert_slice(buf_slice(&test.fake.bodies[0]), SLICE("{\"model\":\"at-a\",\"messages\":[]}"));
    assert_null(request(&test, SLICE("x-envoy-original-url")).ptr);
    assert_null(request(&test, SLICE("x-ai-eg-model")).ptr);
    assert_slice(request(&test, SLICE(":authority")), SLICE("10.0.0.1:8080"));
    assert_slice(request(&test, SLICE("content-length")), SLICE("30"));
    try(&test, "default/b/route/r/rule/0/ref/1");
    assert_slice(buf_slice(&test.fake.bodies[0]), SLICE("{\"model\":\"m\",\"messages\":[]}"));
    assert_slice(request(&test, SLICE("x-tier")), SLICE("shared"));
    struct slice body = SLICE("{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}");
    answer(&test, SLICE("application/json"), body, true);
    assert_slice(buf_slice(&test.fake.bodies[2]), body);
    ENVOY_HOOK(http_filter_stream_complete)(&test.fake, test.filter);
    assert_int_equal(fake_metadata(&test.fake, "io.envoy.ai_gateway:total")->number, 7);
    assert_string_equal(fake_metadata(&test.fake, "io.envoy.ai_gateway:backend_name")->text,
                        "default/b/route/r/rule/0/ref/1");
    // The log sees the request as it was received and lifted.
    assert_slice(request(&test, SLICE(":authority")), SLICE("api.example.com"));
    assert_slice(request(&test, SLICE("x-ai-eg-model")), SLICE("m"));
    end(&test);
}

static void assert_has(struct slice text, struct slice part)
{
    if (slice_find_slice(text, part) == SLICE_NOT_FOUND)
        fail_msg("'" SLICE_FMT "' has no '" SLICE_FMT "'", SLICE_ARG(text), SLICE_ARG(part));
}

static struct slice line(void)
{
    assert_true(fake_log.last[0]);
    return slice_from_cstr(fake_log.last);
}

static void lines_are_made_here_and_costs_alone_published(void **state)
{
    (void)state;
    struct test test;
    begin_with(&test, lean_settings_text);
    route(&test, SLICE("{\"model\":\"m\",\"messages\":[]}"));
    assert_slice(request(&test, SLICE("x-envoy-original-url")), SLICE("httproute/default/r/rule/0"));
    assert_null(request(&test, SLICE("x-envoy-max-retries")).ptr);
    assert_slice(request(&test, SLICE("x-ai-eg-model")), SLICE("spoofed")); // nobody looks
    try(&test, "default/a/route/r/rule/0/ref/0");
    assert_null(request(&test, SLICE("x-ai-eg-model")).ptr);
    struct slice body = SLICE("{\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}");
    answer(&test, SLICE("application/json"), body, true);
    test.fake.response_flags = 1; // not asked for: nothing went wrong
    ENVOY_HOOK(http_filter_stream_complete)(&test.fake, test.filter);
    assert_int_equal(fake_metadata(&test.fake, "io.envoy.ai_gateway:total")->number, 7);
    assert_null(fake_metadata(&test.fake, "io.envoy.ai_gateway:backend_name"));
    assert_null(fake_metadata(&test.fake, "weir:upstream_ms"));
    assert_has(line(), SLICE("\"authority\":\"api.example.com\""));
    assert_has(line(), SLICE("\"response_flags\":\"-\""));
    assert_has(line(), SLICE("\"gen_ai.request.model\":\"m\""));
    assert_has(line(), SLICE("\"gen_ai.usage.total_tokens\":7"));
    assert_slice(slice_from(line(), line().len - 2), SLICE("}\n"));
    assert_null(fake_metadata(&test.fake, "weir:line")); // the status says it
    end(&test);
}

static void a_line_has_the_flags_of_envoy_for_its_failures(void **state)
{
    (void)state;
    struct test test;
    begin_with(&test, lean_settings_text);
    route(&test, SLICE("{\"model\":\"m\"}"));
    try(&test, "default/a/route/r/rule/0/ref/0");
    ENVOY_HOOK(http_filter_local_reply)
    (&test.fake, test.filter, 503, bytes_of(SLICE("upstream_reset_before_response_started{remote_connection_failure}")),
     false);
    answer(&test, SLICE("text/plain"), SLICE("upstream connect error"), true);
    test.fake.response_flags = 1U << 5 | 1U << 15;
    ENVOY_HOOK(http_filter_stream_complete)(&test.fake, test.filter);
    assert_has(line(), SLICE("\"response_flags\":\"UF,URX\""));
    assert_has(line(), SLICE("\"response_code\":502"));
    end(&test);
}

// What Weir refuses itself has its own letters.
static void a_line_has_the_flags_of_weir_for_its_answers(void **state)
{
    (void)state;
    struct test test;
    begin_with(&test, lean_settings_text);
    route(&test, SLICE("{\"model\":\"other\"}"));
    ENVOY_HOOK(http_filter_stream_complete)(&test.fake, test.filter);
    assert_has(line(), SLICE("\"response_flags\":\"NR\""));
    end(&test);
}

static void assert_fields(const struct envoy_filter *fake, int map, const char *wanted)
{
    struct buf text;
    buf_init(&text, 4096);
    for (size_t i = 0; i < fake->counts[map]; i++) {
        const struct fake_field *field = &fake->fields[map][i];
        buf_append(&text, slice_make(field->name.ptr, field->name.len));
        buf_append_byte(&text, '=');
        buf_append(&text, slice_make(field->value.ptr, field->value.len));
        buf_append_byte(&text, ' ');
    }
    assert_slice(buf_slice(&text), slice_from_cstr(wanted));
    buf_fini(&text);
}

// The values of a name keep their order; what is there already is not touched.
static void a_map_becomes_what_is_wanted(void **state)
{
    (void)state;
    static const struct {
        const char *has[8]; // name, value...
        const char *wanted[8];
        bool keeps_framing;
        const char *becomes;
    } cases[] = {
        {{"a", "1", "b", "2"}, {"A", "1", "B", "2"}, false, "a=1 b=2 "},
        {{"a", "1", "b", "2"}, {"b", "2", "a", "1"}, false, "a=1 b=2 "},
        {{"a", "1", "a", "2"}, {"a", "2", "a", "1"}, false, "a=2 a=1 "},
        {{"a", "1", "b", "2"}, {"a", "1", "b", "2", "A", "3"}, false, "b=2 a=1 a=3 "},
        {{"a", "1", "a", "2", "b", "2"}, {"a", "2", "b", "2"}, false, "b=2 a=2 "},
        {{":path", "/", "a", "1", "x", "1"}, {"c", "", "a", "1"}, false, ":path=/ a=1 c= "},
        {{"content-length", "1", "a", "1"}, {"a", "1", "Content-Length", "7"}, false, "a=1 "},
        {{"content-length", "1", "a", "1"}, {"a", "2"}, true, "content-length=1 a=2 "},
        {{NULL}, {"a", "1", "a", "2"}, false, "a=1 a=2 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct envoy_filter fake;
        struct arena arena;
        struct fields wanted = {0};
        fake_init(&fake);
        arena_init(&arena, 4096, 1 << 20);
        for (size_t at = 0; at < 8 && cases[i].has[at]; at += 2)
            fake_add(&fake, 0, slice_from_cstr(cases[i].has[at]), slice_from_cstr(cases[i].has[at + 1]));
        for (size_t at = 0; at < 8 && cases[i].wanted[at]; at += 2)
            assert_true(fields_add(&wanted, &arena, slice_from_cstr(cases[i].wanted[at]),
                                   slice_from_cstr(cases[i].wanted[at + 1])));
        assert_true(headers_become(&fake, ENVOY_REQUEST_HEADERS, &arena, &wanted, cases[i].keeps_framing));
        assert_fields(&fake, 0, cases[i].becomes);
        arena_fini(&arena);
        fake_fini(&fake);
    }
}

static void what_is_refused_is_answered_here(void **state)
{
    (void)state;
    static const struct {
        struct slice body;
        uint32_t status;
        const char *details;
    } cases[] = {
        {SLICE_INIT("{\"messages\":[]}"), 400, "model_missing"},
        {SLICE_INIT("{\"model\":\"m\",\"model\":\"m\"}"), 400, "body_member_invalid"},
        {SLICE_INIT("{\"model\":\"other\"}"), 404, "route_not_found"},
        {SLICE_INIT("not json at all"), 400, "body_not_json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test test;
        begin(&test);
        route(&test, cases[i].body);
        assert_int_equal(test.fake.sent_status, cases[i].status);
        assert_string_equal(test.fake.sent_details, cases[i].details);
        assert_false(test.fake.is_route_cleared);
        end(&test);
    }
}

static void a_body_may_end_with_trailers(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    ENVOY_HOOK(http_filter_request_headers)(&test.fake, test.filter, false);
    send_body(&test, SLICE("{\"model\":\"m\"}"), false);
    fake_add(&test.fake, 1, SLICE("x-trailer"), SLICE("1"));
    assert_int_equal(ENVOY_HOOK(http_filter_request_trailers)(&test.fake, test.filter), ENVOY_TRAILERS_CONTINUE);
    assert_slice(request(&test, SLICE("x-envoy-original-url")), SLICE("httproute/default/r/rule/0"));
    assert_int_equal(test.fake.counts[1], 0);
    assert_int_equal(test.fake.bodies[ENVOY_BUFFERED_REQUEST_BODY].len, 1);
    end(&test);
}

static void a_backend_of_another_generation_is_refused(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    route(&test, SLICE("{\"model\":\"m\"}"));
    try(&test, "default/gone/route/r/rule/0/ref/9");
    assert_int_equal(test.fake.sent_status, 503);
    end(&test);
}

// Envoy's own answer gets the endpoint's shape.
static void a_failure_has_the_shape_of_the_endpoint(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    route(&test, SLICE("{\"model\":\"m\"}"));
    try(&test, "default/a/route/r/rule/0/ref/0");
    ENVOY_HOOK(http_filter_local_reply)
    (&test.fake, test.filter, 503, bytes_of(SLICE("upstream_reset_before_response_started{remote_connection_failure}")),
     false);
    answer(&test, SLICE("text/plain"), SLICE("upstream connect error"), true);
    assert_slice(fake_value(&test.fake, 2, SLICE(":status")), SLICE("502"));
    assert_slice(fake_value(&test.fake, 2, SLICE("content-type")), SLICE("application/json"));
    assert_true(slice_starts_with(buf_slice(&test.fake.bodies[2]), SLICE("{\"error\":{")));
    end(&test);
}

// A body that Envoy's codec refuses is the client's fault; what a guard behind the module says is the guard's.
static void a_local_reply_keeps_who_is_at_fault(void **state)
{
    static const struct {
        const char *details;
        const char *status, *answered, *begin;
        bool has_body;
    } cases[] = {
        {"http1.codec_error", "400", "400", "{\"error\":{\"message\":\"The request body is not framed", true},
        {"ext_authz_denied", "403", "403", "denied by the guard", true},
        {"ext_authz_denied", "403", "403", "{\"error\":{\"message\":\"This request is not allowed.", false},
        {"request_rate_limited", "429", "429", "{\"error\":{\"message\":\"The rate limit", false},
        {"ext_authz_denied", "302", "302", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test test;
        uint64_t status;
        begin_with(&test, lean_settings_text);
        route(&test, SLICE("{\"model\":\"m\"}"));
        slice_to_u64(slice_from_cstr(cases[i].status), 999, &status);
        ENVOY_HOOK(http_filter_local_reply)
        (&test.fake, test.filter, (uint32_t)status, bytes_of(slice_from_cstr(cases[i].details)), false);
        fake_add(&test.fake, 2, SLICE(":status"), slice_from_cstr(cases[i].status));
        fake_add(&test.fake, 2, SLICE("www-authenticate"), SLICE("guard"));
        ENVOY_HOOK(http_filter_response_headers)(&test.fake, test.filter, !cases[i].has_body);
        if (cases[i].has_body) {
            fake_frame(&test.fake, ENVOY_RECEIVED_RESPONSE_BODY, SLICE("denied by the guard"));
            ENVOY_HOOK(http_filter_response_body)(&test.fake, test.filter, true);
        }
        enum envoy_body body = cases[i].has_body ? ENVOY_RECEIVED_RESPONSE_BODY : ENVOY_BUFFERED_RESPONSE_BODY;
        assert_slice(fake_value(&test.fake, 2, SLICE(":status")), slice_from_cstr(cases[i].answered));
        assert_true(slice_starts_with(buf_slice(&test.fake.bodies[body]), slice_from_cstr(cases[i].begin)));
        assert_int_equal(fake_value(&test.fake, 2, SLICE("www-authenticate")).len > 0, i > 0);
        end(&test);
    }
}

// What Envoy refuses before any hook of a request has the shape that the native host gives it; what is not Envoy's passes.
static void an_early_answer_has_a_shape(void **state)
{
    (void)state;
    for (int is_ours = 0; is_ours < 2; is_ours++) {
        struct test test;
        begin(&test);
        test.fake.details = is_ours ? "http1.invalid_url" : "ext_authz_denied";
        answer(&test, SLICE("text/plain"), SLICE("Bad Request"), true);
        struct slice body = buf_slice(&test.fake.bodies[ENVOY_RECEIVED_RESPONSE_BODY]);
        assert_true(slice_starts_with(body, is_ours ? SLICE("{\"error\":{") : SLICE("Bad Request")));
        assert_int_equal(fake_value(&test.fake, 2, SLICE("x-request-id")).len, is_ours ? 36 : 0);
        assert_slice(fake_value(&test.fake, 2, SLICE(":status")), is_ours ? SLICE("400") : SLICE("200"));
        end(&test);
    }
}

static void heads_are_as_strict_as_the_native_hosts(void **state)
{
    (void)state;
    static const struct config_client limits = {.target_bytes = 16};
    static const struct {
        const char *method, *path, *authority;
        enum http_version version;
        enum error_code error;
    } cases[] = {
        {"GET", "/a", "a:80", HTTP_1_1, ERROR_NONE},
        {"GET", "/a", "[::1]:80", HTTP_2, ERROR_NONE},
        {"OPTIONS", "*", "a", HTTP_1_1, ERROR_NONE},
        {"GET", "*", "a", HTTP_1_1, ERROR_MALFORMED_HEAD},
        {"GET", "a", "a", HTTP_1_1, ERROR_MALFORMED_HEAD},
        {"GET", "/a#b", "a", HTTP_2, ERROR_MALFORMED_HEAD},
        {"CONNECT", "", "a:80", HTTP_1_1, ERROR_METHOD_NOT_ALLOWED},
        {"GET", "/aaaaaaaaaaaaaaaa", "a", HTTP_1_1, ERROR_TARGET_TOO_LONG},
        {"GET", "/a", "a,b", HTTP_1_1, ERROR_MALFORMED_HEAD},
        {"GET", "/a", "user@a", HTTP_2, ERROR_MALFORMED_HEAD},
        {"GET", "/a", "", HTTP_1_1, ERROR_MALFORMED_HEAD},
        {"GET", "/a", "", HTTP_1_0, ERROR_MALFORMED_HEAD}, // HTTP/0.9: it has no fields
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct header_map map = {.method = slice_from_cstr(cases[i].method),
                                 .path = slice_from_cstr(cases[i].path),
                                 .authority = slice_from_cstr(cases[i].authority)};
        assert_int_equal(refusal_of_head(&limits, cases[i].version, &map), cases[i].error);
    }
    struct field field = {SLICE("accept"), SLICE("*/*")};
    struct header_map old = {.method = SLICE("GET"), .path = SLICE("/a"), .fields = {&field, 1, 1}};
    assert_int_equal(refusal_of_head(&limits, HTTP_1_0, &old), ERROR_NONE);
    field = (struct field){SLICE("expect"), SLICE("a-pony")};
    assert_int_equal(refusal_of_head(&limits, HTTP_1_0, &old), ERROR_NONE);
    old.authority = SLICE("a");
    assert_int_equal(refusal_of_head(&limits, HTTP_1_1, &old), ERROR_EXPECTATION);
    field = (struct field){SLICE("content-length"), SLICE("9223372036854775808")};
    old.is_length_malformed = true;
    assert_int_equal(refusal_of_head(&limits, HTTP_1_1, &old), ERROR_MALFORMED_HEAD);
}

static void a_cut_stream_ends_in_an_error_event(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    route(&test, SLICE("{\"model\":\"m\",\"stream\":true}"));
    try(&test, "default/a/route/r/rule/0/ref/0");
    answer(&test, SLICE("text/event-stream"), SLICE("data: {\"a\":1}\n\ndata: {\"ha"), false);
    assert_slice(buf_slice(&test.fake.bodies[2]), SLICE("data: {\"a\":1}\n\n"));
    ENVOY_HOOK(http_filter_local_reply)
    (&test.fake, test.filter, 503, bytes_of(SLICE("upstream_reset_after_response_started{protocol_error}")), true);
    assert_true(slice_starts_with(buf_slice(&test.fake.sent_body), SLICE("data: {\"error\":")));
    assert_true(slice_find_slice(buf_slice(&test.fake.sent_body), SLICE("upstream_reset")) != SLICE_NOT_FOUND);
    end(&test);
}

// An event beyond the limit: the error event goes out with this frame, the reset follows from the event loop.
static void an_endless_event_is_cut(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    route(&test, SLICE("{\"model\":\"m\",\"stream\":true}"));
    try(&test, "default/a/route/r/rule/0/ref/0");
    answer(&test, SLICE("text/event-stream"), SLICE("data: "), false);
    struct buf long_event;
    buf_init(&long_event, SIZE_MAX / 2);
    for (int i = 0; i < 70000; i++)
        buf_append(&long_event, SLICE("0123456789abcdef"));
    fake_frame(&test.fake, ENVOY_RECEIVED_RESPONSE_BODY, SLICE(""));
    buf_reserve(&test.fake.bodies[2], 4 << 20);
    buf_append(&test.fake.bodies[2], buf_slice(&long_event));
    ENVOY_HOOK(http_filter_response_body)(&test.fake, test.filter, false);
    assert_int_equal(test.fake.scheduled, 1);
    ENVOY_HOOK(http_filter_scheduled)(&test.fake, test.filter, 0);
    assert_true(test.fake.is_reset);
    buf_fini(&long_event);
    end(&test);
}

static void wrong_settings_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "[]",
        "{",
        "{\"position\":1}",
        "{\"position\":\"middle\"}",
        "{\"unknown\":1}",
        "{\"forward\":\"x\"}",
        "{\"pinned\":\"x\"}",
        "{\"publish\":\"x\"}",
        "{\"log\":\"none\"}",
        "{\"files\":[\"/does/not/exist\"]}",
        "{\"files\":[1]}",
        "{\"files\":{}}",
        "{\"documents\":[{\"text\":1}]}",
        "{\"documents\":[{\"path\":\"x\"}]}",
        "{\"config\":\"kind: Nothing\"}",
        "{\"config\":\"{\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null(fake_settings(wrong[i]));
    ENVOY_HOOK(http_filter_config_destroy)(fake_settings(""));
}

static void without_resources_nothing_passes(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    ENVOY_HOOK(http_filter_destroy)(test.filter);
    const void *empty = fake_settings("{}");
    test.filter = ENVOY_HOOK(http_filter_new)(empty, &test.fake);
    assert_int_equal(ENVOY_HOOK(http_filter_request_headers)(&test.fake, test.filter, true), ENVOY_HEADERS_STOP);
    assert_int_equal(test.fake.sent_status, 503);
    end(&test);
    ENVOY_HOOK(http_filter_config_destroy)(empty);
}

static void a_number_finds_its_stream_alone(void **state)
{
    (void)state;
    int objects[200];
    uint64_t ids[200];
    for (int i = 0; i < 200; i++)
        ids[i] = table_add(3, (struct stream *)(void *)&objects[i]);
    for (int i = 0; i < 200; i++)
        assert_ptr_equal(table_find(3, ids[i]), &objects[i]);
    assert_null(table_find(4, ids[0]));
    assert_null(table_find(3, ids[0] + (1U << TABLE_SLOT_BITS)));
    table_remove(3, ids[7]);
    assert_null(table_find(3, ids[7]));
    uint64_t again = table_add(3, (struct stream *)(void *)&objects[0]); // the same slot, another generation
    assert_int_not_equal(again, ids[7]);
    assert_null(table_find(3, ids[7]));
    table_remove(3, ids[7]); // somebody else's by now
    assert_ptr_equal(table_find(3, again), &objects[0]);
    assert_int_equal(table_add(TABLE_WORKERS_MAX, (struct stream *)(void *)&objects[0]), 0);
    table_remove(3, 0);
}

static void failures_have_names(void **state)
{
    (void)state;
    assert_int_equal(failure_of(SLICE("upstream_reset_before_response_started{connection_timeout}"), 503),
                     ERROR_CONNECT_TIMEOUT);
    assert_int_equal(failure_of(SLICE("no_healthy_upstream"), 503), ERROR_NO_HEALTHY_BACKEND);
    assert_int_equal(failure_of(SLICE("upstream_per_try_timeout"), 503), ERROR_FIRST_BYTE_TIMEOUT);
    assert_int_equal(failure_of(SLICE("weir_unknown_backend"), 503), ERROR_NO_HEALTHY_BACKEND);
    assert_int_equal(failure_of(SLICE("something new"), 503), ERROR_UPSTREAM_RESET);
    assert_int_equal(failure_of(SLICE("something new"), 403), ERROR_NONE);
    assert_int_equal(failure_of(SLICE("stream_idle_timeout"), 408), ERROR_REQUEST_TIMEOUT);
    assert_int_equal(failure_of(SLICE("http1.too_many_trailers"), 431), ERROR_HEAD_TOO_LARGE);
    assert_int_equal(failure_of_head(SLICE("upgrade_failed"), 403), ERROR_UPGRADE);
    assert_int_equal(failure_of_head(SLICE("http1.invalid_transfer_encoding"), 501), ERROR_TRANSFER_CODING);
    assert_int_equal(failure_of_head(SLICE("http.invalid_authority"), 400), ERROR_MALFORMED_HEAD);
    assert_int_equal(failure_of_head(SLICE("ext_authz_denied"), 403), ERROR_NONE);
    assert_string_equal(ENVOY_HOOK(program_init)(), ENVOY_ABI_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_try_is_built_from_the_original),
        cmocka_unit_test(lines_are_made_here_and_costs_alone_published),
        cmocka_unit_test(a_line_has_the_flags_of_envoy_for_its_failures),
        cmocka_unit_test(a_line_has_the_flags_of_weir_for_its_answers),
        cmocka_unit_test(a_map_becomes_what_is_wanted),
        cmocka_unit_test(what_is_refused_is_answered_here),
        cmocka_unit_test(a_body_may_end_with_trailers),
        cmocka_unit_test(a_backend_of_another_generation_is_refused),
        cmocka_unit_test(a_failure_has_the_shape_of_the_endpoint),
        cmocka_unit_test(a_local_reply_keeps_who_is_at_fault),
        cmocka_unit_test(an_early_answer_has_a_shape),
        cmocka_unit_test(heads_are_as_strict_as_the_native_hosts),
        cmocka_unit_test(a_cut_stream_ends_in_an_error_event),
        cmocka_unit_test(an_endless_event_is_cut),
        cmocka_unit_test(wrong_settings_are_refused),
        cmocka_unit_test(without_resources_nothing_passes),
        cmocka_unit_test(a_number_finds_its_stream_alone),
        cmocka_unit_test(failures_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
