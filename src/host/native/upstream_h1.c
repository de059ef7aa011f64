// HTTP/1.1 on a connection to a backend: one request at a time. Reads once for each readiness; writes at once and asks for
// writability only after EAGAIN.
#include "host/native/upstream_parts.h"

#include "host/native/h1_write.h"
#include "host/native/pool.h"
#include "host/native/stream.h"

#include <errno.h>

// ---- the request --------------------------------------------------------------------------------------------------

static void want_events(struct upstream *upstream)
{
    if (upstream->state != UPSTREAM_BUSY && upstream->state != UPSTREAM_IDLE)
        return;
    unsigned events = upstream->is_paused ? 0 : LOOP_READ;
    if (upstream->unsent.len || upstream->body_index < upstream->body_count || upstream->wants_write_for_read)
        events |= LOOP_WRITE;
    loop_io_want(&upstream->io, events);
}

// The backend takes no more of the request. An answer may be on its way nevertheless (413, say): what there is to read
// decides; the rest of the request is dropped.
static void stop_sending(struct upstream *upstream)
{
    upstream->is_spoilt = true;
    upstream->body_index = upstream->body_count = 0;
    buf_reset(&upstream->unsent);
}

static size_t gather(const struct upstream *upstream, struct slice head, struct slice parts[UPSTREAM_PARTS_MAX])
{
    size_t count = 0;
    if (head.len)
        parts[count++] = head;
    size_t offset = upstream->body_offset;
    for (size_t i = upstream->body_index; i < upstream->body_count && count < UPSTREAM_PARTS_MAX; i++) {
        parts[count] = slice_from(upstream->body[i], offset);
        offset = 0;
        if (parts[count].len)
            count++;
    }
    return count;
}

// Notes that `sent` bytes of the body's slices went.
static void advance(struct upstream *upstream, size_t sent)
{
    while (upstream->body_index < upstream->body_count) {
        size_t left = upstream->body[upstream->body_index].len - upstream->body_offset;
        if (sent < left) {
            upstream->body_offset += sent;
            return;
        }
        sent -= left;
        upstream->body_index++;
        upstream->body_offset = 0;
    }
}

// Sends `head` (which is kept when it does not go whole) and the body's slices until done or EAGAIN.
static void send_request(struct upstream *upstream, struct slice head)
{
    for (;;) {
        struct slice parts[UPSTREAM_PARTS_MAX] __attribute__((uninitialized));
        size_t count = gather(upstream, head, parts);
        if (count == 0) {
            upstream->body_index = upstream->body_count;
            return;
        }
        ssize_t sent = upstream_write(upstream, parts, count);
        if (sent == NET_FAILED) {
            stop_sending(upstream);
            return;
        }
        if (sent == NET_AGAIN) {
            if (!buf_append(&upstream->unsent, head))
                stop_sending(upstream);
            return;
        }
        size_t of_head = (size_t)sent < head.len ? (size_t)sent : head.len;
        head = slice_from(head, of_head);
        advance(upstream, (size_t)sent - of_head);
    }
}

static struct upstream *of_back(struct back *back)
{
    return LIST_OWNER(back, struct upstream, back);
}

static bool send_head(struct back *back, const struct attempt_request *request, struct slice authority, bool is_whole)
{
    struct upstream *upstream = of_back(back);
    struct buf *head = &upstream->worker->head;
    buf_reset(head);
    head->has_failed = false;
    if (!h1_write_request(head, request->method, request->target, authority, &request->fields, request->body_bytes)) {
        upstream->is_spoilt = true;
        return false;
    }
    upstream->body = request->body;
    upstream->body_count = request->body_count;
    upstream->body_index = upstream->body_offset = 0;
    upstream->is_head_request = slice_eq(request->method, SLICE("HEAD"));
    upstream->is_chunked = request->body_bytes < 0;
    upstream->is_body_ended = is_whole;
    upstream->requests++;
    counter_add(&upstream->worker->counters.upstream_requests, 1);
    send_request(upstream, buf_slice(head));
    want_events(upstream);
    return true;
}

