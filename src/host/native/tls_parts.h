// Inside of TLS: what its files share. Nobody else includes this.
#ifndef WEIR_HOST_NATIVE_TLS_PARTS_H
#define WEIR_HOST_NATIVE_TLS_PARTS_H

#include "host/native/tls.h"

#include <openssl/ssl.h>

struct tls_session {
    SSL *ssl;
    struct tls_context *context; // towards a backend; else NULL
    struct tls_server *server;   // of a client; else NULL
    bool has_failed;
    bool has_write_failed; // the peer may have said why: reading goes on
    bool is_open;          // the handshake is done
    bool reads_early;      // the first bytes of the connection, read by somebody else, come first
    bool is_refused;       // the peer's certificate was not good, or missing
    char *reason;          // NULL: nothing has failed
    size_t server_name_len;
    char server_name[]; // what a client asked for, in lower case
};

// ---- what both directions set up (tls.c) --------------------------------------------------------------------------

// Buffers, modes and options that hold for every connection.
void tls_set_basics(SSL_CTX *ssl);
// Versions and algorithms; NULL, or why not.
const char *tls_set_choice(SSL_CTX *ssl, const struct config_tls_choice *choice, uint16_t min_version,
                           const char *ciphers, const char *curves);
struct tls_session *tls_session_alloc(SSL_CTX *ssl, int fd, struct slice server_name);

// ---- words (tls_reason.c) -----------------------------------------------------------------------------------------

// Called by OpenSSL for each certificate of a backend's chain; the certificate at fault is known there only.
int tls_on_verify(int is_fine, X509_STORE_CTX *chain);
// Notes why the call that just failed did; the session is at an end.
void tls_explain(struct tls_session *session, int ssl_error, int system_error);

// ---- for the two kinds of ends ------------------------------------------------------------------------------------

// The name that a backend's certificate is verified for.
const char *tls_context_name(const struct tls_context *context);
// Whether a leaf has one of the alternative names that are asked for; true when none are.
bool tls_context_knows(const struct tls_context *context, X509 *leaf);

#endif
