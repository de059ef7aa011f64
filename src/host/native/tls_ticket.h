// The keys of session tickets (RFC 5077, RFC 8446 section 4.6.1): one set for all listeners and workers, in memory only,
// replaced in time, so that a stolen process image does not open yesterday's sessions.
#ifndef WEIR_HOST_NATIVE_TLS_TICKET_H
#define WEIR_HOST_NATIVE_TLS_TICKET_H

#include <openssl/ssl.h>

#define TICKET_LIFETIME_S 7200 // of a session; keys live for that and one turn more

// Lets the context hand out and take tickets. 0 without memory.
int ticket_use(SSL_CTX *ssl);

#endif
