// Connections of clients. One read for each readiness; answers are written at once and only what the socket does not
// take is kept.
#include "host/native/client.h"

#include "host/native/refusal.h"

#include <stdlib.h>
#include <unistd.h>

#define PARTS_MAX TRANSPORT_PARTS_MAX
#define UNSENT_CEILING (512U << 20) // of a complete answer that the exchange holds in memory anyway
#define LINGER_US 1000000
#define LINGER_BYTES (1U << 20)

static void on_event(struct loop_io *io, unsigned events);
static void on_deadline(struct deadline *deadline, int64_t now_us);
static void process(struct client *client, char *bytes, size_t len);
static void begin_stream(struct client *client, const struct h1_request *request, enum error_code error);
static void want_events(struct client *client);
static void arm(struct client *client);
static const struct front_ops front_ops;

// ---- life ---------------------------------------------------------------------------------------------------------

static void on_closed(struct loop_io *io)
{
    struct client *client = (struct client *)(void *)io;
    buf_fini(&client->held);
    buf_fini(&client->unsent);
    transport_fini(&client->transport);
    free(client);
}

// Ends the connection and what is under way on it. The memory stays until the loop's turn is over.
static void close_with(struct client *client, enum exchange_end end)
{
    if (client->state == CLIENT_CLOSED)
        return;
    struct worker *worker = client->worker;
    struct stream *stream = client->stream;
    client->state = CLIENT_CLOSED;
    client->stream = NULL;
    if (stream)
        stream_abort(stream, end);
    if (client->h2)
        h2_free(client->h2, end);
    client->h2 = NULL;
    deadline_clear(&worker->deadlines, &client->deadline);
    list_remove(&client->node);
    if (!stream && !client->is_cut && client->unsent.len == 0)
        transport_close(&client->transport);
    loop_io_close(&client->io, on_closed);
    worker_connection_closed(worker, client->listener);
}

void client_close(struct client *client)
{
    close_with(client, END_DRAINED);
}

// The demands on a client of TLS are those of the listener that it asked for; a newer configuration may have others.
static bool is_still_admitted(const struct client *client)
{
    const struct generation *generation = client->worker->generation;
    const struct tls_session *tls = client->transport.tls;
    if (!tls)
        return !generation_has_tls(generation, client->listener->port->number);
    const struct config_listener *listener =
        generation_find_name(generation, client->listener->port->number, tls_server_name(tls));
    return listener && tls_server_is_same(generation->servers[listener->id], tls_session_server(tls));
}

bool client_refresh(struct client *client)
{
    const struct config_listener *listener =
        generation_first_listener(client->worker->generation, client->listener->port->number);
    if (!listener || !is_still_admitted(client))
        return false;
    client->limits = &listener->client;
    if (client->h2) {
        h2_set_limits(client->h2, &listener->client);
        client->limits = &client->h2->limits; // they may outlive the configuration
    }
    return true;
}

void client_begin(struct listener *listener, const struct transport *take_transport, const struct net_address *peer)
{
    struct worker *worker = listener->worker;
    struct client *client = calloc(1, sizeof *client);
    struct transport transport = *take_transport;
    struct net_address local;
    if (!client || !loop_io_init(&worker->loop, &client->io, transport.fd, on_event)) {
        free(client);
        close(transport.fd);
        transport_fini(&transport);
        worker_connection_closed(worker, listener);
        return;
    }
    client->front.ops = &front_ops;
    client->worker = worker;
    client->listener = listener;
    client->transport = transport;
    client->peer_text_len = (uint8_t)net_write_address(peer, client->peer_text);
    net_local_address(transport.fd, &local);
    client->local_text_len = (uint8_t)net_write_address(&local, client->local_text);
    buf_init(&client->held, CLIENT_HELD_BYTES + WORKER_READ_BYTES);
    buf_init(&client->unsent, UNSENT_CEILING);
    deadline_init(&client->deadline, on_deadline);
    list_append(&worker->clients, &client->node);
    client->since_us = loop_now_us();
    client->may_be_h2 = !client->transport.tls;
    if (!client_refresh(client)) {
        client_close(client);
        return;
    }
    if (client->transport.tls && slice_eq(tls_protocol(client->transport.tls), SLICE("h2")))
        client_begin_h2(client);
    if (client->state == CLIENT_CLOSED)
        return;
    want_events(client);
    arm(client);
}

