#include "host/envoy/headers.h"

#include "base/buf.h"
#include "host/envoy/names.h"

static struct slice name_of(const struct envoy_header *header)
{
    return slice_make(header->name, header->name_len);
}

static struct slice value_of(const struct envoy_header *header)
{
    return header->value_len ? slice_make(header->value, header->value_len) : SLICE("");
}

static bool is_pseudo(struct slice name)
{
    return name.len && name.ptr[0] == ':';
}

static struct envoy_header *take(struct envoy_filter *filter, enum envoy_header_map map, struct arena *arena,
                                 size_t *ret_count)
{
    size_t count = ENVOY_CALL(http_get_headers_size)(filter, map);
    struct envoy_header *headers = arena_alloc(arena, (count ? count : 1) * sizeof *headers);
    if (headers && count && !ENVOY_CALL(http_get_headers)(filter, map, headers))
        count = 0;
    *ret_count = count;
    return headers;
}

static void read_pseudo(struct slice name, struct slice value, struct header_map *map)
{
    uint64_t status;
    if (slice_eq(name, SLICE(":method")))
        map->method = value;
    else if (slice_eq(name, SLICE(":path")))
        map->path = value;
    else if (slice_eq(name, SLICE(":authority")))
        map->authority = value;
    else if (slice_eq(name, SLICE(":scheme")))
        map->scheme = value;
    else if (slice_eq(name, SLICE(":status")) && slice_to_u64(value, 999, &status))
        map->status = (uint16_t)status;
}

static bool is_set_by_envoy(struct slice name)
{
    return slice_eq(name, SLICE("x-envoy-internal")) || slice_eq(name, SLICE("x-envoy-external-address"));
}

static bool note_steering(struct slice name, struct arena *arena, struct header_map *map, size_t count)
{
    if (is_set_by_envoy(name))
        return true;
    if (!map->steering)
        map->steering = arena_alloc(arena, count * sizeof *map->steering);
    struct slice copy = arena_dup(arena, name);
    if (!map->steering || !copy.ptr)
        return false;
    map->steering[map->steering_count++] = copy;
    return true;
}

bool headers_read(struct envoy_filter *filter, enum envoy_header_map which, struct arena *arena, struct header_map *map)
{
    size_t count;
    const struct envoy_header *headers = take(filter, which, arena, &count);
    *map = (struct header_map){.items = headers, .count = count, .content_length = -1};
    map->fields.items = arena_alloc(arena, (count ? count : 1) * sizeof *map->fields.items);
    if (!headers || !map->fields.items)
        return false;
    map->fields.cap = count;
    for (size_t i = 0; i < count; i++) {
        struct slice name = name_of(&headers[i]);
        struct slice value = value_of(&headers[i]);
        uint64_t length;
        if (is_pseudo(name)) {
            read_pseudo(name, value, map);
            continue;
        }
        if (slice_starts_with(name, SLICE("x-envoy-"))) {
            if (!note_steering(name, arena, map, count))
                return false;
            continue;
        }
        if (which == ENVOY_RESPONSE_HEADERS && slice_eq(name, SLICE(WEIR_WAIT_FIELD)))
            continue;
        if (slice_eq(name, SLICE("content-length"))) {
            map->is_length_malformed = !slice_to_u64(value, INT64_MAX, &length);
            map->content_length = map->is_length_malformed ? -1 : (int64_t)length;
        }
        map->fields.items[map->fields.count++] = (struct field){name, value};
    }
    return true;
}

static bool is_framing(struct slice name)
{
    return slice_eq_nocase(name, SLICE("content-length")) || slice_eq_nocase(name, SLICE("transfer-encoding"));
}

static struct slice lower(struct slice name, struct arena *arena)
{
    size_t i = 0;
    while (i < name.len && ascii_lower(name.ptr[i]) == name.ptr[i])
        i++;
    if (i == name.len)
        return name;
    char *text = arena_alloc(arena, name.len);
    for (i = 0; text && i < name.len; i++)
        text[i] = ascii_lower(name.ptr[i]);
    return slice_make(text, name.len);
}

// ---- what differs ---------------------------------------------------------------------------------------------

enum change {
    CHANGE_NONE, // stands in the map as it is wanted
    CHANGE_ADD,  // the map has none of that name, or has got the first of several by now
    CHANGE_SET,  // replaces what the map has of that name
};

