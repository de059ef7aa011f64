// The life of one request in this host: what the exchange asks for is carried out, what happens is told to it.
#include "host/native/stream.h"

#include "host/native/access_log.h"
#include "host/native/client.h"

#include <stdlib.h>

static void next_backend(struct stream *stream);
static void take_connection(struct stream *stream, bool is_fresh);
static void follow_failure(struct stream *stream, const struct attempt_verdict *verdict);

// ---- the end ------------------------------------------------------------------------------------------------------

static void give_load(struct stream *stream)
{
    if (!stream->load)
        return;
    load_give(&stream->load->requests);
    if (stream->is_retry_load)
        load_give(&stream->load->retries);
    stream->load = NULL;
    stream->is_retry_load = false;
}

// Lets go of the upstream: back to the pool if its answer is complete, else closed.
static void drop_upstream(struct stream *stream)
{
    pool_leave(&stream->waiter);
    give_load(stream);
    struct back *back = stream->back;
    stream->back = NULL;
    if (back)
        back_release(back);
}

// Accounts and frees.
static void end_stream(struct stream *stream, enum exchange_end end)
{
    struct worker *worker = stream->worker;
    struct pools *pools = stream->pools;
    drop_upstream(stream);
    struct record record __attribute__((uninitialized));
    exchange_close(stream->exchange, end, loop_now_us(), stream->body_bytes, stream->sent_bytes, &record);
    access_log_write(worker, pools, exchange_listener(stream->exchange)->id, &record);
    counter_add(&worker->counters.skipped_body_mutations, record.skipped_body_mutations);
    counter_add(&worker->counters.failed_costs, record.failed_costs);
    counter_add(&worker->counters.bytes_received, stream->body_bytes);
    counter_add(&worker->counters.bytes_sent, stream->sent_bytes);
    counter_add(&worker->counters.open_streams, (uint64_t)-1);
    if (end == END_CLIENT_GONE)
        counter_add(&worker->counters.client_gone, 1);
    else if (end != END_COMPLETE)
        counter_add(&worker->counters.cut_answers, 1);
    exchange_free(stream->exchange);
    list_remove(&stream->node);
    free(stream);
    pools_unuse(pools);
}

static void finish(struct stream *stream, enum exchange_end end)
{
    struct front *front = stream->front;
    bool is_cut = !stream->is_sent_whole;
    end_stream(stream, end);
    front_done(front, is_cut);
}

// All is said; the exchange is closed when the client has the last byte.
static void finish_when_sent(struct stream *stream, enum exchange_end end)
{
    drop_upstream(stream);
    if (front_unsent(stream->front) == 0) {
        finish(stream, end);
        return;
    }
    stream->state = STREAM_FLUSH;
    stream->end = end;
}

void stream_abort(struct stream *stream, enum exchange_end end)
{
    if (stream->state == STREAM_FLUSH && end == END_DRAINED && stream->end != END_COMPLETE)
        end = stream->end;
    end_stream(stream, end);
}

void stream_sent(struct stream *stream)
{
    if (stream->state == STREAM_FLUSH)
        finish(stream, stream->end);
}

// ---- towards the client -------------------------------------------------------------------------------------------

// False: the client left, and the stream with it.
static bool send_pieces(struct stream *stream, const struct slice *pieces, size_t count, bool is_end)
{
    for (size_t i = 0; i < count; i++)
        stream->sent_bytes += pieces[i].len;
    if (!front_send(stream->front, pieces, count, is_end)) {
        finish(stream, END_CLIENT_GONE);
        return false;
    }
    if (is_end)
        stream->is_sent_whole = true;
    return true;
}

static void cut(struct stream *stream, const struct slice *pieces, size_t count)
{
    if (send_pieces(stream, pieces, count, false))
        finish_when_sent(stream, END_CUT);
}

