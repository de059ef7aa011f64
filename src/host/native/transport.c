// Bytes through TLS.
#include "host/native/transport.h"

// Fills `bytes` as far as there is something: a record holds 16 KiB at most, a caller wants all that has come.
ssize_t transport_read_tls(struct transport *transport, char *bytes, size_t cap)
{
    size_t total = 0;
    transport->wants_write_for_read = transport->is_unfinished = false;
    do {
        size_t len = 0;
        enum tls_status status = tls_read(transport->tls, bytes + total, cap - total, &len);
        total += len;
        if (status == TLS_OK)
            continue;
        transport->wants_write_for_read = status == TLS_WANT_WRITE;
        if (total)
            break; // an end is told again by the next read
        if (status == TLS_EOF)
            return NET_END;
        return status == TLS_FAILED ? NET_FAILED : NET_AGAIN;
    } while (total < cap && tls_has_pending(transport->tls));
    transport->is_unfinished = total == cap && tls_has_pending(transport->tls);
    return (ssize_t)total;
}

ssize_t transport_write_tls(struct transport *transport, const struct slice *parts, size_t count)
{
    size_t len = 0;
    enum tls_status status = tls_write(transport->tls, parts, count, &len);
    if (len || status == TLS_OK)
        return (ssize_t)len;
    return status == TLS_WANT_READ || status == TLS_WANT_WRITE ? NET_AGAIN : NET_FAILED;
}

ssize_t transport_write(struct transport *transport, const struct slice *parts, size_t count)
{
    struct iovec vectors[TRANSPORT_PARTS_MAX] __attribute__((uninitialized));
    if (transport->tls)
        return transport_write_tls(transport, parts, count);
    if (count > TRANSPORT_PARTS_MAX)
        count = TRANSPORT_PARTS_MAX;
    for (size_t i = 0; i < count; i++)
        vectors[i] = (struct iovec){(void *)(uintptr_t)parts[i].ptr, parts[i].len};
    return net_write(transport->fd, vectors, count);
}
