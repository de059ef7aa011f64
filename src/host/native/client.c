// Connections of clients: their life, the socket's events, and time. What they read is client_read.c's, what they answer
// client_answer.c's.
#include "host/native/client_parts.h"

#include <stdlib.h>
#include <unistd.h>

#define LINGER_US 1000000
#define LINGER_BYTES (1U << 20)

static void on_event(struct loop_io *io, unsigned events);
static void on_deadline(struct deadline *deadline, int64_t now_us);

// ---- life ---------------------------------------------------------------------------------------------------------

static void on_closed(struct loop_io *io)
{
    struct client *client = (struct client *)(void *)io;
    buf_fini(&client->held);
    buf_fini(&client->unsent);
    transport_fini(&client->transport);
    free(client);
}

void client_close_with(struct client *client, enum exchange_end end)
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
    client_close_with(client, END_DRAINED);
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

static void note_ends(struct client *client, const struct arrival_ends *ends)
{
    struct net_address local = ends->local;
    if (local.len == 0)
        net_local_address(client->transport.fd, &local);
    client->peer_text_len = (uint8_t)net_write_address(&ends->peer, client->peer_text);
    client->local_text_len = (uint8_t)net_write_address(&local, client->local_text);
    if (ends->is_told)
        client->direct_text_len = (uint8_t)net_write_address(&ends->direct, client->direct_text);
}

// Goes on as the protocol that is known, or to be found out.
static void begin_protocol(struct client *client, struct slice early)
{
    if (!client_refresh(client)) {
        client_close(client);
        return;
    }
    if (client->transport.tls && slice_eq(tls_protocol(client->transport.tls), SLICE("h2")))
        client_begin_h2(client);
    if (client->state == CLIENT_CLOSED)
        return;
    client_want_events(client);
    client_arm(client);
    if (early.len)
        client_take(client, (char *)(uintptr_t)early.ptr, early.len);
}

void client_begin(struct listener *listener, const struct transport *take_transport, const struct arrival_ends *ends,
                  struct slice early)
{
    struct worker *worker = listener->worker;
    struct client *client = calloc(1, sizeof *client);
    struct transport transport = *take_transport;
    if (!client || !loop_io_init(&worker->loop, &client->io, transport.fd, on_event)) {
        free(client);
        close(transport.fd);
        transport_fini(&transport);
        worker_connection_closed(worker, listener);
        return;
    }
    client->front.ops = &client_front_ops;
    client->worker = worker;
    client->listener = listener;
    client->transport = transport;
    note_ends(client, ends);
    buf_init(&client->held, CLIENT_HELD_BYTES + WORKER_READ_BYTES);
    buf_init(&client->unsent, CLIENT_UNSENT_CEILING);
    deadline_init(&client->deadline, on_deadline);
    list_append(&worker->clients, &client->node);
    client->since_us = client->accepted_us = loop_now_us();
    client->may_be_h2 = !client->transport.tls;
    begin_protocol(client, early);
}

void client_accept(struct listener *listener, int fd, const struct net_address *peer)
{
    struct transport transport = {.fd = fd};
    struct arrival_ends ends = {.direct = *peer, .peer = *peer};
    worker_connection_opened(listener->worker, listener);
    client_begin(listener, &transport, &ends, slice_make("", 0));
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

// ---- the socket ---------------------------------------------------------------------------------------------------

void client_want_events(struct client *client)
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
        client_close_with(client, END_CLIENT_GONE);
        return;
    }
    client_take(client, bytes, (size_t)got);
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
        client_close_with(client, END_CLIENT_GONE);
        return;
    }
    if (sent > 0) {
        buf_drop_front(&client->unsent, (size_t)sent);
        note_send_progress(client, (size_t)sent);
    }
    if (client->unsent.len == 0) {
        buf_fini(&client->unsent);
        buf_init(&client->unsent, CLIENT_UNSENT_CEILING);
    }
    if (client->unsent.len == 0 && client->h2)
        h2_writable(client->h2);
    if (client->unsent.len < CLIENT_UNSENT_LOW && client->stream)
        stream_resume(client->stream);
    if (client->unsent.len == 0 && client->stream)
        stream_sent(client->stream);
    else if (client->unsent.len == 0 && client->state == CLIENT_LINGER)
        client_linger(client);
    client_want_events(client);
    client_arm(client);
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
        client_close_with(client, END_CLIENT_GONE);
    if ((events & LOOP_ERROR) && client->state != CLIENT_CLOSED) // the watch has ended; there is nothing to wait for
        client_close_with(client, END_CLIENT_GONE);
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
        bool is_broken = client->h2->base.is_broken;
        h2_free(client->h2, END_CLIENT_GONE);
        client->h2 = NULL;
        if (is_broken || !client_refresh(client)) {
            client_close(client);
            return;
        }
        client_finish(client, false); // frames that cross our end, a PING after a GOAWAY, must meet no reset
    }
    client_want_events(client);
    client_arm(client);
}

void client_h2_arm(struct client *client)
{
    client_arm(client);
}

// ---- time ---------------------------------------------------------------------------------------------------------

// The whole request, head and body, where the configuration limits that.
static int64_t request_deadline_us(const struct client *client)
{
    return client->limits->request_timeout_ms > 0 ? client->request_since_us + client->limits->request_timeout_ms * 1000
                                                  : DEADLINE_NONE;
}

int64_t client_age_deadline_us(const struct client *client)
{
    return client->limits->max_age_ms > 0 ? client->accepted_us + client->limits->max_age_ms * 1000 : DEADLINE_NONE;
}

static int64_t receive_deadline_us(const struct client *client)
{
    const struct config_client *limits = client->limits;
    switch (client->state) {
    case CLIENT_IDLE:
        return deadline_earlier(client->since_us + limits->keep_alive_idle_ms * 1000, client_age_deadline_us(client));
    case CLIENT_HEAD:
        return deadline_earlier(client->since_us + limits->head_timeout_ms * 1000, request_deadline_us(client));
    case CLIENT_BODY:
        if (client->is_paused)
            return request_deadline_us(client);
        return deadline_earlier(client->since_us + limits->body_idle_timeout_ms * 1000, request_deadline_us(client));
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

void client_arm(struct client *client)
{
    if (client->state == CLIENT_CLOSED)
        return;
    int64_t at_us = deadline_earlier(receive_deadline_us(client), send_deadline_us(client));
    if (client->stream)
        at_us = deadline_earlier(at_us, stream_deadline_us(client->stream));
    worker_deadline(client->worker, &client->deadline, at_us);
}

static void on_receive_timeout(struct client *client)
{
    counter_add(&client->worker->counters.client_timeouts, client->state != CLIENT_IDLE);
    if (client->state == CLIENT_BODY && client->stream)
        stream_fail(client->stream, ERROR_REQUEST_TIMEOUT);
    else if (client->state == CLIENT_HEAD)
        client_refuse(client, NULL, ERROR_REQUEST_TIMEOUT);
    else
        client_close(client);
}

static void on_deadline(struct deadline *deadline, int64_t now_us)
{
    struct client *client = LIST_OWNER(deadline, struct client, deadline);
    if (send_deadline_us(client) <= now_us) {
        counter_add(&client->worker->counters.client_timeouts, 1);
        net_drop_unsent(client->io.fd); // the client has shown how it would take it
        client_close_with(client, END_SEND_TIMEOUT);
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
    client_want_events(client);
    client_arm(client);
}
