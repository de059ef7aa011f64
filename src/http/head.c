// Field lists and the small rules of heads (RFC 9110, RFC 9112).
#include "http/head.h"

static bool has_name(const struct field *field, struct slice name)
{
    return field->name.len == name.len && slice_eq_nocase(field->name, name);
}

// Index of the first field of that name at or behind `from`; the count when there is none.
static size_t find_from(const struct fields *fields, struct slice name, size_t from)
{
    while (from < fields->count && !has_name(&fields->items[from], name))
        from++;
    return from;
}

const struct field *fields_find(const struct fields *fields, struct slice name)
{
    const struct field *field = fields->items;
    for (size_t left = fields->count; left > 0; left--, field++)
        if (has_name(field, name))
            return field;
    return NULL;
}

size_t fields_count(const struct fields *fields, struct slice name)
{
    size_t count = 0;
    for (size_t at = find_from(fields, name, 0); at < fields->count; at = find_from(fields, name, at + 1))
        count++;
    return count;
}

struct slice fields_value(const struct fields *fields, struct slice name)
{
    const struct field *field = fields_find(fields, name);
    return field ? field->value : (struct slice){NULL, 0};
}

struct slice fields_joined(const struct fields *fields, struct slice name, struct arena *arena)
{
    size_t first = find_from(fields, name, 0);
    if (first == fields->count)
        return (struct slice){NULL, 0};
    if (find_from(fields, name, first + 1) == fields->count)
        return fields->items[first].value;
    struct slice *parts = ARENA_ARRAY(arena, struct slice, (fields->count - first) * 2);
    size_t count = 0;
    if (!parts)
        return (struct slice){NULL, 0};
    for (size_t at = first; at < fields->count; at = find_from(fields, name, at + 1)) {
        if (count)
            parts[count++] = SLICE(",");
        parts[count++] = fields->items[at].value;
    }
    return arena_join(arena, parts, count);
}

bool fields_add(struct fields *fields, struct arena *arena, struct slice name, struct slice value)
{
    if (!ARENA_GROW(arena, fields))
        return false;
    fields->items[fields->count++] = (struct field){name, value};
    return true;
}

// Removes all fields of that name at or behind `from`, keeping the order of the others.
static size_t remove_from(struct fields *fields, struct slice name, size_t from)
{
    size_t kept = find_from(fields, name, from);
    size_t count = fields->count;
    for (size_t at = kept; at < count; at++)
        if (!has_name(&fields->items[at], name))
            fields->items[kept++] = fields->items[at];
    fields->count = kept;
    return count - kept;
}

bool fields_set(struct fields *fields, struct arena *arena, struct slice name, struct slice value)
{
    size_t at = find_from(fields, name, 0);
    if (at == fields->count)
        return fields_add(fields, arena, name, value);
    fields->items[at] = (struct field){name, value};
    remove_from(fields, name, at + 1);
    return true;
}

size_t fields_remove(struct fields *fields, struct slice name)
{
    return remove_from(fields, name, 0);
}

bool fields_copy(const struct fields *from, struct arena *arena, size_t extra, struct fields *ret_copy)
{
    size_t cap;
    if (__builtin_add_overflow(from->count, extra, &cap))
        return false;
    struct field *items = ARENA_ARRAY(arena, struct field, cap);
    if (!items)
        return false;
    if (from->count)
        memcpy(items, from->items, from->count * sizeof *items);
    *ret_copy = (struct fields){items, from->count, cap};
    return true;
}

// RFC 9110 section 5.6.2: tchar.
static const bool is_tchar[256] = {
    ['!'] = 1,         ['#' ... '\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1,         ['.'] = 1, ['0' ... '9'] = 1,
    ['A' ... 'Z'] = 1, ['^'] = 1,          ['_'] = 1, ['`'] = 1, ['a' ... 'z'] = 1, ['|'] = 1, ['~'] = 1,
};

bool http_is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_tchar[(unsigned char)text.ptr[i]])
            return false;
    return text.len > 0;
}

// A subtraction borrows from the next byte only where it found a control byte, so there is no false alarm but for bytes
// above 0x7f, which are looked at one by one.
static bool has_suspect(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101U, highs = ones << 7;
    uint64_t del = bytes ^ ones * 0x7f;
    return ((bytes | (bytes - ones * 0x20) | (del - ones)) & highs) != 0;
}

static bool has_control_byte(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

bool http_has_control_byte(struct slice text)
{
    while (text.len >= 8) {
        uint64_t bytes;
        memcpy(&bytes, text.ptr, sizeof bytes);
        if (has_suspect(bytes) && has_control_byte(slice_sub(text, 0, 8)))
            return true;
        text = slice_from(text, 8);
    }
    return has_control_byte(text);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool http_is_field_value(struct slice text)
{
    if (http_has_control_byte(text))
        return false;
    return text.len == 0 || (!is_blank(text.ptr[0]) && !is_blank(text.ptr[text.len - 1]));
}

bool http_is_hop_by_hop(struct slice name)
{
    switch (name.len) {
    case 2:
        return slice_eq_nocase(name, SLICE("te"));
    case 7:
        return slice_eq_nocase(name, SLICE("upgrade")) || slice_eq_nocase(name, SLICE("trailer"));
    case 10:
        return slice_eq_nocase(name, SLICE("connection")) || slice_eq_nocase(name, SLICE("keep-alive"));
    case 16:
        return slice_eq_nocase(name, SLICE("proxy-connection"));
    case 17:
        return slice_eq_nocase(name, SLICE("transfer-encoding"));
    default:
        return false;
    }
}

bool http_is_credential(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("authorization"),
        SLICE_INIT("proxy-authorization"),
        SLICE_INIT("x-api-key"),
        SLICE_INIT("api-key"),
        SLICE_INIT("x-goog-api-key"),
        SLICE_INIT("ocp-apim-subscription-key"),
        SLICE_INIT("cookie"),
        SLICE_INIT("set-cookie"),
        SLICE_INIT("x-amz-security-token"),
        SLICE_INIT("x-goog-iam-authorization-token"),
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_eq_nocase(name, names[i]))
            return true;
    return slice_starts_with_nocase(name, SLICE("x-aigw-"));
}

struct slice http_path(struct slice target)
{
    size_t at = slice_find(target, '?');
    return at == SLICE_NOT_FOUND ? target : slice_sub(target, 0, at);
}

struct slice http_query(struct slice target)
{
    size_t at = slice_find(target, '?');
    return at == SLICE_NOT_FOUND ? (struct slice){NULL, 0} : slice_from(target, at + 1);
}

struct slice http_host(struct slice authority)
{
    bool is_literal = authority.len && authority.ptr[0] == '[';
    size_t end = slice_find(authority, is_literal ? ']' : ':');
    if (end == SLICE_NOT_FOUND)
        return authority;
    return slice_sub(authority, 0, is_literal ? end + 1 : end);
}

struct slice http_reason(uint16_t status)
{
    switch (status) {
#define REASON(code, text)                                                                                             \
    case code:                                                                                                         \
        return SLICE(text);
#include "http/reasons.def"
#undef REASON
    default:
        return SLICE("");
    }
}
