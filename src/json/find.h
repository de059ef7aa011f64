// Finding bytes that mean something in JSON text that is not validated as it passes (responses, read piece by piece).
#ifndef WEIR_JSON_FIND_H
#define WEIR_JSON_FIND_H

#include "base/slice.h"

// Index of the first '"' or '\\', or SLICE_NOT_FOUND.
size_t json_find_in_string(struct slice text);

// Where a text stands that passes in pieces: how many containers are open, and what the last byte left undecided.
struct json_nesting {
    size_t depth;
    bool is_in_string;
    bool is_escaped; // the next byte of the string belongs to an escape
};

// Passes over what is nested deeper than the top-level object: gives how many bytes of `text` that was. It ends behind
// the bracket that brings `depth` (which must be over 1) down to 1, or with the text.
size_t json_pass_nested(struct json_nesting *nesting, struct slice text);

#endif