// A map beside what it is to become. Of most fields nothing changes, and both lists have them in one order.
struct comparison {
    const struct envoy_header *headers;
    size_t count;
    const struct fields *wanted;
    bool keeps_framing; // which of the map's fields may stay though nobody wants them
    bool keeps_length;
    bool keeps_routing;
    struct slice *names;   // of the wanted fields; in lower case where they do not stand in the map already
    uint8_t *changes;      // of the wanted fields: enum change
    uint8_t *is_settled;   // of the map's: in place, or not to be touched
    uint64_t lengths;      // bit: a settled field has a name of this length, modulo 64
    struct slice *removed; // names, copied
    size_t removed_count;
};

static bool comparison_init(struct comparison *c, struct arena *arena)
{
    size_t count = c->count, wanted = c->wanted->count;
    c->names = arena_alloc(arena, (wanted + count + 1) * sizeof *c->names);
    c->changes = arena_alloc(arena, wanted + count + 1);
    if (!c->names || !c->changes)
        return false;
    c->removed = c->names + wanted;
    c->is_settled = c->changes + wanted;
    memset(c->is_settled, 0, count);
    for (size_t i = 0; i < wanted; i++) {
        c->names[i] = c->wanted->items[i].name;
        c->changes[i] = is_framing(c->names[i]) ? CHANGE_NONE : CHANGE_ADD;
    }
    return true;
}

static void settle(struct comparison *c, size_t i)
{
    c->is_settled[i] = true;
    c->lengths |= UINT64_C(1) << c->headers[i].name_len % 64;
}

static bool is_of_routing(struct slice name)
{
    return is_set_by_envoy(name) || slice_eq(name, SLICE(WEIR_RULE_FIELD));
}

// Whether a field that nobody wants may stay.
static bool is_kept(const struct comparison *c, struct slice name)
{
    if (c->keeps_routing && is_of_routing(name)) // our routes take them off
        return true;
    return c->keeps_framing ? is_framing(name) : c->keeps_length && slice_eq(name, SLICE("content-length"));
}

// Pairs each field of the map with the first wanted one of its name that is still open, if the values are equal.
static void settle_equals(struct comparison *c)
{
    size_t open = 0; // all wanted fields before it are settled
    for (size_t i = 0; i < c->count; i++) {
        struct slice name = name_of(&c->headers[i]);
        while (open < c->wanted->count && c->changes[open] == CHANGE_NONE)
            open++;
        size_t at = is_pseudo(name) ? c->wanted->count : open;
        while (at < c->wanted->count && (c->changes[at] == CHANGE_NONE || !slice_eq(c->names[at], name)))
            at++;
        if (at == c->wanted->count) {
            if (is_pseudo(name) || is_kept(c, name))
                settle(c, i);
        } else if (slice_eq(c->wanted->items[at].value, value_of(&c->headers[i]))) {
            c->changes[at] = CHANGE_NONE;
            settle(c, i);
        }
    }
}

static bool is_wanted(const struct comparison *c, struct slice name)
{
    for (size_t i = 0; i < c->wanted->count; i++)
        if (slice_eq(c->names[i], name))
            return true;
    return false;
}

static bool has_settled(const struct comparison *c, struct slice name)
{
    for (size_t i = 0; c->lengths >> name.len % 64 & 1 && i < c->count; i++)
        if (c->is_settled[i] && slice_eq(name_of(&c->headers[i]), name))
            return true;
    return false;
}

// The first of a name replaces all that the map has of it, the others are added: settled ones of that name too.
static void reopen(struct comparison *c, struct slice name)
{
    bool is_first = true;
    for (size_t i = 0; i < c->wanted->count; i++)
        if (slice_eq(c->names[i], name)) {
            c->changes[i] = is_first ? CHANGE_SET : CHANGE_ADD;
            is_first = false;
        }
}

// What is left over in the map is removed, or replaced where the name is wanted with other values.
static bool settle_rest(struct comparison *c, struct arena *arena)
{
    for (size_t i = 0; i < c->wanted->count; i++)
        if (c->changes[i] != CHANGE_NONE && !(c->names[i] = lower(c->names[i], arena)).ptr)
            return false;
    for (size_t i = 0; i < c->count; i++) {
        struct slice name = name_of(&c->headers[i]);
        if (c->is_settled[i])
            continue;
        if (!is_framing(name) && is_wanted(c, name)) {
            reopen(c, name);
            continue;
        }
        c->removed[c->removed_count] = arena_dup(arena, name);
        if (!c->removed[c->removed_count++].ptr)
            return false;
    }
    for (size_t i = 0; i < c->wanted->count; i++)
        if (c->changes[i] == CHANGE_ADD && has_settled(c, c->names[i]))
            reopen(c, c->names[i]); // one more of a name than the map has
    return true;
}

