// stream_options.include_usage: read, and asked for when the client did not.
#include "schema/openai/openai.h"

bool openai_stream_needs_asking(enum endpoint_id endpoint)
{
    return endpoint == ENDPOINT_CHAT_COMPLETIONS || endpoint == ENDPOINT_COMPLETIONS;
}

enum openai_usage_ask openai_usage_ask(struct slice stream_options)
{
    if (stream_options.len == 0 || slice_eq(stream_options, SLICE("null")))
        return OPENAI_USAGE_NOT_ASKED;
    if (stream_options.ptr[0] != '{')
        return OPENAI_USAGE_UNCLEAR;
    enum openai_usage_ask ask = OPENAI_USAGE_NOT_ASKED;
    bool is_seen = false;
    struct json_cursor cursor = json_cursor_init(stream_options);
    struct slice key;
    struct slice value;
    enum json_type type;
    while (json_next(&cursor, &key, &value, &type)) {
        if (!slice_eq(key, SLICE("\"include_usage\"")))
            continue;
        if (is_seen)
            return OPENAI_USAGE_UNCLEAR;
        is_seen = true;
        ask = type == JSON_TRUE ? OPENAI_USAGE_ASKED : OPENAI_USAGE_NOT_ASKED;
    }
    return ask;
}

const struct json_change *openai_usage_change(void)
{
    static struct slice names[] = {SLICE_INIT("stream_options"), SLICE_INIT("include_usage")};
    static const struct json_path path = {names, 2};
    static const struct json_change change = {&path, SLICE_INIT("true")};
    return &change;
}
