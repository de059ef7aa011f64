// One try of a request in the upstream position: Envoy has picked an endpoint, whose metadata names the backendRef; head
// and body become what the exchange builds for that backend from the original (S7).
#ifndef WEIR_HOST_ENVOY_TRY_H
#define WEIR_HOST_ENVOY_TRY_H

#include "base/slice.h"
#include "host/envoy/abi.h"

struct try;

// NULL without memory.
struct try *try_new(struct envoy_filter *filter);
void try_free(struct try *try);
enum envoy_headers_status try_request_headers(struct try *try, bool is_end);
enum envoy_body_status try_request_body(struct try *try);
// Before Envoy decides on another try: what the answer's retry-after means for it (S7).
void try_response_headers(struct try *try);

#endif
