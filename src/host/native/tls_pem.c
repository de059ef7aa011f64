// PEM, key pairs and trust.
#include "host/native/tls_pem.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static BIO *open_text(struct slice pem)
{
    return pem.len <= INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
}

// OpenSSL would ask on the terminal.
static int no_password(char *text, int cap, int is_writing, void *context)
{
    (void)text, (void)cap, (void)is_writing, (void)context;
    return -1;
}

// Whether the reading of a list of PEM blocks ended because there are no more, and not at a broken one.
static bool is_at_end(void)
{
    unsigned long error = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    return is_end;
}

X509 *pem_leaf(struct slice chain_pem)
{
    BIO *bio = open_text(chain_pem);
    X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return leaf;
}

// ---- a certificate with its key -----------------------------------------------------------------------------------

static const char *use_chain(SSL_CTX *ssl, struct slice pem)
{
    BIO *bio = open_text(pem);
    X509 *leaf = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL) : NULL;
    const char *why = leaf ? NULL : "tls.crt holds no certificate in PEM";
    if (leaf && SSL_CTX_use_certificate(ssl, leaf) != 1)
        why = "the certificate of tls.crt can't be used: its key is too small or of an unknown kind";
    if (!why)
        SSL_CTX_clear_chain_certs(ssl);
    for (X509 *next; !why && (next = PEM_read_bio_X509(bio, NULL, no_password, NULL));)
        if (SSL_CTX_add0_chain_cert(ssl, next) != 1) {
            X509_free(next);
            why = "a certificate of the chain in tls.crt can't be used";
        }
    if (!why && !is_at_end())
        why = "tls.crt holds a malformed certificate";
    X509_free(leaf);
    BIO_free(bio);
    ERR_clear_error();
    return why;
}

static const char *use_key(SSL_CTX *ssl, struct secret pem)
{
    BIO *bio = open_text(secret_reveal(pem));
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    const char *why = key ? NULL : "tls.key holds no private key in PEM, or an encrypted one";
    BIO_free(bio);
    ERR_clear_error();
    if (key && SSL_CTX_use_PrivateKey(ssl, key) != 1)
        why = "tls.key is not the key of the certificate in tls.crt";
    EVP_PKEY_free(key);
    ERR_clear_error();
    return why;
}

const char *pem_use_certificate(SSL_CTX *ssl, const struct config_certificate *certificate)
{
    const char *why = use_chain(ssl, certificate->chain_pem);
    why = why ? why : use_key(ssl, certificate->key_pem);
    if (!why && SSL_CTX_check_private_key(ssl) != 1)
        why = "tls.key is not the key of the certificate in tls.crt";
    ERR_clear_error();
    return why;
}

// ---- staples ------------------------------------------------------------------------------------------------------

static int64_t unix_time(const ASN1_TIME *time)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days = 0, seconds = 0;
    bool is_good = time && epoch && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;
    ASN1_TIME_free(epoch);
    return is_good ? (int64_t)days * 86400 + seconds : 0;
}

const char *pem_check_staple(struct slice der, X509 *leaf, int64_t *ret_until_s)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    OCSP_RESPONSE *response = der.len <= INT32_MAX ? d2i_OCSP_RESPONSE(NULL, &at, (long)der.len) : NULL;
    OCSP_BASICRESP *basic = response ? OCSP_response_get1_basic(response) : NULL;
    const char *why =
        basic ? "tls.ocsp-staple is about another certificate" : "tls.ocsp-staple is no OCSP response in DER";
    for (int i = 0; basic && i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        ASN1_INTEGER *serial = NULL;
        ASN1_GENERALIZEDTIME *until = NULL;
        OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single));
        if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0)
            continue;
        int status = OCSP_single_get0_status(single, NULL, NULL, NULL, &until);
        *ret_until_s = unix_time(until);
        why = status == V_OCSP_CERTSTATUS_GOOD ? NULL : "tls.ocsp-staple says that the certificate is not good";
        break;
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return why;
}

int64_t pem_until(const X509 *certificate)
{
    return unix_time(X509_get0_notAfter(certificate));
}

int64_t pem_from(const X509 *certificate)
{
    return unix_time(X509_get0_notBefore(certificate));
}

// ---- trust --------------------------------------------------------------------------------------------------------

static const char *add_authorities(X509_STORE *store, struct slice pem)
{
    BIO *bio = open_text(pem);
    size_t count = 0;
    X509 *certificate;
    if (!bio)
        return "out of memory";
    while ((certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    bool is_whole = is_at_end();
    BIO_free(bio);
    if (count == 0)
        return "the CA holds no certificate in PEM";
    return is_whole ? NULL : "the CA holds a malformed certificate";
}

static const char *add_lists(X509_STORE *store, struct slice pem)
{
    BIO *bio = open_text(pem);
    size_t count = 0;
    X509_CRL *list;
    if (!bio)
        return "out of memory";
    while ((list = PEM_read_bio_X509_CRL(bio, NULL, no_password, NULL)) != NULL) {
        count += X509_STORE_add_crl(store, list) == 1;
        X509_CRL_free(list);
    }
    bool is_whole = is_at_end();
    BIO_free(bio);
    if (count == 0)
        return "ca.crl holds no revocation list in PEM";
    return is_whole ? NULL : "ca.crl holds a malformed revocation list";
}

const char *pem_use_trust(X509_STORE *store, const struct config_trust *trust)
{
    const char *why = add_authorities(store, trust->ca_pem);
    if (why || !trust->crl_pem.len)
        return why;
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | (trust->is_crl_for_leaf ? 0 : X509_V_FLAG_CRL_CHECK_ALL));
    return add_lists(store, trust->crl_pem);
}

const char *pem_name_authorities(SSL_CTX *ssl, const struct config_trust *trust)
{
    BIO *bio = open_text(trust->ca_pem);
    bool is_fine = bio != NULL;
    for (X509 *next; is_fine && (next = PEM_read_bio_X509(bio, NULL, no_password, NULL)); X509_free(next))
        is_fine = SSL_CTX_add_client_CA(ssl, next) == 1;
    BIO_free(bio);
    ERR_clear_error();
    return is_fine ? NULL : "out of memory";
}
