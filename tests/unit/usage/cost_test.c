// Cost expressions and conditions: values, run-time failures, what the check refuses and where it says so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "usage/cost.h"

struct fixture {
    struct arena arena;
    struct findings findings;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    arena_init(&fixture->arena, 65536, 16 << 20);
    findings_init(&fixture->findings, &fixture->arena);
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

static struct config_cost cel(const char *text)
{
    return (struct config_cost){
        .key = SLICE("k"), .type = COST_CEL, .cel = {.text = slice_from_cstr(text), .mark = {SLICE("f.yaml"), 7, 20}}};
}

static struct cost_input sample(void)
{
    struct cost_input input = {
        .model = SLICE("gpt-4o"), .backend = SLICE("ns/b/route/r/rule/0/ref/0"), .route_name = SLICE("ns/r")};
    usage_set(&input.usage, USAGE_INPUT, 100);
    usage_set(&input.usage, USAGE_CACHED_INPUT, 40);
    usage_set(&input.usage, USAGE_OUTPUT, 7);
    usage_set(&input.usage, USAGE_TOTAL, 107);
    return input;
}

// ---- values ---------------------------------------------------------------------------------------------------

static const struct {
    const char *text;
    uint64_t value;
} values[] = {
    {"0", 0},
    {"input_tokens", 100},
    {"output_tokens * 6u", 42},
    {"input_tokens + output_tokens * 2u", 114},
    {"(input_tokens + output_tokens) * 2u", 214},
    {"uint(double(cached_input_tokens) * 0.1)", 4},
    {"input_tokens == uint(3) ? 100000000 : 0", 0},
    {"input_tokens == 100u ? 100000000 : 0", 100000000},
    {"model == 'gpt-4o' ? input_tokens : 0u", 100},
    {"model in ['a', 'gpt-4o'] ? 1 : 2", 1},
    {"input_tokens in [1u, 2u] ? 1 : 2", 2},
    {"model in [] ? 1 : 2", 2},
    {"model.startsWith(\"gpt\") && backend.contains('/route/r/') ? 3 : 4", 3},
    {"route_name.endsWith('/r') ? 3 : 4", 3},
    {"model.matches('^gpt-[0-9]o$') ? 3 : 4", 3},
    {"matches(model, 'pt-4') ? 3 : 4", 3},
    {"model.matches(r'\\d{2}') ? 3 : 4", 4},
    {"size(model)", 6},
    {"'h\\u00e9\\U0001F600'.size()", 3},
    {"size([1, 2, 3])", 3},
    {"7 / 2", 3},
    {"7 % 4 + 10 - 3", 10},
    {"-7 / 2 + 10", 7},
    {"-7 % 4 + 10", 7},
    {"10 - 3 - 2", 5},
    {"2 * 3 + 4 * 5", 26},
    {"int(3.9) + int(-3.9) + 5", 5},
    {"int('-12') + 20", 8},
    {"uint('12')", 12},
    {"int(double('2.5e1'))", 25},
    {"size(string(1.5) + string(-20) + string(3u) + string(true))", 11},
    {"string(1.0) == '1' && string(0.1) == '0.1' && string(1e21) == '1e+21' && string(100000.0) == '100000' ? 1 : 0",
     1},
    {"bool('true') ? 1 : 0", 1},
    {"0x1F + 1", 32},
    {"0xFFFFFFFFFFFFFFFFu", UINT64_MAX},
    {"18446744073709551615u", UINT64_MAX},
    {"9223372036854775807", INT64_MAX},
    {"-9223372036854775808 + 9223372036854775807 + 1", 0},
    {"1.5e3 > 1499.9 ? 1 : 0", 1},
    {".5 + 0.5 == 1.0 ? 1 : 0", 1},
    {"!(1 < 2) || !!true ? 1 : 0", 1},
    {"1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2 ? 1 : 0", 1},
    {"'a' < 'b' && false < true && 1u < 2u ? 1 : 0", 1},
    {"true ? (false ? 1 : 2) : 3", 2},
    {"false ? 1 : true ? 2 : 3", 2},
    {"'a' + \"b\" + r'\\n' == 'ab\\\\n' ? 1 : 0", 1},
    {"'''it's''' == \"it's\" ? 1 : 0", 1},
    {"'\\x41\\101' == 'AA' ? 1 : 0", 1},
    {"// a note\n input_tokens // more\n + 1u", 101},
    {".input_tokens", 100},
    // failures that do not decide
    {"1 / 0 == 1 || true ? 1 : 0", 1},
    {"true || 1 / 0 == 1 ? 1 : 0", 1},
    {"1 / 0 == 1 && false ? 1 : 0", 0},
    {"true ? 1 : 1 / 0", 1},
    {"0.0 / 0.0 == 0.0 / 0.0 ? 1 : 0", 0},
    {"1.0 / 0.0 > 1e308 ? 1 : 0", 1},
    {"total_tokens > 0u ? 1000u / (total_tokens - 100u) : 0u", 142},
};

static void test_values(void **state)
{
    struct fixture *fixture = *state;
    struct cost_input input = sample();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct config_cost cost = cel(values[i].text);
        const struct cost_program *program = cost_compile(&fixture->arena, &cost, &fixture->findings);
        if (!program)
            fail_msg("%s: " SLICE_FMT, values[i].text,
                     SLICE_ARG(fixture->findings.items[fixture->findings.count - 1].text));
        uint64_t value = 0;
        struct slice why = SLICE("");
        if (!cost_eval(program, &input, &value, &why) || value != values[i].value)
            fail_msg("%s: %llu " SLICE_FMT, values[i].text, (unsigned long long)value, SLICE_ARG(why));
    }
}

