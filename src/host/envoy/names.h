// Names that the module and what `weir envoy` writes agree on.
#ifndef WEIR_HOST_ENVOY_NAMES_H
#define WEIR_HOST_ENVOY_NAMES_H

// Dynamic and endpoint metadata between the parts of Weir in Envoy.
#define WEIR_METADATA "weir"
#define WEIR_METADATA_STREAM "stream"   // dynamic: the number of the stream
#define WEIR_METADATA_REF "ref"         // of an endpoint: the key of its backendRef
#define WEIR_METADATA_ADDRESS "address" // of an endpoint behind a forward proxy
#define WEIR_METADATA_LINE "line"       // dynamic: 1, the module writes the lines of the access logs; 0, Envoy is to

// The request field that Envoy's route table matches: the name of the rule's cluster. Never leaves Envoy.
// One of the fields that Envoy finds without a search (INLINE_REQ_HEADERS) and none of our routes makes use of: looking for
// any other makes it build a hash map of all fields, twice a request.
#define WEIR_RULE_FIELD "x-envoy-original-url"

// An answer's field between the upstream position and Envoy's retries: seconds to wait. Never leaves Envoy either.
#define WEIR_WAIT_FIELD "x-weir-wait"

// What our listeners have Envoy put in the place of the Host that a request of HTTP/1.0 may lack.
#define WEIR_NO_HOST "no-host.invalid"

#endif
