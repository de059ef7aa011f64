// What is wrong with the certificates, keys and names of algorithms in a configuration: what only a TLS library can tell.
#ifndef WEIR_HOST_NATIVE_TLS_CHECK_H
#define WEIR_HOST_NATIVE_TLS_CHECK_H

#include "config/model.h"

// Adds findings at the marks of what is at fault; none ever holds a part of a key. `now_s`: Unix time.
void tls_check(const struct config *config, int64_t now_s, struct findings *findings);

#endif
