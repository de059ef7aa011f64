// The client's head: copied once, each field classified once by length and first byte, what clients may not say taken
// off (S2), request id and forwarding fields set.
#include "exchange/life.h"
#include "exchange/refusal.h"

#define FIELDS_ADDED 8 // at most: request id, what origin_forward adds, the lifted ones

static enum field_class class_if(struct slice name, struct slice other, enum field_class class)
{
    return slice_eq_nocase(name, other) ? class : FIELD_PLAIN;
}

// Whether the name begins so, '_' counting as '-': servers that turn fields into variables (CGI, WSGI) can't tell the
// two apart, so that a name of ours spelt with '_' is as much a forgery as the name itself.
static bool begins_like(struct slice name, struct slice prefix)
{
    if (name.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++)
        if ((name.ptr[i] == '_' ? '-' : ascii_lower(name.ptr[i])) != prefix.ptr[i])
            return false;
    return true;
}

// Names with "x-" in front that nobody but Weir may set.
static enum field_class class_of_own(struct slice name)
{
    if (begins_like(name, SLICE("x-ai-eg-")))
        return slice_eq_nocase(name, SLICE("x-ai-eg-backend")) ? FIELD_PIN : FIELD_DROPPED;
    if (slice_starts_with_nocase(name, SLICE("x-aigw-")))
        return FIELD_OVERRIDE;
    if (begins_like(name, SLICE("x-aigw-")) || begins_like(name, SLICE("x-gateway-destination-endpoint")))
        return FIELD_DROPPED;
    return FIELD_PLAIN;
}

// Names with "x-" in front that are known by more than their length.
static enum field_class class_of_x(struct slice name)
{
    char third = name.len > 2 ? ascii_lower(name.ptr[2]) : 0;
    enum field_class own = third == 'a' || third == 'g' ? class_of_own(name) : FIELD_PLAIN; // x-ai, x-gateway
    if (own != FIELD_PLAIN)
        return own;
    switch (name.len) {
    case 9:
        return class_if(name, SLICE("x-api-key"), FIELD_CREDENTIAL);
    case 12:
        return class_if(name, SLICE("x-request-id"), FIELD_REQUEST_ID);
    case 14:
        return class_if(name, SLICE("x-goog-api-key"), FIELD_CREDENTIAL);
    case 15:
        return class_if(name, SLICE("x-forwarded-for"), FIELD_FORWARDED_FOR);
    case 17:
        return class_if(name, SLICE("x-forwarded-proto"), FIELD_FORWARDED_PROTO);
    case 21:
        return class_if(name, SLICE("x-envoy-original-path"), FIELD_DROPPED);
    case 23:
        return begins_like(name, SLICE("x-forwarded-client-cert")) ? FIELD_CLIENT_CERT : FIELD_PLAIN;
    default:
        return FIELD_PLAIN;
    }
}

static enum field_class class_of_c(struct slice name)
{
    switch (name.len) {
    case 6:
        return class_if(name, SLICE("cookie"), FIELD_CREDENTIAL);
    case 10:
        return class_if(name, SLICE("connection"), FIELD_CONNECTION);
    case 12:
        return class_if(name, SLICE("content-type"), FIELD_CONTENT_TYPE);
    case 14:
        return class_if(name, SLICE("content-length"), FIELD_HOP);
    case 16:
        return class_if(name, SLICE("content-encoding"), FIELD_CONTENT_ENCODING);
    default:
        return FIELD_PLAIN;
    }
}

static enum field_class class_of_a(struct slice name)
{
    switch (name.len) {
    case 7:
        return class_if(name, SLICE("api-key"), FIELD_CREDENTIAL);
    case 13:
        return class_if(name, SLICE("authorization"), FIELD_CREDENTIAL);
    case 15:
        return class_if(name, SLICE("accept-encoding"), FIELD_ENCODINGS);
    default:
        return FIELD_PLAIN;
    }
}

