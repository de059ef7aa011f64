// Reads usage off responses as they pass. Of a JSON body only the wanted members are kept; of a stream only those events
// are looked into that can tell something.
#include "usage/reader.h"

#include "usage/capture.h"
#include "usage/fields.h"

#define HELD_BYTES_MAX 65536
#define MODEL_BYTES_MAX 256

enum wanted { WANTED_USAGE, WANTED_MODEL, WANTED_INPUT_TOKENS, WANTED_CHOICES, WANTED_RESPONSE, WANTED_COUNT };

static const struct slice wanted_names[WANTED_COUNT] = {
    [WANTED_USAGE] = SLICE_INIT("usage"),
    [WANTED_MODEL] = SLICE_INIT("model"),
    [WANTED_INPUT_TOKENS] = SLICE_INIT("input_tokens"),
    [WANTED_CHOICES] = SLICE_INIT("choices"),
    [WANTED_RESPONSE] = SLICE_INIT("response"),
};

struct usage_reader { // in the attempt's arena
    enum usage_shape shape;
    struct usage usage;
    bool is_total_given;
    size_t model_len;
    char model[MODEL_BYTES_MAX];
    const struct json_names *names; // of a stream's events
    struct capture capture;         // of a JSON body
};

const struct json_names *usage_reader_names(struct arena *arena)
{
    return json_names_new(arena, wanted_names, WANTED_COUNT);
}

struct usage_reader *usage_reader_new(struct arena *arena, enum usage_shape shape,
                                      const struct json_names *stream_names)
{
    struct usage_reader *reader = ARENA_NEW(arena, struct usage_reader);
    if (!reader)
        return NULL;
    reader->shape = shape;
    // A body's wanted members are the first three names; `choices` and `response` matter in streams only.
    capture_init(&reader->capture, wanted_names, WANTED_CHOICES, HELD_BYTES_MAX);
    if (shape != USAGE_SHAPE_NONE)
        reader->names = stream_names;
    return reader;
}

void usage_reader_fini(struct usage_reader *reader)
{
    if (reader)
        capture_fini(&reader->capture);
}

const struct usage *usage_reader_usage(const struct usage_reader *reader)
{
    return &reader->usage;
}

struct slice usage_reader_model(const struct usage_reader *reader)
{
    return slice_make(reader->model, reader->model_len);
}

// ---- taking values --------------------------------------------------------------------------------------------

static void derive_total(struct usage_reader *reader)
{
    struct usage *usage = &reader->usage;
    uint64_t total;
    if (reader->is_total_given || !usage_has(usage, USAGE_INPUT) || !usage_has(usage, USAGE_OUTPUT))
        return;
    if (!__builtin_add_overflow(usage->tokens[USAGE_INPUT], usage->tokens[USAGE_OUTPUT], &total))
        usage_set(usage, USAGE_TOTAL, total);
}

// What the object does not tell stays as an earlier one told it.
static void take_usage(struct usage_reader *reader, struct slice object)
{
    struct usage seen = {0};
    if (!usage_fields_read(reader->shape, object, &seen))
        return;
    for (unsigned kind = 0; kind < USAGE_KIND_COUNT; kind++)
        if (usage_has(&seen, kind))
            usage_set(&reader->usage, kind, seen.tokens[kind]);
    reader->is_total_given |= usage_has(&seen, USAGE_TOTAL);
    derive_total(reader);
}

// Names that are empty or longer than any real one are passed over.
static void take_model(struct usage_reader *reader, struct slice raw)
{
    char model[MODEL_BYTES_MAX];
    size_t len;
    if (!json_string_decode_into(raw, model, sizeof model, &len) || len == 0)
        return;
    memcpy(reader->model, model, len);
    reader->model_len = len;
}

// ---- JSON bodies ----------------------------------------------------------------------------------------------

