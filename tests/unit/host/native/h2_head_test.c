#include "host/native/h2_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct h1_limits limits = {61440, 100, 8192};

static void add(struct h2_head *head, const char *name, const char *value)
{
    assert_true(h2_head_field(head, slice_from_cstr(name), slice_from_cstr(value)));
}

static void begin(struct h2_head *head, const char *method, const char *path)
{
    h2_head_begin(head, &limits, false);
    add(head, ":method", method);
    add(head, ":scheme", "http");
    add(head, ":authority", "api.example:8080");
    add(head, ":path", path);
}

static enum error_code finish(struct h2_head *head, bool is_end, struct h1_request *request)
{
    static struct h1_spans spans;
    return h2_head_request(head, is_end, &spans, request);
}

static void assert_slice(struct slice actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.ptr, expected, actual.len);
}

static void test_a_request(void **state)
{
    struct h2_head head;
    struct h1_request request;
    (void)state;
    h2_head_init(&head);
    begin(&head, "POST", "/v1/chat?a=b");
    add(&head, "content-type", "application/json");
    add(&head, "content-length", "12");
    assert_int_equal(finish(&head, false, &request), ERROR_NONE);
    assert_slice(request.head.method, "POST");
    assert_slice(request.head.target, "/v1/chat?a=b");
    assert_slice(request.head.authority, "api.example:8080");
    assert_int_equal(request.head.version, HTTP_2);
    assert_int_equal(request.head.fields.count, 2);
    assert_int_equal(request.content_length, 12);
    begin(&head, "POST", "/");
    assert_int_equal(finish(&head, false, &request), ERROR_NONE);
    assert_int_equal(request.content_length, -1);
    begin(&head, "GET", "/");
    assert_int_equal(finish(&head, true, &request), ERROR_NONE);
    assert_int_equal(request.content_length, 0);
    h2_head_fini(&head);
}

static void test_crumbs(void **state)
{
    struct h2_head head;
    struct h1_request request;
    (void)state;
    h2_head_init(&head);
    begin(&head, "GET", "/");
    add(&head, "cookie", "a=1");
    add(&head, "x", "y");
    add(&head, "cookie", "b=2");
    add(&head, "cookie", "c=3");
    assert_int_equal(finish(&head, true, &request), ERROR_NONE);
    assert_int_equal(request.head.fields.count, 2);
    assert_slice(fields_value(&request.head.fields, SLICE("cookie")), "a=1; b=2; c=3");
    assert_slice(fields_value(&request.head.fields, SLICE("x")), "y");
    h2_head_fini(&head);
}

static void test_targets(void **state)
{
    static const struct {
        const char *method, *path;
        enum error_code error;
    } cases[] = {
        {"OPTIONS", "*", ERROR_NONE},
        {"GET", "*", ERROR_MALFORMED_HEAD},
        {"GET", "", ERROR_MALFORMED_HEAD},
        {"GET", "v1", ERROR_MALFORMED_HEAD},
        {"GET", "http://a/", ERROR_MALFORMED_HEAD},
        {"GET", "/a b", ERROR_MALFORMED_HEAD},
        {"GET", "/a\tb", ERROR_MALFORMED_HEAD},
        {"GET", "/a#b", ERROR_MALFORMED_HEAD},
        {"GET", "/a\x7f", ERROR_MALFORMED_HEAD},
        {"CONNECT", "/", ERROR_METHOD_NOT_ALLOWED},
        {"BREW", "/", ERROR_MALFORMED_HEAD},
        {"get", "/", ERROR_MALFORMED_HEAD},
        {"PRI", "*", ERROR_MALFORMED_HEAD},
    };
    struct h2_head head;
    struct h1_request request;
    (void)state;
    h2_head_init(&head);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&head, cases[i].method, cases[i].path);
        assert_int_equal(finish(&head, true, &request), cases[i].error);
    }
    h2_head_fini(&head);
}

static void test_hosts(void **state)
{
    struct h2_head head;
    struct h1_request request;
    (void)state;
    h2_head_init(&head);
    begin(&head, "GET", "/");
    add(&head, "host", "API.example:8080");
    assert_int_equal(finish(&head, true, &request), ERROR_NONE);
    assert_int_equal(request.head.fields.count, 0);
    add(&head, "host", "API.example:8080");
    assert_int_equal(finish(&head, true, &request), ERROR_MALFORMED_HEAD);
    begin(&head, "GET", "/");
    add(&head, "host", "api.example");
    assert_int_equal(finish(&head, true, &request), ERROR_MALFORMED_HEAD);
    h2_head_begin(&head, &limits, false);
    add(&head, ":method", "GET");
    add(&head, ":path", "/");
    add(&head, "host", "only.example");
    assert_int_equal(finish(&head, true, &request), ERROR_NONE);
    assert_slice(request.head.authority, "only.example");
    h2_head_fini(&head);
}

