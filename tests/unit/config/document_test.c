// The tree: types, marks, bounds, recovery after a broken document.
#include "loading.h"

struct tree {
    struct arena arena;
    struct findings findings;
    struct node *roots[8];
    size_t count;
};

static void visit(void *context, struct node *root)
{
    struct tree *tree = context;
    if (tree->count < 8)
        tree->roots[tree->count++] = root;
}

static bool parse(struct tree *tree, struct slice text)
{
    struct config_file file = {SLICE("f"), text};
    *tree = (struct tree){0};
    arena_init(&tree->arena, 4096, (size_t)64 << 20);
    findings_init(&tree->findings, &tree->arena);
    return document_parse(&file, &tree->arena, &tree->findings, visit, tree);
}

static bool parse_text(struct tree *tree, const char *text)
{
    return parse(tree, slice_from_cstr(text));
}

static void assert_text(const struct node *node, const char *text)
{
    assert_non_null(node);
    assert_int_equal(node->text.len, strlen(text));
    assert_memory_equal(node->text.ptr, text, strlen(text));
}

static void test_marks_and_order(void **state)
{
    struct tree tree;
    (void)state;
    assert_true(parse_text(&tree, "a: 1\nb:\n  - x\n  - \"y\"\n# comment\nc: {d: e}\n"));
    assert_int_equal(tree.count, 1);
    const struct node *b = node_get(tree.roots[0], SLICE("b"));
    assert_int_equal(b->type, NODE_LIST);
    assert_int_equal(b->key_mark.line, 2);
    assert_int_equal(node_count(b), 2);
    assert_int_equal(b->first->next->mark.line, 4);
    assert_int_equal(b->first->next->mark.column, 5);
    assert_true(b->first->next->is_quoted);
    assert_text(node_path(tree.roots[0], SLICE("c.d")), "e");
    assert_null(node_path(tree.roots[0], SLICE("c.d.e")));
    assert_null(node_get(NULL, SLICE("a")));
    arena_fini(&tree.arena);
}

