// Civil time and strftime's letters: the C library is the judge.
#include "observe/time_format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static void assert_written(const char *format, int64_t unix_us, const char *expected)
{
    char text[TIME_TEXT_BYTES_MAX];
    struct slice got = time_format_write(slice_from_cstr(format), unix_us, text);
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.ptr, expected, got.len);
}

static void iso(void **state)
{
    (void)state;
    assert_written(TIME_FORMAT_ISO, 0, "1970-01-01T00:00:00.000Z");
    assert_written(TIME_FORMAT_ISO, 1764079199999999, "2025-11-25T13:59:59.999Z");
    assert_written(TIME_FORMAT_ISO, -1, "1969-12-31T23:59:59.999Z");
    assert_written("%1f|%7f|%9f|%f", 123456, "1|1234560|123456000|123456000");
    assert_written("%s.%6f|%3f|%f|%%", 1764079199000042, "1764079199.000042|000|000042000|%");
}

// Every day of 400 years, at a moving time of day.
static void as_strftime(void **state)
{
    (void)state;
    static const char format[] = "%Y-%m-%d %j %u %a %A %b %B %e %H:%M:%S %I %p %F %T %s";
    for (int64_t day = -73000; day < 73000; day++) {
        char expected[256];
        time_t second = (time_t)(day * 86400 + (day * 7919 % 86400 + 86400) % 86400);
        struct tm tm;
        setenv("TZ", "UTC", 1);
        gmtime_r(&second, &tm);
        strftime(expected, sizeof expected, format, &tm);
        assert_written(format, (int64_t)second * 1000000, expected);
    }
}

static void far_years(void **state)
{
    (void)state;
    assert_written("%F %y", INT64_C(253402300799) * 1000000, "9999-12-31 99");
    assert_written("%F %y", INT64_C(253402300800) * 1000000, "10000-01-01 00");
    assert_written("%F %y", INT64_C(-62167219200) * 1000000, "0000-01-01 00");
    assert_written("%F %y", INT64_C(-62167219201) * 1000000, "-0001-12-31 99");
}

static void validity(void **state)
{
    (void)state;
    assert_true(time_format_is_valid(SLICE("%Y/%m/%dT%H:%M:%S%z %Z %9f")));
    assert_true(time_format_is_valid(SLICE("")));
    assert_false(time_format_is_valid(SLICE("%")));
    assert_false(time_format_is_valid(SLICE("%Q")));
    assert_false(time_format_is_valid(SLICE("%3")));
    assert_false(time_format_is_valid(SLICE("%3s")));
    assert_false(time_format_is_valid(SLICE("%0f")));
    assert_false(time_format_is_valid(SLICE("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(iso), cmocka_unit_test(as_strftime),
                                       cmocka_unit_test(far_years), cmocka_unit_test(validity)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
