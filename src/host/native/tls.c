// OpenSSL clients. One SSL_CTX a backend; the system's store is read once for all of them.
#include "host/native/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS_MAX 8U // kept of a backend; a TLS 1.3 ticket is used once (RFC 8446, C.4)
#define RECORD_BYTES ((size_t)16 * 1024)
#define DIRECT_BYTES ((size_t)4 * 1024) // pieces of at least this go out without being gathered
#define REASON_BYTES 384

struct tls_context {
    SSL_CTX *ssl;
    _Atomic unsigned references;
    bool is_unverified;
    char sni[256];         // empty: none is sent (an address)
    char verify_name[256]; // for messages
    pthread_mutex_t lock;  // of the sessions; taken once a connection
    SSL_SESSION *sessions[SESSIONS_MAX];
    size_t session_count;
};

struct tls_session {
    SSL *ssl;
    struct tls_context *context;
    bool has_failed;
    bool is_open; // the handshake is done
    char reason[REASON_BYTES];
};

// ---- sessions to take up --------------------------------------------------------------------------------------

// Called by OpenSSL whenever the server hands one out. 1: the reference is ours now.
static int keep_session(SSL *ssl, SSL_SESSION *given)
{
    struct tls_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION *dropped = NULL;
    pthread_mutex_lock(&context->lock);
    if (context->session_count == SESSIONS_MAX) {
        dropped = context->sessions[0];
        for (size_t i = 1; i < context->session_count; i++)
            context->sessions[i - 1] = context->sessions[i];
        context->session_count--;
    }
    context->sessions[context->session_count++] = given;
    pthread_mutex_unlock(&context->lock);
    SSL_SESSION_free(dropped);
    return 1;
}

// The newest one, with a reference for the caller, or NULL.
static SSL_SESSION *take_session(struct tls_context *context)
{
    SSL_SESSION *taken = NULL;
    pthread_mutex_lock(&context->lock);
    if (context->session_count) {
        taken = context->sessions[context->session_count - 1];
        if (SSL_SESSION_get_protocol_version(taken) >= TLS1_3_VERSION)
            context->session_count--;
        else
            SSL_SESSION_up_ref(taken);
    }
    pthread_mutex_unlock(&context->lock);
    return taken;
}

// ---- contexts -------------------------------------------------------------------------------------------------

static X509_STORE *system_store;

static void load_system_store(void)
{
    X509_STORE *store = X509_STORE_new();
    if (store && X509_STORE_set_default_paths(store) == 1)
        system_store = store;
    else
        X509_STORE_free(store);
    ERR_clear_error();
}

static const char *trust_system(SSL_CTX *ssl)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load_system_store);
    if (!system_store)
        return "the system's certificate store can't be read";
    SSL_CTX_set1_cert_store(ssl, system_store);
    return NULL;
}

static const char *trust_pem(SSL_CTX *ssl, struct slice pem)
{
    BIO *bio = pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);
    size_t count = 0;
    X509 *certificate;
    if (!bio)
        return "out of memory";
    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    bool is_at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    BIO_free(bio);
    if (count == 0)
        return "the CA holds no certificate in PEM";
    return is_at_end ? NULL : "the CA holds a malformed certificate";
}

static bool is_address(const char *text)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool copy_name(char *to, size_t cap, struct slice name)
{
    if (name.len >= cap || (name.len && memchr(name.ptr, '\0', name.len)))
        return false;
    if (name.len)
        memcpy(to, name.ptr, name.len);
    to[name.len] = '\0';
    return true;
}

// Which name goes out as SNI and which must be in the certificate (RFC 6066 section 3: no addresses in SNI).
static const char *set_names(struct tls_context *context, const struct config_tls *config, struct slice host)
{
    struct slice sni = config->sni.len ? config->sni : host;
    struct slice verify_name = config->verify_name.len ? config->verify_name : sni;
    X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(context->ssl);
    if (!copy_name(context->sni, sizeof context->sni, sni) ||
        !copy_name(context->verify_name, sizeof context->verify_name, verify_name))
        return "the TLS name is too long";
    if (is_address(context->sni))
        context->sni[0] = '\0';
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int is_set = is_address(context->verify_name)
                     ? X509_VERIFY_PARAM_set1_ip_asc(parameters, context->verify_name)
                     : X509_VERIFY_PARAM_set1_host(parameters, context->verify_name, verify_name.len);
    return is_set == 1 && verify_name.len ? NULL : "there is no name to verify the certificate for";
}

