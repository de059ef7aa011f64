// Who a client is when other proxies stand before us, and what backends are told of it: x-forwarded-for,
// x-forwarded-proto, and Forwarded (RFC 7239). docs/decisions/client-address.md says why.
#include "exchange/life.h"

// ---- x-forwarded-for, from the right ------------------------------------------------------------------------------

// The fields of that name count as one list, in their order (RFC 9110 section 5.3).
struct hops {
    const struct exchange *x;
    size_t field;      // index of the field that `rest` is of
    struct slice rest; // NULL pointer: used up
};

static struct hops begin_hops(const struct exchange *x)
{
    struct hops hops = {x, x->forwarded_for, {NULL, 0}};
    if (x->forwarded_for != SLICE_NOT_FOUND)
        hops.rest = x->fields.items[x->forwarded_for].value;
    return hops;
}

static bool take_hop(struct hops *hops, struct slice *ret_hop)
{
    while (!hops->rest.ptr && hops->field != SLICE_NOT_FOUND && hops->field > 0)
        if (hops->x->classes[--hops->field] == FIELD_FORWARDED_FOR)
            hops->rest = hops->x->fields.items[hops->field].value;
    if (!hops->rest.ptr)
        return false;
    size_t comma = hops->rest.len;
    while (comma > 0 && hops->rest.ptr[comma - 1] != ',')
        comma--;
    *ret_hop = slice_trim(slice_from(hops->rest, comma));
    hops->rest = comma ? slice_sub(hops->rest, 0, comma - 1) : (struct slice){NULL, 0};
    return true;
}

// ---- detection ----------------------------------------------------------------------------------------------------

struct address {
    struct ip ip;
    uint16_t port;
};

static bool find_by_hops(const struct exchange *x, uint32_t count, struct address *ret_address)
{
    struct hops hops = begin_hops(x);
    struct slice hop = {NULL, 0};
    for (uint32_t i = 0; i < count; i++)
        if (!take_hop(&hops, &hop))
            return false;
    return ip_parse_port(hop, &ret_address->ip, &ret_address->port);
}

static bool is_in_ranges(const struct config_origin *origin, const struct ip *ip)
{
    for (size_t i = 0; i < origin->range_count; i++)
        if (ip_range_has(&origin->ranges[i], ip))
            return true;
    return false;
}

// Only what a trusted proxy wrote counts: the first that is not one was seen by the last that is. Where all are, the
// first of the list. An entry that is no address ends the search without a find.
static bool find_by_ranges(const struct exchange *x, const struct config_origin *origin, struct address *ret_address)
{
    struct hops hops = begin_hops(x);
    struct slice hop;
    bool is_found = false;
    while (take_hop(&hops, &hop)) {
        if (!ip_parse_port(hop, &ret_address->ip, &ret_address->port))
            return false;
        is_found = true;
        if (!is_in_ranges(origin, &ret_address->ip))
            break;
    }
    return is_found;
}

static bool find_by_field(const struct exchange *x, struct slice name, struct address *ret_address)
{
    return fields_count(&x->fields, name) == 1 &&
           ip_parse_port(fields_value(&x->fields, name), &ret_address->ip, &ret_address->port);
}

static bool peer_ip(const struct exchange *x, struct ip *ret_ip)
{
    uint16_t port;
    return ip_parse_port(x->peer_address, ret_ip, &port);
}

static bool find(struct exchange *x, const struct config_origin *origin, struct address *ret_address)
{
    struct ip peer;
    bool is_found = false;
    switch (origin->kind) {
    case ORIGIN_CONNECTION:
        return false;
    case ORIGIN_HOPS: // the operator says that there are so many
        x->is_peer_trusted = true;
        return find_by_hops(x, origin->hops, ret_address);
    case ORIGIN_RANGES:
        x->is_peer_trusted = peer_ip(x, &peer) && is_in_ranges(origin, &peer);
        return x->is_peer_trusted && find_by_ranges(x, origin, ret_address);
    case ORIGIN_FIELD:
        is_found = find_by_field(x, origin->field, ret_address);
        x->is_peer_trusted = is_found;
        x->is_origin_unknown = !is_found && origin->is_required;
        return is_found;
    }
    return false;
}

// With its port, 0 where that is not known, as Envoy writes it.
static struct slice address_text(struct exchange *x, const struct address *address)
{
    char *text = arena_alloc(&x->arena, IP_TEXT_MAX + 8);
    if (!text)
        return (struct slice){NULL, 0};
    struct buf buf = {.ptr = text, .cap = IP_TEXT_MAX + 8, .max = IP_TEXT_MAX + 8};
    char ip[IP_TEXT_MAX];
    if (!address->ip.is_v4)
        buf_append_byte(&buf, '[');
    buf_append(&buf, slice_make(ip, ip_write(&address->ip, ip)));
    if (!address->ip.is_v4)
        buf_append_byte(&buf, ']');
    buf_append_byte(&buf, ':');
    buf_append_u64(&buf, address->port);
    return buf_slice(&buf);
}

