// Command lines: what is understood, what is refused, and with which status.
#include "run_cli.h"

static void test_options_take_values_in_every_form(void **state)
{
    (void)state;
    struct cli cli = {.out = stdout, .err = stderr, .environment = no_environment};
    struct arena arena;
    struct arguments arguments;
    struct slice value;
    arena_init(&arena, 4096, 1 << 20);
    const char *const argv[] = {"explain", "a.yaml", "-XPUT",  "--path=/v1/x", "-H",     "a: b",
                                "-H",      "c: d",   "--json", "--",           "-b.yaml"};
    assert_true(arguments_parse(&cli, &arena, 11, (char *const *)(uintptr_t)argv, &arguments));
    assert_int_equal(arguments.command, COMMAND_EXPLAIN);
    assert_int_equal(arguments.file_count, 2);
    assert_true(slice_eq(arguments.files[1], SLICE("-b.yaml")));
    assert_true(argument_value(&arguments, OPTION_EXPLAIN_METHOD, &value) && slice_eq(value, SLICE("PUT")));
    assert_true(argument_value(&arguments, OPTION_EXPLAIN_PATH, &value) && slice_eq(value, SLICE("/v1/x")));
    assert_true(argument_value(&arguments, OPTION_EXPLAIN_HEADER, &value) && slice_eq(value, SLICE("c: d")));
    assert_true(argument_flag(&arguments, OPTION_EXPLAIN_JSON));
    assert_false(argument_flag(&arguments, OPTION_EXPLAIN_DATA));
    assert_int_equal(arguments.option_count, 5);
    arena_fini(&arena);
}

static void test_an_optional_value_needs_the_equals_sign(void **state)
{
    (void)state;
    struct cli cli = {.out = stdout, .err = stderr, .environment = no_environment};
    struct arena arena;
    struct arguments arguments;
    struct slice value;
    arena_init(&arena, 4096, 1 << 20);
    const char *const argv[] = {"run", "--mock", "a.yaml", "--workers", "3"};
    assert_true(arguments_parse(&cli, &arena, 5, (char *const *)(uintptr_t)argv, &arguments));
    assert_true(argument_value(&arguments, OPTION_RUN_MOCK, &value) && value.len == 0);
    assert_int_equal(arguments.file_count, 1);
    const char *const with[] = {"run", "--mock=1234"};
    assert_true(arguments_parse(&cli, &arena, 2, (char *const *)(uintptr_t)with, &arguments));
    assert_true(argument_value(&arguments, OPTION_RUN_MOCK, &value) && slice_eq(value, SLICE("1234")));
    arena_fini(&arena);
}