void client_accept(struct listener *listener, int fd, const struct net_address *peer)
{
    struct transport transport = {.fd = fd};
    worker_connection_opened(listener->worker, listener);
    client_begin(listener, &transport, peer);
}

void client_retire(struct client *client)
{
    if (client->h2)
        h2_drain(client->h2);
    else
        client_close(client);
}

bool client_is_idle(const struct client *client)
{
    return !client->h2 && client->state == CLIENT_IDLE;
}

bool client_is_fresh(const struct client *client)
{
    return client_is_idle(client) && client->request_since_us == 0;
}

void client_drain(struct client *client)
{
    client->is_keep_alive = false;
    if (client->h2)
        h2_drain(client->h2);
    if (client->state == CLIENT_IDLE)
        client_close(client);
}

// ---- sending ------------------------------------------------------------------------------------------------------

static void want_events(struct client *client)
{
    unsigned events = LOOP_READ;
    if (client->state == CLIENT_CLOSED)
        return;
    if ((client->state == CLIENT_BODY && client->is_paused) ||
        (client->state == CLIENT_ANSWER && client->held.len >= CLIENT_HELD_BYTES))
        events = LOOP_HANGUP;
    if (client->unsent.len || client->transport.wants_write_for_read ||
        ((events & LOOP_READ) && transport_has_pending(&client->transport)))
        events |= LOOP_WRITE; // with bytes that are decrypted already: the next turn reads them
    loop_io_want(&client->io, events);
}

static struct client *client_of(struct front *front)
{
    return LIST_OWNER(front, struct client, front);
}

static size_t unsent(const struct front *front)
{
    return client_of((struct front *)(uintptr_t)front)->unsent.len;
}

static bool queue_parts(struct client *client, const struct slice *parts, size_t count, size_t skip)
{
    if (client->unsent.len == 0) {
        client->send_since_us = loop_now_us();
        client->send_progress = 0;
    }
    for (size_t i = 0; i < count; i++) {
        size_t cut = skip < parts[i].len ? skip : parts[i].len;
        skip -= cut;
        if (!buf_append(&client->unsent, slice_from(parts[i], cut)))
            return false;
    }
    return true;
}

bool client_write(struct client *client, const struct slice *parts, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += parts[i].len;
    if (total == 0)
        return true;
    ssize_t sent = client->unsent.len ? NET_AGAIN : transport_write(&client->transport, parts, count);
    if (sent == NET_FAILED)
        return false;
    if (sent == NET_AGAIN)
        sent = 0;
    if ((size_t)sent < total && !queue_parts(client, parts, count, (size_t)sent))
        return false;
    want_events(client);
    return true;
}

static void go_on(struct front *front)
{
    struct client *client = client_of(front);
    struct slice line = SLICE("HTTP/1.1 100 Continue\r\n\r\n");
    if (client->wants_continue && client->state == CLIENT_BODY)
        client_write(client, &line, 1); // a broken connection shows at the next read
    client->wants_continue = false;
}

