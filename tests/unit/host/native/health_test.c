// Ejection, return, panic and pauses, by a clock that the tests turn.
#include "host/native/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define S ((int64_t)1000000)
#define BACKENDS 4

static struct config_backend backends[BACKENDS];
static struct config_backend_ref refs[BACKENDS];
static struct config_rule rule;
static struct config config;
static struct health *health;
static struct health_view view;

static int begin(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    (void)state;
    for (size_t i = 0; i < BACKENDS; i++) {
        backends[i] = (struct config_backend){.id = i, .namespace_ = SLICE("ns"), .name = slice_from_cstr(names[i])};
        refs[i] = (struct config_backend_ref){.backend = &backends[i], .id = i, .index = i, .weight = 1};
    }
    config = (struct config){.backends = backends, .backend_count = BACKENDS, .ref_count = BACKENDS};
    rule = (struct config_rule){.refs = refs, .ref_count = BACKENDS};
    rule.traffic.passive = (struct config_passive_health){.is_set = true,
                                                          .interval_ms = 3000,
                                                          .base_ejection_ms = 30000,
                                                          .consecutive_5xx = 3,
                                                          .consecutive_gateway_errors = 2,
                                                          .max_ejection_percent = 50};
    health = health_new(&config, NULL, 0);
    return health && health_view_init(&view, health) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    health_view_fini(&view);
    health_free(health);
    return 0;
}

static void report(size_t backend, enum health_outcome outcome, int times, int64_t now_us)
{
    while (times-- > 0)
        health_report(health, &rule, backend, outcome, now_us);
}

// The downs of all backends as one text, "0100".
static void expect_down(int64_t now_us, const char *expected)
{
    char text[BACKENDS + 1] = "";
    struct backend_health seen = health_look(health, &view, &rule, now_us);
    for (size_t i = 0; i < BACKENDS; i++)
        text[i] = seen.is_down[i] ? '1' : '0';
    assert_string_equal(text, expected);
}

static void statuses(void **state)
{
    (void)state;
    assert_int_equal(health_of_status(200), HEALTH_SUCCESS);
    assert_int_equal(health_of_status(429), HEALTH_SUCCESS);
    assert_int_equal(health_of_status(500), HEALTH_5XX);
    assert_int_equal(health_of_status(503), HEALTH_GATEWAY_ERROR);
    assert_int_equal(health_of_status(529), HEALTH_5XX);
}

static void thresholds(void **state)
{
    (void)state;
    report(0, HEALTH_5XX, 2, S);
    report(0, HEALTH_SUCCESS, 1, S);
    report(0, HEALTH_5XX, 2, S);
    expect_down(S, "0000");
    report(0, HEALTH_5XX, 1, S);
    expect_down(S, "1000");
    report(1, HEALTH_GATEWAY_ERROR, 1, S);
    report(1, HEALTH_5XX, 1, S); // breaks the run of gateway errors
    expect_down(S, "1000");
    report(1, HEALTH_CONNECT_FAILURE, 1, S); // the third failure
    expect_down(S, "1100");
    assert_int_equal(health_state(health, 1, S).ejections, 1);
}

static void local_failures_apart(void **state)
{
    (void)state;
    rule.traffic.passive.consecutive_local_origin_failures = 4;
    report(0, HEALTH_CONNECT_FAILURE, 3, S);
    expect_down(S, "0000");
    report(0, HEALTH_RESET, 1, S);
    expect_down(S, "1000");
}

static void most_ejections(void **state)
{
    (void)state;
    for (size_t i = 0; i < BACKENDS; i++)
        report(i, HEALTH_5XX, 5, S);
    expect_down(S, "1100");
    rule.traffic.passive.max_ejection_percent = 10;
    health_free(health);
    health = health_new(&config, NULL, 0);
    report(2, HEALTH_5XX, 5, S);
    expect_down(S, "0000");
    rule.traffic.passive.always_eject_one = true;
    report(2, HEALTH_5XX, 5, S);
    report(3, HEALTH_5XX, 5, S);
    expect_down(S, "0010");
}

