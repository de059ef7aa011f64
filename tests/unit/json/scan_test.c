// The scanner: what it accepts and refuses (RFC 8259, S1), where it says an error is, what it tells of members.
#include "json/text.h"

#include "json/reader.h"

static enum json_status verdict(struct slice text, size_t *ret_at)
{
    *ret_at = 0;
    return json_validate(text, ret_at);
}

// ---- must be accepted -----------------------------------------------------------------------------------------

static const struct slice accepted[] = {
    // arrays
    SLICE_INIT("[]"),
    SLICE_INIT("[ ]"),
    SLICE_INIT("[[] ]"),
    SLICE_INIT("[[]   ]"),
    SLICE_INIT("[\"\"]"),
    SLICE_INIT("[1\n]"),
    SLICE_INIT(" [1]"),
    SLICE_INIT("[1,null,null,null,2]"),
    SLICE_INIT("[2] "),
    SLICE_INIT("[null, 1, \"1\", {}]"),
    SLICE_INIT("[false]"),
    SLICE_INIT("[[[],[]],{}]"),
    // numbers
    SLICE_INIT("[123e65]"),
    SLICE_INIT("[0e+1]"),
    SLICE_INIT("[0e1]"),
    SLICE_INIT("[ 4]"),
    SLICE_INIT("[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]"),
    SLICE_INIT("[20e1]"),
    SLICE_INIT("[-0]"),
    SLICE_INIT("[-123]"),
    SLICE_INIT("[-1]"),
    SLICE_INIT("[1E22]"),
    SLICE_INIT("[1E-2]"),
    SLICE_INIT("[1E+2]"),
    SLICE_INIT("[123e45]"),
    SLICE_INIT("[123.456e78]"),
    SLICE_INIT("[1e-2]"),
    SLICE_INIT("[1e+2]"),
    SLICE_INIT("[123]"),
    SLICE_INIT("[123.456789]"),
    SLICE_INIT("[0]"),
    SLICE_INIT("[0.0]"),
    SLICE_INIT("[-0.0e-0]"),
    SLICE_INIT("[10]"),
    SLICE_INIT("0"),
    SLICE_INIT("-1.5e3"),
    SLICE_INIT("[1e0000000001]"),
    SLICE_INIT("[1,2,3.0,-4,5e5]"),
    // objects
    SLICE_INIT("{\"asd\":\"sdf\", \"dfg\":\"fgh\"}"),
    SLICE_INIT("{\"asd\":\"sdf\"}"),
    SLICE_INIT("{\"a\":\"b\",\"a\":\"c\"}"),
    SLICE_INIT("{\"a\":\"b\",\"a\":\"b\"}"),
    SLICE_INIT("{}"),
    SLICE_INIT("{\"\":0}"),
    SLICE_INIT("{\"foo\\u0000bar\": 42}"),
    SLICE_INIT("{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),
    SLICE_INIT("{\"a\":[]}"),
    SLICE_INIT("{\n\"a\": \"b\"\n}"),
    SLICE_INIT("{\"a\":{\"b\":{\"c\":[{}]}}}"),
    SLICE_INIT("{\"\\u041f\\u043e\":\"\\u043b\"}"),
    SLICE_INIT("{ }"),
    // strings
    SLICE_INIT("[\"\\u0060\\u012a\\u12AB\"]"),
    SLICE_INIT("[\"\\uD801\\udc37\"]"),
    SLICE_INIT("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    SLICE_INIT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    SLICE_INIT("[\"\\\\u0000\"]"),
    SLICE_INIT("[\"\\\"\"]"),
    SLICE_INIT("[\"a/*b*/c/*d//e\"]"),
    SLICE_INIT("[\"\\\\a\"]"),
    SLICE_INIT("[\"\\\\n\"]"),
    SLICE_INIT("[\"\\u0012\"]"),
    SLICE_INIT("[\"\\uFFFF\"]"),
    SLICE_INIT("[\"asd\"]"),
    SLICE_INIT("[ \"asd\"]"),
    SLICE_INIT("[\"\\uDBFF\\uDFFF\"]"),
    SLICE_INIT("[\"new\\u00A0line\"]"),
    SLICE_INIT("[\"\xF4\x8F\xBF\xBF\"]"),
    SLICE_INIT("[\"\xEF\xBF\xBF\"]"),
    SLICE_INIT("[\"\\u0000\"]"),
    SLICE_INIT("[\"\\u002c\"]"),
    SLICE_INIT("[\"\xCF\x80\"]"),
    SLICE_INIT("[\"\xF0\x9B\xBF\xBF\"]"),
    SLICE_INIT("[\"asd \"]"),
    SLICE_INIT("\" \""),
    SLICE_INIT("[\"\\uD834\\uDd1e\"]"),
    SLICE_INIT("[\"\\u0821\"]"),
    SLICE_INIT("[\"\xE2\x80\xA8\"]"),
    SLICE_INIT("[\"\xE2\x80\xA9\"]"),
    SLICE_INIT("[\"\x7F\"]"),
    SLICE_INIT("[\"\\uA66D\"]"),
    SLICE_INIT("[\"\xE2\x8D\x82\xE3\x88\xB4\xE2\x8D\x82\"]"),
    SLICE_INIT("[\"a\x7F"
               "a\"]"),
    SLICE_INIT("\"\""),
    SLICE_INIT("[\"\xC2\x80\"]"),
    SLICE_INIT("[\"\xE0\xA0\x80\"]"),
    SLICE_INIT("[\"\xED\x9F\xBF\"]"),
    SLICE_INIT("[\"\xEE\x80\x80\"]"),
    SLICE_INIT("[\"\xF0\x90\x80\x80\"]"),
    SLICE_INIT("[\"\xEF\xBB\xBF\"]"),
    SLICE_INIT("[\"\\u200B\\u2064\\uFDD0\\uFFFE\"]"),
    // structure
    SLICE_INIT("false"),
    SLICE_INIT("42"),
    SLICE_INIT("-0.1"),
    SLICE_INIT("null"),
    SLICE_INIT("\"asd\""),
    SLICE_INIT("true"),
    SLICE_INIT("[\"a\"]\n"),
    SLICE_INIT("[true]"),
    SLICE_INIT(" \t\r\n[] \t\r\n"),
    // left to implementations by the RFC, decided in docs/json.md: numbers of any size, lone surrogate escapes
    SLICE_INIT("[123.456e-789]"),
    SLICE_INIT("[0.4e006699999999999999999]"),
    SLICE_INIT("[-1e+9999]"),
    SLICE_INIT("[1.5e+9999]"),
    SLICE_INIT("[-123123e100000]"),
    SLICE_INIT("[123123e-10000000]"),
    SLICE_INIT("[-123123123123123123123123123123]"),
    SLICE_INIT("[100000000000000000000]"),
    SLICE_INIT("{\"\\uDFAA\":0}"),
    SLICE_INIT("[\"\\uDADA\"]"),
    SLICE_INIT("[\"\\uD888\\u1234\"]"),
    SLICE_INIT("[\"\\uD800\\n\"]"),
    SLICE_INIT("[\"\\uDd1ea\"]"),
    SLICE_INIT("[\"\\uD800\\uD800\\n\"]"),
    SLICE_INIT("[\"\\ud800\"]"),
    SLICE_INIT("[\"\\ud800abc\"]"),
    SLICE_INIT("[\"\\uDd1e\\uD834\"]"),
    SLICE_INIT("[\"\\uDFAA\"]"),
};

static void test_accepts(void **state)
{
    char *region = edge_map();
    for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
        size_t at;
        enum json_status status = verdict(edge_copy(region, accepted[i]), &at);
        if (status != JSON_OK)
            fail_msg("refused at %zu: " SLICE_FMT, at, SLICE_ARG(accepted[i]));
    }
    edge_unmap(region);
    (void)state;
}

// ---- must be refused ------------------------------------------------------------------------------------------

static const struct {
    struct slice text;
    enum json_status status;
    size_t at;
} refused[] = {
#define BAD(text, status, at)                                                                                          \
    {                                                                                                                  \
        SLICE_INIT(text), status, at                                                                                   \
    }
    // arrays
    BAD("[1 true]", JSON_SYNTAX, 3),
    BAD("[a\xE5]", JSON_SYNTAX, 1),
    BAD("[\"\": 1]", JSON_SYNTAX, 3),
    BAD("[\"\"],", JSON_TRAILING, 4),
    BAD("[,1]", JSON_SYNTAX, 1),
    BAD("[1,,2]", JSON_SYNTAX, 3),
    BAD("[\"x\",,]", JSON_SYNTAX, 5),
    BAD("[\"x\"]]", JSON_TRAILING, 5),
    BAD("[\"\",]", JSON_SYNTAX, 4),
    BAD("[\"x\"", JSON_SYNTAX, 4),
    BAD("[x", JSON_SYNTAX, 1),
    BAD("[3[4]]", JSON_SYNTAX, 2),
    BAD("[\xFF]", JSON_SYNTAX, 1),
    BAD("[1:2]", JSON_SYNTAX, 2),
    BAD("[,]", JSON_SYNTAX, 1),
    BAD("[-]", JSON_SYNTAX, 2),
    BAD("[   , \"\"]", JSON_SYNTAX, 4),
    BAD("[\"a\",\n4\n,1,", JSON_SYNTAX, 11),
    BAD("[1,]", JSON_SYNTAX, 3),
    BAD("[\"\va\"\\f]", JSON_SYNTAX, 2),
    BAD("[*]", JSON_SYNTAX, 1),
    BAD("[\"\"", JSON_SYNTAX, 3),
    BAD("[1,", JSON_SYNTAX, 3),
    BAD("[1,\n1\n,1", JSON_SYNTAX, 8),
    BAD("[{}", JSON_SYNTAX, 3),
    BAD("[1}", JSON_SYNTAX, 2),
    BAD("[", JSON_SYNTAX, 1),
    BAD("]", JSON_SYNTAX, 0),
    BAD("[][]", JSON_TRAILING, 2),
    BAD("[1]x", JSON_TRAILING, 3),
    // literals
    BAD("[fals]", JSON_SYNTAX, 5),
    BAD("[nul]", JSON_SYNTAX, 4),
    BAD("[tru]", JSON_SYNTAX, 4),
    BAD("[True]", JSON_SYNTAX, 1),
    BAD("nul", JSON_SYNTAX, 3),
    BAD("truE", JSON_SYNTAX, 3),
    BAD("nullx", JSON_TRAILING, 4),
    BAD("NaN", JSON_SYNTAX, 0),
    BAD("[NaN]", JSON_SYNTAX, 1),
    BAD("[Infinity]", JSON_SYNTAX, 1),
    BAD("[-Infinity]", JSON_SYNTAX, 2),
    BAD("[-NaN]", JSON_SYNTAX, 2),
    BAD("undefined", JSON_SYNTAX, 0),
    // numbers
    BAD("123\0", JSON_TRAILING, 3),
    BAD("[++1234]", JSON_SYNTAX, 1),
    BAD("[+1]", JSON_SYNTAX, 1),
    BAD("[+Inf]", JSON_SYNTAX, 1),
    BAD("[-01]", JSON_SYNTAX, 3),
    BAD("[-1.0.]", JSON_SYNTAX, 5),
    BAD("[-2.]", JSON_SYNTAX, 4),
    BAD("[.-1]", JSON_SYNTAX, 1),
    BAD("[.2e-3]", JSON_SYNTAX, 1),
    BAD("[0.1.2]", JSON_SYNTAX, 4),
    BAD("[0.3e+]", JSON_SYNTAX, 6),
    BAD("[0.3e]", JSON_SYNTAX, 5),
    BAD("[0.e1]", JSON_SYNTAX, 3),
    BAD("[0E+]", JSON_SYNTAX, 4),
    BAD("[0E]", JSON_SYNTAX, 3),
    BAD("[1.0e+]", JSON_SYNTAX, 6),
    BAD("[1.0e-]", JSON_SYNTAX, 6),
    BAD("[1 000.0]", JSON_SYNTAX, 3),
    BAD("[1eE2]", JSON_SYNTAX, 3),
    BAD("[2.e+3]", JSON_SYNTAX, 3),
    BAD("[2.e3]", JSON_SYNTAX, 3),
    BAD("[9.e+]", JSON_SYNTAX, 3),
    BAD("[0x1]", JSON_SYNTAX, 2),
    BAD("[0x42]", JSON_SYNTAX, 2),
    BAD("[1+2]", JSON_SYNTAX, 2),
    BAD("[-foo]", JSON_SYNTAX, 2),
    BAD("[- 1]", JSON_SYNTAX, 2),
    BAD("[-012]", JSON_SYNTAX, 3),
    BAD("[-.123]", JSON_SYNTAX, 2),
    BAD("[-1x]", JSON_SYNTAX, 3),
    BAD("[1ea]", JSON_SYNTAX, 3),
    BAD("[1e1\xE5]", JSON_SYNTAX, 4),
    BAD("[1.]", JSON_SYNTAX, 3),
    BAD("[.123]", JSON_SYNTAX, 1),
    BAD("[1.2a-3]", JSON_SYNTAX, 4),
    BAD("[1.8011670033376514H-308]", JSON_SYNTAX, 19),
    BAD("[012]", JSON_SYNTAX, 2),
    BAD("[\xEF\xBC\x91]", JSON_SYNTAX, 1),
    BAD("-", JSON_SYNTAX, 1),
    BAD("1e", JSON_SYNTAX, 2),
    BAD("1.", JSON_SYNTAX, 2),
    BAD("1e+", JSON_SYNTAX, 3),
    BAD("1_000", JSON_TRAILING, 1),
    // objects
    BAD("[\"a\", truth]", JSON_SYNTAX, 9),
    BAD("{[: \"x\"}", JSON_SYNTAX, 1),
    BAD("{\"x\", null}", JSON_SYNTAX, 4),
    BAD("{\"x\"::\"b\"}", JSON_SYNTAX, 5),
    BAD("{\"a\":\"a\" 123}", JSON_SYNTAX, 9),
    BAD("{key: 'value'}", JSON_SYNTAX, 1),
    BAD("{\"a\" b}", JSON_SYNTAX, 5),
    BAD("{:\"b\"}", JSON_SYNTAX, 1),
    BAD("{\"a\"}", JSON_SYNTAX, 4),
    BAD("{\"a\" \"b\"}", JSON_SYNTAX, 5),
    BAD("{\"a\":", JSON_SYNTAX, 5),
    BAD("{\"a\"", JSON_SYNTAX, 4),
    BAD("{1:1}", JSON_SYNTAX, 1),
    BAD("{9999E9999:1}", JSON_SYNTAX, 1),
    BAD("{null:null,null:null}", JSON_SYNTAX, 1),
    BAD("{\"id\":0,,,,,}", JSON_SYNTAX, 8),
    BAD("{'a':0}", JSON_SYNTAX, 1),
    BAD("{\"id\":0,}", JSON_SYNTAX, 8),
    BAD("{\"a\":\"b\"}/**/", JSON_TRAILING, 9),
    BAD("{\"a\":\"b\"}//", JSON_TRAILING, 9),
    BAD("{\"a\":/*x*/1}", JSON_SYNTAX, 5),
    BAD("{\"a\":\"b\",,\"c\":\"d\"}", JSON_SYNTAX, 9),
    BAD("{a: \"b\"}", JSON_SYNTAX, 1),
    BAD("{\"a\":\"a", JSON_SYNTAX, 7),
    BAD("{ \"foo\" : \"bar\", \"a\" }", JSON_SYNTAX, 21),
    BAD("{\"a\":\"b\"}#", JSON_TRAILING, 9),
    BAD("{\"a\":1]", JSON_SYNTAX, 6),
    BAD("{", JSON_SYNTAX, 1),
    BAD("}", JSON_SYNTAX, 0),
    BAD("{}}", JSON_TRAILING, 2),
    BAD("{\"a\":1,1}", JSON_SYNTAX, 7),
    BAD("{,}", JSON_SYNTAX, 1),
    BAD("{\"\\uDFAA\":}", JSON_SYNTAX, 10),
    // strings
    BAD("[\"\\uD800\\\"]", JSON_SYNTAX, 11),
    BAD("[\"\\uD800\\u\"]", JSON_SYNTAX, 10),
    BAD("[\"\\uD800\\u1\"]", JSON_SYNTAX, 11),
    BAD("[\"\\uD800\\u1x\"]", JSON_SYNTAX, 11),
    BAD("[\xC3\xA9]", JSON_SYNTAX, 1),
    BAD("[\"\\\0\"]", JSON_SYNTAX, 3),
    BAD("[\"\\\\\\\"]", JSON_SYNTAX, 7),
    BAD("[\"\\x00\"]", JSON_SYNTAX, 3),
    BAD("[\"\\\t\"]", JSON_SYNTAX, 3),
    BAD("[\"\\\xF0\x9F\x8C\x80\"]", JSON_SYNTAX, 3),
    BAD("[\"\\\"]", JSON_SYNTAX, 5),
    BAD("[\"\\u00A\"]", JSON_SYNTAX, 7),
    BAD("[\"\\uD834\\uDd\"]", JSON_SYNTAX, 12),
    BAD("[\"\\uqqqq\"]", JSON_SYNTAX, 4),
    BAD("[\"\\a\"]", JSON_SYNTAX, 3),
    BAD("[\"\\U0041\"]", JSON_SYNTAX, 3),
    BAD("[\\u0020\"asd\"]", JSON_SYNTAX, 1),
    BAD("[\\n]", JSON_SYNTAX, 1),
    BAD("\"", JSON_SYNTAX, 1),
    BAD("['single quote']", JSON_SYNTAX, 1),
    BAD("abc", JSON_SYNTAX, 0),
    BAD("[\"\\", JSON_SYNTAX, 3),
    BAD("[\"a\0a\"]", JSON_SYNTAX, 3),
    BAD("[\"new\nline\"]", JSON_SYNTAX, 5),
    BAD("[\"\t\"]", JSON_SYNTAX, 2),
    BAD("[\"\x1F\"]", JSON_SYNTAX, 2),
    BAD("\"\"x", JSON_TRAILING, 2),
    BAD("[\"\\u", JSON_SYNTAX, 4),
    BAD("[\"\\u12", JSON_SYNTAX, 6),
    // UTF-8
    BAD("[\"\xE6\x97\xA5\xD1\x88\xFA\"]", JSON_UTF8, 7),
    BAD("[\"\xED\xA0\x80\"]", JSON_UTF8, 2),
    BAD("[\"\xED\xBF\xBF\"]", JSON_UTF8, 2),
    BAD("[\"\xFF\"]", JSON_UTF8, 2),
    BAD("[\"\xE9\"]", JSON_UTF8, 2),
    BAD("[\"\x81\"]", JSON_UTF8, 2),
    BAD("[\"\xF4\xBF\xBF\xBF\"]", JSON_UTF8, 2),
    BAD("[\"\xF4\x90\x80\x80\"]", JSON_UTF8, 2),
    BAD("[\"\xC0\xAF\"]", JSON_UTF8, 2),
    BAD("[\"\xC1\xBF\"]", JSON_UTF8, 2),
    BAD("[\"\xE0\x80\xAF\"]", JSON_UTF8, 2),
    BAD("[\"\xE0\x9F\xBF\"]", JSON_UTF8, 2),
    BAD("[\"\xF0\x8F\xBF\xBF\"]", JSON_UTF8, 2),
    BAD("[\"\xF5\x80\x80\x80\"]", JSON_UTF8, 2),
    BAD("[\"\xFC\x83\xBF\xBF\xBF\xBF\"]", JSON_UTF8, 2),
    BAD("[\"\xE0\xFF\"]", JSON_UTF8, 2),
    BAD("[\"\xC3", JSON_UTF8, 2),
    BAD("[\"\xE2\x82\"]", JSON_UTF8, 2),
    BAD("[\"\xF0\x9F\x98\"]", JSON_UTF8, 2),
    BAD("[\"\xC3(\"]", JSON_UTF8, 2),
    BAD("[\"\xC2\x80\x80\"]", JSON_UTF8, 4),
    BAD("{\"\xE9\":1}", JSON_UTF8, 2),
    // structure
    BAD("", JSON_SYNTAX, 0),
    BAD(" ", JSON_SYNTAX, 1),
    BAD("<.>", JSON_SYNTAX, 0),
    BAD("[<null>]", JSON_SYNTAX, 1),
    BAD("[1]x", JSON_TRAILING, 3),
    BAD("2@", JSON_TRAILING, 1),
    BAD("aa\xC3\xA5", JSON_SYNTAX, 0),
    BAD("\xC3\xA5", JSON_SYNTAX, 0),
    BAD("[True]", JSON_SYNTAX, 1),
    BAD("1]", JSON_TRAILING, 1),
    BAD("{\"x\": true,", JSON_SYNTAX, 11),
    BAD("[\0]", JSON_SYNTAX, 1),
    BAD("[\f]", JSON_SYNTAX, 1),
    BAD("[\v]", JSON_SYNTAX, 1),
    BAD("[\xE2\x81\xA0]", JSON_SYNTAX, 1),
    BAD("[\xC2\xA0]", JSON_SYNTAX, 1),
    BAD("*", JSON_SYNTAX, 0),
    BAD("{\"a\":\"b\"}#{}", JSON_TRAILING, 9),
    BAD("[{\"a\":[1,2", JSON_SYNTAX, 10),
    BAD("\xEF\xBB", JSON_SYNTAX, 0),
    BAD("\xEF\xBB\xBF{}", JSON_BOM, 0),
    BAD("\xEF\xBB\xBF", JSON_BOM, 0),
    BAD(" \xEF\xBB\xBF{}", JSON_SYNTAX, 1),
    BAD("\xFF\xFE{\0}\0", JSON_SYNTAX, 0),
    BAD("[\0\"\0\xE9\0\"\0]\0", JSON_SYNTAX, 1),
#undef BAD
};

static void test_refuses(void **state)
{
    char *region = edge_map();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        size_t at;
        enum json_status status = verdict(edge_copy(region, refused[i].text), &at);
        if (status != refused[i].status || at != refused[i].at)
            fail_msg("case %zu: status %d at %zu, not %d at %zu: " SLICE_FMT, i, status, at, refused[i].status,
                     refused[i].at, SLICE_ARG(refused[i].text));
    }
    edge_unmap(region);
    (void)state;
}

