// Hands sockets over.
#define _GNU_SOURCE

#include "host/native/handover.h"

#include "base/buf.h"
#include "host/native/inherited.h"
#include "host/native/list.h"
#include "host/native/net.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct handover {
    struct loop *loop;
    struct handover_owner owner;
    struct loop_io listener;
    struct loop_io peer; // one at a time: the next waits in the queue
    uv_timer_t limit;
    struct upgrade_socket *sockets; // what the peer is given: copies, since a reload may close a port meanwhile
    size_t count;
    size_t next;
    int peer_pid;
    bool has_peer; // until its watch has ended
    bool has_taken;
    unsigned open_handles;
};

// ---- life -----------------------------------------------------------------------------------------------------------

static void release(struct handover *handover)
{
    if (--handover->open_handles == 0)
        free(handover);
}

static void on_listener_closed(struct loop_io *io)
{
    release(LIST_OWNER(io, struct handover, listener));
}

static void on_limit_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_peer_closed(struct loop_io *io)
{
    struct handover *handover = LIST_OWNER(io, struct handover, peer);
    handover->has_peer = false;
    loop_io_want(&handover->listener, LOOP_READ); // nothing where it is closed
    release(handover);
}

static void drop_sockets(struct handover *handover)
{
    for (size_t i = 0; handover->sockets && i < handover->count; i++)
        if (handover->sockets[i].fd >= 0)
            close(handover->sockets[i].fd);
    free(handover->sockets);
    handover->sockets = NULL;
    handover->count = handover->next = 0;
}

static void drop_peer(struct handover *handover)
{
    if (!handover->has_peer || handover->peer.fd < 0)
        return;
    uv_timer_stop(&handover->limit);
    drop_sockets(handover);
    handover->has_taken = false;
    loop_io_close(&handover->peer, on_peer_closed);
}

bool handover_is_under_way(const struct handover *handover)
{
    return handover && handover->has_taken;
}

void handover_free(struct handover *take_handover)
{
    struct handover *handover = take_handover;
    if (!handover)
        return;
    drop_peer(handover);
    loop_io_close(&handover->listener, on_listener_closed);
    uv_close((uv_handle_t *)&handover->limit, on_limit_closed);
}

// ---- a process that asks --------------------------------------------------------------------------------------------

// The peer went, or was told to go: that is a failure once it holds sockets.
static void give_up(struct handover *handover, struct slice why)
{
    bool has_failed = handover->has_taken;
    drop_peer(handover);
    if (has_failed)
        handover->owner.done(handover->owner.context, 0, why);
}

static void on_limit(uv_timer_t *timer)
{
    give_up(timer->data, SLICE("the new process took too long"));
}

