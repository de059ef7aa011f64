// Event streams (S8): whole events pass as slices of the piece that brought them; only an incomplete event is held back.
// Usage is read off the same framing, and the chunk that Weir asked for itself is kept from the client.
#include "exchange/life.h"

// A stretch of the piece whose events all pass.
struct run {
    const char *from;
    const char *to;
};

static bool flush(struct attempt *a, struct run *run)
{
    bool is_pushed = run->from == run->to || attempt_push(a, slice_make(run->from, (size_t)(run->to - run->from)));
    run->from = run->to;
    return is_pushed;
}

// Bytes that live in the parser only until its next call.
static bool push_copy(struct attempt *a, struct slice bytes)
{
    buf_reset(&a->carry);
    a->carry.max = SIZE_MAX / 2;
    return buf_append(&a->carry, bytes) && attempt_push(a, buf_slice(&a->carry));
}

// Whether the event is for the client.
static bool is_shown(struct attempt *a, const struct sse_event *event, int64_t now_us)
{
    if (event->is_late_lf)
        return !a->is_event_kept;
    if (event->has_data && !a->first_event_us)
        a->first_event_us = now_us;
    bool is_usage_only = a->reader && usage_reader_event(a->reader, event);
    a->is_event_kept = is_usage_only && a->exchange->asks_usage;
    return !a->is_event_kept;
}

static bool pass_event(struct attempt *a, struct slice piece, const struct sse_event *event, struct run *run,
                       int64_t now_us)
{
    const char *begin = event->raw.ptr;
    bool is_inside = (uintptr_t)begin >= (uintptr_t)piece.ptr && (uintptr_t)begin < (uintptr_t)piece.ptr + piece.len;
    bool shown = is_shown(a, event, now_us);
    if (!is_inside) { // began in an earlier piece
        run->from = run->to;
        return !shown || push_copy(a, event->raw);
    }
    if (begin != run->to || !shown) {
        if (!flush(a, run))
            return false;
        run->from = run->to = begin;
    }
    run->to = begin + event->raw.len;
    if (!shown)
        run->from = run->to;
    return true;
}

// At the end of a complete body: what is unfinished was sent so, and passes so.
static bool pass_rest(struct attempt *a, int64_t now_us)
{
    struct sse_event event;
    if (!sse_finish(a->events, &event))
        return !a->events->is_too_large;
    return !is_shown(a, &event, now_us) || attempt_push(a, event.raw);
}

struct attempt_verdict stream_pass(struct attempt *a, struct slice piece, bool is_end, int64_t now_us)
{
    struct slice input = piece;
    struct sse_event event;
    struct run run = {piece.ptr, piece.ptr};
    enum sse_status status;
    while ((status = sse_next(a->events, &input, &event)) == SSE_EVENT)
        if (!pass_event(a, piece, &event, &run, now_us))
            return stream_cut(a, ERROR_OVERLOADED);
    bool is_pushed = flush(a, &run);
    if (status == SSE_TOO_LARGE)
        return stream_cut(a, ERROR_UPSTREAM_TOO_LARGE);
    if (!is_pushed || (is_end && !pass_rest(a, now_us)))
        return stream_cut(a, ERROR_OVERLOADED);
    return (struct attempt_verdict){
        .kind = is_end ? ATTEMPT_DONE : ATTEMPT_PASS, .pieces = a->pieces, .piece_count = a->piece_count};
}

// The event that tells the client's SDK that the stream failed, behind the whole events of this call.
static void push_error_event(struct attempt *a, enum error_code why)
{
    const struct exchange *x = a->exchange;
    const struct error_info *info = error_info(why);
    struct schema_error shown = {
        .status = info->status ? info->status : 502,
        .type = info->type,
        .code = info->code,
        .message = info->message,
        .request_id = x->request_id,
    };
    // A copied event may stand in `carry` already and be among the pieces: the event gets a buffer of its own.
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    if (schema_write_error_event(x->endpoint, &shown, &text))
        attempt_push(a, arena_dup(&a->exchange->arena, buf_slice(&text)));
    buf_fini(&text);
}

struct attempt_verdict stream_cut(struct attempt *a, enum error_code why)
{
    struct exchange *x = a->exchange;
    x->error = why;
    if (a->is_over && x->sent_status && a->piece_count == 0 && why == ERROR_STREAM_CUT)
        return (struct attempt_verdict){.kind = ATTEMPT_DONE}; // everything had come
    a->is_over = true;
    if (a->events)
        push_error_event(a, why);
    return (struct attempt_verdict){.kind = ATTEMPT_CUT, .pieces = a->pieces, .piece_count = a->piece_count};
}
