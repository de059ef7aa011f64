// ${VAR} and ${VAR:=default} in the values of a document (S10).
#ifndef WEIR_CONFIG_SUBSTITUTE_H
#define WEIR_CONFIG_SUBSTITUTE_H

#include "config/document.h"

#define SUBSTITUTE_MAX_BYTES ((size_t)1 << 20) // of one value

// In every scalar under `node`, keys left alone: ${VAR} becomes the environment's value, ${VAR:=text} the text when VAR
// is unset or empty, and $${ a plain ${. A plain scalar takes the type of its new text. An unset variable without a
// default is a finding. Values are marked is_substituted: what came from the environment may be secret. Gives the
// number of findings made.
size_t substitute(struct node *node, struct arena *arena, const struct config_env *env, struct findings *findings);

#endif
