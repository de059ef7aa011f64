// The answer's side of a stream: an upstream's answer through the exchange, or what Envoy answers in its endpoint's shape.
#include "host/envoy/stream_parts.h"

#include "host/envoy/failure.h"
#include "host/envoy/outgoing.h"
#include "host/envoy/refusal.h"

static void append(const struct stream *stream, struct slice piece)
{
    if (piece.len)
        ENVOY_CALL(http_append_body)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, bytes_of(piece));
}

static bool is_method(const struct stream *stream, struct slice wanted)
{
    struct envoy_bytes method = {NULL, 0};
    return ENVOY_CALL(http_get_header)(stream->filter, ENVOY_REQUEST_HEADERS, bytes_of(SLICE(":method")), &method, 0,
                                       NULL) &&
           slice_eq(slice_of(method), wanted);
}

// Gives an answer that came without a body one, in the hook of its head. Not an answer to HEAD.
static void add_body(struct stream *stream, struct slice body)
{
    if (!body.len || is_method(stream, SLICE("HEAD")))
        return;
    ENVOY_CALL(http_append_body)(stream->filter, ENVOY_BUFFERED_RESPONSE_BODY, bytes_of(body));
    stream->sent_bytes += body.len;
}

// Bytes for the client at once, whatever becomes of the frame of the hook that runs. They come by our own body hook, too.
static void speak(struct stream *stream, struct slice bytes)
{
    if (!bytes.len)
        return;
    stream->is_speaking = true;
    ENVOY_CALL(http_send_response_data)(stream->filter, bytes_of(bytes), false);
    stream->is_speaking = false;
}

// The upstream is gone in the middle of its answer, and Envoy resets the stream when this hook returns: what the exchange
// has to say goes out before.
static void end_cut_answer(struct stream *stream)
{
    // A connection that ends inside a chunked body is a protocol error to Envoy.
    bool is_known = stream->local_error != ERROR_UPSTREAM_MALFORMED && stream->local_error != ERROR_NONE;
    enum error_code error = is_known ? stream->local_error : ERROR_UPSTREAM_RESET;
    struct attempt_verdict verdict = attempt_failed(exchange_attempt(stream->exchange), error, SLICE(""), now_us());
    stream->is_cut = true;
    for (size_t i = 0; i < verdict.piece_count; i++) {
        stream->sent_bytes += verdict.pieces[i].len;
        speak(stream, verdict.pieces[i]);
    }
}

void stream_local_reply(struct stream *stream, uint32_t status, struct slice details)
{
    if (stream->is_replying || stream->is_cut)
        return;
    stream->has_local_reply = true;
    stream->local_error = failure_of(details, status);
    if (stream->is_answer_begun && !stream->is_answer_over)
        end_cut_answer(stream);
}

// Puts the exchange's reply in the place of the answer that passes.
static void become_reply(struct stream *stream, struct arena *scratch, bool is_end)
{
    const struct exchange_reply *reply = exchange_reply(stream->exchange);
    headers_become(stream->filter, ENVOY_RESPONSE_HEADERS, scratch, &reply->head.fields, false);
    headers_set_number(stream->filter, ENVOY_RESPONSE_HEADERS, SLICE(":status"), reply->head.status);
    // Of an answer to HEAD it is what GET would have got; without memory a reply has no fields.
    struct slice length = fields_value(&reply->head.fields, SLICE("content-length"));
    headers_set(stream->filter, ENVOY_RESPONSE_HEADERS, SLICE("content-length"), length.len ? length : SLICE("0"));
    if (is_end)
        add_body(stream, reply->body);
    stream->is_reply_body = true;
    stream->is_answer_over = is_end;
}

// Of a request that was built ahead nobody saw where it went.
static void note_upstream(const struct stream *stream, struct attempt *attempt)
{
    if (stream->is_built)
        attempt_connected(attempt, attribute_text(stream->filter, ENVOY_ATTRIBUTE_UPSTREAM_ADDRESS),
                          attribute_text(stream->filter, ENVOY_ATTRIBUTE_UPSTREAM_LOCAL_ADDRESS), 0);
}

// Envoy's own answer after the last try, or instead of one.
static void answer_failure(struct stream *stream, struct arena *scratch, bool is_end)
{
    struct attempt *attempt = exchange_attempt(stream->exchange);
    if (attempt) {
        note_upstream(stream, attempt);
        attempt_failed(attempt, stream->local_error, SLICE(""), now_us());
    }
    exchange_fail(stream->exchange, stream->local_error); // does nothing when a reply is ready
    become_reply(stream, scratch, is_end);
}

// ---- answers of guards, and of Envoy before there is an exchange ------------------------------------------------

static enum error_code error_of_guard(uint16_t status)
{
    return status == 401 ? ERROR_UNAUTHENTICATED : status == 403 ? ERROR_FORBIDDEN : ERROR_RATE_LIMITED;
}

// What the upstream position has refused has its reply in the exchange.
static bool is_guards(const struct stream *stream)
{
    return stream->has_local_reply && stream->local_error == ERROR_NONE &&
           exchange_error(stream->exchange) == ERROR_NONE;
}

