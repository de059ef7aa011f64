// Requests of HTTP/1.1, one after another on a connection: heads, bodies, and what comes behind them too early.
#include "host/native/client_parts.h"

#include "exchange/refusal.h"
#include "host/native/access_log.h"

// ---- refusing before there is an exchange -------------------------------------------------------------------------

void client_refuse(struct client *client, const struct request_head *head, enum error_code error)
{
    struct refusal refusal = {0};
    struct refused refused = {client, head, &refusal.head, 0, client->request_since_us, HTTP_1_1, error};
    refusal_make(&refusal, error, worker_random(client->worker), worker_random(client->worker));
    refused.answer_bytes = refusal.body.len;
    if (head)
        refused.version = head->version;
    access_log_refused(&refused);
    client->is_keep_alive = false;
    client->is_head_request = false;
    client->state = CLIENT_BODY; // nothing of what follows is read as a request
    if (!front_head(&client->front, &refusal.head, true, (int64_t)refusal.body.len) ||
        !front_send(&client->front, &refusal.body, 1, true))
        client_close(client);
    else
        client_finish(client, false);
}

// Another protocol, which is not answered.
static void leave_unanswered(struct client *client)
{
    struct refused refused = {client, NULL, NULL, 0, client->request_since_us, HTTP_1_1, client->reader.error};
    access_log_refused(&refused);
    client_close(client);
}

// ---- reading ------------------------------------------------------------------------------------------------------

const struct config_listener *client_listener(const struct client *client, struct slice authority,
                                              enum error_code *ret_error)
{
    const struct generation *generation = client->worker->generation;
    const struct tls_session *tls = client->transport.tls;
    const struct config_listener *listener =
        generation_find_name(generation, client->listener->port->number, http_host(authority));
    *ret_error = ERROR_HOST_UNKNOWN;
    if (!listener)
        return NULL;
    *ret_error = ERROR_MISDIRECTED; // a listener's demands on clients are not to be got around by its name alone
    if (tls && !tls_server_is_same(generation->servers[listener->id], tls_session_server(tls)))
        return NULL;
    return listener;
}

// Whether a limit of the connection ends it with this request.
static bool is_last_request(struct client *client)
{
    const struct config_client *limits = client->limits;
    client->request_count++;
    return (limits->max_requests && client->request_count >= limits->max_requests) ||
           (limits->max_age_ms && loop_now_us() >= client->accepted_us + limits->max_age_ms * 1000);
}

static void open_stream(struct client *client, const struct h1_request *request, enum error_code error)
{
    enum exchange_want want;
    enum error_code why;
    const struct config_listener *listener = client_listener(client, request->head.authority, &why);
    if (!listener) {
        client_refuse(client, &request->head, why);
        return;
    }
    client->limits = &listener->client;
    if (client->limits->is_keep_alive_off || is_last_request(client))
        client->is_keep_alive = false;
    client->stream = stream_open(client, &client->front, listener->id, request, &want);
    if (!client->stream) {
        client_refuse(client, &request->head, ERROR_OVERLOADED);
        return;
    }
    if (error != ERROR_NONE)
        stream_fail(client->stream, error);
    else
        stream_start(client->stream, want);
}

static void begin_stream(struct client *client, const struct h1_request *request, enum error_code error)
{
    counter_add(&client->worker->counters.requests, 1);
    client->is_keep_alive = request->is_keep_alive && error != ERROR_UPGRADE; // who knows what protocol follows
    client->is_1_0 = request->head.version == HTTP_1_0;
    client->is_head_request = slice_eq(request->head.method, SLICE("HEAD"));
    client->wants_continue = error == ERROR_NONE && request->expects_continue;
    client->is_paused = false;
    client->has_spoken = true;
    client->state = client->reader.is_complete ? CLIENT_ANSWER : CLIENT_BODY;
    client->since_us = loop_now_us();
    client->body_progress = 0;
    open_stream(client, request, error);
}

// Whether a connection's first line is three words like a request's, but none of them has the '/' of "HTTP/1.1": the
// preface of HTTP/2 gone wrong, or another protocol, is not answered (RFC 9113 section 3.4).
static bool is_no_http(struct slice bytes)
{
    size_t words = 1, end = slice_find(bytes, '\r');
    for (size_t i = 0; i < end && end != SLICE_NOT_FOUND; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        if (byte < 0x20 || byte >= 0x7f || byte == '/')
            return false;
        words += byte == ' ';
    }
    return words == 3;
}

static bool is_told_by_exchange(enum error_code error)
{
    return error == ERROR_EXPECTATION || error == ERROR_UPGRADE;
}

// The first bytes of a connection tell HTTP/2 (RFC 9113 section 3.3). False: it is none.
static bool take_preface(struct client *client, const char *bytes, size_t len, size_t *ret_used)
{
    enum h2_preface preface = h2_preface_in(slice_make(bytes, len));
    *ret_used = 0;
    client->may_be_h2 = preface != H2_PREFACE_NO;
    if (preface == H2_PREFACE_NO)
        return false;
    if (client->state == CLIENT_IDLE) {
        client->state = CLIENT_HEAD;
        client->since_us = client->request_since_us = loop_now_us();
    }
    if (preface == H2_PREFACE_PART)
        return true;
    client_begin_h2(client);
    if (client->h2)
        h2_session_receive(&client->h2->base, slice_make(bytes, len));
    *ret_used = len;
    return true;
}