bool origin_find(struct exchange *x)
{
    struct address address;
    x->peer_address = x->client.remote_address;
    if (x->client.is_origin_told || !find(x, &x->listener->config->client.origin, &address))
        return true;
    x->client.remote_address = address_text(x, &address);
    return x->client.remote_address.ptr;
}

// ---- what backends are told ---------------------------------------------------------------------------------------

// The address of who sent the request to us, without port and brackets.
static struct slice peer_text(const struct exchange *x)
{
    struct slice ip = http_host(x->peer_address);
    return ip.len > 2 && ip.ptr[0] == '[' ? slice_sub(ip, 1, ip.len - 2) : ip;
}

static bool append(struct exchange *x, size_t field, struct slice more)
{
    struct slice *value = &x->fields.items[field].value;
    *value = arena_join(&x->arena, (struct slice[]){*value, value->len ? SLICE(", ") : SLICE(""), more}, 3);
    return value->ptr;
}

static bool forward_address(struct exchange *x)
{
    struct slice ip = peer_text(x);
    if (!ip.len)
        return true;
    if (x->forwarded_for == SLICE_NOT_FOUND)
        return head_add(x, FIELD_FORWARDED_FOR, SLICE("x-forwarded-for"), ip);
    return append(x, x->forwarded_for, ip);
}

// A trusted proxy knows how the client spoke to it; anybody else does not get to say it.
static struct slice proto_of(const struct exchange *x)
{
    struct slice said = x->forwarded_proto;
    if (x->is_peer_trusted && slice_eq_nocase(said, SLICE("https")))
        return SLICE("https");
    if (x->is_peer_trusted && slice_eq_nocase(said, SLICE("http")))
        return SLICE("http");
    return x->client.is_tls ? SLICE("https") : SLICE("http");
}

// Whether every quoted string ends: one that does not would swallow what is written behind it.
static bool is_closed(struct slice value)
{
    bool is_quoted = false;
    for (size_t i = 0; i < value.len; i++) {
        if (is_quoted && value.ptr[i] == '\\')
            i++;
        else if (value.ptr[i] == '"')
            is_quoted = !is_quoted;
    }
    return !is_quoted;
}

// Lists that can't be gone on with are left out. The last that can is where ours goes.
static void drop_unclosed(struct exchange *x)
{
    x->forwarded = SLICE_NOT_FOUND;
    for (size_t i = 0; i < x->fields.count; i++) {
        if (x->classes[i] != FIELD_FORWARDED)
            continue;
        if (is_closed(x->fields.items[i].value))
            x->forwarded = i;
        else
            x->classes[i] = FIELD_HOP;
    }
}

// for=192.0.2.1;host="a:80";proto=https. An authority has no byte that a quoted string must escape.
static struct slice forwarded_element(struct exchange *x)
{
    struct slice ip = peer_text(x);
    bool is_v6 = slice_find(ip, ':') != SLICE_NOT_FOUND;
    struct slice parts[] = {
        SLICE("for="),
        is_v6 ? SLICE("\"[") : SLICE(""),
        ip.len ? ip : SLICE("unknown"),
        is_v6 ? SLICE("]\"") : SLICE(""),
        x->authority.len ? SLICE(";host=\"") : SLICE(""),
        x->authority,
        x->authority.len ? SLICE("\"") : SLICE(""),
        x->client.is_tls ? SLICE(";proto=https") : SLICE(";proto=http"),
    };
    return arena_join(&x->arena, parts, sizeof parts / sizeof parts[0]);
}

// Only where it came: a list that begins with us would hide what x-forwarded-for says of those before us (RFC 7239
// section 7.4).
static bool forward_element(struct exchange *x)
{
    if (x->forwarded == SLICE_NOT_FOUND)
        return true;
    drop_unclosed(x);
    struct slice element = forwarded_element(x);
    if (!element.ptr)
        return false;
    if (x->forwarded != SLICE_NOT_FOUND)
        return append(x, x->forwarded, element);
    return head_add(x, FIELD_FORWARDED, SLICE("forwarded"), element);
}

bool origin_forward(struct exchange *x)
{
    return forward_address(x) && forward_element(x) &&
           head_add(x, FIELD_FORWARDED_PROTO, SLICE("x-forwarded-proto"), proto_of(x));
}
