// S5, S6, S7: what each attempt is made of, which backend is next, and that nothing leaks from one to another.
#include "exchange/fixture.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

// A route "r" with `count` backends named a, b, c...
static struct config_rule *many(size_t count)
{
    static const char *names[] = {"a", "b", "c", "d", "e"};
    struct config_route *route = add_route(&f, ROUTE_AI, "r");
    struct config_rule *rule = add_rule(&f, route, "/");
    add_match(rule, "x-ai-eg-model", "m");
    for (size_t i = 0; i < count; i++)
        add_ref(&f, route, rule, add_backend(&f, names[i]));
    return rule;
}

static void expect_backend(const char *name)
{
    begin(&f);
    assert_slice(f.ref->backend->name, name);
}

static void expect_retry(uint16_t status, const char *headers)
{
    struct attempt_verdict verdict = answer(&f, status, headers, 2);
    assert_int_equal(verdict.kind, ATTEMPT_RETRY);
}

static void expect_pass(uint16_t status, const char *headers)
{
    struct attempt_verdict verdict = answer(&f, status, headers, 2);
    assert_int_equal(verdict.kind, ATTEMPT_PASS);
    assert_int_equal(verdict.head->status, status);
}

// ---- building -------------------------------------------------------------------------------------------------

static void mutations_are_the_backends_own(void **state)
{
    (void)state;
    struct config_rule *rule = many(2);
    set_header(&f, &rule->refs[0].header_mutation, "x-tier", "dedicated");
    remove_name(&f, &rule->refs[0].header_mutation, "x-own");
    rule->refs[0].model_override = SLICE("up");
    set_header(&f, &rule->refs[0].body_mutation, "k", "1");
    set_header(&f, &rule->refs[0].body_mutation, "deep.a", "\"x\"");
    remove_name(&f, &rule->refs[0].body_mutation, "gone");
    set_header(&f, &rule->refs[1].header_mutation, "x-tier", "shared");
    rule->refs[1].priority = 1;
    compile(&f);
    const char *body = "{\"gone\":1,\"model\":\"m\",\"deep\":{\"b\":[1 ]},\"k\": 0,\"n\":1.0}";
    post(&f, "/v1/chat/completions", "x-own: mine\nX-Tier: client\n", body);
    expect_backend("a");
    assert_slice(attempt_body(&f), "{\"model\":\"up\",\"deep\":{\"b\":[1 ],\"a\":\"x\"},\"k\": 1,\"n\":1.0}");
    assert_slice(sent_header(&f, "x-tier"), "dedicated");
    assert_null(sent_header(&f, "x-own").ptr);
    expect_retry(429, "");
    expect_backend("b");
    assert_slice(attempt_body(&f), body);
    assert_slice(sent_header(&f, "x-tier"), "shared");
    assert_slice(sent_header(&f, "x-own"), "mine");
    expect_pass(200, "");
    end_request(&f);
    assert_slice(fields_value(f.record.request, SLICE("x-tier")), "shared");
    assert_slice(metadata(&f, "backend_name")->text, "ns/b/route/r/rule/0/ref/1");
    assert_slice(metadata(&f, "ai_service_backend_name")->text, "ns/b");
    assert_slice(metadata(&f, "model_name_override")->text, "m");
    assert_slice(metadata(&f, "route_name")->text, "ns/r");
    assert_int_equal(f.record.attempts, 2);
}

static void edited_members_must_stand_once(void **state)
{
    (void)state;
    struct config_rule *rule = many(1);
    set_header(&f, &rule->refs[0].body_mutation, "k", "1");
    set_header(&f, &rule->refs[0].body_mutation, "deep.a", "1");
    compile(&f);
    chat(&f, "{\"model\":\"m\",\"k\":1,\"k\":2}");
    assert_reply(&f, 400, "'k' stands more than once");
    chat(&f, "{\"model\":\"m\",\"deep\":{\"a\":1,\"a\":2}}");
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    assert_null(attempt_begin(f.x, next(&f).ref, f.now_us));
    f.want = EXCHANGE_WANT_REPLY;
    assert_reply(&f, 400, "more than once");
}

static void appends_what_is_not_there(void **state)
{
    (void)state;
    struct config_rule *rule = many(1);
    set_header(&f, &rule->refs[0].body_mutation, "x", "[1]");
    set_header(&f, &rule->refs[0].body_mutation, "y.z", "true");
    remove_name(&f, &rule->refs[0].body_mutation, "absent");
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    assert_slice(attempt_body(&f), "{\"model\":\"m\",\"x\":[1],\"y\":{\"z\":true}}");
}

