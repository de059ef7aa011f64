// The upstream's answer: its head is judged (pass or try again), its body passes piece by piece.
#include "exchange/life.h"
#include "http/media_type.h"

#define EVENT_MAX_BYTES ((size_t)1024 * 1024) // S11

// ---- the head -------------------------------------------------------------------------------------------------

// Framing is the host's, hop-by-hop fields end here, and the request id is ours.
static bool is_passed_on(struct slice name, struct slice connection)
{
    switch (name.len) {
    case 12:
        return !slice_eq_nocase(name, SLICE("x-request-id"));
    case 14:
        return !slice_eq_nocase(name, SLICE("content-length"));
    default:
        return !http_is_hop_by_hop(name) && !(connection.ptr && list_names(connection, name));
    }
}

static bool take_head(struct attempt *a, const struct response_head *head)
{
    struct exchange *x = a->exchange;
    struct fields *fields = &a->head.fields;
    size_t bytes = head->reason.len;
    for (size_t i = 0; i < head->fields.count; i++)
        bytes += head->fields.items[i].name.len + head->fields.items[i].value.len;
    char *at = arena_alloc(&x->arena, bytes);
    *fields = (struct fields){.cap = head->fields.count + 1};
    fields->items = arena_alloc(&x->arena, fields->cap * sizeof *fields->items);
    if (!at || !fields->items)
        return false;
    struct slice connection = fields_joined(&head->fields, SLICE("connection"), &x->arena);
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct field *field = &head->fields.items[i];
        if (is_passed_on(field->name, connection))
            fields->items[fields->count++] =
                (struct field){head_take_slice(&at, field->name), head_take_slice(&at, field->value)};
    }
    fields->items[fields->count++] = (struct field){SLICE("x-request-id"), x->request_id};
    a->head.status = head->status;
    a->head.version = head->version;
    a->head.reason = head_take_slice(&at, head->reason);
    return plain_response(x, fields);
}

static bool is_success(uint16_t status)
{
    return status >= 200 && status < 300;
}

static bool prepare_events(struct attempt *a)
{
    a->events = arena_alloc(&a->exchange->arena, sizeof *a->events);
    if (a->events)
        sse_init(a->events, EVENT_MAX_BYTES);
    return a->events;
}

// How the body is to be read while it passes: as events, as JSON for its usage, or not at all.
static bool prepare_body(struct attempt *a, bool has_body)
{
    struct exchange *x = a->exchange;
    struct slice encoding = fields_value(&a->head.fields, SLICE("content-encoding"));
    if (!has_body || !x->endpoint || (encoding.len && !slice_eq_nocase(encoding, SLICE("identity"))))
        return true;
    struct slice type = fields_value(&a->head.fields, SLICE("content-type"));
    bool is_event_stream = media_type_is(type, SLICE("text/event-stream"));
    if (is_event_stream && !prepare_events(a))
        return false;
    bool is_read = x->wants_usage && is_success(a->head.status) && x->endpoint->usage != USAGE_SHAPE_NONE &&
                   (is_event_stream || media_type_is_json(type));
    if (is_read)
        a->reader = usage_reader_new(&x->arena, x->endpoint->usage, is_event_stream ? x->snapshot->usage_names : NULL);
    return !is_read || a->reader;
}

static void release_body(struct exchange *x)
{
    if (x->attempt->is_request_sent) {
        exchange_drop_body(x);
        x->attempt->request.body = NULL;
        x->attempt->request.body_count = 0;
    }
}

void attempt_request_sent(struct attempt *a)
{
    a->is_request_sent = true;
    if (a->exchange->attempt == a && (a->is_last || a->exchange->step == STEP_ANSWER))
        release_body(a->exchange);
}

void attempt_is_last(struct attempt *a)
{
    a->is_last = true;
}

static struct attempt_verdict refuse(struct exchange *x, enum error_code error)
{
    x->step = reply_error(x, error, SLICE(""));
    return (struct attempt_verdict){.kind = ATTEMPT_REPLY};
}

struct attempt_verdict attempt_response_head(struct attempt *a, const struct response_head *head, bool has_body,
                                             int64_t content_length, int64_t now_us)
{
    struct exchange *x = a->exchange;
    a->head_us = a->last_us = now_us;
    int64_t cool_us = 0;
    if (head->status >= 300) {
        if (head->status == 429 || head->status >= 500)
            cool_us = retry_after_us(&head->fields, x->client.unix_us + (now_us - x->client.now_us));
        if (retry_after_status(x, head->status, cool_us, now_us)) {
            x->step = STEP_BACKEND;
            return (struct attempt_verdict){.kind = ATTEMPT_RETRY, .cool_ms = cool_us / 1000};
        }
    }
    if (!take_head(a, head) || !prepare_body(a, has_body))
        return refuse(x, ERROR_OVERLOADED);
    x->step = STEP_ANSWER;
    x->sent_status = head->status;
    x->sent_fields = &a->head.fields;
    a->is_over = !has_body;
    release_body(x);
    return (struct attempt_verdict){
        .kind = ATTEMPT_PASS,
        .head = &a->head,
        .body_bytes = a->events ? -1 : content_length,
        .cool_ms = cool_us / 1000,
    };
}

// ---- the body -------------------------------------------------------------------------------------------------

bool attempt_push(struct attempt *a, struct slice piece)
{
    if (!piece.len)
        return true;
    if (a->piece_count == a->piece_cap) {
        struct arena *arena = &a->exchange->arena;
        if (!arena_grow(arena, (void *)&a->pieces, &a->piece_cap, a->piece_count, sizeof *a->pieces))
            return false;
    }
    a->pieces[a->piece_count++] = piece;
    return true;
}

static struct attempt_verdict pass_piece(struct attempt *a, struct slice piece, bool is_end)
{
    if (a->reader)
        usage_reader_piece(a->reader, piece, is_end);
    if (!attempt_push(a, piece))
        return stream_cut(a, ERROR_OVERLOADED);
    return (struct attempt_verdict){
        .kind = is_end ? ATTEMPT_DONE : ATTEMPT_PASS, .pieces = a->pieces, .piece_count = a->piece_count};
}

struct attempt_verdict attempt_response_body(struct attempt *a, struct slice piece, bool is_end, int64_t now_us)
{
    a->last_us = now_us;
    a->piece_count = 0;
    if (a->exchange->step != STEP_ANSWER || a->is_over)
        return (struct attempt_verdict){.kind = ATTEMPT_DONE};
    a->is_over = is_end;
    return a->events ? stream_pass(a, piece, is_end, now_us) : pass_piece(a, piece, is_end);
}

void attempt_paused(struct attempt *a, bool is_paused, int64_t now_us)
{
    if (a->is_paused != is_paused)
        a->last_us = now_us;
    a->is_paused = is_paused;
}
