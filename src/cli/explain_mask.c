// What an explanation must not show (S10): credentials, and what a mutation takes out of the environment.
#include "cli/explain.h"

#include "json/json.h"

// Whether a mutation of the backend sets the field to what only the environment knows.
static bool is_set_hidden(const struct config_mutation *mutation, const struct field *field)
{
    for (size_t i = 0; i < mutation->set_count; i++)
        if (mutation->set[i].value.is_hidden && slice_eq_nocase(mutation->set[i].name.text, field->name))
            return true;
    return false;
}

struct slice explain_masked(const struct config_backend_ref *ref, const struct field *field)
{
    struct slice key = ref ? secret_reveal(ref->backend->credential.key) : SLICE("");
    bool is_secret =
        http_is_credential(field->name) || (key.len > 0 && slice_find_slice(field->value, key) != SLICE_NOT_FOUND) ||
        (ref && (is_set_hidden(&ref->header_mutation, field) || is_set_hidden(&ref->backend->header_mutation, field)));
    if (!is_secret)
        return field->value;
    // The scheme is no secret, and tells what kind of credential it is.
    if (slice_starts_with_nocase(field->value, SLICE("Bearer ")))
        return SLICE("Bearer ***");
    if (slice_starts_with_nocase(field->value, SLICE("Basic ")))
        return SLICE("Basic ***");
    return SLICE("***");
}

// The value in the object, or NULL bytes.
static struct slice find_value(struct slice object, struct slice name, struct arena *arena)
{
    struct json_cursor cursor = json_cursor_init(object);
    struct slice key, value, text;
    enum json_type type;
    if (!slice_starts_with(object, SLICE("{")))
        return (struct slice){NULL, 0};
    while (json_next(&cursor, &key, &value, &type))
        if (json_string_decode(key, arena, &text) && slice_eq(text, name))
            return value;
    return (struct slice){NULL, 0};
}

static struct slice mask_member(struct slice body, struct slice path_text, struct arena *arena)
{
    struct json_path path;
    struct slice why;
    struct slice value = slice_trim(body);
    if (!json_path_parse(path_text, arena, &path, &why))
        return body;
    for (size_t i = 0; i < path.count && value.ptr; i++)
        value = find_value(value, path.names[i], arena);
    if (!value.ptr)
        return body;
    size_t at = (size_t)(value.ptr - body.ptr);
    struct slice parts[] = {slice_sub(body, 0, at), SLICE("\"***\""), slice_from(body, at + value.len)};
    return arena_join(arena, parts, 3);
}

// Members that mutations set to what only the environment knows.
static struct slice mask_sets(struct slice body, const struct config_mutation *mutation, struct arena *arena)
{
    for (size_t i = 0; i < mutation->set_count; i++)
        if (mutation->set[i].value.is_hidden)
            body = mask_member(body, mutation->set[i].name.text, arena);
    return body;
}

struct slice explain_body(const struct memory_attempt *attempt, struct arena *arena)
{
    struct slice body = mask_sets(attempt->body, &attempt->ref->body_mutation, arena);
    return mask_sets(body, &attempt->ref->backend->body_mutation, arena);
}
