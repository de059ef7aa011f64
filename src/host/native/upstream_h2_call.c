// One request on an HTTP/2 connection to a backend: the back between nghttp2 and a stream's exchange.
#include "host/native/upstream_h2.h"

#include "host/native/h1_write.h"
#include "host/native/pool.h"
#include "host/native/stream.h"

#include <stdlib.h>

#define SUSPECT_US                                                                                                     \
    1000000 // a connection that was silent for so long after a request, which was given up then, may be dead

#define LINGER_US 1000000 // for the end of an answer whose content has come

static const struct back_ops back_ops;
static void on_linger(struct deadline *deadline, int64_t now_us);

static struct upstream_h2_call *of_back(struct back *back)
{
    return LIST_OWNER(back, struct upstream_h2_call, back);
}

// ---- life ---------------------------------------------------------------------------------------------------------

struct upstream_h2_call *upstream_h2_call_new(struct upstream_h2 *h2, struct stream *stream)
{
    struct upstream_h2_call *call = calloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->back = (struct back){&back_ops, h2->upstream};
    call->h2 = h2;
    call->stream = stream;
    call->is_first = h2->upstream->requests == 0;
    buf_init(&call->unsent, UPSTREAM_UNSENT_MAX);
    buf_init(&call->held, h2->upstream->h2_stream_window);
    call->answer_left = -1;
    deadline_init(&call->linger, on_linger);
    list_init(&call->touched_node);
    list_init(&call->owed_node);
    list_append(&h2->calls, &call->node);
    h2->open_count++;
    h2->used_count++;
    h2->upstream->pool->active++;
    return call;
}

void upstream_h2_call_free(struct upstream_h2_call *call)
{
    if (!call->is_closed && call->id)
        nghttp2_session_set_stream_user_data(call->h2->base.ng, call->id, NULL);
    if (!call->is_closed)
        call->h2->open_count--;
    list_remove(&call->node);
    list_remove(&call->touched_node);
    list_remove(&call->owed_node);
    deadline_clear(&call->h2->base.worker->deadlines, &call->linger);
    buf_fini(&call->unsent);
    buf_fini(&call->held);
    free(call);
}

// The stream is told no more of it.
static struct stream *detach(struct upstream_h2_call *call)
{
    struct stream *stream = call->stream;
    if (!stream)
        return NULL;
    call->stream = NULL;
    call->body_count = call->body_index = call->body_left = 0;
    call->h2->used_count--;
    call->h2->upstream->pool->active--;
    return stream;
}

void upstream_h2_touch(struct upstream_h2_call *call)
{
    if (list_is_empty(&call->touched_node))
        list_append(&call->h2->touched, &call->touched_node);
    h2_session_schedule(&call->h2->base);
}

static void reset(struct upstream_h2_call *call, uint32_t code)
{
    nghttp2_submit_rst_stream(call->h2->base.ng, NGHTTP2_FLAG_NONE, call->id, code);
    h2_session_schedule(&call->h2->base);
}

// The answer is not good: the stream is told when nghttp2 has let go of it.
static void fail(struct upstream_h2_call *call, enum error_code error, struct slice why)
{
    call->failure = error;
    call->failure_why = why;
    reset(call, error == ERROR_UPSTREAM_TOO_LARGE ? NGHTTP2_CANCEL : NGHTTP2_PROTOCOL_ERROR);
}

// ---- the request --------------------------------------------------------------------------------------------------

static bool expects_length(const struct attempt_request *request)
{
    return request->body_bytes > 0 || (request->body_bytes == 0 && h1_method_expects_body(request->method));
}

// The head as nghttp2 wants it, in the worker's scratch buffer; it copies, and writes names in lower case.
static nghttp2_nv *list_pairs(struct upstream_h2_call *call, const struct attempt_request *request,
                              struct slice authority, struct buf *digits, size_t *ret_count)
{
    struct upstream *upstream = call->h2->upstream;
    struct buf *scratch = &upstream->worker->head;
    const struct fields *fields = &request->fields;
    buf_reset(scratch);
    scratch->has_failed = false;
    if (!buf_reserve(scratch, (fields->count + 5) * sizeof(nghttp2_nv)))
        return NULL;
    nghttp2_nv *pairs = (nghttp2_nv *)(void *)scratch->ptr;
    size_t count = 0;
    pairs[count++] = h2_session_pair(SLICE(":method"), request->method);
    pairs[count++] = h2_session_pair(SLICE(":scheme"), upstream->tls ? SLICE("https") : SLICE("http"));
    pairs[count++] = h2_session_pair(SLICE(":authority"), authority);
    pairs[count++] = h2_session_pair(SLICE(":path"), request->target);
    for (size_t i = 0; i < fields->count; i++)
        if (!h2_session_is_framing(fields->items[i].name) && !slice_eq_nocase(fields->items[i].name, SLICE("host")))
            pairs[count++] = h2_session_pair(fields->items[i].name, fields->items[i].value);
    if (expects_length(request)) {
        buf_append_i64(digits, request->body_bytes);
        pairs[count++] = h2_session_pair(SLICE("content-length"), buf_slice(digits));
    }
    *ret_count = count;
    return pairs;
}

