// Splicing, body paths and body changes (S6): the members asked for change, every other byte stays.
#include "json/text.h"

struct fixture {
    struct arena arena;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, 65536, 16 << 20);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    free(fixture);
    return 0;
}

// ---- edits ----------------------------------------------------------------------------------------------------

static struct slice spliced(struct arena *arena, struct slice text, const struct json_edits *edits)
{
    struct slice *pieces;
    size_t count, bytes;
    assert_true(json_splice(text, edits, &pieces, &count, &bytes));
    struct slice joined = join_pieces(arena, pieces, count);
    assert_int_equal(joined.len, bytes);
    return joined;
}

static void test_edits_stand_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct json_edits edits;
    json_edits_init(&edits, &fixture->arena);
    assert_true(json_edit_add(&edits, 0, 1, SLICE("Z")));
    assert_true(json_edit_add(&edits, 4, 4, SLICE("1")));
    assert_true(json_edit_add(&edits, 4, 4, SLICE("2")));
    assert_true(json_edit_add(&edits, 4, 6, SLICE("X")));
    assert_false(json_edit_add(&edits, 5, 5, SLICE("y")));
    assert_false(json_edit_add(&edits, 0, 0, SLICE("y")));
    assert_false(json_edit_add(&edits, 5, 9, SLICE("y")));
    assert_false(json_edit_add(&edits, 8, 7, SLICE("y")));
    assert_true(json_edit_add(&edits, 6, 6, SLICE("3")));
    assert_true(json_edit_add(&edits, 6, 7, SLICE("")));
    assert_slice_equal(spliced(&fixture->arena, SLICE("0123456789"), &edits), SLICE("Z12312X3789"));
}

// ---- paths ----------------------------------------------------------------------------------------------------

static void test_paths(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        struct slice text;
        size_t count;
        struct slice last;
    } good[] = {
        {SLICE_INIT("model"), 1, SLICE_INIT("model")}, {SLICE_INIT("a.b.c"), 3, SLICE_INIT("c")},
        {SLICE_INIT("a\\.b"), 1, SLICE_INIT("a.b")},   {SLICE_INIT("a.\\1"), 2, SLICE_INIT("1")},
        {SLICE_INIT("a.b\\*"), 2, SLICE_INIT("b*")},   {SLICE_INIT("x-1.a b"), 2, SLICE_INIT("a b")},
        {SLICE_INIT("a\\\\.b"), 2, SLICE_INIT("b")},   {SLICE_INIT("1a"), 1, SLICE_INIT("1a")},
    };
    static const struct slice bad[] = {SLICE_INIT(""),     SLICE_INIT("."),
                                       SLICE_INIT("a."),   SLICE_INIT(".a"),
                                       SLICE_INIT("a..b"), SLICE_INIT("a.0"),
                                       SLICE_INIT("-1"),   SLICE_INIT("a.*"),
                                       SLICE_INIT("a?"),   SLICE_INIT("#"),
                                       SLICE_INIT("a|b"),  SLICE_INIT("@this"),
                                       SLICE_INIT("a\\"),  SLICE_INIT("messages.12.role"),
                                       SLICE_INIT("a\xF8")};
    struct json_path path;
    struct slice why;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(json_path_parse(good[i].text, &fixture->arena, &path, &why));
        assert_int_equal(path.count, good[i].count);
        assert_slice_equal(path.names[path.count - 1], good[i].last);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        why = (struct slice){NULL, 0};
        assert_false(json_path_parse(bad[i], &fixture->arena, &path, &why));
        assert_true(why.len > 0);
    }
}

// ---- changes --------------------------------------------------------------------------------------------------

struct change_text { // value NULL: remove
    const char *path;
    const char *value;
};