// A filter behind this one (ext_authz, a rate limit) has answered. What it says of itself stays as it is; where it refuses
// without a word, the client gets the endpoint's words (S9), and the guard's own fields with them.
static void pass_guard(struct stream *stream, struct arena *scratch, bool is_end)
{
    struct header_map map;
    stream->is_guarded = true;
    stream->is_answer_over = is_end;
    if (!headers_read(stream->filter, ENVOY_RESPONSE_HEADERS, scratch, &map))
        return;
    bool is_refusal = map.status == 401 || map.status == 403 || map.status == 429;
    if (!is_refusal)
        return;
    exchange_fail(stream->exchange, error_of_guard(map.status));
    const struct exchange_reply *reply = exchange_reply(stream->exchange);
    bool is_silent = is_end && reply->head.status == map.status;
    for (size_t i = 0; i < reply->head.fields.count; i++) {
        const struct field *field = &reply->head.fields.items[i];
        if (is_silent || slice_eq(field->name, SLICE("x-request-id")))
            headers_set(stream->filter, ENVOY_RESPONSE_HEADERS, field->name, field->value);
    }
    if (is_silent)
        add_body(stream, reply->body);
}

static void answer_early(struct stream *stream, struct arena *scratch, bool is_end)
{
    struct slice details = attribute_text(stream->filter, ENVOY_ATTRIBUTE_RESPONSE_CODE_DETAILS);
    struct header_map map;
    stream->early_error = failure_of_head(details, 0);
    if (stream->early_error == ERROR_NONE || !headers_read(stream->filter, ENVOY_RESPONSE_HEADERS, scratch, &map))
        return;
    stream->early_error = failure_of_head(details, map.status);
    if (stream->early_error == ERROR_UPGRADE && is_method(stream, SLICE("CONNECT"))) // to Envoy one kind of upgrade
        stream->early_error = ERROR_METHOD_NOT_ALLOWED;
    struct refusal refusal;
    refusal_make(&refusal, stream->early_error, random_u64(), random_u64());
    refusal_write_head(stream->filter, &refusal);
    if (is_end)
        add_body(stream, refusal.body);
}

static void replace_early(struct stream *stream, bool is_end)
{
    struct refusal refusal;
    body_drain_all(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY);
    if (!is_end)
        return;
    refusal_make(&refusal, stream->early_error, 0, 0); // for its body
    append(stream, refusal.body);
}

// A status that says nothing (101, which nobody has asked for and after which anything may come, or one of four digits), or a
// length beyond 63 bits.
static enum envoy_headers_status refuse_answer(struct stream *stream, struct arena *scratch)
{
    attempt_failed(exchange_attempt(stream->exchange), ERROR_UPSTREAM_MALFORMED, SLICE(""), now_us());
    exchange_fail(stream->exchange, ERROR_UPSTREAM_MALFORMED); // does nothing when a reply is ready
    send_reply(stream, scratch);
    return ENVOY_HEADERS_STOP;
}

static enum envoy_headers_status answer_head(struct stream *stream, struct arena *scratch, bool is_end)
{
    struct attempt *attempt = exchange_attempt(stream->exchange);
    struct header_map map;
    if (!headers_read(stream->filter, ENVOY_RESPONSE_HEADERS, scratch, &map))
        return ENVOY_HEADERS_CONTINUE;
    if (map.status < 200 || map.is_length_malformed)
        return refuse_answer(stream, scratch);
    struct response_head head = {.status = map.status, .version = HTTP_1_1, .fields = map.fields};
    note_upstream(stream, attempt);
    attempt_request_sent(attempt); // Envoy has copied the body
    struct attempt_verdict verdict = attempt_response_head(attempt, &head, !is_end, map.content_length, now_us());
    if (verdict.kind != ATTEMPT_PASS) {
        become_reply(stream, scratch, is_end);
        return ENVOY_HEADERS_CONTINUE;
    }
    stream->is_answer_begun = true;
    stream->is_answer_over = is_end;
    bool keeps_length = is_end || verdict.body_bytes >= 0; // of an answer to HEAD it is what GET would have got
    headers_read_become(stream->filter, ENVOY_RESPONSE_HEADERS, scratch, &map, &verdict.head->fields, keeps_length);
    return ENVOY_HEADERS_CONTINUE;
}

enum envoy_headers_status stream_response_headers(struct stream *stream, bool is_end)
{
    struct scratch memory __attribute__((uninitialized));
    if (stream->is_replying || (stream->exchange && stream->forward == FORWARD_HEADERS)) {
        stream->is_answer_over = is_end;
        return ENVOY_HEADERS_CONTINUE;
    }
    enum envoy_headers_status status = ENVOY_HEADERS_CONTINUE;
    struct arena *scratch = scratch_init(&memory);
    if (!stream->exchange)
        answer_early(stream, scratch, is_end);
    else if (is_guards(stream))
        pass_guard(stream, scratch, is_end);
    else if (stream->has_local_reply || !exchange_attempt(stream->exchange))
        answer_failure(stream, scratch, is_end);
    else
        status = answer_head(stream, scratch, is_end);
    scratch_fini(&memory);
    return status;
}

