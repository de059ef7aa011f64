// IP addresses as values: read from text, written, compared with ranges. Pure.
#ifndef WEIR_BASE_IP_H
#define WEIR_BASE_IP_H

#include "base/slice.h"

#define IP_TEXT_MAX 46

// An IPv4 address inside IPv6 ("::ffff:1.2.3.4") is that IPv4 address.
struct ip {
    uint8_t bytes[16]; // IPv4: the first four
    bool is_v4;
};

// A literal (RFC 4291 section 2.2, without zone; RFC 6943 section 3.1.1 for IPv4: four decimal numbers without leading
// zeros). False when it is none.
bool ip_parse(struct slice text, struct ip *ret_ip);
// The same, or with a port behind it: "1.2.3.4:80", "[::1]:80", "[::1]". *ret_port is 0 where none is given.
bool ip_parse_port(struct slice text, struct ip *ret_ip, uint16_t *ret_port);
// In the form of RFC 5952. Gives the length, without a NUL byte behind it.
size_t ip_write(const struct ip *ip, char text[IP_TEXT_MAX]);

struct ip_range {
    struct ip base;
    uint8_t bits; // of it that count
};

// "10.0.0.0/8", "2001:db8::/32"; bits of the address that the range leaves open do not matter. False when it is none.
bool ip_range_parse(struct slice text, struct ip_range *ret_range);
bool ip_range_has(const struct ip_range *range, const struct ip *ip);

#endif
