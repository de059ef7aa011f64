// Private to the room: where each shape of a response keeps its token counts.
#ifndef WEIR_USAGE_FIELDS_H
#define WEIR_USAGE_FIELDS_H

#include "usage/reader.h"

// Reads a usage object into `usage`; only what it has is set. Counts that are no plain non-negative integers are passed
// over. False when the text is no valid object: what was read of it until then is not to be believed.
bool usage_fields_read(enum usage_shape shape, struct slice object, struct usage *usage);

#endif