static void test_plain_types(void **state)
{
    struct fixture *fixture = *state;
    struct cost_input input = sample();
    static const uint64_t expected[] = {100, 40, 0, 7, 107, 0};
    for (unsigned type = COST_INPUT; type < COST_CEL; type++) {
        struct config_cost cost = {.type = type};
        uint64_t value;
        struct slice why;
        assert_true(cost_eval(cost_compile(&fixture->arena, &cost, &fixture->findings), &input, &value, &why));
        assert_int_equal(value, expected[type]);
    }
}

// ---- run-time failures ----------------------------------------------------------------------------------------

// Good with no tokens, failing with 100 of them.
static const char *const failing[] = {
    "input_tokens == 0u ? 1 : 1 / (int(input_tokens) - 100)",
    "input_tokens == 0u ? 1 : 1 % (int(input_tokens) - 100)",
    "9223372036854775800 + int(input_tokens)",
    "18446744073709551600u + input_tokens",
    "0u - input_tokens",
    "9223372036854775807 * int(input_tokens)",
    "-9223372036854775800 - int(input_tokens) < 0 ? 1 : 0",
    "0 - int(input_tokens)",
    "input_tokens == 0u ? 0 : -int(input_tokens)",
    "uint(0.0 - double(input_tokens))",
    "uint(double(input_tokens) * 1e300)",
    "int(double(input_tokens) * 1e300)",
    "input_tokens == 0u ? 0 : int(model)",
    "input_tokens == 0u ? 0u : uint('-1')",
    "input_tokens == 0u ? 0 : int(9223372036854775808u)",
    "input_tokens == 0u ? 0 : -(-9223372036854775808)",
    "input_tokens == 0u ? 0 : (-9223372036854775808) / (0 - 1)",
    "input_tokens == 0u ? 0 : int(double('x'))",
    "input_tokens == 0u || bool('x') ? 0 : 1",
    "input_tokens == 0u ? 0 : int(0.0 / 0.0)",
    "input_tokens == 0u ? 0 : 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaab'.matches('^(a+)+(a+)+(a+)+[c-z]') ? 1 : 2",
};

static void test_failures(void **state)
{
    struct fixture *fixture = *state;
    struct cost_input input = sample();
    for (size_t i = 0; i < sizeof failing / sizeof *failing; i++) {
        struct config_cost cost = cel(failing[i]);
        const struct cost_program *program = cost_compile(&fixture->arena, &cost, &fixture->findings);
        if (!program)
            fail_msg("%s: " SLICE_FMT, failing[i],
                     SLICE_ARG(fixture->findings.items[fixture->findings.count - 1].text));
        uint64_t value = 5;
        struct slice why = {NULL, 0};
        if (cost_eval(program, &input, &value, &why) || !why.len)
            fail_msg("%s gave %llu", failing[i], (unsigned long long)value);
        assert_int_equal(value, 5);
    }
}

// ---- what is refused ------------------------------------------------------------------------------------------

