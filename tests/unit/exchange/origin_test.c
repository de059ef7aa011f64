// Who the client is behind other proxies, and what backends are told of it.
#include "exchange/fixture.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    simple_rule(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

static struct config_origin *origin(void)
{
    return &f.config->listeners->client.origin;
}

// The address that a request with these fields is logged with; its attempt is begun.
static void expect_client(const char *headers, const char *address)
{
    char all[1024];
    snprintf(all, sizeof all, "content-type: application/json\n%s", headers);
    post(&f, "/v1/chat/completions", all, "{\"model\":\"m\"}");
    begin(&f);
    struct slice got = end_request(&f)->downstream_remote_address;
    if (!slice_eq(got, text(address)))
        fail_msg("%s: " SLICE_FMT, headers, SLICE_ARG(got));
    assert_slice(f.record.downstream_direct_remote_address, "10.0.0.9:5555");
}

static void nobody_is_believed(void **state)
{
    (void)state;
    compile(&f);
    expect_client("x-forwarded-for: 1.2.3.4\nx-forwarded-proto: https\nx-forwarded-client-cert: By=me\n",
                  "10.0.0.9:5555");
    assert_slice(sent_header(&f, "x-forwarded-for"), "1.2.3.4, 10.0.0.9");
    assert_slice(sent_header(&f, "x-forwarded-proto"), "http");
    assert_null(sent_header(&f, "x-forwarded-client-cert").ptr);
    assert_null(sent_header(&f, "forwarded").ptr);
    expect_client("X_Forwarded_Client_Cert: By=me\n", "10.0.0.9:5555");
    assert_null(sent_header(&f, "x_forwarded_client_cert").ptr);
}

static void by_hops(void **state)
{
    (void)state;
    *origin() = (struct config_origin){.kind = ORIGIN_HOPS, .hops = 2};
    compile(&f);
    expect_client("x-forwarded-for: 203.0.113.128, 203.0.113.10, 203.0.113.1\nx-forwarded-proto: https\n",
                  "203.0.113.10:0");
    assert_slice(sent_header(&f, "x-forwarded-for"), "203.0.113.128, 203.0.113.10, 203.0.113.1, 10.0.0.9");
    assert_slice(sent_header(&f, "x-forwarded-proto"), "https");
    expect_client("x-forwarded-for: 203.0.113.128\nx-forwarded-for: 203.0.113.10\nX-Forwarded-For:203.0.113.1\n",
                  "203.0.113.10:0");
    expect_client("x-forwarded-for: a, [2001:DB8::1]:443,b\n", "[2001:db8::1]:443");
    expect_client("x-forwarded-for: 203.0.113.1\n", "10.0.0.9:5555");
    expect_client("x-forwarded-for: nobody, 203.0.113.1\n", "10.0.0.9:5555");
    expect_client("x-forwarded-for: 1.2.3.4,, 203.0.113.1\n", "10.0.0.9:5555");
    expect_client("x-forwarded-for: ,\n", "10.0.0.9:5555");
    expect_client("", "10.0.0.9:5555");
    expect_client("x-forwarded-proto: https\nx-forwarded-proto: http\n", "10.0.0.9:5555");
    assert_slice(sent_header(&f, "x-forwarded-proto"), "http");
    expect_client("x-forwarded-proto: javascript\n", "10.0.0.9:5555");
    assert_slice(sent_header(&f, "x-forwarded-proto"), "http");
}

static void trust(size_t count, const char *const *ranges)
{
    *origin() = (struct config_origin){.kind = ORIGIN_RANGES, .range_count = count};
    origin()->ranges = ARENA_ARRAY(&f.config->arena, struct ip_range, count);
    for (size_t i = 0; i < count; i++)
        assert_true(ip_range_parse(text(ranges[i]), &origin()->ranges[i]));
}

static void by_ranges(void **state)
{
    (void)state;
    trust(2, (const char *const[]){"10.0.0.0/8", "2001:db8::/32"});
    compile(&f);
    expect_client("x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.9.9.9, 2001:db8::5\nx-forwarded-proto: https\n", "2.2.2.2:0");
    assert_slice(sent_header(&f, "x-forwarded-proto"), "https");
    expect_client("x-forwarded-for: 10.1.1.1, 10.2.2.2\n", "10.1.1.1:0");
    expect_client("x-forwarded-for: 1.1.1.1, junk, 10.2.2.2\n", "10.0.0.9:5555");
    expect_client("", "10.0.0.9:5555");
}

static void not_from_a_trusted_range(void **state)
{
    (void)state;
    trust(1, (const char *const[]){"192.168.0.0/16"});
    compile(&f);
    expect_client("x-forwarded-for: 1.1.1.1, 192.168.1.1\nx-forwarded-proto: https\n", "10.0.0.9:5555");
    assert_slice(sent_header(&f, "x-forwarded-proto"), "http");
}

