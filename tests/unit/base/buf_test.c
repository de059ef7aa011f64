// Numbers written into buffers.
#include "base/buf.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void assert_written(uint64_t value)
{
    char text[24];
    struct buf buf;
    int len = snprintf(text, sizeof text, "%" PRIu64, value);
    buf_init(&buf, 64);
    assert_true(buf_append_u64(&buf, value));
    assert_true(slice_eq(buf_slice(&buf), slice_make(text, (size_t)len)));
    buf_fini(&buf);
}

static void numbers(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 20000; value++)
        assert_written(value);
    for (uint64_t power = 1; power < UINT64_MAX / 10; power *= 10) {
        assert_written(power - 1);
        assert_written(power);
        assert_written(power * 7 + 3);
    }
    assert_written(UINT64_MAX);
}

// A number needs room for its digits and no more; one that finds too little leaves nothing behind.
static void numbers_at_the_ceiling(void **state)
{
    (void)state;
    uint64_t value = 7;
    for (size_t digits = 1; digits <= 20; digits++, value = value * 10 + 1) {
        struct buf buf;
        value = digits < 20 ? value : UINT64_MAX;
        buf_init(&buf, digits + 1);
        assert_true(buf_append(&buf, SLICE("=")));
        assert_true(buf_append_u64(&buf, value));
        assert_int_equal(buf.len, digits + 1);
        assert_false(buf_append_u64(&buf, 0));
        assert_int_equal(buf.len, digits + 1);
        buf_fini(&buf);
        buf_init(&buf, digits);
        assert_true(buf_append(&buf, SLICE("=")));
        assert_false(buf_append_u64(&buf, value));
        assert_true(slice_eq(buf_slice(&buf), SLICE("=")) && buf.has_failed);
        buf_fini(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(numbers_at_the_ceiling)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
