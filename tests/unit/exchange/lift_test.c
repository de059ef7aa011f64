// S1, S2, S3, S9: what a request must say, what is lifted from it, and the errors of those that don't.
#include "exchange/fixture.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    simple_rule(&f);
    struct config_route *pins = add_route(&f, ROUTE_AI, "pins");
    struct config_rule *rule = add_rule(&f, pins, "/");
    add_match(rule, "x-ai-eg-backend", "uuid-1");
    add_ref(&f, pins, rule, add_backend(&f, "pinned"));
    struct config_rule *listed = add_rule(&f, pins, "/");
    add_match(listed, "x-ai-eg-model", "whisper");
    struct config_backend_ref *ref = add_ref(&f, pins, listed, add_backend(&f, "audio"));
    ref->model_override = SLICE("whisper-large");
    struct config_route *plain = add_route(&f, ROUTE_HTTP, "plain");
    struct config_rule *files = add_rule(&f, plain, "/files");
    add_ref(&f, plain, files, add_backend(&f, "files"))->backend->schema = SCHEMA_NONE;
    compile(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

static void passes_a_chat_untouched(void **state)
{
    (void)state;
    const char *body = " {\"model\" : \"m\",\n \"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9 1.0e2\"}]} ";
    chat(&f, body);
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    begin(&f);
    assert_slice(attempt_body(&f), body);
    assert_slice(attempt_request(f.a)->target, "/v1/chat/completions");
    assert_slice(attempt_request(f.a)->authority, "b");
    assert_slice(sent_header(&f, "content-type"), "application/json");
    assert_slice(sent_header(&f, "x-forwarded-for"), "10.0.0.9");
    assert_int_equal(sent_header(&f, "x-request-id").len, 36);
}

static void lifts_into_fields(void **state)
{
    (void)state;
    post(&f, "/v1/chat/completions?a=b",
         "X-AI-EG-Model: forged\nx-ai-eg-internal-req-id: 1\nx-aigw-api-key: s\nX-Gateway-Destination-Endpoint: e\n"
         "x-envoy-original-path: /p\n",
         "{\"model\":\"m\",\"backend\":\"uuid-1\"}");
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    const struct fields *fields = exchange_fields(f.x);
    assert_int_equal(fields_count(fields, SLICE("x-ai-eg-model")), 1);
    assert_slice(fields_value(fields, SLICE("x-ai-eg-model")), "m");
    assert_slice(fields_value(fields, SLICE("x-ai-eg-model-log")), "m");
    assert_slice(fields_value(fields, SLICE("x-ai-eg-backend")), "uuid-1");
    assert_slice(fields_value(fields, SLICE("x-ai-eg-original-path")), "/v1/chat/completions?a=b");
    assert_null(fields_find(fields, SLICE("x-aigw-api-key")));
    assert_null(fields_find(fields, SLICE("x-ai-eg-internal-req-id")));
    begin(&f);
    assert_slice(f.ref->backend->name, "pinned");
    assert_slice(attempt_body(&f), "{\"model\":\"m\"}");
    for (size_t i = 0; i < attempt_request(f.a)->fields.count; i++) {
        struct slice name = attempt_request(f.a)->fields.items[i].name;
        assert_false(slice_starts_with_nocase(name, SLICE("x-ai-eg-")));
        assert_false(slice_starts_with_nocase(name, SLICE("x-aigw-")));
        assert_false(slice_starts_with_nocase(name, SLICE("x-gateway-dest")));
        assert_false(slice_eq_nocase(name, SLICE("x-envoy-original-path")));
    }
}

static void refuses_bad_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *says;
    } cases[] = {
        {"", "not valid JSON"},
        {"[]", "not valid JSON"},
        {"{\"model\":\"m\"", "not valid JSON"},
        {"\xef\xbb\xbf{\"model\":\"m\"}", "not valid JSON"},
        {"{\"messages\":[]}", "model"},
        {"{\"model\":\"\"}", "empty"},
        {"{\"model\":7}", "not a string"},
        {"{\"model\":null}", "not a string"},
        {"{\"model\":\"m\",\"model\":\"m\"}", "more than once"},
        {"{\"model\":\"m\",\"mod\\u0065l\":\"x\"}", "more than once"},
        {"{\"model\":\"m\",\"stream\":true,\"stream\":false}", "more than once"},
        {"{\"model\":\"m\",\"backend\":\"\"}", "empty"},
        {"{\"model\":\"m\",\"backend\":[]}", "not a string"},
        {"{\"model\":\"m\\n\"}", "control"},
        {"{\"model\":\"m\\u007f\"}", "control"},
        {"{\"model\":\"m\\u0000\"}", "control"},
        {"{\"model\":\" m\"}", "blank"},
        {"{\"model\":\"m \"}", "blank"},
        {"{\"model\":\"\\ud800\"}", "escape"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chat(&f, cases[i].body);
        assert_reply(&f, 400, cases[i].says);
        assert_has(exchange_reply(f.x)->body, "{\"error\":{\"message\":");
    }
}

