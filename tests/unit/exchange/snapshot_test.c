// A snapshot's compiling, sharing and findings; replies of an exchange that the host gives up.
#include "exchange/fixture.h"
#include "exchange/life.h"

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

static void is_shared_by_counting(void **state)
{
    (void)state;
    simple_rule(&f);
    compile(&f);
    assert_ptr_equal(snapshot_config(f.snapshot), f.config);
    assert_int_equal(snapshot_generation(f.snapshot), 1);
    assert_non_null(snapshot_routes(f.snapshot, 0));
    assert_null(snapshot_routes(f.snapshot, 1));
    assert_int_equal(snapshot_log_count(f.snapshot, 0), 0);
    struct snapshot *mine = snapshot_ref(f.snapshot);
    snapshot_unref(f.snapshot);
    chat(&f, "{\"model\":\"m\"}"); // the last reference still serves
    assert_int_equal(f.want, EXCHANGE_WANT_BACKEND);
    f.snapshot = mine;
}

static void requests_hold_their_snapshot(void **state)
{
    (void)state;
    simple_rule(&f);
    compile(&f);
    chat(&f, "{\"model\":\"m\"}");
    snapshot_unref(f.snapshot); // a reload took its place
    f.snapshot = NULL;
    begin(&f);
    assert_slice(f.ref->backend->name, "b");
    end_request(&f);
    assert_int_equal(f.record.generation, 1);
}

static void wrong_parts_are_findings(void **state)
{
    (void)state;
    struct config_rule *rule = simple_rule(&f);
    rule->matches->headers[0].type = MATCH_REGEX;
    rule->matches->headers[0].value = ctext("(");
    static struct config_cost cost = {.type = COST_CEL};
    cost.key = SLICE("x");
    cost.cel = ctext("input_tokens +");
    f.config->routes[0].costs = &cost;
    f.config->routes[0].cost_count = 1;
    assert_null(snapshot_new(f.config, 1, 2, &f.findings)); // takes the configuration all the same
    assert_true(f.findings.error_count >= 2);               // both are said at once
}

static void oddities_are_said_once(void **state)
{
    (void)state;
    struct config_rule *rule = simple_rule(&f);
    set_header(&f, &f.config->backends[0].header_mutation, "host", "x");
    add_ref(&f, &f.config->routes[0], rule, &f.config->backends[0]);
    add_ref(&f, &f.config->routes[0], rule, &f.config->backends[0]);
    compile(&f);
    size_t about_host = 0;
    for (size_t i = 0; i < f.findings.count; i++)
        about_host += slice_find_slice(f.findings.items[i].text, SLICE("host")) != SLICE_NOT_FOUND;
    assert_int_equal(about_host, 1);
}

static void hosts_may_give_up(void **state)
{
    (void)state;
    simple_rule(&f);
    compile(&f);
    open_request(&f, "POST", "/v1/chat/completions", "", -1);
    f.want = exchange_fail(f.x, ERROR_REQUEST_TIMEOUT);
    assert_reply(&f, 408, "did not arrive in time");
    assert_true(exchange_reply(f.x)->must_close);
    assert_slice(exchange_step_name(f.x), "REPLY");
    f.want = exchange_fail(f.x, ERROR_DRAINING); // too late: the first reply stands
    assert_reply(&f, 408, "");
    open_request(&f, "GET", "/", "", 0);
    f.want = EXCHANGE_WANT_REPLY;
    assert_reply(&f, 404, "unsupported path");
    assert_false(exchange_reply(f.x)->must_close);
    chat(&f, "{\"model\":\"m\"}");
    f.want = exchange_fail(f.x, ERROR_DRAINING);
    assert_reply(&f, 503, "shutting down");
    assert_slice(fields_value(&exchange_reply(f.x)->head.fields, SLICE("retry-after")), "1");
    assert_int_equal(next(&f).kind, CHOICE_REPLY);
}

// S11 and the goal of 8 KiB for an open stream, of which the host's connection takes its part.
static void open_streams_hold_little(void **state)
{
    (void)state;
    simple_rule(&f);
    compile(&f);
    static char body[64 * 1024];
    int len = snprintf(body, sizeof body, "{\"model\":\"m\",\"stream\":true,\"pad\":\"%0*d\"}", 60000, 0);
    open_request(&f, "POST", "/v1/chat/completions",
                 "content-type: application/json\nuser-agent: a/1\naccept: */*\nauthorization: Bearer x\n", len);
    f.want = exchange_body(f.x, slice_make(body, (size_t)len), true);
    begin(&f);
    attempt_request_sent(f.a);
    answer(&f, 200, "content-type: text/event-stream\ndate: now\nserver: x\n", -1);
    piece(&f, SLICE("data: {}\n\ndata: {"), false);
    assert_int_equal(f.x->body.cap, 0);
    assert_in_range(f.x->arena.held_bytes + f.a->events->partial.cap + f.a->carry.cap, 1, 6 * 1024);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(is_shared_by_counting),    TEST(requests_hold_their_snapshot),
        TEST(wrong_parts_are_findings), TEST(oddities_are_said_once),
        TEST(hosts_may_give_up),        TEST(open_streams_hold_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
