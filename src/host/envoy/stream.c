// The request's side of a stream: opened, its body held, routed, or answered here.
#include "host/envoy/stream_parts.h"

#include "config/rule.h"
#include "host/envoy/log.h"
#include "host/envoy/metadata.h"
#include "host/envoy/outgoing.h"
#include "host/envoy/refusal.h"
#include "host/envoy/table.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

// ---- time and chance ------------------------------------------------------------------------------------------

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t now_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

// A generator for each thread, seeded once by the kernel (SplitMix64).
uint64_t random_u64(void)
{
    static _Thread_local uint64_t state;
    static _Thread_local bool is_seeded;
    if (!is_seeded) {
        if (getrandom(&state, sizeof state, 0) != sizeof state)
            state ^= (uint64_t)clock_us(CLOCK_REALTIME) ^ (uintptr_t)&state;
        is_seeded = true;
    }
    uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

// ---- life -----------------------------------------------------------------------------------------------------

struct stream *stream_new(const struct settings *settings, struct envoy_filter *filter)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->filter = filter;
    stream->settings = settings;
    return stream;
}

void stream_free(struct stream *stream)
{
    if (!stream)
        return;
    table_remove(stream->worker, stream->id);
    if (stream->scheduler)
        ENVOY_CALL(http_filter_scheduler_delete)(stream->scheduler);
    exchange_free(stream->exchange);
    free(stream);
}

struct exchange *stream_exchange(const struct stream *stream)
{
    return stream->exchange;
}

bool stream_is_streamed(const struct stream *stream)
{
    return stream->is_streamed;
}

// ---- opening --------------------------------------------------------------------------------------------------

static enum http_version version_of(struct slice protocol)
{
    if (slice_eq(protocol, SLICE("HTTP/1.1")))
        return HTTP_1_1;
    return slice_eq(protocol, SLICE("HTTP/1.0")) ? HTTP_1_0 : HTTP_2;
}

// Of the connection, whatever a request says of its scheme. Before routes of others Envoy has found the client's address.
static struct exchange_client client_of(const struct stream *stream, const struct settings *settings)
{
    bool is_verified = false; // a certificate that Envoy does not find good ends the handshake
    bool is_tls = ENVOY_CALL(http_filter_get_attribute_bool)(stream->filter, ENVOY_ATTRIBUTE_MTLS, &is_verified);
    return (struct exchange_client){
        .remote_address = attribute_text(stream->filter, ENVOY_ATTRIBUTE_SOURCE_ADDRESS),
        .local_address = attribute_text(stream->filter, ENVOY_ATTRIBUTE_DESTINATION_ADDRESS),
        .server_name = is_tls ? attribute_text(stream->filter, ENVOY_ATTRIBUTE_SERVER_NAME) : SLICE(""),
        .is_tls = is_tls,
        .is_verified = is_verified,
        .is_origin_told = settings->forward == FORWARD_HEADERS,
        .now_us = now_us(),
        .unix_us = clock_us(CLOCK_REALTIME),
        .random = random_u64(),
        .random2 = random_u64(),
    };
}

// A route's configuration over the filter's own.
static const struct settings *settings_of(const struct stream *stream)
{
    const struct settings *of_route = ENVOY_CALL(get_most_specific_route_config)(stream->filter);
    return of_route && of_route->snapshot ? of_route : stream->settings;
}

// Some of these fields steer Envoy's router, and a client's would too.
static void remove_steering(const struct stream *stream, const struct header_map *map)
{
    for (size_t i = 0; i < map->steering_count; i++)
        headers_remove(stream->filter, ENVOY_REQUEST_HEADERS, map->steering[i]);
}

// What the native host's own codecs would have refused (S9).
static enum error_code check_head(const struct settings *settings, enum http_version version,
                                  const struct header_map *map)
{
    const struct config *config = snapshot_config(settings->snapshot);
    return refusal_of_head(&config->listeners[settings->listener_id].client, version, map);
}

