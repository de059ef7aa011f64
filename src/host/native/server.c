// The control thread: starts workers, owns signals, reloads and the drain.
#include "host/native/server.h"

#include <stdio.h>

int server_run(struct snapshot *take_snapshot, const struct server_options *options)
{
    (void)take_snapshot;
    (void)options;
    fputs("weir: error: this build has no workers\n", stderr);
    return 1;
}
