// Connections: resolving, the race of the addresses, the tunnel through a proxy.
#include "host/native/connector.h"

#include "base/buf.h"
#include "host/native/list.h"
#include "host/native/tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHY_MAX 160

// One address and the socket to it. Used once.
struct racer {
    struct loop_io io;
    struct connector *connector;
    struct net_address address;
};

struct connector {
    struct loop *loop;
    struct dns *dns;
    struct connector_target target;
    connector_done *done; // NULL: told, or not to be told any more
    void *context;
    struct dns_query query;
    uv_timer_t timer;     // the next address's turn; or at once, to tell of a failure outside of the start
    struct racer *racers; // one for each address
    size_t count;
    size_t next;           // the first that was not begun
    size_t open;           // that are under way
    unsigned handle_count; // of the loop's, open or closing: the memory goes with the last
    struct buf sent;       // to the proxy, what is left of it
    struct buf answer;     // of the proxy
    enum error_code error;
    char why[WHY_MAX];
    size_t why_len;
};

// ---- order ----------------------------------------------------------------------------------------------------------

static bool has_family(const struct dns_answer *answer, int family)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->addresses[i].any.sa_family == family)
            return true;
    return false;
}

// Envoy's "preferred": the other family only where there is none of this one.
static bool is_wanted(const struct dns_answer *answer, enum config_family wish, int family)
{
    switch (wish) {
    case FAMILY_V4:
        return family == AF_INET;
    case FAMILY_V6:
        return family == AF_INET6;
    case FAMILY_V4_PREFERRED:
        return family == AF_INET || !has_family(answer, AF_INET);
    case FAMILY_V6_PREFERRED:
        return family == AF_INET6 || !has_family(answer, AF_INET6);
    case FAMILY_UNSET:
    case FAMILY_ALL:
        break;
    }
    return true;
}

// The addresses of one family from the `turn`th on, round.
static size_t pick_family(const struct dns_answer *answer, int family, uint32_t turn,
                          const struct dns_address *ret_picked[CONNECTOR_ADDRESSES_MAX])
{
    size_t total = 0, count = 0;
    for (size_t i = 0; i < answer->count; i++)
        total += answer->addresses[i].any.sa_family == family;
    for (size_t i = 0, seen = 0; i < 2 * answer->count && count < total && count < CONNECTOR_ADDRESSES_MAX; i++) {
        const struct dns_address *address = &answer->addresses[i % answer->count];
        if (address->any.sa_family == family && seen++ >= turn % total)
            ret_picked[count++] = address;
    }
    return count;
}

size_t connector_order(const struct dns_answer *answer, const struct config_lookup *lookup, uint32_t turn, int first,
                       const struct dns_address *ret_order[CONNECTOR_ADDRESSES_MAX])
{
    const struct dns_address *picked[2][CONNECTOR_ADDRESSES_MAX];
    enum config_family wish = lookup ? lookup->family : FAMILY_ALL;
    if (answer->count == 0)
        return 0;
    if (first == 0 || !has_family(answer, first))
        first = answer->addresses[0].any.sa_family;
    int families[2] = {first, first == AF_INET ? AF_INET6 : AF_INET};
    size_t counts[2], count = 0;
    for (size_t i = 0; i < 2; i++)
        counts[i] = is_wanted(answer, wish, families[i]) ? pick_family(answer, families[i], turn, picked[i]) : 0;
    for (size_t i = 0; i < CONNECTOR_ADDRESSES_MAX; i++)
        for (size_t f = 0; f < 2; f++)
            if (i < counts[f] && count < CONNECTOR_ADDRESSES_MAX)
                ret_order[count++] = picked[f][i];
    return count;
}

// ---- life -----------------------------------------------------------------------------------------------------------

