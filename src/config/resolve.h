// From the resources to what they mean together: every reference followed, every policy attached (config/model.h).
#ifndef WEIR_CONFIG_RESOLVE_H
#define WEIR_CONFIG_RESOLVE_H

#include "config/model.h"
#include "config/resource.h"

// Fills `config` (whose arena is ready and holds the documents as well) from the resources. All findings are added.
// False when there was an error among them or memory was refused; the config is not to be used then. Resources with
// has_errors have been reported: they are valid targets of references, and add no findings of their own.
bool config_resolve(struct config *config, const struct documents *docs, struct findings *findings);

#endif
