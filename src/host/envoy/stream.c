#include "host/envoy/stream.h"

#include "host/envoy/failure.h"
#include "host/envoy/headers.h"
#include "host/envoy/log.h"
#include "host/envoy/table.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define SCRATCH_BYTES_MAX ((size_t)4 << 20) // of one hook
#define SCRATCH_BLOCK_BYTES ((size_t)8 << 10)

struct stream {
    struct envoy_filter *filter;
    const struct settings *settings;
    struct exchange *exchange; // NULL: not opened, the stream passes as it is
    struct envoy_scheduler *scheduler;
    uint64_t id; // in the worker's table
    uint32_t worker;
    enum forward forward;
    bool keeps_pinned_model;
    bool is_streamed;
    bool is_held;         // the body goes to the exchange until its end
    bool is_replying;     // our own answer was handed to Envoy: its way through the filters is not ours to change
    bool is_reply_body;   // the answer that passes gets the exchange's reply as its body
    bool is_answer_begun; // an upstream's answer passes
    bool is_answer_over;  // all of it passed
    bool is_cut;          // it was ended abnormally: what still comes passes as it is
    bool has_local_reply; // Envoy answers by itself
    enum error_code local_error;
    uint64_t received_bytes;
    uint64_t sent_bytes;
};

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
static uint64_t random_u64(void)
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