static void test_refuses_every_prefix(void **state)
{
    struct slice text = SLICE("{\"a\":[1,-2.5e+3,\"x\\u00e9\\n\xC3\xA9\",{\"b\":null,\"c\":true}],\"d\":false}");
    char *region = edge_map();
    for (size_t len = 0; len < text.len; len++) {
        size_t at;
        struct slice prefix = edge_copy(region, slice_sub(text, 0, len));
        assert_int_not_equal(verdict(prefix, &at), JSON_OK);
        assert_true(at <= len);
    }
    edge_unmap(region);
    (void)state;
}

// ---- depth ----------------------------------------------------------------------------------------------------

static struct slice nested(char *out, size_t depth, char open, char close)
{
    size_t len = 0;
    for (size_t i = 0; i < depth; i++) {
        out[len++] = open;
        if (open == '{' && i + 1 < depth) {
            memcpy(out + len, "\"k\":", 4);
            len += 4;
        }
    }
    memset(out + len, close, depth);
    return slice_make(out, len + depth);
}

static void test_depth(void **state)
{
    static char text[4096];
    size_t at;
    assert_int_equal(verdict(nested(text, 128, '[', ']'), &at), JSON_OK);
    assert_int_equal(verdict(nested(text, 129, '[', ']'), &at), JSON_DEPTH);
    assert_int_equal(at, 128);
    assert_int_equal(verdict(nested(text, 128, '{', '}'), &at), JSON_OK);
    assert_int_equal(verdict(nested(text, 129, '{', '}'), &at), JSON_DEPTH);
    memset(text, '[', sizeof text);
    assert_int_equal(verdict(slice_make(text, sizeof text), &at), JSON_DEPTH);
    (void)state;
}

