// HTTP/2 sessions with backends: nghttp2's callbacks, floods, places for requests, keeping connections alive.
#include "host/native/upstream_h2.h"

#include "host/native/pool.h"
#include "host/native/stream.h"

#include <errno.h>
#include <stdlib.h>

#define PING_PATIENCE_US 5000000 // for the answer to a PING to a connection that may be dead

static const struct h2_session_ops session_ops;
static const struct h1_limits head_limits = {UPSTREAM_HEAD_BYTES, UPSTREAM_HEAD_FIELDS, 0};

// ---- life ---------------------------------------------------------------------------------------------------------

static bool begin_session(struct upstream_h2 *h2)
{
    const struct upstream *upstream = h2->upstream;
    const struct h2_side *backends = &upstream->worker->h2.backends;
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, upstream->h2_stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UPSTREAM_HEAD_BYTES},
    };
    return nghttp2_session_client_new2(&h2->base.ng, backends->callbacks, h2, backends->option) == 0 &&
           nghttp2_submit_settings(h2->base.ng, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) == 0 &&
           nghttp2_session_set_local_window_size(h2->base.ng, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)upstream->h2_connection_window) == 0;
}

static struct upstream_h2 *new_session(struct upstream *upstream)
{
    struct upstream_h2 *h2 = calloc(1, sizeof *h2);
    if (!h2)
        return NULL;
    h2_session_init(&h2->base, upstream->worker, &session_ops, &upstream->worker->counters.upstream_h2_floods);
    h2->upstream = upstream;
    h2->idle_until_us = h2->ping_until_us = DEADLINE_NONE;
    h2->ping_next_us = upstream->h2_ping_us ? loop_now_us() + upstream->h2_ping_us : DEADLINE_NONE;
    list_init(&h2->calls);
    list_init(&h2->closed);
    list_init(&h2->touched);
    list_init(&h2->owed);
    if (begin_session(h2))
        return h2;
    upstream_h2_free(h2);
    return NULL;
}

static void free_calls(struct list *calls)
{
    while (!list_is_empty(calls))
        upstream_h2_call_free(LIST_OWNER(calls->next, struct upstream_h2_call, node));
}

void upstream_h2_free(struct upstream_h2 *h2)
{
    if (!h2)
        return;
    h2->base.is_broken = true;
    free_calls(&h2->closed);
    free_calls(&h2->calls);
    h2_session_fini(&h2->base);
    free(h2);
}

// Where its pool finds it. Until the backend's settings have come, it is not ready to be shared.
static void list_in(struct upstream_h2 *h2)
{
    struct upstream *upstream = h2->upstream;
    list_remove(&upstream->pool_node);
    list_push(h2->has_settings ? &upstream->pool->shared : &upstream->pool->making, &upstream->pool_node);
}

void upstream_h2_start(struct upstream *upstream)
{
    struct stream *stream = upstream->stream;
    upstream->h2 = new_session(upstream);
    if (!upstream->h2) {
        upstream_fail(upstream, ERROR_OVERLOADED, SLICE("out of memory"));
        return;
    }
    upstream->state = UPSTREAM_SHARED;
    upstream->stream = NULL;
    upstream->pool->active--;
    counter_add(&upstream->worker->counters.upstream_h2_connections, 1);
    list_in(upstream->h2);
    worker_deadline(upstream->worker, &upstream->deadline, DEADLINE_NONE);
    loop_io_want(&upstream->io, LOOP_READ);
    h2_session_schedule(&upstream->h2->base);
    stream->back = upstream_h2_open(upstream->h2, stream);
    if (stream->back)
        stream_upstream_ready(stream);
    else
        stream_upstream_failed(stream, ERROR_OVERLOADED, SLICE("out of memory"), false);
}

void upstream_h2_say_goodbye(struct upstream_h2 *h2)
{
    if (h2->base.is_broken || h2->is_ended)
        return;
    nghttp2_session_terminate_session(h2->base.ng, NGHTTP2_NO_ERROR);
    h2_session_write(&h2->base);
}

// ---- places -------------------------------------------------------------------------------------------------------

