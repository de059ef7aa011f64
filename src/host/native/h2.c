// HTTP/2 sessions of clients: nghttp2's callbacks, floods, flushing, draining.
#include "host/native/h2.h"

#include "host/native/access_log.h"
#include "host/native/client.h"
#include "host/native/worker.h"

#include <stdlib.h>

#define GOAWAY_GAP_US 250000 // between the first GOAWAY and the one that counts: a round trip, generously
#define PREMATURE_US 1000000 // a reset so soon is an attack's, even when an answer has begun

static const struct h2_session_ops session_ops;

// ---- life ---------------------------------------------------------------------------------------------------------

static int64_t idle_us(const struct h2 *h2)
{
    return (h2->has_served ? h2->limits.h2_idle_ms : h2->limits.keep_alive_idle_ms) * 1000;
}

struct h2 *h2_new(struct client *client, const struct config_client *limits)
{
    const struct h2_side *clients = &client->worker->h2.clients;
    struct h2 *h2 = calloc(1, sizeof *h2);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->h2_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->h2_stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes},
    };
    if (!h2)
        return NULL;
    h2_session_init(&h2->base, client->worker, &session_ops, &client->worker->counters.h2_floods);
    h2->client = client;
    h2->limits = *limits;
    h2->idle_since_us = loop_now_us();
    list_init(&h2->streams);
    list_init(&h2->touched);
    list_init(&h2->closed);
    list_init(&h2->owed);
    if (nghttp2_session_server_new2(&h2->base.ng, clients->callbacks, h2, clients->option) != 0 ||
        nghttp2_submit_settings(h2->base.ng, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]) != 0 ||
        nghttp2_session_set_local_window_size(h2->base.ng, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)limits->h2_connection_window) != 0) {
        h2_free(h2, END_DRAINED);
        return NULL;
    }
    h2_session_schedule(&h2->base);
    return h2;
}

static void end_all(struct list *streams, enum exchange_end end)
{
    while (!list_is_empty(streams))
        h2_stream_end(LIST_OWNER(streams->next, struct h2_stream, node), end);
}

void h2_free(struct h2 *h2, enum exchange_end end)
{
    h2->base.is_broken = true;
    end_all(&h2->closed, END_CLIENT_GONE);
    end_all(&h2->streams, end);
    h2_session_fini(&h2->base);
    free(h2);
}

void h2_set_limits(struct h2 *h2, const struct config_client *limits)
{
    h2->limits = *limits;
}

enum h2_preface h2_preface_in(struct slice bytes)
{
    struct slice preface = SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    if (slice_starts_with(bytes, preface))
        return H2_PREFACE_WHOLE;
    return slice_starts_with(preface, bytes) ? H2_PREFACE_PART : H2_PREFACE_NO;
}

// ---- floods -------------------------------------------------------------------------------------------------------

static void count_reset(struct h2 *h2)
{
    if (!h2_guard_reset(&h2->base.guard, loop_now_us()))
        h2_session_end_attack(&h2->base);
}

// ---- what comes in ------------------------------------------------------------------------------------------------

static struct h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

// DATA or HEADERS on a stream that is no more. nghttp2 lets them pass, since it can't know whether it was us who reset
// the stream; where the client itself had ended it, or never opened it in its turn, it is an error (RFC 9113 sections
// 5.1 and 5.1.1).
static void check_closed(struct h2 *h2, const nghttp2_frame_hd *frame)
{
    int32_t id = frame->stream_id;
    if (id > h2->last_stream || id % 2 == 0)
        return;
    if (id >= h2->skipped_first && id < h2->skipped_end && frame->type == NGHTTP2_HEADERS) {
        h2_session_terminate(&h2->base, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    uint32_t count = h2->finished_count < H2_FINISHED_KEPT ? h2->finished_count : H2_FINISHED_KEPT;
    for (uint32_t i = 0; i < count; i++)
        if (h2->finished[i] == id) {
            h2_session_terminate(&h2->base, NGHTTP2_STREAM_CLOSED);
            return;
        }
}

static void note_opened(struct h2 *h2, int32_t id)
{
    if (id > h2->last_stream + 2) {
        h2->skipped_first = h2->last_stream + 1;
        h2->skipped_end = id;
    }
    h2->last_stream = id;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *context)
{
    struct h2 *h2 = context;
    (void)session;
    if (frame->type == NGHTTP2_HEADERS || frame->type == NGHTTP2_DATA)
        check_closed(h2, frame);
    if (h2_session_is_idle_frame(frame))
        h2_session_count_idle_frame(&h2->base);
    return 0;
}

static struct h1_limits head_limits(const struct h2 *h2)
{
    return (struct h1_limits){h2->limits.header_bytes, h2->limits.header_count, h2->limits.target_bytes};
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct h2 *h2 = context;
    struct h1_limits limits = head_limits(h2);
    (void)session;
    h2_head_begin(&h2->base.head, &limits, false);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        note_opened(h2, frame->hd.stream_id);
    h2->head_stream = frame->hd.stream_id;
    h2->head_since_us = loop_now_us();
    return 0;
}

// What nghttp2 itself finds wrong with a head it answers with a reset: no exchange tells of it.
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
    struct h2 *h2 = context;
    (void)session;
    (void)error;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST ||
        h2->head_stream != frame->hd.stream_id)
        return 0;
    h2->head_stream = 0;
    counter_add(&h2->base.worker->counters.refused_heads, 1);
    access_log_refused(&(struct refused){h2->client, NULL, NULL, 0, h2->head_since_us, HTTP_2, ERROR_MALFORMED_HEAD});
    return 0;
}

