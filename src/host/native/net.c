// Sockets.
#define _GNU_SOURCE

#include "host/native/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

bool net_parse_ip(struct slice text, uint16_t port, struct net_address *ret_address)
{
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        text = slice_sub(text, 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    struct net_address address = {0};
    if (inet_pton(AF_INET, copy, &address.at.v4.sin_addr) == 1) {
        address.at.v4.sin_family = AF_INET;
        address.at.v4.sin_port = htons(port);
        address.len = sizeof address.at.v4;
    } else if (inet_pton(AF_INET6, copy, &address.at.v6.sin6_addr) == 1) {
        address.at.v6.sin6_family = AF_INET6;
        address.at.v6.sin6_port = htons(port);
        address.len = sizeof address.at.v6;
    } else {
        return false;
    }
    *ret_address = address;
    return true;
}

struct net_address net_of_ip(const struct ip *ip, uint16_t port)
{
    struct net_address address = {.len = sizeof address.at.v4};
    if (ip->is_v4) {
        address.at.v4.sin_family = AF_INET;
        address.at.v4.sin_port = htons(port);
        memcpy(&address.at.v4.sin_addr, ip->bytes, 4);
        return address;
    }
    address.len = sizeof address.at.v6;
    address.at.v6.sin6_family = AF_INET6;
    address.at.v6.sin6_port = htons(port);
    memcpy(&address.at.v6.sin6_addr, ip->bytes, 16);
    return address;
}

static size_t write_v4(const void *bytes, uint16_t port, char *text)
{
    const unsigned char *at = bytes;
    return (size_t)snprintf(text, NET_ADDRESS_TEXT_MAX, "%u.%u.%u.%u:%u", at[0], at[1], at[2], at[3], ntohs(port));
}

size_t net_write_address(const struct net_address *address, char text[NET_ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN];
    if (address->at.any.sa_family == AF_INET)
        return write_v4(&address->at.v4.sin_addr, address->at.v4.sin_port, text);
    if (address->at.any.sa_family != AF_INET6)
        return 0;
    const struct sockaddr_in6 *v6 = &address->at.v6;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        return write_v4(v6->sin6_addr.s6_addr + 12, v6->sin6_port, text);
    if (!inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host))
        return 0;
    return (size_t)snprintf(text, NET_ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
}

static void set_option(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

#define NOT_SENT_BYTES 131072

int net_listen(const struct net_address *address, bool is_any)
{
    int fd = socket(address->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); // accepted sockets inherit it, and what follows:
    // What the peer's window has no room for stays here, where it is counted, and not in megabytes of kernel memory.
    set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT_BYTES);
    if (address->at.any.sa_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !is_any);
    if (bind(fd, &address->at.any, address->len) == 0 && listen(fd, 4096) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int net_accept(int listener, struct net_address *ret_peer)
{
    ret_peer->len = sizeof ret_peer->at;
    return accept4(listener, &ret_peer->at.any, &ret_peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int net_connect(const struct net_address *address, bool *ret_done)
{
    int fd = socket(address->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    int result = connect(fd, &address->at.any, address->len);
    if (result == 0 || errno == EINPROGRESS) {
        *ret_done = result == 0;
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int net_connect_result(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

void net_local_address(int fd, struct net_address *ret_address)
{
    ret_address->len = sizeof ret_address->at;
    if (getsockname(fd, &ret_address->at.any, &ret_address->len) != 0)
        ret_address->at.any.sa_family = AF_UNSPEC;
}

static ssize_t result_of(ssize_t moved)
{
    if (moved >= 0)
        return moved;
    return errno == EAGAIN || errno == EINTR ? NET_AGAIN : NET_FAILED;
}

bool net_is_silent(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN | POLLRDHUP};
    return poll(&look, 1, 0) == 0;
}

bool net_is_settled(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    return poll(&look, 1, 0) > 0;
}

void net_drop_unsent(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

ssize_t net_read(int fd, void *bytes, size_t len)
{
    return result_of(recv(fd, bytes, len, 0));
}

ssize_t net_write(int fd, const struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = count > IOV_MAX ? IOV_MAX : count};
    return result_of(sendmsg(fd, &message, MSG_NOSIGNAL));
}