// Until the backend's settings have come, one request alone is sent: more might be too many.
static uint32_t places(const struct upstream_h2 *h2)
{
    uint32_t own = h2->upstream->h2_streams;
    if (!h2->has_settings)
        return 1;
    uint32_t theirs = nghttp2_session_get_remote_settings(h2->base.ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return theirs < own ? theirs : own;
}

static bool has_room(const struct upstream_h2 *h2)
{
    if (h2->is_going || h2->is_suspect || h2->is_ended || h2->base.is_broken || h2->base.is_terminated)
        return false;
    return h2->open_count < places(h2) && nghttp2_session_check_request_allowed(h2->base.ng);
}

// It takes no more requests.
static void go(struct upstream_h2 *h2)
{
    h2->is_going = true;
    list_remove(&h2->upstream->pool_node);
    h2_session_schedule(&h2->base);
}

struct back *upstream_h2_open(struct upstream_h2 *h2, struct stream *stream)
{
    struct upstream *upstream = h2->upstream;
    if (!has_room(h2))
        return NULL;
    struct upstream_h2_call *call = upstream_h2_call_new(h2, stream);
    if (!call)
        return NULL;
    if (upstream->requests++)
        counter_add(&upstream->worker->counters.upstream_reuses, 1);
    if (upstream->max_requests && upstream->requests >= upstream->max_requests)
        go(h2);
    h2->idle_until_us = DEADLINE_NONE;
    h2_session_schedule(&h2->base);
    return &call->back;
}

bool upstream_h2_is_idle(const struct upstream_h2 *h2)
{
    return h2->used_count == 0 && !h2->is_settling && !h2->base.is_in_call;
}

void upstream_h2_move(struct upstream_h2 *h2, struct endpoint_pool *to)
{
    struct upstream *upstream = h2->upstream;
    upstream->pool->active -= h2->used_count;
    to->active += h2->used_count;
    pool_adopt(to, upstream);
}

// ---- what comes in ------------------------------------------------------------------------------------------------

static struct upstream_h2_call *call_of(nghttp2_session *ng, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(ng, id) : NULL;
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *frame, void *context)
{
    struct upstream_h2 *h2 = context;
    (void)ng;
    if (h2_session_is_idle_frame(frame))
        h2_session_count_idle_frame(&h2->base);
    return 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    struct upstream_h2 *h2 = context;
    (void)ng;
    (void)frame;
    h2_head_begin(&h2->base.head, &head_limits, true);
    return 0;
}

static void take_settings(struct upstream_h2 *h2)
{
    struct endpoint_pool *pool = h2->upstream->pool;
    bool is_first = !h2->has_settings;
    h2->has_settings = true;
    h2->has_room_news = true;
    pool->h2_streams = places(h2);
    if (is_first && !list_is_empty(&h2->upstream->pool_node))
        list_in(h2);
    h2_session_schedule(&h2->base);
}

static void take_head(struct upstream_h2 *h2, struct upstream_h2_call *call, bool is_end)
{
    h2_guard_useful_bytes(&h2->base.guard, h2->base.head.counted);
    if (call && !h2->base.is_terminated)
        upstream_h2_call_head(call, is_end);
    h2_head_trim(&h2->base.head);
}

static void take_data_frame(struct upstream_h2 *h2, struct upstream_h2_call *call, const nghttp2_frame *frame)
{
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.length && frame->hd.length <= frame->data.padlen && !is_end)
        h2_session_count_idle_frame(&h2->base); // nothing but padding
    if (call && is_end)
        upstream_h2_call_data_end(call);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    struct upstream_h2 *h2 = context;
    struct upstream_h2_call *call = call_of(ng, frame->hd.stream_id);
    bool is_ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        take_head(h2, call, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
        break;
    case NGHTTP2_DATA:
        take_data_frame(h2, call, frame);
        break;
    case NGHTTP2_RST_STREAM:
        if (call)
            call->is_reset = true;
        else
            h2_session_count_idle_frame(&h2->base);
        break;
    case NGHTTP2_SETTINGS:
        if (!is_ack)
            take_settings(h2);
        break;
    case NGHTTP2_PING:
        if (is_ack)
            h2->ping_until_us = DEADLINE_NONE;
        break;
    case NGHTTP2_GOAWAY:
        go(h2);
        break;
    default:
        break;
    }
    return 0;
}

// The connection's window is given back at once, so that a stream that is not read never stops its neighbours; the
// stream's own when its bytes are taken.
static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *context)
{
    struct upstream_h2 *h2 = context;
    struct upstream_h2_call *call = call_of(ng, id);
    (void)flags;
    h2_guard_useful_bytes(&h2->base.guard, len);
    nghttp2_session_consume_connection(ng, len);
    if (call)
        upstream_h2_call_data(call, slice_make((const char *)bytes, len));
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error, void *context)
{
    struct upstream_h2 *h2 = context;
    struct upstream_h2_call *call = call_of(ng, id);
    if (!call || h2->base.is_broken)
        return 0;
    call->is_closed = true;
    call->reset_code = error;
    h2->open_count--;
    h2->has_room_news = true;
    list_remove(&call->node);
    list_append(&h2->closed, &call->node);
    h2_session_schedule(&h2->base);
    return 0;
}