static const struct {
    const char *before;
    struct change_text changes[4];
    const char *after;
} applied[] = {
    {"{\"model\":\"a\"}", {{"model", "\"b\""}}, "{\"model\":\"b\"}"},
    {" { \"x\" : 1.50 , \"model\" : \"a\" } \n", {{"model", "\"b\""}}, " { \"x\" : 1.50 , \"model\" : \"b\" } \n"},
    {"{}", {{"a", "1"}}, "{\"a\":1}"},
    {"{\"x\":1}", {{"a", "1"}}, "{\"x\":1,\"a\":1}"},
    {"{\"a\":1}", {{"a", NULL}}, "{}"},
    {"{\"a\":1,\"b\":2}", {{"a", NULL}}, "{\"b\":2}"},
    {"{\"a\":1,\"b\":2}", {{"b", NULL}}, "{\"a\":1}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", {{"a", NULL}, {"b", NULL}}, "{\"c\":3}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", {{"c", NULL}, {"b", NULL}}, "{\"a\":1}"},
    {"{\"a\":1,\"b\":2,\"c\":3}", {{"c", NULL}, {"a", NULL}}, "{\"b\":2}"},
    {"{\"a\":1,\"b\":2}", {{"b", NULL}, {"a", NULL}, {"n", "{}"}}, "{\"n\":{}}"},
    {"{\"a\":1}", {{"b", NULL}}, "{\"a\":1}"},
    // below
    {"{\"o\":{\"x\":1,\"y\":2},\"z\":3}", {{"o.x", "9"}}, "{\"o\":{\"x\":9,\"y\":2},\"z\":3}"},
    {"{\"o\":{\"x\":1,\"y\":2},\"z\":3}", {{"o.x", NULL}}, "{\"o\":{\"y\":2},\"z\":3}"},
    {"{\"o\":{\"x\":1}}", {{"o.x", NULL}, {"o.y.z", "[]"}}, "{\"o\":{\"y\":{\"z\":[]}}}"},
    {"{\"o\":{}}", {{"o.p.q", "1"}, {"o.p.r", "2"}}, "{\"o\":{\"p\":{\"q\":1,\"r\":2}}}"},
    {"{\"o\":5,\"z\":1}", {{"o.p", "1"}}, "{\"o\":{\"p\":1},\"z\":1}"},
    {"{\"o\":5}", {{"o.p", NULL}}, "{\"o\":5}"},
    {"{\"o\":[{\"p\":1}]}", {{"o.p", "2"}}, "{\"o\":{\"p\":2}}"},
    {"{}", {{"a.b.c", NULL}}, "{}"},
    {"{\"stream_options\":{ \"x\":1 }}",
     {{"stream_options.include_usage", "true"}},
     "{\"stream_options\":{ \"x\":1 ,\"include_usage\":true}}"},
    // order: the later wins
    {"{\"a\":1}", {{"a", "2"}, {"a", "3"}}, "{\"a\":3}"},
    {"{\"a\":1}", {{"a", "2"}, {"a", NULL}}, "{}"},
    {"{\"a\":1}", {{"a", NULL}, {"a", "2"}}, "{\"a\":2}"},
    {"{\"a\":{\"k\":0}}", {{"a.b", "2"}, {"a", "3"}}, "{\"a\":3}"},
    {"{\"a\":{\"k\":0}}", {{"a.b", "2"}, {"a", NULL}}, "{}"},
    {"{\"a\":{\"k\":0}}", {{"a", "{\"x\":1}"}, {"a.b", "2"}}, "{\"a\":{\"x\":1,\"b\":2}}"},
    {"{\"a\":{\"k\":0}}", {{"a", "{\"x\":1}"}, {"a.x", NULL}}, "{\"a\":{}}"},
    {"{\"a\":{\"k\":0}}", {{"a", "7"}, {"a.b.c", "2"}}, "{\"a\":{\"b\":{\"c\":2}}}"},
    {"{\"a\":{\"k\":0}}", {{"a", NULL}, {"a.b", "2"}}, "{\"a\":{\"b\":2}}"},
    {"{\"a\":{\"k\":0}}", {{"a", NULL}, {"a.k", NULL}}, "{}"},
    {"{\"a\":{\"k\":0}}", {{"a", "7"}, {"a.k", NULL}}, "{\"a\":7}"},
    {"{\"b\":0}", {{"c", "1"}, {"b", NULL}, {"a", "2"}}, "{\"c\":1,\"a\":2}"},
    // names as decoded, bytes as sent
    {"{\"mod\\u0065l\":\"a\"}", {{"model", "\"b\""}}, "{\"mod\\u0065l\":\"b\"}"},
    {"{\"t\":\"\\u00e9\\/\",\"n\":1E+02,\"a\":0}", {{"a", "1"}}, "{\"t\":\"\\u00e9\\/\",\"n\":1E+02,\"a\":1}"},
    {"{\"a.b\":1,\"a\":{\"b\":2}}", {{"a\\.b", "3"}}, "{\"a.b\":3,\"a\":{\"b\":2}}"},
    {"{\"s\":\"\\\"a\\\":1\",\"a\":\"]}\"}", {{"a", "2"}}, "{\"s\":\"\\\"a\\\":1\",\"a\":2}"},
    {"{\"x\":1}", {{"q\\.\"", "1"}}, "{\"x\":1,\"q.\\\"\":1}"},
};

