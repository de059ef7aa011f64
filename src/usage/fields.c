#include "usage/fields.h"

#include "json/walk.h"

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

static void take_count(struct field_list list, struct slice parent, struct slice name, struct slice value,
                       struct usage *usage)
{
    for (size_t i = 0; i < list.count; i++) {
        const struct usage_field *field = &list.fields[i];
        uint64_t tokens;
        if (!slice_eq(field->name, name) || !slice_eq(field->parent, parent))
            continue;
        if (json_to_u64(value, &tokens))
            usage_set(usage, field->kind, tokens);
        return;
    }
}

// Keys are compared as they are spelt.
static struct slice unquoted(struct slice key)
{
    return key.len ? slice_sub(key, 1, key.len - 2) : key;
}

bool usage_fields_read(enum usage_shape shape, struct slice object, struct usage *usage)
{
    struct field_list list = fields_of(shape);
    struct slice parent = SLICE("");
    struct json_walk walk;
    if (!slice_starts_with(object, SLICE("{")))
        return false;
    json_walk_init(&walk, object);
    while (json_walk_next(&walk, 2)) {
        if (walk.type == JSON_NUMBER)
            take_count(list, walk.depth == 1 ? SLICE("") : parent, unquoted(walk.key), walk.value, usage);
        else if (walk.depth == 1)
            parent = unquoted(walk.key);
    }
    return walk.reader.status == JSON_OK;
}
