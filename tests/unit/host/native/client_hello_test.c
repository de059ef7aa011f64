#include "host/native/client_hello.h"

#include "guard_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char scratch[CLIENT_HELLO_MAX];
static struct guard_page guard;

// ---- making messages ----------------------------------------------------------------------------------------------

struct text {
    char bytes[40000];
    size_t len;
};

static void put(struct text *text, const char *bytes, size_t len)
{
    assert_true(text->len + len <= sizeof text->bytes);
    memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
}

static void put_number(struct text *text, size_t number, size_t bytes)
{
    while (bytes--)
        put(text, &(char){(char)(number >> 8 * bytes)}, 1);
}

static void put_vector(struct text *text, const struct text *content, size_t length_bytes)
{
    put_number(text, content->len, length_bytes);
    put(text, content->bytes, content->len);
}

static void put_extension(struct text *extensions, unsigned type, const struct text *body)
{
    put_number(extensions, type, 2);
    put_vector(extensions, body, 2);
}

static void put_name(struct text *extensions, unsigned type, const char *name, size_t len)
{
    static struct text entry, body;
    entry.len = body.len = 0;
    put_number(&entry, type, 1);
    put_number(&entry, len, 2);
    put(&entry, name, len);
    put_vector(&body, &entry, 2);
    put_extension(extensions, 0, &body);
}

// The message without its record.
static void put_message(struct text *message, const struct text *extensions, size_t id_len)
{
    static struct text body;
    char zeros[64] = {0};
    body.len = 0;
    put(&body, "\x03\x03", 2);
    put(&body, zeros, 32);
    put_number(&body, id_len, 1);
    put(&body, zeros, id_len);
    put(&body, "\x00\x02\x13\x01\x01\x00", 6);
    if (extensions)
        put_vector(&body, extensions, 2);
    put(message, "\x01", 1);
    put_vector(message, &body, 3);
}

// Cut into records of at most `most` bytes.
static void put_records(struct text *records, const struct text *message, size_t most)
{
    for (size_t at = 0; at < message->len; at += most) {
        size_t len = message->len - at < most ? message->len - at : most;
        put(records, "\x16\x03\x01", 3);
        put_number(records, len, 2);
        put(records, message->bytes + at, len);
    }
}

static enum hello_result read_all(const struct text *text, struct client_hello *hello)
{
    return client_hello_read(guard_page_copy(&guard, slice_make(text->bytes, text->len)), scratch, hello);
}

// Of a message with these extensions, in one record.
static enum hello_result read_with(const struct text *extensions, struct client_hello *hello)
{
    static struct text message, records;
    message.len = records.len = 0;
    put_message(&message, extensions, 0);
    put_records(&records, &message, 16384);
    return read_all(&records, hello);
}

static void assert_name(const struct client_hello *hello, const char *name)
{
    assert_int_equal(hello->server_name.len, strlen(name));
    assert_memory_equal(hello->server_name.ptr, name, strlen(name));
}

// ---- tests --------------------------------------------------------------------------------------------------------

static void test_name(void **state)
{
    static struct text extensions;
    struct client_hello hello;
    (void)state;
    extensions.len = 0;
    put_extension(&extensions, 43, &(struct text){"\x02\x03\x04", 3});
    put_name(&extensions, 0, "Api.example", 11);
    put_extension(&extensions, 16, &(struct text){"\x00\x03\x02h2", 5});
    assert_int_equal(read_with(&extensions, &hello), HELLO_READY);
    assert_name(&hello, "Api.example");
    extensions.len = 0;
    put_name(&extensions, 0, "a.b.", 4);
    assert_int_equal(read_with(&extensions, &hello), HELLO_READY);
    assert_name(&hello, "a.b");
    extensions.len = 0;
    assert_int_equal(read_with(&extensions, &hello), HELLO_READY);
    assert_int_equal(hello.server_name.len, 0);
    assert_int_equal(read_with(NULL, &hello), HELLO_READY);
    assert_int_equal(hello.server_name.len, 0);
}

static void test_every_cut(void **state)
{
    static struct text extensions, message, records;
    struct client_hello hello;
    (void)state;
    extensions.len = 0;
    put_name(&extensions, 0, "api.example", 11);
    for (size_t most = 1; most < 120; most++) {
        message.len = records.len = 0;
        put_message(&message, &extensions, 32);
        put_records(&records, &message, most);
        for (size_t len = 0; len < records.len; len++) {
            struct slice part = guard_page_copy(&guard, slice_make(records.bytes, len));
            assert_int_equal(client_hello_read(part, scratch, &hello), HELLO_MORE);
        }
        assert_int_equal(read_all(&records, &hello), HELLO_READY);
        assert_name(&hello, "api.example");
    }
}

