// From the texts of a configuration to OpenSSL's objects. All functions give NULL when it went well, else words for an
// operator, which never hold a part of a key.
#ifndef WEIR_HOST_NATIVE_TLS_PEM_H
#define WEIR_HOST_NATIVE_TLS_PEM_H

#include "config/model.h"

#include <openssl/ssl.h>

// The certificate with its chain, and its key, which must belong to it.
const char *pem_use_certificate(SSL_CTX *ssl, const struct config_certificate *certificate);
// Whether a response of tls.ocsp-staple is one about this certificate, and until when it holds (Unix time, 0: it does not
// say).
const char *pem_check_staple(struct slice der, X509 *leaf, int64_t *ret_until_s);
// Authorities and revocation lists of a store.
const char *pem_use_trust(X509_STORE *store, const struct config_trust *trust);
// The same list as the names that a client is told to choose its certificate by.
const char *pem_name_authorities(SSL_CTX *ssl, const struct config_trust *trust);
// The leaf, for checks of its dates; the caller frees it. NULL when there is none.
X509 *pem_leaf(struct slice chain_pem);
// When its time begins and ends, Unix time.
int64_t pem_from(const X509 *certificate);
int64_t pem_until(const X509 *certificate);

#endif
