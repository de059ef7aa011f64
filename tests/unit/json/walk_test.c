// The walk: which values it gives at which depth, with which keys, and that it stops at the first fault.
#include "json/text.h"

#include "json/walk.h"

struct step {
    unsigned depth;
    enum json_type type;
    const char *key;
    const char *value;
};

static void check_walk(struct slice text, unsigned depth, const struct step *steps, size_t count,
                       enum json_status status)
{
    struct json_walk walk;
    json_walk_init(&walk, text);
    for (size_t i = 0; i < count; i++) {
        assert_true(json_walk_next(&walk, depth));
        assert_int_equal(walk.depth, steps[i].depth);
        assert_int_equal(walk.type, steps[i].type);
        assert_slice_equal(walk.key, slice_from_cstr(steps[i].key));
        assert_slice_equal(walk.value, slice_from_cstr(steps[i].value));
    }
    assert_false(json_walk_next(&walk, depth));
    assert_int_equal(walk.reader.status, status);
}

#define CHECK(text, depth, status, ...)                                                                                \
    do {                                                                                                               \
        static const struct step steps[] = {__VA_ARGS__};                                                              \
        check_walk(SLICE(text), depth, steps, sizeof steps / sizeof *steps, status);                                   \
    } while (0)

#define TEXT " { \"a\" : [1,{\"b\":2} ], \"c\":{\"d\":{\"e\":-3}} ,\"f\":true,\"a\":\"x\" } "

static void test_depth_wanted(void **state)
{
    CHECK(TEXT, 0, JSON_OK, {0, JSON_OBJECT, "", "{"});
    CHECK(TEXT, 1, JSON_OK, {0, JSON_OBJECT, "", "{"}, {1, JSON_ARRAY, "\"a\"", "["}, {1, JSON_OBJECT, "\"c\"", "{"},
          {1, JSON_TRUE, "\"f\"", "true"}, {1, JSON_STRING, "\"a\"", "\"x\""});
    CHECK(TEXT, 2, JSON_OK, {0, JSON_OBJECT, "", "{"}, {1, JSON_ARRAY, "\"a\"", "["}, {2, JSON_NUMBER, "", "1"},
          {2, JSON_OBJECT, "", "{"}, {1, JSON_OBJECT, "\"c\"", "{"}, {2, JSON_OBJECT, "\"d\"", "{"},
          {1, JSON_TRUE, "\"f\"", "true"}, {1, JSON_STRING, "\"a\"", "\"x\""});
    (void)state;
}

static void test_types(void **state)
{
    CHECK("[null,false,1.5e3,\"\",{},[]]", 1, JSON_OK, {0, JSON_ARRAY, "", "["}, {1, JSON_NULL, "", "null"},
          {1, JSON_FALSE, "", "false"}, {1, JSON_NUMBER, "", "1.5e3"}, {1, JSON_STRING, "", "\"\""},
          {1, JSON_OBJECT, "", "{"}, {1, JSON_ARRAY, "", "["});
    CHECK("7", 5, JSON_OK, {0, JSON_NUMBER, "", "7"});
    (void)state;
}

static void test_stops_at_a_fault(void **state)
{
    struct json_walk walk;
    CHECK("{\"a\":1,\"b\":[2,]}", 1, JSON_SYNTAX, {0, JSON_OBJECT, "", "{"}, {1, JSON_NUMBER, "\"a\"", "1"},
          {1, JSON_ARRAY, "\"b\"", "["});
    CHECK("{\"a\":1,\"b\"", 1, JSON_SYNTAX, {0, JSON_OBJECT, "", "{"}, {1, JSON_NUMBER, "\"a\"", "1"});
    CHECK("[] ]", 1, JSON_TRAILING, {0, JSON_ARRAY, "", "["});
    CHECK("1 2", 1, JSON_TRAILING, {0, JSON_NUMBER, "", "1"});
    json_walk_init(&walk, SLICE("\xEF\xBB\xBF{}"));
    assert_false(json_walk_next(&walk, 0));
    assert_int_equal(walk.reader.status, JSON_BOM);
    (void)state;
}

static void test_separators(void **state)
{
    struct slice text = SLICE("{\"a\":[1,2] , \"b\":3}  ");
    const unsigned char *start = (const unsigned char *)text.ptr;
    struct json_walk walk;
    json_walk_init(&walk, text);
    for (int i = 0; i < 3; i++)
        assert_true(json_walk_next(&walk, 1));
    assert_int_equal(walk.comma - start, 11);
    assert_false(json_walk_next(&walk, 1));
    assert_int_equal(walk.after - start, 19);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth_wanted),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_stops_at_a_fault),
        cmocka_unit_test(test_separators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