// An answer to HEAD tells the length that GET would have.
static int64_t length_of_reply(const struct exchange_reply *reply)
{
    uint64_t length;
    if (slice_to_u64(fields_value(&reply->head.fields, SLICE("content-length")), INT64_MAX, &length))
        return (int64_t)length;
    return (int64_t)reply->body.len;
}

#define HEAD_FIELDS_MAX 128

// Hands a head over, with the configuration's number in it where the operator asked for that.
static bool send_head(struct stream *stream, const struct response_head *head, bool has_body, int64_t body_bytes)
{
    struct field fields[HEAD_FIELDS_MAX];
    char text[24];
    if (!stream->worker->options->has_generation_header || head->fields.count >= HEAD_FIELDS_MAX)
        return front_head(stream->front, head, has_body, body_bytes);
    struct response_head longer = *head;
    struct buf number = {.ptr = text, .cap = sizeof text, .max = sizeof text};
    buf_append_u64(&number, snapshot_generation(stream->pools->generation->snapshot));
    memcpy(fields, head->fields.items, head->fields.count * sizeof *fields);
    fields[head->fields.count] = (struct field){SLICE("x-weir-generation"), buf_slice(&number)};
    longer.fields = (struct fields){fields, head->fields.count + 1, HEAD_FIELDS_MAX};
    return front_head(stream->front, &longer, has_body, body_bytes);
}

static void reply(struct stream *stream)
{
    const struct exchange_reply *reply = exchange_reply(stream->exchange);
    if (stream->is_answer_begun || !reply) {
        cut(stream, NULL, 0);
        return;
    }
    if (reply->must_close)
        front_spoil(stream->front);
    stream->is_answer_begun = true;
    if (!send_head(stream, &reply->head, true, length_of_reply(reply)))
        cut(stream, NULL, 0);
    else if (send_pieces(stream, &reply->body, reply->body.len ? 1 : 0, true))
        finish_when_sent(stream, END_COMPLETE);
}

// ---- attempts -----------------------------------------------------------------------------------------------------

static const struct config_traffic *traffic_of(const struct stream *stream)
{
    return &exchange_rule(stream->exchange)->traffic;
}

static void report_health(struct stream *stream, enum health_outcome outcome)
{
    health_report(stream->pools->generation->health, exchange_rule(stream->exchange), stream->ref->backend->id, outcome,
                  loop_now_us());
}

static bool health_outcome_of(enum error_code error, enum health_outcome *ret_outcome)
{
    switch (error) {
    case ERROR_UPSTREAM_CONNECT:
    case ERROR_UPSTREAM_TLS:
    case ERROR_UPSTREAM_DNS:
    case ERROR_CONNECT_TIMEOUT:
        *ret_outcome = HEALTH_CONNECT_FAILURE;
        return true;
    case ERROR_UPSTREAM_RESET:
    case ERROR_UPSTREAM_MALFORMED:
    case ERROR_UPSTREAM_TOO_LARGE:
    case ERROR_FIRST_BYTE_TIMEOUT:
        *ret_outcome = HEALTH_RESET;
        return true;
    default: // our own limits, the client's faults
        return false;
    }
}

static void fail_attempt(struct stream *stream, enum error_code error, struct slice why)
{
    enum health_outcome outcome;
    drop_upstream(stream);
    if (!stream->is_answer_begun && health_outcome_of(error, &outcome))
        report_health(stream, outcome);
    struct attempt_verdict verdict = attempt_failed(stream->attempt, error, why, loop_now_us());
    follow_failure(stream, &verdict);
}

static void cool_backend(struct stream *stream, int64_t cool_ms)
{
    if (cool_ms > 0)
        health_cool(stream->pools->generation->health, exchange_rule(stream->exchange), stream->ref, cool_ms,
                    loop_now_us());
}

#define SPARE_MS 1000

