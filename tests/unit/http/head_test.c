// Field lists and the small rules of heads.
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

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

// Fields as one text: `name=value;`.
static void assert_fields(const struct fields *fields, const char *expected)
{
    char text[256] = "";
    for (size_t i = 0, at = 0; i < fields->count; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, SLICE_FMT "=" SLICE_FMT ";",
                               SLICE_ARG(fields->items[i].name), SLICE_ARG(fields->items[i].value));
    assert_string_equal(text, expected);
}

static void lists(void **state)
{
    (void)state;
    struct fields fields = {0}, copy;
    assert_true(fields_add(&fields, &arena, SLICE("Accept"), SLICE("a")));
    assert_true(fields_add(&fields, &arena, SLICE("X-Request-Id"), SLICE("1")));
    assert_true(fields_add(&fields, &arena, SLICE("accept"), SLICE("b")));
    assert_slice(fields_value(&fields, SLICE("ACCEPT")), "a");
    assert_slice(fields_value(&fields, SLICE("x-request-id")), "1");
    assert_null(fields_value(&fields, SLICE("x-request-ie")).ptr);
    assert_int_equal(fields_count(&fields, SLICE("accept")), 2);
    assert_slice(fields_joined(&fields, SLICE("accept"), &arena), "a,b");
    assert_ptr_equal(fields_joined(&fields, SLICE("x-request-ID"), &arena).ptr, fields.items[1].value.ptr);
    assert_null(fields_joined(&fields, SLICE("none"), &arena).ptr);
    assert_true(fields_copy(&fields, &arena, 2, &copy));
    assert_true(fields_set(&fields, &arena, SLICE("ACCEPT"), SLICE("c")));
    assert_fields(&fields, "ACCEPT=c;X-Request-Id=1;");
    assert_true(fields_set(&fields, &arena, SLICE("new"), SLICE("n")));
    assert_fields(&fields, "ACCEPT=c;X-Request-Id=1;new=n;");
    assert_int_equal(fields_remove(&copy, SLICE("accept")), 2);
    assert_int_equal(fields_remove(&copy, SLICE("accept")), 0);
    assert_fields(&copy, "X-Request-Id=1;");
}

// The comparison by eight bytes agrees with that by one, for every pair of bytes and every length.
static void case_folding(void **state)
{
    (void)state;
    char a[24], b[24];
    for (int x = 0; x < 256; x++)
        for (int y = 0; y < 256; y++) {
            size_t len = 1 + (size_t)(x * 7 + y) % sizeof a, at = (size_t)(x + y) % len;
            memset(a, 'q', sizeof a);
            memset(b, 'Q', sizeof b);
            a[at] = (char)x;
            b[at] = (char)y;
            assert_int_equal(slice_eq_nocase(slice_make(a, len), slice_make(b, len)),
                             ascii_lower((char)x) == ascii_lower((char)y));
        }
}

static void syntax(void **state)
{
    (void)state;
    assert_true(http_is_token(SLICE("x-Ai_1!#")));
    assert_false(http_is_token(SLICE("")));
    assert_false(http_is_token(SLICE("a b")));
    assert_false(http_is_token(SLICE("a:")));
    assert_false(http_is_token(SLICE("\xc3\xa4")));
    assert_true(http_is_field_value(SLICE("")));
    assert_true(http_is_field_value(SLICE("a\tb \xc3\xa4")));
    assert_false(http_is_field_value(SLICE(" a")));
    assert_false(http_is_field_value(SLICE("a\t")));
    assert_false(http_is_field_value(SLICE("a\nb")));
    assert_false(http_is_field_value(slice_make("a\0b", 3)));
    assert_false(http_is_field_value(SLICE("a\x7f")));
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t place = 0; place < 19; place++) {
            char text[] = "aaaaaaa\xff"
                          "aaaaa\taaaaa";
            text[place] = (char)byte;
            bool is_bad = (byte < 0x20 && byte != '\t') || byte == 0x7f;
            assert_int_equal(http_has_control_byte(slice_make(text, 19)), is_bad);
        }
}

static void hop_by_hop(void **state)
{
    (void)state;
    static const char *const names[] = {"Connection", "keep-alive",        "Proxy-Connection", "TE",
                                        "trailer",    "Transfer-Encoding", "UPGRADE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(http_is_hop_by_hop(slice_from_cstr(names[i])));
    assert_false(http_is_hop_by_hop(SLICE("content-length")));
    assert_false(http_is_hop_by_hop(SLICE("trailers")));
}

static void targets(void **state)
{
    (void)state;
    assert_slice(http_path(SLICE("/v1/x?a=b?c")), "/v1/x");
    assert_slice(http_query(SLICE("/v1/x?a=b?c")), "a=b?c");
    assert_null(http_query(SLICE("/v1/x")).ptr);
    assert_non_null(http_query(SLICE("/v1/x?")).ptr);
    assert_slice(http_host(SLICE("example.com:80")), "example.com");
    assert_slice(http_host(SLICE("example.com")), "example.com");
    assert_slice(http_host(SLICE("[::1]:80")), "[::1]");
    assert_slice(http_host(SLICE("")), "");
    assert_slice(http_reason(404), "Not Found");
    assert_slice(http_reason(799), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),      cmocka_unit_test(case_folding), cmocka_unit_test(syntax),
        cmocka_unit_test(hop_by_hop), cmocka_unit_test(targets),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
