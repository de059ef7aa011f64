// Opens and closes ports.
#define _GNU_SOURCE

#include "host/native/ports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void ports_init(struct ports *ports, const char *address, uint16_t offset, struct inherited *inherited)
{
    *ports = (struct ports){.address = address, .offset = offset, .inherited = inherited};
}

static void release(struct held_port *held)
{
    for (size_t i = 0; i < held->socket_count; i++)
        close(held->sockets[i]);
    free(held->sockets);
    held->sockets = NULL;
    held->socket_count = 0;
    held->is_open = false;
}

void ports_release(struct ports *ports)
{
    for (size_t i = 0; i < ports->count; i++)
        release(&ports->items[i]);
}

void ports_fini(struct ports *ports)
{
    ports_release(ports);
    for (size_t i = 0; i < ports->count; i++)
        free(ports->items[i].port);
    free(ports->items);
}

// The entry of a port; a new one where it was never listened on. NULL without memory.
static struct held_port *find_port(struct ports *ports, uint16_t number)
{
    for (size_t i = 0; i < ports->count; i++)
        if (ports->items[i].port->number == number)
            return &ports->items[i];
    struct held_port *items = realloc(ports->items, (ports->count + 1) * sizeof *items);
    if (items)
        ports->items = items;
    struct port *port = items ? calloc(1, sizeof *port) : NULL;
    if (!port)
        return NULL;
    port->number = number;
    ports->items[ports->count] = (struct held_port){.port = port};
    return &ports->items[ports->count++];
}

// ---- sockets --------------------------------------------------------------------------------------------------------

// One socket; on all addresses where none was given, IPv4 alone where the machine has no IPv6.
static int listen_on(const struct ports *ports, uint16_t port)
{
    struct net_address address;
    if (ports->address)
        return net_parse_ip(slice_from_cstr(ports->address), port, &address) ? net_listen(&address, false)
                                                                             : (errno = EADDRNOTAVAIL, -1);
    net_parse_ip(SLICE("::"), port, &address);
    int fd = net_listen(&address, true);
    if (fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
        return fd;
    net_parse_ip(SLICE("0.0.0.0"), port, &address);
    return net_listen(&address, false);
}

// Something that does not share the port may listen on it: without SO_REUSEPORT a second server would not be noticed
// only if it shared it too, which a second weir does. A socket without sharing tells.
static bool is_port_free(const struct ports *ports, uint16_t port)
{
    struct net_address address;
    struct slice host = ports->address ? slice_from_cstr(ports->address) : SLICE("0.0.0.0");
    if (!net_parse_ip(host, port, &address))
        return true;
    int fd = socket(address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return true;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool is_free = bind(fd, &address.at.any, address.len) == 0 || errno != EADDRINUSE;
    close(fd);
    return is_free;
}

static bool hold(struct held_port *held, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int *sockets = copy >= 0 ? realloc(held->sockets, (held->socket_count + 1) * sizeof *sockets) : NULL;
    if (!sockets) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    held->sockets = sockets;
    held->sockets[held->socket_count++] = copy;
    return true;
}

// Takes the descriptor, also on failure.
static bool order_socket(struct worker_order *order, struct port *port, int take_fd)
{
    struct listen_socket *sockets = realloc(order->sockets, (order->socket_count + 1) * sizeof *sockets);
    if (!sockets) {
        close(take_fd);
        return false;
    }
    order->sockets = sockets;
    order->sockets[order->socket_count++] = (struct listen_socket){port, take_fd};
    return true;
}

// Every socket that was handed down is served by some worker, whatever the count was there: what waits in its queue would
// be lost otherwise. Gives how many there are.
static size_t order_inherited(struct ports *ports, struct held_port *held, uint16_t at, struct worker_order *orders,
                              unsigned worker_count)
{
    size_t count = 0;
    for (int fd; ports->inherited && (fd = inherited_find(ports->inherited, held->port->number, at)) >= 0; count++)
        if (!hold(held, fd) || !order_socket(&orders[count % worker_count], held->port, fd))
            return 0;
    return count;
}

// A socket of its own for the worker where the port can be shared; else the same one as another worker's.
static int socket_beside(const struct ports *ports, const struct held_port *held, uint16_t at, unsigned index)
{
    int is_shared = 0;
    socklen_t len = sizeof is_shared;
    getsockopt(held->sockets[0], SOL_SOCKET, SO_REUSEPORT, &is_shared, &len);
    int fd = is_shared ? listen_on(ports, at) : -1;
    return fd >= 0 ? fd : fcntl(held->sockets[index % held->socket_count], F_DUPFD_CLOEXEC, 0);
}

static bool open_sockets(struct ports *ports, struct held_port *held, uint16_t at, struct worker_order *orders,
                         unsigned worker_count)
{
    size_t handed_down = order_inherited(ports, held, at, orders, worker_count);
    for (unsigned i = (unsigned)handed_down; i < worker_count; i++) {
        int fd = handed_down ? socket_beside(ports, held, at, i) : listen_on(ports, at);
        if (fd < 0 || !hold(held, fd) || !order_socket(&orders[i], held->port, fd))
            return false;
    }
    return true;
}

static bool open_port(struct ports *ports, uint16_t number, struct worker_order *orders, unsigned worker_count,
                      char *why, size_t why_cap)
{
    struct held_port *held = find_port(ports, number);
    unsigned at = (unsigned)number + ports->offset;
    if (!held) {
        snprintf(why, why_cap, "out of memory");
        return false;
    }
    if (held->is_open || held->socket_count > 0) // several listeners may share the port
        return true;
    if (at > UINT16_MAX) {
        snprintf(why, why_cap, "port %u is out of range", at);
        return false;
    }
    bool has_inherited = ports->inherited && inherited_has(ports->inherited, number, (uint16_t)at);
    if (!has_inherited && !is_port_free(ports, (uint16_t)at)) {
        snprintf(why, why_cap, "port %u is in use", at);
        return false;
    }
    if (open_sockets(ports, held, (uint16_t)at, orders, worker_count))
        return true;
    snprintf(why, why_cap, "cannot listen on port %u: %s", at, strerror(errno));
    return false;
}

// ---- sets of ports --------------------------------------------------------------------------------------------------

bool ports_open(struct ports *ports, const struct config *config, struct worker_order *orders, unsigned worker_count,
                char *why, size_t why_cap)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        if (open_port(ports, config->listeners[i].port, orders, worker_count, why, why_cap))
            continue;
        for (size_t j = 0; j < ports->count; j++)
            if (!ports->items[j].is_open)
                release(&ports->items[j]);
        return false;
    }
    return true;
}

void ports_settle(struct ports *ports, const struct config *config)
{
    for (size_t i = 0; i < ports->count; i++) {
        bool is_wanted = false;
        for (size_t j = 0; j < config->listener_count; j++)
            is_wanted |= config->listeners[j].port == ports->items[i].port->number;
        if (is_wanted)
            ports->items[i].is_open = true;
        else
            release(&ports->items[i]);
    }
}
