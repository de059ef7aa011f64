// Names of algorithms: a configuration has OpenSSL's, Envoy's library is BoringSSL.
#ifndef WEIR_HOST_ENVOY_ALGORITHMS_H
#define WEIR_HOST_ENVOY_ALGORITHMS_H

#include "base/slice.h"

enum algorithm_kind { ALGORITHM_CIPHER, ALGORITHM_CURVE, ALGORITHM_SIGNATURE };

// What BoringSSL calls it; an empty slice when it has no such algorithm, or one that OpenSSL would not use at its
// security level (SHA-1).
struct slice algorithm_name(enum algorithm_kind kind, struct slice name);
// Takes the next name off a list with ":" between them; false at its end.
bool algorithm_next(struct slice *list, struct slice *ret_name);

#endif
