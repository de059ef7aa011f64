// Base64 (RFC 4648, section 4), as the data of Secrets is written.
#ifndef WEIR_CONFIG_BASE64_H
#define WEIR_CONFIG_BASE64_H

#include "base/arena.h"

// Decodes into the arena; line breaks and blanks are passed over. False when the text is no base64 or memory is refused.
bool base64_decode(struct slice text, struct arena *arena, struct slice *ret_bytes);
// Encodes behind `prefix` into the arena; no pointer when memory is refused.
struct slice base64_encode(struct slice bytes, struct slice prefix, struct arena *arena);

#endif
