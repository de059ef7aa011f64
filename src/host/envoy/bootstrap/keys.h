// Keys of certificates: Envoy refuses a whole configuration over one that its TLS library has not.
#ifndef WEIR_HOST_ENVOY_KEYS_H
#define WEIR_HOST_ENVOY_KEYS_H

#include "config/model.h"

// Whether Envoy can show this certificate; true, too, where it can't be read, which is told elsewhere (tls_check.h).
bool key_is_known(const struct config_certificate *certificate);

#endif