static size_t make_changes(struct arena *arena, const struct change_text *texts, struct json_change *changes)
{
    size_t count = 0;
    for (; count < 4 && texts[count].path; count++) {
        struct json_path *path = ARENA_NEW(arena, struct json_path);
        struct slice why;
        assert_true(json_path_parse(slice_from_cstr(texts[count].path), arena, path, &why));
        changes[count] = (struct json_change){path, slice_from_cstr(texts[count].value)};
    }
    return count;
}

static void check_applied(struct arena *arena, size_t index, bool is_scanned)
{
    static const struct slice wanted[] = {SLICE_INIT("a"),
                                          SLICE_INIT("b"),
                                          SLICE_INIT("c"),
                                          SLICE_INIT("o"),
                                          SLICE_INIT("n"),
                                          SLICE_INIT("model"),
                                          SLICE_INIT("stream_options")};
    struct slice text = slice_from_cstr(applied[index].before), *pieces, duplicate;
    struct json_change changes[4];
    struct json_member members[7];
    size_t count = make_changes(arena, applied[index].changes, changes), piece_count, bytes;
    const struct json_names *names = json_names_new(arena, wanted, 7);
    struct json_scan scan = json_scan_object(text, names, members);
    assert_int_equal(scan.status, JSON_OK);
    bool is_applied = is_scanned ? json_apply_scanned(&scan, names, members, changes, count, arena, &pieces,
                                                      &piece_count, &bytes, &duplicate)
                                 : json_apply(text, changes, count, arena, &pieces, &piece_count, &bytes, &duplicate);
    assert_true(is_applied);
    struct slice result = join_pieces(arena, pieces, piece_count);
    assert_int_equal(result.len, bytes);
    if (!slice_eq(result, slice_from_cstr(applied[index].after)))
        fail_msg("case %zu: " SLICE_FMT ", not %s", index, SLICE_ARG(result), applied[index].after);
}

static void test_applies(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof applied / sizeof *applied; i++) {
        check_applied(&fixture->arena, i, false);
        check_applied(&fixture->arena, i, true);
    }
}

static void test_duplicates_on_the_path(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *text;
        struct change_text changes[4];
        const char *name;
    } cases[] = {
        {"{\"a\":1,\"a\":2}", {{"a", "3"}}, "a"},
        {"{\"a\":1,\"\\u0061\":2}", {{"a", NULL}}, "a"},
        {"{\"o\":{\"p\":1,\"q\":0,\"p\":2}}", {{"o.p", "3"}}, "p"},
        {"{\"o\":{},\"o\":{}}", {{"o.p", "3"}}, "o"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice *pieces, duplicate;
        size_t piece_count, bytes;
        struct json_change changes[4];
        size_t count = make_changes(&fixture->arena, cases[i].changes, changes);
        assert_false(json_apply(slice_from_cstr(cases[i].text), changes, count, &fixture->arena, &pieces, &piece_count,
                                &bytes, &duplicate));
        assert_slice_equal(duplicate, slice_from_cstr(cases[i].name));
    }
}

