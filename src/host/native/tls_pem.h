// From the texts of a configuration to OpenSSL's objects. All functions give NULL when it went well, else words for an
// operator, which never hold a part of a key.
#ifndef WEIR_HOST_NATIVE_TLS_PEM_H
#define WEIR_HOST_NATIVE_TLS_PEM_H

#include "config/model.h"

#include <openssl/ssl.h>

// The certificate with its chain, and its key, which must belong to it.
const char *pem_use_certificate(SSL_CTX *ssl, const struct config_certificate *certificate);
// Authorities and revocation lists of a store.
const char *pem_use_trust(X509_STORE *store, const struct config_trust *trust);
// The same list as the names that a client is told to choose its certificate by.
const char *pem_name_authorities(SSL_CTX *ssl, const struct config_trust *trust);
// The leaf, for checks of its dates; the caller frees it. NULL when there is none.
X509 *pem_leaf(struct slice chain_pem);

#endif
