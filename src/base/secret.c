// Comparison and wiping of secrets.
#define _DEFAULT_SOURCE
#include "base/secret.h"

bool secret_eq(struct secret a, struct secret b)
{
    unsigned char differ = 0;
    if (a.hidden.len != b.hidden.len)
        return false;
    for (size_t i = 0; i < a.hidden.len; i++)
        differ |= (unsigned char)((unsigned char)a.hidden.ptr[i] ^ (unsigned char)b.hidden.ptr[i]);
    return differ == 0;
}

void secret_wipe(struct secret *secret)
{
    if (secret->hidden.len) {
        char *bytes;
        memcpy(&bytes, &secret->hidden.ptr, sizeof bytes); // secrets are kept in writable places
        explicit_bzero(bytes, secret->hidden.len);
    }
    secret->hidden = (struct slice){NULL, 0};
}
