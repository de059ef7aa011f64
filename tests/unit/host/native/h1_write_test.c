// Heads as they go out.
#include "host/native/h1_write.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct field items[] = {
    {SLICE_INIT("Content-Type"), SLICE_INIT("a/b")},  {SLICE_INIT("connection"), SLICE_INIT("x-gone")},
    {SLICE_INIT("Content-Length"), SLICE_INIT("77")}, {SLICE_INIT("transfer-encoding"), SLICE_INIT("chunked")},
    {SLICE_INIT("Keep-Alive"), SLICE_INIT("1")},      {SLICE_INIT("X-Empty"), SLICE_INIT("")},
};
static const struct fields fields = {items, 6, 6};

static void assert_response(uint16_t status, struct h1_framing framing, const char *expected)
{
    struct response_head head = {.status = status, .fields = fields};
    struct buf buf;
    buf_init(&buf, 4096);
    assert_true(h1_write_response(&buf, &head, &framing));
    assert_int_equal(buf.len, strlen(expected));
    assert_memory_equal(buf.ptr, expected, buf.len);
    buf_fini(&buf);
}

static void frames_answers_itself(void **state)
{
    (void)state;
    assert_response(200, (struct h1_framing){.kind = H1_SEND_LENGTH, .body_bytes = 5},
                    "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-Empty: \r\ncontent-length: 5\r\n\r\n");
    assert_response(429, (struct h1_framing){.kind = H1_SEND_CHUNKED, .is_close = true},
                    "HTTP/1.1 429 Too Many Requests\r\nContent-Type: a/b\r\nX-Empty: \r\ntransfer-encoding: "
                    "chunked\r\nconnection: close\r\n\r\n");
    assert_response(204, (struct h1_framing){.kind = H1_SEND_NOTHING, .is_client_1_0 = true},
                    "HTTP/1.1 204 No Content\r\nContent-Type: a/b\r\nX-Empty: \r\nconnection: keep-alive\r\n\r\n");
    assert_response(599, (struct h1_framing){.kind = H1_SEND_UNTIL_CLOSE, .is_close = true, .is_client_1_0 = true},
                    "HTTP/1.1 599 \r\nContent-Type: a/b\r\nX-Empty: \r\nconnection: close\r\n\r\n");
}

static void assert_request(const char *method, int64_t body_bytes, const char *framing)
{
    struct buf buf;
    buf_init(&buf, 4096);
    assert_true(h1_write_request(&buf, slice_from_cstr(method), SLICE("/x"), SLICE("b:1"), &fields, body_bytes));
    struct slice rest = slice_from(buf_slice(&buf), slice_find_slice(buf_slice(&buf), SLICE("X-Empty: \r\n")) + 11);
    assert_int_equal(rest.len, strlen(framing));
    assert_memory_equal(rest.ptr, framing, rest.len);
    assert_true(slice_find_slice(buf_slice(&buf), SLICE(" /x HTTP/1.1\r\nhost: b:1\r\n")) == strlen(method));
    buf_fini(&buf);
}

static void frames_requests_itself(void **state)
{
    (void)state;
    assert_request("POST", 12, "content-length: 12\r\n\r\n");
    assert_request("POST", 0, "content-length: 0\r\n\r\n");
    assert_request("POST", -1, "transfer-encoding: chunked\r\n\r\n");
    assert_request("GET", 0, "\r\n");
}

static void refuses_what_is_too_large(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 40);
    assert_false(h1_write_request(&buf, SLICE("POST"), SLICE("/x"), SLICE("b:1"), &fields, 0));
    buf_fini(&buf);
}

static void writes_chunk_lines(void **state)
{
    (void)state;
    char line[20];
    assert_true(slice_eq(h1_chunk_line(line, 1), SLICE("1\r\n")));
    assert_true(slice_eq(h1_chunk_line(line, 0x1a2b), SLICE("1a2b\r\n")));
    assert_true(slice_eq(h1_chunk_line(line, SIZE_MAX), SLICE("ffffffffffffffff\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_answers_itself),
        cmocka_unit_test(frames_requests_itself),
        cmocka_unit_test(refuses_what_is_too_large),
        cmocka_unit_test(writes_chunk_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
