// "Did you mean ...?": the name that is nearest to a mistyped word.
#ifndef WEIR_CONFIG_NEAREST_H
#define WEIR_CONFIG_NEAREST_H

#include "base/slice.h"

// A search under way: start with nearest_to, show it every name. `name` is the nearest so far; empty while none is near
// enough to be meant.
struct nearest {
    struct slice word;
    struct slice name;
    size_t distance;
};

struct nearest nearest_to(struct slice word);
void nearest_try(struct nearest *nearest, struct slice name);
// The whole search in a list that ends with NULL.
struct slice nearest_name(struct slice word, const char *const *known);

#endif
