// Which key holds, and how it is put into the head.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "credential/credential.h"

static void chooses(void **state)
{
    (void)state;
    struct config_credential credential = {.type = CREDENTIAL_NONE};
    struct secret key = {{NULL, 0}};
    assert_int_equal(credential_choose(&credential, SLICE("given"), &key), CREDENTIAL_UNUSED);
    credential = (struct config_credential){.type = CREDENTIAL_API_KEY, .key = {SLICE("own")}};
    assert_int_equal(credential_choose(&credential, SLICE("given"), &key), CREDENTIAL_USE);
    assert_true(slice_eq(secret_reveal(key), SLICE("own"))); // without an override nothing of the request counts
    credential.override_header = SLICE("x-aigw-api-key");
    assert_int_equal(credential_choose(&credential, SLICE(" \tgiven "), &key), CREDENTIAL_USE);
    assert_true(slice_eq(secret_reveal(key), SLICE("given")));
    assert_int_equal(credential_choose(&credential, SLICE("  "), &key), CREDENTIAL_MISSING);
    credential.override_falls_back = true;
    assert_int_equal(credential_choose(&credential, SLICE("  "), &key), CREDENTIAL_USE);
    assert_true(slice_eq(secret_reveal(key), SLICE("own")));
    credential.key = (struct secret){{NULL, 0}};
    assert_int_equal(credential_choose(&credential, SLICE(""), &key), CREDENTIAL_MISSING);
}

static void applies(void **state)
{
    (void)state;
    static const struct {
        enum config_credential_type type;
        const char *name;
        const char *value;
    } cases[] = {
        {CREDENTIAL_API_KEY, "authorization", "Bearer k"},
        {CREDENTIAL_AZURE_API_KEY, "api-key", "k"},
        {CREDENTIAL_ANTHROPIC_API_KEY, "x-api-key", "k"},
    };
    struct arena arena;
    arena_init(&arena, 1024, 1 << 20);
    for (size_t i = 0; i < 3; i++) {
        struct fields fields = {0};
        struct secret value;
        bool is_owned;
        struct slice name = slice_from_cstr(cases[i].name);
        assert_true(fields_add(&fields, &arena, name, SLICE("old")));
        assert_true(fields_add(&fields, &arena, SLICE("a"), SLICE("b")));
        assert_true(fields_add(&fields, &arena, name, SLICE("older")));
        assert_true(credential_apply(cases[i].type, (struct secret){SLICE("k")}, &arena, &fields, &value, &is_owned));
        assert_int_equal(fields.count, 2);
        assert_true(slice_eq(fields_value(&fields, name), slice_from_cstr(cases[i].value)));
        assert_int_equal(is_owned, i == 0);
        if (is_owned)
            secret_wipe(&value);
        assert_false(
            credential_apply(cases[i].type, (struct secret){SLICE("k\r\nx: y")}, &arena, &fields, &value, &is_owned));
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses),
        cmocka_unit_test(applies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
