// From the command line to the command.
#include "cli/cli.h"

static int command_version(struct cli *cli, const struct arguments *arguments)
{
    (void)arguments;
    fputs("weir " WEIR_VERSION "\n", cli->out);
    return CLI_OK;
}

typedef int command_function(struct cli *cli, const struct arguments *arguments);

static command_function *const functions[COMMAND_COUNT] = {
    [COMMAND_RUN] = command_run,     [COMMAND_CHECK] = command_check, [COMMAND_EXPLAIN] = command_explain,
    [COMMAND_TEST] = command_test,   [COMMAND_MOCK] = command_mock,   [COMMAND_VERSION] = command_version,
    [COMMAND_ENVOY] = command_envoy, [COMMAND_HELP] = command_help,
};

int cli_main(struct cli *cli, int argc, char *const *argv)
{
    if (argc < 1) {
        help_print_overview(cli->err);
        return CLI_USAGE;
    }
    struct arena arena;
    arena_init(&arena, 16 << 10, 64 << 20);
    struct arguments arguments;
    int status = CLI_OK;
    if (!arguments_parse(cli, &arena, argc, argv, &arguments))
        status = CLI_USAGE;
    else if (arguments.wants_help)
        help_print_command(cli->out, arguments.command);
    else if (!functions[arguments.command])
        status = cli_usage_error(cli, arguments.command, "this build does not have the command yet");
    else
        status = functions[arguments.command](cli, &arguments);
    if (fflush(cli->out) != 0 && status == CLI_OK)
        status = CLI_FAILED;
    arena_fini(&arena);
    return status;
}
