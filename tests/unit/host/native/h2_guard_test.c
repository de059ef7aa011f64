#include "host/native/h2_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND 1000000

static void test_idle_frames(void **state)
{
    struct h2_guard guard;
    (void)state;
    h2_guard_init(&guard, 0);
    for (int i = 0; i < H2_GUARD_IDLE_FRAMES; i++)
        assert_true(h2_guard_idle_frame(&guard, 0));
    assert_false(h2_guard_idle_frame(&guard, 0));
    for (int i = 0; i < H2_GUARD_IDLE_RATE; i++)
        assert_true(h2_guard_idle_frame(&guard, SECOND));
    assert_false(h2_guard_idle_frame(&guard, SECOND));
}

static void test_a_slow_trickle_is_refilled_in_full(void **state)
{
    struct h2_guard guard;
    (void)state;
    h2_guard_init(&guard, 0);
    for (int64_t i = 0; i < 100000; i++) // one each 31 ms: below the rate, though each gap is less than a token's
        assert_true(h2_guard_idle_frame(&guard, i * 31000));
}

static void test_our_frames_allow_answers(void **state)
{
    struct h2_guard guard;
    (void)state;
    h2_guard_init(&guard, 0);
    for (int i = 0; i < 100000; i++) { // an event, and both windows updated for it
        h2_guard_useful_frame(&guard);
        assert_true(h2_guard_idle_frame(&guard, 0));
        assert_true(h2_guard_idle_frame(&guard, 0));
        assert_true(h2_guard_bytes(&guard, 26));
    }
}

static void test_resets(void **state)
{
    struct h2_guard guard;
    (void)state;
    h2_guard_init(&guard, 0);
    for (int i = 0; i < H2_GUARD_RESETS; i++)
        assert_true(h2_guard_reset(&guard, i));
    assert_false(h2_guard_reset(&guard, 59 * SECOND));
    assert_true(h2_guard_reset(&guard, 61 * SECOND));
}

static void test_waste(void **state)
{
    struct h2_guard guard;
    (void)state;
    h2_guard_init(&guard, 0);
    for (int i = 0; i < 10000; i++) { // uploads in frames of 100 bytes
        assert_true(h2_guard_bytes(&guard, 109));
        h2_guard_useful_bytes(&guard, 100);
    }
    assert_true(h2_guard_bytes(&guard, H2_GUARD_WASTE));
    assert_false(h2_guard_bytes(&guard, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_frames),
        cmocka_unit_test(test_a_slow_trickle_is_refilled_in_full),
        cmocka_unit_test(test_our_frames_allow_answers),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_waste),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
