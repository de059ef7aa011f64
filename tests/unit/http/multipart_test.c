// multipart/form-data: what is read, and all that is refused because two readers could differ (S1).
#include "base/buf.h"
#include "http/multipart.h"
#include "guard_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define HEAD(name) "--B\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static struct arena arena;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 4096, 1 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void assert_slice(struct slice got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.ptr ? got.ptr : "", expected, got.len);
}

static void boundaries(void **state)
{
    (void)state;
    struct slice got;
    assert_true(multipart_boundary(SLICE("multipart/form-data; boundary=abc"), &arena, &got));
    assert_slice(got, "abc");
    assert_true(multipart_boundary(SLICE("Multipart/Form-Data ; charset=x; Boundary=\"a b;c\""), &arena, &got) ==
                false);
    assert_true(multipart_boundary(SLICE("multipart/form-data; boundary=\"a b,c\""), &arena, &got));
    assert_slice(got, "a b,c");
    assert_false(multipart_boundary(SLICE("multipart/mixed; boundary=abc"), &arena, &got));
    assert_false(multipart_boundary(SLICE("multipart/form-data"), &arena, &got));
    assert_false(multipart_boundary(SLICE("multipart/form-data; boundary="), &arena, &got));
    assert_false(multipart_boundary(SLICE("multipart/form-data; boundary=\"a \""), &arena, &got));
    assert_false(multipart_boundary(SLICE("multipart/form-data; boundary="
                                          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
                                    &arena, &got));
}

static void two_parts(void **state)
{
    (void)state;
    struct guard_page guard = {0};
    struct multipart reader;
    struct multipart_part part;
    struct slice body = guard_page_copy(
        &guard, SLICE(HEAD("model") "whisper-1\r\n"
                                    "--B\r\ncontent-type: audio/wav\r\nContent-Disposition: form-data; name=file; "
                                    "filename=\"a\\\"b.wav\"\r\nX-A: 1\r\n\r\n\r\n--X\r\n--\r\nbytes\r\n--B--\r\n"));
    multipart_init(&reader, body, SLICE("B"));
    assert_int_equal(multipart_next(&reader, &arena, &part), MULTIPART_PART);
    assert_slice(part.name, "model");
    assert_slice(part.content, "whisper-1");
    assert_null(part.filename.ptr);
    assert_int_equal(multipart_next(&reader, &arena, &part), MULTIPART_PART);
    assert_slice(part.name, "file");
    assert_slice(part.filename, "a\"b.wav");
    assert_slice(part.type, "audio/wav");
    assert_slice(part.content, "\r\n--X\r\n--\r\nbytes");
    assert_int_equal(multipart_next(&reader, &arena, &part), MULTIPART_END);
    assert_int_equal(multipart_next(&reader, &arena, &part), MULTIPART_END);
    guard_page_free(&guard);
}

static enum multipart_status last_status(struct slice body)
{
    struct multipart reader;
    struct multipart_part part;
    struct guard_page guard = {0};
    enum multipart_status status;
    multipart_init(&reader, guard_page_copy(&guard, body), SLICE("B"));
    while ((status = multipart_next(&reader, &arena, &part)) == MULTIPART_PART)
        ;
    assert_true((status == MULTIPART_BAD) == (reader.why != NULL));
    guard_page_free(&guard);
    return status;
}

static void accepted(void **state)
{
    (void)state;
    assert_int_equal(last_status(SLICE("--B--")), MULTIPART_END);
    assert_int_equal(last_status(SLICE("--B--\r\n")), MULTIPART_END);
    assert_int_equal(last_status(SLICE("\r\n" HEAD("a") "\r\n--B--")), MULTIPART_END);
    assert_int_equal(last_status(SLICE("--B\r\ncontent-disposition: form-data;name=\"a\";filename*=UTF-8''b\r\n"
                                       "content-transfer-encoding: binary\r\n\r\nx\r\n--B--\r\n")),
                     MULTIPART_END);
}

static void refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "x--B--",
        "preamble\r\n--B--",
        "--B--epilogue",
        "--BX\r\n",
        "--B \r\n",
        "--B\r\n\r\nx\r\n--B--",
        "--B\n"
        "content-disposition: form-data; name=\"a\"\n\nx\n--B--",
        HEAD("a") "x",
        HEAD("a") "x\r\n--B",
        HEAD("a") "x\r\n--BB\r\n",
        HEAD("") "x\r\n--B--",
        HEAD("a\\d") "x\r\n--B--",
        HEAD("a\"; name=\"b") "x\r\n--B--",
        HEAD("a\"; name*=UTF-8''b; x=\"") "x\r\n--B--",
        "--B\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--B--",
        "--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--",
        "--B\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--B--",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n folded\r\n\r\nx\r\n--B--",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; "
        "name=\"b\"\r\n\r\nx\r\n--B--",
        "--B\r\nContent-Disposition : form-data; name=\"a\"\r\n\r\nx\r\n--B--",
        "--B\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--B--",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (last_status(slice_from_cstr(bodies[i])) != MULTIPART_BAD)
            fail_msg("accepted: %s", bodies[i]);
}

static void part_limits(void **state)
{
    (void)state;
    struct buf body;
    buf_init(&body, 1 << 20);
    for (int i = 0; i < 1024; i++)
        buf_append(&body, SLICE(HEAD("a") "\r\n"));
    size_t len = body.len;
    buf_append(&body, SLICE("--B--"));
    assert_int_equal(last_status(buf_slice(&body)), MULTIPART_END);
    body.len = len;
    buf_append(&body, SLICE(HEAD("a") "\r\n--B--"));
    assert_int_equal(last_status(buf_slice(&body)), MULTIPART_BAD);
    buf_reset(&body);
    buf_append(&body, SLICE("--B\r\nX: "));
    for (int i = 0; i < 16 * 1024; i++)
        buf_append_byte(&body, 'x');
    buf_append(&body, SLICE("\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--B--"));
    assert_int_equal(last_status(buf_slice(&body)), MULTIPART_BAD);
    buf_fini(&body);
}

// A body cut anywhere is never accepted.
static void every_truncation(void **state)
{
    (void)state;
    struct slice body = SLICE(HEAD("model") "m\r\n" HEAD("file") "bytes\r\n--B--");
    assert_int_equal(last_status(body), MULTIPART_END);
    for (size_t len = 0; len < body.len; len++)
        assert_int_equal(last_status(slice_sub(body, 0, len)), MULTIPART_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries), cmocka_unit_test(two_parts),   cmocka_unit_test(accepted),
        cmocka_unit_test(refused),    cmocka_unit_test(part_limits), cmocka_unit_test(every_truncation),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
