#include "usage/fields.h"

#include "json/json.h"

struct usage_field {
    struct slice parent; // empty: the usage object itself
    struct slice name;
    enum usage_kind kind;
};

// OpenAI, "The chat completion object" and "The completion object"; cache_creation_input_tokens as translators add it.
static const struct usage_field chat_fields[] = {
    {SLICE_INIT(""), SLICE_INIT("prompt_tokens"), USAGE_INPUT},
    {SLICE_INIT(""), SLICE_INIT("completion_tokens"), USAGE_OUTPUT},
    {SLICE_INIT(""), SLICE_INIT("total_tokens"), USAGE_TOTAL},
    {SLICE_INIT("prompt_tokens_details"), SLICE_INIT("cached_tokens"), USAGE_CACHED_INPUT},
    {SLICE_INIT("prompt_tokens_details"), SLICE_INIT("cache_creation_input_tokens"), USAGE_CACHE_CREATION_INPUT},
    {SLICE_INIT("completion_tokens_details"), SLICE_INIT("reasoning_tokens"), USAGE_REASONING},
};

// OpenAI, "Create embeddings".
static const struct usage_field embedding_fields[] = {
    {SLICE_INIT(""), SLICE_INIT("prompt_tokens"), USAGE_INPUT},
    {SLICE_INIT(""), SLICE_INIT("total_tokens"), USAGE_TOTAL},
};

// OpenAI, "The response object"; images and audio count with the same names.
static const struct usage_field responses_fields[] = {
    {SLICE_INIT(""), SLICE_INIT("input_tokens"), USAGE_INPUT},
    {SLICE_INIT(""), SLICE_INIT("output_tokens"), USAGE_OUTPUT},
    {SLICE_INIT(""), SLICE_INIT("total_tokens"), USAGE_TOTAL},
    {SLICE_INIT("input_tokens_details"), SLICE_INIT("cached_tokens"), USAGE_CACHED_INPUT},
    {SLICE_INIT("input_tokens_details"), SLICE_INIT("cache_creation_input_tokens"), USAGE_CACHE_CREATION_INPUT},
    {SLICE_INIT("output_tokens_details"), SLICE_INIT("reasoning_tokens"), USAGE_REASONING},
};

struct field_list {
    const struct usage_field *fields;
    size_t count;
};

static struct field_list fields_of(enum usage_shape shape)
{
#define LIST(fields) ((struct field_list){fields, sizeof(fields) / sizeof *(fields)})
    switch (shape) {
    case USAGE_SHAPE_CHAT:
        return LIST(chat_fields);
    case USAGE_SHAPE_EMBEDDING:
        return LIST(embedding_fields);
    case USAGE_SHAPE_RESPONSES:
    case USAGE_SHAPE_MEDIA:
        return LIST(responses_fields);
    case USAGE_SHAPE_COUNT:
    case USAGE_SHAPE_NONE:
        break;
    }
    return (struct field_list){NULL, 0};
#undef LIST
}

static bool is_key(struct slice raw_key, struct slice name)
{
    return raw_key.len == name.len + 2 && slice_eq(slice_sub(raw_key, 1, name.len), name);
}

static void read_count(struct field_list list, struct slice parent, struct slice key, struct slice value,
                       struct usage *usage)
{
    uint64_t tokens;
    for (size_t i = 0; i < list.count; i++) {
        const struct usage_field *field = &list.fields[i];
        if (is_key(key, field->name) && slice_eq(field->parent, parent) && json_to_u64(value, &tokens))
            usage_set(usage, field->kind, tokens);
    }
}

static void read_details(struct field_list list, struct slice parent, struct slice object, struct usage *usage)
{
    struct json_cursor cursor = json_cursor_init(object);
    struct slice key, value;
    enum json_type type;
    while (json_next(&cursor, &key, &value, &type))
        if (type == JSON_NUMBER)
            read_count(list, parent, key, value, usage);
}

void usage_fields_read(enum usage_shape shape, struct slice object, struct usage *usage)
{
    struct field_list list = fields_of(shape);
    struct json_cursor cursor = json_cursor_init(object);
    struct slice key, value;
    enum json_type type;
    while (json_next(&cursor, &key, &value, &type)) {
        if (type == JSON_NUMBER)
            read_count(list, SLICE(""), key, value, usage);
        else if (type == JSON_OBJECT)
            read_details(list, slice_sub(key, 1, key.len - 2), value, usage);
    }
}
