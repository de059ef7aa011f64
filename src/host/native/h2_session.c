// What HTTP/2 sessions of both sides have in common.
#include "host/native/h2_session.h"

#include "host/native/worker.h"

#define WRITE_BYTES 65536       // gathered for one write
#define OUT_MAX (1U << 20)      // of frames between two looks at WRITE_BYTES
#define OUTBOUND_ACKS 500       // PING and SETTINGS answers that may wait
#define SETTINGS_ENTRIES 32     // in one frame
#define CONTINUATIONS 8         // of one head (S11)
#define HEAD_OUT_MAX (1U << 20) // a head on its way out; it came in within limits
#define ROUNDS_MAX 64           // of one flush, lest two sessions keep each other busy for good

void h2_session_init(struct h2_session *session, struct worker *worker, const struct h2_session_ops *ops,
                     uint64_t *flood_counter)
{
    *session = (struct h2_session){.worker = worker, .ops = ops, .flood_counter = flood_counter};
    list_init(&session->flush_node);
    h2_head_init(&session->head);
    h2_guard_init(&session->guard, loop_now_us());
}

void h2_session_fini(struct h2_session *session)
{
    list_remove(&session->flush_node);
    nghttp2_session_del(session->ng);
    session->ng = NULL;
    h2_head_fini(&session->head);
}

// ---- floods -------------------------------------------------------------------------------------------------------

void h2_session_terminate(struct h2_session *session, uint32_t error)
{
    nghttp2_session_terminate_session(session->ng, error);
    session->is_terminated = true;
    h2_session_schedule(session);
}

void h2_session_end_attack(struct h2_session *session)
{
    if (session->is_terminated)
        return;
    counter_add(session->flood_counter, 1);
    h2_session_terminate(session, NGHTTP2_ENHANCE_YOUR_CALM);
}

void h2_session_count_idle_frame(struct h2_session *session)
{
    if (!h2_guard_idle_frame(&session->guard, loop_now_us()))
        h2_session_end_attack(session);
}

bool h2_session_is_idle_frame(const nghttp2_frame_hd *frame)
{
    switch (frame->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_RST_STREAM: // looked at when it is read
        return false;
    case NGHTTP2_DATA:
        return frame->length == 0 && !(frame->flags & NGHTTP2_FLAG_END_STREAM);
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        return !(frame->flags & NGHTTP2_FLAG_ACK);
    default:
        return true;
    }
}

// ---- bytes --------------------------------------------------------------------------------------------------------

