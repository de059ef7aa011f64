// Walking inside text that a scan has validated. On other text nothing is promised but to stay inside it.
#include "json/find.h"
#include "json/reader.h"

enum json_type json_type_of(unsigned char first)
{
    switch (first) {
    case '"':
        return JSON_STRING;
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    case '-':
    case '0' ... '9':
        return JSON_NUMBER;
    default:
        return JSON_NONE;
    }
}

// Behind the closing quote of the string that begins at `at`. The scan has seen to what stands in it: only the first
// quote that is not escaped is looked for.
static const unsigned char *string_end(const unsigned char *at, const unsigned char *end)
{
    at++;
    while (at < end) {
        size_t found = json_find_in_string(slice_make((const char *)at, (size_t)(end - at)));
        if (found == SLICE_NOT_FOUND)
            return end;
        at += found;
        if (*at == '"')
            return at + 1;
        at += end - at > 1 ? 2 : 1; // over a backslash and what it escapes
    }
    return end;
}

static const unsigned char *container_end(const unsigned char *at, const unsigned char *end)
{
    size_t depth = 0;
    while (at < end) {
        unsigned char c = *at;
        if (c == '"') {
            at = string_end(at, end);
            continue;
        }
        at++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return at;
    }
    return end;
}

static bool is_scalar_byte(unsigned char c)
{
    return c != ',' && c != '}' && c != ']' && !json_is_blank(c);
}

const unsigned char *json_value_end(const unsigned char *at, const unsigned char *end)
{
    if (at == end)
        return end;
    if (*at == '"')
        return string_end(at, end);
    if (*at == '{' || *at == '[')
        return container_end(at, end);
    while (at < end && is_scalar_byte(*at))
        at++;
    return at;
}

struct slice json_trim(struct slice text)
{
    while (text.len && json_is_blank((unsigned char)text.ptr[0]))
        text = slice_from(text, 1);
    while (text.len && json_is_blank((unsigned char)text.ptr[text.len - 1]))
        text.len--;
    return text;
}

struct json_cursor json_cursor_init(struct slice container)
{
    const unsigned char *start = (const unsigned char *)container.ptr, *end = start + container.len;
    size_t blanks = (size_t)(json_skip_blanks(start, end) - start);
    return (struct json_cursor){slice_from(container, blanks), 0};
}

static struct slice between(const unsigned char *from, const unsigned char *to)
{
    return (struct slice){(const char *)from, (size_t)(to - from)};
}

bool json_next(struct json_cursor *cursor, struct slice *ret_key, struct slice *ret_value, enum json_type *ret_type)
{
    const unsigned char *start = (const unsigned char *)cursor->text.ptr, *end = start + cursor->text.len;
    const unsigned char *at = json_skip_blanks(start + cursor->at, end);
    struct slice key = {NULL, 0};
    if (at == end || *at == '}' || *at == ']')
        return false;
    at = json_skip_blanks(at + 1, end); // behind the bracket or the comma
    if (at < end && *start == '{' && *at == '"') {
        const unsigned char *key_end = json_value_end(at, end);
        key = between(at, key_end);
        at = json_skip_blanks(key_end, end);
        at = at < end ? json_skip_blanks(at + 1, end) : at;
    }
    const unsigned char *value_end = json_value_end(at, end);
    cursor->at = (size_t)(value_end - start);
    if (value_end == at) // an empty container
        return false;
    *ret_key = key;
    *ret_value = between(at, value_end);
    *ret_type = json_type_of(*at);
    return true;
}
