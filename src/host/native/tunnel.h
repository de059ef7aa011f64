// What is said to a forward proxy: CONNECT (RFC 9110 section 9.3.6), in HTTP/1.1. Pure: texts in, texts out.
#ifndef WEIR_HOST_NATIVE_TUNNEL_H
#define WEIR_HOST_NATIVE_TUNNEL_H

#include "base/buf.h"
#include "config/model.h"

#define TUNNEL_ANSWER_BYTES 8192 // of the proxy's heads, 1xx included

// The request for a tunnel to `host` (a name or an IP literal), with the proxy's credentials. False without memory.
bool tunnel_write_request(struct buf *out, const struct config_forward_proxy *proxy, struct slice host, uint16_t port);

enum tunnel_answer {
    TUNNEL_MORE,   // the head is not whole yet
    TUNNEL_OPEN,   // what is sent now goes to the host
    TUNNEL_CLOSED, // refused, or nonsense
};

// Looks at all that has come. CLOSED: `why` says it, made of printable characters. Bytes behind the head of a tunnel are
// nonsense too: neither TLS nor HTTP/1.1 lets the host speak first.
enum tunnel_answer tunnel_read_answer(struct slice bytes, struct buf *why);

#endif
