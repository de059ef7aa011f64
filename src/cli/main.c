// The program: gives the process's streams and environment to the command line.
#include "cli/cli.h"

#include <stdlib.h>
#include <unistd.h>

static const char *environment(const char *name)
{
    return getenv(name);
}

// https://no-color.org: set and not empty means no.
static bool wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && !(terminal && strcmp(terminal, "dumb") == 0);
}

int main(int argc, char **argv)
{
    struct cli cli = {.in = stdin,
                      .out = stdout,
                      .err = stderr,
                      .has_colour = wants_colour(),
                      .argv = argv,
                      .environment = environment};
    return cli_main(&cli, argc - 1, argv + 1);
}