static const struct {
    const char *text;
    uint32_t column; // in the file: 20 is the first byte
    const char *words;
} refused[] = {
    {"output_tokens * 0.5", 34, "uint and double"},
    {"output_tokens * 6", 34, "6u"},
    {"input_tokens == 3 ? 1 : 2", 33, "uint and int"},
    {"input_tokens < 3", 33, "uint and int"},
    {"1 + 1.0", 22, "int and double"},
    {"'a' * 'b'", 24, "string and string"},
    {"'a' - 'b'", 24, "string"},
    {"1.5 % 1.0", 24, "double"},
    {"-1u", 20, "uint"},
    {"!1", 20, "int"},
    {"-'a'", 20, "string"},
    {"true + true", 25, "bool"},
    {"1 && true", 22, "'&&'"},
    {"true ? 1 : 2u", 25, "'? :'"},
    {"1 ? 1 : 2", 22, "'? :'"},
    {"tokens", 20, "known are model"},
    {"request.headers['a'] == 'b' ? 1 : 0", 20, "unknown"},
    {"input_tokens.foo", 33, "no members"},
    {"double(input_tokens)", 20, "this is a double"},
    {"true", 20, "this is a bool"},
    {"model", 20, "this is a string"},
    {"[1]", 20, "this is a list"},
    {"-1", 20, "negative"},
    {"1u / input_tokens", 20, "division by zero"},
    {"1 % 0", 20, "modulus by zero"},
    {"", 20, "a value is expected before 'the end'"},
    {"1 +", 23, "expected"},
    {"1 2", 22, "expected"},
    {"(1", 22, "')'"},
    {"1)", 21, "expected"},
    {"a b", 22, "expected"},
    {"1 = 1", 22, "=="},
    {"'a", 20, "no end"},
    {"'a\nb' == 'c' ? 1 : 0", 20, "no end"},
    {"'\\q' == 'q' ? 1 : 0", 21, "escape"},
    {"'\\ud800' == 'q' ? 1 : 0", 21, "escape"},
    {"1 ? 2", 25, "':'"},
    {"true ? false ? 1 : 2 : 3", 33, "':'"},
    {"9223372036854775808", 20, "range of int"},
    {"18446744073709551616u", 20, "64 bits"},
    {"1e999 > 0.0 ? 1 : 0", 20, "range of double"},
    {"0x", 20, "no digits"},
    {"1abc", 21, "letter"},
    {"1 @ 2", 22, "no meaning"},
    {"{'a': 1}", 20, "maps"},
    {"b'a' == b'a' ? 1 : 0", 20, "bytes"},
    {"null", 20, "null"},
    {"1 in [1, 'a'] ? 1 : 0", 29, "one type"},
    {"1u in [1] ? 1 : 0", 23, "list of int"},
    {"1 in model ? 1 : 0", 22, "'in'"},
    {"[1].exists(x, x == 1) ? 1 : 0", 24, "macro"},
    {"foo(1)", 20, "unknown"},
    {"size(1)", 20, "does not take (int)"},
    {"model.size(1)", 26, "does not take"},
    {"startsWith(model, 'a') ? 1 : 0", 20, "does not take"},
    {"model.matches(model) ? 1 : 0", 34, "literal"},
    {"model.matches('(') ? 1 : 0", 34, "pattern"},
    {"model.matches('(?=a)') ? 1 : 0", 34, "RE2"},
    {"model.matches('(a)\\\\1') ? 1 : 0", 34, "RE2"},
    {"model.matches('a++') ? 1 : 0", 34, "RE2"},
    {"has(model) ? 1 : 0", 20, "has()"},
    {"model[0]", 25, "[ ]"},
    {"int(1, 2)", 20, "does not take"},
    {"model.startsWith('a', 'b', 'c', 'd') ? 1 : 0", 0, "too many"},
    {"input_tokens in [input_tokens, 1] ? 1 : 0", 51, "one type"},
};

static void test_refusals(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct config_cost cost = cel(refused[i].text);
        size_t count = fixture->findings.count;
        if (cost_compile(&fixture->arena, &cost, &fixture->findings))
            fail_msg("accepted: %s", refused[i].text);
        assert_int_equal(fixture->findings.count, count + 1);
        const struct finding *finding = &fixture->findings.items[count];
        assert_int_equal(finding->level, FINDING_ERROR);
        assert_int_equal(finding->mark.line, 7);
        bool has_words = slice_find_slice(finding->text, slice_from_cstr(refused[i].words)) != SLICE_NOT_FOUND;
        bool has_column = finding->mark.column == refused[i].column || !refused[i].column ||
                          slice_find(slice_from_cstr(refused[i].text), '\n') != SLICE_NOT_FOUND;
        if (!has_words || !has_column)
            fail_msg("%s: column %u: " SLICE_FMT, refused[i].text, finding->mark.column, SLICE_ARG(finding->text));
    }
}

static void test_place_in_several_lines(void **state)
{
    struct fixture *fixture = *state;
    struct config_cost cost = cel("input_tokens\n  + 1");
    assert_null(cost_compile(&fixture->arena, &cost, &fixture->findings));
    const struct finding *finding = &fixture->findings.items[0];
    assert_int_equal(finding->mark.column, 20);
    assert_true(slice_find_slice(finding->text, SLICE("(line 2, column 3 of the expression)")) != SLICE_NOT_FOUND);
}

