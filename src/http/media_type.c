// Content-Type values: `type/subtype *( OWS ";" OWS name "=" ( token / quoted-string ) )`.
#include "http/media_type.h"

static struct slice essence(struct slice value)
{
    return slice_trim(slice_split(&value, ';'));
}

bool media_type_is(struct slice value, struct slice type)
{
    return slice_eq_nocase(essence(value), type);
}

bool media_type_is_json(struct slice value)
{
    static const struct slice suffix = SLICE_INIT("+json");
    struct slice type = essence(value);
    if (slice_eq_nocase(type, SLICE("application/json")))
        return true;
    return type.len > suffix.len && slice_find(type, '/') != SLICE_NOT_FOUND &&
           slice_eq_nocase(slice_from(type, type.len - suffix.len), suffix);
}

// Length of the quoted-string at the front, quotes included; the whole length when it is not closed.
static size_t quoted_len(struct slice text)
{
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '\\')
            i++;
        else if (text.ptr[i] == '"')
            return i + 1;
    }
    return text.len;
}

// Length of what stands before the next ';' outside quotes.
static size_t parameter_len(struct slice text)
{
    size_t at = 0;
    while (at < text.len && text.ptr[at] != ';')
        at += text.ptr[at] == '"' ? quoted_len(slice_from(text, at)) : 1;
    return at < text.len ? at : text.len;
}

static struct slice unquote(struct slice value)
{
    if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
        return slice_sub(value, 1, value.len - 2);
    return value;
}

bool media_type_parameter(struct slice value, struct slice name, struct slice *ret_value)
{
    struct slice rest = slice_from(value, parameter_len(value));
    while (rest.len) {
        rest = slice_from(rest, 1);
        size_t len = parameter_len(rest);
        struct slice parameter = slice_sub(rest, 0, len);
        struct slice key = slice_trim(slice_split(&parameter, '='));
        if (parameter.ptr && slice_eq_nocase(key, name)) {
            *ret_value = unquote(slice_trim(parameter));
            return true;
        }
        rest = slice_from(rest, len);
    }
    return false;
}