static void release(struct connector *connector)
{
    if (--connector->handle_count > 0)
        return;
    buf_fini(&connector->sent);
    buf_fini(&connector->answer);
    free(connector->racers);
    free(connector);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_racer_closed(struct loop_io *io)
{
    release(LIST_OWNER(io, struct racer, io)->connector);
}

static void close_racers(struct connector *connector, const struct racer *except)
{
    for (size_t i = 0; i < connector->next; i++)
        if (&connector->racers[i] != except)
            loop_io_close(&connector->racers[i].io, on_racer_closed); // nothing where it is closed
}

// Ends all that is under way. The memory stays until the loop has let go of it.
static void end(struct connector *connector)
{
    connector->done = NULL;
    dns_cancel(&connector->query);
    close_racers(connector, NULL);
    uv_close((uv_handle_t *)&connector->timer, on_timer_closed);
}

bool connector_is_resolving(const struct connector *connector)
{
    return connector->count == 0;
}

void connector_cancel(struct connector *take_connector)
{
    if (take_connector)
        end(take_connector);
}

static void tell(struct connector *connector, const struct connector_result *result)
{
    connector_done *done = connector->done;
    void *context = connector->context;
    end(connector);
    done(context, result);
}

// ---- failures -------------------------------------------------------------------------------------------------------

static void note(struct connector *connector, enum error_code error, struct slice why)
{
    const struct config_forward_proxy *proxy = connector->target.proxy;
    struct buf text = {.ptr = connector->why, .cap = WHY_MAX, .max = WHY_MAX};
    if (proxy) {
        size_t len = proxy->host.len < WHY_MAX / 2 ? proxy->host.len : WHY_MAX / 2;
        buf_printf(&text, "forward proxy %.*s:%u: ", (int)len, proxy->host.ptr, (unsigned)proxy->port);
    }
    buf_append(&text, slice_sub(why, 0, why.len < WHY_MAX - text.len ? why.len : WHY_MAX - text.len));
    connector->error = error;
    connector->why_len = text.len;
}

// What this machine lacks (IPv6, mostly) says less than what another address answered.
static void note_errno(struct connector *connector, int error)
{
    bool is_own = error == ENETUNREACH || error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
    if (!is_own || connector->why_len == 0)
        note(connector, ERROR_UPSTREAM_CONNECT, slice_from_cstr(strerror(error)));
}

static void fail(struct connector *connector)
{
    struct connector_result result = {
        .fd = -1, .error = connector->error, .why = slice_make(connector->why, connector->why_len)};
    tell(connector, &result);
}

// ---- the tunnel -----------------------------------------------------------------------------------------------------

// The socket goes to the owner.
static void deliver(struct racer *racer)
{
    struct connector *connector = racer->connector;
    struct connector_result result = {.fd = racer->io.fd, .address = racer->address};
    loop_io_release(&racer->io, on_racer_closed);
    tell(connector, &result);
}

static void close_tunnel(struct connector *connector, struct slice why)
{
    note(connector, ERROR_UPSTREAM_CONNECT, why);
    fail(connector);
}

static void ask_proxy(struct racer *racer)
{
    struct connector *connector = racer->connector;
    struct iovec part = {connector->sent.ptr, connector->sent.len};
    ssize_t sent = net_write(racer->io.fd, &part, 1);
    if (sent == NET_FAILED)
        close_tunnel(connector, slice_from_cstr(strerror(errno)));
    else if (sent > 0)
        buf_drop_front(&connector->sent, (size_t)sent);
    if (sent != NET_FAILED && connector->sent.len == 0)
        loop_io_want(&racer->io, LOOP_READ);
}

static void hear_proxy(struct racer *racer)
{
    struct connector *connector = racer->connector;
    char bytes[1024], text[WHY_MAX];
    struct buf why = {.ptr = text, .cap = sizeof text, .max = sizeof text};
    ssize_t got = net_read(racer->io.fd, bytes, sizeof bytes);
    if (got == NET_AGAIN)
        return;
    if (got <= 0 || !buf_append(&connector->answer, slice_make(bytes, (size_t)got))) {
        close_tunnel(connector, got == NET_END ? SLICE("it closed the connection")
                                : got < 0      ? slice_from_cstr(strerror(errno))
                                               : SLICE("its answer is too long"));
        return;
    }
    switch (tunnel_read_answer(buf_slice(&connector->answer), &why)) {
    case TUNNEL_MORE:
        return;
    case TUNNEL_OPEN:
        deliver(racer);
        return;
    case TUNNEL_CLOSED:
        close_tunnel(connector, buf_slice(&why));
        return;
    }
}

static void on_tunnel_event(struct loop_io *io, unsigned events)
{
    struct racer *racer = LIST_OWNER(io, struct racer, io);
    (void)events;
    if (racer->connector->sent.len)
        ask_proxy(racer);
    else
        hear_proxy(racer);
}

static void open_tunnel(struct racer *racer)
{
    struct connector *connector = racer->connector;
    const struct connector_target *target = &connector->target;
    buf_init(&connector->answer, TUNNEL_ANSWER_BYTES + 1024);
    if (!tunnel_write_request(&connector->sent, target->proxy, target->host, target->port)) {
        close_tunnel(connector, SLICE("out of memory"));
        return;
    }
    racer->io.call = on_tunnel_event;
    ask_proxy(racer);
}

// ---- the race -------------------------------------------------------------------------------------------------------

// A family that loses its head start to the other one comes second for a while.
static void remember(const struct racer *winner)
{
    struct connector *connector = winner->connector;
    struct connector_memory *memory = connector->target.memory;
    int family = winner->address.at.any.sa_family;
    int64_t now_us = loop_now_us();
    if (family != connector->racers[0].address.at.any.sa_family) {
        memory->family = family;
        memory->until_us = now_us + (int64_t)CONNECTOR_FAMILY_MS * 1000;
    }
}

static void win(struct racer *racer)
{
    struct connector *connector = racer->connector;
    uv_timer_stop(&connector->timer);
    close_racers(connector, racer);
    connector->open = 0;
    remember(racer);
    if (connector->target.proxy)
        open_tunnel(racer);
    else
        deliver(racer);
}

static void on_racer(struct loop_io *io, unsigned events);
static void on_turn(uv_timer_t *timer);

static bool begin(struct connector *connector, struct racer *racer)
{
    bool is_done;
    int fd = net_connect(&racer->address, &is_done);
    racer->connector = connector;
    racer->io.fd = -1;
    if (fd < 0) {
        note_errno(connector, errno);
        return false;
    }
    if (!loop_io_init(connector->loop, &racer->io, fd, on_racer)) {
        close(fd);
        racer->io.fd = -1;
        note(connector, ERROR_UPSTREAM_CONNECT, SLICE("the event loop refused the socket"));
        return false;
    }
    connector->handle_count++;
    connector->open++;
    loop_io_want(&racer->io, LOOP_WRITE); // told in the next turn even when it is done already
    return true;
}

// Begins with the next address that lets itself be begun with. When nothing is under way any more the race is lost:
// the timer tells it.
static void begin_next(struct connector *connector)
{
    bool is_begun = false;
    while (!is_begun && connector->racers && connector->next < connector->count)
        is_begun = begin(connector, &connector->racers[connector->next++]);
    if (connector->open == 0)
        uv_timer_start(&connector->timer, on_turn, 0, 0);
    else if (connector->next < connector->count)
        uv_timer_start(&connector->timer, on_turn, CONNECTOR_DELAY_MS, 0);
}

// One whose event stands behind the timer: a loop that was held up runs its timers first.
static struct racer *find_settled(struct connector *connector)
{
    for (size_t i = 0; i < connector->next; i++)
        if (connector->racers[i].io.fd >= 0 && net_is_settled(connector->racers[i].io.fd))
            return &connector->racers[i];
    return NULL;
}

static void on_turn(uv_timer_t *timer)
{
    struct connector *connector = timer->data;
    struct racer *settled = find_settled(connector);
    if (settled)
        on_racer(&settled->io, LOOP_WRITE);
    else if (connector->open == 0)
        fail(connector);
    else if (connector->open < CONNECTOR_RACERS_MAX)
        begin_next(connector);
}

static void on_racer(struct loop_io *io, unsigned events)
{
    struct racer *racer = LIST_OWNER(io, struct racer, io);
    struct connector *connector = racer->connector;
    int error = net_connect_result(io->fd);
    (void)events;
    if (!error) {
        win(racer);
        return;
    }
    note_errno(connector, error);
    connector->open--;
    loop_io_close(io, on_racer_closed);
    begin_next(connector);
}

static bool make_racers(struct connector *connector, size_t count)
{
    connector->racers = calloc(count, sizeof *connector->racers);
    connector->count = connector->racers ? count : 0;
    return connector->racers != NULL;
}

static void set_address(struct net_address *to, const struct dns_address *from, uint16_t port)
{
    to->len = from->len;
    memcpy(&to->at, &from->any, from->len);
    if (from->any.sa_family == AF_INET6)
        to->at.v6.sin6_port = htons(port);
    else
        to->at.v4.sin_port = htons(port);
}

// ---- names ----------------------------------------------------------------------------------------------------------

static uint16_t port_of(const struct connector_target *target)
{
    return target->proxy ? target->proxy->port : target->port;
}

static void take_answer(struct connector *connector, const struct dns_answer *answer)
{
    const struct dns_address *order[CONNECTOR_ADDRESSES_MAX];
    struct connector_memory *memory = connector->target.memory;
    const struct config_lookup *lookup = connector->target.proxy ? NULL : connector->target.lookup;
    int first = memory->until_us > loop_now_us() ? memory->family : 0;
    size_t count = connector_order(answer, lookup, memory->turn++, first, order);
    if (answer->count == 0)
        note(connector, ERROR_UPSTREAM_DNS, answer->error);
    else if (count == 0)
        note(connector, ERROR_UPSTREAM_DNS, SLICE("DNS resolution failed: no address of the family that is asked for"));
    else if (!make_racers(connector, count))
        note(connector, ERROR_UPSTREAM_CONNECT, SLICE("out of memory"));
    for (size_t i = 0; connector->racers && i < count; i++)
        set_address(&connector->racers[i].address, order[i], port_of(&connector->target));
    begin_next(connector);
}

static void on_resolved(struct dns_query *query, const struct dns_answer *answer)
{
    take_answer(LIST_OWNER(query, struct connector, query), answer);
}

struct connector *connector_start(struct loop *loop, struct dns *dns, const struct connector_target *target,
                                  connector_done *done, void *context)
{
    struct connector *connector = calloc(1, sizeof *connector);
    struct dns_answer answer;
    if (!connector)
        return NULL;
    uv_timer_init(&loop->uv, &connector->timer);
    connector->timer.data = connector;
    connector->handle_count = 1;
    connector->loop = loop;
    connector->dns = dns;
    connector->target = *target;
    connector->done = done;
    connector->context = context;
    connector->query.done = on_resolved;
    buf_init(&connector->sent, 4096);
    uint64_t refresh_ms = target->lookup ? (uint64_t)target->lookup->refresh_ms : 0;
    struct slice host = target->proxy ? target->proxy->host : target->host;
    if (dns_resolve(dns, host, refresh_ms, &connector->query, &answer) == DNS_ANSWERED)
        take_answer(connector, &answer);
    return connector;
}
