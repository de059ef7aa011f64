// The forms of text that the CRDs demand by regular expression, as functions.
#ifndef WEIR_CONFIG_PATTERN_H
#define WEIR_CONFIG_PATTERN_H

#include "base/slice.h"

enum pattern {
    PATTERN_NONE,
    // Of any length; that of the field is told beside them.
    PATTERN_HEADER_VALUE,  // no control bytes but tab, no blanks at the ends
    PATTERN_ABSOLUTE_PATH, // begins with a slash
    PATTERN_URL_PATH,      // likewise, of the bytes that RFC 3986 allows in a path
    PATTERN_URL_PART,      // such bytes alone: what stands within a path
    PATTERN_URL_TARGET,    // a URL path, perhaps with a query
    PATTERN_FREE_LENGTH = PATTERN_URL_TARGET,
    // What follows limits its length itself.
    PATTERN_DNS_LABEL,     // RFC 1123 label, 1..63
    PATTERN_DNS_SUBDOMAIN, // RFC 1123 subdomain, 1..253
    PATTERN_FQDN,          // likewise, a dot at the end allowed
    PATTERN_HOSTNAME,      // likewise, "*." in front allowed
    PATTERN_NAMESPACE,     // empty or a label
    PATTERN_GROUP,         // empty or a subdomain
    PATTERN_KIND,          // letters, digits, dashes; begins with a letter; 1..63
    PATTERN_HEADER_NAME,   // RFC 9110 token, 1..256
    PATTERN_MUTATED_NAME,  // the same, or one that begins with ':'
    PATTERN_IP,            // IPv4 or IPv6 address
    PATTERN_IP_RANGE,      // of them: address, slash, number of bits
    PATTERN_HOST_PORT,     // name or address, colon, port
    PATTERN_TLS_NAME,      // of a cipher suite, group or signature algorithm: one name, no list
    PATTERN_COUNT
};

bool pattern_matches(enum pattern pattern, struct slice text);
// What the pattern wants, in words, for a finding: "must be ...".
struct slice pattern_words(enum pattern pattern);

#endif
