// Content-Type values.
#include "http/media_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static void types(void **state)
{
    (void)state;
    assert_true(media_type_is(SLICE("Application/JSON ; charset=utf-8"), SLICE("application/json")));
    assert_true(media_type_is(SLICE("text/event-stream"), SLICE("text/event-stream")));
    assert_false(media_type_is(SLICE("text/event-streams"), SLICE("text/event-stream")));
    assert_false(media_type_is(SLICE(""), SLICE("text/plain")));
    assert_true(media_type_is_json(SLICE("application/json;x")));
    assert_true(media_type_is_json(SLICE("application/problem+JSON")));
    assert_false(media_type_is_json(SLICE("application/jsonl")));
    assert_false(media_type_is_json(SLICE("+json")));
}

static void parameter(const char *value, const char *name, const char *expected)
{
    struct slice got;
    bool is_there = media_type_parameter(slice_from_cstr(value), slice_from_cstr(name), &got);
    assert_int_equal(is_there, expected != NULL);
    if (expected) {
        assert_int_equal(got.len, strlen(expected));
        assert_memory_equal(got.ptr, expected, got.len);
    }
}

static void parameters(void **state)
{
    (void)state;
    parameter("text/plain; charset=utf-8", "charset", "utf-8");
    parameter("text/plain;a=\"x; charset=no\\\"\" ; CharSet = \"y;z\" ;b=c", "charset", "y;z");
    parameter("text/plain; charset", "charset", NULL);
    parameter("text/plain; charset=", "charset", "");
    parameter("text/plain;;; charset=\"open", "charset", "\"open");
    parameter("text/plain", "charset", NULL);
    parameter("", "charset", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(types), cmocka_unit_test(parameters)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
