// One request in the listener position: the exchange's events from Envoy's hooks, and its wants back to Envoy.
//
// Weir decides the rule and answers what it refuses; Envoy's route table has one entry a rule, found by an internal
// header, and its cluster picks the endpoints. Each attempt is built in the upstream position (try.h), which finds the
// stream by its number. The answer comes back here once, after Envoy's last try: that is where it is read and changed.
#ifndef WEIR_HOST_ENVOY_STREAM_H
#define WEIR_HOST_ENVOY_STREAM_H

#include "exchange/exchange.h"
#include "host/envoy/abi.h"
#include "host/envoy/settings.h"

// Dynamic and endpoint metadata between the parts of Weir in Envoy.
#define WEIR_METADATA "weir"
#define WEIR_METADATA_STREAM "stream"   // dynamic: the number of the stream
#define WEIR_METADATA_REF "ref"         // of an endpoint: the key of its backendRef
#define WEIR_METADATA_ADDRESS "address" // of an endpoint behind a forward proxy
#define WEIR_METADATA_LINE "line"       // dynamic: 1, the module has made the lines of the access logs; 0, Envoy is to
#define WEIR_LINES "weir.log"           // filter state: lines of the access logs, with their numbers
// An answer's field between the upstream position and Envoy's retries: seconds to wait. Never leaves Envoy either.
#define WEIR_WAIT_FIELD "x-weir-wait"

// What our listeners have Envoy put in the place of the Host that a request of HTTP/1.0 may lack.
#define WEIR_NO_HOST "no-host.invalid"

struct stream;

// NULL without memory: Envoy then closes the stream.
struct stream *stream_new(const struct settings *settings, struct envoy_filter *filter);
void stream_free(struct stream *stream);

enum envoy_headers_status stream_request_headers(struct stream *stream, bool is_end);
enum envoy_body_status stream_request_body(struct stream *stream, bool is_end);
enum envoy_trailers_status stream_request_trailers(struct stream *stream);
// Envoy answers by itself: notes why, so that the answer can get the shape of the endpoint that was called (S9). Or it is
// about to cut an answer that has begun: the client gets the error event first (S8).
void stream_local_reply(struct stream *stream, uint32_t status, struct slice details);
enum envoy_headers_status stream_response_headers(struct stream *stream, bool is_end);
enum envoy_body_status stream_response_body(struct stream *stream, bool is_end);
enum envoy_trailers_status stream_response_trailers(struct stream *stream);
void stream_scheduled(struct stream *stream);
// Accounts: dynamic metadata for the access log, and the request's fields as the log is to see them.
void stream_complete(struct stream *stream);

// For the upstream position.
struct exchange *stream_exchange(const struct stream *stream);
// Whether the client's body passes through Envoy as it comes (plain routes) instead of being held by the exchange.
bool stream_is_streamed(const struct stream *stream);
int64_t now_us(void);
uint64_t random_u64(void);

#endif
