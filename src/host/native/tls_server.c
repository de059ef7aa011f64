// The listeners' side: one SSL_CTX a listener of protocol HTTPS. The listener is chosen before (client_hello.h), so that
// all that it says holds from the first byte on.
#include "host/native/tls_names.h"
#include "host/native/tls_parts.h"
#include "host/native/tls_pem.h"
#include "host/native/tls_ticket.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Mozilla's intermediate profile, without finite-field key exchange.
#define CIPHERS                                                                                                        \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CURVES "X25519:P-256:P-384"
#define ALPN_BYTES 16

// An OCSP response to hand out with a certificate (RFC 6066 section 8).
struct staple {
    X509 *leaf; // a reference
    unsigned char *der;
    size_t len;
    int64_t until_s; // 0: it does not say
};

#define CERTIFICATES_MAX 8

struct tls_server {
    SSL_CTX *ssl;
    _Atomic unsigned references;
    unsigned char identity[SHA256_DIGEST_LENGTH];
    unsigned char alpn[ALPN_BYTES]; // as ALPN lists protocols, the best first
    unsigned alpn_len;
    unsigned char (*hashes)[SHA256_DIGEST_LENGTH];
    size_t hash_count; // of certificates; those of keys follow
    size_t key_hash_count;
    struct tls_names *names; // NULL: clients are not asked for a certificate
    struct staple staples[CERTIFICATES_MAX];
    size_t staple_count;
};

// ---- what makes two listeners the same ----------------------------------------------------------------------------

static void add_text(EVP_MD_CTX *digest, struct slice text)
{
    uint64_t len = text.len;
    EVP_DigestUpdate(digest, &len, sizeof len);
    EVP_DigestUpdate(digest, text.ptr, text.len);
}

// Over the names of the certificates and all demands on clients. A renewed certificate keeps it, a changed CA does not.
static bool make_identity(struct tls_server *server, const struct config_server_tls *config)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char flags[] = {config->asks_client, config->is_client_optional, config->client_trust.is_crl_for_leaf};
    bool is_fine = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1;
    for (size_t i = 0; is_fine && i < config->certificate_count; i++)
        add_text(digest, config->certificates[i].secret);
    if (is_fine) {
        add_text(digest, slice_make((const char *)flags, sizeof flags));
        add_text(digest, config->client_trust.ca_pem);
        add_text(digest, config->client_trust.crl_pem);
    }
    for (size_t i = 0; is_fine && i < config->client_hash_count; i++)
        add_text(digest, config->client_hashes[i]);
    add_text(digest, SLICE("keys"));
    for (size_t i = 0; is_fine && i < config->client_key_hash_count; i++)
        add_text(digest, config->client_key_hashes[i]);
    add_text(digest, SLICE("names"));
    for (size_t i = 0; is_fine && i < config->client_name_count; i++) {
        unsigned char sort[] = {(unsigned char)config->client_names[i].kind,
                                (unsigned char)config->client_names[i].how};
        add_text(digest, slice_make((const char *)sort, sizeof sort));
        add_text(digest, config->client_names[i].value);
    }
    is_fine = is_fine && EVP_DigestFinal_ex(digest, server->identity, NULL) == 1;
    EVP_MD_CTX_free(digest);
    return is_fine;
}

bool tls_server_is_same(const struct tls_server *a, const struct tls_server *b)
{
    return a == b || (a && b && memcmp(a->identity, b->identity, sizeof a->identity) == 0);
}

// ---- certificates -------------------------------------------------------------------------------------------------

static const char *use_certificates(SSL_CTX *ssl, const struct config_server_tls *config)
{
    int types[CERTIFICATES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < config->certificate_count; i++) {
        X509 *leaf = pem_leaf(config->certificates[i].chain_pem);
        int type = leaf ? EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)) : 0;
        X509_free(leaf);
        for (size_t j = 0; j < count; j++)
            if (type && types[j] == type)
                return "two certificates have keys of one kind; give each a listener with its own hostname";
        if (count == CERTIFICATES_MAX)
            return "too many certificates";
        types[count++] = type;
        const char *why = pem_use_certificate(ssl, &config->certificates[i]);
        if (why)
            return why;
    }
    return count ? NULL : "there is no certificate";
}

