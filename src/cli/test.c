// `weir test`: configuration tests without a network.
#include "cli/vector.h"

#include <errno.h>

static bool test_file(struct cli *cli, struct slice path, const struct arguments *arguments, struct vector_tally *tally)
{
    struct arena arena;
    struct findings findings;
    struct config_file source = {.path = path};
    struct slice filter = {NULL, 0};
    argument_value(arguments, OPTION_TEST_CASE, &filter);
    arena_init(&arena, 64 << 10, (size_t)2 << 30);
    findings_init(&findings, &arena);
    struct vector_file *file = ARENA_NEW(&arena, struct vector_file);
    if (!load_read_file(cli, path, &arena, &source.text))
        finding_error(&findings, (struct mark){.file = path}, "can't read it: %s", strerror(errno));
    else
        vector_read(cli, &source, &arena, &findings, file);
    bool is_good = findings.error_count == 0;
    if (is_good)
        vector_run(cli, path, file, filter, argument_flag(arguments, OPTION_TEST_VERBOSE), tally);
    else
        findings_print(cli->err, &findings, false);
    arena_fini(&arena);
    return is_good;
}

int command_test(struct cli *cli, const struct arguments *arguments)
{
    if (arguments->file_count == 0)
        return cli_usage_error(cli, COMMAND_TEST, "no vector file is given");
    struct arena arena;
    struct vector_tally tally = {0};
    bool is_good = true;
    arena_init(&arena, 64 << 10, (size_t)1 << 30);
    for (size_t i = 0; i < arguments->file_count; i++) {
        struct slice *paths = &arguments->files[i];
        size_t count = 1;
        if (load_is_folder(*paths) && (!load_list_folder(*paths, &arena, &paths, &count) || count == 0)) {
            fprintf(cli->err, SLICE_FMT ": error: no vector file stands in the folder\n",
                    SLICE_ARG(arguments->files[i]));
            is_good = false;
            count = 0;
        }
        for (size_t at = 0; at < count; at++)
            is_good = test_file(cli, paths[at], arguments, &tally) && is_good;
    }
    arena_fini(&arena);
    fprintf(cli->out, "%zu passed, %zu failed\n", tally.passed, tally.failed);
    return !is_good ? CLI_USAGE : tally.failed ? CLI_FAILED : CLI_OK;
}