static void test_core_schema(void **state)
{
    static const struct {
        const char *text;
        enum node_type type;
    } cases[] = {
        {"null", NODE_NULL},        {"~", NODE_NULL},       {"", NODE_NULL},
        {"true", NODE_BOOL},        {"FALSE", NODE_BOOL},   {"yes", NODE_STRING},
        {"on", NODE_STRING},        {"tRue", NODE_STRING},  {"0", NODE_INT},
        {"-12", NODE_INT},          {"+3", NODE_INT},       {"0x1F", NODE_INT},
        {"0o17", NODE_INT},         {"0x", NODE_STRING},    {"0o8", NODE_STRING},
        {"1.5", NODE_FLOAT},        {".5", NODE_FLOAT},     {"5.", NODE_FLOAT},
        {"1e3", NODE_FLOAT},        {"1e", NODE_STRING},    {".", NODE_STRING},
        {"-", NODE_STRING},         {"-.inf", NODE_FLOAT},  {".NaN", NODE_FLOAT},
        {"1.2.3", NODE_STRING},     {"1_000", NODE_STRING}, {"2026-01-01", NODE_STRING},
        {"127.0.0.1", NODE_STRING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(document_plain_type(slice_from_cstr(cases[i].text)), cases[i].type);
    struct tree tree;
    assert_true(parse_text(&tree, "a: '1'\nb: \"true\"\nc: |\n  1\nd: !!str 1\ne: 1\nf:\n"));
    for (const struct node *node = node_first(tree.roots[0]); node && node->key.ptr[0] < 'e'; node = node->next)
        assert_int_equal(node->type, NODE_STRING);
    assert_int_equal(node_get_i64(tree.roots[0], SLICE("e"), 0), 1);
    assert_non_null(node_member(tree.roots[0], SLICE("f")));
    assert_null(node_get(tree.roots[0], SLICE("f")));
    arena_fini(&tree.arena);
}

static void test_values(void **state)
{
    struct tree tree;
    int64_t number = -1;
    uint64_t bytes = 0;
    (void)state;
    assert_true(parse_text(&tree, "[1h30m, 500ms, 15, 1d, '', 99999h99999h99999h99999h, 123456s, "
                                  "50Mi, 1.5Ki, 32768, 1k, Mi, 99999999999Ti, "
                                  "2026-01-31T12:00:00Z, 1970-01-01t00:00:01.5+01:00, 2026-02-29T00:00:00Z, "
                                  "9223372036854775807, 9223372036854775808, -5]"));
    const struct node *at = tree.roots[0]->first;
    static const int64_t durations[] = {5400000, 500, 15000, -1, -1, 1439985600000, -1};
    for (size_t i = 0; i < 7; i++, at = at->next) {
        number = -1;
        node_to_ms(at, &number);
        assert_int_equal(number, durations[i]);
    }
    static const uint64_t sizes[] = {52428800, 1536, 32768, 1000, 0, 0};
    for (size_t i = 0; i < 6; i++, at = at->next) {
        bytes = 0;
        node_to_bytes(at, &bytes);
        assert_int_equal(bytes, sizes[i]);
    }
    static const int64_t times[] = {1769860800, -3599, 0};
    for (size_t i = 0; i < 3; i++, at = at->next) {
        number = 0;
        node_to_time(at, &number);
        assert_int_equal(number, times[i]);
    }
    assert_true(node_to_i64(at, &number) && number == INT64_MAX);
    assert_false(node_to_i64(at->next, &number));
    assert_true(node_to_i64(at->next->next, &number) && number == -5);
    arena_fini(&tree.arena);
}

static void test_json(void **state)
{
    struct tree tree;
    (void)state;
    assert_true(parse_text(&tree, "{\"a\": [1, true, null, \"x\\u00e9\"], \"b\": {}}"));
    assert_int_equal(node_count(node_get(tree.roots[0], SLICE("a"))), 4);
    assert_text(node_get(tree.roots[0], SLICE("a"))->last, "x\xc3\xa9");
    arena_fini(&tree.arena);
}

static void test_byte_order_mark(void **state)
{
    struct tree tree;
    (void)state;
    assert_true(parse_text(&tree, "\xef\xbb\xbf# made by an editor\na: 1\n"));
    assert_int_equal(tree.count, 1);
    assert_int_equal(tree.roots[0]->first->key_mark.line, 2);
    assert_int_equal(tree.roots[0]->first->key_mark.column, 1);
    arena_fini(&tree.arena);
}

static void test_duplicate_key(void **state)
{
    struct tree tree;
    (void)state;
    assert_false(parse_text(&tree, "a: 1\nb: 2\n\"a\": 3\n"));
    assert_int_equal(tree.findings.count, 1);
    assert_int_equal(tree.findings.items[0].mark.line, 3);
    assert_non_null(strstr(tree.findings.items[0].text.ptr, "duplicate key \"a\", first given in line 1"));
    arena_fini(&tree.arena);
}

static void test_alias(void **state)
{
    struct tree tree;
    (void)state;
    assert_true(parse_text(&tree, "a: &x {k: [1, 2]}\nb: *x\nc: *x\n"));
    assert_int_equal(node_count(node_path(tree.roots[0], SLICE("c.k"))), 2);
    assert_ptr_not_equal(node_get(tree.roots[0], SLICE("b")), node_get(tree.roots[0], SLICE("c")));
    arena_fini(&tree.arena);
    static const char *const bad[] = {"a: *x\n", "a: &x [*x]\n", "*a : 1\n", "a: &x 1\n---\nb: *x\n", "<<: {a: 1}\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(parse_text(&tree, bad[i]));
        assert_int_equal(tree.findings.count, 1);
        arena_fini(&tree.arena);
    }
}

// The billion laughs: nine levels of nine aliases each.
static void test_alias_bomb(void **state)
{
    struct tree tree;
    char text[2048];
    size_t len = (size_t)snprintf(text, sizeof text, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    (void)state;
    for (int i = 1; i < 9; i++)
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                                i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_false(parse(&tree, slice_make(text, len)));
    assert_int_equal(tree.findings.count, 1);
    assert_true(tree.arena.held_bytes < (size_t)4 << 20);
    arena_fini(&tree.arena);
}

static void test_depth(void **state)
{
    struct tree tree;
    char text[300];
    (void)state;
    for (size_t depth = 64; depth <= 65; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(parse(&tree, slice_make(text, 2 * depth)), depth == 64);
        arena_fini(&tree.arena);
    }
    static char deep[100000];
    memset(deep, '[', sizeof deep);
    assert_false(parse(&tree, slice_make(deep, sizeof deep)));
    arena_fini(&tree.arena);
}

// What follows a broken document is read, with the right lines.
static void test_recovery(void **state)
{
    struct tree tree;
    (void)state;
    assert_false(parse_text(&tree, "a: 1\n---\nb: [1\n---\nc: 2\n---\nd: \"x\n---\ne:\n  f: \xff\n---\ng: 3\n"));
    assert_int_equal(tree.count, 3);
    assert_text(node_get(tree.roots[1], SLICE("c")), "2");
    assert_int_equal(tree.roots[1]->mark.line, 5);
    assert_text(node_get(tree.roots[2], SLICE("g")), "3");
    assert_int_equal(tree.roots[2]->mark.line, 12);
    assert_int_equal(tree.findings.count, 3);
    assert_int_equal(tree.findings.items[2].mark.line, 10);
    assert_int_equal(tree.findings.items[2].mark.column, 6);
    arena_fini(&tree.arena);
}

static void test_empty_documents(void **state)
{
    struct tree tree;
    (void)state;
    assert_true(parse_text(&tree, "---\n---\n# nothing\n---\na: 1\n---\n"));
    assert_int_equal(tree.count, 1);
    arena_fini(&tree.arena);
    assert_true(parse_text(&tree, "\xef\xbb\xbf"
                                  "a: 1\n"));
    assert_int_equal(tree.count, 1);
    arena_fini(&tree.arena);
    assert_true(parse_text(&tree, ""));
    arena_fini(&tree.arena);
}

// Every prefix of a document with all constructs ends in a tree or in findings.
static void test_every_prefix(void **state)
{
    static const char text[] =
        "%YAML 1.2\n---\na: &x [1, 'two', \"th\\nree\", *x]\nb: |\n  text\nc: !!int 3\n? d\n: e\n"
        "...\n---\n{f: {g: >-\n  folded}}\n---\n- ${X:=1}\n";
    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        struct tree tree;
        parse(&tree, slice_make(text, len));
        arena_fini(&tree.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_and_order), cmocka_unit_test(test_core_schema),
        cmocka_unit_test(test_values),          cmocka_unit_test(test_json),
        cmocka_unit_test(test_byte_order_mark), cmocka_unit_test(test_duplicate_key),
        cmocka_unit_test(test_alias),           cmocka_unit_test(test_alias_bomb),
        cmocka_unit_test(test_depth),           cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_empty_documents), cmocka_unit_test(test_every_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
