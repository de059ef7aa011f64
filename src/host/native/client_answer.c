// Answers of HTTP/1.1: heads, framed bodies, and what follows their end. Bytes are written at once and only what the socket
// does not take is kept.
#include "host/native/client_parts.h"

#define PARTS_MAX TRANSPORT_PARTS_MAX

// ---- sending ------------------------------------------------------------------------------------------------------

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
    client_want_events(client);
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
    if (!front_keeps_length(&client->answer_left, bytes, is_end))
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

void client_linger(struct client *client)
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

void client_finish(struct client *client, bool is_request_read)
{
    client->is_keep_alive = false;
    client->state = CLIENT_LINGER;
    client->since_us = loop_now_us();
    if (client->unsent.len)
        return; // on_writable comes back here
    if (is_request_read && client->held.len == 0)
        client_close(client);
    else
        client_linger(client);
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
        client_finish(client, is_request_read || is_cut);
    } else {
        client->state = CLIENT_IDLE;
        client->since_us = loop_now_us();
        client->held_fed = 0;
        if (client->held.len && !client->is_processing)
            client_process(client, client->held.ptr, client->held.len);
    }
    if (!client->is_processing) {
        client_want_events(client);
        client_arm(client);
    }
}

// ---- the front ----------------------------------------------------------------------------------------------------

// The stream takes body bytes again, or is at an end: the kept bytes first.
static void resume(struct front *front)
{
    struct client *client = client_of(front);
    if (client->state != CLIENT_BODY || client->is_processing || !client->is_paused)
        return;
    client->is_paused = false;
    if (client->held.len)
        client_process(client, client->held.ptr, client->held.len);
    else
        client_want_events(client);
}

static void arm_front(struct front *front)
{
    client_arm(client_of(front));
}

static void spoil(struct front *front)
{
    client_of(front)->is_keep_alive = false;
}

const struct front_ops client_front_ops = {
    .go_on = go_on,
    .head = prepare_head,
    .send = send_pieces,
    .unsent = unsent,
    .done = done,
    .resume = resume,
    .arm = arm_front,
    .spoil = spoil,
};