// A backend that keeps on failing, such as a full deployment that answers 429 to everything, would use up the budget of
// retries and then fail most requests. Before that, it is left out where the rule has another: requests begin at the next
// one and need no retry, and now and then one finds out whether it is well again.
static void spare_budget(struct stream *stream)
{
    if (retry_budget_is_low(&stream->worker->budget, loop_now_us()))
        cool_backend(stream, SPARE_MS);
}

// What follows when this attempt gives no answer (any more).
static void follow_failure(struct stream *stream, const struct attempt_verdict *verdict)
{
    switch (verdict->kind) {
    case ATTEMPT_RETRY:
        spare_budget(stream);
        drop_upstream(stream);
        if (stream->has_streamed) // the body is gone; the exchange knows, but its word alone is not trusted here
            stream_fail(stream, ERROR_UPSTREAM_RESET);
        else
            next_backend(stream);
        return;
    case ATTEMPT_REPLY:
        drop_upstream(stream);
        reply(stream);
        return;
    case ATTEMPT_DONE:
        if (send_pieces(stream, verdict->pieces, verdict->piece_count, true))
            finish_when_sent(stream, END_COMPLETE);
        return;
    case ATTEMPT_PASS:
    case ATTEMPT_CUT:
        cut(stream, verdict->pieces, verdict->piece_count);
        return;
    }
}

static struct slice authority_of(const struct stream *stream, const struct attempt_request *request, char *text,
                                 size_t cap)
{
    const struct config_endpoint *endpoint = stream->back->upstream->pool->config;
    bool is_v6 = endpoint->is_ip && slice_find(endpoint->host, ':') != SLICE_NOT_FOUND;
    if (request->authority.len)
        return request->authority;
    struct buf buf = {.ptr = text, .cap = cap, .max = cap};
    if (is_v6)
        buf_append_byte(&buf, '[');
    buf_append(&buf, endpoint->host);
    if (is_v6)
        buf_append_byte(&buf, ']');
    buf_append_byte(&buf, ':');
    buf_append_u64(&buf, endpoint->port);
    return buf_slice(&buf);
}

static void send_request(struct stream *stream)
{
    const struct attempt_request *request = attempt_request(stream->attempt);
    struct upstream *upstream = stream->back->upstream;
    char text[300];
    pool_leave(&stream->waiter);
    attempt_connected(stream->attempt, slice_make(upstream->address_text, upstream->address_len),
                      slice_make(upstream->local_text, upstream->local_len), upstream->h2 ? HTTP_2 : HTTP_1_1);
    bool is_whole = !stream->is_streamed || stream->is_body_read;
    stream->state = STREAM_ANSWER;
    if (!back_send(stream->back, request, authority_of(stream, request, text, sizeof text), is_whole)) {
        fail_attempt(stream, ERROR_OVERLOADED, SLICE("request head too large"));
        return;
    }
    struct front *front = stream->front; // what it kept of the body may be the end of the stream
    if (!is_whole) {
        front_continue(front);
        front_resume(front);
    }
    front_arm(front);
}

static void take_connection(struct stream *stream, bool is_fresh)
{
    struct backend_pool *backend = &stream->pools->backends[stream->ref->backend->id];
    struct slice why;
    stream->state = STREAM_CONNECT;
    switch (pool_take(backend, traffic_of(stream), stream, &stream->waiter, is_fresh, &why)) {
    case POOL_READY:
        send_request(stream);
        return;
    case POOL_BEGUN:
    case POOL_WAITING:
        front_arm(stream->front);
        return;
    case POOL_OVERFLOW:
        counter_add(&stream->worker->counters.upstream_overflows, 1);
        fail_attempt(stream, ERROR_OVERFLOW, why);
        return;
    case POOL_FAILED:
        fail_attempt(stream, ERROR_UPSTREAM_CONNECT, why);
        return;
    }
}