static void test_brackets_match_at_every_depth(void **state)
{
    static char text[512];
    for (size_t depth = 1; depth <= 128; depth++) {
        size_t at;
        struct slice arrays = nested(text, depth, '[', ']');
        for (size_t i = depth; i < 2 * depth; i += 13) {
            text[i] = '}';
            assert_int_equal(verdict(arrays, &at), JSON_SYNTAX);
            assert_int_equal(at, i);
            text[i] = ']';
        }
    }
    (void)state;
}

// ---- members --------------------------------------------------------------------------------------------------

struct fixture {
    struct arena arena;
    const struct json_names *names;
};

static int set_up(void **state)
{
    static const struct slice wanted[] = {SLICE_INIT("model"), SLICE_INIT("backend"), SLICE_INIT("stream"),
                                          SLICE_INIT("")};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, 4096, 1 << 20);
    fixture->names = json_names_new(&fixture->arena, wanted, 4);
    *state = fixture;
    return fixture->names ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_fini(&fixture->arena);
    free(fixture);
    return 0;
}

static struct slice part(struct slice text, struct json_span span)
{
    return slice_sub(text, span.from, span.to - span.from);
}

static void test_members(void **state)
{
    struct fixture *fixture = *state;
    struct json_member members[4];
    struct slice text =
        SLICE(" {\"messages\":[{\"model\":\"no\"}], \"model\" : \"gpt-4o\" ,\"stream\":true,\"\":{} } ");
    struct json_scan scan = json_scan_object(text, fixture->names, members);
    assert_int_equal(scan.status, JSON_OK);
    assert_int_equal(scan.member_count, 4);
    assert_int_equal(scan.object.from, 1);
    assert_int_equal(scan.object.to, text.len - 1);
    assert_int_equal(members[0].count, 1);
    assert_int_equal(members[0].type, JSON_STRING);
    assert_slice_equal(part(text, members[0].key), SLICE("\"model\""));
    assert_slice_equal(part(text, members[0].value), SLICE("\"gpt-4o\""));
    assert_int_equal(text.ptr[members[0].before], ',');
    assert_int_equal(text.ptr[members[0].after], ',');
    assert_int_equal(members[1].type, JSON_NONE);
    assert_int_equal(members[1].count, 0);
    assert_int_equal(members[2].type, JSON_TRUE);
    assert_int_equal(members[3].type, JSON_OBJECT);
    assert_int_equal(text.ptr[members[3].after], '}');
    assert_int_equal(members[3].after, text.len - 2);
}