static bool prepare_head(struct front *front, const struct response_head *head, bool has_body, int64_t body_bytes)
{
    struct client *client = client_of(front);
    struct h1_framing framing = {.body_bytes = body_bytes};
    bool is_bodiless = head->status == 204 || head->status == 304 || head->status < 200;
    if (client->state == CLIENT_BODY || client->worker->is_draining || client->worker->overload >= OVERLOAD_SHRINK)
        client->is_keep_alive = false; // what is left of the request would be taken for the next one
    if (is_bodiless || (client->is_head_request && body_bytes < 0))
        framing.kind = H1_SEND_NOTHING;
    else if (body_bytes >= 0 || !has_body)
        framing.kind = H1_SEND_LENGTH;
    else
        framing.kind = client->is_1_0 ? H1_SEND_UNTIL_CLOSE : H1_SEND_CHUNKED;
    if (framing.kind == H1_SEND_LENGTH && body_bytes < 0)
        framing.body_bytes = 0;
    if (framing.kind == H1_SEND_UNTIL_CLOSE)
        client->is_keep_alive = false;
    framing.is_close = !client->is_keep_alive;
    framing.is_client_1_0 = client->is_1_0;
    client->is_chunked = framing.kind == H1_SEND_CHUNKED;
    client->has_no_body = is_bodiless || client->is_head_request;
    client->answer_left = framing.kind == H1_SEND_LENGTH && !client->has_no_body ? framing.body_bytes : -1;
    buf_reset(&client->worker->head);
    client->worker->head.has_failed = false;
    client->has_head = h1_write_response(&client->worker->head, head, &framing);
    if (client->has_head)
        worker_count_response(client->worker, head->status);
    return client->has_head;
}

// A content-length that was promised must be kept to the byte: what is too much is not sent, and what is missing makes
// the message a cut one.
static bool keeps_length(struct client *client, size_t bytes, bool is_end)
{
    if (client->answer_left < 0)
        return true;
    if (bytes > (uint64_t)client->answer_left)
        return false;
    client->answer_left -= (int64_t)bytes;
    return !is_end || client->answer_left == 0;
}

static bool send_pieces(struct front *front, const struct slice *pieces, size_t count, bool is_end)
{
    struct client *client = client_of(front);
    char line[20];
    struct slice parts[PARTS_MAX] __attribute__((uninitialized));
    size_t at = 0, bytes = 0;
    if (client->state == CLIENT_CLOSED)
        return false;
    if (client->has_head)
        parts[at++] = buf_slice(&client->worker->head);
    client->has_head = false;
    for (size_t i = 0; i < count && !client->has_no_body; i++)
        bytes += pieces[i].len;
    if (!keeps_length(client, bytes, is_end))
        return false;
    if (client->is_chunked && bytes && !client->has_no_body)
        parts[at++] = h1_chunk_line(line, bytes);
    for (size_t i = 0; i < count && bytes; i++) {
        if (at == PARTS_MAX - 2) { // more pieces than one call takes
            if (!client_write(client, parts, at))
                return false;
            at = 0;
        }
        parts[at++] = pieces[i];
    }
    if (client->is_chunked && bytes)
        parts[at++] = SLICE("\r\n");
    if (client->is_chunked && is_end && !client->has_no_body)
        parts[at++] = SLICE("0\r\n\r\n");
    return client_write(client, parts, at);
}

// ---- the end of a message -----------------------------------------------------------------------------------------

// Our side is shut; reading on until the client shuts its own keeps the last bytes from being lost in a reset.
static void linger(struct client *client)
{
    if (!client->is_cut)
        transport_close(&client->transport);
    shutdown(client->io.fd, SHUT_WR);
    client->state = CLIENT_LINGER;
    client->since_us = loop_now_us();
    client->lingered_bytes = client->held.len;
    buf_fini(&client->held);
    buf_init(&client->held, CLIENT_HELD_BYTES + WORKER_READ_BYTES);
}

// Ends a connection whose last answer has been handed over.
static void finish_connection(struct client *client, bool is_request_read)
{
    client->is_keep_alive = false;
    client->state = CLIENT_LINGER;
    client->since_us = loop_now_us();
    if (client->unsent.len)
        return; // on_writable comes back here
    if (is_request_read && client->held.len == 0)
        client_close(client);
    else
        linger(client);
}