static void test_bad_names(void **state)
{
    static struct text extensions;
    static const struct slice names[] = {SLICE_INIT(""), SLICE_INIT("a b"), SLICE_INIT("a\0b"), SLICE_INIT("a\"b"),
                                         SLICE_INIT("\xc3\xa4.de")};
    static char long_name[300];
    struct client_hello hello;
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        extensions.len = 0;
        put_name(&extensions, 0, names[i].ptr, names[i].len);
        assert_int_equal(read_with(&extensions, &hello), HELLO_MALFORMED);
    }
    memset(long_name, 'a', sizeof long_name);
    extensions.len = 0;
    put_name(&extensions, 0, long_name, 256);
    assert_int_equal(read_with(&extensions, &hello), HELLO_MALFORMED);
    extensions.len = 0;
    put_name(&extensions, 1, "a", 1); // another type of name
    assert_int_equal(read_with(&extensions, &hello), HELLO_MALFORMED);
    extensions.len = 0;
    put_name(&extensions, 0, "a", 1);
    put_name(&extensions, 0, "b", 1); // twice
    assert_int_equal(read_with(&extensions, &hello), HELLO_MALFORMED);
    extensions.len = 0;
    put_extension(&extensions, 0, &(struct text){"\x00\x04\x00\x00\x01x!", 7}); // something behind the list
    assert_int_equal(read_with(&extensions, &hello), HELLO_MALFORMED);
}

static void test_malformed(void **state)
{
    static const struct slice cases[] = {
        SLICE_INIT("GET / HTTP/1.1\r\n"),
        SLICE_INIT("\x15"),                                         // an alert
        SLICE_INIT("\x16\x02"),                                     // SSL 2
        SLICE_INIT("\x16\x03\x01\x00\x00"),                         // an empty record
        SLICE_INIT("\x16\x03\x01\x40\x01"),                         // a record too long
        SLICE_INIT("\x16\x03\x01\x00\x01\x02"),                     // a ServerHello
        SLICE_INIT("\x16\x03\x01\x00\x04\x01\x00\x00\x00"),         // an empty message
        SLICE_INIT("\x16\x03\x01\x00\x05\x01\x00\x00\x00\x01"),     // something behind the message
        SLICE_INIT("\x16\x03\x01\x00\x01\x01\x17\x03\x03\x00\x01"), // other data within it
    };
    struct client_hello hello;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(client_hello_read(guard_page_copy(&guard, cases[i]), scratch, &hello), HELLO_MALFORMED);
}

// Every length of the message is one too small and one too large in turn.
static void test_wrong_lengths(void **state)
{
    static struct text extensions, message, records;
    static const size_t lengths[] = {38, 39 + 1, 41 + 2 + 1, 44 + 1, 46 + 3}; // last bytes of length fields
    struct client_hello hello;
    (void)state;
    extensions.len = 0;
    put_name(&extensions, 0, "api.example", 11);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (int by = -1; by <= 1; by += 2) {
            message.len = records.len = 0;
            put_message(&message, &extensions, 0);
            message.bytes[lengths[i]] = (char)(message.bytes[lengths[i]] + by);
            put_records(&records, &message, 16384);
            assert_int_not_equal(read_all(&records, &hello), HELLO_MORE);
        }
    message.len = records.len = 0;
    put_message(&message, &extensions, 33); // a session id too long
    put_records(&records, &message, 16384);
    assert_int_equal(read_all(&records, &hello), HELLO_MALFORMED);
}

static void test_too_large(void **state)
{
    static struct text extensions, padding, message, records;
    struct client_hello hello;
    (void)state;
    padding.len = 16300;
    extensions.len = message.len = records.len = 0;
    put_extension(&extensions, 21, &padding);
    assert_int_equal(read_with(&extensions, &hello), HELLO_READY);
    padding.len = 16384;
    extensions.len = 0;
    put_extension(&extensions, 21, &padding);
    put_message(&message, &extensions, 0);
    put_records(&records, &message, 1000);
    assert_int_equal(read_all(&records, &hello), HELLO_TOO_LARGE);
    records.len = 100;
    assert_int_equal(read_all(&records, &hello), HELLO_TOO_LARGE); // told by the length, before it has come
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name),      cmocka_unit_test(test_every_cut),     cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_wrong_lengths), cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
