// A request that the exchange has built for a backend, written over the one that Envoy is about to send: in the upstream
// position for every attempt, or ahead of them in the listener position where they can't differ.
#ifndef WEIR_HOST_ENVOY_OUTGOING_H
#define WEIR_HOST_ENVOY_OUTGOING_H

#include "exchange/exchange.h"
#include "host/envoy/abi.h"

struct outgoing {
    const struct attempt_request *request;
    struct slice authority; // NULL: stays the client's
    bool is_streamed;       // the client's body passes as it is, and so does its framing
    bool is_ahead;          // in the listener position
    bool is_end;            // no body follows the head
};

// False without memory.
bool outgoing_write_head(struct envoy_filter *filter, const struct outgoing *outgoing, struct arena *scratch);
// Behind what `body` holds. Envoy copies it.
void outgoing_append_body(struct envoy_filter *filter, enum envoy_body body, const struct attempt_request *request);

// What a body holds: its pieces are lent by Envoy, their list has room for one more.
struct body_frame {
    struct envoy_bytes *chunks;
    size_t count;
    size_t bytes;
};
// False without memory, or when Envoy does not give what it has.
bool body_read(struct envoy_filter *filter, enum envoy_body body, struct arena *arena, struct body_frame *ret_frame);
// The first so many bytes, or all.
void body_drain(struct envoy_filter *filter, enum envoy_body body, size_t bytes);
void body_drain_all(struct envoy_filter *filter, enum envoy_body body);

#endif