static void done(struct front *front, bool is_cut)
{
    struct client *client = client_of(front);
    bool is_request_read = client->state == CLIENT_ANSWER;
    client->stream = NULL;
    client->is_upstream_paused = false;
    client->has_head = false;
    client->is_cut = is_cut;
    if (client->state == CLIENT_CLOSED)
        return;
    if (is_cut || !client->is_keep_alive || !is_request_read || client->worker->is_draining ||
        !client_refresh(client)) {
        finish_connection(client, is_request_read || is_cut);
    } else {
        client->state = CLIENT_IDLE;
        client->since_us = loop_now_us();
        client->held_fed = 0;
        if (client->held.len && !client->is_processing)
            process(client, client->held.ptr, client->held.len);
    }
    if (!client->is_processing) {
        want_events(client);
        arm(client);
    }
}

// ---- refusing before there is an exchange -------------------------------------------------------------------------

static void refuse(struct client *client, enum error_code error)
{
    struct refusal refusal = {0};
    refusal_make(&refusal, client->worker, error);
    client->is_keep_alive = false;
    client->is_head_request = false;
    client->state = CLIENT_BODY; // nothing of what follows is read as a request
    if (!prepare_head(&client->front, &refusal.head, true, (int64_t)refusal.body.len) ||
        !send_pieces(&client->front, &refusal.body, 1, true))
        client_close(client);
    else
        finish_connection(client, false);
}

// ---- reading ------------------------------------------------------------------------------------------------------

const struct config_listener *client_listener(const struct client *client, struct slice authority,
                                              enum error_code *ret_error)
{
    const struct generation *generation = client->worker->generation;
    const struct tls_session *tls = client->transport.tls;
    const struct config_listener *listener =
        generation_find_name(generation, client->listener->port->number, http_host(authority));
    *ret_error = ERROR_PATH_UNKNOWN;
    if (!listener)
        return NULL;
    *ret_error = ERROR_MISDIRECTED; // a listener's demands on clients are not to be got around by its name alone
    if (tls && !tls_server_is_same(generation->servers[listener->id], tls_session_server(tls)))
        return NULL;
    return listener;
}