// False: the request goes no further, *ret_error says why (ERROR_OVERLOADED: no memory).
static bool open_exchange(struct stream *stream, struct arena *scratch, bool is_end, enum exchange_want *ret_want,
                          enum error_code *ret_error)
{
    const struct settings *settings = settings_of(stream);
    struct header_map map;
    *ret_error = ERROR_OVERLOADED;
    if (!settings->snapshot) {
        log_text(ENVOY_LOG_ERROR, SLICE("weir: "), SLICE("neither the filter nor the route has resources"));
        return false;
    }
    if (!headers_read(stream->filter, ENVOY_REQUEST_HEADERS, scratch, &map))
        return false;
    struct exchange_client client = client_of(stream, settings);
    enum http_version version = version_of(attribute_text(stream->filter, ENVOY_ATTRIBUTE_PROTOCOL));
    struct request_head head = {
        .method = map.method,
        .target = map.path,
        .authority = map.authority,
        .scheme = version == HTTP_2 ? map.scheme
                  : client.is_tls   ? SLICE("https")
                                    : SLICE("http"),
        .version = version,
        .fields = map.fields,
    };
    if (head.version == HTTP_1_0 && slice_eq(map.authority, SLICE(WEIR_NO_HOST)))
        map.authority = head.authority = SLICE("");
    enum error_code error = check_head(settings, version, &map);
    if (error != ERROR_NONE) {
        *ret_error = error;
        return false;
    }
    stream->forward = settings->forward;
    stream->keeps_pinned_model = settings->keeps_pinned_model;
    stream->builds_ahead = settings->builds_ahead;
    stream->exchange = exchange_open(settings->snapshot, settings->listener_id, &client, &head,
                                     is_end ? 0 : map.content_length, ret_want);
    remove_steering(stream, &map);
    return stream->exchange;
}

// Without an exchange: what the native host's codecs would refuse too, and, without memory for one or without a
// configuration, a request that nobody has looked at and that therefore may not pass.
static void refuse(struct stream *stream, enum error_code error)
{
    struct refusal refusal;
    refusal_make(&refusal, error, random_u64(), random_u64());
    stream->is_replying = true;
    if (error_info(error)->flags.len)
        metadata_put_text(stream->filter, SLICE(WEIR_METADATA), SLICE("flags"), error_info(error)->flags);
    refusal_send(stream->filter, error, &refusal);
}

// ---- our own answers ------------------------------------------------------------------------------------------

static bool is_set_by_envoy(struct slice name)
{
    return slice_eq_nocase(name, SLICE("content-length"));
}

// Envoy counts the body of an answer to HEAD and drops it. The exchange has none then, only its length.
static struct slice body_of(const struct exchange_reply *reply, struct arena *scratch)
{
    uint64_t length = 0;
    if (reply->body.len ||
        !slice_to_u64(fields_value(&reply->head.fields, SLICE("content-length")), SIZE_MAX / 2, &length))
        return reply->body;
    const char *filler = length ? arena_calloc(scratch, 1, (size_t)length) : NULL;
    return filler ? slice_make(filler, (size_t)length) : reply->body;
}

void send_reply(struct stream *stream, struct arena *scratch)
{
    const struct exchange_reply *reply = exchange_reply(stream->exchange);
    const struct fields *fields = &reply->head.fields;
    struct envoy_header *headers = arena_alloc(scratch, (fields->count + 1) * sizeof *headers);
    size_t count = 0;
    for (size_t i = 0; headers && i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (!is_set_by_envoy(field->name))
            headers[count++] =
                (struct envoy_header){field->name.ptr, field->name.len, field->value.ptr, field->value.len};
    }
    enum error_code error = exchange_error(stream->exchange);
    struct slice details = error ? error_info(error)->details : SLICE("direct_response");
    stream->is_replying = true;
    stream->sent_bytes = reply->body.len;
    ENVOY_CALL(http_send_response)
    (stream->filter, reply->head.status, headers, count, bytes_of(body_of(reply, scratch)), bytes_of(details));
}

// ---- going on to the route ------------------------------------------------------------------------------------

static bool is_lifted(struct slice name)
{
    return slice_starts_with_nocase(name, SLICE("x-ai-eg-")) ||
           slice_starts_with_nocase(name, SLICE("x-gateway-destination-endpoint"));
}

// forward "headers": of all fields only Weir's own change.
static bool write_lifted(struct stream *stream, struct arena *scratch)
{
    const struct fields *seen = exchange_fields(stream->exchange);
    bool is_pinned = fields_find(seen, SLICE("x-ai-eg-backend"));
    struct header_map map;
    struct fields wanted = {0};
    if (!headers_read(stream->filter, ENVOY_REQUEST_HEADERS, scratch, &map) ||
        !fields_copy(&map.fields, scratch, seen->count, &wanted))
        return false;
    size_t kept = 0;
    for (size_t i = 0; i < wanted.count; i++)
        if (!is_lifted(wanted.items[i].name))
            wanted.items[kept++] = wanted.items[i];
    wanted.count = kept;
    for (size_t i = 0; i < seen->count; i++) {
        bool is_cleared =
            is_pinned && !stream->keeps_pinned_model && slice_eq_nocase(seen->items[i].name, SLICE("x-ai-eg-model"));
        if (is_lifted(seen->items[i].name) && !is_cleared)
            wanted.items[wanted.count++] = seen->items[i];
    }
    return headers_become(stream->filter, ENVOY_REQUEST_HEADERS, scratch, &wanted, true);
}

