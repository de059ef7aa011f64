// What comes before HTTP: PROXY headers and handshakes. Nothing is known of a client yet: little is kept for it, and not
// for long.
#include "host/native/arrival.h"

#include "host/native/client.h"
#include "host/native/client_hello.h"
#include "host/native/passthrough.h"
#include "host/native/proxy_header.h"

#include <stdlib.h>
#include <unistd.h>

enum arrival_state {
    ARRIVAL_PROXY, // its PROXY header is read
    ARRIVAL_HELLO,
    ARRIVAL_HANDSHAKE,
    ARRIVAL_LINGER, // was told why it ends
    ARRIVAL_CLOSED, // waits for the loop to let go of it
};

struct arrival {
    struct loop_io io; // first, so that it can be found from it
    struct worker *worker;
    struct listener *listener;
    struct list node; // in worker.arrivals
    struct deadline deadline;
    enum arrival_state state;
    struct arrival_ends ends;
    struct buf bytes; // read and not used yet
    struct tls_session *tls;
    size_t lingered_bytes;
};

#define LINGER_US 1000000
#define LINGER_BYTES 65536

// Alerts that are sent before there is a session (RFC 8446 section 6): fatal.
enum alert {
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_DECODE_ERROR = 50,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_UNRECOGNIZED_NAME = 112,
};

// ---- the end ------------------------------------------------------------------------------------------------------

static void on_closed(struct loop_io *io)
{
    free((struct arrival *)(void *)io);
}

// Takes it out of everything but the loop.
static void leave(struct arrival *arrival)
{
    arrival->state = ARRIVAL_CLOSED;
    list_remove(&arrival->node);
    deadline_clear(&arrival->worker->deadlines, &arrival->deadline);
    buf_fini(&arrival->bytes);
}

static void end(struct arrival *arrival, uint64_t *counter)
{
    if (counter)
        counter_add(counter, 1);
    leave(arrival);
    tls_session_free(arrival->tls);
    arrival->tls = NULL;
    worker_connection_closed(arrival->worker, arrival->listener);
    loop_io_close(&arrival->io, on_closed);
}

// Our side is shut; the client's is read for a while, so that no reset takes away what it was told.
static void linger(struct arrival *arrival, uint64_t *counter)
{
    counter_add(counter, 1);
    tls_session_free(arrival->tls);
    arrival->tls = NULL;
    buf_fini(&arrival->bytes);
    shutdown(arrival->io.fd, SHUT_WR);
    arrival->state = ARRIVAL_LINGER;
    worker_deadline(arrival->worker, &arrival->deadline, loop_now_us() + LINGER_US);
    loop_io_want(&arrival->io, LOOP_READ);
}

static void read_lingering(struct arrival *arrival)
{
    ssize_t got = net_read(arrival->io.fd, arrival->worker->read_bytes, WORKER_READ_BYTES);
    if (got > 0)
        arrival->lingered_bytes += (size_t)got;
    if ((got <= 0 && got != NET_AGAIN) || arrival->lingered_bytes > LINGER_BYTES)
        end(arrival, NULL);
}

static void refuse(struct arrival *arrival, enum alert alert, uint64_t *counter)
{
    char record[] = {21, 3, 3, 0, 2, 2, (char)alert};
    struct iovec part = {record, sizeof record};
    net_write(arrival->io.fd, &part, 1); // whether it arrives or not
    linger(arrival, counter);
}

void arrival_end_all(struct worker *worker)
{
    while (!list_is_empty(&worker->arrivals))
        end(LIST_OWNER(worker->arrivals.next, struct arrival, node), NULL);
}

static void on_deadline(struct deadline *deadline, int64_t now_us)
{
    struct arrival *arrival = LIST_OWNER(deadline, struct arrival, deadline);
    struct counters *counters = &arrival->worker->counters;
    (void)now_us;
    if (arrival->state == ARRIVAL_LINGER)
        end(arrival, NULL);
    else
        end(arrival, arrival->state == ARRIVAL_PROXY ? &counters->proxy_failures : &counters->tls_timeouts);
}

// ---- the handshake ------------------------------------------------------------------------------------------------

// The connection goes on as one that speaks HTTP.
static void hand_on(struct arrival *arrival)
{
    struct worker *worker = arrival->worker;
    struct transport transport = {
        .fd = arrival->io.fd, .tls = arrival->tls, .is_unfinished = tls_has_pending(arrival->tls)};
    counter_add(&worker->counters.tls_handshakes, 1);
    counter_add(&worker->counters.tls_resumptions, tls_is_resumed(arrival->tls));
    leave(arrival);
    loop_io_release(&arrival->io, on_closed);
    client_begin(arrival->listener, &transport, &arrival->ends, slice_make("", 0));
}

