// Choosing among endpoints, circuit breakers, the budget of retries, addresses as text.
#include "base/map.h"
#include "host/native/pool.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void picks_by_policy(void **state)
{
    (void)state;
    struct endpoint_pool endpoints[3] = {{.active = 5}, {.active = 1}, {.active = 9}};
    size_t turn = 0, seen[3] = {0};
    assert_int_equal(pool_pick(LB_LEAST_REQUEST, endpoints, 1, &turn, 77), 0);
    for (uint64_t i = 0; i < 6; i++)
        assert_int_equal(pool_pick(LB_ROUND_ROBIN, endpoints, 3, &turn, 0), i % 3);
    for (uint64_t i = 0; i < 3000; i++)
        seen[pool_pick(LB_LEAST_REQUEST, endpoints, 3, &turn, hash_bytes(slice_make((char *)&i, sizeof i), 1))]++;
    assert_true(seen[1] > 1700 && seen[0] > 800 && seen[2] == 0); // the fullest never beats another
    for (uint64_t i = 0; i < 3000; i++)
        seen[pool_pick(LB_RANDOM, endpoints, 3, &turn, hash_bytes(slice_make((char *)&i, sizeof i), 2))]++;
    assert_true(seen[2] > 800);
}

static void breakers_count(void **state)
{
    (void)state;
    uint32_t load = 0;
    assert_true(load_take(&load, 2));
    assert_true(load_take(&load, 2));
    assert_false(load_take(&load, 2));
    assert_int_equal(load, 2);
    load_give(&load);
    assert_true(load_take(&load, 2));
    assert_true(load_take(&load, 0)); // no limit
}

static void retries_have_a_budget(void **state)
{
    (void)state;
    struct retry_budget budget = {0};
    int64_t now_us = 100000000000;
    for (int i = 0; i < 100; i++)
        retry_budget_request(&budget, now_us);
    int allowed = 0;
    while (retry_budget_allows(&budget, now_us) && allowed < 1000) {
        assert_int_equal(retry_budget_is_low(&budget, now_us), allowed >= 60);
        retry_budget_retry(&budget, now_us);
        allowed++;
    }
    assert_int_equal(allowed, 120); // a fifth, and a hundred for quiet times
    assert_false(retry_budget_allows(&budget, now_us + 8000000));
    assert_true(retry_budget_allows(&budget, now_us + 11000000));
    assert_true(retry_budget_allows(&budget, now_us + 1000000000000));
}

static void writes_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *host, *text;
    } cases[] = {
        {"1.2.3.4", "1.2.3.4:80"}, {"[::1]", "[::1]:80"}, {"::1", "[::1]:80"}, {"::ffff:1.2.3.4", "1.2.3.4:80"}};
    for (size_t i = 0; i < 4; i++) {
        struct net_address address;
        char text[NET_ADDRESS_TEXT_MAX];
        assert_true(net_parse_ip(slice_from_cstr(cases[i].host), 80, &address));
        assert_int_equal(net_write_address(&address, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
    struct net_address address;
    assert_false(net_parse_ip(SLICE("localhost"), 80, &address));
    assert_false(net_parse_ip(SLICE("1.2.3"), 80, &address));
    assert_false(net_parse_ip(SLICE(""), 80, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picks_by_policy),
        cmocka_unit_test(breakers_count),
        cmocka_unit_test(retries_have_a_budget),
        cmocka_unit_test(writes_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
