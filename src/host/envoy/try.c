#include "host/envoy/try.h"

#include "host/envoy/headers.h"
#include "host/envoy/log.h"
#include "host/envoy/outgoing.h"
#include "host/envoy/scratch.h"
#include "host/envoy/stream.h"
#include "host/envoy/table.h"

#include <stdlib.h>

struct
try {
    struct envoy_filter *filter;
    uint64_t id; // of the stream
    uint32_t worker;
    bool is_streamed;    // the body passes as it is
    bool is_body_placed; // the attempt's body stands where the placeholder was
    bool is_over;        // an answer was sent instead
};

struct try *try_new(struct envoy_filter *filter)
{
    struct try *try = calloc(1, sizeof *try);
    if (try)
        try->filter = filter;
    return try;
}

void try_free(struct try *try)
{
    free(try);
}

// Looked up in every hook: the stream may have ended since the last one.
static struct stream *stream_of(const struct try *try)
{
    return table_find(try->worker, try->id);
}

static struct stream *find_stream(struct try *try)
{
    double id;
    if (!ENVOY_CALL(http_get_metadata_number)(try->filter, ENVOY_METADATA_DYNAMIC, bytes_of(SLICE(WEIR_METADATA)),
                                              bytes_of(SLICE(WEIR_METADATA_STREAM)), &id) ||
        id < 1 || id >= 0x1p53)
        return NULL;
    try->id = (uint64_t)id;
    try->worker = ENVOY_CALL(http_filter_get_worker_index)(try->filter);
    return stream_of(try);
}

static const struct config_backend_ref *picked_ref(const struct try *try, const struct exchange *x)
{
    struct envoy_bytes key;
    if (!ENVOY_CALL(http_get_metadata_string)(try->filter, ENVOY_METADATA_HOST, bytes_of(SLICE(WEIR_METADATA)),
                                              bytes_of(SLICE(WEIR_METADATA_REF)), &key))
        return NULL;
    return exchange_ref(x, slice_of(key));
}

// The listener filter puts the exchange's reply in the place of what is sent here, where there is one.
static enum envoy_headers_status refuse(struct try *try, uint16_t status, struct slice details)
{
    try->is_over = true;
    ENVOY_CALL(http_send_response)(try->filter, status, NULL, 0, bytes_of(SLICE("refused")), bytes_of(details));
    return ENVOY_HEADERS_STOP;
}

// An endpoint behind a forward proxy is a listener inside Envoy: its own address stands in its metadata.
static bool is_tunnelled(const struct try *try)
{
    return slice_starts_with(attribute_text(try->filter, ENVOY_ATTRIBUTE_UPSTREAM_ADDRESS), SLICE("envoy://"));
}

static struct slice address_of(const struct try *try)
{
    struct envoy_bytes address;
    if (!is_tunnelled(try))
        return attribute_text(try->filter, ENVOY_ATTRIBUTE_UPSTREAM_ADDRESS);
    if (!ENVOY_CALL(http_get_metadata_string)(try->filter, ENVOY_METADATA_HOST, bytes_of(SLICE(WEIR_METADATA)),
                                              bytes_of(SLICE(WEIR_METADATA_ADDRESS)), &address))
        return SLICE("");
    return slice_of(address);
}

// The address and port of the endpoint where its backend has no name of its own (S7).
static struct slice authority_of(const struct try *try, const struct attempt_request *request)
{
    return request->authority.len ? request->authority : address_of(try);
}

