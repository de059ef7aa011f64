// From the files and folders of a command line to a snapshot that can serve.
#ifndef WEIR_CLI_LOAD_H
#define WEIR_CLI_LOAD_H

#include "cli/cli.h"
#include "config/config.h"
#include "exchange/snapshot.h"

// The text of configuration files, in an arena. Folders are taken apart: .yaml, .yml and .json, not hidden, by name.
struct sources {
    struct config_file *items;
    size_t count;
    size_t cap;
};

// Reads a file, or standard input for `-`. False with errno set.
bool load_read_file(struct cli *cli, struct slice path, struct arena *arena, struct slice *ret_text);
// Reads all of `paths`; what can't be read is a finding.
void load_sources(struct cli *cli, const struct slice *paths, size_t count, struct arena *arena,
                  struct findings *findings, struct sources *sources);
// The configuration files of a folder, sorted by name; also used for vector files. False with errno set.
bool load_list_folder(struct slice path, struct arena *arena, struct slice **ret_paths, size_t *ret_count);
bool load_is_folder(struct slice path);
// The environment of the process (cli->environment) for ${VAR}.
struct config_env load_environment(struct cli *cli);
// Loads and compiles. NULL with findings. The sources may go afterwards, not so the findings' arena.
struct snapshot *load_snapshot(const struct sources *sources, const struct config_env *env, uint64_t generation,
                               uint64_t seed, struct findings *findings);
// The configuration that the environment's OPENAI_* variables stand for (operations-and-mcp.md 7.2), as a file.
// False after a message. Values of secrets are not in the text: they come in by ${VAR} when it is loaded.
bool load_from_environment(struct cli *cli, struct arena *arena, struct sources *sources);

// Prints findings in order, `file:line:col: level: text`.
void findings_print(FILE *out, struct findings *findings, bool has_colour);
// `{"findings":[...],"errors":N,"warnings":N}`
void findings_print_json(FILE *out, struct findings *findings);
size_t findings_count(const struct findings *findings, enum finding_level level);
// Writes a JSON string.
void json_print_string(FILE *out, struct slice text);

#endif