static void by_a_field(void **state)
{
    (void)state;
    *origin() = (struct config_origin){.kind = ORIGIN_FIELD, .field = SLICE("true-client-ip")};
    compile(&f);
    expect_client("True-Client-IP: 2001:db8::7\n", "[2001:db8::7]:0");
    assert_slice(sent_header(&f, "true-client-ip"), "2001:db8::7");
    expect_client("True-Client-IP: 1.1.1.1\nTrue-Client-IP: 2.2.2.2\n", "10.0.0.9:5555");
    expect_client("True-Client-IP: 1.1.1.1, 2.2.2.2\n", "10.0.0.9:5555");
}

static void without_the_field(void **state)
{
    (void)state;
    *origin() = (struct config_origin){.kind = ORIGIN_FIELD, .field = SLICE("true-client-ip"), .is_required = true};
    compile(&f);
    expect_client("True-Client-IP: 1.1.1.1\n", "1.1.1.1:0");
    post(&f, "/v1/chat/completions", "content-type: application/json\n", "{\"model\":\"m\"}");
    assert_reply(&f, 403, "address");
}

// An element of ours goes behind those that came, and never into a quoted string that somebody left open.
static void forwarded(void **state)
{
    (void)state;
    compile(&f);
    expect_client("forwarded: for=1.2.3.4;by=\"a,b\"\n", "10.0.0.9:5555");
    assert_slice(sent_header(&f, "forwarded"),
                 "for=1.2.3.4;by=\"a,b\", for=10.0.0.9;host=\"gw.example:8080\";proto=http");
    expect_client("forwarded: for=\"1.2.3.4\n", "10.0.0.9:5555");
    assert_slice(sent_header(&f, "forwarded"), "for=10.0.0.9;host=\"gw.example:8080\";proto=http");
    expect_client("forwarded: for=\"a\\\"\nforwarded: for=b\n", "10.0.0.9:5555");
    assert_int_equal(fields_count(&attempt_request(f.a)->fields, SLICE("forwarded")), 1);
    assert_slice(sent_header(&f, "forwarded"), "for=b, for=10.0.0.9;host=\"gw.example:8080\";proto=http");
}

static void heads_by_policy(void **state)
{
    (void)state;
    struct config_client *client = &f.config->listeners->client;
    client->is_id_replaced = true;
    client->underscores = UNDERSCORES_DROPPED;
    client->refuses_slash_escape = true;
    client->client_cert = CLIENT_CERT_FORWARDED;
    compile(&f);
    expect_client("x-request-id: mine\na_b: c\nx-forwarded-client-cert: By=me\n", "10.0.0.9:5555");
    assert_int_equal(sent_header(&f, "x-request-id").len, 36);
    assert_null(sent_header(&f, "a_b").ptr);
    assert_slice(sent_header(&f, "x-forwarded-client-cert"), "By=me");
    open_request(&f, "GET", "/v1/models/a%2Fb", "", 0);
    assert_reply(&f, 400, "slash");
    open_request(&f, "GET", "/a%5cb?c", "", 0);
    assert_reply(&f, 400, "slash");
    open_request(&f, "GET", "/a?b=%2F", "", 0);
    assert_int_not_equal(exchange_error(f.x), ERROR_PATH_MALFORMED);
}

static void health_checks(void **state)
{
    (void)state;
    f.config->listeners->client.health_path = SLICE("/healthz");
    compile(&f);
    open_request(&f, "GET", "/healthz?from=balancer", "", 0);
    assert_reply(&f, 200, "");
    open_request(&f, "HEAD", "/healthz", "", 0);
    assert_reply(&f, 200, "");
    assert_slice(end_request(&f)->details, "direct_response");
    open_request(&f, "POST", "/healthz", "", 0);
    assert_reply(&f, 404, "");
    open_request(&f, "GET", "/healthz/", "", 0);
    assert_reply(&f, 404, "");
}

static void underscores_refused(void **state)
{
    (void)state;
    f.config->listeners->client.underscores = UNDERSCORES_REFUSED;
    compile(&f);
    open_request(&f, "GET", "/", "a_b: c\n", 0);
    assert_reply(&f, 400, "underscore");
    open_request(&f, "GET", "/", "a_b: c\nd: e\n", 0);
    assert_reply(&f, 400, "underscore");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_is_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(by_hops, setup, teardown),
        cmocka_unit_test_setup_teardown(by_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(not_from_a_trusted_range, setup, teardown),
        cmocka_unit_test_setup_teardown(by_a_field, setup, teardown),
        cmocka_unit_test_setup_teardown(without_the_field, setup, teardown),
        cmocka_unit_test_setup_teardown(forwarded, setup, teardown),
        cmocka_unit_test_setup_teardown(heads_by_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(health_checks, setup, teardown),
        cmocka_unit_test_setup_teardown(underscores_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
