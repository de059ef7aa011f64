// Answers without an exchange.
#include "exchange/refusal.h"
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void every_error_has_a_whole_body(void **state)
{
    (void)state;
    for (int error = ERROR_NONE + 1; error < ERROR_COUNT; error++) {
        struct refusal refusal;
        size_t error_at;
        refusal_make(&refusal, (enum error_code)error, 1, 2);
        assert_int_equal(refusal.head.status, error_info((enum error_code)error)->status);
        assert_int_equal(json_validate(refusal.body, &error_at), JSON_OK);
        assert_true(slice_starts_with(refusal.body, SLICE("{\"error\":{\"message\":\"")));
        assert_int_equal(refusal.head.fields.count, error == ERROR_METHOD_NOT_ALLOWED ? 3 : 2);
    }
}

static void ids_are_random_but_for_version_and_variant(void **state)
{
    (void)state;
    char id[REQUEST_ID_BYTES];
    request_id_write(id, UINT64_MAX, UINT64_MAX);
    assert_memory_equal(id, "ffffffff-ffff-4fff-bfff-ffffffffffff", sizeof id);
    request_id_write(id, 0x0123456789abcdef, 0);
    assert_memory_equal(id, "01234567-89ab-4def-8000-000000000000", sizeof id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_whole_body),
        cmocka_unit_test(ids_are_random_but_for_version_and_variant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
