// HTTP/2 sessions of clients: nghttp2's callbacks, floods, flushing, draining.
#include "host/native/h2.h"

#include "host/native/access_log.h"
#include "host/native/client.h"
#include "host/native/worker.h"

#include <stdlib.h>

#define WRITE_BYTES 65536    // gathered for one write
#define OUT_MAX (1U << 20)   // of frames between two looks at WRITE_BYTES
#define OUTBOUND_ACKS 500    // PING and SETTINGS answers that may wait
#define SETTINGS_ENTRIES 32  // in one frame
#define CONTINUATIONS 8      // of one head (S11)
#define GOAWAY_GAP_US 250000 // between the first GOAWAY and the one that counts: a round trip, generously
#define PREMATURE_US 1000000 // a reset so soon is an attack's, even when an answer has begun

// ---- life ---------------------------------------------------------------------------------------------------------

static int64_t idle_us(const struct h2 *h2)
{
    return (h2->has_served ? h2->limits.h2_idle_ms : h2->limits.keep_alive_idle_ms) * 1000;
}

struct h2 *h2_new(struct client *client, const struct config_client *limits)
{
    struct h2_shared *shared = &client->worker->h2;
    struct h2 *h2 = calloc(1, sizeof *h2);
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->h2_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->h2_stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes},
    };
    if (!h2)
        return NULL;
    h2->client = client;
    h2->worker = client->worker;
    h2->limits = *limits;
    h2->idle_since_us = loop_now_us();
    list_init(&h2->flush_node);
    list_init(&h2->streams);
    list_init(&h2->touched);
    list_init(&h2->closed);
    list_init(&h2->owed);
    h2_head_init(&h2->head);
    h2_guard_init(&h2->guard, h2->idle_since_us);
    if (nghttp2_session_server_new2(&h2->session, shared->callbacks, h2, shared->option) != 0) {
        free(h2);
        return NULL;
    }
    if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]) != 0 ||
        nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)limits->h2_connection_window) != 0) {
        h2_free(h2, END_DRAINED);
        return NULL;
    }
    h2_schedule(h2);
    return h2;
}

static void end_all(struct list *streams, enum exchange_end end)
{
    while (!list_is_empty(streams))
        h2_stream_end(LIST_OWNER(streams->next, struct h2_stream, node), end);
}

