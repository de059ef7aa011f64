// Host name patterns of Gateway API (HTTPRouteSpec.hostnames, Listener.hostname).
#include "config/hostname.h"

bool hostname_is_wildcard(struct slice pattern)
{
    return slice_starts_with(pattern, SLICE("*."));
}

static bool ends_with_nocase(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq_nocase(slice_from(s, s.len - suffix.len), suffix);
}

bool hostname_matches(struct slice pattern, struct slice host)
{
    if (pattern.len == 0)
        return true;
    if (host.len > HOSTNAME_MAX)
        return false;
    if (!hostname_is_wildcard(pattern))
        return slice_eq_nocase(pattern, host);
    struct slice suffix = slice_from(pattern, 1); // ".example.com"
    return host.len > suffix.len && ends_with_nocase(host, suffix);
}

bool hostname_covers(struct slice wide, struct slice narrow)
{
    if (wide.len == 0 || slice_eq(wide, narrow))
        return true;
    if (narrow.len == 0)
        return false;
    // "*.a.example.com" is below "*.example.com"; as text it ends with the wider suffix and is longer.
    return hostname_is_wildcard(wide) && hostname_matches(wide, narrow);
}

bool hostname_intersect(struct slice a, struct slice b, struct slice *ret_both)
{
    if (hostname_covers(a, b))
        *ret_both = b;
    else if (hostname_covers(b, a))
        *ret_both = a;
    else
        return false;
    return true;
}
