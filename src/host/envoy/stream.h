// One request in the listener position: the exchange's events from Envoy's hooks, and its wants back to Envoy.
//
// Weir decides the rule and answers what it refuses; Envoy's route table has one entry a rule, found by an internal
// header, and its cluster picks the endpoints. Each attempt is built in the upstream position (try.h), which finds the
// stream by its number. The answer comes back here once, after Envoy's last try: that is where it is read and changed.
#ifndef WEIR_HOST_ENVOY_STREAM_H
#define WEIR_HOST_ENVOY_STREAM_H

#include "exchange/exchange.h"
#include "host/envoy/abi.h"
#include "host/envoy/names.h"
#include "host/envoy/settings.h"

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
