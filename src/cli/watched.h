// The files that a configuration was read from: whether they have changed since, and which folders to watch for that.
// Kubernetes swaps a symlink beside the files, editors write a new file and rename it, people write in place: the state of
// what a path leads to now tells all three.
#ifndef WEIR_CLI_WATCHED_H
#define WEIR_CLI_WATCHED_H

#include "cli/load.h"

struct watched_names {
    char **items;
    size_t count;
    size_t cap;
};

// Lives in its owner; for one thread.
struct watched {
    struct cli *cli;
    const struct slice *paths; // of the command line, borrowed
    size_t path_count;
    struct watched_names named;   // files that the configuration names itself
    struct watched_names folders; // as of the last watched_folders
    uint64_t state;               // of the files when last looked at
    uint64_t contents;            // of what was loaded
    bool is_recent;               // some file was so new then that a later write may bear the same time
};

void watched_init(struct watched *watched, struct cli *cli, const struct slice *paths, size_t count);
void watched_fini(struct watched *watched);
// A load begins: notes how the files look before they are read, so that a write in between is noticed later.
void watched_begin(struct watched *watched);
// What the load has read, in the order of the command line.
void watched_file(struct watched *watched, struct slice path, struct slice text);
// A file that the configuration names, and what it holds; after the others.
void watched_named_file(struct watched *watched, struct slice path, struct slice text);
// Whether the files differ from what was loaded. Looks at names, sizes and times, and reads only when these tell news.
bool watched_has_changed(struct watched *watched);
// The folders in which something happens when a file changes; valid until the next call.
const struct watched_names *watched_folders(struct watched *watched);

#endif
