// Whether bytes are text that YAML may be written in.
#ifndef WEIR_CONFIG_PRINTABLE_H
#define WEIR_CONFIG_PRINTABLE_H

#include "base/slice.h"

// Where the first byte stands that no YAML may have (not UTF-8, or a control character), or SLICE_NOT_FOUND. Looked for
// up front, since libyaml stops there before it has given out the documents that stand in front.
size_t printable_find_bad(struct slice text);

#endif
