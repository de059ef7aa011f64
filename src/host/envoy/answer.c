// The answer's side of a stream: an upstream's answer through the exchange, or what Envoy answers in its endpoint's shape.
#include "host/envoy/stream_parts.h"

#include "host/envoy/failure.h"

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