static void test_limits(void **state)
{
    struct h2_head head;
    struct h1_request request;
    char *large = malloc(70001);
    (void)state;
    memset(large, 'a', 70000);
    large[70000] = 0;
    h2_head_init(&head);
    begin(&head, "GET", "/");
    add(&head, "x", large);
    assert_int_equal(finish(&head, true, &request), ERROR_HEAD_TOO_LARGE);
    begin(&head, "GET", "/");
    for (int i = 0; i < 99; i++) // with :authority, which HTTP/1.1 counts as a field
        add(&head, "x", "y");
    assert_int_equal(finish(&head, true, &request), ERROR_NONE);
    add(&head, "x", "y");
    assert_int_equal(finish(&head, true, &request), ERROR_HEAD_TOO_LARGE);
    large[0] = '/';
    begin(&head, "GET", large);
    assert_int_equal(finish(&head, true, &request), ERROR_TARGET_TOO_LONG);
    bool is_bearable = true;
    begin(&head, "GET", "/");
    for (int i = 0; i < 20 && is_bearable; i++)
        is_bearable = h2_head_field(&head, SLICE("x"), slice_make(large, 70000));
    assert_false(is_bearable);
    assert_true(head.bytes.len <= limits.head_bytes);
    h2_head_trim(&head);
    h2_head_fini(&head);
    free(large);
}

static void test_expectations_and_lengths(void **state)
{
    struct h2_head head;
    struct h1_request request;
    (void)state;
    h2_head_init(&head);
    begin(&head, "POST", "/");
    add(&head, "expect", "100-continue");
    assert_int_equal(finish(&head, false, &request), ERROR_NONE);
    assert_true(request.expects_continue);
    begin(&head, "POST", "/");
    add(&head, "expect", "more");
    assert_int_equal(finish(&head, false, &request), ERROR_EXPECTATION);
    assert_slice(request.head.target, "/");
    begin(&head, "POST", "/");
    add(&head, "content-length", "1x");
    assert_int_equal(finish(&head, false, &request), ERROR_MALFORMED_HEAD);
    begin(&head, "POST", "/");
    add(&head, "content-length", "1");
    add(&head, "content-length", "1");
    assert_int_equal(finish(&head, false, &request), ERROR_MALFORMED_HEAD);
    h2_head_fini(&head);
}

struct answer_case {
    const char *status;
    const char *name, *value; // one field; NULL: none
    bool is_end, is_head;
    enum error_code error;
    bool has_body;
    int content_length;
};

static void test_answers(void **state)
{
    static const struct answer_case cases[] = {
        {"200", NULL, NULL, false, false, ERROR_NONE, true, -1},
        {"200", "content-length", "5", false, false, ERROR_NONE, true, 5},
        {"200", "content-length", "0", false, false, ERROR_NONE, false, 0},
        {"200", NULL, NULL, true, false, ERROR_NONE, false, 0},
        {"200", "content-length", "5", true, true, ERROR_NONE, false, 5},
        {"204", NULL, NULL, true, false, ERROR_NONE, false, -1},
        {"304", "content-length", "5", true, false, ERROR_NONE, false, 5},
        {"103", "link", "</a>", false, false, ERROR_NONE, true, -1},
        {"200", "host", "a", false, false, ERROR_NONE, true, -1},
        {"200", "content-length", "5x", false, false, ERROR_UPSTREAM_MALFORMED, false, 0},
        {"200", "transfer-encoding", "chunked", false, false, ERROR_UPSTREAM_MALFORMED, false, 0},
        {"101", NULL, NULL, false, false, ERROR_UPSTREAM_MALFORMED, false, 0},
        {"099", NULL, NULL, false, false, ERROR_UPSTREAM_MALFORMED, false, 0},
        {"20", NULL, NULL, false, false, ERROR_UPSTREAM_MALFORMED, false, 0},
        {"2000", NULL, NULL, false, false, ERROR_UPSTREAM_MALFORMED, false, 0},
        {"+20", NULL, NULL, false, false, ERROR_UPSTREAM_MALFORMED, false, 0},
    };
    static struct h1_spans spans;
    struct h2_head head;
    struct h1_response response;
    (void)state;
    h2_head_init(&head);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct answer_case *each = &cases[i];
        h2_head_begin(&head, &limits, true);
        add(&head, ":status", each->status);
        if (each->name)
            add(&head, each->name, each->value);
        assert_int_equal(h2_head_response(&head, each->is_end, each->is_head, &spans, &response), each->error);
        if (each->error != ERROR_NONE)
            continue;
        assert_int_equal(response.has_body, each->has_body);
        assert_int_equal(response.content_length, each->content_length);
        assert_int_equal(response.head.fields.count, each->name ? 1 : 0);
        assert_int_equal(response.head.version, HTTP_2);
    }
    h2_head_fini(&head);
}

// Cookies and Host mean nothing there; the limits are those of a request.
static void test_large_answers(void **state)
{
    static struct h1_spans spans;
    struct h2_head head;
    struct h1_response response;
    (void)state;
    h2_head_init(&head);
    h2_head_begin(&head, &limits, true);
    add(&head, ":status", "200");
    for (int i = 0; i < 100; i++)
        add(&head, "set-cookie", "a=b");
    assert_int_equal(h2_head_response(&head, false, false, &spans, &response), ERROR_NONE);
    assert_int_equal(response.head.fields.count, 100);
    h2_head_begin(&head, &limits, true);
    add(&head, ":status", "200");
    for (int i = 0; i < 101; i++)
        add(&head, "set-cookie", "a=b");
    assert_int_equal(h2_head_response(&head, false, false, &spans, &response), ERROR_UPSTREAM_TOO_LARGE);
    h2_head_begin(&head, &limits, true);
    assert_int_equal(h2_head_response(&head, false, false, &spans, &response), ERROR_UPSTREAM_MALFORMED);
    h2_head_fini(&head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request), cmocka_unit_test(test_crumbs),
        cmocka_unit_test(test_targets),   cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_expectations_and_lengths),
        cmocka_unit_test(test_answers),   cmocka_unit_test(test_large_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
