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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