static enum field_class class_of(struct slice name)
{
    if (name.len < 2)
        return FIELD_PLAIN;
    switch (ascii_lower(name.ptr[0])) {
    case 'x':
        return class_of_x(name);
    case 'c':
        return class_of_c(name);
    case 'a':
        return class_of_a(name);
    case 'e':
        return class_if(name, SLICE("expect"), FIELD_EXPECT);
    case 'f':
        return class_if(name, SLICE("forwarded"), FIELD_FORWARDED);
    case 'p':
        if (slice_eq_nocase(name, SLICE("proxy-authorization"))) // meant for us, never for the backend
            return FIELD_HOP;
        return http_is_hop_by_hop(name) ? FIELD_HOP : FIELD_PLAIN;
    case 'k':
    case 't':
    case 'u':
        return http_is_hop_by_hop(name) ? FIELD_HOP : FIELD_PLAIN;
    default:
        return FIELD_PLAIN;
    }
}

bool list_names(struct slice list, struct slice token)
{
    while (list.ptr)
        if (slice_eq_nocase(slice_trim(slice_split(&list, ',')), token))
            return true;
    return false;
}

bool head_add(struct exchange *x, enum field_class class, struct slice name, struct slice value)
{
    if (x->fields.count == x->fields.cap)
        return false; // FIELDS_ADDED is too small: a fault of ours
    x->classes[x->fields.count] = (uint8_t) class;
    x->fields.items[x->fields.count++] = (struct field){name, value};
    return true;
}

// ---- the copy -------------------------------------------------------------------------------------------------

struct slice head_take_slice(char **at, struct slice s)
{
    if (!s.len)
        return SLICE("");
    memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return slice_make(*at - s.len, s.len);
}

size_t head_bytes(const struct request_head *head, const struct exchange_client *client)
{
    size_t bytes = head->method.len + head->target.len + head->authority.len + head->scheme.len +
                   client->remote_address.len + client->direct_address.len + client->local_address.len +
                   client->server_name.len;
    for (size_t i = 0; i < head->fields.count; i++)
        bytes += head->fields.items[i].name.len + head->fields.items[i].value.len;
    return bytes;
}

static void take_client(struct exchange *x, char **at)
{
    x->client.remote_address = head_take_slice(at, x->client.remote_address);
    x->client.direct_address = head_take_slice(at, x->client.direct_address);
    x->client.local_address = head_take_slice(at, x->client.local_address);
    x->client.server_name = head_take_slice(at, x->client.server_name);
}

static bool is_override(const struct exchange *x, struct slice name)
{
    for (size_t i = 0; i < x->snapshot->override_count; i++)
        if (slice_eq_nocase(x->snapshot->override_names[i], name))
            return true;
    return false;
}

// Sane enough to be kept, logged and echoed.
static bool is_request_id(struct slice id)
{
    return id.len <= 128 && http_is_token(id);
}

// Who says to have seen a client's certificate is believed only where the configuration says so.
static bool is_client_cert_taken(const struct exchange *x)
{
    enum config_client_cert mode = x->listener->config->client.client_cert;
    return mode == CLIENT_CERT_FORWARDED || (mode == CLIENT_CERT_FORWARDED_OVER_MTLS && x->client.is_verified);
}

// A name with an underscore, where the configuration does not want such. False: the field is left out.
static bool admit_underscore(struct exchange *x, struct slice name)
{
    enum config_underscores wanted = x->listener->config->client.underscores;
    if (wanted == UNDERSCORES_ALLOWED || slice_find(name, '_') == SLICE_NOT_FOUND)
        return true;
    x->has_underscore = wanted == UNDERSCORES_REFUSED;
    return false;
}

