// One function a form; the table below has them with their words.
#include "config/pattern.h"

#include "base/ip.h"

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(ascii_lower(c));
}

static bool is_dns_label(struct slice s)
{
    if (s.len == 0 || s.len > 63 || !is_lower_alnum(s.ptr[0]) || !is_lower_alnum(s.ptr[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_lower_alnum(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    return true;
}

static bool is_dns_subdomain(struct slice s)
{
    if (s.len == 0 || s.len > 253)
        return false;
    while (s.ptr)
        if (!is_dns_label(slice_split(&s, '.')))
            return false;
    return true;
}

static bool is_fqdn(struct slice s)
{
    return is_dns_subdomain(slice_ends_with(s, SLICE(".")) ? slice_sub(s, 0, s.len - 1) : s);
}

static bool is_hostname(struct slice s)
{
    return s.len <= 253 && is_dns_subdomain(slice_starts_with(s, SLICE("*.")) ? slice_from(s, 2) : s);
}

static bool is_namespace(struct slice s)
{
    return s.len == 0 || is_dns_label(s);
}

static bool is_group(struct slice s)
{
    return s.len == 0 || is_dns_subdomain(s);
}

static bool is_kind(struct slice s)
{
    if (s.len == 0 || s.len > 63 || !is_alnum(s.ptr[0]) || !is_alnum(s.ptr[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    return s.ptr[0] > '9';
}

static bool is_header_name(struct slice s)
{
    if (s.len == 0 || s.len > 256)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && (s.ptr[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", s.ptr[i])))
            return false;
    return true;
}

// S5: a mutation of ":path" and the like is left alone with a warning, not refused.
static bool is_mutated_name(struct slice s)
{
    return is_header_name(slice_starts_with(s, SLICE(":")) ? slice_from(s, 1) : s);
}

static bool is_header_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return slice_trim(s).len == s.len;
}

static bool is_absolute_path(struct slice s)
{
    return s.len && s.ptr[0] == '/' && is_header_value(s);
}

static bool is_url_part(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && (s.ptr[i] == '\0' || !strchr("-/._~!$&'()*+,;=:@%", s.ptr[i])))
            return false;
    return true;
}

static bool is_url_path(struct slice s)
{
    return s.len && s.ptr[0] == '/' && is_url_part(s);
}

static bool is_url_target(struct slice s)
{
    struct slice path = slice_split(&s, '?');
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '?' && !is_url_part(slice_sub(s, i, 1)))
            return false;
    return is_url_path(path);
}

// ---- addresses (RFC 4291, section 2.2; no zone) -------------------------------------------------------------------

static bool is_ipv4(struct slice s)
{
    struct ip ip;
    return slice_find(s, ':') == SLICE_NOT_FOUND && ip_parse(s, &ip);
}

static bool is_ipv6(struct slice s)
{
    struct ip ip;
    return slice_find(s, ':') != SLICE_NOT_FOUND && ip_parse(s, &ip);
}

static bool is_ip(struct slice s)
{
    return is_ipv4(s) || is_ipv6(s);
}

static bool is_ip_range(struct slice s)
{
    struct ip_range range;
    return ip_range_parse(s, &range);
}

static bool is_host_port(struct slice s)
{
    uint64_t port;
    size_t colon = s.len;
    while (colon > 0 && s.ptr[colon - 1] != ':')
        colon--;
    if (colon < 2 || !slice_to_u64(slice_from(s, colon), 65535, &port) || port == 0)
        return false;
    struct slice host = slice_sub(s, 0, colon - 1);
    if (slice_starts_with(host, SLICE("[")) && slice_ends_with(host, SLICE("]")))
        return is_ipv6(slice_sub(host, 1, host.len - 2));
    return is_fqdn(host) || is_ipv4(host);
}

static bool is_tls_name(struct slice s)
{
    if (s.len == 0 || s.len > 64 || !is_alnum(s.ptr[0]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.ptr[i]) && !strchr("-_+.", s.ptr[i]))
            return false;
    return true;
}

static const struct {
    bool (*matches)(struct slice s);
    struct slice words;
} patterns[PATTERN_COUNT] = {
    [PATTERN_NONE] = {NULL, SLICE_INIT("")},
    [PATTERN_DNS_LABEL] = {is_dns_label, SLICE_INIT("lower-case letters, digits and dashes, at most 63")},
    [PATTERN_DNS_SUBDOMAIN] = {is_dns_subdomain,
                               SLICE_INIT("lower-case letters, digits, dashes and dots, at most 253")},
    [PATTERN_FQDN] = {is_fqdn, SLICE_INIT("a lower-case host name")},
    [PATTERN_HOSTNAME] = {is_hostname, SLICE_INIT("a lower-case host name, which may begin with \"*.\"")},
    [PATTERN_NAMESPACE] = {is_namespace, SLICE_INIT("lower-case letters, digits and dashes, at most 63, or empty")},
    [PATTERN_GROUP] = {is_group, SLICE_INIT("an API group such as gateway.networking.k8s.io, or empty")},
    [PATTERN_KIND] = {is_kind, SLICE_INIT("a kind such as Gateway")},
    [PATTERN_MUTATED_NAME] = {is_mutated_name, SLICE_INIT("a header name (RFC 9110 token, at most 256 bytes)")},
    [PATTERN_HEADER_NAME] = {is_header_name, SLICE_INIT("a header name (RFC 9110 token, at most 256 bytes)")},
    [PATTERN_HEADER_VALUE] = {is_header_value, SLICE_INIT("without control bytes and without blanks at the ends")},
    [PATTERN_ABSOLUTE_PATH] = {is_absolute_path, SLICE_INIT("a path that begins with a slash")},
    [PATTERN_URL_PATH] = {is_url_path,
                          SLICE_INIT("a path of a URL: a slash, then letters, digits and what RFC 3986 allows")},
    [PATTERN_URL_PART] = {is_url_part, SLICE_INIT("part of a path: slashes, letters, digits and what RFC 3986 allows")},
    [PATTERN_URL_TARGET] = {is_url_target, SLICE_INIT("a path of a URL, perhaps with a query")},
    [PATTERN_IP] = {is_ip, SLICE_INIT("an IPv4 or IPv6 address")},
    [PATTERN_IP_RANGE] = {is_ip_range, SLICE_INIT("a range of addresses, such as 10.0.0.0/8 or 2001:db8::/32")},
    [PATTERN_HOST_PORT] = {is_host_port, SLICE_INIT("host:port")},
    [PATTERN_TLS_NAME] = {is_tls_name, SLICE_INIT("one name of OpenSSL, of letters, digits, - _ + .")},
};

bool pattern_matches(enum pattern pattern, struct slice text)
{
    return !patterns[pattern].matches || patterns[pattern].matches(text);
}

struct slice pattern_words(enum pattern pattern)
{
    return patterns[pattern].words;
}