// forward "weir": the route table sees which rule it is, guards see what was lifted.
static bool write_routed(struct stream *stream, struct arena *scratch)
{
    struct slice cluster = exchange_cluster(stream->exchange);
    struct fields wanted;
    if (stream->settings->publish == PUBLISH_COSTS) {
        headers_set(stream->filter, ENVOY_REQUEST_HEADERS, SLICE(WEIR_RULE_FIELD), cluster);
        return true;
    }
    return fields_copy(exchange_fields(stream->exchange), scratch, 1, &wanted) &&
           fields_add(&wanted, scratch, SLICE(WEIR_RULE_FIELD), cluster) &&
           headers_become(stream->filter, ENVOY_REQUEST_HEADERS, scratch, &wanted, true);
}

static bool enter_table(struct stream *stream)
{
    stream->worker = ENVOY_CALL(http_filter_get_worker_index)(stream->filter);
    stream->id = table_add(stream->worker, stream);
    if (stream->id)
        ENVOY_CALL(http_set_dynamic_metadata_number)
    (stream->filter, bytes_of(SLICE(WEIR_METADATA)), bytes_of(SLICE(WEIR_METADATA_STREAM)), (double)stream->id);
    return stream->id;
}

// The whole request for the one backend that there is, so that nothing is left for the upstream position. Its Host is put in
// by the route, which has to be found by the client's first.
static bool build_ahead(struct stream *stream, struct arena *scratch, const struct config_backend_ref *ref, bool is_end)
{
    struct attempt *attempt = attempt_begin(stream->exchange, ref, now_us());
    if (!attempt)
        return false;
    struct outgoing outgoing = {
        .request = attempt_request(attempt),
        .is_streamed = stream->is_streamed,
        .is_ahead = true,
        .is_end = is_end,
    };
    headers_set(stream->filter, ENVOY_REQUEST_HEADERS, SLICE(WEIR_RULE_FIELD), exchange_cluster(stream->exchange));
    if (!outgoing_write_head(stream->filter, &outgoing, scratch))
        return false;
    attempt_is_last(attempt); // a second connection gets Envoy's copy of it
    stream->is_built = true;
    return true;
}

static bool leave_to_tries(struct stream *stream, struct arena *scratch)
{
    return enter_table(stream) && write_routed(stream, scratch);
}

static bool prepare(struct stream *stream, struct arena *scratch, bool is_end)
{
    if (stream->forward == FORWARD_HEADERS)
        return write_lifted(stream, scratch);
    if (!exchange_host_picks(stream->exchange))
        return false;
    const struct config_backend_ref *ref =
        stream->builds_ahead ? config_rule_only_ref(exchange_rule(stream->exchange)) : NULL;
    return ref ? build_ahead(stream, scratch, ref, is_end) : leave_to_tries(stream, scratch);
}

// True: Envoy goes on with the request. False: an answer was sent.
static bool go_on(struct stream *stream, struct arena *scratch, bool is_end)
{
    if (!prepare(stream, scratch, is_end)) {
        exchange_fail(stream->exchange, ERROR_OVERLOADED); // does nothing when a reply is ready
        send_reply(stream, scratch);
        return false;
    }
    ENVOY_CALL(http_clear_route_cache)(stream->filter);
    return true;
}

// ---- the request ----------------------------------------------------------------------------------------------

static enum envoy_headers_status follow_head(struct stream *stream, struct arena *scratch, enum exchange_want want,
                                             bool is_end)
{
    switch (want) {
    case EXCHANGE_WANT_BODY:
        stream->is_held = true;
        if (stream->forward == FORWARD_HEADERS) {
            const struct config_client *limits = &exchange_listener(stream->exchange)->client;
            size_t most = limits->json_body_bytes > limits->multipart_body_bytes ? limits->json_body_bytes
                                                                                 : limits->multipart_body_bytes;
            ENVOY_CALL(http_set_buffer_limit)(stream->filter, most);
        }
        return ENVOY_HEADERS_STOP;
    case EXCHANGE_WANT_BACKEND:
        stream->is_streamed = exchange_body_mode(stream->exchange) == BODY_STREAMED;
        return go_on(stream, scratch, is_end) ? ENVOY_HEADERS_CONTINUE : ENVOY_HEADERS_STOP;
    case EXCHANGE_WANT_REPLY:
        send_reply(stream, scratch);
        return ENVOY_HEADERS_STOP;
    }
    return ENVOY_HEADERS_STOP;
}

enum envoy_headers_status stream_request_headers(struct stream *stream, bool is_end)
{
    struct scratch memory __attribute__((uninitialized));
    enum exchange_want want;
    enum envoy_headers_status status = ENVOY_HEADERS_STOP;
    struct arena *scratch = scratch_init(&memory);
    enum error_code error;
    if (open_exchange(stream, scratch, is_end, &want, &error)) {
        if (want == EXCHANGE_WANT_BODY && is_end)
            want = exchange_body(stream->exchange, slice_make("", 0), true);
        status = follow_head(stream, scratch, want, is_end);
    } else {
        refuse(stream, error);
    }
    scratch_fini(&memory);
    return status;
}