static void queue_parts(struct upstream *upstream, const struct slice *parts, size_t count, size_t skip)
{
    for (size_t i = 0; i < count; i++) {
        size_t cut = skip < parts[i].len ? skip : parts[i].len;
        skip -= cut;
        if (!buf_append(&upstream->unsent, slice_from(parts[i], cut))) {
            stop_sending(upstream);
            return;
        }
    }
}

static void send_piece(struct back *back, struct slice piece, bool is_end)
{
    struct upstream *upstream = of_back(back);
    bool is_chunked = upstream->is_chunked;
    char line[20];
    struct slice parts[4];
    size_t count = 0;
    if (is_chunked && piece.len)
        parts[count++] = h1_chunk_line(line, piece.len);
    if (piece.len)
        parts[count++] = piece;
    if (is_chunked && piece.len)
        parts[count++] = SLICE("\r\n");
    if (is_chunked && is_end)
        parts[count++] = SLICE("0\r\n\r\n");
    upstream->is_body_ended = is_end;
    if (count == 0 || upstream->is_spoilt)
        return;
    ssize_t sent = upstream->unsent.len ? NET_AGAIN : upstream_write(upstream, parts, count);
    if (sent == NET_FAILED)
        stop_sending(upstream);
    else
        queue_parts(upstream, parts, count, sent == NET_AGAIN ? 0 : (size_t)sent);
    want_events(upstream);
}

static size_t unsent(const struct back *back)
{
    return LIST_OWNER((uintptr_t)back, const struct upstream, back)->unsent.len;
}

static bool is_sent(const struct back *back)
{
    const struct upstream *upstream = LIST_OWNER((uintptr_t)back, const struct upstream, back);
    return upstream->unsent.len == 0 && upstream->body_index >= upstream->body_count && upstream->is_body_ended;
}

static void on_writable(struct upstream *upstream)
{
    upstream->wants_write_for_read = false;
    size_t waiting = upstream->unsent.len;
    if (waiting) {
        struct slice part = buf_slice(&upstream->unsent);
        ssize_t sent = upstream_write(upstream, &part, 1);
        if (sent > 0)
            buf_drop_front(&upstream->unsent, (size_t)sent);
        else if (sent == NET_FAILED)
            stop_sending(upstream);
    }
    if (upstream->unsent.len == 0)
        send_request(upstream, slice_make("", 0));
    want_events(upstream);
    if (waiting && upstream->unsent.len < BACK_UNSENT_HIGH / 2 && upstream->stream)
        stream_upstream_drained(upstream->stream);
}

// ---- the answer ---------------------------------------------------------------------------------------------------

static const struct h1_limits head_limits = {UPSTREAM_HEAD_BYTES, UPSTREAM_HEAD_FIELDS, 0};

// Reads the head from bytes[0..len); drops 1xx heads. READY: *ret_used bytes belong to heads.
static enum h1_result read_head(struct upstream *upstream, char *bytes, size_t len, size_t fed,
                                struct h1_response *response, size_t *ret_used)
{
    size_t at = 0, used;
    for (;;) {
        enum h1_result result = h1_read_response(&upstream->reader, slice_make(bytes + at, len - at), fed, &head_limits,
                                                 upstream->is_head_request, upstream->worker->spans, response, &used);
        *ret_used = at;
        if (result != H1_READY)
            return result;
        at += used;
        fed = 0;
        *ret_used = at;
        if (response->head.status >= 200)
            return H1_READY;
        if (++upstream->early_heads > UPSTREAM_EARLY_HEADS) {
            upstream->reader.error = ERROR_UPSTREAM_MALFORMED;
            return H1_FAILED;
        }
        if (at == len)
            return H1_MORE;
    }
}