static enum envoy_headers_status begin(struct try *try, struct arena *scratch, bool is_end)
{
    struct stream *stream = find_stream(try);
    struct exchange *x = stream ? stream_exchange(stream) : NULL;
    if (!x)
        return refuse(try, 503, SLICE("weir_no_stream"));
    const struct config_backend_ref *ref = picked_ref(try, x);
    if (!ref || !ref->backend) // the cluster is of another generation than the route
        return refuse(try, 503, SLICE("weir_unknown_backend"));
    struct attempt *attempt = attempt_begin(x, ref, now_us());
    if (!attempt)
        return refuse(try, exchange_reply(x)->head.status, error_info(exchange_error(x))->details);
    attempt_connected(
        attempt, address_of(try),
        is_tunnelled(try) ? SLICE("") : attribute_text(try->filter, ENVOY_ATTRIBUTE_UPSTREAM_LOCAL_ADDRESS), 0);
    try->is_streamed = stream_is_streamed(stream);
    struct outgoing outgoing = {
        .request = attempt_request(attempt),
        .authority = arena_dup(scratch, authority_of(try, attempt_request(attempt))),
        .is_streamed = try->is_streamed,
        .is_end = is_end,
    };
    if (!outgoing.authority.ptr || !outgoing_write_head(try->filter, &outgoing, scratch))
        return refuse(try, 503, SLICE("overload"));
    return ENVOY_HEADERS_CONTINUE;
}

enum envoy_headers_status try_request_headers(struct try *try, bool is_end)
{
    struct scratch scratch __attribute__((uninitialized));
    enum envoy_headers_status status = begin(try, scratch_init(&scratch), is_end);
    scratch_fini(&scratch);
    return status;
}

enum envoy_body_status try_request_body(struct try *try)
{
    struct stream *stream = stream_of(try);
    struct attempt *attempt = stream ? exchange_attempt(stream_exchange(stream)) : NULL;
    if (try->is_streamed)
        return ENVOY_BODY_CONTINUE;
    if (try->is_over || !attempt)
        return ENVOY_BODY_STOP_NO_BUFFER;
    body_drain_all(try->filter, ENVOY_RECEIVED_REQUEST_BODY);
    if (!try->is_body_placed)
        outgoing_append_body(try->filter, ENVOY_RECEIVED_REQUEST_BODY, attempt_request(attempt));
    try->is_body_placed = true;
    return ENVOY_BODY_CONTINUE;
}

// ---- the answer -----------------------------------------------------------------------------------------------

// Envoy does not try again after an answer with this field, unless a policy asks for it, which ours never do.
#define FINAL_FIELD "x-envoy-ratelimited"

// The wait as a whole number of seconds, upwards; Envoy adds up to a half of it as jitter.
static void put_wait(struct try *try, int64_t wait_us)
{
    headers_remove(try->filter, ENVOY_RESPONSE_HEADERS, SLICE(FINAL_FIELD)); // an upstream's own are not believed
    headers_remove(try->filter, ENVOY_RESPONSE_HEADERS, SLICE(WEIR_WAIT_FIELD));
    if (wait_us < 0)
        headers_set(try->filter, ENVOY_RESPONSE_HEADERS, SLICE(FINAL_FIELD), SLICE("true"));
    else if (wait_us > 0)
        headers_set_number(try->filter, ENVOY_RESPONSE_HEADERS, SLICE(WEIR_WAIT_FIELD),
                           (uint64_t)(wait_us + 999999) / 1000000);
}

void try_response_headers(struct try *try)
{
    struct envoy_bytes status = {NULL, 0};
    struct stream *stream = stream_of(try);
    if (!stream || try->is_over ||
        !ENVOY_CALL(http_get_header)(try->filter, ENVOY_RESPONSE_HEADERS, bytes_of(SLICE(":status")), &status, 0,
                                     NULL) ||
        !status.len || status.ptr[0] < '4')
        return;
    struct scratch scratch __attribute__((uninitialized));
    struct header_map map;
    if (headers_read(try->filter, ENVOY_RESPONSE_HEADERS, scratch_init(&scratch), &map)) {
        struct response_head head = {.status = map.status, .version = HTTP_1_1, .fields = map.fields};
        put_wait(try, exchange_retry_wait_us(stream_exchange(stream), &head, now_us()));
    }
    scratch_fini(&scratch);
}
