// TLS sessions: bytes in and out, of either side.
#include "host/native/tls_parts.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_BYTES ((size_t)16 * 1024)
#define DIRECT_BYTES ((size_t)4 * 1024) // pieces of at least this go out without being gathered

// ---- what both sides set up ---------------------------------------------------------------------------------------

void tls_set_basics(SSL_CTX *ssl)
{
    SSL_CTX_set_mode(ssl,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_read_ahead(ssl, 1); // one read a record instead of two
}

// The text, or else the preset, as the NUL-terminated list that OpenSSL takes (its macros cast const away).
static bool with_text(SSL_CTX *ssl, struct slice text, const char *preset, int (*set)(SSL_CTX *ssl, char *list))
{
    char list[1024];
    if (!text.len && !preset)
        return true;
    if (!text.len)
        text = slice_make(preset, strlen(preset));
    if (text.len >= sizeof list)
        return false;
    memcpy(list, text.ptr, text.len);
    list[text.len] = '\0';
    return set(ssl, list) == 1;
}

static int set_ciphers(SSL_CTX *ssl, char *list)
{
    return SSL_CTX_set_cipher_list(ssl, list);
}

static int set_groups(SSL_CTX *ssl, char *list)
{
    return (int)SSL_CTX_set1_groups_list(ssl, list);
}

static int set_signature_algorithms(SSL_CTX *ssl, char *list)
{
    return (int)SSL_CTX_set1_sigalgs_list(ssl, list);
}

const char *tls_set_choice(SSL_CTX *ssl, const struct config_tls_choice *choice, uint16_t min_version,
                           const char *ciphers, const char *curves)
{
    const char *why = NULL;
    if (choice->min_version > min_version)
        min_version = choice->min_version;
    if (SSL_CTX_set_min_proto_version(ssl, min_version) != 1 ||
        SSL_CTX_set_max_proto_version(ssl, choice->max_version) != 1)
        why = "the TLS version is not supported";
    else if (!with_text(ssl, choice->ciphers.text, ciphers, set_ciphers))
        why = "ciphers: OpenSSL knows none of these; its names look like ECDHE-RSA-AES128-GCM-SHA256";
    else if (!with_text(ssl, choice->curves.text, curves, set_groups))
        why = "ecdhCurves: OpenSSL does not know one of these; its names look like X25519, P-256";
    else if (!with_text(ssl, choice->signature_algorithms.text, NULL, set_signature_algorithms))
        why = "signatureAlgorithms: OpenSSL does not know one of these; its names look like ecdsa_secp256r1_sha256";
    ERR_clear_error();
    return why;
}

struct tls_session *tls_session_alloc(SSL_CTX *ssl, int fd, struct slice server_name)
{
    struct tls_session *session = calloc(1, sizeof *session + server_name.len + 1);
    if (!session)
        return NULL;
    session->ssl = SSL_new(ssl);
    if (!session->ssl || SSL_set_fd(session->ssl, fd) != 1) {
        ERR_clear_error();
        tls_session_free(session);
        return NULL;
    }
    for (size_t i = 0; i < server_name.len; i++)
        session->server_name[i] = ascii_lower(server_name.ptr[i]);
    session->server_name_len = server_name.len;
    SSL_set_app_data(session->ssl, session);
    return session;
}

void tls_session_free(struct tls_session *take_session)
{
    if (!take_session)
        return;
    SSL_free(take_session->ssl);
    tls_context_unref(take_session->context);
    tls_server_unref(take_session->server);
    free(take_session->reason);
    free(take_session);
}

// ---- one connection -----------------------------------------------------------------------------------------------

static enum tls_status fail(struct tls_session *session, int ssl_error, int system_error)
{
    session->has_failed = true;
    tls_explain(session, ssl_error, system_error);
    ERR_clear_error();
    return TLS_FAILED;
}

// What a call of OpenSSL that did not succeed means. `result` is its return value.
static enum tls_status status_of(struct tls_session *session, int result)
{
    int system_error = errno;
    int ssl_error = SSL_get_error(session->ssl, result);
    switch (ssl_error) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_EOF;
    default:
        return fail(session, ssl_error, system_error);
    }
}

// The early bytes are taken: the socket's follow.
static void read_on(struct tls_session *session)
{
    BIO *socket = SSL_get_wbio(session->ssl);
    if (BIO_pending(SSL_get_rbio(session->ssl)) > 0)
        return;
    BIO_up_ref(socket);
    SSL_set0_rbio(session->ssl, socket);
    session->reads_early = false;
}

