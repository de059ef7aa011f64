// DNS on a loop: literals, localhost, bad names, cancelling, the orderly end with questions under way; and against a
// server on the same loop: families that come late or never, times to live, answers that are out of date.
#include "fake_dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static uv_loop_t loop;
static struct dns *dns;

static int begin(void **state)
{
    (void)state;
    struct slice why;
    uv_loop_init(&loop);
    dns = dns_new(&loop, &why);
    return dns ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    dns_free(dns);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

struct asked {
    struct dns_query query;
    size_t count;
    bool has_error;
    bool is_stale;
    int calls;
};

static void done(struct dns_query *query, const struct dns_answer *answer)
{
    struct asked *asked = (struct asked *)query;
    asked->count = answer->count;
    asked->has_error = answer->error.len > 0;
    asked->is_stale = answer->is_stale;
    asked->calls++;
}

static void expect_address(const char *host, const char *expected)
{
    struct asked asked = {.query.done = done};
    struct dns_answer answer;
    char text[64];
    assert_int_equal(dns_resolve(dns, slice_from_cstr(host), 0, &asked.query, &answer), DNS_ANSWERED);
    assert_true(answer.count > 0);
    assert_false(answer.is_stale);
    struct slice printed = dns_address_print(&answer.addresses[0], 80, text, sizeof text);
    assert_int_equal(printed.len, strlen(expected));
    assert_string_equal(text, expected);
}

static void literals(void **state)
{
    (void)state;
    expect_address("10.1.2.3", "10.1.2.3:80");
    expect_address("fe80::1", "[fe80::1]:80");
    expect_address("LocalHost", "127.0.0.1:80");
    expect_address("a.localhost", "127.0.0.1:80");
}

static void bad_names(void **state)
{
    (void)state;
    char longest[300];
    struct asked asked = {.query.done = done};
    struct dns_answer answer;
    memset(longest, 'a', sizeof longest);
    const struct slice names[] = {SLICE(""), SLICE("a b"), SLICE("a\n"), slice_make(longest, 254)};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(dns_resolve(dns, names[i], 0, &asked.query, &answer), DNS_ANSWERED);
        assert_int_equal(answer.count, 0);
        assert_true(answer.error.len > 0);
    }
}

// The same failing name, asked twice at once: one question, two answers; a cancelled one hears nothing.
static void shared_question(void **state)
{
    (void)state;
    struct asked asked[3] = {{.query.done = done}, {.query.done = done}, {.query.done = done}};
    struct dns_answer answer;
    enum dns_status first = dns_resolve(dns, SLICE("no-such-name.invalid"), 0, &asked[0].query, &answer);
    for (int i = 1; i < 3; i++)
        assert_int_equal(dns_resolve(dns, SLICE("No-Such-Name.invalid"), 0, &asked[i].query, &answer), first);
    dns_cancel(&asked[1].query);
    dns_cancel(&asked[1].query);
    if (first == DNS_PENDING)
        uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(asked[0].calls, first == DNS_PENDING);
    assert_int_equal(asked[1].calls, 0);
    assert_int_equal(asked[2].calls, first == DNS_PENDING);
    assert_true(first == DNS_ANSWERED || asked[2].has_error);
    assert_int_equal(dns_resolve(dns, SLICE("no-such-name.invalid"), 0, &asked[0].query, &answer), DNS_ANSWERED);
    assert_true(answer.error.len > 0);
}

// Freed while a question is under way: no callback, nothing leaks.
static void freed_under_way(void **state)
{
    (void)state;
    static struct asked asked = {.query.done = done};
    struct dns_answer answer;
    dns_resolve(dns, SLICE("another-name.invalid"), 0, &asked.query, &answer);
}

// ---- with a server --------------------------------------------------------------------------------------------------

static struct fake_dns server;

// Asks, waits for the answer as long as it takes, and gives how long that was.
static uint64_t ask(struct asked *asked, uint64_t refresh_ms)
{
    struct dns_answer answer;
    *asked = (struct asked){.query.done = done};
    uv_update_time(&loop);
    uint64_t begin_ms = uv_now(&loop);
    if (dns_resolve(dns, SLICE("weir.test"), refresh_ms, &asked->query, &answer) == DNS_ANSWERED)
        done(&asked->query, &answer);
    while (!asked->calls)
        uv_run(&loop, UV_RUN_ONCE);
    uv_update_time(&loop);
    return uv_now(&loop) - begin_ms;
}

static void pass(uint64_t ms)
{
    uint64_t until_ms = uv_now(&loop) + ms;
    while (uv_now(&loop) < until_ms)
        uv_run(&loop, UV_RUN_NOWAIT);
}

static void both_families(void **state)
{
    (void)state;
    struct asked asked;
    fake_dns_start(&server, &loop, dns);
    server.v4[0] = "192.0.2.1";
    server.v4[1] = "192.0.2.2";
    server.v6[0] = "2001:db8::1";
    ask(&asked, 0);
    assert_int_equal(asked.count, 3);
    ask(&asked, 0);
    assert_int_equal(asked.count, 3);
    assert_int_equal(server.asked_v4 + server.asked_v6, 2); // kept
    fake_dns_stop(&server);
}

// RFC 8305 section 3: a family whose server is silent costs 50 ms, not the time limit of the question.
static void one_family_is_silent(void **state)
{
    (void)state;
    struct asked asked;
    fake_dns_start(&server, &loop, dns);
    server.v4[0] = "192.0.2.1";
    server.is_v6_silent = true;
    uint64_t took_ms = ask(&asked, 0);
    assert_int_equal(asked.count, 1);
    assert_true(took_ms >= 45 && took_ms < 1500);
    assert_true(ask(&asked, 0) < 40); // at once: it is fresh, though the other question is still under way
    assert_int_equal(asked.count, 1);
    fake_dns_stop(&server);
}

static void no_address(void **state)
{
    (void)state;
    struct asked asked;
    fake_dns_start(&server, &loop, dns);
    ask(&asked, 0);
    assert_int_equal(asked.count, 0);
    assert_true(asked.has_error);
    fake_dns_stop(&server);
}

// An answer that is too old for who asks is asked for again; when the servers fall silent it serves all the same.
static void out_of_date(void **state)
{
    (void)state;
    struct asked asked;
    fake_dns_start(&server, &loop, dns);
    server.v4[0] = "192.0.2.1";
    ask(&asked, 0);
    pass(20);
    server.v4[1] = "192.0.2.2";
    ask(&asked, 1000);
    assert_int_equal(asked.count, 1); // young enough
    ask(&asked, 10);
    assert_int_equal(asked.count, 2);
    server.is_v4_silent = server.is_v6_silent = true;
    pass(20);
    uint64_t took_ms = ask(&asked, 10);
    assert_int_equal(asked.count, 2);
    assert_true(asked.is_stale && took_ms >= 450 && took_ms < 1900); // before c-ares gives up
    assert_true(ask(&asked, 10) < 100);                              // nobody else waits for them
    assert_true(asked.is_stale);
    fake_dns_stop(&server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(literals),        TEST(bad_names),     TEST(shared_question),
                                       TEST(freed_under_way), TEST(both_families), TEST(one_family_is_silent),
                                       TEST(no_address),      TEST(out_of_date)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