static int take_request(struct h2 *h2, const nghttp2_frame *frame)
{
    struct h1_request request;
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (h2->base.is_terminated)
        return 0;
    enum error_code error = h2_head_request(&h2->base.head, is_end, h2->base.worker->spans, &request);
    h2->has_served = true;
    h2_guard_useful_bytes(&h2->base.guard, h2->base.head.counted);
    if (!h2_stream_open(h2, frame->hd.stream_id, &request, is_end, error))
        return NGHTTP2_ERR_NOMEM;
    h2_head_trim(&h2->base.head);
    h2->client->request_count++;
    if (h2->limits.is_keep_alive_off ||
        (h2->limits.max_requests && h2->client->request_count >= h2->limits.max_requests))
        h2_drain(h2);
    return 0;
}

// Trailers are dropped, within the limits of a head (S11).
static void take_trailers(struct h2 *h2, struct h2_stream *stream)
{
    if (stream && stream->stream && h2->base.head.error != ERROR_NONE)
        stream_fail(stream->stream, h2->base.head.error);
    h2_head_trim(&h2->base.head);
}

static void take_reset(struct h2 *h2, struct h2_stream *stream)
{
    if (stream)
        stream->is_reset = true;
    if (!stream)
        h2_session_count_idle_frame(&h2->base);
    else if (!stream->has_answer || loop_now_us() - stream->begun_us < PREMATURE_US)
        count_reset(h2);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct h2 *h2 = context;
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        h2->head_stream = 0;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            return take_request(h2, frame);
        take_trailers(h2, stream);
        break;
    case NGHTTP2_DATA:
        if (frame->hd.length && frame->hd.length <= frame->data.padlen && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            h2_session_count_idle_frame(&h2->base); // nothing but padding
        break;
    case NGHTTP2_RST_STREAM:
        take_reset(h2, stream);
        return 0;
    default:
        return 0;
    }
    if (stream && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        h2_stream_data_end(stream);
    return 0;
}

// The connection's window is given back at once, so that a stream that is not read never stops its neighbours; the
// stream's own when its bytes are taken.
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *context)
{
    struct h2_stream *stream = stream_of(session, id);
    (void)flags;
    h2_guard_useful_bytes(&((struct h2 *)context)->base.guard, len);
    nghttp2_session_consume_connection(session, len);
    if (stream)
        h2_stream_data(stream, slice_make((const char *)bytes, len));
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    struct h2 *h2 = context;
    struct h2_stream *stream = stream_of(session, id);
    if (h2->head_stream == id)
        h2->head_stream = 0;
    if (!stream || h2->base.is_broken)
        return 0;
    if (stream->is_request_read || stream->is_reset)
        h2->finished[h2->finished_count++ % H2_FINISHED_KEPT] = id;
    stream->is_closed = true;
    stream->error = error;
    list_remove(&stream->node);
    list_append(&h2->closed, &stream->node);
    h2_session_schedule(&h2->base);
    return 0;
}

// ---- what goes out ------------------------------------------------------------------------------------------------

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct h2 *h2 = context;
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
        if (frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM)
            h2_session_count_idle_frame(&h2->base);
        else if (frame->rst_stream.error_code == NGHTTP2_PROTOCOL_ERROR ||
                 frame->rst_stream.error_code == NGHTTP2_FLOW_CONTROL_ERROR ||
                 frame->rst_stream.error_code == NGHTTP2_STREAM_CLOSED ||
                 frame->rst_stream.error_code == NGHTTP2_FRAME_SIZE_ERROR)
            count_reset(h2); // the peer made us do it
        return 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        h2_guard_useful_frame(&h2->base.guard);
        if (stream && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !stream->is_request_read)
            h2_stream_linger(stream);
        return 0;
    default:
        return 0;
    }
}