static ssize_t read_once(struct upstream_h2 *h2)
{
    struct upstream *upstream = h2->upstream;
    char *bytes = upstream->worker->read_bytes;
    ssize_t got = upstream_read(upstream, bytes, WORKER_READ_BYTES);
    if (got > 0) {
        h2->received++;
        h2_session_receive(&h2->base, slice_make(bytes, (size_t)got));
    } else if (got != NET_AGAIN) {
        h2->is_ended = true;
        h2->end_why = got == NET_END  ? SLICE("closed by the backend")
                      : upstream->tls ? tls_reason(upstream->tls)
                                      : slice_from_cstr(strerror(errno));
        h2_session_schedule(&h2->base);
    }
    return got;
}

static void read_all(struct upstream_h2 *h2, unsigned events)
{
    const struct upstream *upstream = h2->upstream;
    bool again = (events & LOOP_ERROR) != 0; // nobody will tell us of the rest
    while (read_once(h2) > 0 && !h2->base.is_terminated && !h2->base.is_broken)
        if (!again && !(upstream->tls && tls_has_pending(upstream->tls)))
            return;
}

// ---- what goes out ------------------------------------------------------------------------------------------------

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *context)
{
    struct upstream_h2 *h2 = context;
    struct upstream_h2_call *call = call_of(ng, frame->hd.stream_id);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    h2_guard_useful_frame(&h2->base.guard);
    if (call) {
        call->is_head_sent = true;
        call->is_end_sent |= (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    }
    return 0;
}

static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t len,
                        nghttp2_data_source *source, void *context)
{
    struct upstream_h2 *h2 = context;
    struct buf *out = &h2->base.worker->h2.out;
    struct upstream_h2_call *call = call_of(ng, frame->hd.stream_id); // may have gone while the frame waited
    (void)source;
    if (h2_session_is_full(&h2->base))
        return NGHTTP2_ERR_WOULDBLOCK;
    if (!call || !call->stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!buf_append(out, slice_make((const char *)head, 9)) || !upstream_h2_call_take(call, len, out))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static struct upstream *upstream_of(const struct h2_session *base)
{
    return ((const struct upstream_h2 *)(const void *)base)->upstream;
}

static bool is_blocked(const struct h2_session *base)
{
    return upstream_of(base)->unsent.len > 0;
}

static void want_events(struct upstream *upstream)
{
    bool has_unsent = upstream->unsent.len || upstream->wants_write_for_read;
    loop_io_want(&upstream->io, has_unsent ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static bool write_bytes(struct h2_session *base, struct slice bytes)
{
    struct upstream *upstream = upstream_of(base);
    while (bytes.len) {
        ssize_t sent = upstream_write(upstream, &bytes, 1);
        if (sent == NET_FAILED) // what the backend said before may still be read
            return false;
        if (sent == NET_AGAIN)
            break;
        bytes = slice_from(bytes, (size_t)sent);
    }
    bool is_kept = bytes.len == 0 || buf_append(&upstream->unsent, bytes);
    want_events(upstream);
    return is_kept;
}

static void on_writable(struct upstream_h2 *h2)
{
    struct upstream *upstream = h2->upstream;
    upstream->wants_write_for_read = false;
    if (upstream->unsent.len) {
        struct slice part = buf_slice(&upstream->unsent);
        ssize_t sent = upstream_write(upstream, &part, 1);
        if (sent > 0)
            buf_drop_front(&upstream->unsent, (size_t)sent);
        else if (sent == NET_FAILED)
            h2->base.is_broken = true;
    }
    want_events(upstream);
    h2_session_schedule(&h2->base);
}

void upstream_h2_event(struct upstream_h2 *h2, unsigned events)
{
    if (events & LOOP_WRITE)
        on_writable(h2);
    if (events & (LOOP_READ | LOOP_HANGUP | LOOP_ERROR))
        read_all(h2, events);
}

// ---- the end of a turn --------------------------------------------------------------------------------------------

static void tell_calls(struct upstream_h2 *h2)
{
    struct list news;
    list_take_all(&news, &h2->touched);
    while (!list_is_empty(&news)) {
        struct upstream_h2_call *call = LIST_OWNER(news.next, struct upstream_h2_call, touched_node);
        list_remove(&call->touched_node);
        upstream_h2_call_news(call);
    }
    while (!list_is_empty(&h2->closed))
        upstream_h2_call_closed(LIST_OWNER(h2->closed.next, struct upstream_h2_call, node));
}

static bool is_over(const struct upstream_h2 *h2)
{
    return h2->is_ended || h2->base.is_broken || h2->base.is_terminated ||
           (!nghttp2_session_want_read(h2->base.ng) && !nghttp2_session_want_write(h2->base.ng));
}

static enum error_code explain_end(const struct upstream_h2 *h2, struct slice *ret_why)
{
    *ret_why = SLICE("closed by the backend");
    if (h2->base.is_terminated) {
        *ret_why = SLICE("the backend broke the rules of HTTP/2");
        return ERROR_UPSTREAM_MALFORMED;
    }
    if (h2->is_ended)
        *ret_why = h2->end_why;
    return ERROR_UPSTREAM_RESET;
}

// The connection is over: whoever still holds a call on it, or waits for it, is told.
static void end_connection(struct upstream_h2 *h2)
{
    struct upstream *upstream = h2->upstream;
    struct slice why;
    struct list joiners;
    enum error_code error = explain_end(h2, &why);
    h2->base.is_broken = true;
    list_remove(&upstream->pool_node);
    if (h2->used_count)
        counter_add(&upstream->worker->counters.upstream_resets, 1);
    pool_take_joiners(upstream, &joiners);
    while (!list_is_empty(&h2->calls))
        upstream_h2_call_lost(LIST_OWNER(h2->calls.next, struct upstream_h2_call, node), error, why);
    pool_fail_joiners(&joiners, error, why);
    upstream_close(upstream);
}

static void arm(struct upstream_h2 *h2)
{
    struct upstream *upstream = h2->upstream;
    if (!upstream_is_idle(upstream))
        h2->idle_until_us = DEADLINE_NONE;
    else if (h2->idle_until_us == DEADLINE_NONE)
        h2->idle_until_us = loop_now_us() + upstream_idle_us(upstream);
    worker_deadline(upstream->worker, &upstream->deadline,
                    deadline_earlier(h2->idle_until_us, deadline_earlier(h2->ping_until_us, h2->ping_next_us)));
}

static void send_ping(struct upstream_h2 *h2, int64_t patience_us)
{
    if (h2->ping_until_us != DEADLINE_NONE)
        return;
    nghttp2_submit_ping(h2->base.ng, NGHTTP2_FLAG_NONE, NULL);
    h2->ping_until_us = loop_now_us() + patience_us;
    h2_session_schedule(&h2->base);
}

// An answer that did not come may be the fault of a connection that is dead: PING tells, and until then it takes nothing.
static void look_at_suspect(struct upstream_h2 *h2)
{
    struct upstream *upstream = h2->upstream;
    if (!h2->is_suspect)
        return;
    if (!list_is_empty(&upstream->pool_node)) {
        list_remove(&upstream->pool_node);
        send_ping(h2, PING_PATIENCE_US);
    } else if (h2->ping_until_us == DEADLINE_NONE && !h2->is_going) {
        h2->is_suspect = false;
        h2->has_room_news = true;
        list_in(h2);
    }
}

void upstream_h2_time(struct upstream_h2 *h2, int64_t now_us)
{
    if (now_us >= h2->ping_until_us) {
        h2->is_ended = true;
        h2->end_why = SLICE("no answer to a PING");
    } else if (now_us >= h2->idle_until_us && upstream_is_idle(h2->upstream)) {
        upstream_abort(h2->upstream);
        return;
    } else if (now_us >= h2->ping_next_us) {
        h2->ping_next_us = now_us + h2->upstream->h2_ping_us;
        send_ping(h2, h2->upstream->h2_ping_patience_us);
    }
    h2_session_schedule(&h2->base);
}

// False when the configuration has no place for the connection any more.
static bool follow_reload(struct upstream_h2 *h2)
{
    struct upstream *upstream = h2->upstream;
    const struct endpoint_pool *before = upstream->pool;
    if (!upstream_follow_reload(upstream, h2->used_count))
        return false;
    if (upstream->pool != before && !list_is_empty(&upstream->pool_node))
        list_in(h2);
    return true;
}

static void settle(struct h2_session *base)
{
    struct upstream_h2 *h2 = (struct upstream_h2 *)(void *)base;
    struct upstream *upstream = h2->upstream;
    h2->is_settling = true;
    tell_calls(h2);
    if (is_over(h2)) {
        end_connection(h2);
        return;
    }
    look_at_suspect(h2);
    if (h2->has_settings)
        pool_serve_joiners(upstream);
    if (h2->has_room_news) {
        h2->has_room_news = false;
        pool_serve(upstream->pool->backend);
    }
    h2->is_settling = false;
    bool has_place = follow_reload(h2);
    if (upstream_is_idle(upstream) && (!has_place || h2->is_going || upstream->idle_us <= 0))
        upstream_abort(upstream);
    else
        arm(h2);
}

static void give_windows(struct h2_session *base)
{
    struct upstream_h2 *h2 = (struct upstream_h2 *)(void *)base;
    while (!list_is_empty(&h2->owed)) {
        struct upstream_h2_call *call = LIST_OWNER(h2->owed.next, struct upstream_h2_call, owed_node);
        list_remove(&call->owed_node);
        upstream_h2_call_give_window(call);
    }
}

static const struct h2_session_ops session_ops = {
    .is_blocked = is_blocked, .write = write_bytes, .give_windows = give_windows, .settle = settle};

void upstream_h2_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
}
