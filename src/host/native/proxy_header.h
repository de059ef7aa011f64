// The PROXY protocol, versions 1 and 2 (haproxy/doc/proxy-protocol.txt, 2020): what a load balancer says of a connection
// before its first byte. Pure: bytes in, addresses out.
#ifndef WEIR_HOST_NATIVE_PROXY_HEADER_H
#define WEIR_HOST_NATIVE_PROXY_HEADER_H

#include "base/ip.h"

#define PROXY_HEADER_MAX                                                                                               \
    4096 // whole, with what version 2 adds in type-length-value form; the balancers' fit many times

enum proxy_result {
    PROXY_MORE,      // more bytes are needed
    PROXY_READY,     //
    PROXY_ABSENT,    // the connection begins with something else
    PROXY_MALFORMED, // it begins like a header and is none, or one that is too long
};

struct proxy_endpoint {
    struct ip ip;
    uint16_t port;
};

struct proxy_header {
    size_t len;         // bytes of the connection that are the header
    bool has_addresses; // else those of the connection itself hold: LOCAL, UNKNOWN, UNSPEC and UNIX sockets
    struct proxy_endpoint source;
    struct proxy_endpoint destination;
};

// `bytes` begin with the first byte of the connection.
enum proxy_result proxy_header_read(struct slice bytes, struct proxy_header *ret_header);

#endif
