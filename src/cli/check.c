// `weir check`: every finding of a configuration at once (S10).
#include "cli/load.h"

static void print_summary(FILE *out, const struct findings *findings)
{
    size_t errors = findings_count(findings, FINDING_ERROR);
    size_t warnings = findings_count(findings, FINDING_WARNING);
    fprintf(out, "%zu error%s, %zu warning%s\n", errors, errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
}

int command_check(struct cli *cli, const struct arguments *arguments)
{
    if (arguments->file_count == 0)
        return cli_usage_error(cli, COMMAND_CHECK, "no file to check");
    struct arena arena;
    struct findings findings;
    struct sources sources = {0};
    arena_init(&arena, 64 << 10, SIZE_MAX);
    findings_init(&findings, &arena);
    load_sources(cli, arguments->files, arguments->file_count, &arena, &findings, &sources);
    struct config_env env = load_environment(cli);
    struct snapshot *snapshot = load_snapshot(&sources, &env, 1, 1, &findings);
    if (argument_flag(arguments, OPTION_CHECK_JSON))
        findings_print_json(cli->out, &findings);
    else
        findings_print(cli->out, &findings, cli->has_colour);
    fflush(cli->out);
    print_summary(cli->err, &findings);
    int status = snapshot && findings.error_count == 0 ? CLI_OK : CLI_USAGE;
    if (snapshot)
        snapshot_unref(snapshot);
    arena_fini(&arena);
    return status;
}
