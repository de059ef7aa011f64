// Runs one command line in the test and keeps what it says.
#ifndef WEIR_TESTS_UNIT_CLI_RUN_CLI_H
#define WEIR_TESTS_UNIT_CLI_RUN_CLI_H

#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct said {
    int status;
    char *out;
    char *err;
    size_t out_len;
    size_t err_len;
};

static const char *(*test_environment)(const char *name);

static inline const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

// `argv` ends with NULL and begins with the command's name.
static inline struct said run_cli(const char *const *argv)
{
    struct said said = {0};
    struct cli cli = {.in = stdin, .environment = test_environment ? test_environment : no_environment};
    cli.out = open_memstream(&said.out, &said.out_len);
    cli.err = open_memstream(&said.err, &said.err_len);
    int argc = 0;
    while (argv[argc])
        argc++;
    said.status = cli_main(&cli, argc, (char *const *)(uintptr_t)argv);
    fclose(cli.out);
    fclose(cli.err);
    return said;
}

#define RUN(...) run_cli((const char *const[]){__VA_ARGS__, NULL})

static inline void forget(struct said *said)
{
    free(said->out);
    free(said->err);
    *said = (struct said){0};
}

static inline void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("expected '%s' in:\n%s", part, text);
}

// Writes a file below the folder that the tests may use; gives its path, good until the next call.
static inline const char *write_file(const char *name, const char *text)
{
    static char path[256];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/weir-test-%d-%s", folder ? folder : "/tmp", (int)getpid(), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

#endif