// Every wrong use names what is wrong on standard error, says nothing on standard output, and exits 2.
static void test_wrong_usage_is_2_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *argv[5];
        const char *says;
    } wrong[] = {
        {{"frobnicate"}, "unknown command frobnicate"},
        {{"--frobnicate"}, "unknown option --frobnicate"},
        {{"run", "--nope"}, "unknown option --nope"},
        {{"chek", "x"}, "Did you mean `weir check`?"},
        {{"help", "explan"}, "Did you mean `weir explain`?"},
        {{"help", "check", "run"}, "takes one command"},
        {{"run", "--worker", "2"}, "unknown option --worker: did you mean --workers?"},
        {{"check", "-q", "x"}, "unknown option -q"},
        {{"check"}, "no file"},
        {{"explain"}, "no configuration"},
        {{"test"}, "no vector file"},
        {{"run", "--workers"}, "needs a value"},
        {{"run", "--workers", "0"}, "'0' is not a number from 1 to 256"},
        {{"run", "--workers", "many"}, "'many' is not a number"},
        {{"run", "--port-offset", "70000"}, "'70000' is not a number"},
        {{"run", "examples/quickstart.yaml", "--port-offset", "64000"}, "becomes 65975, above 65535"},
        {{"run", "--drain-time", "soon"}, "'soon' is not a duration"},
        {{"run", "--log-level", "loud"}, "'loud' is not error, warn, info or debug"},
        {{"run", "--address", "nowhere"}, "no IP address"},
        {{"check", "--json=yes", "x"}, "takes no value"},
        {{"mock", "extra"}, "takes no argument"},
        {{"mock", "--fail", "x"}, "STATUS:NAME=VALUE"},
        {{"mock", "--fail", "200:a=b"}, "STATUS:NAME=VALUE"},
        {{"version", "x"}, "takes no argument"},
        {{"help", "nothing"}, "no command 'nothing'"},
        {{"help", "--completion", "fish"}, "'fish'"},
        {{"explain", "x", "-H", "no colon"}, "'no colon' is not 'name: value'"},
        {{"explain", "x", "--path", "v1"}, "no method and path"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct said said = run_cli(wrong[i].argv);
        assert_int_equal(said.status, CLI_USAGE);
        assert_string_equal(said.out, "");
        assert_says(said.err, wrong[i].says);
        forget(&said);
    }
    struct said nothing = run_cli((const char *const[]){NULL});
    assert_int_equal(nothing.status, CLI_USAGE);
    assert_says(nothing.err, "Usage: weir");
    forget(&nothing);
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us; // -1: none
    } durations[] = {{"30s", 30000000},
                     {"5m", 300000000},
                     {"1h30m", 5400000000},
                     {"250ms", 250000},
                     {"7", 7000000},
                     {"0", 0},
                     {"1m1s1ms", 61001000},
                     {"", -1},
                     {"s", -1},
                     {"5x", -1},
                     {"1h30", -1},
                     {"-1s", -1},
                     {"1.5s", -1},
                     {"99999999999h", -1},
                     {"18446744073709551615s", -1},
                     {" 1s", -1},
                     {"367h1000000h", -1}};
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        int64_t us = -1;
        bool is_good = duration_parse_us(slice_from_cstr(durations[i].text), &us);
        assert_int_equal(is_good, durations[i].us >= 0);
        assert_int_equal(us, durations[i].us);
    }
}

static void test_every_command_helps(void **state)
{
    (void)state;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        char name[32];
        struct slice command = command_at((enum command_id)i)->name;
        snprintf(name, sizeof name, SLICE_FMT, SLICE_ARG(command));
        struct said asked = RUN("help", name);
        struct said option = RUN(name, "--help");
        assert_int_equal(asked.status, CLI_OK);
        assert_int_equal(option.status, CLI_OK);
        assert_string_equal(asked.out, option.out);
        assert_says(asked.out, "Usage: weir ");
        assert_says(asked.out, "--help");
        for (const char *line = asked.out; *line;) { // fits a terminal
            size_t length = strcspn(line, "\n");
            assert_true(length <= 80);
            line += length + (line[length] == '\n');
        }
        forget(&asked);
        forget(&option);
    }
}

static void test_manual_and_completion_name_every_option(void **state)
{
    (void)state;
    struct said manual = RUN("help", "--man");
    struct said completion = RUN("help", "--completion", "bash");
    for (int i = 0; i < OPTION_COUNT; i++) {
        char name[64];
        struct slice option = option_at((enum option_id)i)->name;
        snprintf(name, sizeof name, "--" SLICE_FMT, SLICE_ARG(option));
        assert_says(completion.out, name);
    }
    assert_says(manual.out, ".Sh NAME");
    assert_says(manual.out, "\\-\\-drain\\-time");
    assert_says(completion.out, "complete -o filenames -F _weir weir");
    forget(&manual);
    forget(&completion);
}

static void test_version(void **state)
{
    (void)state;
    struct said said = RUN("version");
    assert_int_equal(said.status, CLI_OK);
    assert_says(said.out, "weir ");
    forget(&said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_take_values_in_every_form),
        cmocka_unit_test(test_an_optional_value_needs_the_equals_sign),
        cmocka_unit_test(test_wrong_usage_is_2_and_named),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_every_command_helps),
        cmocka_unit_test(test_manual_and_completion_name_every_option),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
