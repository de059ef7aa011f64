// Why Envoy answered by itself, as the core's errors, so that the client gets the error in its endpoint's shape (S9).
#ifndef WEIR_HOST_ENVOY_FAILURE_H
#define WEIR_HOST_ENVOY_FAILURE_H

#include "base/error.h"

// From Envoy's response code details. ERROR_UPSTREAM_RESET for what is not known.
enum error_code failure_of(struct slice details);

#endif
