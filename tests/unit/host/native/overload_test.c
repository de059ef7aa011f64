// The level follows the memory, with some slack on the way down.
#include "host/native/overload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIMIT ((uint64_t)1000 << 20)

static enum overload_level at(enum overload_level before, unsigned percent)
{
    return overload_next(before, LIMIT / 100 * percent + 4096, LIMIT);
}

static void test_steps_up(void **state)
{
    (void)state;
    assert_int_equal(at(OVERLOAD_NONE, 10), OVERLOAD_NONE);
    assert_int_equal(at(OVERLOAD_NONE, 74), OVERLOAD_NONE);
    assert_int_equal(at(OVERLOAD_NONE, 76), OVERLOAD_SHRINK);
    assert_int_equal(at(OVERLOAD_NONE, 86), OVERLOAD_REFUSE);
    assert_int_equal(at(OVERLOAD_SHRINK, 96), OVERLOAD_SHED);
    assert_int_equal(at(OVERLOAD_NONE, 300), OVERLOAD_SHED);
}

static void test_steps_down_later(void **state)
{
    (void)state;
    assert_int_equal(at(OVERLOAD_SHRINK, 72), OVERLOAD_SHRINK);
    assert_int_equal(at(OVERLOAD_SHRINK, 69), OVERLOAD_NONE);
    assert_int_equal(at(OVERLOAD_REFUSE, 81), OVERLOAD_REFUSE);
    assert_int_equal(at(OVERLOAD_REFUSE, 79), OVERLOAD_SHRINK);
    assert_int_equal(at(OVERLOAD_SHED, 91), OVERLOAD_SHED);
    assert_int_equal(at(OVERLOAD_SHED, 20), OVERLOAD_NONE);
}

static void test_no_limit(void **state)
{
    (void)state;
    assert_int_equal(overload_next(OVERLOAD_SHED, LIMIT, 0), OVERLOAD_NONE);
}

static void test_the_kernel_tells(void **state)
{
    (void)state;
    assert_true(overload_used_bytes() > 100000);
    overload_cgroup_limit(); // what it is depends on the machine
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_up),
        cmocka_unit_test(test_steps_down_later),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_the_kernel_tells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