// ---- staples ------------------------------------------------------------------------------------------------------

static int on_status_asked(SSL *ssl, void *context)
{
    const struct tls_server *server = context;
    X509 *leaf = SSL_get_certificate(ssl);
    for (size_t i = 0; i < server->staple_count; i++) {
        const struct staple *staple = &server->staples[i];
        if (X509_cmp(staple->leaf, leaf) != 0 || (staple->until_s && staple->until_s < time(NULL)))
            continue; // one that has run out would make clients refuse what they take without
        unsigned char *copy = OPENSSL_memdup(staple->der, staple->len);
        if (copy && SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->len) == 1)
            return SSL_TLSEXT_ERR_OK;
        OPENSSL_free(copy);
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static const char *add_staple(struct tls_server *server, const struct config_certificate *certificate)
{
    struct staple *staple = &server->staples[server->staple_count];
    X509 *leaf = pem_leaf(certificate->chain_pem);
    const char *why = leaf ? pem_check_staple(certificate->ocsp, leaf, &staple->until_s) : "out of memory";
    staple->der = why ? NULL : OPENSSL_memdup(certificate->ocsp.ptr, certificate->ocsp.len);
    if (!staple->der) {
        X509_free(leaf);
        return why ? why : "out of memory";
    }
    staple->leaf = leaf;
    staple->len = certificate->ocsp.len;
    server->staple_count++;
    return NULL;
}

static const char *use_staples(struct tls_server *server, const struct config_server_tls *config)
{
    const char *why = NULL;
    for (size_t i = 0; !why && i < config->certificate_count; i++)
        if (config->certificates[i].ocsp.len)
            why = add_staple(server, &config->certificates[i]);
    if (!why && server->staple_count) {
        SSL_CTX_set_tlsext_status_cb(server->ssl, on_status_asked);
        SSL_CTX_set_tlsext_status_arg(server->ssl, server);
    }
    return why;
}

// ---- ALPN ---------------------------------------------------------------------------------------------------------

static void list_protocols(struct tls_server *server, const struct config_tls_choice *choice)
{
    static const char h2[] = "\x02h2", http_1[] = "\x08http/1.1";
    unsigned char *at = server->alpn;
    if (TLS_SPEAKS_H2 && (!choice->has_alpn || choice->offers_h2)) {
        memcpy(at, h2, sizeof h2 - 1);
        at += sizeof h2 - 1;
    }
    if (!choice->has_alpn || choice->offers_http_1) {
        memcpy(at, http_1, sizeof http_1 - 1);
        at += sizeof http_1 - 1;
    }
    server->alpn_len = (unsigned)(at - server->alpn);
}

// Nothing in common is an error (RFC 7301 section 3.2): the client would speak what we don't.
static int on_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len, const unsigned char *offered,
                   unsigned offered_len, void *context)
{
    const struct tls_server *server = context;
    (void)ssl;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)ret_name, ret_len, server->alpn, server->alpn_len,
                                 offered, offered_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// ---- clients' certificates ----------------------------------------------------------------------------------------

static bool has_hash(const struct tls_server *server, size_t from, size_t count, const unsigned char *hash)
{
    for (size_t i = from; i < from + count; i++)
        if (CRYPTO_memcmp(server->hashes[i], hash, SHA256_DIGEST_LENGTH) == 0)
            return true;
    return false;
}

static bool is_pinned(const struct tls_server *server, X509 *leaf)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned len;
    if (server->hash_count && X509_digest(leaf, EVP_sha256(), hash, &len) == 1 &&
        has_hash(server, 0, server->hash_count, hash))
        return true;
    unsigned char *key = NULL;
    int key_len = server->key_hash_count ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &key) : 0;
    bool is_known = key_len > 0 && SHA256(key, (size_t)key_len, hash) &&
                    has_hash(server, server->hash_count, server->key_hash_count, hash);
    OPENSSL_free(key);
    return is_known;
}

