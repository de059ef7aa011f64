// DNS on a loop, against a server of our own would need c-ares' own options; here: literals, localhost, /etc/hosts, bad
// names, cancelling, and the orderly end with questions under way.
#include "host/native/dns.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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
    int calls;
};

static void done(struct dns_query *query, const struct dns_answer *answer)
{
    struct asked *asked = (struct asked *)query;
    asked->count = answer->count;
    asked->has_error = answer->error.len > 0;
    asked->calls++;
}

static void expect_address(const char *host, const char *expected)
{
    struct asked asked = {.query.done = done};
    struct dns_answer answer;
    char text[64];
    assert_int_equal(dns_resolve(dns, slice_from_cstr(host), &asked.query, &answer), DNS_ANSWERED);
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
        assert_int_equal(dns_resolve(dns, names[i], &asked.query, &answer), DNS_ANSWERED);
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
    enum dns_status first = dns_resolve(dns, SLICE("no-such-name.invalid"), &asked[0].query, &answer);
    for (int i = 1; i < 3; i++)
        assert_int_equal(dns_resolve(dns, SLICE("No-Such-Name.invalid"), &asked[i].query, &answer), first);
    dns_cancel(&asked[1].query);
    dns_cancel(&asked[1].query);
    if (first == DNS_PENDING)
        uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(asked[0].calls, first == DNS_PENDING);
    assert_int_equal(asked[1].calls, 0);
    assert_int_equal(asked[2].calls, first == DNS_PENDING);
    assert_true(first == DNS_ANSWERED || asked[2].has_error);
    assert_int_equal(dns_resolve(dns, SLICE("no-such-name.invalid"), &asked[0].query, &answer), DNS_ANSWERED);
    assert_true(answer.error.len > 0);
}

// Freed while a question is under way: no callback, nothing leaks.
static void freed_under_way(void **state)
{
    (void)state;
    static struct asked asked = {.query.done = done};
    struct dns_answer answer;
    dns_resolve(dns, SLICE("another-name.invalid"), &asked.query, &answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(literals), TEST(bad_names), TEST(shared_question), TEST(freed_under_way)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