// An answer's head that nghttp2 could not send leaves nothing to send behind it.
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
    (void)error;
    (void)context;
    if (frame->hd.type == NGHTTP2_HEADERS)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    return 0;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
                        nghttp2_data_source *source, void *context)
{
    struct h2 *h2 = context;
    struct buf *out = &h2->base.worker->h2.out;
    struct h2_stream *stream = stream_of(session, frame->hd.stream_id); // may have gone while the frame waited
    (void)source;
    if (h2_session_is_full(&h2->base))
        return NGHTTP2_ERR_WOULDBLOCK;
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!buf_append(out, slice_make((const char *)head, 9)) || !h2_stream_take(stream, len, out))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

void h2_touch(struct h2_stream *stream)
{
    if (list_is_empty(&stream->touched_node))
        list_append(&stream->h2->touched, &stream->touched_node);
}

// Tells exchanges what became of their streams; nghttp2 is not on the stack.
static void settle(struct h2 *h2)
{
    struct list news;
    end_all(&h2->closed, END_CLIENT_GONE);
    list_take_all(&news, &h2->touched);
    while (!list_is_empty(&news)) {
        struct h2_stream *stream = LIST_OWNER(news.next, struct h2_stream, touched_node);
        list_remove(&stream->touched_node);
        h2_stream_news(stream);
    }
}

static void give_windows(struct h2_session *base)
{
    struct h2 *h2 = (struct h2 *)(void *)base;
    while (!list_is_empty(&h2->owed)) {
        struct h2_stream *stream = LIST_OWNER(h2->owed.next, struct h2_stream, owed_node);
        list_remove(&stream->owed_node);
        h2_stream_give_window(stream);
    }
}

static bool is_blocked(const struct h2_session *base)
{
    return client_unsent_bytes(((const struct h2 *)(const void *)base)->client) > 0;
}

static bool write_bytes(struct h2_session *base, struct slice bytes)
{
    return client_write(((struct h2 *)(void *)base)->client, &bytes, 1);
}

static void end_turn(struct h2_session *base)
{
    struct h2 *h2 = (struct h2 *)(void *)base;
    struct client *client = h2->client;
    settle(h2);
    client_h2_moved(client);
}

static const struct h2_session_ops session_ops = {
    .is_blocked = is_blocked, .write = write_bytes, .give_windows = give_windows, .settle = end_turn};

void h2_writable(struct h2 *h2)
{
    h2_session_schedule(&h2->base);
}

// ---- the connection -----------------------------------------------------------------------------------------------

bool h2_is_over(const struct h2 *h2)
{
    if (h2->base.is_broken)
        return true;
    return client_unsent_bytes(h2->client) == 0 && !nghttp2_session_want_write(h2->base.ng) &&
           (h2->base.is_terminated || !nghttp2_session_want_read(h2->base.ng));
}

void h2_drain(struct h2 *h2)
{
    if (h2->drain != H2_SERVING)
        return;
    h2->drain = H2_NOTICED;
    h2->going_us = loop_now_us() + GOAWAY_GAP_US;
    nghttp2_submit_shutdown_notice(h2->base.ng);
    h2_session_schedule(&h2->base);
    if (!h2->base.is_in_call)
        client_h2_arm(h2->client);
}

int64_t h2_deadline_us(const struct h2 *h2)
{
    int64_t at_us = DEADLINE_NONE;
    if (h2->head_stream)
        at_us = h2->head_since_us + h2->limits.head_timeout_ms * 1000;
    if (h2->drain == H2_NOTICED)
        return deadline_earlier(at_us, h2->going_us);
    if (h2->drain == H2_SERVING && h2->stream_count == 0)
        at_us = deadline_earlier(at_us, h2->idle_since_us + idle_us(h2));
    return h2->drain == H2_SERVING ? deadline_earlier(at_us, client_age_deadline_us(h2->client)) : at_us;
}

void h2_time(struct h2 *h2, int64_t now_us)
{
    if (h2->head_stream && now_us >= h2->head_since_us + h2->limits.head_timeout_ms * 1000) {
        counter_add(&h2->base.worker->counters.client_timeouts, 1);
        h2->head_stream = 0;
        h2_session_terminate(&h2->base, NGHTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    if (h2->drain == H2_NOTICED && now_us >= h2->going_us) {
        h2->drain = H2_GOING;
        nghttp2_submit_goaway(h2->base.ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2->base.ng),
                              NGHTTP2_NO_ERROR, NULL, 0);
        h2_session_schedule(&h2->base);
    } else if (h2->drain == H2_SERVING && (now_us >= client_age_deadline_us(h2->client) ||
                                           (h2->stream_count == 0 && now_us >= h2->idle_since_us + idle_us(h2)))) {
        h2_drain(h2);
    }
}

// ---- what sessions share ------------------------------------------------------------------------------------------

void h2_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
}
