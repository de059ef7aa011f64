// The first message of a TLS client (RFC 8446 section 4.1.2), read far enough to know whom it asks for, before a TLS
// library sees it. Pure: bytes in, name out.
#ifndef WEIR_HOST_NATIVE_CLIENT_HELLO_H
#define WEIR_HOST_NATIVE_CLIENT_HELLO_H

#include "base/slice.h"

#define CLIENT_HELLO_MAX 16384                      // the message; with its record headers:
#define CLIENT_HELLO_BYTES (CLIENT_HELLO_MAX + 640) // a record a byte would be an attack

enum hello_result {
    HELLO_MORE,      // more bytes are needed
    HELLO_READY,     //
    HELLO_MALFORMED, // not a ClientHello, or against its syntax
    HELLO_TOO_LARGE, // longer than CLIENT_HELLO_MAX
};

struct client_hello {
    struct slice server_name; // as sent, a host name; empty: none. Points into the bytes given, or into `scratch`
};

// `bytes` begin with the first byte of the connection. `scratch` is used when the message came in several records.
enum hello_result client_hello_read(struct slice bytes, char scratch[CLIENT_HELLO_MAX], struct client_hello *ret_hello);

#endif
