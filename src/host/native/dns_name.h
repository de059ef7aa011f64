// Names that no server is asked for: IP literals and localhost. Pure.
#ifndef WEIR_HOST_NATIVE_DNS_NAME_H
#define WEIR_HOST_NATIVE_DNS_NAME_H

#include "host/native/dns.h"

#define DNS_NAME_MAX 253 // RFC 1035 section 2.3.4, without the root's dot and the lengths

// A host name in lower case, NUL-terminated. False when it is empty, too long, or has blanks or control bytes.
bool dns_name_copy(struct slice host, char ret_text[DNS_NAME_MAX + 1]);
// The answer for a literal or localhost; `text` is `name`, NUL-terminated. Valid until the thread's next call. False for
// other names.
bool dns_name_answer(struct slice name, const char *text, struct dns_answer *ret_answer);

#endif