// After its time one look in a while may try; a failure ejects at once and for longer, a good answer brings it back.
static void slow_return(void **state)
{
    (void)state;
    report(0, HEALTH_5XX, 3, S);
    expect_down(S + 29 * S, "1000");
    int64_t back = S + 30 * S;
    expect_down(back, "0000");
    expect_down(back, "1000");
    expect_down(back + S / 5, "0000");
    report(0, HEALTH_5XX, 1, back + S / 5);
    expect_down(back + 59 * S, "1000");
    back += S / 5 + 60 * S;
    expect_down(back, "0000");
    report(0, HEALTH_SUCCESS, 1, back);
    expect_down(back, "0000");
    expect_down(back, "0000");
    // Two intervals of good behaviour forgive both ejections.
    report(0, HEALTH_5XX, 3, back + 7 * S);
    expect_down(back + 36 * S, "1000");
    expect_down(back + 37 * S, "0000");
}

static void failing_checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < BACKENDS; i++)
        health_set_checked(health, i, false);
    expect_down(S, "1111");
    health_set_checked(health, 3, true);
    expect_down(S, "1110");
    assert_true(health_state(health, 0, S).is_failing_check);
}

static void pauses_without_policy(void **state)
{
    (void)state;
    rule.traffic.passive.is_set = false;
    report(0, HEALTH_5XX, 50, S);
    report(0, HEALTH_CONNECT_FAILURE, 9, S);
    struct backend_health seen = health_look(health, &view, &rule, S);
    assert_int_equal(seen.is_down[0], 0);
    assert_int_equal(seen.cool_until_us[0], S + S / 2);
    report(0, HEALTH_CONNECT_FAILURE, 9, 2 * S);
    assert_int_equal(health_look(health, &view, &rule, 2 * S).cool_until_us[0], 3 * S);
    for (int i = 0; i < 20; i++)
        report(0, HEALTH_CONNECT_FAILURE, 1, (100 + 100 * i) * S);
    assert_int_equal(health_look(health, &view, &rule, S).cool_until_us[0], 2030 * S);
    report(0, HEALTH_SUCCESS, 1, 3000 * S);
    report(0, HEALTH_CONNECT_FAILURE, 1, 3000 * S);
    assert_int_equal(health_look(health, &view, &rule, S).cool_until_us[0], 3000 * S + S / 2);
}

static void retry_after(void **state)
{
    (void)state;
    health_cool(health, &rule, &refs[1], 5000, S);
    health_cool(health, &rule, &refs[1], 1000, S); // a shorter one changes nothing
    health_cool(health, &rule, &refs[2], INT64_MAX, S);
    struct backend_health seen = health_look(health, &view, &rule, S);
    assert_int_equal(seen.cool_until_us[1], 6 * S);
    assert_int_equal(seen.cool_until_us[2], 0);
    assert_true(health_state(health, 1, S).is_cooling);
    // Dedicated and shared capacity of one backend: what one asks for is not meant for the other.
    refs[3].backend = &backends[0];
    health_cool(health, &rule, &refs[0], 5000, S);
    seen = health_look(health, &view, &rule, S);
    assert_int_equal(seen.cool_until_us[0], 0);
    assert_int_equal(seen.ref_cool_until_us[0], 6 * S);
    assert_int_equal(seen.ref_cool_until_us[3], 0);
}

// A reload keeps what is known of a backend of the same name, wherever it stands now.
static void carried_over(void **state)
{
    (void)state;
    report(0, HEALTH_5XX, 3, S);
    static struct config_backend moved[2];
    moved[0] = (struct config_backend){.id = 0, .namespace_ = SLICE("ns"), .name = SLICE("new")};
    moved[1] = (struct config_backend){.id = 1, .namespace_ = SLICE("ns"), .name = SLICE("a")};
    const struct config next = {.backends = moved, .backend_count = 2};
    struct health *after = health_new(&next, health, S);
    assert_false(health_state(after, 0, S).is_ejected);
    assert_true(health_state(after, 1, S).is_ejected);
    health_free(after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(statuses),     TEST(thresholds),     TEST(local_failures_apart),  TEST(most_ejections),
        TEST(slow_return),  TEST(failing_checks), TEST(pauses_without_policy), TEST(retry_after),
        TEST(carried_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
