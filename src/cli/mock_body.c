// What the mock reads of request bodies: by the project's own scanner, so that a body damaged on its way is noticed.
#include "cli/mock_request.h"

#include "http/multipart.h"
#include "json/json.h"

enum { // the order of member_names
    MEMBER_MODEL,
    MEMBER_STREAM,
    MEMBER_STREAM_OPTIONS,
    MEMBER_MAX_TOKENS,
    MEMBER_MAX_COMPLETION_TOKENS,
    MEMBER_MAX_OUTPUT_TOKENS,
    MEMBER_MESSAGES,
    MEMBER_PROMPT,
    MEMBER_INPUT,
    MEMBER_DIMENSIONS,
    MEMBER_ENCODING_FORMAT,
    MEMBER_STREAM_FORMAT,
    MEMBER_N,
    MEMBER_TOOLS,
    MEMBER_TOOL_CHOICE,
    MEMBER_COUNT
};

static const struct slice member_names[MEMBER_COUNT] = {
    SLICE_INIT("model"),
    SLICE_INIT("stream"),
    SLICE_INIT("stream_options"),
    SLICE_INIT("max_tokens"),
    SLICE_INIT("max_completion_tokens"),
    SLICE_INIT("max_output_tokens"),
    SLICE_INIT("messages"),
    SLICE_INIT("prompt"),
    SLICE_INIT("input"),
    SLICE_INIT("dimensions"),
    SLICE_INIT("encoding_format"),
    SLICE_INIT("stream_format"),
    SLICE_INIT("n"),
    SLICE_INIT("tools"),
    SLICE_INIT("tool_choice"),
};

const struct json_names *mock_body_names(struct arena *arena)
{
    return json_names_new(arena, member_names, MEMBER_COUNT);
}

// The scan of a body, and its text.
struct scanned {
    struct slice text;
    struct json_member members[MEMBER_COUNT];
};

static struct slice value_of(const struct scanned *body, int member)
{
    const struct json_member *found = &body->members[member];
    return slice_sub(body->text, found->value.from, found->value.to - found->value.from);
}

static bool is_true(const struct scanned *body, int member)
{
    return body->members[member].type == JSON_TRUE;
}

static bool is_text(const struct scanned *body, int member, struct slice quoted)
{
    return slice_eq(value_of(body, member), quoted);
}

static uint64_t number_of(const struct scanned *body, int member, uint64_t otherwise)
{
    uint64_t number = otherwise;
    if (body->members[member].type == JSON_NUMBER)
        json_to_u64(value_of(body, member), &number);
    return number;
}

// A member of an object that a scan has validated; empty when it is not there.
static struct slice member_of(struct slice object, struct slice quoted_name)
{
    struct json_cursor cursor = json_cursor_init(object);
    struct slice key, value;
    enum json_type type;
    while (json_next(&cursor, &key, &value, &type))
        if (slice_eq(key, quoted_name))
            return value;
    return (struct slice){NULL, 0};
}

static uint64_t count_inputs(const struct scanned *body)
{
    if (body->members[MEMBER_INPUT].type != JSON_ARRAY)
        return 1;
    struct json_cursor cursor = json_cursor_init(value_of(body, MEMBER_INPUT));
    struct slice key, value;
    enum json_type type = JSON_NONE;
    uint64_t count = 0;
    while (json_next(&cursor, &key, &value, &type))
        count++;
    // A list of token numbers is one input.
    return type == JSON_NUMBER ? 1 : count;
}

