// The entries of Secrets and ConfigMaps: decoded, and filled in from the environment or from files.
#ifndef WEIR_CONFIG_DATA_H
#define WEIR_CONFIG_DATA_H

#include "config/kind.h"

// Fills check->resource->data from a checked Secret or ConfigMap, the annotations substitution.aigw.run/env/KEY and
// substitution.aigw.run/file/KEY of a Secret included (the environment wins over the file, and both over the literal).
// A variable that is not set, or a file that can't be read, leaves the literal with a warning, or is an error when
// there is none.
void data_read(struct check *check, const struct config_env *env);

#endif