static void scratch_init(struct arena *scratch)
{
    arena_init(scratch, SCRATCH_BLOCK_BYTES, SCRATCH_BYTES_MAX);
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

static struct slice attribute(const struct stream *stream, enum envoy_attribute which)
{
    struct envoy_bytes value = {NULL, 0};
    if (!ENVOY_CALL(http_filter_get_attribute_string)(stream->filter, which, &value))
        return SLICE("");
    return slice_of(value);
}

static enum http_version version_of(struct slice protocol)
{
    if (slice_eq(protocol, SLICE("HTTP/1.1")))
        return HTTP_1_1;
    return slice_eq(protocol, SLICE("HTTP/1.0")) ? HTTP_1_0 : HTTP_2;
}

static struct exchange_client client_of(const struct stream *stream, struct slice scheme)
{
    return (struct exchange_client){
        .remote_address = attribute(stream, ENVOY_ATTRIBUTE_SOURCE_ADDRESS),
        .local_address = attribute(stream, ENVOY_ATTRIBUTE_DESTINATION_ADDRESS),
        .server_name = attribute(stream, ENVOY_ATTRIBUTE_SERVER_NAME),
        .is_tls = slice_eq(scheme, SLICE("https")),
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

static bool open_exchange(struct stream *stream, struct arena *scratch, bool is_end, enum exchange_want *ret_want)
{
    const struct settings *settings = settings_of(stream);
    struct header_map map;
    if (!settings->snapshot) {
        log_text(ENVOY_LOG_ERROR, SLICE("weir: "), SLICE("neither the filter nor the route has resources"));
        return false;
    }
    if (!headers_read(stream->filter, ENVOY_REQUEST_HEADERS, scratch, &map))
        return false;
    struct exchange_client client = client_of(stream, map.scheme);
    struct request_head head = {
        .method = map.method,
        .target = map.path,
        .authority = map.authority,
        .scheme = map.scheme,
        .version = version_of(attribute(stream, ENVOY_ATTRIBUTE_PROTOCOL)),
        .fields = map.fields,
    };
    stream->forward = settings->forward;
    stream->keeps_pinned_model = settings->keeps_pinned_model;
    stream->exchange = exchange_open(settings->snapshot, settings->listener_id, &client, &head,
                                     is_end ? 0 : map.content_length, ret_want);
    return stream->exchange;
}

// Without memory even for an exchange, or without a configuration: never let a request pass that nobody looked at.
static void refuse(struct stream *stream)
{
    stream->is_replying = true;
    ENVOY_CALL(http_send_response)(stream->filter, 503, NULL, 0, bytes_of(SLICE("")), bytes_of(SLICE("overload")));
}

// ---- our own answers ------------------------------------------------------------------------------------------

static bool is_set_by_envoy(struct slice name)
{
    return slice_eq_nocase(name, SLICE("content-length"));
}

static void send_reply(struct stream *stream, struct arena *scratch)
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
    (stream->filter, reply->head.status, headers, count, bytes_of(reply->body), bytes_of(details));
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

// True: Envoy goes on with the request. False: an answer was sent.
static bool go_on(struct stream *stream, struct arena *scratch)
{
    bool is_ready;
    if (stream->forward == FORWARD_HEADERS) {
        is_ready = write_lifted(stream, scratch);
    } else {
        if (!exchange_host_picks(stream->exchange)) {
            send_reply(stream, scratch);
            return false;
        }
        is_ready = enter_table(stream) && write_routed(stream, scratch);
    }
    if (!is_ready) {
        exchange_fail(stream->exchange, ERROR_OVERLOADED);
        send_reply(stream, scratch);
        return false;
    }
    ENVOY_CALL(http_clear_route_cache)(stream->filter);
    return true;
}

// ---- the request ----------------------------------------------------------------------------------------------

static enum envoy_headers_status follow_head(struct stream *stream, struct arena *scratch, enum exchange_want want)
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
        return go_on(stream, scratch) ? ENVOY_HEADERS_CONTINUE : ENVOY_HEADERS_STOP;
    case EXCHANGE_WANT_REPLY:
        send_reply(stream, scratch);
        return ENVOY_HEADERS_STOP;
    }
    return ENVOY_HEADERS_STOP;
}

enum envoy_headers_status stream_request_headers(struct stream *stream, bool is_end)
{
    struct arena scratch;
    enum exchange_want want;
    enum envoy_headers_status status = ENVOY_HEADERS_STOP;
    scratch_init(&scratch);
    if (open_exchange(stream, &scratch, is_end, &want)) {
        if (want == EXCHANGE_WANT_BODY && is_end)
            want = exchange_body(stream->exchange, slice_make("", 0), true);
        status = follow_head(stream, &scratch, want);
    } else {
        refuse(stream);
    }
    arena_fini(&scratch);
    return status;
}

// Hands the pieces of this frame to the exchange.
static enum exchange_want take_body(struct stream *stream, struct arena *scratch, bool is_end)
{
    size_t count = ENVOY_CALL(http_get_body_chunks_size)(stream->filter, ENVOY_RECEIVED_REQUEST_BODY);
    struct envoy_bytes *chunks = arena_alloc(scratch, (count + 1) * sizeof *chunks);
    enum exchange_want want = EXCHANGE_WANT_BODY;
    if (!chunks)
        return exchange_fail(stream->exchange, ERROR_OVERLOADED);
    if (count && !ENVOY_CALL(http_get_body_chunks)(stream->filter, ENVOY_RECEIVED_REQUEST_BODY, chunks))
        count = 0;
    for (size_t i = 0; i < count && want == EXCHANGE_WANT_BODY; i++) {
        stream->received_bytes += chunks[i].len;
        want = exchange_body(stream->exchange, slice_of(chunks[i]), is_end && i + 1 == count);
    }
    if (want == EXCHANGE_WANT_BODY && is_end) // an empty last frame
        want = exchange_body(stream->exchange, slice_make("", 0), true);
    return want;
}

// The exchange has the body; what Envoy keeps of it is one byte, so that each try has a body for the upstream filter to
// put the real one in the place of. Envoy's own copy for retries would double the memory of every request.
static void leave_placeholder(struct stream *stream, enum envoy_body body)
{
    size_t size = ENVOY_CALL(http_get_body_size)(stream->filter, body);
    if (size)
        ENVOY_CALL(http_drain_body)(stream->filter, body, size);
    ENVOY_CALL(http_append_body)(stream->filter, body, bytes_of(SLICE("-")));
}

static enum envoy_body_status hold(struct stream *stream)
{
    if (stream->forward == FORWARD_HEADERS)
        return ENVOY_BODY_STOP_AND_BUFFER; // Envoy forwards the body itself
    size_t size = ENVOY_CALL(http_get_body_size)(stream->filter, ENVOY_RECEIVED_REQUEST_BODY);
    if (size)
        ENVOY_CALL(http_drain_body)(stream->filter, ENVOY_RECEIVED_REQUEST_BODY, size);
    return ENVOY_BODY_STOP_NO_BUFFER;
}

static enum envoy_body_status follow_body(struct stream *stream, struct arena *scratch, enum exchange_want want)
{
    switch (want) {
    case EXCHANGE_WANT_BODY:
        return hold(stream);
    case EXCHANGE_WANT_BACKEND:
        stream->is_held = false;
        if (!go_on(stream, scratch))
            return ENVOY_BODY_STOP_NO_BUFFER;
        if (stream->forward == FORWARD_WEIR)
            leave_placeholder(stream, ENVOY_RECEIVED_REQUEST_BODY);
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
    struct arena scratch;
    if (stream->is_replying || !stream->exchange)
        return ENVOY_BODY_STOP_NO_BUFFER;
    if (!stream->is_held) {
        stream->received_bytes += ENVOY_CALL(http_get_body_size)(stream->filter, ENVOY_RECEIVED_REQUEST_BODY);
        return ENVOY_BODY_CONTINUE;
    }
    scratch_init(&scratch);
    enum envoy_body_status status = follow_body(stream, &scratch, take_body(stream, &scratch, is_end));
    arena_fini(&scratch);
    return status;
}

// A body that ends with trailers ends here. They are not forwarded from a held body.
enum envoy_trailers_status stream_request_trailers(struct stream *stream)
{
    struct arena scratch;
    if (stream->is_replying || !stream->exchange)
        return ENVOY_TRAILERS_STOP;
    if (!stream->is_held)
        return ENVOY_TRAILERS_CONTINUE;
    scratch_init(&scratch);
    enum envoy_trailers_status status = ENVOY_TRAILERS_STOP;
    stream->is_held = false;
    static const struct fields none;
    if (exchange_body(stream->exchange, slice_make("", 0), true) == EXCHANGE_WANT_REPLY) {
        send_reply(stream, &scratch);
    } else if (go_on(stream, &scratch)) {
        headers_become(stream->filter, ENVOY_REQUEST_TRAILERS, &scratch, &none, false);
        if (stream->forward == FORWARD_WEIR)
            leave_placeholder(stream, ENVOY_BUFFERED_REQUEST_BODY);
        status = ENVOY_TRAILERS_CONTINUE;
    }
    arena_fini(&scratch);
    return status;
}

// ---- the answer -----------------------------------------------------------------------------------------------

// The upstream is gone in the middle of its answer, and Envoy resets the stream when this hook returns: what the exchange
// has to say goes out before, past our own response hooks.
static void end_cut_answer(struct stream *stream)
{
    // A connection that ends inside a chunked body is a protocol error to Envoy.
    enum error_code error =
        stream->local_error == ERROR_UPSTREAM_MALFORMED ? ERROR_UPSTREAM_RESET : stream->local_error;
    struct attempt_verdict verdict = attempt_failed(exchange_attempt(stream->exchange), error, SLICE(""), now_us());
    stream->is_cut = true;
    for (size_t i = 0; i < verdict.piece_count; i++) {
        stream->sent_bytes += verdict.pieces[i].len;
        ENVOY_CALL(http_send_response_data)(stream->filter, bytes_of(verdict.pieces[i]), false);
    }
}

void stream_local_reply(struct stream *stream, struct slice details)
{
    if (stream->is_replying || stream->is_cut)
        return;
    stream->has_local_reply = true;
    stream->local_error = failure_of(details);
    if (stream->is_answer_begun && !stream->is_answer_over)
        end_cut_answer(stream);
}

// Puts the exchange's reply in the place of the answer that passes.
static void become_reply(struct stream *stream, struct arena *scratch, bool is_end)
{
    const struct exchange_reply *reply = exchange_reply(stream->exchange);
    headers_become(stream->filter, ENVOY_RESPONSE_HEADERS, scratch, &reply->head.fields, false);
    headers_set_number(stream->filter, ENVOY_RESPONSE_HEADERS, SLICE(":status"), reply->head.status);
    headers_set_number(stream->filter, ENVOY_RESPONSE_HEADERS, SLICE("content-length"), is_end ? 0 : reply->body.len);
    stream->is_reply_body = true;
    stream->is_answer_over = is_end;
}

// Envoy's own answer after the last try, or instead of one.
static void answer_failure(struct stream *stream, struct arena *scratch, bool is_end)
{
    struct attempt *attempt = exchange_attempt(stream->exchange);
    if (attempt)
        attempt_failed(attempt, stream->local_error, SLICE(""), now_us());
    exchange_fail(stream->exchange, stream->local_error); // does nothing when a reply is ready
    become_reply(stream, scratch, is_end);
}

static void answer_head(struct stream *stream, struct arena *scratch, bool is_end)
{
    struct attempt *attempt = exchange_attempt(stream->exchange);
    struct header_map map;
    if (!headers_read(stream->filter, ENVOY_RESPONSE_HEADERS, scratch, &map))
        return;
    struct response_head head = {.status = map.status, .version = HTTP_1_1, .fields = map.fields};
    attempt_request_sent(attempt); // Envoy has copied the body
    struct attempt_verdict verdict = attempt_response_head(attempt, &head, !is_end, map.content_length, now_us());
    if (verdict.kind != ATTEMPT_PASS) {
        become_reply(stream, scratch, is_end);
        return;
    }
    stream->is_answer_begun = true;
    stream->is_answer_over = is_end;
    bool keeps_length = is_end || verdict.body_bytes >= 0; // of an answer to HEAD it is what GET would have got
    headers_become(stream->filter, ENVOY_RESPONSE_HEADERS, scratch, &verdict.head->fields, keeps_length);
}

enum envoy_headers_status stream_response_headers(struct stream *stream, bool is_end)
{
    struct arena scratch;
    if (stream->is_replying || !stream->exchange || stream->forward == FORWARD_HEADERS) {
        stream->is_answer_over = is_end;
        return ENVOY_HEADERS_CONTINUE;
    }
    scratch_init(&scratch);
    if (stream->has_local_reply || !exchange_attempt(stream->exchange))
        answer_failure(stream, &scratch, is_end);
    else
        answer_head(stream, &scratch, is_end);
    arena_fini(&scratch);
    return ENVOY_HEADERS_CONTINUE;
}

static void replace_body(struct stream *stream, bool is_end)
{
    const struct exchange_reply *reply = exchange_reply(stream->exchange);
    size_t size = ENVOY_CALL(http_get_body_size)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY);
    if (size)
        ENVOY_CALL(http_drain_body)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, size);
    if (is_end && reply->body.len) {
        ENVOY_CALL(http_append_body)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, bytes_of(reply->body));
        stream->sent_bytes += reply->body.len;
    }
    stream->is_answer_over = is_end;
}