// Keeps what has come of a head for the next read.
static bool hold(struct upstream *upstream, const char *bytes, size_t len, size_t used)
{
    if (bytes == upstream->held.ptr) {
        buf_drop_front(&upstream->held, used);
        return true;
    }
    return buf_append(&upstream->held, slice_make(bytes + used, len - used));
}

// Gives body bytes and the end to the stream. Must be the last thing that a caller does with the connection.
static void take_body(struct upstream *upstream, const struct h1_response *response, char *bytes, size_t len)
{
    struct slice body;
    size_t used;
    if (h1_read_body(&upstream->reader, bytes, len, &body, &used) == H1_FAILED) {
        upstream_fail(upstream, ERROR_UPSTREAM_MALFORMED, SLICE("malformed chunk"));
        return;
    }
    bool is_end = upstream->reader.is_complete;
    if (is_end && used < len)
        upstream->is_spoilt = true; // it speaks out of turn
    if (response || body.len || is_end)
        stream_upstream_answer(upstream->stream, response, body, is_end);
}

static void take_bytes(struct upstream *upstream, char *bytes, size_t len)
{
    struct h1_response response;
    size_t used, fed = 0;
    upstream->has_answer = true;
    if (upstream->has_head) {
        take_body(upstream, NULL, bytes, len);
        return;
    }
    if (upstream->held.len) {
        fed = upstream->held.len;
        if (!buf_append(&upstream->held, slice_make(bytes, len))) {
            upstream_fail(upstream, ERROR_UPSTREAM_TOO_LARGE, SLICE("response head too large"));
            return;
        }
        bytes = upstream->held.ptr;
        len = upstream->held.len;
    }
    switch (read_head(upstream, bytes, len, fed, &response, &used)) {
    case H1_READY:
        break;
    case H1_MORE:
        if (!hold(upstream, bytes, len, used))
            upstream_fail(upstream, ERROR_UPSTREAM_TOO_LARGE, SLICE("response head too large"));
        return;
    case H1_FAILED:
        upstream_fail(upstream, upstream->reader.error, SLICE("malformed response head"));
        return;
    }
    upstream->has_head = true;
    upstream->is_keep_alive = response.is_keep_alive;
    take_body(upstream, &response, bytes + used, len - used);
}

static void on_end(struct upstream *upstream, ssize_t result)
{
    upstream->is_spoilt = true;
    if (upstream->has_head && result == NET_END && h1_end_of_file(&upstream->reader)) {
        stream_upstream_answer(upstream->stream, NULL, slice_make("", 0), true);
        return;
    }
    struct slice why = result == NET_END ? SLICE("closed by the backend")
                       : upstream->tls   ? tls_reason(upstream->tls)
                                         : slice_from_cstr(strerror(errno));
    upstream_fail(upstream, ERROR_UPSTREAM_RESET, why);
}

// One read; true when there may be more to read at once.
static bool read_once(struct upstream *upstream)
{
    char *bytes = upstream->worker->read_bytes;
    ssize_t got = upstream_read(upstream, bytes, WORKER_READ_BYTES);
    if (got == NET_AGAIN) {
        want_events(upstream);
        return false;
    }
    if (got <= 0) {
        on_end(upstream, got);
        return false;
    }
    take_bytes(upstream, bytes, (size_t)got);
    return true;
}

static void on_readable(struct upstream *upstream, unsigned events)
{
    struct stream *stream = upstream->stream;
    bool again = (events & LOOP_ERROR) != 0; // nobody will tell us of the rest
    while (read_once(upstream)) {
        if (upstream->state != UPSTREAM_BUSY || upstream->stream != stream)
            return;
        if (!again && !(upstream->tls && !upstream->is_paused && tls_has_pending(upstream->tls)))
            return;
    }
}

// What came on an idle connection: its end, or bytes that nobody asked for. But a TLS server may send tickets at any time.
static bool is_harmless(struct upstream *upstream)
{
    char byte;
    return upstream->tls && upstream_read(upstream, &byte, 1) == NET_AGAIN;
}