// The function that the client insists on: tool_choice names it, or says "required" and the first one is taken.
static struct slice demanded_tool(const struct scanned *body)
{
    struct slice none = {NULL, 0};
    if (body->members[MEMBER_TOOL_CHOICE].type == JSON_OBJECT) {
        struct slice choice = value_of(body, MEMBER_TOOL_CHOICE);
        struct slice function = member_of(choice, SLICE("\"function\""));
        return member_of(function.len ? function : choice, SLICE("\"name\""));
    }
    if (!is_text(body, MEMBER_TOOL_CHOICE, SLICE("\"required\"")) || body->members[MEMBER_TOOLS].type != JSON_ARRAY)
        return none;
    struct json_cursor cursor = json_cursor_init(value_of(body, MEMBER_TOOLS));
    struct slice key, tool;
    enum json_type type;
    if (!json_next(&cursor, &key, &tool, &type) || type != JSON_OBJECT)
        return none;
    struct slice function = member_of(tool, SLICE("\"function\""));
    return member_of(function.len ? function : tool, SLICE("\"name\""));
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool mock_body_read(const struct mock_request *request, const struct json_names *names, struct mock_body *ret_body)
{
    struct scanned body = {.text = request->body};
    if (json_scan_object(request->body, names, body.members).status != JSON_OK)
        return false;
    *ret_body = (struct mock_body){.model = SLICE("\"\""), .token_limit = MOCK_NO_LIMIT};
    if (body.members[MEMBER_MODEL].type == JSON_STRING)
        ret_body->model = value_of(&body, MEMBER_MODEL);
    ret_body->prompt_bytes =
        value_of(&body, MEMBER_MESSAGES).len + value_of(&body, MEMBER_PROMPT).len + value_of(&body, MEMBER_INPUT).len;
    ret_body->token_limit = least(number_of(&body, MEMBER_MAX_TOKENS, MOCK_NO_LIMIT),
                                  least(number_of(&body, MEMBER_MAX_COMPLETION_TOKENS, MOCK_NO_LIMIT),
                                        number_of(&body, MEMBER_MAX_OUTPUT_TOKENS, MOCK_NO_LIMIT)));
    ret_body->is_stream = is_true(&body, MEMBER_STREAM) || is_text(&body, MEMBER_STREAM_FORMAT, SLICE("\"sse\""));
    if (body.members[MEMBER_STREAM_OPTIONS].type == JSON_OBJECT)
        ret_body->wants_usage =
            slice_eq(member_of(value_of(&body, MEMBER_STREAM_OPTIONS), SLICE("\"include_usage\"")), SLICE("true"));
    ret_body->wants_base64 = is_text(&body, MEMBER_ENCODING_FORMAT, SLICE("\"base64\""));
    ret_body->dimensions = number_of(&body, MEMBER_DIMENSIONS, 8);
    ret_body->images = number_of(&body, MEMBER_N, 1);
    ret_body->inputs = body.members[MEMBER_INPUT].type == JSON_NONE ? 0 : count_inputs(&body);
    if (body.members[MEMBER_TOOL_CHOICE].type != JSON_NONE)
        ret_body->tool = demanded_tool(&body);
    return true;
}

bool mock_form_read(const struct mock_request *request, struct arena *arena, struct mock_body *ret_body)
{
    struct slice boundary;
    struct multipart reader;
    struct multipart_part part;
    enum multipart_status status;
    if (!multipart_boundary(request->content_type, arena, &boundary))
        return false;
    *ret_body = (struct mock_body){.model = SLICE("\"\""), .token_limit = MOCK_NO_LIMIT};
    multipart_init(&reader, request->body, boundary);
    while ((status = multipart_next(&reader, arena, &part)) == MULTIPART_PART) {
        if (slice_eq(part.name, SLICE("model")) && slice_find(part.content, '"') == SLICE_NOT_FOUND &&
            slice_find(part.content, '\\') == SLICE_NOT_FOUND)
            ret_body->model = arena_join(arena, (struct slice[]){SLICE("\""), part.content, SLICE("\"")}, 3);
        else if (slice_eq(part.name, SLICE("file")))
            ret_body->prompt_bytes = part.content.len;
        else if (slice_eq(part.name, SLICE("stream")))
            ret_body->is_stream = slice_eq_nocase(part.content, SLICE("true"));
        else if (slice_eq(part.name, SLICE("response_format")))
            ret_body->is_text = slice_eq(part.content, SLICE("text"));
    }
    return status == MULTIPART_END;
}
