// Addresses and ranges from text and back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ip.h"

static void assert_written(const char *from, const char *to)
{
    struct ip ip;
    char text[IP_TEXT_MAX];
    if (!ip_parse(slice_from_cstr(from), &ip))
        fail_msg("refused: %s", from);
    struct slice written = slice_make(text, ip_write(&ip, text));
    if (!slice_eq(written, slice_from_cstr(to)))
        fail_msg("%s is written %.*s", from, (int)written.len, written.ptr);
}

static void addresses(void **state)
{
    (void)state;
    static const char *const same[] = {"0.0.0.0",
                                       "1.2.3.4",
                                       "255.255.255.255",
                                       "::",
                                       "::1",
                                       "1::",
                                       "1::8",
                                       "1:2:3:4:5:6:7:8",
                                       "1:2:3:4:5:6:0:8",
                                       "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_written(same[i], same[i]);
    assert_written("2001:DB8:0:0:8:0:0:1", "2001:db8::8:0:0:1");
    assert_written("0:0:0:0:0:0:0:0", "::");
    assert_written("1:0:0:4:0:0:0:8", "1:0:0:4::8");
    assert_written("::ffff:1.2.3.4", "1.2.3.4");
    assert_written("::FFFF:0102:0304", "1.2.3.4");
    assert_written("64:ff9b::1.2.3.4", "64:ff9b::102:304");
}

static void no_addresses(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      ".",
                                      "1",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "1.2.3.",
                                      "1.2.3.4.",
                                      "01.2.3.4",
                                      "1.2.3.256",
                                      "1.2.3.-1",
                                      "1.2.3.4 ",
                                      " 1.2.3.4",
                                      "1.2.3.0x1",
                                      ":",
                                      ":::",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "1:2:3:4:5:6:7:8::",
                                      "::1::",
                                      "1::2::3",
                                      "12345::",
                                      "g::",
                                      ":1",
                                      "1:",
                                      "::1%lo",
                                      "[::1]",
                                      "1:2:3:4:5:6:7:1.2.3.4",
                                      "::1.2.3",
                                      "1.2.3.4::",
                                      "unknown"};
    struct ip ip;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (ip_parse(slice_from_cstr(bad[i]), &ip))
            fail_msg("passes: %s", bad[i]);
}

static void ports(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int port; // -1: refused
    } cases[] = {{"1.2.3.4", 0},       {"1.2.3.4:80", 80}, {"[::1]", 0},          {"[::1]:65535", 65535},
                 {"::1", 0},           {"1.2.3.4:", -1},   {"1.2.3.4:65536", -1}, {"1.2.3.4:8a", -1},
                 {"[1.2.3.4]:80", -1}, {"[::1]80", -1},    {"[::1", -1},          {"[]:80", -1},
                 {":80", -1},          {"a:80", -1},       {"1.2.3.4:+8", -1}};
    struct ip ip;
    uint16_t port;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_one = ip_parse_port(slice_from_cstr(cases[i].text), &ip, &port);
        if (is_one != (cases[i].port >= 0) || (is_one && port != cases[i].port))
            fail_msg("%s", cases[i].text);
    }
}

static bool has(const char *range_text, const char *text)
{
    struct ip_range range;
    struct ip ip;
    assert_true(ip_range_parse(slice_from_cstr(range_text), &range));
    assert_true(ip_parse(slice_from_cstr(text), &ip));
    return ip_range_has(&range, &ip);
}

static void ranges(void **state)
{
    (void)state;
    assert_true(has("10.0.0.0/8", "10.255.0.1"));
    assert_false(has("10.0.0.0/8", "11.0.0.1"));
    assert_true(has("10.1.2.3/8", "10.9.9.9"));
    assert_true(has("192.0.2.128/25", "192.0.2.255"));
    assert_false(has("192.0.2.128/25", "192.0.2.127"));
    assert_true(has("0.0.0.0/0", "1.2.3.4"));
    assert_true(has("0.0.0.0/0", "::ffff:1.2.3.4"));
    assert_false(has("0.0.0.0/0", "::1"));
    assert_false(has("::/0", "1.2.3.4"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(has("::1/128", "::1"));
    static const char *const bad[] = {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08",       "10.0.0.0/-1",
                                      "/8",       "::/129",    "a/8",         "::ffff:1.2.3.4/104"};
    struct ip_range range;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (ip_range_parse(slice_from_cstr(bad[i]), &range))
            fail_msg("passes: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(no_addresses),
        cmocka_unit_test(ports),
        cmocka_unit_test(ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
