// What the files of one stream share: request (stream.c), answer (answer.c), accounts (account.c). Private to them.
#ifndef WEIR_HOST_ENVOY_STREAM_PARTS_H
#define WEIR_HOST_ENVOY_STREAM_PARTS_H

#include "host/envoy/headers.h"
#include "host/envoy/scratch.h"
#include "host/envoy/stream.h"

struct stream {
    struct envoy_filter *filter;
    const struct settings *settings;
    struct exchange *exchange; // NULL: not opened, the stream passes as it is
    struct envoy_scheduler *scheduler;
    uint64_t id; // in the worker's table
    uint32_t worker;
    enum forward forward;
    bool keeps_pinned_model;
    bool builds_ahead;
    bool is_built; // the request that goes on is the backend's already
    bool is_streamed;
    bool is_held;         // the body goes to the exchange until its end
    bool is_replying;     // our own answer was handed to Envoy: its way through the filters is not ours to change
    bool is_guarded;      // a filter behind this one answers: what it says passes
    bool is_reply_body;   // the answer that passes gets the exchange's reply as its body
    bool is_answer_begun; // an upstream's answer passes
    bool is_answer_over;  // all of it passed
    bool is_cut;          // it was ended abnormally: nothing that still comes passes
    bool is_speaking;     // but what is ours
    bool has_local_reply; // Envoy answers by itself
    enum error_code local_error;
    enum error_code early_error; // Envoy answers for it before there is an exchange, in a shape of ours
    uint64_t received_bytes;
    uint64_t sent_bytes;
};

// At its end: the client has gone before the answer was over.
static inline bool stream_is_left(const struct stream *stream)
{
    return !stream->is_cut && !stream->is_answer_over && !stream->is_replying && !stream->has_local_reply;
}

// Sends the exchange's reply instead of what there is, or would be.
void send_reply(struct stream *stream, struct arena *scratch);

#endif
