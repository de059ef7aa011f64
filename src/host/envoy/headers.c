#include "host/envoy/headers.h"

#include "base/buf.h"

static struct slice name_of(const struct envoy_header *header)
{
    return slice_make(header->name, header->name_len);
}

static struct slice value_of(const struct envoy_header *header)
{
    return header->value_len ? slice_make(header->value, header->value_len) : SLICE("");
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

bool headers_read(struct envoy_filter *filter, enum envoy_header_map which, struct arena *arena, struct header_map *map)
{
    size_t count;
    const struct envoy_header *headers = take(filter, which, arena, &count);
    *map = (struct header_map){.content_length = -1};
    map->fields.items = arena_alloc(arena, (count ? count : 1) * sizeof *map->fields.items);
    if (!headers || !map->fields.items)
        return false;
    map->fields.cap = count;
    for (size_t i = 0; i < count; i++) {
        struct slice name = name_of(&headers[i]);
        struct slice value = value_of(&headers[i]);
        uint64_t length;
        if (name.len && name.ptr[0] == ':') {
            read_pseudo(name, value, map);
            continue;
        }
        if (slice_starts_with(name, SLICE("x-envoy-")))
            continue;
        if (slice_eq(name, SLICE("content-length")) && slice_to_u64(value, INT64_MAX, &length))
            map->content_length = (int64_t)length;
        map->fields.items[map->fields.count++] = (struct field){name, value};
    }
    return true;
}

static bool is_framing(struct slice name)
{
    return slice_eq(name, SLICE("content-length")) || slice_eq(name, SLICE("transfer-encoding"));
}

// Whether the map's values of this name are the wanted ones, in their order.
static bool is_same(const struct envoy_header *headers, size_t count, const struct fields *wanted, struct slice name)
{
    size_t at = 0;
    for (size_t i = 0; i < wanted->count; i++) {
        if (!slice_eq_nocase(wanted->items[i].name, name))
            continue;
        while (at < count && !slice_eq(name_of(&headers[at]), name))
            at++;
        if (at == count || !slice_eq(value_of(&headers[at]), wanted->items[i].value))
            return false;
        at++;
    }
    while (at < count && !slice_eq(name_of(&headers[at]), name))
        at++;
    return at == count;
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

// The first of a name replaces all that the map has of it, the others are added.
static void put(struct envoy_filter *filter, enum envoy_header_map map, const struct fields *wanted, size_t i,
                struct slice name)
{
    struct envoy_bytes value = bytes_of(wanted->items[i].value);
    bool is_first = true;
    for (size_t before = 0; before < i && is_first; before++)
        is_first = !slice_eq_nocase(wanted->items[before].name, name);
    if (is_first)
        ENVOY_CALL(http_set_header)(filter, map, bytes_of(name), value);
    else
        ENVOY_CALL(http_add_header)(filter, map, bytes_of(name), value);
}

static bool is_unwanted(const struct fields *wanted, struct slice name, bool keeps_framing)
{
    if (name.len && name.ptr[0] == ':')
        return false;
    return is_framing(name) ? !keeps_framing : !fields_find(wanted, name);
}

bool headers_become(struct envoy_filter *filter, enum envoy_header_map map, struct arena *arena,
                    const struct fields *wanted, bool keeps_framing)
{
    size_t count;
    const struct envoy_header *headers = take(filter, map, arena, &count);
    struct slice *names = arena_alloc(arena, (count + wanted->count + 1) * sizeof *names);
    size_t removed = 0;
    if (!headers || !names)
        return false;
    // Everything is compared before anything is set: setting ends the life of what Envoy lent.
    for (size_t i = 0; i < count; i++)
        if (is_unwanted(wanted, name_of(&headers[i]), keeps_framing)) {
            names[removed] = arena_dup(arena, name_of(&headers[i]));
            if (!names[removed++].ptr)
                return false;
        }
    struct slice *changed = names + removed;
    for (size_t i = 0; i < wanted->count; i++) {
        struct slice name = lower(wanted->items[i].name, arena);
        if (!name.ptr)
            return false;
        bool is_kept = is_framing(name) || is_same(headers, count, wanted, name);
        changed[i] = is_kept ? SLICE("") : name;
    }
    for (size_t i = 0; i < removed; i++)
        headers_remove(filter, map, names[i]);
    for (size_t i = 0; i < wanted->count; i++)
        if (changed[i].len)
            put(filter, map, wanted, i, changed[i]);
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
