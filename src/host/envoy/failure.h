// Why Envoy answered by itself, as the core's errors, so that the client gets the error in its endpoint's shape (S9).
#ifndef WEIR_HOST_ENVOY_FAILURE_H
#define WEIR_HOST_ENVOY_FAILURE_H

#include "base/error.h"

// From Envoy's response code details and status, which a client's fault and an upstream's differ by. ERROR_NONE: not Envoy's
// own answer but that of a filter behind this one, a guard's say. What else is not known is ERROR_UPSTREAM_RESET.
enum error_code failure_of(struct slice details, uint32_t status);

// The same for a request that Envoy refused before it reached the module; ERROR_NONE: a filter in front has answered.
enum error_code failure_of_head(struct slice details, uint32_t status);

#endif