// A part of a head, or all of it. Gives how many bytes were used; 0: the rest is to be kept.
static size_t take_head(struct client *client, const char *bytes, size_t len)
{
    struct h1_limits limits = {client->limits->header_bytes, client->limits->header_count,
                               client->limits->target_bytes};
    struct h1_request request;
    size_t used = len;
    if (client->may_be_h2 && take_preface(client, bytes, len, &used))
        return used;
    if (client->state == CLIENT_IDLE) {
        client->state = CLIENT_HEAD;
        client->since_us = client->request_since_us = loop_now_us();
    }
    switch (h1_read_request(&client->reader, slice_make(bytes, len), client->held_fed, &limits, client->worker->spans,
                            &request, &used)) {
    case H1_MORE:
        client->held_fed = len;
        return 0;
    case H1_READY:
        client->held_fed = 0;
        if (client->transport.tls)
            request.head.scheme = SLICE("https");
        begin_stream(client, &request, ERROR_NONE);
        return used;
    case H1_FAILED:
        break;
    }
    client->held_fed = 0;
    if (!client->has_spoken && is_no_http(slice_make(bytes, len)))
        leave_unanswered(client);
    else if (is_told_by_exchange(client->reader.error))
        begin_stream(client, &request, client->reader.error);
    else
        client_refuse(client, NULL, client->reader.error);
    return len;
}

// A body that is passed on as it comes may trickle, like the conversation that it may be; one that we wait for may not.
static void note_body_progress(struct client *client, size_t bytes)
{
    uint64_t progress = (uint64_t)client->body_progress + bytes;
    client->body_progress = (uint32_t)(progress < CLIENT_BODY_STEP ? progress : 0);
    if (progress >= CLIENT_BODY_STEP || client->stream->is_streamed)
        client->since_us = loop_now_us();
}

static bool is_in_read_bytes(const struct client *client, struct slice body)
{
    const char *begin = client->worker->read_bytes;
    return body.ptr >= begin && body.ptr < begin + WORKER_READ_BYTES;
}

static size_t take_body(struct client *client, char *bytes, size_t len)
{
    struct slice body;
    size_t used;
    if (!stream_takes_body(client->stream)) {
        client->is_paused = true;
        return 0;
    }
    client->is_paused = false;
    if (h1_read_body(&client->reader, bytes, len, &body, &used) == H1_FAILED) {
        stream_fail(client->stream, client->reader.error);
        return len;
    }
    note_body_progress(client, body.len);
    if (client->reader.is_complete)
        client->state = CLIENT_ANSWER;
    if (client->reader.is_complete && used == len && is_in_read_bytes(client, body))
        stream_body_whole(client->stream, body);
    else if (body.len || client->reader.is_complete)
        stream_body(client->stream, body, client->reader.is_complete);
    return used;
}

// One step with the bytes at hand; 0 when nothing more can be done with them now.
static size_t step(struct client *client, char *bytes, size_t len)
{
    switch (client->state) {
    case CLIENT_IDLE:
    case CLIENT_HEAD:
        return take_head(client, bytes, len);
    case CLIENT_BODY:
        return client->stream ? take_body(client, bytes, len) : len;
    case CLIENT_H2:
        h2_session_receive(&client->h2->base, slice_make(bytes, len));
        return len;
    case CLIENT_LINGER:
        client->lingered_bytes += len;
        return len;
    case CLIENT_ANSWER:
    case CLIENT_CLOSED:
        return 0;
    }
    return 0;
}

void client_process(struct client *client, char *bytes, size_t len)
{
    size_t at = 0;
    client->is_processing = true;
    while (at < len) {
        size_t used = step(client, bytes + at, len - at);
        if (used == 0)
            break;
        at += used;
    }
    client->is_processing = false;
    if (client->state == CLIENT_CLOSED)
        return;
    if (client->held.len && bytes == client->held.ptr)
        buf_drop_front(&client->held, at < client->held.len ? at : client->held.len);
    else if (at < len && !buf_append(&client->held, slice_make(bytes + at, len - at))) {
        client_close(client);
        return;
    }
    if (client->held.len == 0 && client->held.cap > 4096) {
        buf_fini(&client->held);
        buf_init(&client->held, CLIENT_HELD_BYTES + WORKER_READ_BYTES);
    }
    client_want_events(client);
    client_arm(client);
}

void client_take(struct client *client, char *bytes, size_t len)
{
    if (client->held.len == 0) {
        client_process(client, bytes, len);
        return;
    }
    if (!buf_append(&client->held, slice_make(bytes, len))) {
        client_close(client);
        return;
    }
    if (client->state == CLIENT_ANSWER || (client->state == CLIENT_BODY && client->is_paused))
        client_want_events(client);
    else
        client_process(client, client->held.ptr, client->held.len);
}
