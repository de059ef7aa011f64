// Sockets from the environment.
#define _GNU_SOURCE

#include "host/native/inherited.h"

#include "base/slice.h"
#include "host/native/net.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKETS_MAX 65536

static uint64_t number_of(const char *name, uint64_t max)
{
    const char *text = getenv(name);
    uint64_t number = 0;
    return text && slice_to_u64(slice_from_cstr(text), max, &number) ? number : 0;
}

static bool prepare(struct inherited_socket *socket)
{
    struct net_address address;
    int is_listening = 0, flags = fcntl(socket->fd, F_GETFL);
    socklen_t len = sizeof is_listening;
    if (flags < 0 || getsockopt(socket->fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) != 0 || !is_listening)
        return false;
    net_local_address(socket->fd, &address);
    int family = address.at.any.sa_family;
    if (family != AF_INET && family != AF_INET6)
        return false;
    socket->bound_at = ntohs(family == AF_INET ? address.at.v4.sin_port : address.at.v6.sin6_port);
    return fcntl(socket->fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(socket->fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

static void read_sockets(struct inherited *inherited, size_t count, struct slice names)
{
    if (count == 0)
        return;
    inherited->items = calloc(count, sizeof *inherited->items);
    for (size_t i = 0; inherited->items && i < count; i++) {
        struct inherited_socket *socket = &inherited->items[inherited->count];
        struct slice name = slice_split(&names, ':');
        uint64_t port = 0;
        socket->fd = INHERITED_FIRST_FD + (int)i;
        socket->is_admin = slice_eq(name, SLICE(INHERITED_NAME_ADMIN));
        if (slice_to_u64(name, UINT16_MAX, &port))
            socket->port = (uint16_t)port;
        if (prepare(socket))
            inherited->count++;
        else
            close(socket->fd);
    }
}

bool inherited_add(struct inherited *inherited, int take_fd, bool is_admin)
{
    struct inherited_socket added = {.fd = take_fd, .is_admin = is_admin};
    struct inherited_socket *items =
        prepare(&added) ? realloc(inherited->items, (inherited->count + 1) * sizeof *items) : NULL;
    if (!items)
        return false;
    inherited->items = items;
    inherited->items[inherited->count++] = added;
    return true;
}

bool inherited_is_awaited(const struct inherited *inherited)
{
    return inherited->ready_fd >= 0;
}

// The variables name the process that they are meant for, or the one that meant them: without that they came down from
// somewhere else, and the descriptors are others.
void inherited_take(struct inherited *ret_inherited)
{
    static const char *const variables[] = {"LISTEN_PID",        "LISTEN_FDS",       "LISTEN_FDNAMES",
                                            "WEIR_UPGRADE_FROM", "WEIR_UPGRADE_FDS", "WEIR_UPGRADE_FDNAMES",
                                            "WEIR_UPGRADE_READY"};
    bool is_upgrade = number_of("WEIR_UPGRADE_FROM", INT32_MAX) == (uint64_t)getppid();
    bool is_activation = !is_upgrade && number_of("LISTEN_PID", INT32_MAX) == (uint64_t)getpid();
    const char *names = getenv(is_upgrade ? "WEIR_UPGRADE_FDNAMES" : "LISTEN_FDNAMES");
    *ret_inherited = (struct inherited){.ready_fd = -1};
    if (is_upgrade || is_activation)
        read_sockets(ret_inherited, number_of(is_upgrade ? "WEIR_UPGRADE_FDS" : "LISTEN_FDS", SOCKETS_MAX),
                     slice_from_cstr(names));
    if (is_upgrade) {
        ret_inherited->ready_fd = (int)number_of("WEIR_UPGRADE_READY", INT32_MAX);
        fcntl(ret_inherited->ready_fd, F_SETFD, FD_CLOEXEC);
    }
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
}

static int take(struct inherited_socket *socket)
{
    int fd = socket->fd;
    socket->fd = -1;
    return fd;
}

static struct inherited_socket *find(const struct inherited *inherited, uint16_t port, uint16_t at)
{
    for (size_t i = 0; i < inherited->count; i++) {
        struct inherited_socket *socket = &inherited->items[i];
        if (socket->fd >= 0 && !socket->is_admin && (socket->port ? socket->port == port : socket->bound_at == at))
            return socket;
    }
    return NULL;
}

bool inherited_has(const struct inherited *inherited, uint16_t port, uint16_t at)
{
    return find(inherited, port, at) != NULL;
}

int inherited_find(struct inherited *inherited, uint16_t port, uint16_t at)
{
    struct inherited_socket *socket = find(inherited, port, at);
    return socket ? take(socket) : -1;
}

int inherited_find_admin(struct inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++)
        if (inherited->items[i].fd >= 0 && inherited->items[i].is_admin)
            return take(&inherited->items[i]);
    return -1;
}

void inherited_drop_admin(struct inherited *inherited, uint16_t at)
{
    for (size_t i = 0; i < inherited->count; i++)
        if (inherited->items[i].fd >= 0 && inherited->items[i].is_admin && inherited->items[i].bound_at != at)
            close(take(&inherited->items[i]));
}

void inherited_tell_ready(struct inherited *inherited)
{
    if (inherited->ready_fd < 0)
        return;
    ssize_t ignored = write(inherited->ready_fd, "1", 1); // who waits sees the end of the pipe otherwise
    (void)ignored;
    close(inherited->ready_fd);
    inherited->ready_fd = -1;
}

size_t inherited_close(struct inherited *inherited)
{
    size_t unused = 0;
    for (size_t i = 0; i < inherited->count; i++)
        if (inherited->items[i].fd >= 0) {
            close(take(&inherited->items[i]));
            unused++;
        }
    free(inherited->items);
    inherited->items = NULL;
    inherited->count = 0;
    return unused;
}