// Counts the attempt in; false when a circuit breaker is open.
static bool take_load(struct stream *stream)
{
    const struct config_traffic *traffic = traffic_of(stream);
    struct backend_load *load = stream->pools->backends[stream->ref->backend->id].load;
    if (!load_take(&load->requests, traffic->max_parallel_requests))
        return false;
    if (stream->is_retry && !load_take(&load->retries, traffic->max_parallel_retries)) {
        load_give(&load->requests);
        return false;
    }
    stream->load = load;
    stream->is_retry_load = stream->is_retry;
    return true;
}

static void begin_attempt(struct stream *stream, const struct exchange_choice *choice)
{
    int64_t now_us = loop_now_us();
    stream->ref = choice->ref;
    stream->is_retry = choice->is_retry;
    stream->has_raced = false;
    if (choice->is_retry) {
        counter_add(&stream->worker->counters.retries, 1);
        retry_budget_retry(&stream->worker->budget, now_us);
    }
    stream->attempt = attempt_begin(stream->exchange, choice->ref, now_us);
    if (!stream->attempt) {
        reply(stream);
    } else if (take_load(stream)) {
        take_connection(stream, false);
    } else {
        counter_add(&stream->worker->counters.upstream_overflows, 1);
        fail_attempt(stream, ERROR_OVERFLOW, SLICE("circuit breaker"));
    }
}

static void next_backend(struct stream *stream)
{
    struct pools *pools = stream->pools;
    int64_t now_us = loop_now_us();
    struct backend_health health =
        health_look(pools->generation->health, &pools->health, exchange_rule(stream->exchange), now_us);
    health.retries_exhausted = !retry_budget_allows(&stream->worker->budget, now_us);
    struct exchange_choice choice = exchange_next_backend(stream->exchange, now_us, &health);
    switch (choice.kind) {
    case CHOICE_BACKEND:
        begin_attempt(stream, &choice);
        return;
    case CHOICE_WAIT:
        stream->state = STREAM_WAIT;
        stream->wait_until_us = choice.at_us;
        stream->attempt = NULL;
        front_arm(stream->front);
        return;
    case CHOICE_REPLY:
        reply(stream);
        return;
    }
}

// ---- from upstream connections ------------------------------------------------------------------------------------

void stream_upstream_ready(struct stream *stream)
{
    send_request(stream);
}

void stream_upstream_given(struct stream *stream, bool is_ready, struct slice why)
{
    if (!stream->back)
        fail_attempt(stream, ERROR_UPSTREAM_CONNECT, why);
    else if (is_ready)
        send_request(stream);
}

void stream_upstream_failed(struct stream *stream, enum error_code error, struct slice why, bool is_race)
{
    stream->back = NULL;
    if (!is_race || stream->has_raced || stream->has_streamed) {
        fail_attempt(stream, error, why);
        return;
    }
    stream->has_raced = true;
    counter_add(&stream->worker->counters.upstream_races, 1);
    take_connection(stream, true);
}

// The rest of what an upstream sent after the exchange has had enough of it.
static void done(struct stream *stream, const struct attempt_verdict *verdict)
{
    if (send_pieces(stream, verdict->pieces, verdict->piece_count, true))
        finish_when_sent(stream, END_COMPLETE);
}

// False when the answer does not go on from here.
static bool answer_head(struct stream *stream, const struct h1_response *response)
{
    report_health(stream, health_of_status(response->head.status));
    struct attempt_verdict verdict = attempt_response_head(stream->attempt, &response->head, response->has_body,
                                                           response->content_length, loop_now_us());
    cool_backend(stream, verdict.cool_ms);
    if (verdict.kind != ATTEMPT_PASS && verdict.kind != ATTEMPT_DONE) {
        follow_failure(stream, &verdict);
        return false;
    }
    if (!verdict.head) // held back: the exchange sends its own later
        return true;
    stream->is_answer_begun = true;
    if (!send_head(stream, verdict.head, response->has_body || verdict.body_bytes > 0, verdict.body_bytes)) {
        cut(stream, NULL, 0);
        return false;
    }
    if (verdict.kind == ATTEMPT_DONE) {
        done(stream, &verdict);
        return false;
    }
    return true;
}