// The body of one frame on its way through the exchange. Nothing is written while everything passes as it came.
struct passage {
    struct stream *stream;
    const struct envoy_bytes *chunks;
    size_t rewritten; // chunks before this one stand in the new body already, SIZE_MAX: all pass untouched
    size_t old_bytes;
};

static void append(const struct stream *stream, struct slice piece)
{
    if (piece.len)
        ENVOY_CALL(http_append_body)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, bytes_of(piece));
}

static bool is_whole(const struct attempt_verdict *verdict, struct slice chunk)
{
    size_t bytes = 0;
    for (size_t i = 0; i < verdict->piece_count; i++) {
        if (verdict->pieces[i].ptr != chunk.ptr + bytes)
            return false;
        bytes += verdict->pieces[i].len;
    }
    return bytes == chunk.len;
}

// Appending leaves the bytes of earlier slices where they are, so that the pieces stay valid until the old part of the
// body is drained at the end.
static void pass(struct passage *passage, size_t i, const struct attempt_verdict *verdict)
{
    struct slice chunk = slice_of(passage->chunks[i]);
    if (passage->rewritten == SIZE_MAX && is_whole(verdict, chunk))
        return;
    for (size_t before = 0; passage->rewritten == SIZE_MAX && before < i; before++)
        append(passage->stream, slice_of(passage->chunks[before]));
    passage->rewritten = i + 1;
    for (size_t piece = 0; piece < verdict->piece_count; piece++)
        append(passage->stream, verdict->pieces[piece]);
}

