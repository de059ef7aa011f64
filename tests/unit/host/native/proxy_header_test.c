// PROXY protocol headers, good and bad, at every split point.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard_page.h"
#include "host/native/proxy_header.h"

static struct guard_page guard;

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\x21\x11\0\x0c\xc0\0\2\x01\xc6\x33\x64\x02\x03\xe8\x01\xbb"
#define V6_BLOCK                                                                                                       \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04\x03\xe8\x01\xbb"

// Reads it behind guard pages: whole, and at every split point, where no byte may be missing for a verdict.
static enum proxy_result read_all(struct slice bytes, struct proxy_header *ret_header)
{
    enum proxy_result result = proxy_header_read(guard_page_copy(&guard, bytes), ret_header);
    for (size_t len = 0; len < bytes.len; len++) {
        struct proxy_header header;
        enum proxy_result part = proxy_header_read(guard_page_copy(&guard, slice_sub(bytes, 0, len)), &header);
        if (result == PROXY_READY && part != (len < ret_header->len ? PROXY_MORE : PROXY_READY))
            fail_msg("%zu of %zu bytes give %d", len, bytes.len, (int)part);
        if (result != PROXY_READY && part != PROXY_MORE && part != result)
            fail_msg("%zu of %zu bytes give %d, all %d", len, bytes.len, (int)part, (int)result);
    }
    return result;
}

static void assert_endpoint(const struct proxy_endpoint *end, const char *ip, uint16_t port)
{
    char text[IP_TEXT_MAX];
    assert_true(slice_eq(slice_make(text, ip_write(&end->ip, text)), slice_from_cstr(ip)));
    assert_int_equal(end->port, port);
}

static void lines(void **state)
{
    (void)state;
    struct proxy_header header;
    assert_int_equal(read_all(SLICE("PROXY TCP4 192.0.2.1 198.51.100.2 1000 443\r\nGET / "), &header), PROXY_READY);
    assert_int_equal(header.len, 44);
    assert_true(header.has_addresses);
    assert_endpoint(&header.source, "192.0.2.1", 1000);
    assert_endpoint(&header.destination, "198.51.100.2", 443);
    assert_int_equal(read_all(SLICE("PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 65535 0\r\n"), &header), PROXY_READY);
    assert_endpoint(&header.source, "2001:db8::1", 65535);
    assert_endpoint(&header.destination, "1.2.3.4", 0);
    static const struct slice unknown[] = {SLICE_INIT("PROXY UNKNOWN\r\n"), SLICE_INIT("PROXY UNKNOWN a b \x01 c\r\nx"),
                                           SLICE_INIT("PROXY UNKNOWN ff:: ff:: 65535 65535\r\n")};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read_all(unknown[i], &header), PROXY_READY);
        assert_false(header.has_addresses);
    }
}

static void bad_lines(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1000\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1000 \r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1000 443 \r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1000 443 5\r\n",
        "PROXY TCP4 1.1.1.1  2.2.2.2 1000 443\r\n",
        "PROXY  TCP4 1.1.1.1 2.2.2.2 1000 443\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01000 443\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 65536 443\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 -1 443\r\n",
        "PROXY TCP4 1.1.1 2.2.2.2 1000 443\r\n",
        "PROXY TCP4 ::1 2.2.2.2 1000 443\r\n",
        "PROXY TCP4 1.1.1.1 ::1 1000 443\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1000 443\r\n",
        "PROXY tcp4 1.1.1.1 2.2.2.2 1000 443\r\n",
        "PROXY UDP4 1.1.1.1 2.2.2.2 1000 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1000 443\n",
        "PROXY TCP4 1.1.1.1\r2.2.2.2 1000 443\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1000 443\r\r\n",
        "PROXY UNKNOWN\n",
        "PROXY \n",
        "PROXY UNKNOWN "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aa\r\n",
    };
    struct proxy_header header;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (read_all(slice_from_cstr(bad[i]), &header) != PROXY_MALFORMED)
            fail_msg("%s", bad[i]);
}