static void bounds_lifted_values(void **state)
{
    (void)state;
    char body[512];
    for (int len = 255; len <= 257; len++) {
        snprintf(body, sizeof body, "{\"model\":\"%0*d\"}", len, 0);
        chat(&f, body);
        assert_reply(&f, len <= 256 ? 404 : 400, len <= 256 ? "No matching route" : "too long");
    }
    snprintf(body, sizeof body, "{\"model\":\"m\",\"backend\":\"%0129d\"}", 0);
    chat(&f, body);
    assert_reply(&f, 400, "too long");
}

static void decodes_escapes_and_ignores_nested(void **state)
{
    (void)state;
    chat(&f, "{\"tools\":[{\"model\":\"x\",\"backend\":\"y\"}],\"model\":\"\\u006d\",\"s\":\"\\\"backend\\\":\"}");
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    begin(&f);
    assert_slice(f.ref->backend->name, "b");
}

static void knows_pins(void **state)
{
    (void)state;
    post(&f, "/v1/chat/completions", "x-ai-eg-backend: uuid-1\n", "{\"model\":\"m\"}");
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    begin(&f);
    assert_slice(f.ref->backend->name, "pinned");
    post(&f, "/v1/chat/completions", "x-ai-eg-backend: uuid-1\n", "{\"model\":\"m\",\"backend\":\"uuid-1\"}");
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    post(&f, "/v1/chat/completions", "x-ai-eg-backend: uuid-1\n", "{\"model\":\"m\",\"backend\":\"uuid-2\"}");
    assert_reply(&f, 400, "disagree");
    post(&f, "/v1/chat/completions", "x-ai-eg-backend: uuid-1\nX-Ai-Eg-Backend: uuid-1\n", "{\"model\":\"m\"}");
    assert_reply(&f, 400, "more than once");
    post(&f, "/v1/chat/completions", "x-ai-eg-backend: nobody\n", "{\"model\":\"m\"}");
    assert_reply(&f, 404, "'nobody'");
    assert_has(exchange_reply(f.x)->body, "{\"error\":{\"message\":\"No matching route found. It is likely because the "
                                          "model specified in your request is not configured in the Gateway.");
    assert_has(exchange_reply(f.x)->body, "\"code\":\"model_not_found\"");
}