static void answer_body(struct stream *stream, struct slice body, bool is_end)
{
    struct attempt_verdict verdict = attempt_response_body(stream->attempt, body, is_end, loop_now_us());
    if (verdict.kind == ATTEMPT_DONE || (verdict.kind == ATTEMPT_PASS && is_end)) {
        done(stream, &verdict);
        return;
    }
    if (verdict.kind != ATTEMPT_PASS) {
        follow_failure(stream, &verdict);
        return;
    }
    if (!send_pieces(stream, verdict.pieces, verdict.piece_count, false))
        return;
    size_t unsent = front_unsent(stream->front);
    if (unsent > CLIENT_UNSENT_MAX) {
        cut(stream, NULL, 0);
        return;
    }
    if (unsent >= CLIENT_UNSENT_HIGH) {
        attempt_paused(stream->attempt, true, loop_now_us());
        back_pause(stream->back, true);
    }
    front_arm(stream->front);
}

void stream_upstream_answer(struct stream *stream, const struct h1_response *response, struct slice body, bool is_end)
{
    if (response) {
        if (back_is_sent(stream->back))
            attempt_request_sent(stream->attempt);
        if (!answer_head(stream, response))
            return;
    }
    if (body.len || is_end) {
        answer_body(stream, body, is_end);
        return;
    }
    if (send_pieces(stream, NULL, 0, false))
        front_arm(stream->front);
}

void stream_upstream_drained(struct stream *stream)
{
    front_resume(stream->front);
}

void stream_resume(struct stream *stream)
{
    if (!stream->back || stream->state != STREAM_ANSWER)
        return;
    attempt_paused(stream->attempt, false, loop_now_us());
    back_pause(stream->back, false);
}

// ---- from the client ----------------------------------------------------------------------------------------------

struct stream *stream_open(struct client *client, struct front *front, size_t listener_id,
                           const struct h1_request *request, enum exchange_want *ret_want)
{
    struct worker *worker = client->worker;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    struct exchange_client who = {
        .remote_address = slice_make(client->peer_text, client->peer_text_len),
        .direct_address = slice_make(client->direct_text, client->direct_text_len),
        .local_address = slice_make(client->local_text, client->local_text_len),
        .server_name = client->transport.tls ? tls_server_name(client->transport.tls) : SLICE(""),
        .is_tls = client->transport.tls != NULL,
        .is_verified = client->transport.tls && tls_is_peer_verified(client->transport.tls),
        .now_us = loop_now_us(),
        .unix_us = loop_unix_us(),
        .random = worker_random(worker),
        .random2 = worker_random(worker),
    };
    stream->front = front;
    stream->worker = worker;
    stream->pools = worker->pools;
    stream->exchange = exchange_open(worker->generation->snapshot, listener_id, &who, &request->head,
                                     request->content_length, ret_want);
    if (!stream->exchange) {
        free(stream);
        return NULL;
    }
    list_init(&stream->waiter.node);
    list_append(&worker->streams, &stream->node);
    stream->is_streamed = exchange_body_mode(stream->exchange) == BODY_STREAMED;
    stream->is_body_read = request->content_length == 0;
    pools_use(stream->pools);
    retry_budget_request(&worker->budget, who.now_us);
    counter_add(&worker->counters.open_streams, 1);
    return stream;
}

void stream_start(struct stream *stream, enum exchange_want want)
{
    if (stream->worker->overload >= OVERLOAD_REFUSE) {
        counter_add(&stream->worker->counters.overload_refused, 1);
        stream_fail(stream, ERROR_OVERLOADED);
        return;
    }
    if (want == EXCHANGE_WANT_BODY && stream->is_body_read)
        want = exchange_body(stream->exchange, slice_make("", 0), true);
    switch (want) {
    case EXCHANGE_WANT_BODY:
        stream->state = STREAM_BODY;
        front_continue(stream->front);
        return;
    case EXCHANGE_WANT_BACKEND:
        next_backend(stream);
        return;
    case EXCHANGE_WANT_REPLY:
        reply(stream);
        return;
    }
}