static void targets_follow_the_backend(void **state)
{
    (void)state;
    struct config_rule *rule = many(3);
    f.config->backends[1].prefix = SLICE("openai/v2");
    f.config->backends[2].prefix = SLICE("");
    for (uint32_t i = 0; i < 3; i++)
        rule->refs[i].priority = i;
    compile(&f);
    static const char *chats[] = {"/v1/chat/completions?q=1", "/openai/v2/chat/completions?q=1",
                                  "/chat/completions?q=1"};
    static const char *plain[] = {"/tokenize", "/tokenize", "/tokenize"};
    for (int endpoint = 0; endpoint < 2; endpoint++) {
        post(&f, endpoint ? "/tokenize" : "/v1/chat/completions?q=1", "", "{\"model\":\"m\"}");
        for (size_t i = 0; i < 3; i++) {
            begin(&f);
            assert_slice(attempt_request(f.a)->target, endpoint ? plain[i] : chats[i]);
            if (i < 2)
                expect_retry(503, "");
        }
    }
}

// ---- credentials ----------------------------------------------------------------------------------------------

static const char *client_fields[] = {"authorization",  "x-api-key", "api-key",
                                      "x-goog-api-key", "cookie",    "x-aigw-api-key"};

// What a backend of each kind may see of a field: NULL is nothing.
static const char *allowed(int kind, size_t field)
{
    switch (kind) {
    case 0: // no policy: the client's own, but for x-aigw-*
        return field < 5 ? "client" : NULL;
    case 1:
        return field == 0 ? "Bearer key-1" : NULL;
    case 2:
        return field == 2 ? "key-2" : NULL;
    case 3:
        return field == 1 ? "key-3" : NULL;
    default: // takes it from the request
        return field == 0 ? "Bearer client" : NULL;
    }
}

static void give_credential(struct config_backend *backend, int kind)
{
    static const char *keys[] = {"", "key-1", "key-2", "key-3", "key-4"};
    static const enum config_credential_type types[] = {CREDENTIAL_NONE, CREDENTIAL_API_KEY, CREDENTIAL_AZURE_API_KEY,
                                                        CREDENTIAL_ANTHROPIC_API_KEY, CREDENTIAL_API_KEY};
    backend->credential.type = types[kind];
    backend->credential.key = (struct secret){text(keys[kind])};
    if (kind == 4)
        backend->credential.override_header = SLICE("x-aigw-api-key");
}

static void expect_credentials(int kind)
{
    for (size_t i = 0; i < 6; i++) {
        const struct fields *fields = &attempt_request(f.a)->fields;
        const char *wanted = allowed(kind, i);
        assert_int_equal(fields_count(fields, text(client_fields[i])), wanted ? 1 : 0);
        if (wanted)
            assert_slice(fields_value(fields, text(client_fields[i])), wanted);
    }
}

static void credentials_stay_with_their_backend(void **state)
{
    (void)state;
    for (int first = 0; first < 5; first++)
        for (int second = 0; second < 5; second++) {
            struct config_rule *rule = many(2);
            rule->refs[1].priority = 1;
            give_credential(&f.config->backends[0], first);
            give_credential(&f.config->backends[1], second);
            compile(&f);
            post(&f, "/v1/chat/completions",
                 "Authorization: client\nX-API-Key: client\napi-key: client\nx-goog-api-key: client\ncookie: client\n"
                 "x-aigw-api-key: client\n",
                 "{\"model\":\"m\"}");
            expect_backend("a");
            expect_credentials(first);
            expect_retry(503, "");
            expect_backend("b");
            expect_credentials(second);
            fixture_fini(&f);
            fixture_init(&f);
        }
    many(1);
    compile(&f);
}

static void missing_override_is_401(void **state)
{
    (void)state;
    many(1);
    f.config->backends[0].credential = (struct config_credential){
        .type = CREDENTIAL_API_KEY, .key = {SLICE("configured")}, .override_header = SLICE("X-My-Key")};
    compile(&f);
    post(&f, "/v1/chat/completions", "x-my-key: mine\n", "{\"model\":\"m\"}");
    expect_backend("a");
    assert_slice(sent_header(&f, "authorization"), "Bearer mine");
    assert_null(sent_header(&f, "x-my-key").ptr);
    post(&f, "/v1/chat/completions", "x-my-key:  \n", "{\"model\":\"m\"}");
    assert_null(attempt_begin(f.x, next(&f).ref, f.now_us));
    f.want = EXCHANGE_WANT_REPLY;
    assert_reply(&f, 401, "missing upstream credential");
}

