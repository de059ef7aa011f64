// Lines in Envoy's own log (id dynamic_modules).
#ifndef WEIR_HOST_ENVOY_LOG_H
#define WEIR_HOST_ENVOY_LOG_H

#include "base/slice.h"
#include "host/envoy/abi.h"

// One line of two parts; cut at 1 KiB. Never a secret, never a client's bytes.
void log_text(enum envoy_log_level level, struct slice what, struct slice why);

#endif