bool stream_takes_body(const struct stream *stream)
{
    if (!stream->is_streamed)
        return stream->state == STREAM_BODY;
    return stream->state == STREAM_ANSWER && stream->back && back_unsent(stream->back) < BACK_UNSENT_HIGH;
}

struct slice stream_body_space(struct stream *stream, size_t wanted)
{
    if (stream->is_streamed || stream->state != STREAM_BODY)
        return (struct slice){NULL, 0};
    return exchange_body_space(stream->exchange, wanted);
}

static void follow_body(struct stream *stream, enum exchange_want want)
{
    switch (want) {
    case EXCHANGE_WANT_BODY:
        return;
    case EXCHANGE_WANT_BACKEND:
        next_backend(stream);
        return;
    case EXCHANGE_WANT_REPLY:
        reply(stream);
        return;
    }
}

void stream_body(struct stream *stream, struct slice piece, bool is_end)
{
    stream->body_bytes += piece.len;
    stream->is_body_read = is_end;
    if (stream->is_streamed) {
        stream->has_streamed = true;
        back_send_piece(stream->back, piece, is_end);
        return;
    }
    follow_body(stream, exchange_body(stream->exchange, piece, is_end));
}

void stream_body_whole(struct stream *stream, struct slice body)
{
    struct buf block;
    bool is_worth_it = !stream->is_streamed && stream->body_bytes == 0 && body.len >= WORKER_READ_BYTES / 2;
    if (!is_worth_it || !worker_give_read_bytes(stream->worker, &block)) {
        stream_body(stream, body, true);
        return;
    }
    stream->body_bytes += body.len;
    stream->is_body_read = true;
    follow_body(stream, exchange_body_give(stream->exchange, &block, body));
}

size_t stream_held_bytes(const struct stream *stream)
{
    size_t bytes = exchange_held_bytes(stream->exchange) + front_unsent(stream->front);
    return bytes + (stream->back ? back_unsent(stream->back) : 0);
}

void stream_shed(struct stream *stream)
{
    if (stream->state == STREAM_FLUSH)
        finish(stream, END_CUT);
    else if (stream->is_answer_begun && stream->attempt)
        fail_attempt(stream, ERROR_OVERLOADED, SLICE("short of memory"));
    else
        stream_fail(stream, ERROR_OVERLOADED);
}

void stream_fail(struct stream *stream, enum error_code error)
{
    if (stream->state == STREAM_FLUSH)
        return;
    drop_upstream(stream);
    stream->attempt = NULL;
    if (stream->is_answer_begun) {
        cut(stream, NULL, 0);
        return;
    }
    exchange_fail(stream->exchange, error);
    reply(stream);
}

// ---- time ---------------------------------------------------------------------------------------------------------

int64_t stream_deadline_us(const struct stream *stream)
{
    enum error_code error;
    if (stream->state == STREAM_FLUSH)
        return DEADLINE_NONE;
    int64_t at_us = exchange_deadline_us(stream->exchange, &error);
    if (stream->state == STREAM_WAIT && stream->wait_until_us < at_us)
        at_us = stream->wait_until_us;
    return at_us;
}

void stream_time(struct stream *stream, int64_t now_us)
{
    enum error_code error;
    if (stream->state == STREAM_FLUSH)
        return;
    if (exchange_deadline_us(stream->exchange, &error) <= now_us) {
        if (stream->attempt && (stream->state == STREAM_CONNECT || stream->state == STREAM_ANSWER))
            fail_attempt(stream, error, slice_make("", 0));
        else
            stream_fail(stream, error);
    } else if (stream->state == STREAM_WAIT && stream->wait_until_us <= now_us) {
        next_backend(stream);
    }
}