static void cuts_backend_at_every_place(void **state)
{
    (void)state;
    static const char *cases[][2] = {
        {"{\"backend\":\"uuid-1\",\"model\":\"m\"}", "{\"model\":\"m\"}"},
        {"{ \"backend\" : \"uuid-1\" , \"model\":\"m\" }", "{ \"model\":\"m\" }"},
        {"{\"model\":\"m\",\"backend\":\"uuid-1\",\"n\":1}", "{\"model\":\"m\",\"n\":1}"},
        {"{\"model\":\"m\"\n, \"backend\":\"uuid-1\"\n}", "{\"model\":\"m\"\n\n}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chat(&f, cases[i][0]);
        begin(&f);
        assert_slice(attempt_body(&f), cases[i][1]);
    }
}

static void answers_by_head_alone(void **state)
{
    (void)state;
    open_request(&f, "GET", "/v1/chat/completions", "", 0);
    assert_reply(&f, 405, "method");
    assert_slice(fields_value(&exchange_reply(f.x)->head.fields, SLICE("allow")), "POST");
    open_request(&f, "POST", "/v1/models", "", 0);
    assert_reply(&f, 405, "method");
    open_request(&f, "POST", "/v1/chat/completions", "content-type: multipart/form-data; boundary=x\n", 10);
    assert_reply(&f, 415, "application/json");
    open_request(&f, "POST", "/v1/audio/transcriptions", "content-type: application/json\n", 10);
    assert_reply(&f, 415, "multipart/form-data");
    open_request(&f, "POST", "/v1/chat/completions", "content-encoding: gzip\n", 10);
    assert_reply(&f, 415, "content-encoding");
    open_request(&f, "POST", "/v1/chat/completions", "expect: tea\n", 10);
    assert_reply(&f, 417, "expectation");
    open_request(&f, "POST", "/v1/chat/completions", "", 1024 * 1024 + 1);
    assert_reply(&f, 413, "too large");
    assert_true(exchange_reply(f.x)->must_close);
    open_request(&f, "POST", "/v1/nowhere?x=1", "", 0);
    assert_reply(&f, 404, "unsupported path: /v1/nowhere?x=1");
    assert_slice(end_request(&f)->details, "path_not_found");
    assert_slice(f.record.flags, "NR");
}

static void bounds_chunked_bodies(void **state)
{
    (void)state;
    char *big = calloc(1, 600 * 1024);
    open_request(&f, "POST", "/v1/chat/completions", "", -1);
    f.want = exchange_body(f.x, slice_make(big, 600 * 1024), false);
    assert_int_equal(f.want, EXCHANGE_WANT_BODY);
    f.want = exchange_body(f.x, slice_make(big, 600 * 1024), false);
    assert_reply(&f, 413, "too large");
    free(big);
}

static void lists_models(void **state)
{
    (void)state;
    open_request(&f, "GET", "/v1/models", "", 0);
    assert_reply(&f, 200, "{\"object\":\"list\",\"data\":[{\"id\":\"");
    assert_has(exchange_reply(f.x)->body, "\"id\":\"whisper\"");
    open_request(&f, "HEAD", "/v1/models", "", 0);
    assert_int_equal(f.want, EXCHANGE_WANT_REPLY);
    assert_int_equal(exchange_reply(f.x)->body.len, 0);
    assert_true(fields_value(&exchange_reply(f.x)->head.fields, SLICE("content-length")).len > 1);
}

#define PART(name, value) "--XX\r\ncontent-disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_PART "--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n"

static void form(const char *body)
{
    post(&f, "/v1/audio/transcriptions", "content-type: multipart/form-data; boundary=XX\n", body);
}

static void lifts_from_forms(void **state)
{
    (void)state;
    form(PART("model", "whisper") FILE_PART "--XX--\r\n");
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    begin(&f);
    assert_slice(f.ref->backend->name, "audio");
    assert_slice(attempt_body(&f), PART("model", "whisper-large") FILE_PART "--XX--\r\n");
    form(PART("backend", "uuid-1") PART("model", "m") FILE_PART "--XX--\r\n");
    begin(&f);
    assert_slice(f.ref->backend->name, "pinned");
    assert_slice(attempt_body(&f), PART("model", "m") FILE_PART "--XX--\r\n");
    form(FILE_PART PART("model", "m") PART("backend", "uuid-1") "--XX--\r\n");
    begin(&f);
    assert_slice(attempt_body(&f), FILE_PART PART("model", "m") "--XX--\r\n");
    form(FILE_PART "--XX--\r\n");
    assert_reply(&f, 400, "model");
    form(PART("model", "m") PART("model", "m") "--XX--\r\n");
    assert_reply(&f, 400, "more than once");
    form(PART("model", "m\xc3\x28") "--XX--\r\n");
    assert_reply(&f, 400, "UTF-8");
    form(PART("model", "\xed\xa0\x80") "--XX--\r\n");
    assert_reply(&f, 400, "UTF-8");
    form(PART("model", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") "--XX--\r\n");
    assert_reply(&f, 404, "No matching route");
    form(PART("model", "m"));
    assert_reply(&f, 400, "multipart");
}

static void serves_plain_routes(void **state)
{
    (void)state;
    open_request(&f, "GET", "/files/a?b=c", "accept-encoding: gzip\nconnection: x-hop, close\nx-hop: 1\nte: trailers\n",
                 0);
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    begin(&f);
    assert_slice(attempt_request(f.a)->target, "/files/a?b=c");
    assert_slice(sent_header(&f, "accept-encoding"), "gzip");
    assert_null(sent_header(&f, "x-hop").ptr);
    assert_null(sent_header(&f, "connection").ptr);
    assert_null(sent_header(&f, "te").ptr);
    open_request(&f, "PUT", "/files/a", "", 100 * 1024);
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    assert_int_equal(exchange_body_mode(f.x), BODY_STREAMED);
    open_request(&f, "PUT", "/files/a", "", 10);
    assert_int_equal(f.want, EXCHANGE_WANT_BODY);
    assert_int_equal(exchange_body_mode(f.x), BODY_HELD);
}

static void keeps_sane_request_ids(void **state)
{
    (void)state;
    post(&f, "/v1/chat/completions", "X-Request-Id: abc-1\n", "{\"model\":\"m\"}");
    begin(&f);
    assert_slice(sent_header(&f, "x-request-id"), "abc-1");
    post(&f, "/v1/chat/completions", "x-request-id: a b\nx-forwarded-for: 1.1.1.1\n", "{\"model\":\"m\"}");
    begin(&f);
    assert_int_equal(sent_header(&f, "x-request-id").len, 36);
    assert_int_equal(sent_header(&f, "x-request-id").ptr[14], '4');
    assert_slice(sent_header(&f, "x-forwarded-for"), "1.1.1.1, 10.0.0.9");
}

static void any_split_of_the_body_is_the_same(void **state)
{
    (void)state;
    const char *body = "{\"model\":\"m\",\"backend\":\"uuid-1\",\"messages\":[{\"content\":\"\\u00e9\"}]}";
    struct slice whole = text(body);
    for (size_t cut = 0; cut <= whole.len; cut++) {
        open_request(&f, "POST", "/v1/chat/completions", "", cut % 2 ? -1 : (int64_t)whole.len);
        struct slice space = exchange_body_space(f.x, 1);
        assert_true(space.len >= 1);
        if (cut && cut <= space.len) { // the first part is received in place
            memcpy((char *)(uintptr_t)space.ptr, whole.ptr, cut);
            f.want = exchange_body(f.x, slice_make(space.ptr, cut), false);
        } else {
            f.want = exchange_body(f.x, slice_sub(whole, 0, cut), false);
        }
        assert_int_equal(f.want, EXCHANGE_WANT_BODY);
        f.want = exchange_body(f.x, slice_from(whole, cut), true);
        assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
        begin(&f);
        assert_slice(attempt_body(&f), "{\"model\":\"m\",\"messages\":[{\"content\":\"\\u00e9\"}]}");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_a_chat_untouched),
        cmocka_unit_test(lifts_into_fields),
        cmocka_unit_test(refuses_bad_bodies),
        cmocka_unit_test(bounds_lifted_values),
        cmocka_unit_test(decodes_escapes_and_ignores_nested),
        cmocka_unit_test(knows_pins),
        cmocka_unit_test(cuts_backend_at_every_place),
        cmocka_unit_test(answers_by_head_alone),
        cmocka_unit_test(bounds_chunked_bodies),
        cmocka_unit_test(lists_models),
        cmocka_unit_test(lifts_from_forms),
        cmocka_unit_test(serves_plain_routes),
        cmocka_unit_test(keeps_sane_request_ids),
        cmocka_unit_test(any_split_of_the_body_is_the_same),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