// The end of a stream that may not look complete: reset once this hook's bytes are on their way.
static void cut(struct stream *stream)
{
    stream->is_cut = true;
    if (!stream->scheduler)
        stream->scheduler = ENVOY_CALL(http_filter_scheduler_new)(stream->filter);
    if (stream->scheduler)
        ENVOY_CALL(http_filter_scheduler_commit)(stream->scheduler, 0);
}

static bool pass_frame(struct stream *stream, struct arena *scratch, bool is_end)
{
    size_t count = ENVOY_CALL(http_get_body_chunks_size)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY);
    struct envoy_bytes *chunks = arena_alloc(scratch, (count + 1) * sizeof *chunks);
    struct attempt *attempt = exchange_attempt(stream->exchange);
    struct passage passage = {.stream = stream, .chunks = chunks, .rewritten = SIZE_MAX};
    if (!chunks)
        return false;
    if (count && !ENVOY_CALL(http_get_body_chunks)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, chunks))
        count = 0;
    if (!count)
        chunks[count++] = (struct envoy_bytes){"", 0}; // an end without bytes may still bring some forth
    bool is_good = true;
    int64_t now = now_us();
    for (size_t i = 0; i < count && is_good; i++) {
        passage.old_bytes += chunks[i].len;
        struct attempt_verdict verdict =
            attempt_response_body(attempt, slice_of(chunks[i]), is_end && i + 1 == count, now);
        pass(&passage, i, &verdict);
        is_good = verdict.kind == ATTEMPT_PASS || verdict.kind == ATTEMPT_DONE;
    }
    if (passage.rewritten != SIZE_MAX && passage.old_bytes)
        ENVOY_CALL(http_drain_body)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, passage.old_bytes);
    stream->sent_bytes += ENVOY_CALL(http_get_body_size)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY);
    return is_good;
}

