// What may stand in Host and :authority.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/head.h"

static void authorities(void **state)
{
    (void)state;
    static const char *const good[] = {"a",       "a.b",    "A-b_c~d",   "a.",   "a:",       "a:0",
                                       "a:65535", "a:0080", "1.2.3.4:5", "[::]", "[::1]:80", "[::ffff:1.2.3.4]"};
    static const char *const bad[] = {
        "",    ":",   ":80",  "a:b",  "a:80:81", "a:-1",    "a:+1", "a:65536",    "a:99999999999999999999",
        "::1", "[]",  "[::1", "::1]", "[::1]a",  "[::1]80", "[a]",  "[::1%25lo]", "[v1.a:b]",
        "a b", "a,b", "u@a",  "a/b",  "a?b",     "a#b",     "a\\b", "a%41",       "{a}",
        "a;b", "*.a", "\x80", "a\x01"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!http_is_authority(slice_from_cstr(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (http_is_authority(slice_from_cstr(bad[i])))
            fail_msg("passes: %s", bad[i]);
}

static void long_names(void **state)
{
    (void)state;
    char name[300];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = 'a';
    assert_true(http_is_authority(slice_make(name, 255)));
    assert_false(http_is_authority(slice_make(name, 256)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(authorities), cmocka_unit_test(long_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