static void others(void **state)
{
    (void)state;
    static const struct slice other[] = {SLICE_INIT("GET / HTTP/1.1\r\n"),   SLICE_INIT("POST "),
                                         SLICE_INIT("PROXYTCP4 "),           SLICE_INIT("proxy TCP4 1.1.1.1 "),
                                         SLICE_INIT("PRI * HTTP/2"),         SLICE_INIT("\x16\x03\x01"),
                                         SLICE_INIT("\r\n\r\n\0\r\nQUIT\r"), SLICE_INIT("\r\nGET /")};
    struct proxy_header header;
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_int_equal(read_all(other[i], &header), PROXY_ABSENT);
    assert_int_equal(proxy_header_read(SLICE(""), &header), PROXY_MORE);
}

static void binaries(void **state)
{
    (void)state;
    struct proxy_header header;
    assert_int_equal(read_all(SLICE(SIGNATURE V4 "rest"), &header), PROXY_READY);
    assert_int_equal(header.len, 28);
    assert_endpoint(&header.source, "192.0.2.1", 1000);
    assert_endpoint(&header.destination, "198.51.100.2", 443);
    assert_int_equal(read_all(SLICE(SIGNATURE "\x21\x21\0\x24" V6_BLOCK), &header), PROXY_READY);
    assert_endpoint(&header.source, "2001:db8::1", 1000);
    assert_endpoint(&header.destination, "1.2.3.4", 443);
    // With a TLV behind the addresses.
    assert_int_equal(read_all(SLICE(SIGNATURE "\x21\x21\0\x29" V6_BLOCK "\x02\0\x02"
                                              "ab"),
                              &header),
                     PROXY_READY);
    assert_int_equal(header.len, 16 + 41);
    // LOCAL, with nothing and with what is to be skipped; UNSPEC.
    assert_int_equal(read_all(SLICE(SIGNATURE "\x20\0\0\0"), &header), PROXY_READY);
    assert_false(header.has_addresses);
    assert_int_equal(read_all(SLICE(SIGNATURE "\x20\x11\0\x02zz"), &header), PROXY_READY);
    assert_int_equal(header.len, 18);
    assert_false(header.has_addresses);
    assert_int_equal(read_all(SLICE(SIGNATURE "\x21\0\0\x03zzz"), &header), PROXY_READY);
    assert_false(header.has_addresses);
    char unix_socket[16 + 216] = SIGNATURE "\x21\x31\0\xd8/a";
    assert_int_equal(read_all(slice_make(unix_socket, sizeof unix_socket), &header), PROXY_READY);
    assert_false(header.has_addresses);
}

static void bad_binaries(void **state)
{
    (void)state;
    static const struct slice bad[] = {
        SLICE_INIT(SIGNATURE "\x11\x11\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"), // version 1
        SLICE_INIT(SIGNATURE "\x31\x11\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"), // version 3
        SLICE_INIT(SIGNATURE "\x22\x11\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"), // no such command
        SLICE_INIT(SIGNATURE "\x21\x12\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"), // datagrams
        SLICE_INIT(SIGNATURE "\x21\x01\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"), // a transport without a family
        SLICE_INIT(SIGNATURE "\x21\x41\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"), // no such family
        SLICE_INIT(SIGNATURE "\x21\x11\0\x0b\0\0\0\0\0\0\0\0\0\0\0\0"), // too short for its family
        SLICE_INIT(SIGNATURE "\x21\x21\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"),
        SLICE_INIT(SIGNATURE "\x21\x31\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0"),
        SLICE_INIT(SIGNATURE "\x20\x00\xff\xff"), // longer than any
    };
    struct proxy_header header;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (read_all(bad[i], &header) != PROXY_MALFORMED)
            fail_msg("number %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),    cmocka_unit_test(bad_lines),    cmocka_unit_test(others),
        cmocka_unit_test(binaries), cmocka_unit_test(bad_binaries),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guard_page_free(&guard);
    return failed;
}