void upstream_h1_idle_event(struct upstream *upstream, unsigned events)
{
    if ((events & LOOP_ERROR) || !is_harmless(upstream)) {
        counter_add(&upstream->worker->counters.upstream_idle_ends, 1);
        upstream_close(upstream);
    }
}

bool upstream_is_fit(struct upstream *upstream)
{
    return net_is_silent(upstream->io.fd) || is_harmless(upstream);
}

void upstream_h1_busy_event(struct upstream *upstream, unsigned events)
{
    if (events & LOOP_WRITE)
        on_writable(upstream);
    if (upstream->state == UPSTREAM_BUSY && (events & (LOOP_READ | LOOP_HANGUP | LOOP_ERROR)) &&
        (!upstream->is_paused || (events & LOOP_ERROR)))
        on_readable(upstream, events);
}

static void pause_reading(struct back *back, bool is_paused)
{
    struct upstream *upstream = of_back(back);
    if (upstream->is_paused == is_paused || upstream->state != UPSTREAM_BUSY)
        return;
    upstream->is_paused = is_paused;
    want_events(upstream);
    if (!is_paused && upstream->tls && tls_has_pending(upstream->tls))
        on_readable(upstream, LOOP_READ);
}

// ---- between requests ---------------------------------------------------------------------------------------------

void upstream_assign(struct upstream *upstream, struct stream *stream)
{
    list_remove(&upstream->pool_node);
    upstream->stream = stream;
    upstream->pool->active++;
    upstream->state = UPSTREAM_BUSY;
    upstream->is_reused = true;
    upstream->has_answer = upstream->has_head = upstream->is_keep_alive = upstream->is_body_ended = false;
    upstream->early_heads = 0;
    upstream->deadline.at_us = DEADLINE_NONE;
    counter_add(&upstream->worker->counters.upstream_reuses, 1);
}

static bool is_reusable(const struct upstream *upstream)
{
    return upstream->state == UPSTREAM_BUSY && upstream->has_head && upstream->reader.is_complete &&
           upstream->is_keep_alive && !upstream->is_spoilt && upstream->is_body_ended && upstream->unsent.len == 0 &&
           upstream->body_index >= upstream->body_count &&
           (upstream->max_requests == 0 || upstream->requests < upstream->max_requests) && upstream->idle_us > 0 &&
           !(upstream->tls && tls_has_pending(upstream->tls));
}

static void release(struct back *back)
{
    struct upstream *upstream = of_back(back);
    if (!is_reusable(upstream) || !upstream_follow_reload(upstream, 1)) {
        upstream_abort(upstream);
        return;
    }
    struct endpoint_pool *pool = upstream->pool;
    upstream->stream = NULL;
    pool->active--;
    upstream->state = UPSTREAM_IDLE;
    upstream->is_paused = false;
    upstream->body = NULL;
    upstream->body_count = upstream->body_index = 0;
    if (upstream->held.cap) {
        buf_fini(&upstream->held);
        buf_init(&upstream->held, UPSTREAM_HEAD_BYTES + WORKER_READ_BYTES);
    }
    list_push(&pool->idle, &upstream->pool_node);
    want_events(upstream);
    worker_deadline(upstream->worker, &upstream->deadline, loop_now_us() + upstream_idle_us(upstream));
    pool_serve(pool->backend);
}

static const struct back_ops back_ops = {
    .send = send_head,
    .send_piece = send_piece,
    .unsent = unsent,
    .is_sent = is_sent,
    .pause = pause_reading,
    .release = release,
};

void upstream_h1_start(struct upstream *upstream)
{
    upstream->state = UPSTREAM_BUSY;
    upstream->back.ops = &back_ops;
    worker_deadline(upstream->worker, &upstream->deadline, DEADLINE_NONE);
    loop_io_want(&upstream->io, LOOP_READ);
    stream_upstream_ready(upstream->stream);
}
