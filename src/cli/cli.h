// The command line: the table of commands and options, what a command gets, and what it may return.
// All commands write to the streams that they are given, so that tests can read what they say.
#ifndef WEIR_CLI_CLI_H
#define WEIR_CLI_CLI_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdio.h>

enum command_id {
#define COMMAND(id, name, arguments, summary, text) COMMAND_##id,
#define OPTION(command, id, name, letter, argument, text)
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
    COMMAND_COUNT
};

enum option_id {
#define COMMAND(id, name, arguments, summary, text)
#define OPTION(command, id, name, letter, argument, text) OPTION_##command##_##id,
#include "cli/commands.def"
#undef COMMAND
#undef OPTION
    OPTION_COUNT
};

struct command {
    struct slice name;
    struct slice arguments; // empty: it takes none
    struct slice summary;
    struct slice text; // paragraphs, separated by an empty line
};

struct option {
    struct slice name; // without the dashes
    struct slice argument;
    struct slice text;
    enum command_id command;
    char letter; // 0: none
};

const struct command *command_at(enum command_id id);
const struct option *option_at(enum option_id id);
bool option_takes_value(const struct option *option);
bool option_may_take_value(const struct option *option);

// Exit status (interface.md): stopped as asked, failed at run time, wrong configuration or usage.
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

// Where a command reads and writes. Lives as long as the process (or the test).
struct cli {
    FILE *in;
    FILE *out;
    FILE *err;
    bool has_colour;   // `out` is a terminal that wants colours
    char *const *argv; // the program's, with its name, ended by NULL; NULL in tests
    // An environment variable, NULL when unset.
    const char *(*environment)(const char *name);
};

struct option_given {
    enum option_id id;
    struct slice value; // empty for flags and where an optional value was left out
};

// A parsed command line; borrows argv and the arena given at parsing.
struct arguments {
    enum command_id command;
    bool wants_help;
    struct option_given *options; // in the order given
    size_t option_count;
    struct slice *files; // what is no option
    size_t file_count;
};

// Parses what follows the program's name. False after a message on cli->err (the caller exits with CLI_USAGE).
bool arguments_parse(struct cli *cli, struct arena *arena, int argc, char *const *argv,
                     struct arguments *ret_arguments);
// The last value given for an option; false when it was not given.
bool argument_value(const struct arguments *arguments, enum option_id id, struct slice *ret_value);
bool argument_flag(const struct arguments *arguments, enum option_id id);
// A number or duration with its limits; *value keeps its default when the option was not given. False after a message.
bool argument_u64(struct cli *cli, const struct arguments *arguments, enum option_id id, uint64_t min, uint64_t max,
                  uint64_t *value);
// A number of bytes, with Ki, Mi, Gi, k, M or G where these are given; `none` is UINT64_MAX.
bool argument_bytes(struct cli *cli, const struct arguments *arguments, enum option_id id, uint64_t *value);
bool argument_duration_ms(struct cli *cli, const struct arguments *arguments, enum option_id id, int64_t *value_ms);
// `30s`, `5m`, `1h30m`, `250ms`; a bare number is seconds. False when it is none of these or above a year.
bool duration_parse_us(struct slice text, int64_t *ret_us);
// Prints "weir COMMAND: ..." and where to find help. Gives CLI_USAGE.
int cli_usage_error(struct cli *cli, enum command_id command, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// On cli->err: the command that was perhaps meant, if there is one.
void cli_suggest_command(struct cli *cli, struct slice word);

// Runs a whole command line; gives the exit status.
int cli_main(struct cli *cli, int argc, char *const *argv);

// The commands.
int command_run(struct cli *cli, const struct arguments *arguments);
int command_check(struct cli *cli, const struct arguments *arguments);
int command_explain(struct cli *cli, const struct arguments *arguments);
int command_test(struct cli *cli, const struct arguments *arguments);
int command_mock(struct cli *cli, const struct arguments *arguments);
int command_envoy(struct cli *cli, const struct arguments *arguments);
int command_help(struct cli *cli, const struct arguments *arguments);
void help_print_command(FILE *out, enum command_id id);
void help_print_overview(FILE *out);

#endif
