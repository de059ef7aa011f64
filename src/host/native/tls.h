// TLS (OpenSSL 3) on non-blocking sockets: towards backends, and of clients. A session reads and writes the descriptor
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
// Whether the settings of two backends ask for the same context, so that one can stand for the other.
bool tls_is_same_config(const struct config_tls *a, const struct config_tls *b);
struct tls_context *tls_context_ref(struct tls_context *context); // thread-safe
void tls_context_unref(struct tls_context *context);              // thread-safe; NULL is fine

// ---- the listeners' side ------------------------------------------------------------------------------------------

// What one listener of protocol HTTPS shows and asks for; shared by all workers, immutable.
struct tls_server;

#define TLS_SPEAKS_H2 true // whether h2 is offered to clients by ALPN

// NULL on failure, with the reason in `arena`: no certificate in the PEM, a key that isn't its own, ...
struct tls_server *tls_server_new(const struct config_server_tls *config, struct arena *arena, struct slice *ret_why);
struct tls_server *tls_server_ref(struct tls_server *server); // thread-safe
void tls_server_unref(struct tls_server *server);             // thread-safe; NULL is fine
// Whether a connection to one may be used for requests to the other: the same certificates (by the names of their
// Secrets) and the same demands on clients.
bool tls_server_is_same(const struct tls_server *a, const struct tls_server *b);
// A session for a socket from which `early` was read already, which must live until the handshake is done.
// `server_name` is what the client asked for.
struct tls_session *tls_session_accept(struct tls_server *server, int fd, struct slice early, struct slice server_name);
// The handshake failed because the client's certificate is missing or not good.
bool tls_is_peer_refused(const struct tls_session *session);
// The client showed a certificate, now or in the session that was taken up, and it was good.
bool tls_is_peer_verified(const struct tls_session *session);
// SNI of a client, in lower case, maybe empty; lives as long as the session.
struct slice tls_server_name(const struct tls_session *session);
// Agreed on by ALPN; empty: nothing.
struct slice tls_protocol(const struct tls_session *session);
// Whose session it is.
const struct tls_server *tls_session_server(const struct tls_session *session);

// ---- sessions -----------------------------------------------------------------------------------------------------

// A session for a connected (or connecting) non-blocking socket, which stays the caller's. Holds a reference to the
// context. NULL without memory.
struct tls_session *tls_session_new(struct tls_context *context, int fd);
// Offers HTTP/1.1 alone, whatever the context says. Before the handshake. False without memory.
bool tls_offer_http_1(struct tls_session *session);
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
