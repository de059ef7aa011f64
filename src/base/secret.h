// Bytes that must never be printed: keys, tokens, private keys. A secret is borrowed from its place (snapshot or
// attempt arena); secret_wipe before that place goes. Use secret_reveal only where the bytes leave for their backend.
#ifndef WEIR_BASE_SECRET_H
#define WEIR_BASE_SECRET_H

#include "base/slice.h"

struct secret {
    struct slice hidden; // not to be read except through the calls below
};

static inline struct slice secret_reveal(struct secret secret)
{
    return secret.hidden;
}

static inline bool secret_is_set(struct secret secret)
{
    return secret.hidden.len > 0;
}

// Equal without telling by time where they differ (the length is not hidden).
bool secret_eq(struct secret a, struct secret b);
// Overwrites the bytes in place, in a way that the compiler keeps.
void secret_wipe(struct secret *secret);

#endif
