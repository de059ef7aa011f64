// Configuration tests (docs/vectors.md): read from YAML with the place of every part, run against the core by the host
// in memory, compared with what was expected.
#ifndef WEIR_CLI_VECTOR_H
#define WEIR_CLI_VECTOR_H

#include "cli/load.h"
#include "config/document.h"
#include "host/memory/memory.h"

// One case. All of it lives in the arena of its file; expectations are compared straight from the nodes.
struct vector_case {
    struct slice name;
    struct mark mark;
    struct slice listener; // "ns/gateway/listener"; empty: the first
    struct memory_request request;
    struct memory_answer *answers;
    size_t answer_count;
    const struct node *expect; // NULL: nothing is expected but that the request ends
};

struct vector_file {
    struct sources sources;
    const struct node *env;
    const struct node *findings; // texts that the check must give; NULL: no error may stand in the configuration
    struct vector_case *cases;
    size_t case_count;
    bool has_root;
};

// Reads one file. What is wrong with it is an error finding.
void vector_read(struct cli *cli, const struct config_file *file, struct arena *arena, struct findings *findings,
                 struct vector_file *ret_file);

// Differences of one case, as lines to print.
struct vector_diff {
    struct buf text;
    size_t count;
};
// `where` names what is compared, like "attempts[0].path".
void vector_differ(struct vector_diff *diff, struct slice where, struct slice expected, struct slice got);
// Compares a result with the expectations; `arena` is scratch.
void vector_compare(const struct node *expect, const struct memory_result *result, struct arena *arena,
                    struct vector_diff *diff);

// YAML as JSON text (numbers as written, where JSON spells them so). Empty slice without memory.
struct slice node_to_json(const struct node *node, struct arena *arena);
// Compares JSON texts as values: order of members and spelling don't count. Says where they differ, below `where`.
void json_compare(struct slice where, struct slice expected, struct slice got, struct arena *arena,
                  struct vector_diff *diff);

struct vector_tally {
    size_t passed;
    size_t failed;
};
// Runs the cases of a file whose name contains `filter` (empty: all) and prints what failed.
void vector_run(struct cli *cli, struct slice path, const struct vector_file *file, struct slice filter,
                bool is_verbose, struct vector_tally *tally);

#endif
