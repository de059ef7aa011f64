// Body paths (S6): the part of the gjson/sjson path language that names members of objects. All that would mean an array,
// a wildcard, a query or a modifier there is refused, never taken for a name; `\` makes it a name.
#include "json/reader.h"

static bool refuse(struct slice *ret_why, const char *why)
{
    *ret_why = slice_from_cstr(why);
    return false;
}

static bool is_array_part(struct slice raw)
{
    size_t at = raw.len > 1 && raw.ptr[0] == '-' ? 1 : 0;
    for (; at < raw.len; at++)
        if (raw.ptr[at] < '0' || raw.ptr[at] > '9')
            return false;
    return raw.len > 0;
}

// The length of the part up to a dot that is not escaped.
static size_t part_length(struct slice text)
{
    size_t at = 0;
    while (at < text.len && text.ptr[at] != '.')
        at += text.ptr[at] == '\\' ? 2 : 1;
    return at;
}

static bool parse_name(struct slice raw, struct arena *arena, struct slice *ret_name, struct slice *ret_why)
{
    if (raw.len == 0)
        return refuse(ret_why, "a name in the path is empty");
    if (is_array_part(raw))
        return refuse(ret_why, "array indexes are not supported; write \\ before a name made of digits");
    char *name = arena_alloc(arena, raw.len);
    size_t len = 0;
    if (!name)
        return refuse(ret_why, "out of memory");
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '\\' && ++i == raw.len)
            return refuse(ret_why, "the path ends in a lone \\");
        if (c != '\\' && slice_find(SLICE("*?#|@[]"), c) != SLICE_NOT_FOUND)
            return refuse(ret_why, "wildcards, array paths and modifiers (* ? # | @ [ ]) are not supported");
        name[len++] = raw.ptr[i];
    }
    *ret_name = slice_make(name, len);
    return true;
}

static bool is_utf8(struct slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
    while (at < end) {
        size_t length = *at < 0x80 ? 1 : json_utf8_length(at, end);
        if (!length)
            return false;
        at += length;
    }
    return true;
}

static size_t count_parts(struct slice text)
{
    size_t count = 1;
    for (size_t at = part_length(text); at < text.len; at += 1 + part_length(slice_from(text, at + 1)))
        count++;
    return count;
}

bool json_path_parse(struct slice text, struct arena *arena, struct json_path *ret_path, struct slice *ret_why)
{
    size_t count = count_parts(text);
    if (count >= JSON_DEPTH_MAX)
        return refuse(ret_why, "the path is too deep");
    if (!is_utf8(text))
        return refuse(ret_why, "the path is not valid UTF-8");
    struct slice *names = ARENA_ARRAY(arena, struct slice, count);
    if (!names)
        return refuse(ret_why, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct slice part = slice_sub(text, 0, part_length(text));
        if (!parse_name(part, arena, &names[i], ret_why))
            return false;
        text = slice_from(text, part.len + 1);
    }
    *ret_path = (struct json_path){names, count};
    return true;
}