// A message, with the descriptors of `count` sockets. One is on its way at a time, so it always fits.
static void answer(struct handover *handover, struct slice text, const struct upgrade_socket *sockets, size_t count)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(HANDOVER_BATCH * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)text.ptr, text.len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.head = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        for (size_t i = 0; i < count; i++)
            memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &sockets[i].fd, sizeof(int));
    }
    if (sendmsg(handover->peer.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        give_up(handover, slice_from_cstr(strerror(errno)));
}

static void refuse(struct handover *handover, struct slice why)
{
    char text[HANDOVER_MESSAGE_MAX];
    struct buf message = {.ptr = text, .cap = sizeof text, .max = sizeof text};
    buf_append_byte(&message, HANDOVER_REFUSED);
    buf_append(&message, slice_sub(why, 0, why.len < sizeof text - 1 ? why.len : sizeof text - 1));
    answer(handover, buf_slice(&message), NULL, 0);
}

static bool list_sockets(struct handover *handover)
{
    struct slice why = SLICE("out of memory");
    if (handover->sockets)
        return true;
    handover->sockets = handover->owner.list(handover->owner.context, &handover->count, &why);
    handover->next = 0;
    bool is_whole = handover->sockets != NULL;
    for (size_t i = 0; handover->sockets && i < handover->count; i++) {
        handover->sockets[i].fd = fcntl(handover->sockets[i].fd, F_DUPFD_CLOEXEC, 0);
        is_whole &= handover->sockets[i].fd >= 0;
    }
    if (handover->sockets && !is_whole)
        why = slice_from_cstr(strerror(errno));
    if (is_whole)
        return true;
    drop_sockets(handover);
    refuse(handover, why);
    return false;
}

static bool is_admin(const struct upgrade_socket *socket)
{
    return strcmp(socket->name, INHERITED_NAME_ADMIN) == 0;
}

static uint16_t port_of(int fd)
{
    struct net_address address;
    net_local_address(fd, &address);
    return ntohs(address.at.any.sa_family == AF_INET6 ? address.at.v6.sin6_port : address.at.v4.sin_port);
}

// The admin port is left out: it alone makes nobody the successor.
static void tell_ports(struct handover *handover)
{
    char text[HANDOVER_MESSAGE_MAX];
    struct buf message = {.ptr = text, .cap = sizeof text, .max = sizeof text};
    uint16_t last = 0;
    for (size_t i = 0; i < handover->count; i++) {
        uint16_t port = is_admin(&handover->sockets[i]) ? last : port_of(handover->sockets[i].fd);
        if (port != last && message.len + 6 <= sizeof text) // more ports than that are not needed to be known by
            buf_printf(&message, "%u ", (unsigned)port);
        last = port;
    }
    answer(handover, buf_slice(&message), NULL, 0);
}

static void tell_next(struct handover *handover)
{
    char kinds[HANDOVER_BATCH];
    const struct upgrade_socket *first = &handover->sockets[handover->next];
    size_t left = handover->count - handover->next, count = left < HANDOVER_BATCH ? left : HANDOVER_BATCH;
    for (size_t i = 0; i < count; i++)
        kinds[i] = is_admin(&first[i]) ? 'a' : 'l';
    handover->has_taken = true;
    handover->next += count;
    answer(handover, slice_make(count ? kinds : "e", count ? count : 1), first, count);
}

static void become_succeeded(struct handover *handover)
{
    int pid = handover->peer_pid;
    handover->has_taken = false;
    drop_peer(handover);
    handover->owner.done(handover->owner.context, pid, SLICE(""));
}

static void on_message(struct loop_io *io, unsigned events)
{
    struct handover *handover = LIST_OWNER(io, struct handover, peer);
    char order;
    ssize_t got = recv(io->fd, &order, 1, 0);
    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got != 1)
        give_up(handover, SLICE("the new process ended before it served"));
    else if (order == HANDOVER_READY && handover->has_taken)
        become_succeeded(handover);
    else if (order == HANDOVER_ASK_PORTS && list_sockets(handover))
        tell_ports(handover);
    else if (order == HANDOVER_ASK_NEXT && list_sockets(handover))
        tell_next(handover);
}

// The sockets are for processes of the same user alone.
static bool is_trusted(int fd, int *ret_pid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *ret_pid = peer.pid;
    return peer.uid == geteuid() && peer.pid > 0; // 0: of another namespace, nothing could be said of it
}

static void on_knock(struct loop_io *io, unsigned events)
{
    struct handover *handover = LIST_OWNER(io, struct handover, listener);
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    (void)events;
    if (fd < 0)
        return;
    if (!is_trusted(fd, &handover->peer_pid) || !loop_io_init(handover->loop, &handover->peer, fd, on_message)) {
        close(fd);
        return;
    }
    handover->has_peer = true;
    handover->open_handles++;
    loop_io_want(&handover->listener, 0);
    loop_io_want(&handover->peer, LOOP_READ);
    uv_timer_start(&handover->limit, on_limit, UPGRADE_LIMIT_MS, 0);
}

// ---- start ----------------------------------------------------------------------------------------------------------

static int listen_somewhere(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -1;
    int len = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, HANDOVER_NAME_PREFIX "%016llx",
                       (unsigned long long)number);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, size) == 0 && listen(fd, 8) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

struct handover *handover_new(struct loop *loop, const struct handover_owner *owner)
{
    struct handover *handover = calloc(1, sizeof *handover);
    int fd = handover ? listen_somewhere() : -1;
    if (fd < 0 || !loop_io_init(loop, &handover->listener, fd, on_knock)) {
        if (fd >= 0)
            close(fd);
        free(handover);
        return NULL;
    }
    handover->loop = loop;
    handover->owner = *owner;
    uv_timer_init(&loop->uv, &handover->limit);
    handover->limit.data = handover;
    handover->open_handles = 2;
    loop_io_want(&handover->listener, LOOP_READ);
    return handover;
}