static int on_client_certificate(int is_fine, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct tls_session *session = SSL_get_app_data(ssl);
    const struct tls_server *server = session->server;
    X509 *leaf = X509_STORE_CTX_get_current_cert(chain);
    if (!is_fine || X509_STORE_CTX_get_error_depth(chain) > 0)
        return is_fine;
    bool has_pins = server->hash_count + server->key_hash_count > 0;
    if ((!has_pins || is_pinned(server, leaf)) && tls_names_fit(server->names, leaf))
        return 1;
    X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static bool keep_hashes(struct tls_server *server, const struct config_server_tls *config)
{
    size_t count = config->client_hash_count + config->client_key_hash_count, at = 0;
    server->hashes = calloc(count + 1, sizeof *server->hashes);
    for (size_t i = 0; server->hashes && i < config->client_hash_count; i++)
        memcpy(server->hashes[at++], config->client_hashes[i].ptr, SHA256_DIGEST_LENGTH);
    for (size_t i = 0; server->hashes && i < config->client_key_hash_count; i++)
        memcpy(server->hashes[at++], config->client_key_hashes[i].ptr, SHA256_DIGEST_LENGTH);
    server->hash_count = config->client_hash_count;
    server->key_hash_count = config->client_key_hash_count;
    return server->hashes != NULL;
}

static const char *ask_clients(struct tls_server *server, const struct config_server_tls *config)
{
    int mode = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
    if (!config->asks_client)
        return NULL;
    server->names = tls_names_new(config->client_names, config->client_name_count);
    if (!server->names || !keep_hashes(server, config))
        return "out of memory";
    if (!config->is_client_optional)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(server->ssl, mode, on_client_certificate);
    const char *why = pem_use_trust(SSL_CTX_get_cert_store(server->ssl), &config->client_trust);
    return why ? why : pem_name_authorities(server->ssl, &config->client_trust);
}

// ---- life ---------------------------------------------------------------------------------------------------------

static const char *set_up(struct tls_server *server, const struct config_server_tls *config)
{
    SSL_CTX *ssl = server->ssl;
    tls_set_basics(ssl);
    SSL_CTX_set_options(ssl, SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_max_early_data(ssl, 0); // no replays
    if (!make_identity(server, config) ||
        SSL_CTX_set_session_id_context(ssl, server->identity, sizeof server->identity) != 1 || !ticket_use(ssl))
        return "out of memory";
    list_protocols(server, &config->choice);
    if (server->alpn_len)
        SSL_CTX_set_alpn_select_cb(ssl, on_alpn, server);
    const char *why = tls_set_choice(ssl, &config->choice, TLS1_2_VERSION, CIPHERS, CURVES);
    why = why ? why : use_certificates(ssl, config);
    why = why ? why : use_staples(server, config);
    return why ? why : ask_clients(server, config);
}

struct tls_server *tls_server_new(const struct config_server_tls *config, struct arena *arena, struct slice *ret_why)
{
    struct tls_server *server = calloc(1, sizeof *server);
    const char *why = "out of memory";
    if (server) {
        atomic_init(&server->references, 1);
        server->ssl = SSL_CTX_new(TLS_server_method());
        if (server->ssl)
            why = set_up(server, config);
    }
    ERR_clear_error();
    if (!why)
        return server;
    *ret_why = arena_dup(arena, slice_from_cstr(why));
    tls_server_unref(server);
    return NULL;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    atomic_fetch_add_explicit(&server->references, 1, memory_order_relaxed);
    return server;
}

void tls_server_unref(struct tls_server *server)
{
    if (!server || atomic_fetch_sub_explicit(&server->references, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(server->ssl);
    for (size_t i = 0; i < server->staple_count; i++) {
        X509_free(server->staples[i].leaf);
        OPENSSL_free(server->staples[i].der);
    }
    free(server->hashes);
    tls_names_free(server->names);
    free(server);
}

struct tls_session *tls_session_accept(struct tls_server *server, int fd, struct slice early, struct slice server_name)
{
    struct tls_session *session = tls_session_alloc(server->ssl, fd, server_name);
    if (!session)
        return NULL;
    session->server = tls_server_ref(server);
    SSL_set_accept_state(session->ssl);
    BIO *bytes = BIO_new_mem_buf(early.ptr, (int)early.len);
    if (!bytes) {
        tls_session_free(session);
        return NULL;
    }
    BIO_set_mem_eof_return(bytes, -1); // what comes after them is still to come
    SSL_set0_rbio(session->ssl, bytes);
    session->reads_early = true;
    return session;
}
