// Host and :authority (RFC 9110 section 7.2, RFC 3986 section 3.2), stricter than the grammar: one spelling of a name.
#include "http/head.h"

#define HOST_MAX 255 // of a name in the DNS, its last dot included

// Letters, digits, '-', '.', '_' and '~': names that are in use have no percent-encoding and no sub-delims.
static bool is_name(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        char low = ascii_lower(c);
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_' && c != '~')
            return false;
    }
    return text.len > 0 && text.len <= HOST_MAX;
}

// What stands in brackets: by its bytes; nothing here connects to it. No zone (RFC 6874 is for the sender's own use).
static bool is_address(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        char low = ascii_lower(c);
        if (!(low >= 'a' && low <= 'f') && !(c >= '0' && c <= '9') && c != ':' && c != '.')
            return false;
    }
    return text.len >= 2 && text.len <= 45 && slice_find(text, ':') != SLICE_NOT_FOUND;
}

bool http_is_authority(struct slice authority)
{
    struct slice host = http_host(authority);
    struct slice port = slice_from(authority, host.len);
    uint64_t number;
    bool is_literal = host.len && host.ptr[0] == '[';
    if (is_literal && host.ptr[host.len - 1] != ']')
        return false;
    if (is_literal ? !is_address(slice_sub(host, 1, host.len - 2)) : !is_name(host))
        return false;
    if (port.len < 2) // a ':' alone is within the grammar
        return port.len == 0 || port.ptr[0] == ':';
    return port.ptr[0] == ':' && slice_to_u64(slice_from(port, 1), UINT16_MAX, &number);
}
