// Finding bytes that mean something in JSON text that is not validated as it passes (responses, read piece by piece).
#ifndef WEIR_JSON_FIND_H
#define WEIR_JSON_FIND_H

#include "base/slice.h"

// Index of the first '"' or '\\', or SLICE_NOT_FOUND.
size_t json_find_in_string(struct slice text);
// Index of the first '"' or bracket of any kind, or SLICE_NOT_FOUND.
size_t json_find_bracket(struct slice text);

#endif