enum envoy_body_status stream_response_body(struct stream *stream, bool is_end)
{
    struct arena scratch;
    if (stream->is_cut)
        return ENVOY_BODY_CONTINUE;
    if (stream->is_replying || !stream->exchange || stream->forward == FORWARD_HEADERS) {
        stream->is_answer_over = is_end;
        return ENVOY_BODY_CONTINUE;
    }
    if (stream->is_reply_body) {
        replace_body(stream, is_end);
        return ENVOY_BODY_CONTINUE;
    }
    scratch_init(&scratch);
    bool is_good = pass_frame(stream, &scratch, is_end);
    arena_fini(&scratch);
    if (!is_good) {
        cut(stream);
        return ENVOY_BODY_CONTINUE;
    }
    stream->is_answer_over = is_end;
    return ENVOY_BODY_CONTINUE;
}

// Trailers end a body: what the exchange held back of it goes out before them.
enum envoy_trailers_status stream_response_trailers(struct stream *stream)
{
    struct attempt *attempt = stream->exchange ? exchange_attempt(stream->exchange) : NULL;
    stream->is_answer_over = true;
    if (!attempt || stream->is_replying || stream->is_reply_body || stream->forward == FORWARD_HEADERS)
        return ENVOY_TRAILERS_CONTINUE;
    struct attempt_verdict verdict = attempt_response_body(attempt, slice_make("", 0), true, now_us());
    for (size_t i = 0; i < verdict.piece_count; i++)
        ENVOY_CALL(http_append_body)(stream->filter, ENVOY_BUFFERED_RESPONSE_BODY, bytes_of(verdict.pieces[i]));
    return ENVOY_TRAILERS_CONTINUE;
}

