// One HTTP/2 stream of a client: the front between nghttp2 and a stream's exchange.
#include "host/native/h2.h"

#include "exchange/refusal.h"
#include "host/native/access_log.h"
#include "host/native/client.h"
#include "host/native/worker.h"

#include <stdlib.h>

#define QUEUE_CEILING (512U << 20) // of a complete answer that the exchange holds in memory anyway
#define KEPT_QUEUE_BYTES 4096      // of an empty queue
#define LINGER_US 1000000
#define LINGER_BYTES (1U << 20)

static const struct front_ops front_ops;
static void arm(struct h2_stream *stream);
static void on_deadline(struct deadline *deadline, int64_t now_us);

static struct h2_stream *of_front(struct front *front)
{
    return LIST_OWNER(front, struct h2_stream, front);
}

// ---- opening ------------------------------------------------------------------------------------------------------

static struct h2_stream *new_stream(struct h2 *h2, int32_t id)
{
    struct h2_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->front.ops = &front_ops;
    stream->h2 = h2;
    stream->id = id;
    stream->answer_left = -1;
    stream->begun_us = stream->received_us = loop_now_us();
    stream->body_idle_us = h2->limits.body_idle_timeout_ms * 1000;
    stream->send_timeout_us = h2->limits.send_timeout_ms * 1000;
    stream->request_until_us =
        h2->limits.request_timeout_ms > 0 ? h2->head_since_us + h2->limits.request_timeout_ms * 1000 : DEADLINE_NONE;
    buf_init(&stream->held, h2->limits.h2_stream_window);
    buf_init(&stream->queue, QUEUE_CEILING);
    deadline_init(&stream->deadline, on_deadline);
    list_init(&stream->touched_node);
    list_init(&stream->owed_node);
    list_append(&h2->streams, &stream->node);
    h2->stream_count++;
    nghttp2_session_set_stream_user_data(h2->base.ng, id, stream);
    return stream;
}

