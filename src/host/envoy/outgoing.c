#include "host/envoy/outgoing.h"

#include "host/envoy/headers.h"

#define JOINED_BYTES_MAX 2048

bool outgoing_write_head(struct envoy_filter *filter, const struct outgoing *outgoing, struct arena *scratch)
{
    const struct attempt_request *request = outgoing->request;
    char digits[24];
    struct buf length = {.ptr = digits, .cap = sizeof digits, .max = sizeof digits};
    bool has_length = !outgoing->is_streamed && !outgoing->is_end && request->body_bytes >= 0;
    if (has_length)
        buf_append_u64(&length, (uint64_t)request->body_bytes);
    struct request_form wanted = {
        .fields = &request->fields,
        .path = request->target,
        .authority = outgoing->authority,
        .content_length = has_length ? buf_slice(&length) : (struct slice){NULL, 0},
        .keeps_framing = outgoing->is_streamed,
        .keeps_routing = outgoing->is_ahead,
    };
    return headers_become_request(filter, scratch, &wanted);
}

// Most bodies end with a frame that has nothing: to ask for its size costs least.
bool body_read(struct envoy_filter *filter, enum envoy_body body, struct arena *arena, struct body_frame *ret_frame)
{
    size_t bytes = ENVOY_CALL(http_get_body_size)(filter, body);
    size_t count = bytes ? ENVOY_CALL(http_get_body_chunks_size)(filter, body) : 0;
    struct envoy_bytes *chunks = arena_alloc(arena, (count + 1) * sizeof *chunks);
    *ret_frame = (struct body_frame){chunks, count, bytes};
    return chunks && (!count || ENVOY_CALL(http_get_body_chunks)(filter, body, chunks));
}

void body_drain(struct envoy_filter *filter, enum envoy_body body, size_t bytes)
{
    if (bytes)
        ENVOY_CALL(http_drain_body)(filter, body, bytes);
}

void body_drain_all(struct envoy_filter *filter, enum envoy_body body)
{
    body_drain(filter, body, ENVOY_CALL(http_get_body_size)(filter, body));
}

// A small body in one piece costs less than the calls for three.
static bool append_joined(struct envoy_filter *filter, enum envoy_body body, const struct attempt_request *request)
{
    char bytes[JOINED_BYTES_MAX] __attribute__((uninitialized));
    struct buf joined = {.ptr = bytes, .cap = sizeof bytes, .max = sizeof bytes};
    for (size_t i = 0; i < request->body_count; i++)
        if (!buf_append(&joined, request->body[i]))
            return false;
    return !joined.len || ENVOY_CALL(http_append_body)(filter, body, bytes_of(buf_slice(&joined)));
}

void outgoing_append_body(struct envoy_filter *filter, enum envoy_body body, const struct attempt_request *request)
{
    if (request->body_bytes >= 0 && request->body_bytes <= JOINED_BYTES_MAX && append_joined(filter, body, request))
        return;
    for (size_t i = 0; i < request->body_count; i++)
        if (request->body[i].len)
            ENVOY_CALL(http_append_body)(filter, body, bytes_of(request->body[i]));
}