static void mutations_do_not_touch_credentials(void **state)
{
    (void)state;
    struct config_rule *rule = many(1);
    set_header(&f, &rule->refs[0].header_mutation, "authorization", "forged");
    give_credential(&f.config->backends[0], 1);
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    assert_slice(sent_header(&f, "authorization"), "Bearer key-1");
    end_request(&f);
    for (size_t i = 0; i < f.record.request->count; i++)
        assert_int_equal(slice_find_slice(f.record.request->items[i].value, SLICE("key-1")), SLICE_NOT_FOUND);
}

// ---- choosing -------------------------------------------------------------------------------------------------

static void weights_are_shares(void **state)
{
    (void)state;
    struct config_rule *rule = many(4);
    rule->refs[0].weight = 1;
    rule->refs[1].weight = 3;
    rule->refs[2].weight = 0;
    rule->refs[3].weight = 6;
    compile(&f);
    int seen[4] = {0};
    for (uint64_t i = 0; i < 10000; i++) {
        f.random = i * 0x9e3779b97f4a7c15ULL;
        chat(&f, "{\"model\":\"m\"}");
        seen[next(&f).ref->index]++;
    }
    assert_in_range(seen[0], 850, 1150);
    assert_in_range(seen[1], 2800, 3200);
    assert_int_equal(seen[2], 0);
    assert_in_range(seen[3], 5800, 6200);
}

static void health_and_priorities(void **state)
{
    (void)state;
    struct config_rule *rule = many(3);
    rule->refs[1].priority = 1;
    rule->refs[2].priority = 2;
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    f.is_down[0] = 1;
    expect_backend("b");
    f.is_down[1] = 1;
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("c");
    f.is_down[2] = 1;
    chat(&f, "{\"model\":\"m\"}");
    assert_int_equal(next(&f).kind, CHOICE_REPLY);
    f.want = EXCHANGE_WANT_REPLY;
    assert_reply(&f, 503, "No backend is available");
    assert_slice(end_request(&f)->flags, "UH");
    memset(f.is_down, 0, sizeof f.is_down);
    f.cool_until_us[0] = f.now_us + 20000000;
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("b");
    // When all are to be avoided, nobody waits for it: the first one serves.
    f.cool_until_us[1] = f.cool_until_us[2] = f.now_us + 30000000;
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
}

// A priority that is down is not doubted while another one carries the load; when none does, all are tried.
static void panic_comes_last(void **state)
{
    (void)state;
    struct config_rule *rule = many(3);
    rule->traffic.panic_threshold_percent = 50;
    rule->refs[2].priority = 1;
    compile(&f);
    f.is_down[0] = f.is_down[1] = 1;
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("c");
    f.is_down[2] = 1;
    chat(&f, "{\"model\":\"m\"}");
    struct exchange_choice choice = next(&f);
    assert_int_equal(choice.kind, CHOICE_BACKEND);
    assert_int_equal(choice.ref->priority, 0);
}

static void no_policy_means_two_more_backends(void **state)
{
    (void)state;
    struct config_rule *rule = many(4);
    for (uint32_t i = 0; i < 4; i++)
        rule->refs[i].priority = i;
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    expect_retry(500, "");
    expect_backend("b");
    struct attempt_verdict verdict = attempt_failed(f.a, ERROR_UPSTREAM_RESET, SLICE("reset"), f.now_us);
    assert_int_equal(verdict.kind, ATTEMPT_RETRY);
    expect_backend("c");
    expect_pass(529, "");
    assert_slice(end_request(&f)->flags, "URX");
}

static void requests_at_fault_are_final(void **state)
{
    (void)state;
    many(2);
    compile(&f);
    static const uint16_t statuses[] = {400, 401, 403, 404, 409, 413, 422, 499, 505, 307};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        chat(&f, "{\"model\":\"m\"}");
        begin(&f);
        expect_pass(statuses[i], "");
    }
}