void h2_free(struct h2 *h2, enum exchange_end end)
{
    h2->is_broken = true;
    end_all(&h2->closed, END_CLIENT_GONE);
    end_all(&h2->streams, end);
    list_remove(&h2->flush_node);
    nghttp2_session_del(h2->session);
    h2_head_fini(&h2->head);
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

static void terminate(struct h2 *h2, uint32_t error)
{
    nghttp2_session_terminate_session(h2->session, error);
    h2->is_terminated = true;
    h2_schedule(h2);
}

static void end_attack(struct h2 *h2)
{
    if (h2->is_terminated)
        return;
    counter_add(&h2->worker->counters.h2_floods, 1);
    terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void count_idle_frame(struct h2 *h2)
{
    if (!h2_guard_idle_frame(&h2->guard, loop_now_us()))
        end_attack(h2);
}

static void count_reset(struct h2 *h2)
{
    if (!h2_guard_reset(&h2->guard, loop_now_us()))
        end_attack(h2);
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
        terminate(h2, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    uint32_t count = h2->finished_count < H2_FINISHED_KEPT ? h2->finished_count : H2_FINISHED_KEPT;
    for (uint32_t i = 0; i < count; i++)
        if (h2->finished[i] == id) {
            terminate(h2, NGHTTP2_STREAM_CLOSED);
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
    switch (frame->type) {
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_RST_STREAM:
        return 0;
    case NGHTTP2_HEADERS:
        check_closed(h2, frame);
        return 0;
    case NGHTTP2_DATA:
        check_closed(h2, frame);
        if (frame->length || (frame->flags & NGHTTP2_FLAG_END_STREAM))
            return 0;
        break;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        if (frame->flags & NGHTTP2_FLAG_ACK)
            return 0;
        break;
    default:
        break;
    }
    count_idle_frame(h2);
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
    h2_head_begin(&h2->head, &limits);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        note_opened(h2, frame->hd.stream_id);
    h2->head_stream = frame->hd.stream_id;
    h2->head_since_us = loop_now_us();
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
    struct h2 *h2 = context;
    (void)session;
    (void)frame;
    (void)flags;
    if (!h2_head_field(&h2->head, slice_make((const char *)name, name_len), slice_make((const char *)value, value_len)))
        end_attack(h2);
    return 0;
}

// nghttp2 would leave such a field out and go on; we refuse the message.
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                             nghttp2_rcbuf *value, uint8_t flags, void *context)
{
    (void)session;
    (void)frame;
    (void)name;
    (void)value;
    (void)flags;
    (void)context;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
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
    counter_add(&h2->worker->counters.refused_heads, 1);
    access_log_refused(&(struct refused){h2->client, NULL, NULL, 0, h2->head_since_us, HTTP_2, ERROR_MALFORMED_HEAD});
    return 0;
}

static int take_request(struct h2 *h2, const nghttp2_frame *frame)
{
    struct h1_request request;
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (h2->is_terminated)
        return 0;
    enum error_code error = h2_head_request(&h2->head, is_end, h2->worker->spans, &request);
    h2->has_served = true;
    h2_guard_useful_bytes(&h2->guard, h2->head.counted);
    if (!h2_stream_open(h2, frame->hd.stream_id, &request, is_end, error))
        return NGHTTP2_ERR_NOMEM;
    h2_head_trim(&h2->head);
    h2->client->request_count++;
    if (h2->limits.is_keep_alive_off ||
        (h2->limits.max_requests && h2->client->request_count >= h2->limits.max_requests))
        h2_drain(h2);
    return 0;
}

// Trailers are dropped, within the limits of a head (S11).
static void take_trailers(struct h2 *h2, struct h2_stream *stream)
{
    if (stream && stream->stream && h2->head.error != ERROR_NONE)
        stream_fail(stream->stream, h2->head.error);
    h2_head_trim(&h2->head);
}

static void take_reset(struct h2 *h2, struct h2_stream *stream)
{
    if (stream)
        stream->is_reset = true;
    if (!stream)
        count_idle_frame(h2);
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
            count_idle_frame(h2); // nothing but padding
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
    h2_guard_useful_bytes(&((struct h2 *)context)->guard, len);
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
    if (!stream || h2->is_broken)
        return 0;
    if (stream->is_request_read || stream->is_reset)
        h2->finished[h2->finished_count++ % H2_FINISHED_KEPT] = id;
    stream->is_closed = true;
    stream->error = error;
    list_remove(&stream->node);
    list_append(&h2->closed, &stream->node);
    h2_schedule(h2);
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
            count_idle_frame(h2);
        else if (frame->rst_stream.error_code == NGHTTP2_PROTOCOL_ERROR ||
                 frame->rst_stream.error_code == NGHTTP2_FLOW_CONTROL_ERROR ||
                 frame->rst_stream.error_code == NGHTTP2_STREAM_CLOSED ||
                 frame->rst_stream.error_code == NGHTTP2_FRAME_SIZE_ERROR)
            count_reset(h2); // the peer made us do it
        return 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        h2_guard_useful_frame(&h2->guard);
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
    struct buf *out = &h2->worker->h2.out;
    (void)session;
    (void)frame;
    if (!buf_append(out, slice_make((const char *)head, 9)) || !h2_stream_take(source->ptr, len, out))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

// Gathers frames; false when there are no more.
static bool gather(struct h2 *h2, struct buf *out)
{
    while (out->len < WRITE_BYTES) {
        const uint8_t *bytes;
        nghttp2_ssize len = nghttp2_session_mem_send2(h2->session, &bytes);
        if (len < 0 || (len > 0 && !buf_append(out, slice_make((const char *)bytes, (size_t)len))))
            h2->is_broken = true;
        if (len <= 0 || h2->is_broken)
            return false;
    }
    return true;
}

void h2_write(struct h2 *h2)
{
    struct buf *out = &h2->worker->h2.out;
    bool is_more = true;
    if (h2->is_in_call)
        return;
    while (is_more && !h2->is_broken && client_unsent_bytes(h2->client) == 0) {
        buf_reset(out);
        h2->is_in_call = true;
        is_more = gather(h2, out);
        h2->is_in_call = false;
        struct slice part = buf_slice(out);
        if (part.len && !client_write(h2->client, &part, 1))
            h2->is_broken = true;
    }
}

void h2_schedule(struct h2 *h2)
{
    if (list_is_empty(&h2->flush_node))
        list_append(&h2->worker->h2.flush, &h2->flush_node);
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

static void give_windows(struct h2 *h2)
{
    while (!list_is_empty(&h2->owed)) {
        struct h2_stream *stream = LIST_OWNER(h2->owed.next, struct h2_stream, owed_node);
        list_remove(&stream->owed_node);
        h2_stream_give_window(stream);
    }
}

static void flush(struct h2 *h2)
{
    struct client *client = h2->client;
    give_windows(h2);
    h2_write(h2);
    settle(h2);
    client_h2_moved(client);
}

void h2_flush_all(struct h2_shared *shared)
{
    struct list due;
    if (list_is_empty(&shared->flush))
        return;
    list_take_all(&due, &shared->flush);
    while (!list_is_empty(&due)) {
        struct h2 *h2 = LIST_OWNER(due.next, struct h2, flush_node);
        list_remove(&h2->flush_node);
        flush(h2);
    }
}

void h2_writable(struct h2 *h2)
{
    h2_schedule(h2);
}

// ---- the connection -----------------------------------------------------------------------------------------------

void h2_receive(struct h2 *h2, struct slice bytes)
{
    if (h2->is_terminated || h2->is_broken)
        return;
    bool is_waste = !h2_guard_bytes(&h2->guard, bytes.len);
    h2->is_in_call = true;
    nghttp2_ssize used = nghttp2_session_mem_recv2(h2->session, (const uint8_t *)bytes.ptr, bytes.len);
    h2->is_in_call = false;
    if (used == NGHTTP2_ERR_FLOODED || (is_waste && h2->guard.waste > H2_GUARD_WASTE))
        end_attack(h2);
    else if (used < 0)
        terminate(h2, used == NGHTTP2_ERR_NOMEM ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
    h2_schedule(h2);
}

bool h2_is_over(const struct h2 *h2)
{
    if (h2->is_broken)
        return true;
    return client_unsent_bytes(h2->client) == 0 && !nghttp2_session_want_write(h2->session) &&
           (h2->is_terminated || !nghttp2_session_want_read(h2->session));
}

void h2_drain(struct h2 *h2)
{
    if (h2->drain != H2_SERVING)
        return;
    h2->drain = H2_NOTICED;
    h2->going_us = loop_now_us() + GOAWAY_GAP_US;
    nghttp2_submit_shutdown_notice(h2->session);
    h2_schedule(h2);
    if (!h2->is_in_call)
        client_h2_arm(h2->client);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t h2_deadline_us(const struct h2 *h2)
{
    int64_t at_us = DEADLINE_NONE;
    if (h2->head_stream)
        at_us = h2->head_since_us + h2->limits.head_timeout_ms * 1000;
    if (h2->drain == H2_NOTICED)
        return earlier(at_us, h2->going_us);
    if (h2->drain == H2_SERVING && h2->stream_count == 0)
        at_us = earlier(at_us, h2->idle_since_us + idle_us(h2));
    return h2->drain == H2_SERVING ? earlier(at_us, client_age_deadline_us(h2->client)) : at_us;
}

void h2_time(struct h2 *h2, int64_t now_us)
{
    if (h2->head_stream && now_us >= h2->head_since_us + h2->limits.head_timeout_ms * 1000) {
        counter_add(&h2->worker->counters.client_timeouts, 1);
        h2->head_stream = 0;
        terminate(h2, NGHTTP2_ENHANCE_YOUR_CALM);
        return;
    }
    if (h2->drain == H2_NOTICED && now_us >= h2->going_us) {
        h2->drain = H2_GOING;
        nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h2->session),
                              NGHTTP2_NO_ERROR, NULL, 0);
        h2_schedule(h2);
    } else if (h2->drain == H2_SERVING && (now_us >= client_age_deadline_us(h2->client) ||
                                           (h2->stream_count == 0 && now_us >= h2->idle_since_us + idle_us(h2)))) {
        h2_drain(h2);
    }
}

// ---- what sessions share ------------------------------------------------------------------------------------------

static void set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
}

static void set_options(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, OUTBOUND_ACKS);
    nghttp2_option_set_max_settings(option, SETTINGS_ENTRIES);
    nghttp2_option_set_max_continuations(option, CONTINUATIONS);
}

bool h2_shared_init(struct h2_shared *shared)
{
    list_init(&shared->flush);
    buf_init(&shared->out, OUT_MAX);
    if (nghttp2_session_callbacks_new(&shared->callbacks) != 0)
        return false;
    if (nghttp2_option_new(&shared->option) != 0) {
        nghttp2_session_callbacks_del(shared->callbacks);
        return false;
    }
    set_callbacks(shared->callbacks);
    set_options(shared->option);
    return true;
}

void h2_shared_fini(struct h2_shared *shared)
{
    nghttp2_session_callbacks_del(shared->callbacks);
    nghttp2_option_del(shared->option);
    buf_fini(&shared->out);
}