static void shake(struct arrival *arrival)
{
    struct counters *counters = &arrival->worker->counters;
    switch (tls_handshake(arrival->tls)) {
    case TLS_OK:
        hand_on(arrival);
        return;
    case TLS_WANT_READ:
        loop_io_want(&arrival->io, LOOP_READ);
        return;
    case TLS_WANT_WRITE:
        loop_io_want(&arrival->io, LOOP_WRITE);
        return;
    case TLS_EOF:
    case TLS_FAILED:
        linger(arrival, tls_is_peer_refused(arrival->tls) ? &counters->tls_client_refusals : &counters->tls_failures);
        return;
    }
}

// ---- the ClientHello ----------------------------------------------------------------------------------------------

// The backend ends TLS itself: it gets the ClientHello as it came.
static void pass_on(struct arrival *arrival, const struct config_listener *listener, struct slice server_name)
{
    int fd = arrival->io.fd;
    struct buf hello = arrival->bytes;
    arrival->bytes = (struct buf){.ptr = NULL};
    leave(arrival);
    loop_io_release(&arrival->io, on_closed);
    passthrough_begin(arrival->listener, fd, &arrival->ends, listener, server_name, &hello);
}

static void choose(struct arrival *arrival, struct slice server_name)
{
    const struct generation *generation = arrival->worker->generation;
    struct counters *counters = &arrival->worker->counters;
    const struct config_listener *listener =
        generation_find_name(generation, arrival->listener->port->number, server_name);
    if (listener && listener->protocol == LISTENER_PASSTHROUGH) {
        pass_on(arrival, listener, server_name);
        return;
    }
    if (!listener || !generation->servers[listener->id]) {
        refuse(arrival, ALERT_UNRECOGNIZED_NAME, &counters->tls_unknown_names);
        return;
    }
    arrival->tls =
        tls_session_accept(generation->servers[listener->id], arrival->io.fd, buf_slice(&arrival->bytes), server_name);
    arrival->state = ARRIVAL_HANDSHAKE;
    if (arrival->tls)
        shake(arrival);
    else
        refuse(arrival, ALERT_INTERNAL_ERROR, &counters->tls_failures);
}

// Somebody who speaks HTTP to a port with TLS gets told.
static bool is_plain_http(struct slice bytes)
{
    return bytes.len && ((bytes.ptr[0] >= 'A' && bytes.ptr[0] <= 'Z'));
}

static void tell_plain(struct arrival *arrival)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 43\r\n"
                                 "connection: close\r\n\r\nThis port speaks TLS: use https://, please.";
    struct iovec part = {(void *)(uintptr_t)answer, sizeof answer - 1};
    net_write(arrival->io.fd, &part, 1);
    linger(arrival, &arrival->worker->counters.tls_failures);
}

static void look_at_hello(struct arrival *arrival)
{
    struct client_hello hello;
    struct counters *counters = &arrival->worker->counters;
    switch (client_hello_read(buf_slice(&arrival->bytes), arrival->worker->read_bytes, &hello)) {
    case HELLO_MORE:
        return;
    case HELLO_READY:
        choose(arrival, hello.server_name);
        return;
    case HELLO_MALFORMED:
        if (is_plain_http(buf_slice(&arrival->bytes)))
            tell_plain(arrival);
        else
            refuse(arrival, ALERT_DECODE_ERROR, &counters->tls_failures);
        return;
    case HELLO_TOO_LARGE:
        refuse(arrival, ALERT_DECODE_ERROR, &counters->tls_failures);
        return;
    }
}

// ---- the PROXY header ---------------------------------------------------------------------------------------------

// No TLS: goes on as one that speaks HTTP, with what came behind the header.
static void hand_on_plain(struct arrival *arrival)
{
    struct transport transport = {.fd = arrival->io.fd};
    struct buf bytes = arrival->bytes;
    arrival->bytes = (struct buf){.ptr = NULL};
    leave(arrival);
    loop_io_release(&arrival->io, on_closed);
    client_begin(arrival->listener, &transport, &arrival->ends, buf_slice(&bytes));
    buf_fini(&bytes);
}

static void adopt(struct arrival *arrival, const struct proxy_header *header)
{
    counter_add(&arrival->worker->counters.proxy_headers, 1);
    buf_drop_front(&arrival->bytes, header->len);
    if (!header->has_addresses)
        return;
    arrival->ends.peer = net_of_ip(&header->source.ip, header->source.port);
    arrival->ends.local = net_of_ip(&header->destination.ip, header->destination.port);
    arrival->ends.is_told = true;
}