static const char *set_up(struct tls_context *context, const struct config_tls *config, struct slice host)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    SSL_CTX *ssl = context->ssl;
    const char *why = NULL;
    context->is_unverified = config->is_unverified;
    SSL_CTX_set_app_data(ssl, context);
    SSL_CTX_set_mode(ssl,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_read_ahead(ssl, 1); // one read a record instead of two
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, keep_session);
    if (SSL_CTX_set_min_proto_version(ssl, config->min_version ? config->min_version : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_alpn_protos(ssl, alpn, sizeof alpn - 1) != 0)
        return "the TLS version is not supported";
    if (!config->is_unverified)
        why = config->ca_pem.len ? trust_pem(ssl, config->ca_pem) : trust_system(ssl);
    return why ? why : set_names(context, config, host);
}

struct tls_context *tls_context_new(const struct config_tls *config, struct slice host, struct arena *arena,
                                    struct slice *ret_why)
{
    struct tls_context *context = calloc(1, sizeof *context);
    const char *why = "out of memory";
    if (context) {
        pthread_mutex_init(&context->lock, NULL);
        atomic_init(&context->references, 1);
        context->ssl = SSL_CTX_new(TLS_client_method());
        if (context->ssl)
            why = set_up(context, config, host);
    }
    if (!why)
        return context;
    *ret_why = arena_dup(arena, slice_from_cstr(why));
    ERR_clear_error();
    tls_context_unref(context);
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < context->session_count; i++)
        SSL_SESSION_free(context->sessions[i]);
    SSL_CTX_free(context->ssl);
    pthread_mutex_destroy(&context->lock);
    free(context);
}

// ---- reasons --------------------------------------------------------------------------------------------------