void stream_scheduled(struct stream *stream)
{
    ENVOY_CALL(http_filter_reset_stream)(stream->filter, ENVOY_RESET_LOCAL, bytes_of(SLICE("weir_cut")));
}

// ---- the end --------------------------------------------------------------------------------------------------

static void put_number(const struct stream *stream, struct slice space, struct slice key, double value)
{
    ENVOY_CALL(http_set_dynamic_metadata_number)(stream->filter, bytes_of(space), bytes_of(key), value);
}

// As %USAGE(...)% names them (observe/operator.c); `weir envoy` writes that operator as this metadata.
static const struct slice usage_keys[USAGE_KIND_COUNT] = {
    [USAGE_INPUT] = SLICE_INIT("input"),
    [USAGE_CACHED_INPUT] = SLICE_INIT("cached_input"),
    [USAGE_CACHE_CREATION_INPUT] = SLICE_INIT("cache_creation_input"),
    [USAGE_OUTPUT] = SLICE_INIT("output"),
    [USAGE_TOTAL] = SLICE_INIT("total"),
    [USAGE_REASONING] = SLICE_INIT("reasoning"),
};

static void put_text(const struct stream *stream, struct slice space, struct slice key, struct slice value)
{
    ENVOY_CALL(http_set_dynamic_metadata_string)
    (stream->filter, bytes_of(space), bytes_of(key), bytes_of(value));
}

static void put_metadata(const struct stream *stream, const struct record *record)
{
    struct slice space = SLICE(RECORD_AI_NAMESPACE);
    for (size_t i = 0; i < record->metadata_count; i++) {
        const struct record_metadata *item = &record->metadata[i];
        if (item->type == RECORD_NUMBER)
            put_number(stream, space, item->key, item->number);
        else
            put_text(stream, space, item->key, item->text);
    }
    for (size_t kind = 0; kind < USAGE_KIND_COUNT; kind++)
        if (usage_has(&record->usage, (enum usage_kind)kind))
            put_number(stream, SLICE(WEIR_METADATA), usage_keys[kind], (double)record->usage.tokens[kind]);
    if (record->route_name.len)
        put_text(stream, SLICE(WEIR_METADATA), SLICE("route_name"), record->route_name);
    // What Weir refused or cut itself Envoy has no letters for; all else it flags better than we could.
    if ((stream->is_replying || stream->is_cut) && !slice_eq(record->flags, SLICE("-")))
        put_text(stream, SLICE(WEIR_METADATA), SLICE("flags"), record->flags);
    if (record->upstream_time_us >= 0)
        put_number(stream, SLICE(WEIR_METADATA), SLICE("upstream_ms"), (double)(record->upstream_time_us / 1000));
}

// The log shows the request as it was received and lifted, not as the last backend got it (S9).
static void restore_request(const struct stream *stream, const struct record *record)
{
    struct arena scratch;
    scratch_init(&scratch);
    if (record->request)
        headers_become(stream->filter, ENVOY_REQUEST_HEADERS, &scratch, record->request, true);
    if (record->path.len)
        headers_set(stream->filter, ENVOY_REQUEST_HEADERS, SLICE(":path"), record->path);
    if (record->authority.len)
        headers_set(stream->filter, ENVOY_REQUEST_HEADERS, SLICE(":authority"), record->authority);
    arena_fini(&scratch);
}

void stream_complete(struct stream *stream)
{
    if (!stream->exchange)
        return;
    enum exchange_end how = stream->is_cut                                  ? END_CUT
                            : stream->is_answer_over || stream->is_replying ? END_COMPLETE
                                                                            : END_CLIENT_GONE;
    const struct record *record =
        exchange_close(stream->exchange, how, now_us(), stream->received_bytes, stream->sent_bytes);
    put_metadata(stream, record);
    restore_request(stream, record);
}