// One field into its place. False without memory.
static bool sort_field(struct exchange *x, enum field_class class, struct slice name, struct slice value)
{
    const struct config_client *limits = &x->listener->config->client;
    switch (class) {
    case FIELD_DROPPED:
        return true;
    case FIELD_OVERRIDE:
        return fields_add(&x->overrides, &x->arena, name, value);
    case FIELD_PIN:
        x->pin_count++;
        x->pin_header = value;
        return true;
    case FIELD_REQUEST_ID:
        if (x->request_id.len || limits->is_id_replaced || !is_request_id(value))
            return true;
        x->request_id = value;
        break;
    case FIELD_FORWARDED_PROTO:
        x->forwarded_proto = x->forwarded_proto_count++ ? SLICE("") : value;
        return true;
    case FIELD_CLIENT_CERT:
        if (!is_client_cert_taken(x))
            return true;
        break;
    case FIELD_FORWARDED:
        x->forwarded = x->fields.count;
        break;
    case FIELD_FORWARDED_FOR:
        x->forwarded_for = x->fields.count;
        break;
    case FIELD_CONTENT_TYPE:
        x->is_type_repeated |= x->content_type.ptr != NULL;
        x->content_type = value;
        break;
    case FIELD_CONTENT_ENCODING:
        x->is_encoded |= value.len && !slice_eq_nocase(value, SLICE("identity"));
        break;
    case FIELD_EXPECT:
        x->is_expect_unknown |= !slice_eq_nocase(value, SLICE("100-continue"));
        break;
    case FIELD_CONNECTION:
        x->has_connection = true;
        break;
    case FIELD_PLAIN:
    case FIELD_HOP:
    case FIELD_INTERNAL:
    case FIELD_CREDENTIAL:
    case FIELD_ENCODINGS:
        break;
    }
    return head_add(x, class, name, value);
}

// Fields that the gateway itself relies on can't be talked away by a Connection field.
static bool is_droppable(enum field_class class)
{
    return class == FIELD_PLAIN || class == FIELD_CREDENTIAL || class == FIELD_ENCODINGS;
}

// What a Connection field names is hop-by-hop too (RFC 9110 section 7.6.1).
static void drop_connection_named(struct exchange *x)
{
    for (size_t c = 0; c < x->fields.count; c++) {
        if (x->classes[c] != FIELD_CONNECTION)
            continue;
        for (size_t i = 0; i < x->fields.count; i++)
            if (is_droppable((enum field_class)x->classes[i]) &&
                list_names(x->fields.items[c].value, x->fields.items[i].name))
                x->classes[i] = FIELD_HOP;
    }
}

// ---- fields that Weir sets ------------------------------------------------------------------------------------

static bool make_request_id(struct exchange *x)
{
    char *id = arena_alloc(&x->arena, REQUEST_ID_BYTES);
    if (!id)
        return false;
    request_id_write(id, x->client.random, x->client.random2);
    x->request_id = slice_make(id, REQUEST_ID_BYTES);
    return head_add(x, FIELD_REQUEST_ID, SLICE("x-request-id"), x->request_id);
}

bool head_take(struct exchange *x, const struct request_head *head, size_t bytes)
{
    size_t cap = head->fields.count + FIELDS_ADDED;
    char *at = arena_alloc(&x->arena, bytes);
    x->fields.items = arena_alloc(&x->arena, cap * sizeof *x->fields.items);
    x->classes = arena_alloc(&x->arena, cap);
    if (!at || !x->fields.items || !x->classes)
        return false;
    x->fields.cap = cap;
    x->forwarded_for = x->forwarded = SLICE_NOT_FOUND;
    take_client(x, &at);
    x->method = head_take_slice(&at, head->method);
    x->target = head_take_slice(&at, head->target);
    x->authority = head_take_slice(&at, head->authority);
    x->scheme = head_take_slice(&at, head->scheme);
    x->version = head->version;
    for (size_t i = 0; i < head->fields.count; i++) {
        struct slice name = head_take_slice(&at, head->fields.items[i].name);
        struct slice value = head_take_slice(&at, head->fields.items[i].value);
        enum field_class class = class_of(name);
        if (class == FIELD_PLAIN && x->snapshot->override_count && is_override(x, name))
            class = FIELD_OVERRIDE;
        if (admit_underscore(x, name) && !sort_field(x, class, name, value))
            return false;
    }
    if (x->has_connection)
        drop_connection_named(x);
    return origin_find(x) && (x->request_id.len || make_request_id(x)) && origin_forward(x);
}