static void set_reason(struct tls_session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void set_reason(struct tls_session *session, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(session->reason, sizeof session->reason, format,
              arguments); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(arguments);
    // Names out of a stranger's certificate may hold anything; the reason goes to logs.
    for (char *at = session->reason; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
}

// The names that the certificate is for: DNS names of the SAN, as many as fit.
static void print_names(const X509 *certificate, char *text, size_t cap)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t len = 0;
    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && len < cap; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        int added = snprintf(text + len, cap - len, "%s%.*s", len ? ", " : "", ASN1_STRING_length(name->d.dNSName),
                             (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        len += added > 0 ? (size_t)added : 0;
    }
    GENERAL_NAMES_free(names);
    if (len == 0)
        snprintf(text, cap, "no DNS name");
}

static void print_name(const X509_NAME *name, char *text, size_t cap)
{
    if (!name || !X509_NAME_oneline(name, text, (int)cap))
        snprintf(text, cap, "unknown");
}

static void explain_certificate(struct tls_session *session, int error, const X509 *certificate)
{
    const char *expected = session->context->verify_name;
    char text[192] = "unknown";
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        set_reason(session, "TLS_error: a certificate of %s has expired", expected);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        set_reason(session, "TLS_error: a certificate of %s is not valid yet: is this machine's clock right?",
                   expected);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        if (certificate)
            print_names(certificate, text, sizeof text);
        set_reason(session, "TLS_error: the certificate is not for %s but for %s", expected, text);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        set_reason(session, "TLS_error: the certificate of %s is self-signed and not trusted", expected);
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        if (certificate)
            print_name(X509_get_issuer_name(certificate), text, sizeof text);
        set_reason(session, "TLS_error: the certificate of %s comes from a CA that is not trusted (%s)", expected,
                   text);
        break;
    default:
        set_reason(session, "TLS_error: the certificate of %s was refused: %s", expected,
                   X509_verify_cert_error_string(error));
    }
}

// Called by OpenSSL for each certificate of the chain; the certificate at fault is known here only.
static int on_verify(int is_fine, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    if (!is_fine)
        explain_certificate(SSL_get_app_data(ssl), X509_STORE_CTX_get_error(chain),
                            X509_STORE_CTX_get_current_cert(chain));
    return is_fine;
}

static void explain_protocol(struct tls_session *session, unsigned long error)
{
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
        set_reason(session, "TLS_error: the backend does not speak TLS on this port");
    else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        set_reason(session, session->is_open ? "TLS_error: the backend closed the connection without ending TLS"
                                             : "TLS_error: the backend closed the connection during the handshake");
    else if (reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION || reason == SSL_R_UNSUPPORTED_PROTOCOL)
        set_reason(session, "TLS_error: the backend and Weir have no TLS version in common");
    else if (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED || reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE)
        set_reason(session, "TLS_error: the backend asks for a client certificate or refused it");
    else
        set_reason(session, "TLS_error: %s", text ? text : "unknown protocol error");
}

static void explain(struct tls_session *session, int ssl_error, int system_error)
{
    unsigned long error = ERR_peek_error();
    bool is_verify = ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    if (is_verify && session->reason[0])
        return; // on_verify has said it
    if (ssl_error == SSL_ERROR_SSL || error)
        explain_protocol(session, error);
    else if (system_error)
        set_reason(session, "TLS_error: %s", strerror(system_error));
    else
        set_reason(session, "TLS_error: the backend closed the connection");
}

static enum tls_status fail(struct tls_session *session, int ssl_error, int system_error)
{
    session->has_failed = true;
    explain(session, ssl_error, system_error);
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

// ---- one connection -------------------------------------------------------------------------------------------

struct tls_session *tls_session_new(struct tls_context *context, int fd)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->context = tls_context_ref(context);
    session->ssl = SSL_new(context->ssl);
    if (!session->ssl || SSL_set_fd(session->ssl, fd) != 1 ||
        (context->sni[0] && SSL_set_tlsext_host_name(session->ssl, context->sni) != 1)) {
        ERR_clear_error();
        tls_session_free(session);
        return NULL;
    }
    SSL_SESSION *earlier = take_session(context);
    if (earlier) {
        SSL_set_session(session->ssl, earlier);
        SSL_SESSION_free(earlier);
    }
    SSL_set_app_data(session->ssl, session);
    SSL_set_verify(session->ssl, context->is_unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                   context->is_unverified ? NULL : on_verify);
    SSL_set_connect_state(session->ssl);
    return session;
}

void tls_session_free(struct tls_session *take_session)
{
    if (!take_session)
        return;
    SSL_free(take_session->ssl);
    tls_context_unref(take_session->context);
    free(take_session);
}

enum tls_status tls_handshake(struct tls_session *session)
{
    if (session->has_failed)
        return TLS_FAILED;
    errno = 0;
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result == 1) {
        session->is_open = true;
        return TLS_OK;
    }
    enum tls_status status = status_of(session, result);
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

// A write that OpenSSL could not finish is repeated with the same first bytes, wherever they lie and however many follow
// (SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER).
enum tls_status tls_write(struct tls_session *session, const struct slice *pieces, size_t count, size_t *ret_len)
{
    char record[RECORD_BYTES] __attribute__((uninitialized)); // 16 KiB not to be zeroed a call
    struct cursor cursor = {pieces, count, 0};
    *ret_len = 0;
    if (session->has_failed)
        return TLS_FAILED;
    for (advance(&cursor, 0); cursor.count; advance(&cursor, 0)) {
        struct slice bytes = gather(cursor, record);
        size_t written = 0;
        errno = 0;
        ERR_clear_error();
        int result = SSL_write_ex(session->ssl, bytes.ptr, bytes.len, &written);
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
    if (!session->is_open || session->has_failed)
        return;
    SSL_shutdown(session->ssl);
    ERR_clear_error();
}

struct slice tls_reason(const struct tls_session *session)
{
    return slice_from_cstr(session->reason);
}

bool tls_is_resumed(const struct tls_session *session)
{
    return SSL_session_reused(session->ssl) == 1;
}
