// Loading a configuration: files or bytes in, one validated `struct config` or findings out (S10). Nothing is read
// from the system here: whoever calls hands over the bytes of the files and the environment's variables.
#ifndef WEIR_CONFIG_CONFIG_H
#define WEIR_CONFIG_CONFIG_H

#include "config/model.h"

struct config_file {
    struct slice path; // for findings
    struct slice text; // YAML (several documents) or JSON
};

struct config_env {
    // Looks up an environment variable for ${VAR}; false when unset. Called only while loading.
    bool (*get)(void *context, struct slice name, struct slice *ret_value);
    // Reads a file for `substitution.aigw.run/file/KEY`; false when unreadable.
    bool (*read_file)(void *context, struct slice path, struct arena *arena, struct slice *ret_text);
    void *context;
};

// Loads, defaults, validates and resolves the whole set. All findings are added, errors and warnings. Gives NULL when
// there was an error. The config owns its memory; the files' text may go afterwards; findings live in their own arena.
struct config *config_load(const struct config_file *files, size_t count, const struct config_env *env,
                           struct findings *findings);
// For what config_load gave, or NULL. Wipes the Secrets.
// As config_load, but gives the configuration with errors, too, as far as it could be resolved: to be compiled for the
// findings of that and freed, never to be served. NULL only without memory.
struct config *config_load_for_findings(const struct config_file *files, size_t count, const struct config_env *env,
                                        struct findings *findings);
void config_free(struct config *config);

#endif