static void one_backend_gets_a_second_connection(void **state)
{
    (void)state;
    many(1);
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    assert_int_equal(attempt_failed(f.a, ERROR_UPSTREAM_CONNECT, SLICE("refused"), f.now_us).kind, ATTEMPT_RETRY);
    struct exchange_choice choice = next(&f);
    if (choice.kind == CHOICE_WAIT) {
        assert_in_range(choice.at_us, f.now_us, f.now_us + 250000);
        f.now_us = choice.at_us;
    }
    expect_backend("a");
    assert_int_equal(attempt_failed(f.a, ERROR_UPSTREAM_CONNECT, SLICE("refused"), f.now_us).kind, ATTEMPT_REPLY);
    f.want = EXCHANGE_WANT_REPLY;
    assert_reply(&f, 502, "upstream_connect_failed");
    assert_slice(end_request(&f)->flags, "UF,URX");
    assert_slice(f.record.transport_failure, "refused");
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    expect_pass(503, "");
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    assert_int_equal(attempt_failed(f.a, ERROR_UPSTREAM_RESET, SLICE(""), f.now_us).kind, ATTEMPT_REPLY);
}

static void set_policy(struct config_rule *rule, uint32_t retries)
{
    static const uint16_t codes[] = {429, 503};
    rule->traffic.retry = (struct config_retry){.is_set = true,
                                                .num_retries = retries,
                                                .triggers = RETRY_STATUS_CODES | RETRY_CONNECT_FAILURE,
                                                .codes = codes,
                                                .code_count = 2,
                                                .backoff_base_ms = 100,
                                                .backoff_max_ms = 1000};
}

static void retry_after_is_honoured(void **state)
{
    (void)state;
    struct config_rule *rule = many(1);
    set_policy(rule, 3);
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    struct attempt_verdict verdict = answer(&f, 429, "Retry-After: 2\n", 0);
    assert_int_equal(verdict.kind, ATTEMPT_RETRY);
    assert_int_equal(verdict.cool_ms, 2000);
    struct exchange_choice choice = next(&f);
    assert_int_equal(choice.kind, CHOICE_WAIT);
    assert_int_equal(choice.at_us, f.now_us + 2000000);
    f.now_us = choice.at_us;
    expect_backend("a");
    // Longer than anybody waits: the answer itself passes.
    verdict = answer(&f, 429, "retry-after: 3600\n", 2);
    assert_int_equal(verdict.kind, ATTEMPT_PASS);
    assert_int_equal(verdict.cool_ms, 3600000);
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    // 1700000000 is Tue, 14 Nov 2023 22:13:20 GMT.
    verdict = answer(&f, 429, "retry-after: Tue, 14 Nov 2023 22:13:23 GMT\n", 2);
    assert_int_equal(verdict.kind, ATTEMPT_RETRY);
    assert_int_equal(verdict.cool_ms, 3000);
}

static void policy_limits_and_budget(void **state)
{
    (void)state;
    struct config_rule *rule = many(3);
    set_policy(rule, 5);
    rule->traffic.retry.attempts_per_priority = 1;
    rule->refs[2].priority = 1;
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    begin(&f);
    assert_int_equal(f.ref->priority, 0);
    expect_retry(503, "");
    expect_backend("c");
    expect_pass(503, "");
    f.retries_exhausted = true;
    chat(&f, "{\"model\":\"m\"}");
    begin(&f);
    expect_pass(503, "");
    f.retries_exhausted = false;
    chat(&f, "{\"model\":\"m\"}");
    begin(&f);
    expect_pass(500, ""); // not in the policy's list
}

static void a_silent_backend_is_left_for_the_next(void **state)
{
    (void)state;
    struct config_rule *rule = many(2);
    rule->refs[1].priority = 1;
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    expect_backend("a");
    assert_int_equal(attempt_failed(f.a, ERROR_FIRST_BYTE_TIMEOUT, SLICE(""), f.now_us).kind, ATTEMPT_RETRY);
    expect_backend("b");
    assert_int_equal(attempt_failed(f.a, ERROR_FIRST_BYTE_TIMEOUT, SLICE(""), f.now_us).kind, ATTEMPT_REPLY);
    f.want = EXCHANGE_WANT_REPLY;
    assert_reply(&f, 504, "in time");
}

