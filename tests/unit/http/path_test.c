// Dot segments in every spelling that a server may undo, and the bytes of a target.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/head.h"

static void dot_segments(void **state)
{
    (void)state;
    static const char *const bad[] = {"/.",      "/..",       "/./a",    "/a/../b",    "/a/..",     "/%2e",
                                      "/a/%2E.", "/a%2f../b", "/a/..;x", "/a/.;x=1/b", "/a\\..\\b", "/a%5c..%5Cb"};
    static const char *const good[] = {"",     "*",      "/",     "/a.b", "/...",     "/a..",  "/..a",
                                       "/.a/", "/%2e%2", "/a;..", "/%",   "/%252e/x", "/.%2x", "example.com:443"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!http_has_dot_segment(slice_from_cstr(bad[i])))
            fail_msg("passes: %s", bad[i]);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (http_has_dot_segment(slice_from_cstr(good[i])))
            fail_msg("refused: %s", good[i]);
}

static void targets(void **state)
{
    (void)state;
    static const char *const good[] = {"*",         "/",    "/v1/models/org%2Fname", "/a:b@c;d=e,f!$&'()*+",
                                       "/~a_b-c.d", "/a?b", "/?q={\"a\":[1|2]}&%zz", "//"};
    static const char *const bad[] = {"/a b",  "/%",    "/%4",   "/%zz",   "/%00",   "/%0a", "/%1F", "/%7f",
                                      "/a\\b", "/<",    "/\"",   "/{}",    "/a|b",   "/^",   "/`",   "/[",
                                      "/\x80", "/\x01", "/?a b", "/?\x7f", "/?\xff", "/?#",  "/#"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!http_is_target(slice_from_cstr(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (http_is_target(slice_from_cstr(bad[i])))
            fail_msg("passes: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dot_segments), cmocka_unit_test(targets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