// False while the header is not whole, and when the connection ends for it.
static bool take_proxy_header(struct arrival *arrival)
{
    const struct worker *worker = arrival->worker;
    struct counters *counters = &arrival->worker->counters;
    struct proxy_header header;
    switch (proxy_header_read(buf_slice(&arrival->bytes), &header)) {
    case PROXY_MORE:
        return false;
    case PROXY_READY:
        adopt(arrival, &header);
        return true;
    case PROXY_ABSENT:
        if (generation_proxy_protocol(worker->generation, arrival->listener->port->number) == PROXY_PROTOCOL_REQUIRED)
            break;
        counter_add(&counters->proxy_absent, 1);
        return true;
    case PROXY_MALFORMED:
        break;
    }
    end(arrival, &counters->proxy_failures);
    return false;
}

static void look(struct arrival *arrival)
{
    if (arrival->state == ARRIVAL_PROXY) {
        if (!take_proxy_header(arrival))
            return;
        if (!generation_has_tls(arrival->worker->generation, arrival->listener->port->number)) {
            hand_on_plain(arrival);
            return;
        }
        arrival->state = ARRIVAL_HELLO;
    }
    if (arrival->bytes.len)
        look_at_hello(arrival);
}

// ---- the socket ---------------------------------------------------------------------------------------------------

static void read_bytes(struct arrival *arrival)
{
    struct counters *counters = &arrival->worker->counters;
    uint64_t *failures = arrival->state == ARRIVAL_PROXY ? &counters->proxy_failures : &counters->tls_failures;
    struct buf *bytes = &arrival->bytes;
    if (bytes->len == bytes->cap && !buf_reserve(bytes, bytes->cap ? 1 : 2048)) {
        refuse(arrival, ALERT_DECODE_ERROR, failures);
        return;
    }
    ssize_t got = net_read(arrival->io.fd, bytes->ptr + bytes->len, bytes->cap - bytes->len);
    if (got == NET_AGAIN)
        return;
    if (got <= 0) {
        end(arrival, bytes->len ? failures : NULL);
        return;
    }
    bytes->len += (size_t)got;
    look(arrival);
}

static void on_event(struct loop_io *io, unsigned events)
{
    struct arrival *arrival = (struct arrival *)(void *)io;
    if (arrival->state == ARRIVAL_PROXY || arrival->state == ARRIVAL_HELLO)
        read_bytes(arrival);
    else if (arrival->state == ARRIVAL_HANDSHAKE)
        shake(arrival);
    else if (arrival->state == ARRIVAL_LINGER)
        read_lingering(arrival);
    if ((events & LOOP_ERROR) && arrival->state != ARRIVAL_CLOSED) // the watch has ended
        end(arrival, arrival->state == ARRIVAL_LINGER ? NULL : &arrival->worker->counters.tls_failures);
}

// Which listener it will be is not known yet: the times of the port's first one hold, and for all that comes before HTTP.
static int64_t time_us(const struct listener *listener)
{
    const struct generation *generation = listener->worker->generation;
    const struct config_listener *first = generation_first_listener(generation, listener->port->number);
    if (!first)
        return 0;
    return 1000 * (first->protocol == LISTENER_HTTP ? first->client.head_timeout_ms : first->client.tls_handshake_ms);
}

void arrival_begin(struct listener *listener, int fd, const struct net_address *peer)
{
    struct worker *worker = listener->worker;
    struct arrival *arrival = calloc(1, sizeof *arrival);
    if (!arrival || !loop_io_init(&worker->loop, &arrival->io, fd, on_event)) {
        free(arrival);
        close(fd);
        return;
    }
    bool has_header = generation_proxy_protocol(worker->generation, listener->port->number) != PROXY_PROTOCOL_OFF;
    arrival->worker = worker;
    arrival->listener = listener;
    arrival->state = has_header ? ARRIVAL_PROXY : ARRIVAL_HELLO;
    arrival->ends = (struct arrival_ends){.direct = *peer, .peer = *peer};
    buf_init(&arrival->bytes, CLIENT_HELLO_BYTES + (has_header ? PROXY_HEADER_MAX : 0));
    deadline_init(&arrival->deadline, on_deadline);
    list_append(&worker->arrivals, &arrival->node);
    worker_connection_opened(worker, listener);
    worker_deadline(worker, &arrival->deadline, loop_now_us() + time_us(listener));
    loop_io_want(&arrival->io, LOOP_READ);
}