static void time_limits(void **state)
{
    (void)state;
    struct config_rule *rule = many(2);
    rule->refs[1].priority = 1;
    set_policy(rule, 1);
    rule->traffic.retry.triggers |= RETRY_TIMEOUT;
    rule->traffic.retry.per_try_timeout_ms = 300;
    rule->request_timeout_ms = 400;
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    enum error_code error = ERROR_NONE;
    assert_int_equal(exchange_deadline_us(f.x, &error), f.now_us + 400000);
    assert_int_equal(error, ERROR_TOTAL_TIMEOUT);
    expect_backend("a");
    assert_int_equal(exchange_deadline_us(f.x, &error), f.now_us + 300000);
    assert_int_equal(error, ERROR_FIRST_BYTE_TIMEOUT);
    f.now_us += 300000;
    assert_int_equal(attempt_failed(f.a, error, SLICE(""), f.now_us).kind, ATTEMPT_RETRY);
    expect_backend("b");
    assert_int_equal(exchange_deadline_us(f.x, &error), f.now_us + 100000);
    assert_int_equal(error, ERROR_TOTAL_TIMEOUT);
    assert_int_equal(attempt_failed(f.a, error, SLICE(""), f.now_us + 100000).kind, ATTEMPT_REPLY);
    f.want = EXCHANGE_WANT_REPLY;
    assert_reply(&f, 504, "too long");
}

// ---- plain routes ---------------------------------------------------------------------------------------------

static struct config_rule *plain_rule(const char *path)
{
    struct config_route *route = add_route(&f, ROUTE_HTTP, "p");
    struct config_rule *rule = add_rule(&f, route, path);
    add_ref(&f, route, rule, add_backend(&f, "web"))->backend->schema = SCHEMA_NONE;
    return rule;
}

static void filters_of_plain_routes(void **state)
{
    (void)state;
    struct config_rule *rule = plain_rule("/foo");
    struct config_rule_filters *filters = &rule->filters;
    filters->path_change = PATH_REPLACE_PREFIX;
    filters->path_value = SLICE("/xyz/");
    filters->rewrite_host = SLICE("inner");
    set_header(&f, &filters->request_headers, "x-a", "1");
    struct config_set add = {ctext("x-b"), ctext("2")};
    filters->request_add = &add;
    filters->request_add_count = 1;
    remove_name(&f, &filters->response_headers, "server");
    compile(&f);
    static const char *cases[][2] = {{"/foo", "/xyz"}, {"/foo/", "/xyz/"}, {"/foo/bar?q", "/xyz/bar?q"}};
    for (size_t i = 0; i < 3; i++) {
        open_request(&f, "GET", cases[i][0], "x-b: 1\n", 0);
        begin(&f);
        assert_slice(attempt_request(f.a)->target, cases[i][1]);
    }
    assert_slice(attempt_request(f.a)->authority, "inner");
    assert_slice(sent_header(&f, "x-a"), "1");
    assert_int_equal(fields_count(&attempt_request(f.a)->fields, SLICE("x-b")), 2);
    struct attempt_verdict verdict = answer(&f, 200, "server: x\nvia: y\n", 0);
    assert_null(fields_find(&verdict.head->fields, SLICE("server")));
    assert_non_null(fields_find(&verdict.head->fields, SLICE("via")));
}

static void redirects(void **state)
{
    (void)state;
    struct config_rule *rule = plain_rule("/old");
    rule->filters.redirect_status = 301;
    rule->filters.redirect_scheme = SLICE("https");
    rule->filters.path_change = PATH_REPLACE_FULL;
    rule->filters.path_value = SLICE("/new");
    compile(&f);
    open_request(&f, "GET", "/old/a?b=c", "", 0);
    assert_int_equal(f.want, EXCHANGE_WANT_REPLY);
    assert_int_equal(exchange_reply(f.x)->head.status, 301);
    assert_slice(fields_value(&exchange_reply(f.x)->head.fields, SLICE("location")), "https://gw.example/new?b=c");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mutations_are_the_backends_own),
        TEST(edited_members_must_stand_once),
        TEST(appends_what_is_not_there),
        TEST(targets_follow_the_backend),
        TEST(credentials_stay_with_their_backend),
        TEST(missing_override_is_401),
        TEST(mutations_do_not_touch_credentials),
        TEST(weights_are_shares),
        TEST(health_and_priorities),
        TEST(panic_comes_last),
        TEST(no_policy_means_two_more_backends),
        TEST(requests_at_fault_are_final),
        TEST(one_backend_gets_a_second_connection),
        TEST(retry_after_is_honoured),
        TEST(policy_limits_and_budget),
        TEST(a_silent_backend_is_left_for_the_next),
        TEST(time_limits),
        TEST(filters_of_plain_routes),
        TEST(redirects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
