// Host names with a leading wildcard, as Gateway API has them: "*.example.com" stands for every name below example.com,
// at any depth, but not for example.com itself. An empty pattern stands for all names. Patterns are in lower case.
#ifndef WEIR_CONFIG_HOSTNAME_H
#define WEIR_CONFIG_HOSTNAME_H

#include "base/slice.h"

#define HOSTNAME_MAX                                                                                                   \
    253 // bytes of a DNS name as text (RFC 1035 section 2.3.4); what is longer fits no pattern but the empty

bool hostname_is_wildcard(struct slice pattern);
// Whether the pattern stands for this host (without port, any case).
bool hostname_matches(struct slice pattern, struct slice host);
// Whether every name that `narrow` stands for is one that `wide` stands for.
bool hostname_covers(struct slice wide, struct slice narrow);
// What both patterns stand for is again a pattern: the narrower one. False when they have nothing in common.
bool hostname_intersect(struct slice a, struct slice b, struct slice *ret_both);

#endif