static size_t queued(const struct upstream_h2_call *call)
{
    return call->unsent.len - call->unsent_at;
}

static nghttp2_ssize read_body(nghttp2_session *ng, int32_t id, uint8_t *bytes, size_t len, uint32_t *flags,
                               nghttp2_data_source *source, void *context)
{
    struct upstream_h2_call *call = source->ptr;
    size_t have = call->body_left + queued(call);
    (void)ng;
    (void)id;
    (void)bytes;
    (void)context;
    if (!call->stream || (have == 0 && !call->is_body_ended)) { // without its stream it is reset
        call->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (have <= len && call->is_body_ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (have == 0)
        return 0;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (nghttp2_ssize)(have < len ? have : len);
}

// Of the held body's slices. Gives how many bytes there were.
static size_t take_held(struct upstream_h2_call *call, size_t len, struct buf *out)
{
    size_t taken = 0;
    while (taken < len && call->body_index < call->body_count) {
        struct slice rest = slice_from(call->body[call->body_index], call->body_offset);
        size_t part = rest.len < len - taken ? rest.len : len - taken;
        buf_append(out, slice_sub(rest, 0, part));
        taken += part;
        call->body_offset += part;
        if (part == rest.len) {
            call->body_index++;
            call->body_offset = 0;
        }
    }
    call->body_left -= taken;
    return taken;
}

bool upstream_h2_call_take(struct upstream_h2_call *call, size_t len, struct buf *out)
{
    len -= take_held(call, len, out);
    if (len == 0)
        return !out->has_failed;
    bool was_high = queued(call) >= BACK_UNSENT_HIGH / 2;
    buf_append(out, slice_sub(buf_slice(&call->unsent), call->unsent_at, len));
    call->unsent_at += len;
    if (call->unsent_at == call->unsent.len) {
        buf_reset(&call->unsent);
        call->unsent_at = 0;
    } else if (call->unsent_at > call->unsent.len / 2) {
        buf_drop_front(&call->unsent, call->unsent_at);
        call->unsent_at = 0;
    }
    if (was_high && queued(call) < BACK_UNSENT_HIGH / 2) {
        call->is_drained = true;
        upstream_h2_touch(call);
    }
    return !out->has_failed;
}

static bool send_head(struct back *back, const struct attempt_request *request, struct slice authority, bool is_whole)
{
    struct upstream_h2_call *call = of_back(back);
    struct upstream_h2 *h2 = call->h2;
    char text[32];
    size_t count = 0;
    struct buf digits = {.ptr = text, .cap = sizeof text, .max = sizeof text};
    nghttp2_nv *pairs = list_pairs(call, request, authority, &digits, &count);
    nghttp2_data_provider2 provider = {.source.ptr = call, .read_callback = read_body};
    bool has_body = request->body_bytes != 0 || !is_whole;
    if (!pairs)
        return false;
    call->body = request->body;
    call->body_count = request->body_count;
    for (size_t i = 0; i < call->body_count; i++)
        call->body_left += call->body[i].len;
    call->is_head_request = slice_eq(request->method, SLICE("HEAD"));
    call->is_body_ended = is_whole;
    call->received_before = h2->received;
    call->sent_us = loop_now_us();
    int32_t id = nghttp2_submit_request2(h2->base.ng, NULL, pairs, count, has_body ? &provider : NULL, call);
    if (id < 0)
        return false;
    call->id = id;
    counter_add(&h2->base.worker->counters.upstream_requests, 1);
    h2_session_schedule(&h2->base);
    return true;
}

static void send_piece(struct back *back, struct slice piece, bool is_end)
{
    struct upstream_h2_call *call = of_back(back);
    if (call->is_closed || call->failure != ERROR_NONE)
        return;
    call->is_body_ended = is_end;
    if (piece.len && !buf_append(&call->unsent, piece)) {
        reset(call, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    if (call->is_deferred) {
        call->is_deferred = false;
        nghttp2_session_resume_data(call->h2->base.ng, call->id);
    }
    h2_session_schedule(&call->h2->base);
}

static size_t unsent(const struct back *back)
{
    return queued(LIST_OWNER((uintptr_t)back, const struct upstream_h2_call, back));
}

static bool is_sent(const struct back *back)
{
    const struct upstream_h2_call *call = LIST_OWNER((uintptr_t)back, const struct upstream_h2_call, back);
    return call->is_end_sent || (call->is_body_ended && call->is_head_sent && call->body_left + queued(call) == 0);
}

// ---- the answer ---------------------------------------------------------------------------------------------------

// The window is given back at the end of the turn: by then the end of the answer is often known, and no frame is needed.
static void consume(struct upstream_h2_call *call, size_t len)
{
    if (call->is_closed || len == 0)
        return;
    call->owed_window += len;
    if (list_is_empty(&call->owed_node))
        list_append(&call->h2->owed, &call->owed_node);
    h2_session_schedule(&call->h2->base);
}

void upstream_h2_call_give_window(struct upstream_h2_call *call)
{
    size_t len = call->owed_window;
    call->owed_window = 0;
    if (!call->is_closed && !call->is_end_read)
        nghttp2_session_consume_stream(call->h2->base.ng, call->id, len);
}

void upstream_h2_call_head(struct upstream_h2_call *call, bool is_end)
{
    struct upstream_h2 *h2 = call->h2;
    struct h1_response response;
    if (!call->stream || call->failure != ERROR_NONE)
        return;
    if (call->has_head) { // trailers are dropped, within the limits of a head (S11)
        if (h2->base.head.error != ERROR_NONE)
            fail(call, ERROR_UPSTREAM_TOO_LARGE, SLICE("response trailers too large"));
        else if (is_end)
            upstream_h2_call_data_end(call);
        return;
    }
    enum error_code error =
        h2_head_response(&h2->base.head, is_end, call->is_head_request, h2->base.worker->spans, &response);
    if (error != ERROR_NONE) {
        fail(call, error,
             error == ERROR_UPSTREAM_TOO_LARGE ? SLICE("response head too large") : SLICE("malformed response head"));
        return;
    }
    if (response.head.status < 200) {
        if (++call->early_heads > UPSTREAM_EARLY_HEADS)
            fail(call, ERROR_UPSTREAM_MALFORMED, SLICE("too many interim answers"));
        return;
    }
    call->has_head = true;
    call->is_end_read = is_end;
    call->is_whole = is_end || !response.has_body;
    call->answer_left = response.content_length;
    stream_upstream_answer(call->stream, &response, slice_make("", 0), call->is_whole);
}

// An answer that told its length is whole with its last byte, as in HTTP/1.1; nghttp2 lets no more than that through.
static void count_answer(struct upstream_h2_call *call, size_t len)
{
    if (call->answer_left < 0)
        return;
    call->answer_left -= (int64_t)len;
    call->is_whole |= call->answer_left == 0;
}

void upstream_h2_call_data(struct upstream_h2_call *call, struct slice piece)
{
    count_answer(call, piece.len);
    if (!call->stream || call->failure != ERROR_NONE) { // nobody wants it
        consume(call, piece.len);
    } else if (!call->is_paused && call->held.len == 0) {
        consume(call, piece.len);
        stream_upstream_answer(call->stream, NULL, piece, call->is_whole);
    } else if (!buf_append(&call->held, piece)) { // more than the window: nghttp2 lets none through
        fail(call, ERROR_UPSTREAM_MALFORMED, SLICE("the backend sends more than its window"));
    }
}

void upstream_h2_call_data_end(struct upstream_h2_call *call)
{
    call->is_end_read = true;
    if (!call->stream || call->failure != ERROR_NONE)
        return;
    call->is_whole = true;
    if (call->held.len == 0)
        stream_upstream_answer(call->stream, NULL, slice_make("", 0), true);
}

// Gives the stream what was held back, and the end if that is next.
static void feed(struct upstream_h2_call *call)
{
    if (!call->stream || call->held.len == 0)
        return;
    struct buf held = call->held;
    buf_init(&call->held, held.max);
    consume(call, held.len);
    stream_upstream_answer(call->stream, NULL, buf_slice(&held), call->is_whole);
    buf_fini(&held);
}

static void pause_reading(struct back *back, bool is_paused)
{
    struct upstream_h2_call *call = of_back(back);
    call->is_paused = is_paused;
    if (!is_paused && call->held.len)
        upstream_h2_touch(call);
}

void upstream_h2_call_news(struct upstream_h2_call *call)
{
    bool is_drained = call->is_drained;
    call->is_drained = false;
    if (!call->is_paused)
        feed(call);
    if (is_drained && call->stream)
        stream_upstream_drained(call->stream);
}

// ---- the end ------------------------------------------------------------------------------------------------------

static bool is_unsafe_silence(const struct upstream_h2_call *call)
{
    return call->id && !call->is_closed && call->received_before == call->h2->received &&
           loop_now_us() - call->sent_us >= SUSPECT_US;
}

static void release(struct back *back)
{
    struct upstream_h2_call *call = of_back(back);
    struct upstream_h2 *h2 = call->h2;
    h2->is_suspect |= is_unsafe_silence(call);
    detach(call);
    consume(call, call->held.len);
    buf_reset(&call->held);
    if (call->id == 0) { // nghttp2 never knew it
        call->is_closed = true;
        h2->open_count--;
    }
    if (call->is_closed) {
        list_remove(&call->node);
        list_append(&h2->closed, &call->node);
    } else if (call->is_whole && call->is_end_sent) { // END_STREAM is on its way; a reset would look like an attack
        worker_deadline(h2->base.worker, &call->linger, loop_now_us() + LINGER_US);
    } else {
        reset(call, call->is_whole ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    }
    h2_session_schedule(&h2->base);
}

static void on_linger(struct deadline *deadline, int64_t now_us)
{
    struct upstream_h2_call *call = LIST_OWNER(deadline, struct upstream_h2_call, linger);
    (void)now_us;
    if (!call->is_closed)
        reset(call, NGHTTP2_CANCEL);
}

static enum error_code explain(const struct upstream_h2_call *call, struct slice *ret_why)
{
    *ret_why = call->failure_why;
    if (call->failure != ERROR_NONE)
        return call->failure;
    *ret_why = SLICE("malformed HTTP/2 answer");
    if (call->is_head_sent && !call->is_reset && call->reset_code != NGHTTP2_REFUSED_STREAM)
        return ERROR_UPSTREAM_MALFORMED;
    *ret_why = slice_from_cstr(nghttp2_http2_strerror(call->reset_code));
    return ERROR_UPSTREAM_RESET;
}

// The backend has not looked at the request: it may be sent again (RFC 9113 section 8.7).
static bool is_unprocessed(const struct upstream_h2_call *call)
{
    return call->failure == ERROR_NONE && !call->has_head &&
           (!call->is_head_sent || call->reset_code == NGHTTP2_REFUSED_STREAM);
}

void upstream_h2_call_closed(struct upstream_h2_call *call)
{
    struct slice why;
    enum error_code error = explain(call, &why);
    if (call->stream && call->is_whole && call->failure == ERROR_NONE) { // its rest waits for the client
        list_remove(&call->node);
        list_append(&call->h2->calls, &call->node);
        return;
    }
    if (call->failure == ERROR_NONE)
        feed(call);
    bool is_race = is_unprocessed(call);
    if (call->stream && call->is_reset)
        counter_add(&call->h2->base.worker->counters.upstream_h2_resets, 1);
    struct stream *stream = detach(call);
    upstream_h2_call_free(call);
    if (stream)
        stream_upstream_failed(stream, error, why, is_race);
}

void upstream_h2_call_lost(struct upstream_h2_call *call, enum error_code error, struct slice why)
{
    struct upstream_h2 *h2 = call->h2;
    feed(call);
    bool is_silent = !call->is_first && call->received_before == h2->received;
    bool is_race = error == ERROR_UPSTREAM_RESET && (!call->is_head_sent || is_silent);
    struct stream *stream = detach(call);
    upstream_h2_call_free(call);
    if (stream)
        stream_upstream_failed(stream, error, why, is_race);
}

static const struct back_ops back_ops = {
    .send = send_head,
    .send_piece = send_piece,
    .unsent = unsent,
    .is_sent = is_sent,
    .pause = pause_reading,
    .release = release,
};