enum tls_status tls_handshake(struct tls_session *session)
{
    if (session->has_failed)
        return TLS_FAILED;
    errno = 0;
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    enum tls_status status = result == 1 ? TLS_OK : status_of(session, result);
    if (session->reads_early)
        read_on(session); // after status_of, which asks the source that was read
    session->is_open |= status == TLS_OK;
    return status == TLS_EOF ? fail(session, SSL_ERROR_SYSCALL, 0) : status;
}

enum tls_status tls_read(struct tls_session *session, char *ptr, size_t cap, size_t *ret_len)
{
    *ret_len = 0;
    if (session->has_failed)
        return TLS_FAILED;
    errno = 0;
    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, ptr, cap, ret_len);
    return result == 1 ? TLS_OK : status_of(session, result);
}

bool tls_has_pending(const struct tls_session *session)
{
    return SSL_has_pending(session->ssl);
}

// The rest of a list of pieces.
struct cursor {
    const struct slice *pieces;
    size_t count;
    size_t offset; // into the first
};

static void advance(struct cursor *cursor, size_t len)
{
    while (cursor->count && len >= cursor->pieces->len - cursor->offset) {
        len -= cursor->pieces->len - cursor->offset;
        cursor->pieces++;
        cursor->count--;
        cursor->offset = 0;
    }
    cursor->offset += len;
}

// The next bytes to encrypt: a large piece where it lies, small ones gathered in `record`.
static struct slice gather(struct cursor cursor, char *record)
{
    size_t len = 0;
    struct slice first = slice_from(cursor.pieces[0], cursor.offset);
    if (first.len >= DIRECT_BYTES || cursor.count == 1)
        return first;
    while (cursor.count && len < RECORD_BYTES) {
        struct slice piece = slice_sub(slice_from(cursor.pieces[0], cursor.offset), 0, RECORD_BYTES - len);
        if (piece.len)
            memcpy(record + len, piece.ptr, piece.len);
        len += piece.len;
        advance(&cursor, piece.len ? piece.len : 0);
    }
    return slice_make(record, len);
}

// The socket is broken, but an alert of the peer may still be there to be read.
static enum tls_status fail_write(struct tls_session *session, int system_error)
{
    session->has_write_failed = true;
    tls_explain(session, SSL_ERROR_SYSCALL, system_error);
    ERR_clear_error();
    return TLS_FAILED;
}

// A write that OpenSSL could not finish is repeated with the same first bytes, wherever they lie and however many follow
// (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER).
enum tls_status tls_write(struct tls_session *session, const struct slice *pieces, size_t count, size_t *ret_len)
{
    char record[RECORD_BYTES] __attribute__((uninitialized)); // 16 KiB not to be zeroed a call
    struct cursor cursor = {pieces, count, 0};
    *ret_len = 0;
    if (session->has_failed || session->has_write_failed)
        return TLS_FAILED;
    for (advance(&cursor, 0); cursor.count; advance(&cursor, 0)) {
        struct slice bytes = gather(cursor, record);
        size_t written = 0;
        errno = 0;
        ERR_clear_error();
        int result = SSL_write_ex(session->ssl, bytes.ptr, bytes.len, &written);
        if (result != 1 && SSL_get_error(session->ssl, result) == SSL_ERROR_SYSCALL)
            return fail_write(session, errno);
        if (result != 1) {
            enum tls_status status = status_of(session, result);
            return status == TLS_EOF ? fail(session, SSL_ERROR_SYSCALL, EPIPE) : status;
        }
        *ret_len += written;
        advance(&cursor, written);
    }
    return TLS_OK;
}

void tls_close(struct tls_session *session)
{
    if (!session->is_open || session->has_failed || session->has_write_failed)
        return;
    SSL_shutdown(session->ssl);
    ERR_clear_error();
}

struct slice tls_reason(const struct tls_session *session)
{
    return session->reason ? slice_from_cstr(session->reason) : SLICE("");
}

bool tls_is_resumed(const struct tls_session *session)
{
    return SSL_session_reused(session->ssl) == 1;
}

bool tls_is_peer_verified(const struct tls_session *session)
{
    return SSL_get0_peer_certificate(session->ssl) && SSL_get_verify_result(session->ssl) == X509_V_OK;
}

bool tls_is_peer_refused(const struct tls_session *session)
{
    return session->is_refused;
}

struct slice tls_server_name(const struct tls_session *session)
{
    return slice_make(session->server_name, session->server_name_len);
}

struct slice tls_protocol(const struct tls_session *session)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(session->ssl, &name, &len);
    return slice_make((const char *)name, len);
}

const struct tls_server *tls_session_server(const struct tls_session *session)
{
    return session->server;
}