static void test_duplicates_are_counted(void **state)
{
    struct fixture *fixture = *state;
    struct json_member members[4];
    struct slice text = SLICE("{\"model\":\"a\",\"stream\":1,\"mod\\u0065l\":2,\"\\u006dodel\":3}");
    assert_int_equal(json_scan_object(text, fixture->names, members).status, JSON_OK);
    assert_int_equal(members[0].count, 3);
    assert_slice_equal(part(text, members[0].value), SLICE("\"a\""));
    assert_int_equal(members[0].before, 0);
    assert_int_equal(members[2].count, 1);
}

static void test_names_compare_decoded(void **state)
{
    struct fixture *fixture = *state;
    struct json_member members[4];
    static const struct {
        struct slice text;
        uint32_t count;
    } cases[] = {
        {SLICE_INIT("{\"\\u006d\\u006f\\u0064\\u0065\\u006c\":1}"), 1},
        {SLICE_INIT("{\"model\\u0000\":1}"), 0},
        {SLICE_INIT("{\"Model\":1}"), 0},
        {SLICE_INIT("{\"model \":1}"), 0},
        {SLICE_INIT("{\"mode\\\\u006c\":1}"), 0},
        {SLICE_INIT("{\"model\\uD800\":1}"), 0},
        {SLICE_INIT("{\"m\\/odel\":1}"), 0},
        {SLICE_INIT("{\"mode\":1}"), 0},
        {SLICE_INIT("{\"a\":{\"model\":1}}"), 0},
        {SLICE_INIT("{\"a\":\"\\\"model\\\":1\"}"), 0},
        {SLICE_INIT("{\"\\u006D\\u006Fdel\":1}"), 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(json_scan_object(cases[i].text, fixture->names, members).status, JSON_OK);
        assert_int_equal(members[0].count, cases[i].count);
    }
}

static void test_object_wanted(void **state)
{
    static const struct {
        struct slice text;
        enum json_status status;
        size_t at;
    } cases[] = {
        {SLICE_INIT("[]"), JSON_NOT_OBJECT, 0},  {SLICE_INIT(" 1"), JSON_NOT_OBJECT, 1},
        {SLICE_INIT(""), JSON_SYNTAX, 0},        {SLICE_INIT("{}x"), JSON_TRAILING, 2},
        {SLICE_INIT("{} {}"), JSON_TRAILING, 3}, {SLICE_INIT("{}"), JSON_OK, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_scan scan = json_scan_object(cases[i].text, NULL, NULL);
        assert_int_equal(scan.status, cases[i].status);
        assert_int_equal(scan.error_at, cases[i].at);
    }
    assert_int_equal(json_scan_object(SLICE("{}"), NULL, NULL).object.to, 2);
    assert_int_equal(json_scan_object((struct slice){NULL, 0}, NULL, NULL).status, JSON_SYNTAX);
    (void)state;
}

static void test_many_names(void **state)
{
    struct fixture *fixture = *state;
    struct slice names[200];
    for (size_t i = 0; i < 200; i++)
        names[i] = arena_printf(&fixture->arena, "member_%zu", i);
    const struct json_names *set = json_names_new(&fixture->arena, names, 200);
    assert_non_null(set);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(json_names_index(set, names[i]), i);
    assert_int_equal(json_names_index(set, SLICE("member_200")), SLICE_NOT_FOUND);
    assert_int_equal(json_names_index(set, SLICE("")), SLICE_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_refuses_every_prefix),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_brackets_match_at_every_depth),
        cmocka_unit_test_setup_teardown(test_members, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_duplicates_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_compare_decoded, set_up, tear_down),
        cmocka_unit_test(test_object_wanted),
        cmocka_unit_test_setup_teardown(test_many_names, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
