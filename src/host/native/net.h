// Sockets: the system calls of the proxy, one function each, non-blocking, without SIGPIPE.
#ifndef WEIR_HOST_NATIVE_NET_H
#define WEIR_HOST_NATIVE_NET_H

#include "base/ip.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define NET_ADDRESS_TEXT_MAX 64

struct net_address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
};

// Of an IP literal (IPv6 with or without brackets). False when it is none.
bool net_parse_ip(struct slice text, uint16_t port, struct net_address *ret_address);
struct net_address net_of_ip(const struct ip *ip, uint16_t port);
// "1.2.3.4:80" or "[::1]:80"; an IPv4 address inside IPv6 is written as IPv4. Gives the length; 0 for other families.
size_t net_write_address(const struct net_address *address, char text[NET_ADDRESS_TEXT_MAX]);
// A listening socket that shares its port (SO_REUSEPORT); -1 with errno set. `is_any`: IPv6 address that takes IPv4 too.
int net_listen(const struct net_address *address, bool is_any);
// A connected client, non-blocking, TCP_NODELAY; -1 with errno set.
int net_accept(int listener, struct net_address *ret_peer);
// Begins a connection, TCP_NODELAY; -1 with errno set. *ret_done: it was established at once.
int net_connect(const struct net_address *address, bool *ret_done);
// What became of a connection that was begun: 0 or an errno.
int net_connect_result(int fd);
void net_local_address(int fd, struct net_address *ret_address);

// Whether there is nothing to be read: no bytes, no end, no error. Looks only, and takes no lock, unlike a read.
bool net_is_silent(int fd);

// Whether a connection that was begun has come to an end of it, good or bad.
bool net_is_settled(int fd);

// From now on closing the socket drops what it has not sent, with a reset, instead of leaving it to the kernel to send
// for as long as the peer cares to take.
void net_drop_unsent(int fd);

// Results of the calls that move bytes.
#define NET_AGAIN (-1)  // nothing now
#define NET_FAILED (-2) // the connection is broken; errno is set
#define NET_END 0       // reads: the peer ended its side

ssize_t net_read(int fd, void *bytes, size_t len);
ssize_t net_write(int fd, const struct iovec *parts, size_t count);

#endif