// Nesting and long chains end in a finding, not in a deep stack.
static void test_depth_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *open, *middle, *close;
    } shapes[] = {{"(", "1", ")"},      {"!", "true", ""},      {"-", "1", ""},        {"1+", "1", ""}, {"[", "1", "]"},
                  {"true?", "1", ":2"}, {"true||", "true", ""}, {"size(", "'a'", ")"}, {"1", "", ".a"}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct buf text;
        buf_init(&text, 100000);
        for (int depth = 0; depth < 500; depth++)
            buf_append(&text, slice_from_cstr(shapes[i].open));
        buf_append(&text, slice_from_cstr(shapes[i].middle));
        for (int depth = 0; depth < 500; depth++)
            buf_append(&text, slice_from_cstr(shapes[i].close));
        struct config_cost cost = {.type = COST_CEL, .cel = {.text = buf_slice(&text), .mark = {SLICE("f"), 1, 1}}};
        assert_null(cost_compile(&fixture->arena, &cost, &fixture->findings));
        buf_fini(&text);
    }
    struct buf text;
    buf_init(&text, 100000);
    for (int i = 0; i < 40; i++)
        buf_append(&text, SLICE("(1+"));
    buf_append(&text, SLICE("1"));
    for (int i = 0; i < 40; i++)
        buf_append(&text, SLICE(")"));
    struct config_cost cost = {.type = COST_CEL, .cel = {.text = buf_slice(&text), .mark = {SLICE("f"), 1, 1}}};
    assert_non_null(cost_compile(&fixture->arena, &cost, &fixture->findings));
    buf_fini(&text);
}

// ---- conditions -----------------------------------------------------------------------------------------------

static bool sample_header(const void *context, struct slice name, struct slice *ret_value)
{
    (void)context;
    bool is_model = slice_eq(name, SLICE("x-ai-eg-model"));
    *ret_value = is_model ? SLICE("gpt-4o") : SLICE("");
    return is_model || slice_eq(name, SLICE("x-empty"));
}

static const struct {
    const char *text;
    bool value;
} conditions[] = {
    {"request.headers['x-ai-eg-model'] != ''", true},
    {"request.headers[\"X-AI-EG-Model\"] == 'gpt-4o'", true},
    {"request.headers['x-none'] != ''", false},
    {"request.headers['x-none'] == ''", false},
    {"request.headers['x-none'] == '' || true", true},
    {"request.headers['x-empty'] == ''", true},
    {"'x-ai-eg-model' in request.headers", true},
    {"!('x-none' in request.headers)", true},
    {"has(request.headers.none)", false},
    {"'x' + '-empty' in request.headers && request.headers['x' + '-empty'] == ''", true},
    {"request.method == 'POST' && request.path.startsWith('/v1/')", true},
    {"request.url_path == '/v1/chat/completions'", true},
    {"request.host == 'ai.example' && request.protocol == 'HTTP/1.1'", true},
    {"response.code >= 200 && response.code < 300", false},
    {"response.code in [429, 503]", true},
    {"request.useragent == '' && request.id == ''", true},
    {"1 / (response.code - 429) == 1", false},
    {"true", true},
};

static void test_conditions(void **state)
{
    struct fixture *fixture = *state;
    struct cel_request request = {.header = sample_header,
                                  .method = SLICE("POST"),
                                  .path = SLICE("/v1/chat/completions?x=1"),
                                  .host = SLICE("ai.example"),
                                  .protocol = SLICE("HTTP/1.1"),
                                  .response_code = 429};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        struct config_text text = {.text = slice_from_cstr(conditions[i].text), .mark = {SLICE("f"), 1, 1}};
        const struct cel_predicate *predicate = cel_predicate_compile(&fixture->arena, &text, &fixture->findings);
        if (!predicate)
            fail_msg("%s: " SLICE_FMT, conditions[i].text,
                     SLICE_ARG(fixture->findings.items[fixture->findings.count - 1].text));
        if (cel_predicate_eval(predicate, &request) != conditions[i].value)
            fail_msg("%s", conditions[i].text);
    }
}

static void test_conditions_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {"request.headers['a']",
                                      "request.headers",
                                      "request",
                                      "request.headers[1] == ''",
                                      "request.foo == 'a'",
                                      "response.code == '200'",
                                      "request.headers == request.headers",
                                      "xds.route_name == 'a'",
                                      "has(request.headers)",
                                      "request.headers['a'].b == ''",
                                      "'a' in request",
                                      "request.headers.size() == 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config_text text = {.text = slice_from_cstr(bad[i]), .mark = {SLICE("f"), 1, 1}};
        if (cel_predicate_compile(&fixture->arena, &text, &fixture->findings))
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(fixture->findings.count, i + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_plain_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_place_in_several_lines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_depth_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_conditions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_conditions_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
