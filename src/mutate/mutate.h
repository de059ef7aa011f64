// Header and body mutation: route level over backend level, merged once at load (S5, S6).
#ifndef WEIR_MUTATE_MUTATE_H
#define WEIR_MUTATE_MUTATE_H

#include "base/finding.h"
#include "config/model.h"
#include "http/head.h"
#include "json/json.h"

struct header_mutation { // merged; names that must not be touched are already gone
    struct slice *remove;
    size_t remove_count;
    struct field *set;
    size_t set_count;
};

// Merged, in the order in which json_apply is to take them, the later winning: `modelNameOverride`, the backend level's
// removes and sets, the route level's removes and sets. So the route level also wins where its paths lie above or below
// one of the backend level.
struct body_mutation {
    struct json_change *changes;
    struct json_path *paths;
    size_t count;
};

// Merge the two levels: per name (any case) or path, what the route level says replaces what the backend level says. Of
// the same name twice in one list the last counts. Names that are left alone and values that are no JSON text are
// warnings; what can't be written on the wire and paths that are not supported are errors. The same is told once, however
// often a level is merged. The result lives in the arena; it borrows the config's bytes. Levels may be NULL. False
// without memory or on an error finding.
bool mutate_headers_merge(struct arena *arena, const struct config_mutation *route,
                          const struct config_mutation *backend, struct findings *findings,
                          struct header_mutation *ret_merged);
bool mutate_body_merge(struct arena *arena, const struct config_mutation *route, const struct config_mutation *backend,
                       struct slice model_override, struct findings *findings, struct body_mutation *ret_merged);
// Removes, then sets (S5). False when memory was refused.
bool mutate_headers_apply(const struct header_mutation *mutation, struct arena *arena, struct fields *fields);

#endif