static void replace_body(struct stream *stream, bool is_end)
{
    const struct exchange_reply *reply = exchange_reply(stream->exchange);
    body_drain_all(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY);
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
};

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
    struct body_frame frame;
    if (!body_read(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, scratch, &frame))
        return false;
    struct attempt *attempt = exchange_attempt(stream->exchange);
    struct passage passage = {.stream = stream, .chunks = frame.chunks, .rewritten = SIZE_MAX};
    if (!frame.count)
        frame.chunks[frame.count++] = (struct envoy_bytes){"", 0}; // an end without bytes may still bring some forth
    bool is_good = true;
    int64_t now = now_us();
    for (size_t i = 0; i < frame.count && is_good; i++) {
        struct attempt_verdict verdict =
            attempt_response_body(attempt, slice_of(frame.chunks[i]), is_end && i + 1 == frame.count, now);
        pass(&passage, i, &verdict);
        is_good = verdict.kind == ATTEMPT_PASS || verdict.kind == ATTEMPT_DONE;
    }
    if (passage.rewritten == SIZE_MAX) {
        stream->sent_bytes += frame.bytes;
        return is_good;
    }
    body_drain(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, frame.bytes); // what stands behind a cut goes, too
    stream->sent_bytes += ENVOY_CALL(http_get_body_size)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY);
    return is_good;
}

// The same in the upstream's last frame: passed on, it would end the client's message as a complete one. Its bytes go ahead.
static void cut_at_end(struct stream *stream, struct arena *scratch)
{
    struct body_frame frame;
    bool is_read = body_read(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY, scratch, &frame);
    for (size_t i = 0; is_read && i < frame.count; i++)
        speak(stream, slice_of(frame.chunks[i]));
    cut(stream);
}

enum envoy_body_status stream_response_body(struct stream *stream, bool is_end)
{
    struct scratch memory __attribute__((uninitialized));
    if (stream->is_speaking)
        return ENVOY_BODY_CONTINUE;
    if (stream->is_cut) // what still comes before the reset, the end above all
        return ENVOY_BODY_STOP_NO_BUFFER;
    if (stream->early_error != ERROR_NONE) {
        replace_early(stream, is_end);
        return ENVOY_BODY_CONTINUE;
    }
    if (stream->is_guarded)
        stream->sent_bytes += ENVOY_CALL(http_get_body_size)(stream->filter, ENVOY_RECEIVED_RESPONSE_BODY);
    if (stream->is_replying || stream->is_guarded || !stream->exchange || stream->forward == FORWARD_HEADERS) {
        stream->is_answer_over = is_end;
        return ENVOY_BODY_CONTINUE;
    }
    if (stream->is_reply_body) {
        replace_body(stream, is_end);
        return ENVOY_BODY_CONTINUE;
    }
    struct arena *scratch = scratch_init(&memory);
    bool is_good = pass_frame(stream, scratch, is_end);
    if (is_good)
        stream->is_answer_over = is_end;
    else if (is_end)
        cut_at_end(stream, scratch);
    else
        cut(stream);
    scratch_fini(&memory);
    return is_good || !is_end ? ENVOY_BODY_CONTINUE : ENVOY_BODY_STOP_NO_BUFFER;
}

// Trailers end a body: what the exchange held back of it goes out before them. They are dropped, as by the native host.
static bool end_by_trailers(struct stream *stream)
{
    struct attempt_verdict verdict =
        attempt_response_body(exchange_attempt(stream->exchange), slice_make("", 0), true, now_us());
    for (size_t i = 0; i < verdict.piece_count; i++) {
        stream->sent_bytes += verdict.pieces[i].len;
        speak(stream, verdict.pieces[i]);
    }
    return verdict.kind == ATTEMPT_PASS || verdict.kind == ATTEMPT_DONE;
}

enum envoy_trailers_status stream_response_trailers(struct stream *stream)
{
    static const struct fields none;
    struct scratch memory __attribute__((uninitialized));
    if (stream->is_cut)
        return ENVOY_TRAILERS_STOP;
    if (!stream->exchange || !exchange_attempt(stream->exchange) || stream->is_replying || stream->is_guarded ||
        stream->is_reply_body || stream->forward == FORWARD_HEADERS) {
        stream->is_answer_over = true;
        return ENVOY_TRAILERS_CONTINUE;
    }
    if (!end_by_trailers(stream)) {
        cut(stream);
        return ENVOY_TRAILERS_STOP;
    }
    stream->is_answer_over = true;
    struct arena *scratch = scratch_init(&memory);
    headers_become(stream->filter, ENVOY_RESPONSE_TRAILERS, scratch, &none, false);
    scratch_fini(&memory);
    return ENVOY_TRAILERS_CONTINUE;
}

void stream_scheduled(struct stream *stream)
{
    ENVOY_CALL(http_filter_reset_stream)(stream->filter, ENVOY_RESET_LOCAL, bytes_of(SLICE("weir_cut")));
}