// Removed is last: to find a field that Envoy keeps no place for, it makes an index of all, into which every later one goes.
static void apply(struct envoy_filter *filter, enum envoy_header_map map, const struct comparison *c)
{
    for (size_t i = 0; i < c->wanted->count; i++) {
        struct envoy_bytes value = bytes_of(c->wanted->items[i].value);
        if (c->changes[i] == CHANGE_SET)
            ENVOY_CALL(http_set_header)(filter, map, bytes_of(c->names[i]), value);
        else if (c->changes[i] == CHANGE_ADD)
            ENVOY_CALL(http_add_header)(filter, map, bytes_of(c->names[i]), value);
    }
    for (size_t i = 0; i < c->removed_count; i++)
        headers_remove(filter, map, c->removed[i]);
}

// Everything is compared before anything is set: setting ends the life of what Envoy lent.
static bool compare(struct comparison *c, struct arena *arena)
{
    if (!c->headers || !comparison_init(c, arena))
        return false;
    settle_equals(c);
    return settle_rest(c, arena);
}

bool headers_read_become(struct envoy_filter *filter, enum envoy_header_map which, struct arena *arena,
                         const struct header_map *map, const struct fields *wanted, bool keeps_framing)
{
    struct comparison c = {
        .headers = map->items, .count = map->count, .wanted = wanted, .keeps_framing = keeps_framing};
    if (!compare(&c, arena))
        return false;
    apply(filter, which, &c);
    return true;
}

bool headers_become(struct envoy_filter *filter, enum envoy_header_map which, struct arena *arena,
                    const struct fields *wanted, bool keeps_framing)
{
    struct header_map map;
    map.items = take(filter, which, arena, &map.count);
    return headers_read_become(filter, which, arena, &map, wanted, keeps_framing);
}

static bool has_value(const struct comparison *c, struct slice name, struct slice value)
{
    for (size_t i = 0; i < c->count; i++)
        if (slice_eq(name_of(&c->headers[i]), name))
            return slice_eq(value_of(&c->headers[i]), value);
    return false;
}

bool headers_become_request(struct envoy_filter *filter, struct arena *arena, const struct request_form *wanted)
{
    struct comparison c = {
        .wanted = wanted->fields,
        .keeps_framing = wanted->keeps_framing,
        .keeps_length = wanted->content_length.ptr != NULL,
        .keeps_routing = wanted->keeps_routing,
    };
    const struct field single[] = {
        {SLICE(":path"), wanted->path},
        {SLICE(":authority"), wanted->authority},
        {SLICE("content-length"), wanted->content_length},
    };
    bool is_set[sizeof single / sizeof single[0]];
    c.headers = take(filter, ENVOY_REQUEST_HEADERS, arena, &c.count);
    if (!compare(&c, arena))
        return false;
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        is_set[i] = !single[i].value.ptr || has_value(&c, single[i].name, single[i].value);
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        if (!is_set[i])
            headers_set(filter, ENVOY_REQUEST_HEADERS, single[i].name, single[i].value);
    apply(filter, ENVOY_REQUEST_HEADERS, &c);
    return true;
}

void headers_set(struct envoy_filter *filter, enum envoy_header_map map, struct slice name, struct slice value)
{
    ENVOY_CALL(http_set_header)(filter, map, bytes_of(name), bytes_of(value));
}

void headers_set_number(struct envoy_filter *filter, enum envoy_header_map map, struct slice name, uint64_t value)
{
    char digits[24];
    struct buf text = {.ptr = digits, .cap = sizeof digits, .max = sizeof digits};
    buf_append_u64(&text, value);
    headers_set(filter, map, name, buf_slice(&text));
}

void headers_remove(struct envoy_filter *filter, enum envoy_header_map map, struct slice name)
{
    ENVOY_CALL(http_set_header)(filter, map, bytes_of(name), (struct envoy_bytes){NULL, 0});
}

struct slice attribute_text(struct envoy_filter *filter, enum envoy_attribute which)
{
    struct envoy_bytes value = {NULL, 0};
    return ENVOY_CALL(http_filter_get_attribute_string)(filter, which, &value) ? slice_of(value) : SLICE("");
}