static void test_duplicates_elsewhere_pass(void **state)
{
    struct fixture *fixture = *state;
    struct slice *pieces, duplicate, text = SLICE("{\"x\":1,\"x\":2,\"a\":{\"x\":0,\"x\":0}}");
    size_t piece_count, bytes;
    struct json_change changes[4];
    struct change_text texts[4] = {{"a.b", "3"}};
    size_t count = make_changes(&fixture->arena, texts, changes);
    assert_true(json_apply(text, changes, count, &fixture->arena, &pieces, &piece_count, &bytes, &duplicate));
    assert_slice_equal(join_pieces(&fixture->arena, pieces, piece_count),
                       SLICE("{\"x\":1,\"x\":2,\"a\":{\"x\":0,\"x\":0,\"b\":3}}"));
}

static void test_cursor(void **state)
{
    struct json_cursor cursor = json_cursor_init(SLICE(" { \"a\" : 1 , \"b,}\":[ { } , \"]\" ],\"c\":null}"));
    struct slice key, value;
    enum json_type type;
    assert_true(json_next(&cursor, &key, &value, &type));
    assert_slice_equal(key, SLICE("\"a\""));
    assert_slice_equal(value, SLICE("1"));
    assert_true(json_next(&cursor, &key, &value, &type));
    assert_slice_equal(key, SLICE("\"b,}\""));
    assert_slice_equal(value, SLICE("[ { } , \"]\" ]"));
    struct json_cursor inner = json_cursor_init(value);
    assert_true(json_next(&inner, &key, &value, &type));
    assert_int_equal(key.len, 0);
    assert_int_equal(type, JSON_OBJECT);
    struct json_cursor empty = json_cursor_init(value);
    assert_false(json_next(&empty, &key, &value, &type));
    assert_true(json_next(&inner, &key, &value, &type));
    assert_slice_equal(value, SLICE("\"]\""));
    assert_false(json_next(&inner, &key, &value, &type));
    assert_true(json_next(&cursor, &key, &value, &type));
    assert_int_equal(type, JSON_NULL);
    assert_false(json_next(&cursor, &key, &value, &type));
    assert_false(json_next(&cursor, &key, &value, &type));
    (void)state;
}

// Removes the members of every subset, in every order, and looks that the rest is what it was.
static void check_removal(struct arena *arena, const unsigned *order, unsigned set)
{
    static struct slice abcd[] = {SLICE_INIT("a"), SLICE_INIT("b"), SLICE_INIT("c"), SLICE_INIT("d")};
    static const char *const values[] = {"1", "[2,3]", "{\"a\":0}", "4"};
    struct slice text = SLICE("{ \"a\":1 , \"b\" : [2,3] ,\"c\":{\"a\":0}, \"d\":4 }"), *pieces, duplicate;
    struct json_path paths[4];
    struct json_change changes[4];
    size_t count = 0, piece_count, bytes;
    for (int i = 0; i < 4; i++) {
        paths[i] = (struct json_path){&abcd[order[i]], 1};
        if (set >> order[i] & 1)
            changes[count++] = (struct json_change){&paths[i], {NULL, 0}};
    }
    assert_true(json_apply(text, changes, count, arena, &pieces, &piece_count, &bytes, &duplicate));
    struct slice result = join_pieces(arena, pieces, piece_count);
    struct json_member members[4];
    struct json_scan scan = json_scan_object(result, json_names_new(arena, abcd, 4), members);
    if (scan.status != JSON_OK)
        fail_msg("set %u: " SLICE_FMT, set, SLICE_ARG(result));
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(members[i].count, !(set >> i & 1));
        if (members[i].count)
            assert_slice_equal(slice_sub(result, members[i].value.from, members[i].value.to - members[i].value.from),
                               slice_from_cstr(values[i]));
    }
    assert_int_equal(scan.member_count, 4 - __builtin_popcount(set));
}

static void test_removes_any_members_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned set = 0; set < 16; set++)
        for (unsigned code = 0; code < 256; code++) {
            unsigned order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6};
            unsigned seen = 1U << order[0] | 1U << order[1] | 1U << order[2] | 1U << order[3];
            if (seen == 15)
                check_removal(&fixture->arena, order, set);
            arena_reset(&fixture->arena);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_removes_any_members_in_any_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_edits_stand_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_applies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_duplicates_on_the_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_duplicates_elsewhere_pass, set_up, tear_down),
        cmocka_unit_test(test_cursor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
