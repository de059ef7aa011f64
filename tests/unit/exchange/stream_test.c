// S8: what passes of an answer, at any split, what is kept back, and how a stream ends that its upstream left.
#include "exchange/fixture.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    struct config_rule *rule = simple_rule(&f);
    struct config_cost *costs = ARENA_ARRAY(&f.config->arena, struct config_cost, 2);
    costs[0] = (struct config_cost){.key = SLICE("in"), .type = COST_INPUT};
    costs[1] = (struct config_cost){.key = SLICE("llm_total_token"), .type = COST_TOTAL};
    f.config->routes[0].costs = costs;
    f.config->routes[0].cost_count = 2;
    (void)rule;
    struct config_route *free_route = add_route(&f, ROUTE_AI, "free");
    struct config_rule *free_rule = add_rule(&f, free_route, "/");
    add_match(free_rule, "x-ai-eg-model", "free");
    add_ref(&f, free_route, free_rule, add_backend(&f, "free"));
    compile(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

static void begin_stream(const char *body)
{
    chat(&f, body);
    begin(&f);
    struct attempt_verdict verdict = answer(&f, 200, "content-type: text/event-stream\n", -1);
    assert_int_equal(verdict.kind, ATTEMPT_PASS);
    assert_int_equal(verdict.body_bytes, -1);
}

#define ASKING "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"
#define SILENT "{\"model\":\"m\",\"stream\":true}"
#define ONE "data: {\"model\":\"gpt\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
#define TWO ": ping\n\ndata:{\"choices\":[{\"delta\":{}}]}\r\n\r\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n"
#define DONE "data: [DONE]\n\n"

static void usage_is_asked_for(void **state)
{
    (void)state;
    static const char *cases[][2] = {
        {SILENT, "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
        {ASKING, ASKING},
        {"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"a\":1}}",
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"a\":1,\"include_usage\":true}}"},
        {"{\"model\":\"m\",\"stream_options\":{ \"include_usage\" : false },\"stream\":true}",
         "{\"model\":\"m\",\"stream_options\":{ \"include_usage\" : true },\"stream\":true}"},
        {"{\"model\":\"m\",\"stream\":true,\"stream_options\":null}",
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
        {"{\"model\":\"m\",\"stream\":true,\"stream_options\":7}",
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":7}"},
        {"{\"model\":\"m\",\"stream\":false}", "{\"model\":\"m\",\"stream\":false}"},
        {"{\"model\":\"free\",\"stream\":true}", "{\"model\":\"free\",\"stream\":true}"},
        {"{\"backend\":\"\",\"model\":\"m\",\"stream\":true}", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        chat(&f, cases[i][0]);
        if (!cases[i][1]) {
            assert_reply(&f, 400, "empty");
            continue;
        }
        begin(&f);
        assert_slice(attempt_body(&f), cases[i][1]);
    }
}

// The whole stream in pieces cut at `first` and `second`.
static void send_cut(struct slice whole, size_t first, size_t second)
{
    piece(&f, slice_sub(whole, 0, first), false);
    piece(&f, slice_sub(whole, first, second - first), false);
    struct attempt_verdict verdict = piece(&f, slice_from(whole, second), true);
    assert_int_equal(verdict.kind, ATTEMPT_DONE);
}

static void any_split_gives_the_same(void **state)
{
    (void)state;
    struct slice whole = SLICE(ONE TWO USAGE DONE);
    for (size_t a = 0; a <= whole.len; a++)
        for (size_t b = a; b <= whole.len; b += 7) {
            begin_stream(SILENT);
            send_cut(whole, a, b);
            assert_slice(buf_slice(&f.sent), ONE TWO DONE);
            begin_stream(ASKING);
            send_cut(whole, a, b);
            assert_slice(buf_slice(&f.sent), ONE TWO USAGE DONE);
        }
}

static void byte_by_byte(void **state)
{
    (void)state;
    struct slice whole = SLICE("\xef\xbb\xbf" ONE TWO "data: x\r\rdata: y\ndata: z\n\n" USAGE DONE "data: half");
    begin_stream(ASKING);
    for (size_t i = 0; i < whole.len; i++)
        piece(&f, slice_sub(whole, i, 1), false);
    assert_int_equal(f.sent.len, whole.len - strlen("data: half"));
    assert_int_equal(piece(&f, SLICE(""), true).kind, ATTEMPT_DONE);
    assert_true(slice_eq(buf_slice(&f.sent), whole)); // a clean end: what was sent passes
}

static void events_pass_at_once(void **state)
{
    (void)state;
    begin_stream(ASKING);
    piece(&f, SLICE(ONE "data: {"), false);
    assert_slice(buf_slice(&f.sent), ONE);
    piece(&f, SLICE("}\n"), false);
    assert_slice(buf_slice(&f.sent), ONE);
    piece(&f, SLICE("\n"), false);
    assert_slice(buf_slice(&f.sent), ONE "data: {}\n\n");
}

static void accounts_for_the_stream(void **state)
{
    (void)state;
    begin_stream(SILENT);
    f.now_us += 20000;
    piece(&f, SLICE(ONE), false);
    f.now_us += 30000;
    piece(&f, SLICE(USAGE DONE), true);
    end_request(&f);
    assert_int_equal(f.record.usage.tokens[USAGE_TOTAL], 7);
    assert_true(metadata(&f, "in")->number == 3);
    assert_true(metadata(&f, "llm_total_token")->number == 7);
    assert_true(metadata(&f, "llm_output_token")->number == 4);
    assert_true(metadata(&f, "token_latency_ttft")->number == 20);
    assert_true(metadata(&f, "token_latency_itl")->number == 10);
    assert_slice(metadata(&f, "response_model")->text, "gpt");
    assert_slice(f.record.details, "via_upstream");
    assert_slice(f.record.flags, "-");
    assert_slice(f.record.upstream_cluster, "httproute/ns/r/rule/0");
    assert_int_equal(f.record.status, 200);
    assert_slice(fields_value(f.record.response, SLICE("content-type")), "text/event-stream");
}

static int64_t deadline_of(void)
{
    enum error_code error;
    return exchange_deadline_us(f.x, &error);
}

static void a_slow_client_is_not_the_backends_silence(void **state)
{
    (void)state;
    begin_stream(ASKING);
    piece(&f, text(ONE), false);
    int64_t idle_us = deadline_of() - f.now_us;
    assert_true(idle_us > 0 && deadline_of() != INT64_MAX);
    attempt_paused(f.a, true, f.now_us);
    assert_true(deadline_of() == INT64_MAX);
    f.now_us += 2 * idle_us;
    attempt_paused(f.a, false, f.now_us);
    assert_true(deadline_of() == f.now_us + idle_us);
    f.now_us += 1000;
    attempt_paused(f.a, false, f.now_us); // was not paused: no news of the backend
    assert_true(deadline_of() == f.now_us - 1000 + idle_us);
}

static void cut_streams_end_in_an_error_event(void **state)
{
    (void)state;
    begin_stream(ASKING);
    piece(&f, SLICE(ONE "data: {\"cho"), false);
    struct attempt_verdict verdict = attempt_failed(f.a, ERROR_UPSTREAM_RESET, SLICE("reset"), f.now_us);
    assert_int_equal(verdict.kind, ATTEMPT_CUT);
    buf_reset(&f.sent);
    take_pieces(&f, &verdict);
    assert_true(slice_starts_with(buf_slice(&f.sent), SLICE("data: {\"error\":{\"message\":")));
    assert_has(buf_slice(&f.sent), "\"code\":\"upstream_reset\"}}\n\n");
    exchange_close(f.x, END_CUT, f.now_us, 0, 0, &f.record);
    assert_slice(f.record.flags, "UC");

    post(&f, "/v1/responses", "", "{\"model\":\"m\",\"stream\":true}");
    begin(&f);
    answer(&f, 200, "Content-Type: text/event-stream; charset=utf-8\n", -1);
    piece(&f, SLICE("event: a\ndata: {}\n\n"), false);
    verdict = attempt_failed(f.a, ERROR_IDLE_TIMEOUT, SLICE(""), f.now_us);
    assert_int_equal(verdict.kind, ATTEMPT_CUT);
    buf_reset(&f.sent);
    take_pieces(&f, &verdict);
    assert_true(slice_starts_with(buf_slice(&f.sent), SLICE("event: error\ndata: {\"type\":\"error\",\"code\":")));
}

static void other_bodies_are_cut_silently(void **state)
{
    (void)state;
    chat(&f, "{\"model\":\"m\"}");
    begin(&f);
    struct attempt_verdict verdict = answer(&f, 200, "content-type: application/json\n", 100);
    assert_int_equal(verdict.body_bytes, 100);
    piece(&f, SLICE("{\"a\":"), false);
    verdict = attempt_failed(f.a, ERROR_UPSTREAM_RESET, SLICE(""), f.now_us);
    assert_int_equal(verdict.kind, ATTEMPT_CUT);
    assert_int_equal(verdict.piece_count, 0);
}

static void events_are_bounded(void **state)
{
    (void)state;
    size_t len = 700 * 1024;
    char *big = malloc(len);
    memset(big, 'x', len);
    begin_stream(ASKING);
    assert_int_equal(piece(&f, SLICE(ONE "data: "), false).kind, ATTEMPT_PASS);
    assert_int_equal(piece(&f, slice_make(big, len), false).kind, ATTEMPT_PASS);
    assert_int_equal(piece(&f, slice_make(big, len), false).kind, ATTEMPT_CUT);
    assert_has(buf_slice(&f.sent), ONE "data: {\"error\"");
    free(big);
}

static void json_usage_and_provider_errors(void **state)
{
    (void)state;
    struct slice body =
        SLICE("{\"model\":\"gpt\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,"
              "\"total_tokens\":3}}");
    for (size_t cut = 0; cut <= body.len; cut++) {
        chat(&f, "{\"model\":\"m\"}");
        begin(&f);
        answer(&f, 200, "content-type: application/json\n", (int64_t)body.len);
        piece(&f, slice_sub(body, 0, cut), false);
        assert_int_equal(piece(&f, slice_from(body, cut), true).kind, ATTEMPT_DONE);
        assert_true(slice_eq(buf_slice(&f.sent), body));
        end_request(&f);
        assert_true(metadata(&f, "llm_total_token")->number == 3);
    }
    chat(&f, "{\"model\":\"m\"}");
    begin(&f);
    struct attempt_verdict verdict = answer(
        &f, 400, "content-type: text/html\ncontent-length: 5\nconnection: x-y\nx-y: 1\nX-Request-Id: theirs\n", 5);
    assert_int_equal(verdict.head->status, 400);
    assert_null(fields_find(&verdict.head->fields, SLICE("content-length")));
    assert_null(fields_find(&verdict.head->fields, SLICE("x-y")));
    assert_int_equal(fields_count(&verdict.head->fields, SLICE("x-request-id")), 1);
    assert_true(slice_eq(fields_value(&verdict.head->fields, SLICE("x-request-id")),
                         fields_value(exchange_fields(f.x), SLICE("x-request-id"))));
    piece(&f, SLICE("<p>no"), true);
    assert_slice(buf_slice(&f.sent), "<p>no");
    end_request(&f);
    assert_null(metadata(&f, "llm_total_token"));
}

static void compressed_answers_pass_untouched(void **state)
{
    (void)state;
    chat(&f, SILENT);
    begin(&f);
    assert_null(sent_header(&f, "accept-encoding").ptr);
    answer(&f, 200, "content-type: text/event-stream\ncontent-encoding: gzip\n", -1);
    piece(&f, SLICE("\x1f\x8b"), false);
    assert_int_equal(f.sent.len, 2);
    assert_int_equal(piece(&f, SLICE(""), true).kind, ATTEMPT_DONE);
}

static void bodies_are_released(void **state)
{
    (void)state;
    chat(&f, ASKING);
    begin(&f);
    assert_true(attempt_request(f.a)->body_count > 0);
    attempt_request_sent(f.a);
    answer(&f, 200, "content-type: text/event-stream\n", -1);
    assert_int_equal(attempt_request(f.a)->body_count, 0);
    piece(&f, SLICE(ONE DONE), true);
    end_request(&f);
    assert_slice(fields_value(f.record.request, SLICE("x-ai-eg-model")), "m");
}

static void bodies_of_last_attempts_are_released_at_once(void **state)
{
    (void)state;
    chat(&f, ASKING);
    begin(&f);
    attempt_is_last(f.a);
    assert_true(attempt_request(f.a)->body_count > 0);
    size_t held = exchange_held_bytes(f.x);
    attempt_request_sent(f.a);
    assert_int_equal(attempt_request(f.a)->body_count, 0);
    assert_true(exchange_held_bytes(f.x) < held);
    answer(&f, 200, "content-type: text/event-stream\n", -1);
    piece(&f, SLICE(ONE DONE), true);
    end_request(&f);
    assert_slice(fields_value(f.record.request, SLICE("x-ai-eg-model")), "m");
}

static void clients_may_leave(void **state)
{
    (void)state;
    begin_stream(SILENT);
    piece(&f, SLICE(ONE), false);
    exchange_close(f.x, END_CLIENT_GONE, f.now_us, 0, 0, &f.record);
    assert_slice(f.record.flags, "DC");
    assert_slice(metadata(&f, "backend_name")->text, "ns/b/route/r/rule/0/ref/0");
    open_request(&f, "POST", "/v1/chat/completions", "", -1);
    exchange_close(f.x, END_CLIENT_GONE, f.now_us, 0, 0, &f.record);
    assert_int_equal(f.record.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_is_asked_for),
        cmocka_unit_test(any_split_gives_the_same),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(events_pass_at_once),
        cmocka_unit_test(accounts_for_the_stream),
        cmocka_unit_test(cut_streams_end_in_an_error_event),
        cmocka_unit_test(other_bodies_are_cut_silently),
        cmocka_unit_test(events_are_bounded),
        cmocka_unit_test(a_slow_client_is_not_the_backends_silence),
        cmocka_unit_test(json_usage_and_provider_errors),
        cmocka_unit_test(compressed_answers_pass_untouched),
        cmocka_unit_test(bodies_are_released),
        cmocka_unit_test(bodies_of_last_attempts_are_released_at_once),
        cmocka_unit_test(clients_may_leave),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
