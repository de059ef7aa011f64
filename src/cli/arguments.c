// Parses a command line by the table of commands.def.
#include "cli/cli.h"

#include "config/nearest.h"

#include <stdarg.h>

static const struct command commands[] = {
#define COMMAND(id, name, arguments, summary, text)                                                                    \
    [COMMAND_##id] = {SLICE_INIT(name), SLICE_INIT(arguments), SLICE_INIT(summary), SLICE_INIT(text)},
#define OPTION(command, id, name, letter, argument, text)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
};

static const struct option options[] = {
#define COMMAND(id, name, arguments, summary, text)
#define OPTION(command, id, name, letter, argument, text)                                                              \
    [OPTION_##command##_##id] = {SLICE_INIT(name), SLICE_INIT(argument), SLICE_INIT(text), COMMAND_##command, letter},
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
};

const struct command *command_at(enum command_id id)
{
    return &commands[id];
}

const struct option *option_at(enum option_id id)
{
    return &options[id];
}

bool option_may_take_value(const struct option *option)
{
    return slice_starts_with(option->argument, SLICE("["));
}

bool option_takes_value(const struct option *option)
{
    return option->argument.len > 0 && !option_may_take_value(option);
}

int cli_usage_error(struct cli *cli, enum command_id command, const char *format, ...)
{
    struct slice name = commands[command].name;
    fprintf(cli->err, "weir " SLICE_FMT ": ", SLICE_ARG(name));
    va_list args;
    va_start(args, format);
    vfprintf(cli->err, format, args);
    va_end(args);
    fprintf(cli->err, "\nTry `weir help " SLICE_FMT "`.\n", SLICE_ARG(name));
    return CLI_USAGE;
}

void cli_suggest_command(struct cli *cli, struct slice word)
{
    struct nearest nearest = nearest_to(word);
    for (int id = 0; id < COMMAND_COUNT; id++)
        nearest_try(&nearest, commands[id].name);
    if (nearest.name.len)
        fprintf(cli->err, "Did you mean `weir " SLICE_FMT "`?\n", SLICE_ARG(nearest.name));
}

static void refuse_option(struct cli *cli, enum command_id command, struct slice name)
{
    struct nearest nearest = nearest_to(name);
    for (int id = 0; id < OPTION_COUNT; id++)
        if (options[id].command == command)
            nearest_try(&nearest, options[id].name);
    if (nearest.name.len)
        cli_usage_error(cli, command, "unknown option --" SLICE_FMT ": did you mean --" SLICE_FMT "?", SLICE_ARG(name),
                        SLICE_ARG(nearest.name));
    else
        cli_usage_error(cli, command, "unknown option --" SLICE_FMT, SLICE_ARG(name));
}

// What is read, and how far.
struct parser {
    struct cli *cli;
    struct arguments *into;
    int argc;
    char *const *argv;
    int at;
};

static void add_option(struct parser *parser, enum option_id id, struct slice value)
{
    parser->into->options[parser->into->option_count++] = (struct option_given){id, value};
}

static bool next_as_value(struct parser *parser, struct slice shown, struct slice *ret_value)
{
    if (parser->at >= parser->argc) {
        cli_usage_error(parser->cli, parser->into->command, "option " SLICE_FMT " needs a value", SLICE_ARG(shown));
        return false;
    }
    *ret_value = slice_from_cstr(parser->argv[parser->at++]);
    return true;
}

// `--name`, `--name=value` or `--name value`.
static bool parse_long(struct parser *parser, struct slice argument)
{
    struct slice value = slice_from(argument, 2);
    struct slice name = slice_split(&value, '=');
    bool has_value = value.ptr != NULL;
    if (slice_eq(name, SLICE("help"))) {
        parser->into->wants_help = true;
        return true;
    }
    for (int id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = &options[id];
        if (option->command != parser->into->command || !slice_eq(option->name, name))
            continue;
        if (has_value && option->argument.len == 0) {
            cli_usage_error(parser->cli, option->command, "option --" SLICE_FMT " takes no value", SLICE_ARG(name));
            return false;
        }
        if (!has_value && option_takes_value(option) && !next_as_value(parser, argument, &value))
            return false;
        add_option(parser, (enum option_id)id, value);
        return true;
    }
    refuse_option(parser->cli, parser->into->command, name);
    return false;
}

// `-X value` or `-Xvalue`; flags may stand together.
static bool parse_short(struct parser *parser, struct slice argument)
{
    for (size_t i = 1; i < argument.len; i++) {
        char letter = argument.ptr[i];
        int id = 0;
        while (id < OPTION_COUNT && (options[id].command != parser->into->command || options[id].letter != letter))
            id++;
        if (id == OPTION_COUNT && letter == 'h') {
            parser->into->wants_help = true;
            continue;
        }
        if (id == OPTION_COUNT) {
            cli_usage_error(parser->cli, parser->into->command, "unknown option -%c", letter);
            return false;
        }
        struct slice value = {NULL, 0};
        if (option_takes_value(&options[id])) {
            value = slice_from(argument, i + 1);
            if (value.len == 0 && !next_as_value(parser, slice_sub(argument, 0, i + 1), &value))
                return false;
            i = argument.len;
        }
        add_option(parser, (enum option_id)id, value);
    }
    return true;
}

static bool parse_rest(struct parser *parser)
{
    bool only_files = false;
    while (parser->at < parser->argc) {
        struct slice argument = slice_from_cstr(parser->argv[parser->at++]);
        bool good = true;
        if (!only_files && slice_eq(argument, SLICE("--")))
            only_files = true;
        else if (!only_files && slice_starts_with(argument, SLICE("--")))
            good = parse_long(parser, argument);
        else if (!only_files && argument.len > 1 && argument.ptr[0] == '-')
            good = parse_short(parser, argument);
        else
            parser->into->files[parser->into->file_count++] = argument;
        if (!good)
            return false;
    }
    return true;
}

static bool find_command(struct slice name, enum command_id *ret_id)
{
    for (int id = 0; id < COMMAND_COUNT; id++)
        if (slice_eq(commands[id].name, name)) {
            *ret_id = (enum command_id)id;
            return true;
        }
    return false;
}

static bool takes_files(const struct arguments *arguments)
{
    return commands[arguments->command].arguments.len > 0;
}

bool arguments_parse(struct cli *cli, struct arena *arena, int argc, char *const *argv, struct arguments *ret_arguments)
{
    *ret_arguments = (struct arguments){.command = COMMAND_HELP};
    // An argument gives at most one entry of either kind, but for flags that stand together.
    size_t room = 1;
    for (int i = 0; i < argc; i++)
        room += strlen(argv[i]) + 1;
    ret_arguments->options = ARENA_ARRAY(arena, struct option_given, room);
    ret_arguments->files = ARENA_ARRAY(arena, struct slice, (size_t)argc + 1);
    if (!ret_arguments->options || !ret_arguments->files)
        return false;
    struct slice name = slice_from_cstr(argc > 0 ? argv[0] : "help");
    if (slice_eq(name, SLICE("--help")) || slice_eq(name, SLICE("-h")))
        name = SLICE("help");
    if (slice_eq(name, SLICE("--version")) || slice_eq(name, SLICE("-V")))
        name = SLICE("version");
    if (!find_command(name, &ret_arguments->command)) {
        fprintf(cli->err, "weir: unknown %s " SLICE_FMT "\n",
                slice_starts_with(name, SLICE("-")) ? "option" : "command", SLICE_ARG(name));
        cli_suggest_command(cli, name);
        fputs("Try `weir help`.\n", cli->err);
        return false;
    }
    struct parser parser = {cli, ret_arguments, argc, argv, 1};
    if (!parse_rest(&parser))
        return false;
    if (!ret_arguments->wants_help && ret_arguments->file_count > 0 && !takes_files(ret_arguments)) {
        cli_usage_error(cli, ret_arguments->command, "takes no argument, but got " SLICE_FMT,
                        SLICE_ARG(ret_arguments->files[0]));
        return false;
    }
    return true;
}

bool argument_value(const struct arguments *arguments, enum option_id id, struct slice *ret_value)
{
    for (size_t i = arguments->option_count; i-- > 0;)
        if (arguments->options[i].id == id) {
            *ret_value = arguments->options[i].value;
            return true;
        }
    return false;
}

bool argument_flag(const struct arguments *arguments, enum option_id id)
{
    struct slice ignored;
    return argument_value(arguments, id, &ignored);
}

bool argument_u64(struct cli *cli, const struct arguments *arguments, enum option_id id, uint64_t min, uint64_t max,
                  uint64_t *value)
{
    struct slice text;
    uint64_t number = 0;
    if (!argument_value(arguments, id, &text))
        return true;
    if (!slice_to_u64(text, max, &number) || number < min) {
        cli_usage_error(cli, arguments->command, "--" SLICE_FMT ": '" SLICE_FMT "' is not a number from %llu to %llu",
                        SLICE_ARG(options[id].name), SLICE_ARG(text), (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *value = number;
    return true;
}

static bool parse_bytes(struct slice text, uint64_t *ret_bytes)
{
    static const struct {
        struct slice name;
        uint64_t bytes;
    } units[] = {{SLICE_INIT("Ki"), 1 << 10}, {SLICE_INIT("Mi"), 1 << 20}, {SLICE_INIT("Gi"), 1 << 30},
                 {SLICE_INIT("k"), 1000},     {SLICE_INIT("M"), 1000000},  {SLICE_INIT("G"), 1000000000}};
    uint64_t unit = 1;
    if (slice_eq(text, SLICE("none"))) {
        *ret_bytes = UINT64_MAX;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units && unit == 1; i++)
        if (slice_ends_with(text, units[i].name)) {
            unit = units[i].bytes;
            text.len -= units[i].name.len;
        }
    return slice_to_u64(text, (UINT64_MAX - 1) / unit, ret_bytes) && *ret_bytes > 0 &&
           !__builtin_mul_overflow(*ret_bytes, unit, ret_bytes);
}

bool argument_bytes(struct cli *cli, const struct arguments *arguments, enum option_id id, uint64_t *value)
{
    struct slice text;
    uint64_t bytes;
    if (!argument_value(arguments, id, &text))
        return true;
    if (!parse_bytes(text, &bytes)) {
        cli_usage_error(cli, arguments->command, "--" SLICE_FMT ": '" SLICE_FMT "' is not a size like 512Mi or none",
                        SLICE_ARG(options[id].name), SLICE_ARG(text));
        return false;
    }
    *value = bytes;
    return true;
}

bool argument_duration_ms(struct cli *cli, const struct arguments *arguments, enum option_id id, int64_t *value_ms)
{
    struct slice text;
    int64_t duration_us = 0;
    if (!argument_value(arguments, id, &text))
        return true;
    if (!duration_parse_us(text, &duration_us)) {
        cli_usage_error(cli, arguments->command,
                        "--" SLICE_FMT ": '" SLICE_FMT "' is not a duration like 30s, 5m or 250ms",
                        SLICE_ARG(options[id].name), SLICE_ARG(text));
        return false;
    }
    *value_ms = duration_us / 1000;
    return true;
}

// The unit at the front of `*rest`; takes it off. 0: none.
static int64_t take_unit_us(struct slice *rest)
{
    static const struct {
        struct slice name;
        int64_t us;
    } units[] = {{SLICE_INIT("ms"), 1000},
                 {SLICE_INIT("us"), 1},
                 {SLICE_INIT("s"), 1000000},
                 {SLICE_INIT("m"), 60000000},
                 {SLICE_INIT("h"), 3600000000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (slice_starts_with(*rest, units[i].name)) {
            *rest = slice_from(*rest, units[i].name.len);
            return units[i].us;
        }
    return 0;
}

bool duration_parse_us(struct slice text, int64_t *ret_us)
{
    const int64_t year_us = (int64_t)366 * 24 * 3600 * 1000000;
    int64_t total_us = 0;
    bool is_bare = true;
    struct slice rest = text;
    while (rest.len > 0) {
        size_t digits = 0;
        while (digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9')
            digits++;
        uint64_t number = 0;
        if (!slice_to_u64(slice_sub(rest, 0, digits), (uint64_t)year_us, &number))
            return false;
        rest = slice_from(rest, digits);
        int64_t unit_us = rest.len == 0 && is_bare ? 1000000 : take_unit_us(&rest);
        int64_t part_us = 0;
        if (unit_us == 0 || __builtin_mul_overflow((int64_t)number, unit_us, &part_us) || part_us > year_us - total_us)
            return false;
        total_us += part_us;
        is_bare = false;
    }
    if (is_bare)
        return false;
    *ret_us = total_us;
    return true;
}
