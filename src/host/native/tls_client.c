// The side of a client, towards backends. One SSL_CTX a backend; the system's store is read once for all of them.
#include "host/native/tls_parts.h"

#include "host/native/tls_pem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS_MAX 8U // kept of a backend; a TLS 1.3 ticket is used once (RFC 8446, C.4)

struct alt_name {
    bool is_uri;
    char name[256];
};

struct tls_context {
    SSL_CTX *ssl;
    _Atomic unsigned references;
    bool is_unverified;
    char sni[256];          // empty: none is sent (an address)
    char verify_name[256];  // for messages
    struct alt_name *names; // any of them must be in the certificate; none: verify_name, by OpenSSL
    size_t name_count;
    pthread_mutex_t lock; // of the sessions; taken once a connection
    SSL_SESSION *sessions[SESSIONS_MAX];
    size_t session_count;
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

// ---- alternative names ----------------------------------------------------------------------------------------

static bool has_uri(const X509 *leaf, const char *uri)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t len = strlen(uri);
    bool is_found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !is_found; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        is_found = name->type == GEN_URI && (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier) == len &&
                   memcmp(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier), uri, len) == 0;
    }
    GENERAL_NAMES_free(names);
    return is_found;
}

bool tls_context_knows(const struct tls_context *context, X509 *leaf)
{
    for (size_t i = 0; i < context->name_count; i++) {
        const struct alt_name *name = &context->names[i];
        if (name->is_uri ? has_uri(leaf, name->name)
                         : X509_check_host(leaf, name->name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1)
            return true;
    }
    return context->name_count == 0;
}

static const char *copy_alt_names(struct tls_context *context, const struct config_tls *config)
{
    context->names = calloc(config->name_count + 1, sizeof *context->names);
    if (!context->names)
        return "out of memory";
    for (size_t i = 0; i < config->name_count; i++) {
        context->names[i].is_uri = config->names[i].type == ALT_NAME_URI;
        if (!copy_name(context->names[i].name, sizeof context->names[i].name, config->names[i].name))
            return "an alternative name is too long";
    }
    context->name_count = config->name_count;
    return copy_name(context->verify_name, sizeof context->verify_name, config->names[0].name)
               ? NULL
               : "an alternative name is too long";
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
    if (config->name_count)
        return copy_alt_names(context, config);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int is_set = is_address(context->verify_name)
                     ? X509_VERIFY_PARAM_set1_ip_asc(parameters, context->verify_name)
                     : X509_VERIFY_PARAM_set1_host(parameters, context->verify_name, verify_name.len);
    return is_set == 1 && verify_name.len ? NULL : "there is no name to verify the certificate for";
}

static const char *set_alpn(SSL_CTX *ssl, const struct config_tls_choice *choice)
{
    static const unsigned char both[] = "\x02h2\x08http/1.1"; // the best first
    bool is_free = !choice->has_alpn;
    size_t at = is_free || choice->offers_h2 ? 0 : 3;
    size_t end = is_free || choice->offers_http_1 ? sizeof both - 1 : 3;
    if (at == end)
        return NULL;
    return SSL_CTX_set_alpn_protos(ssl, both + at, (unsigned)(end - at)) == 0 ? NULL : "out of memory";
}

static const char *set_trust(SSL_CTX *ssl, const struct config_tls *config)
{
    if (config->is_unverified)
        return NULL;
    return config->trust.ca_pem.len ? pem_use_trust(SSL_CTX_get_cert_store(ssl), &config->trust) : trust_system(ssl);
}

static const char *set_up(struct tls_context *context, const struct config_tls *config, struct slice host)
{
    SSL_CTX *ssl = context->ssl;
    context->is_unverified = config->is_unverified;
    SSL_CTX_set_app_data(ssl, context);
    tls_set_basics(ssl);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, keep_session);
    const char *why = tls_set_choice(ssl, &config->choice, TLS1_2_VERSION, NULL, NULL);
    why = why ? why : set_alpn(ssl, &config->choice);
    why = why ? why : set_trust(ssl, config);
    if (!why && config->certificate)
        why = pem_use_certificate(ssl, config->certificate);
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
    free(context->names);
    pthread_mutex_destroy(&context->lock);
    free(context);
}

const char *tls_context_name(const struct tls_context *context)
{
    return context->verify_name;
}

struct tls_session *tls_session_new(struct tls_context *context, int fd)
{
    struct tls_session *session = tls_session_alloc(context->ssl, fd, SLICE(""));
    if (!session)
        return NULL;
    session->context = tls_context_ref(context);
    if (context->sni[0] && SSL_set_tlsext_host_name(session->ssl, context->sni) != 1) {
        ERR_clear_error();
        tls_session_free(session);
        return NULL;
    }
    SSL_SESSION *earlier = take_session(context);
    if (earlier) {
        SSL_set_session(session->ssl, earlier);
        SSL_SESSION_free(earlier);
    }
    SSL_set_verify(session->ssl, context->is_unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                   context->is_unverified ? NULL : tls_on_verify);
    SSL_set_connect_state(session->ssl);
    return session;
}

bool tls_offer_http_1(struct tls_session *session)
{
    static const unsigned char http_1[] = "\x08http/1.1";
    return SSL_set_alpn_protos(session->ssl, http_1, sizeof http_1 - 1) == 0;
}