// Hands the pieces of this frame to the exchange.
static enum exchange_want take_body(struct stream *stream, const struct body_frame *frame, bool is_end)
{
    enum exchange_want want = EXCHANGE_WANT_BODY;
    for (size_t i = 0; i < frame->count && want == EXCHANGE_WANT_BODY; i++) {
        stream->received_bytes += frame->chunks[i].len;
        want = exchange_body(stream->exchange, slice_of(frame->chunks[i]), is_end && i + 1 == frame->count);
    }
    if (want == EXCHANGE_WANT_BODY && is_end) // an empty last frame
        want = exchange_body(stream->exchange, slice_make("", 0), true);
    return want;
}

// The exchange has the body; what Envoy keeps of it is one byte, so that each try has a body for the upstream filter to
// put the real one in the place of. Envoy's own copy for retries would double the memory of every request.
static void leave_placeholder(struct stream *stream, enum envoy_body body)
{
    ENVOY_CALL(http_append_body)(stream->filter, body, bytes_of(SLICE("-")));
}

// What stands in the place of the body that the exchange has, which was drained: the backend's, where it is known already.
static void put_body(struct stream *stream, enum envoy_body body)
{
    if (stream->forward == FORWARD_HEADERS)
        return;
    if (!stream->is_built) {
        leave_placeholder(stream, body);
        return;
    }
    struct attempt *attempt = exchange_attempt(stream->exchange);
    outgoing_append_body(stream->filter, body, attempt_request(attempt));
    attempt_request_sent(attempt);
}

static enum envoy_body_status follow_body(struct stream *stream, struct arena *scratch, enum exchange_want want)
{
    switch (want) {
    case EXCHANGE_WANT_BODY:
        return stream->forward == FORWARD_HEADERS ? ENVOY_BODY_STOP_AND_BUFFER : ENVOY_BODY_STOP_NO_BUFFER;
    case EXCHANGE_WANT_BACKEND:
        stream->is_held = false;
        if (!go_on(stream, scratch, false))
            return ENVOY_BODY_STOP_NO_BUFFER;
        put_body(stream, ENVOY_RECEIVED_REQUEST_BODY);
        return ENVOY_BODY_CONTINUE;
    case EXCHANGE_WANT_REPLY:
        stream->is_held = false;
        send_reply(stream, scratch);
        return ENVOY_BODY_STOP_NO_BUFFER;
    }
    return ENVOY_BODY_STOP_NO_BUFFER;
}

enum envoy_body_status stream_request_body(struct stream *stream, bool is_end)
{
    struct scratch memory __attribute__((uninitialized));
    if (stream->is_replying || !stream->exchange)
        return ENVOY_BODY_STOP_NO_BUFFER;
    if (!stream->is_held) {
        stream->received_bytes += ENVOY_CALL(http_get_body_size)(stream->filter, ENVOY_RECEIVED_REQUEST_BODY);
        return ENVOY_BODY_CONTINUE;
    }
    struct arena *scratch = scratch_init(&memory);
    struct body_frame frame;
    enum exchange_want want = body_read(stream->filter, ENVOY_RECEIVED_REQUEST_BODY, scratch, &frame)
                                  ? take_body(stream, &frame, is_end)
                                  : exchange_fail(stream->exchange, ERROR_OVERLOADED);
    if (stream->forward == FORWARD_WEIR) // the exchange has it; else Envoy forwards it itself
        body_drain(stream->filter, ENVOY_RECEIVED_REQUEST_BODY, frame.bytes);
    enum envoy_body_status status = follow_body(stream, scratch, want);
    scratch_fini(&memory);
    return status;
}

// A body that ends with trailers ends here. They are not forwarded from a held body.
enum envoy_trailers_status stream_request_trailers(struct stream *stream)
{
    struct scratch memory __attribute__((uninitialized));
    if (stream->is_replying || !stream->exchange)
        return ENVOY_TRAILERS_STOP;
    if (!stream->is_held)
        return ENVOY_TRAILERS_CONTINUE;
    struct arena *scratch = scratch_init(&memory);
    enum envoy_trailers_status status = ENVOY_TRAILERS_STOP;
    stream->is_held = false;
    static const struct fields none;
    if (exchange_body(stream->exchange, slice_make("", 0), true) == EXCHANGE_WANT_REPLY) {
        send_reply(stream, scratch);
    } else if (go_on(stream, scratch, false)) {
        headers_become(stream->filter, ENVOY_REQUEST_TRAILERS, scratch, &none, false);
        put_body(stream, ENVOY_BUFFERED_REQUEST_BODY);
        status = ENVOY_TRAILERS_CONTINUE;
    }
    scratch_fini(&memory);
    return status;
}
