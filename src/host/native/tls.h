// TLS towards backends (OpenSSL 3, client side) on non-blocking sockets. The session reads and writes the descriptor
// itself: no copy is made beside OpenSSL's own record buffers.
#ifndef WEIR_HOST_NATIVE_TLS_H
#define WEIR_HOST_NATIVE_TLS_H

#include "config/model.h"

struct tls_context; // of one backend; shared by all workers, immutable but for its last sessions
struct tls_session; // of one connection; a worker's own

// `host` is the endpoint's name or address, for the SNI and the name to verify where the configuration gives none. Trust:
// the system's store or the given CA. NULL on failure, with the reason in `arena` (an unreadable CA, ...).
struct tls_context *tls_context_new(const struct config_tls *config, struct slice host, struct arena *arena,
                                    struct slice *ret_why);
struct tls_context *tls_context_ref(struct tls_context *context); // thread-safe
void tls_context_unref(struct tls_context *context);              // thread-safe; NULL is fine

// A session for a connected (or connecting) non-blocking socket, which stays the caller's. Holds a reference to the
// context. NULL without memory.
struct tls_session *tls_session_new(struct tls_context *context, int fd);
// Frees without a word to the peer; call tls_close before for a clean end. NULL is fine.
void tls_session_free(struct tls_session *take_session);

enum tls_status {
    TLS_OK,
    TLS_WANT_READ,  // call again when the socket is readable
    TLS_WANT_WRITE, // call again when it is writable
    TLS_EOF,        // the peer ended with close_notify
    TLS_FAILED,     // for good; tls_reason says why
};

enum tls_status tls_handshake(struct tls_session *session);
// Reads what is there, at most `cap` bytes; *ret_len > 0 with TLS_OK. A socket that ended without close_notify is
// TLS_FAILED: the data may be cut short.
enum tls_status tls_read(struct tls_session *session, char *ptr, size_t cap, size_t *ret_len);
// Bytes are decrypted already: read again without waiting for the socket.
bool tls_has_pending(const struct tls_session *session);
// Writes pieces as writev would; small ones share a record. *ret_len counts what was taken: all with TLS_OK, perhaps a
// part with WANT_READ and WANT_WRITE. The next call must begin with the bytes that were not taken (more may follow them).
enum tls_status tls_write(struct tls_session *session, const struct slice *pieces, size_t count, size_t *ret_len);
// Sends close_notify, without waiting for the peer's.
void tls_close(struct tls_session *session);
// Why it failed, in words for an operator: %UPSTREAM_TRANSPORT_FAILURE_REASON%. Lives as long as the session.
struct slice tls_reason(const struct tls_session *session);
// An earlier session was taken up: no certificate went over the wire.
bool tls_is_resumed(const struct tls_session *session);

#endif