void h2_session_receive(struct h2_session *session, struct slice bytes)
{
    if (session->is_terminated || session->is_broken)
        return;
    bool is_waste = !h2_guard_bytes(&session->guard, bytes.len);
    session->is_in_call = true;
    nghttp2_ssize used = nghttp2_session_mem_recv2(session->ng, (const uint8_t *)bytes.ptr, bytes.len);
    session->is_in_call = false;
    if (used == NGHTTP2_ERR_FLOODED || (is_waste && session->guard.waste > H2_GUARD_WASTE))
        h2_session_end_attack(session);
    else if (used < 0)
        h2_session_terminate(session, used == NGHTTP2_ERR_NOMEM ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
    h2_session_schedule(session);
}

bool h2_session_is_full(const struct h2_session *session)
{
    return session->worker->h2.out.len >= WRITE_BYTES;
}

// Gathers frames; false when there are no more. One call of nghttp2 gives as many frames of DATA as the windows allow, and
// that without end: h2_session_is_full stops it.
static bool gather(struct h2_session *session, struct buf *out)
{
    while (out->len < WRITE_BYTES) {
        const uint8_t *bytes;
        nghttp2_ssize len = nghttp2_session_mem_send2(session->ng, &bytes);
        if (len < 0 || (len > 0 && !buf_append(out, slice_make((const char *)bytes, (size_t)len))))
            session->is_broken = true;
        if (session->is_broken)
            return false;
        if (len <= 0)
            break;
    }
    return out->len >= WRITE_BYTES;
}

void h2_session_write(struct h2_session *session)
{
    struct buf *out = &session->worker->h2.out;
    bool is_more = true;
    if (session->is_in_call)
        return;
    while (is_more && !session->is_broken && !session->ops->is_blocked(session)) {
        buf_reset(out);
        session->is_in_call = true;
        is_more = gather(session, out);
        session->is_in_call = false;
        if (out->len && !session->ops->write(session, buf_slice(out)))
            session->is_broken = true;
    }
}

void h2_session_schedule(struct h2_session *session)
{
    if (list_is_empty(&session->flush_node))
        list_append(&session->worker->h2.flush, &session->flush_node);
}

static void flush_round(struct h2_shared *shared)
{
    struct list due;
    list_take_all(&due, &shared->flush);
    while (!list_is_empty(&due)) {
        struct h2_session *session = LIST_OWNER(due.next, struct h2_session, flush_node);
        list_remove(&session->flush_node);
        session->ops->give_windows(session);
        h2_session_write(session);
        session->ops->settle(session);
    }
}

// What one session tells its streams may give another one something to write; nothing else wakes the loop for that.
void h2_flush_all(struct h2_shared *shared)
{
    for (int round = 0; round < ROUNDS_MAX && !list_is_empty(&shared->flush); round++)
        flush_round(shared);
}

// ---- for nghttp2 --------------------------------------------------------------------------------------------------

// Fields that are kept out of HPACK's table: those whose values hardly ever come twice, which would push out others and
// make each encoding walk past them; and secrets of one client, since the table is shared with the next (RFC 7541 section
// 7.1.3). nghttp2 itself knows authorization.
static bool is_kept_out(struct slice name)
{
    static const struct slice names[] = {SLICE_INIT("x-request-id"),
                                         SLICE_INIT("request-id"),
                                         SLICE_INIT("cf-ray"),
                                         SLICE_INIT("openai-processing-ms"),
                                         SLICE_INIT("x-envoy-upstream-service-time"),
                                         SLICE_INIT("traceparent"),
                                         SLICE_INIT("x-amz-date"),
                                         SLICE_INIT("x-amz-security-token"),
                                         SLICE_INIT("x-amz-content-sha256"),
                                         SLICE_INIT("x-api-key"),
                                         SLICE_INIT("api-key"),
                                         SLICE_INIT("x-goog-api-key"),
                                         SLICE_INIT("cookie"),
                                         SLICE_INIT("set-cookie")};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_eq_nocase(name, names[i]))
            return true;
    return slice_starts_with_nocase(name, SLICE("x-ratelimit-"));
}

nghttp2_nv h2_session_pair(struct slice name, struct slice value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name.ptr, (uint8_t *)(uintptr_t)value.ptr, name.len, value.len,
                        is_kept_out(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE};
}

bool h2_session_is_framing(struct slice name)
{
    return http_is_hop_by_hop(name) || slice_eq_nocase(name, SLICE("content-length"));
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *context)
{
    struct h2_session *session = context;
    (void)ng;
    (void)frame;
    (void)flags;
    if (!h2_head_field(&session->head, slice_make((const char *)name, name_len),
                       slice_make((const char *)value, value_len)))
        h2_session_end_attack(session);
    return 0;
}

// nghttp2 would leave such a field out and go on; we refuse the message.
static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                             uint8_t flags, void *context)
{
    (void)ng;
    (void)frame;
    (void)name;
    (void)value;
    (void)flags;
    (void)context;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void h2_session_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
}

void h2_session_set_options(nghttp2_option *option)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, OUTBOUND_ACKS);
    nghttp2_option_set_max_settings(option, SETTINGS_ENTRIES);
    nghttp2_option_set_max_continuations(option, CONTINUATIONS);
    nghttp2_option_set_max_send_header_block_length(option, HEAD_OUT_MAX);
}

// ---- what sessions of a worker share ------------------------------------------------------------------------------

static bool init_side(struct h2_side *side, void (*set)(nghttp2_session_callbacks *callbacks))
{
    if (nghttp2_session_callbacks_new(&side->callbacks) != 0 || nghttp2_option_new(&side->option) != 0)
        return false;
    h2_session_set_callbacks(side->callbacks);
    h2_session_set_options(side->option);
    set(side->callbacks);
    return true;
}

static void fini_side(struct h2_side *side)
{
    nghttp2_session_callbacks_del(side->callbacks);
    nghttp2_option_del(side->option);
}

bool h2_shared_init(struct h2_shared *shared)
{
    list_init(&shared->flush);
    buf_init(&shared->out, OUT_MAX);
    return init_side(&shared->clients, h2_set_callbacks) && init_side(&shared->backends, upstream_h2_set_callbacks);
}

void h2_shared_fini(struct h2_shared *shared)
{
    fini_side(&shared->clients);
    fini_side(&shared->backends);
    buf_fini(&shared->out);
}
