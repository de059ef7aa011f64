// Which clients are admitted by the names in their certificates (clientValidation.subjectAltNames).
#ifndef WEIR_HOST_NATIVE_TLS_NAMES_H
#define WEIR_HOST_NATIVE_TLS_NAMES_H

#include "config/model.h"

#include <openssl/x509.h>

struct tls_names; // a listener's; immutable

// Copies the list. NULL: no memory.
struct tls_names *tls_names_new(const struct config_client_name *names, size_t count);
void tls_names_free(struct tls_names *names); // NULL is fine
// Whether some alternative name of the certificate is one of these; true for an empty list. The subject does not count.
bool tls_names_fit(const struct tls_names *names, const X509 *leaf);

#endif