static void take_member(struct usage_reader *reader, size_t index, struct slice value)
{
    size_t error_at;
    uint64_t tokens;
    if (index == WANTED_USAGE)
        take_usage(reader, value);
    else if (index == WANTED_MODEL && slice_starts_with(value, SLICE("\"")) &&
             json_validate(value, &error_at) == JSON_OK)
        take_model(reader, value);
    else if (index == WANTED_INPUT_TOKENS && reader->shape == USAGE_SHAPE_COUNT && json_to_u64(value, &tokens))
        usage_set(&reader->usage, USAGE_INPUT, tokens);
}

void usage_reader_piece(struct usage_reader *reader, struct slice piece, bool is_end)
{
    size_t index;
    struct slice value;
    if (reader->shape == USAGE_SHAPE_NONE)
        return;
    while (capture_next(&reader->capture, &piece, &index, &value))
        take_member(reader, index, value);
    if (is_end)
        capture_fini(&reader->capture);
}

// ---- streams --------------------------------------------------------------------------------------------------

static struct slice value_of(struct slice text, const struct json_member *member)
{
    return slice_sub(text, member->value.from, member->value.to - member->value.from);
}

static struct slice skip_blanks(struct slice text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t' || text.ptr[0] == '\r' || text.ptr[0] == '\n'))
        text = slice_from(text, 1);
    return text;
}

// Whether a usage object may stand in the event. Providers that were asked for usage write `"usage":null` into all chunks
// but the last: these are told apart here, without a scan.
static bool may_tell_usage(struct slice data)
{
    static const struct slice name = SLICE_INIT("\"usage\"");
    size_t at;
    while ((at = slice_find_slice(data, name)) != SLICE_NOT_FOUND) {
        data = skip_blanks(slice_from(data, at + name.len));
        if (slice_starts_with(data, SLICE(":")) && slice_starts_with(skip_blanks(slice_from(data, 1)), SLICE("{")))
            return true;
    }
    return false;
}

static bool may_tell_model(struct slice data)
{
    return slice_find_slice(data, SLICE("\"model\"")) != SLICE_NOT_FOUND;
}

// The members that a chunk has at its top and an event of the Responses API has in `response`.
static void take_members(struct usage_reader *reader, struct slice text, const struct json_member *members)
{
    if (members[WANTED_MODEL].type == JSON_STRING)
        take_model(reader, value_of(text, &members[WANTED_MODEL]));
    if (members[WANTED_USAGE].type == JSON_OBJECT)
        take_usage(reader, value_of(text, &members[WANTED_USAGE]));
}

static bool is_empty_array(struct slice value)
{
    for (size_t i = 1; i + 1 < value.len; i++)
        if (slice_find(SLICE(" \t\r\n"), value.ptr[i]) == SLICE_NOT_FOUND)
            return false;
    return true;
}

static bool is_usage_only(const struct usage_reader *reader, struct slice text, const struct json_member *members)
{
    const struct json_member *choices = &members[WANTED_CHOICES];
    return reader->shape == USAGE_SHAPE_CHAT && members[WANTED_USAGE].type == JSON_OBJECT &&
           choices->type == JSON_ARRAY && is_empty_array(value_of(text, choices));
}

bool usage_reader_event(struct usage_reader *reader, const struct sse_event *event)
{
    struct json_member members[WANTED_COUNT];
    struct slice data = event->data;
    if (!reader->names || !event->has_data)
        return false;
    if (!may_tell_usage(data) && (reader->model_len || !may_tell_model(data)))
        return false;
    if (json_scan_object(data, reader->names, members).status != JSON_OK)
        return false;
    take_members(reader, data, members);
    if (reader->shape == USAGE_SHAPE_RESPONSES && members[WANTED_RESPONSE].type == JSON_OBJECT) {
        struct json_member inner[WANTED_COUNT];
        struct slice response = value_of(data, &members[WANTED_RESPONSE]);
        if (json_scan_object(response, reader->names, inner).status == JSON_OK)
            take_members(reader, response, inner);
    }
    return is_usage_only(reader, data, members);
}