// `head` NULL: it could not be read.
static void refuse(struct h2_stream *stream, const struct request_head *head, enum error_code error)
{
    struct refusal refusal = {0};
    struct h2 *h2 = stream->h2;
    refusal_make(&refusal, error, worker_random(h2->base.worker), worker_random(h2->base.worker));
    access_log_refused(
        &(struct refused){h2->client, head, &refusal.head, refusal.body.len, h2->head_since_us, HTTP_2, error});
    if (front_head(&stream->front, &refusal.head, true, (int64_t)refusal.body.len))
        front_send(&stream->front, &refusal.body, 1, true);
    else
        nghttp2_submit_rst_stream(h2->base.ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
    arm(stream);
}

static void open_exchange(struct h2_stream *stream, const struct h1_request *request, enum error_code error)
{
    enum exchange_want want;
    struct client *client = stream->h2->client;
    enum error_code why;
    const struct config_listener *listener = client_listener(client, request->head.authority, &why);
    if (!listener) {
        refuse(stream, &request->head, why);
        return;
    }
    stream->stream = stream_open(client, &stream->front, listener->id, request, &want);
    if (!stream->stream) {
        refuse(stream, &request->head, ERROR_OVERLOADED);
        return;
    }
    if (error != ERROR_NONE)
        stream_fail(stream->stream, error);
    else
        stream_start(stream->stream, want);
    arm(stream);
}

bool h2_stream_open(struct h2 *h2, int32_t id, const struct h1_request *request, bool is_end, enum error_code error)
{
    struct h2_stream *stream = new_stream(h2, id);
    if (!stream)
        return false;
    counter_add(&h2->base.worker->counters.requests, 1);
    stream->is_request_read = is_end;
    if (error != ERROR_NONE && error != ERROR_EXPECTATION) {
        refuse(stream, NULL, error);
        return true;
    }
    stream->is_end_given = request->content_length == 0;
    stream->is_head_request = slice_eq(request->head.method, SLICE("HEAD"));
    stream->wants_continue = error == ERROR_NONE && request->expects_continue;
    open_exchange(stream, request, error);
    return true;
}

// ---- the request's body -------------------------------------------------------------------------------------------

// The window is given back at the end of the turn: by then the end of the body is often known, and no frame is needed.
static void consume(struct h2_stream *stream, size_t len)
{
    if (stream->is_closed || len == 0)
        return;
    stream->owed_window += len;
    if (list_is_empty(&stream->owed_node))
        list_append(&stream->h2->owed, &stream->owed_node);
    h2_session_schedule(&stream->h2->base);
}

void h2_stream_give_window(struct h2_stream *stream)
{
    size_t len = stream->owed_window;
    stream->owed_window = 0;
    if (!stream->is_closed && !stream->is_request_read)
        nghttp2_session_consume_stream(stream->h2->base.ng, stream->id, len);
}

static bool takes_body(const struct h2_stream *stream)
{
    return stream->stream && stream_takes_body(stream->stream);
}

static void throw_away(struct h2_stream *stream, size_t len)
{
    stream->thrown_bytes += len;
    if (stream->linger_until_us && stream->thrown_bytes > LINGER_BYTES)
        nghttp2_submit_rst_stream(stream->h2->base.ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
}

void h2_stream_linger(struct h2_stream *stream)
{
    stream->linger_until_us = loop_now_us() + LINGER_US;
    arm(stream);
}

// As in HTTP/1.1: a byte now and then is no progress, except of a body that is passed on as it comes.
static void note_received(struct h2_stream *stream, size_t len)
{
    stream->received_bytes += len;
    if (stream->received_bytes < CLIENT_BODY_STEP && !(stream->stream && stream->stream->is_streamed))
        return;
    stream->received_bytes = 0;
    stream->received_us = loop_now_us();
}

static void note_sent(struct h2_stream *stream, size_t len)
{
    stream->progress_bytes += len;
    if (stream->progress_bytes < CLIENT_SEND_STEP)
        return;
    stream->progress_bytes = 0;
    stream->sent_us = loop_now_us();
}

void h2_stream_data(struct h2_stream *stream, struct slice piece)
{
    note_received(stream, piece.len);
    if (!stream->stream || stream->is_end_given) { // answered already: nobody wants it
        consume(stream, piece.len);
        throw_away(stream, piece.len);
    } else if (stream->held.len == 0 && takes_body(stream)) {
        consume(stream, piece.len);
        stream_body(stream->stream, piece, false);
    } else if (!buf_append(&stream->held, piece)) { // more than the window: nghttp2 lets none through
        nghttp2_submit_rst_stream(stream->h2->base.ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_FLOW_CONTROL_ERROR);
    }
    arm(stream);
}

// Gives the stream what was held back, and the end if that is next.
static void feed(struct h2_stream *stream)
{
    size_t len = stream->held.len;
    bool is_end = stream->is_request_read;
    if (stream->is_end_given || !takes_body(stream) || (len == 0 && !is_end))
        return;
    struct buf held = stream->held;
    buf_init(&stream->held, held.max);
    stream->is_end_given = is_end;
    stream->received_us = loop_now_us();
    consume(stream, len);
    stream_body(stream->stream, len ? buf_slice(&held) : slice_make("", 0), is_end);
    buf_fini(&held);
}

void h2_stream_data_end(struct h2_stream *stream)
{
    stream->is_request_read = true;
    feed(stream);
    arm(stream);
}

static void resume(struct front *front)
{
    struct h2_stream *stream = of_front(front);
    feed(stream);
    arm(stream);
}

// ---- the answer ---------------------------------------------------------------------------------------------------

static void go_on(struct front *front)
{
    struct h2_stream *stream = of_front(front);
    nghttp2_nv status = {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t) "100", 7, 3, NGHTTP2_NV_FLAG_NONE};
    if (stream->wants_continue && !stream->is_request_read && !stream->has_answer && !stream->is_closed) {
        nghttp2_submit_headers(stream->h2->base.ng, NGHTTP2_FLAG_NONE, stream->id, NULL, &status, 1, NULL);
        h2_session_schedule(&stream->h2->base);
    }
    stream->wants_continue = false;
}

// The head as nghttp2 wants it, in the worker's scratch buffer; it copies, and writes names in lower case.
static nghttp2_nv *list_pairs(struct buf *scratch, const struct response_head *head, int64_t body_bytes, char text[32],
                              size_t *ret_count)
{
    buf_reset(scratch);
    if (!buf_reserve(scratch, (head->fields.count + 2) * sizeof(nghttp2_nv)))
        return NULL;
    nghttp2_nv *pairs = (nghttp2_nv *)(void *)scratch->ptr;
    size_t count = 0;
    struct buf digits = {.ptr = text, .cap = 32, .max = 32};
    buf_append_u64(&digits, head->status);
    pairs[count++] = h2_session_pair(SLICE(":status"), buf_slice(&digits));
    for (size_t i = 0; i < head->fields.count; i++)
        if (!h2_session_is_framing(head->fields.items[i].name))
            pairs[count++] = h2_session_pair(head->fields.items[i].name, head->fields.items[i].value);
    if (body_bytes >= 0) {
        size_t at = digits.len;
        buf_append_i64(&digits, body_bytes);
        pairs[count++] = h2_session_pair(SLICE("content-length"), slice_from(buf_slice(&digits), at));
    }
    *ret_count = count;
    return pairs;
}

static bool prepare_head(struct front *front, const struct response_head *head, bool has_body, int64_t body_bytes)
{
    struct h2_stream *stream = of_front(front);
    bool is_bodiless = head->status == 204 || head->status == 304;
    char text[32];
    size_t count = 0;
    if (stream->is_closed)
        return false;
    if (!has_body && body_bytes < 0 && !is_bodiless && !stream->is_head_request)
        body_bytes = 0;
    if (is_bodiless)
        body_bytes = -1;
    nghttp2_nv *pairs = list_pairs(&stream->h2->base.worker->head, head, body_bytes, text, &count);
    stream->has_no_body = is_bodiless || stream->is_head_request;
    stream->answer_left = stream->has_no_body ? -1 : body_bytes;
    bool is_end = stream->has_no_body || body_bytes == 0;
    nghttp2_data_provider2 provider = {.source.ptr = stream, .read_callback = h2_stream_read};
    if (!pairs ||
        nghttp2_submit_response2(stream->h2->base.ng, stream->id, pairs, count, is_end ? NULL : &provider) != 0)
        return false;
    stream->has_answer = true;
    worker_count_response(stream->h2->base.worker, head->status);
    h2_session_schedule(&stream->h2->base);
    return true;
}

static size_t queued(const struct h2_stream *stream)
{
    return stream->queue.len - stream->queue_at;
}

static bool send_pieces(struct front *front, const struct slice *pieces, size_t count, bool is_end)
{
    struct h2_stream *stream = of_front(front);
    size_t bytes = 0;
    if (stream->is_closed)
        return false;
    for (size_t i = 0; i < count && !stream->has_no_body; i++)
        bytes += pieces[i].len;
    if (!front_keeps_length(&stream->answer_left, bytes, is_end))
        return false;
    if (bytes && queued(stream) == 0) {
        stream->sent_us = loop_now_us();
        stream->progress_bytes = 0;
    }
    for (size_t i = 0; i < count && bytes; i++)
        if (!buf_append(&stream->queue, pieces[i]))
            return false;
    stream->is_answer_ended |= is_end;
    if (stream->is_deferred && (bytes || is_end)) {
        stream->is_deferred = false;
        nghttp2_session_resume_data(stream->h2->base.ng, stream->id);
    }
    h2_session_schedule(&stream->h2->base);
    if (queued(stream) >= CLIENT_UNSENT_HIGH)
        h2_session_write(&stream->h2->base);
    return true;
}

nghttp2_ssize h2_stream_read(nghttp2_session *session, int32_t id, uint8_t *bytes, size_t len, uint32_t *flags,
                             nghttp2_data_source *source, void *context)
{
    struct h2_stream *stream = source->ptr;
    size_t have = queued(stream);
    (void)session;
    (void)id;
    (void)bytes;
    (void)context;
    if (have == 0 && !stream->is_answer_ended) {
        stream->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (have <= len && stream->is_answer_ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (have == 0)
        return 0;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (nghttp2_ssize)(have < len ? have : len);
}

bool h2_stream_take(struct h2_stream *stream, size_t len, struct buf *out)
{
    if (!buf_append(out, slice_sub(buf_slice(&stream->queue), stream->queue_at, len)))
        return false;
    stream->queue_at += len;
    note_sent(stream, len);
    if (stream->queue_at == stream->queue.len) {
        stream->queue_at = 0;
        buf_reset(&stream->queue);
        if (stream->queue.cap > KEPT_QUEUE_BYTES) {
            buf_fini(&stream->queue);
            buf_init(&stream->queue, QUEUE_CEILING);
        }
    } else if (stream->queue_at > stream->queue.len / 2) {
        buf_drop_front(&stream->queue, stream->queue_at);
        stream->queue_at = 0;
    }
    h2_touch(stream);
    return true;
}

static size_t unsent(const struct front *front)
{
    return queued(of_front((struct front *)(uintptr_t)front));
}

static void done(struct front *front, bool is_cut)
{
    struct h2_stream *stream = of_front(front);
    stream->stream = NULL;
    if (stream->is_closed)
        return;
    if (is_cut)
        nghttp2_submit_rst_stream(stream->h2->base.ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
    consume(stream, stream->held.len);
    buf_reset(&stream->held);
    h2_session_schedule(&stream->h2->base);
    arm(stream);
}

static void spoil(struct front *front) // each stream is framed by itself
{
    (void)front;
}

static void arm_front(struct front *front)
{
    arm(of_front(front));
}

static const struct front_ops front_ops = {
    .go_on = go_on,
    .head = prepare_head,
    .send = send_pieces,
    .unsent = unsent,
    .done = done,
    .resume = resume,
    .arm = arm_front,
    .spoil = spoil,
};

// ---- news and the end ---------------------------------------------------------------------------------------------

void h2_stream_news(struct h2_stream *stream)
{
    if (stream->stream && queued(stream) < CLIENT_UNSENT_LOW)
        stream_resume(stream->stream);
    if (stream->stream && queued(stream) == 0)
        stream_sent(stream->stream);
    arm(stream);
}

void h2_stream_end(struct h2_stream *stream, enum exchange_end end)
{
    struct h2 *h2 = stream->h2;
    bool was_closed = stream->is_closed;
    stream->is_closed = true;
    if (stream->stream && was_closed && stream->error == NGHTTP2_NO_ERROR && queued(stream) == 0)
        stream_sent(stream->stream);
    struct stream *left = stream->stream;
    stream->stream = NULL;
    if (left)
        stream_abort(left, end);
    deadline_clear(&h2->base.worker->deadlines, &stream->deadline);
    list_remove(&stream->node);
    list_remove(&stream->touched_node);
    list_remove(&stream->owed_node);
    buf_fini(&stream->held);
    buf_fini(&stream->queue);
    if (!was_closed)
        nghttp2_session_set_stream_user_data(h2->base.ng, stream->id, NULL);
    free(stream);
    if (--h2->stream_count == 0)
        h2->idle_since_us = loop_now_us();
}

// ---- time ---------------------------------------------------------------------------------------------------------

static int64_t receive_deadline_us(const struct h2_stream *stream)
{
    if (stream->linger_until_us)
        return stream->linger_until_us;
    if (stream->is_request_read || stream->is_end_given || !stream->stream)
        return DEADLINE_NONE;
    if (stream->held.len || !stream_takes_body(stream->stream)) // we make it wait
        return stream->request_until_us;
    return deadline_earlier(stream->received_us + stream->body_idle_us, stream->request_until_us);
}

static int64_t send_deadline_us(const struct h2_stream *stream)
{
    return queued(stream) ? stream->sent_us + stream->send_timeout_us : DEADLINE_NONE;
}

static void arm(struct h2_stream *stream)
{
    if (stream->is_closed)
        return;
    int64_t at_us = deadline_earlier(receive_deadline_us(stream), send_deadline_us(stream));
    if (stream->stream)
        at_us = deadline_earlier(at_us, stream_deadline_us(stream->stream));
    worker_deadline(stream->h2->base.worker, &stream->deadline, at_us);
}

// The client does not read: the stream is given up, the connection is not.
static void give_up(struct h2_stream *stream)
{
    struct stream *left = stream->stream;
    counter_add(&stream->h2->base.worker->counters.client_timeouts, 1);
    stream->stream = NULL;
    stream->sent_us = loop_now_us();
    if (left)
        stream_abort(left, END_SEND_TIMEOUT);
    nghttp2_submit_rst_stream(stream->h2->base.ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
    h2_session_schedule(&stream->h2->base);
}

static void on_deadline(struct deadline *deadline, int64_t now_us)
{
    struct h2_stream *stream = LIST_OWNER(deadline, struct h2_stream, deadline);
    if (send_deadline_us(stream) <= now_us) {
        give_up(stream);
    } else if (stream->linger_until_us && stream->linger_until_us <= now_us) {
        stream->linger_until_us = 0;
        nghttp2_submit_rst_stream(stream->h2->base.ng, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_NO_ERROR);
        h2_session_schedule(&stream->h2->base);
    } else if (receive_deadline_us(stream) <= now_us) {
        counter_add(&stream->h2->base.worker->counters.client_timeouts, 1);
        stream_fail(stream->stream, ERROR_REQUEST_TIMEOUT);
    } else if (stream->stream) {
        stream_time(stream->stream, now_us);
    }
    arm(stream);
}
