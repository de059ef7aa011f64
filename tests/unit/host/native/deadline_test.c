// The wheel of coarse deadlines: never early, at most two ticks late, lazy moves included.
#include "host/native/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TICK DEADLINE_TICK_US
#define START 123456789

static struct deadlines wheel;
static int64_t called_at;
static int calls;

static void note(struct deadline *deadline, int64_t now_us)
{
    (void)deadline;
    called_at = now_us;
    calls++;
}

static int begin(void **state)
{
    (void)state;
    deadlines_init(&wheel, START);
    called_at = calls = 0;
    return 0;
}

// Runs the wheel tick by tick until `until_us`.
static void run(int64_t *now_us, int64_t until_us)
{
    while (*now_us < until_us) {
        *now_us += TICK;
        deadlines_run(&wheel, *now_us);
    }
}

static void calls_in_time(void **state)
{
    (void)state;
    srandom(7);
    for (int i = 0; i < 200; i++) {
        int64_t now_us = START + i * 30000000LL;
        int64_t at_us = now_us + random() % 40000000; // three turns of the wheel
        struct deadline deadline;
        deadlines_init(&wheel, now_us);
        deadline_init(&deadline, note);
        calls = 0;
        deadline_set(&wheel, &deadline, at_us);
        run(&now_us, at_us - TICK);
        assert_int_equal(calls, 0);
        run(&now_us, at_us + 3 * TICK);
        assert_int_equal(calls, 1);
        assert_true(called_at >= at_us && called_at <= at_us + 2 * TICK);
        assert_int_equal(wheel.count, 0);
    }
}

static void moves_later_and_earlier(void **state)
{
    (void)state;
    int64_t now_us = START;
    struct deadline deadline;
    deadline_init(&deadline, note);
    deadline_set(&wheel, &deadline, START + 10 * TICK);
    deadline_set(&wheel, &deadline, START + 300 * TICK);
    run(&now_us, START + 299 * TICK);
    assert_int_equal(calls, 0);
    deadline_set(&wheel, &deadline, START + 5000 * TICK);
    deadline_set(&wheel, &deadline, START + 320 * TICK);
    run(&now_us, START + 319 * TICK);
    assert_int_equal(calls, 0);
    run(&now_us, START + 323 * TICK);
    assert_int_equal(calls, 1);
}

static void clears_and_waits_for_nothing(void **state)
{
    (void)state;
    int64_t now_us = START;
    struct deadline a, b;
    deadline_init(&a, note);
    deadline_init(&b, note);
    deadline_set(&wheel, &a, START + 5 * TICK);
    deadline_set(&wheel, &b, START + 5 * TICK);
    deadline_clear(&wheel, &a);
    deadline_clear(&wheel, &a);
    deadline_set(&wheel, &b, DEADLINE_NONE);
    run(&now_us, START + 600 * TICK);
    assert_int_equal(calls, 0);
    assert_int_equal(wheel.count, 0);
}

static struct deadline *other;

static void clear_other(struct deadline *deadline, int64_t now_us)
{
    note(deadline, now_us);
    deadline_clear(&wheel, other);
    deadline_set(&wheel, deadline, now_us + 3 * TICK);
}

static void allows_changes_while_running(void **state)
{
    (void)state;
    int64_t now_us = START;
    struct deadline a, b;
    deadline_init(&a, clear_other);
    deadline_init(&b, note);
    other = &b;
    deadline_set(&wheel, &a, START + 5 * TICK);
    deadline_set(&wheel, &b, START + 5 * TICK); // same slot, behind it
    run(&now_us, START + 8 * TICK);
    assert_int_equal(calls, 1);
    run(&now_us, START + 12 * TICK);
    assert_int_equal(calls, 2);
}

static void survives_a_long_pause(void **state)
{
    (void)state;
    struct deadline deadline;
    deadline_init(&deadline, note);
    deadline_set(&wheel, &deadline, START + 5 * TICK);
    deadlines_run(&wheel, START + 100000LL * TICK);
    assert_int_equal(calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(calls_in_time, begin),
        cmocka_unit_test_setup(moves_later_and_earlier, begin),
        cmocka_unit_test_setup(clears_and_waits_for_nothing, begin),
        cmocka_unit_test_setup(allows_changes_while_running, begin),
        cmocka_unit_test_setup(survives_a_long_pause, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
