// Passing over nested text: the same as a walk byte by byte, whatever the text and wherever it is split.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "json/find.h"

static size_t walk(struct json_nesting *nesting, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool was_escaped = nesting->is_escaped;
        nesting->is_escaped = !was_escaped && c == '\\';
        if (c == '"' && !was_escaped)
            nesting->is_in_string = !nesting->is_in_string;
        if (nesting->is_in_string)
            continue;
        nesting->depth += c == '{' || c == '[';
        if ((c == '}' || c == ']') && --nesting->depth == 1) {
            nesting->is_escaped = false;
            return i + 1;
        }
    }
    return text.len;
}

static struct slice draw_text(char *bytes, size_t cap)
{
    static const char letters[] = "\"\"\\\\{}[],:ab";
    size_t len = (size_t)rand() % cap;
    unsigned plain = (unsigned)rand() % 4 * 16;
    for (size_t i = 0; i < len; i++) {
        size_t at = (size_t)rand() % (sizeof letters - 1 + plain);
        bytes[i] = at < sizeof letters - 1 ? letters[at] : 'x';
    }
    return slice_make(bytes, len);
}

static void check(struct slice text, size_t split, struct json_nesting begin)
{
    struct json_nesting expected = begin, got = begin;
    size_t expected_len = walk(&expected, text);
    size_t len = json_pass_nested(&got, slice_sub(text, 0, split));
    if (got.depth > 1)
        len += json_pass_nested(&got, slice_from(text, split));
    assert_int_equal(len, expected_len);
    assert_int_equal(got.depth, expected.depth);
    assert_int_equal(got.is_in_string, expected.is_in_string);
    assert_int_equal(got.is_escaped, expected.is_escaped);
}

static void test_as_a_walk(void **state)
{
    char bytes[300];
    srand(1);
    for (int i = 0; i < 200000; i++) {
        struct slice text = draw_text(bytes, sizeof bytes);
        struct json_nesting begin = {2 + (size_t)rand() % 3, rand() % 2, false};
        begin.is_escaped = begin.is_in_string && rand() % 4 == 0;
        check(text, (size_t)rand() % (text.len + 1), begin);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_a_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