static void open_stream(struct client *client, const struct h1_request *request, enum error_code error)
{
    enum exchange_want want;
    enum error_code why;
    const struct config_listener *listener = client_listener(client, request->head.authority, &why);
    if (!listener) {
        refuse(client, why);
        return;
    }
    client->limits = &listener->client;
    if (client->limits->is_keep_alive_off)
        client->is_keep_alive = false;
    client->stream = stream_open(client, &client->front, listener->id, request, &want);
    if (!client->stream) {
        refuse(client, ERROR_OVERLOADED);
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
        h2_receive(client->h2, slice_make(bytes, len));
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
        client_close(client);
    else if (is_told_by_exchange(client->reader.error))
        begin_stream(client, &request, client->reader.error);
    else
        refuse(client, client->reader.error);
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
    if (body.len || client->reader.is_complete)
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
        h2_receive(client->h2, slice_make(bytes, len));
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

// Works through `bytes`, which are `held` or have just been read; keeps what is left.
static void process(struct client *client, char *bytes, size_t len)
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
    want_events(client);
    arm(client);
}

// The stream takes body bytes again, or is at an end: the kept bytes first.
static void resume(struct front *front)
{
    struct client *client = client_of(front);
    if (client->state != CLIENT_BODY || client->is_processing || !client->is_paused)
        return;
    client->is_paused = false;
    if (client->held.len)
        process(client, client->held.ptr, client->held.len);
    else
        want_events(client);
}

static void on_bytes(struct client *client, char *bytes, size_t len)
{
    if (client->held.len == 0) {
        process(client, bytes, len);
        return;
    }
    if (!buf_append(&client->held, slice_make(bytes, len))) {
        client_close(client);
        return;
    }
    if (client->state == CLIENT_ANSWER || (client->state == CLIENT_BODY && client->is_paused))
        want_events(client);
    else
        process(client, client->held.ptr, client->held.len);
}

// Where the next bytes are read to: straight behind what the exchange holds of a long body, if that is what comes, else
// the worker's own buffer.
static struct slice read_space(const struct client *client)
{
    if (client->state == CLIENT_BODY && client->stream && client->held.len == 0 &&
        client->reader.body == H1_BODY_LENGTH) {
        uint64_t left = client->reader.left; // no byte of a next request may come behind the body
        size_t wanted = left < WORKER_READ_BYTES ? (size_t)left : WORKER_READ_BYTES;
        struct slice space = stream_body_space(client->stream, wanted);
        if (space.ptr)
            return slice_sub(space, 0, left < SIZE_MAX ? (size_t)left : SIZE_MAX);
    }
    return slice_make(client->worker->read_bytes, WORKER_READ_BYTES);
}

static void on_readable(struct client *client)
{
    struct slice space = read_space(client);
    char *bytes = (char *)(uintptr_t)space.ptr;
    ssize_t got = transport_read(&client->transport, bytes, space.len);
    if (got == NET_AGAIN)
        return;
    if (got <= 0) {
        close_with(client, END_CLIENT_GONE);
        return;
    }
    on_bytes(client, bytes, (size_t)got);
    if (client->state == CLIENT_LINGER && client->lingered_bytes > LINGER_BYTES)
        client_close(client);
}

static void note_send_progress(struct client *client, size_t bytes)
{
    uint64_t progress = (uint64_t)client->send_progress + bytes;
    client->send_progress = (uint32_t)(progress < CLIENT_SEND_STEP ? progress : 0);
    if (progress >= CLIENT_SEND_STEP)
        client->send_since_us = loop_now_us();
}

static void on_writable(struct client *client)
{
    struct slice part = buf_slice(&client->unsent);
    ssize_t sent = part.len ? transport_write(&client->transport, &part, 1) : 0;
    if (sent == NET_FAILED) {
        close_with(client, END_CLIENT_GONE);
        return;
    }
    if (sent > 0) {
        buf_drop_front(&client->unsent, (size_t)sent);
        note_send_progress(client, (size_t)sent);
    }
    if (client->unsent.len == 0) {
        buf_fini(&client->unsent);
        buf_init(&client->unsent, UNSENT_CEILING);
    }
    if (client->unsent.len == 0 && client->h2)
        h2_writable(client->h2);
    if (client->unsent.len < CLIENT_UNSENT_LOW && client->stream)
        stream_resume(client->stream);
    if (client->unsent.len == 0 && client->stream)
        stream_sent(client->stream);
    else if (client->unsent.len == 0 && client->state == CLIENT_LINGER)
        linger(client);
    want_events(client);
    arm(client);
}

static void on_event(struct loop_io *io, unsigned events)
{
    struct client *client = (struct client *)(void *)io;
    if (client->state == CLIENT_CLOSED)
        return;
    if (events & LOOP_WRITE)
        on_writable(client);
    if (client->state == CLIENT_CLOSED)
        return;
    if ((events & LOOP_READ) || client->transport.wants_write_for_read ||
        ((client->io.wanted & LOOP_READ) && transport_has_pending(&client->transport)))
        on_readable(client);
    else if (events & (LOOP_HANGUP | LOOP_ERROR))
        close_with(client, END_CLIENT_GONE);
    if ((events & LOOP_ERROR) && client->state != CLIENT_CLOSED) // the watch has ended; there is nothing to wait for
        close_with(client, END_CLIENT_GONE);
}

// ---- HTTP/2 -------------------------------------------------------------------------------------------------------

void client_begin_h2(struct client *client)
{
    client->may_be_h2 = false;
    client->h2 = h2_new(client, client->limits);
    if (!client->h2) {
        client_close(client);
        return;
    }
    client->limits = &client->h2->limits;
    client->state = CLIENT_H2;
    counter_add(&client->worker->counters.h2_connections, 1);
    if (client->worker->is_draining)
        h2_drain(client->h2);
}

void client_h2_moved(struct client *client)
{
    if (client->state != CLIENT_H2)
        return;
    if (h2_is_over(client->h2)) {
        bool is_broken = client->h2->is_broken;
        h2_free(client->h2, END_CLIENT_GONE);
        client->h2 = NULL;
        if (is_broken || !client_refresh(client)) {
            client_close(client);
            return;
        }
        finish_connection(client, false); // frames that cross our end, a PING after a GOAWAY, must meet no reset
    }
    want_events(client);
    arm(client);
}

void client_h2_arm(struct client *client)
{
    arm(client);
}

// ---- time ---------------------------------------------------------------------------------------------------------

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

// The whole request, head and body, where the configuration limits that.
static int64_t request_deadline_us(const struct client *client)
{
    return client->limits->request_timeout_ms > 0 ? client->request_since_us + client->limits->request_timeout_ms * 1000
                                                  : DEADLINE_NONE;
}

static int64_t receive_deadline_us(const struct client *client)
{
    const struct config_client *limits = client->limits;
    switch (client->state) {
    case CLIENT_IDLE:
        return client->since_us + limits->keep_alive_idle_ms * 1000;
    case CLIENT_HEAD:
        return earlier(client->since_us + limits->head_timeout_ms * 1000, request_deadline_us(client));
    case CLIENT_BODY:
        if (client->is_paused)
            return request_deadline_us(client);
        return earlier(client->since_us + limits->body_idle_timeout_ms * 1000, request_deadline_us(client));
    case CLIENT_H2:
        return h2_deadline_us(client->h2);
    case CLIENT_LINGER:
        return client->unsent.len ? DEADLINE_NONE : client->since_us + LINGER_US;
    case CLIENT_ANSWER:
    case CLIENT_CLOSED:
        break;
    }
    return DEADLINE_NONE;
}

static int64_t send_deadline_us(const struct client *client)
{
    return client->unsent.len ? client->send_since_us + client->limits->send_timeout_ms * 1000 : DEADLINE_NONE;
}

static void arm(struct client *client)
{
    if (client->state == CLIENT_CLOSED)
        return;
    int64_t at_us = earlier(receive_deadline_us(client), send_deadline_us(client));
    if (client->stream)
        at_us = earlier(at_us, stream_deadline_us(client->stream));
    worker_deadline(client->worker, &client->deadline, at_us);
}

static void arm_front(struct front *front)
{
    arm(client_of(front));
}

static void spoil(struct front *front)
{
    client_of(front)->is_keep_alive = false;
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

static void on_receive_timeout(struct client *client)
{
    counter_add(&client->worker->counters.client_timeouts, client->state != CLIENT_IDLE);
    if (client->state == CLIENT_BODY && client->stream)
        stream_fail(client->stream, ERROR_REQUEST_TIMEOUT);
    else if (client->state == CLIENT_HEAD)
        refuse(client, ERROR_REQUEST_TIMEOUT);
    else
        client_close(client);
}

static void on_deadline(struct deadline *deadline, int64_t now_us)
{
    struct client *client = LIST_OWNER(deadline, struct client, deadline);
    if (send_deadline_us(client) <= now_us) {
        counter_add(&client->worker->counters.client_timeouts, 1);
        net_drop_unsent(client->io.fd); // the client has shown how it would take it
        close_with(client, END_SEND_TIMEOUT);
        return;
    }
    if (client->h2)
        h2_time(client->h2, now_us);
    else if (receive_deadline_us(client) <= now_us)
        on_receive_timeout(client);
    else if (client->stream)
        stream_time(client->stream, now_us);
    if (client->state == CLIENT_CLOSED)
        return;
    want_events(client);
    arm(client);
}
