// The bytes of one connection: plain, or through TLS, with the same calls and results (net.h).
#ifndef WEIR_HOST_NATIVE_TRANSPORT_H
#define WEIR_HOST_NATIVE_TRANSPORT_H

#include "host/native/net.h"
#include "host/native/tls.h"

struct transport {
    int fd;                    // the owner's
    bool wants_write_for_read; // TLS: reading waits for the socket to become writable
    bool is_unfinished;        // TLS: the last read left bytes that the socket will not tell of
    struct tls_session *tls;   // NULL: plain; owned
};

// TLS, the rest of the calls below.
ssize_t transport_read_tls(struct transport *transport, char *bytes, size_t cap);
ssize_t transport_write_tls(struct transport *transport, const struct slice *parts, size_t count);

static inline ssize_t transport_read(struct transport *transport, char *bytes, size_t cap)
{
    return transport->tls ? transport_read_tls(transport, bytes, cap) : net_read(transport->fd, bytes, cap);
}

#define TRANSPORT_PARTS_MAX 64 // of one write

// What was not taken has to be offered again first, before anything else.
ssize_t transport_write(struct transport *transport, const struct slice *parts, size_t count);

// There is more to read that the socket will not tell of: read again without waiting. Not for a part of a record, whose
// rest the socket does tell of.
static inline bool transport_has_pending(const struct transport *transport)
{
    return transport->is_unfinished;
}

// Says that no more will be sent. Not after a message that was cut: its receiver must see that it is not whole.
static inline void transport_close(struct transport *transport)
{
    if (transport->tls)
        tls_close(transport->tls);
}

static inline void transport_fini(struct transport *transport)
{
    tls_session_free(transport->tls);
    transport->tls = NULL;
}

#endif
