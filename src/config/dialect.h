// The provider dialects by their names in AIServiceBackend.spec.schema.name, and which of them are served.
#ifndef WEIR_CONFIG_DIALECT_H
#define WEIR_CONFIG_DIALECT_H

#include "config/model.h"

// SCHEMA_NONE when the name is none of the CRD's.
enum config_schema dialect_from_name(struct slice name);
struct slice dialect_name(enum config_schema schema);
// False: a backend of this dialect is refused at load. A later dialect flips its line in dialect.c.
bool dialect_is_served(enum config_schema schema);

#endif
