// Lifting (S1, S2): the body is scanned once; model and backend become attributes and internal headers.
#include "exchange/life.h"

#define MODEL_MAX_BYTES 256
#define BACKEND_MAX_BYTES 128

static const struct slice model_name = SLICE_INIT("model");
static const struct slice backend_name = SLICE_INIT("backend");

enum step lift_refuse(struct exchange *x, enum error_code error, struct slice name, struct slice why)
{
    x->reply_param = name;
    struct slice parts[] = {SLICE("The member '"), name, SLICE("' "), why};
    return reply_error(x, error, arena_join(&x->arena, parts, 4));
}

static bool has_control_byte(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

bool lift_value(struct exchange *x, struct slice text, size_t max_bytes, struct slice name, struct slice *ret_value)
{
    enum error_code error = slice_eq(name, model_name) && !text.len ? ERROR_MODEL_MISSING : ERROR_BODY_MEMBER;
    if (!text.len)
        lift_refuse(x, error, name, SLICE("is empty."));
    else if (text.len > max_bytes)
        lift_refuse(x, error, name, SLICE("is too long."));
    else if (has_control_byte(text))
        lift_refuse(x, error, name, SLICE("has a control character."));
    else if (!json_is_utf8(text)) // a form was checked by no scanner yet
        lift_refuse(x, error, name, SLICE("is not valid UTF-8."));
    else if (text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ')
        lift_refuse(x, error, name, SLICE("begins or ends with a blank."));
    else if (*ret_value = arena_dup(&x->arena, text), !ret_value->ptr)
        reply_error(x, ERROR_OVERLOADED, SLICE(""));
    else
        return true;
    return false;
}

// A string member, decoded. False: the reply is ready.
static bool lift_string(struct exchange *x, const struct json_member *member, size_t max_bytes, struct slice name,
                        struct slice *ret_value)
{
    struct slice raw = slice_sub(buf_slice(&x->body), member->value.from, member->value.to - member->value.from);
    struct slice text;
    if (member->type != JSON_STRING) {
        lift_refuse(x, ERROR_BODY_MEMBER, name, SLICE("is not a string."));
        return false;
    }
    if (!json_string_decode(raw, &x->arena, &text)) {
        lift_refuse(x, ERROR_BODY_MEMBER, name, SLICE("has an invalid escape."));
        return false;
    }
    return lift_value(x, text, max_bytes, name, ret_value);
}

// Members that every JSON endpoint reads, and those that this one reads, must stand once (S1).
static bool is_member_read(const struct exchange *x, size_t place)
{
    switch (place) {
    case NAME_MODEL:
    case NAME_BACKEND:
        return true;
    case NAME_STREAM:
    case NAME_STREAM_OPTIONS:
        return x->endpoint->stream == STREAM_MEMBER;
    case NAME_STREAM_FORMAT:
        return x->endpoint->stream == STREAM_FORMAT_SSE;
    default:
        return false;
    }
}

static bool lift_members(struct exchange *x)
{
    for (size_t i = 0; i < NAME_FIRST_ROOT; i++)
        if (x->members[i].count > 1 && is_member_read(x, i)) {
            lift_refuse(x, ERROR_BODY_MEMBER, json_names_at(x->snapshot->names, i), SLICE("stands more than once."));
            return false;
        }
    const struct json_member *model = &x->members[NAME_MODEL];
    const struct json_member *backend = &x->members[NAME_BACKEND];
    if (model->type == JSON_NONE) {
        x->reply_param = model_name;
        reply_error(x, ERROR_MODEL_MISSING, SLICE("you must provide a model parameter"));
        return false;
    }
    return lift_string(x, model, MODEL_MAX_BYTES, model_name, &x->model) &&
           (backend->type == JSON_NONE || lift_string(x, backend, BACKEND_MAX_BYTES, backend_name, &x->pin));
}

static bool is_stream_asked(const struct exchange *x)
{
    if (x->endpoint->stream == STREAM_MEMBER)
        return x->members[NAME_STREAM].type == JSON_TRUE;
    const struct json_member *format = &x->members[NAME_STREAM_FORMAT];
    return x->endpoint->stream == STREAM_FORMAT_SSE && format->type == JSON_STRING &&
           slice_eq(slice_sub(buf_slice(&x->body), format->value.from, format->value.to - format->value.from),
                    SLICE("\"sse\""));
}

static enum step refuse_json(struct exchange *x)
{
    struct slice why = json_status_text(x->scan.status);
    struct slice message = arena_printf(&x->arena, "The request body is not valid JSON: " SLICE_FMT " at byte %zu.",
                                        SLICE_ARG(why), x->scan.error_at);
    return reply_error(x, ERROR_BODY_NOT_JSON, message);
}

enum step lift_json(struct exchange *x)
{
    x->members = arena_alloc(&x->arena, x->snapshot->name_count * sizeof *x->members); // the scan clears them
    if (!x->members)
        return reply_error(x, ERROR_OVERLOADED, SLICE(""));
    x->scan = json_scan_object(buf_slice(&x->body), x->snapshot->names, x->members);
    if (x->scan.status != JSON_OK)
        return refuse_json(x);
    if (!lift_members(x))
        return STEP_REPLY;
    x->is_stream = is_stream_asked(x);
    return STEP_ROUTE;
}

// ---- headers --------------------------------------------------------------------------------------------------

static enum step refuse_pin(struct exchange *x, struct slice message)
{
    x->reply_param = SLICE("backend");
    return reply_error(x, ERROR_INTERNAL_HEADER, message);
}

// A client may pin by header as well as by body, but not by both in two ways (S2).
static enum step lift_pin(struct exchange *x)
{
    if (!x->pin_count)
        return STEP_ROUTE;
    if (x->pin_count > 1)
        return refuse_pin(x, SLICE("The header x-ai-eg-backend stands more than once."));
    if (!x->pin_header.len || x->pin_header.len > BACKEND_MAX_BYTES || has_control_byte(x->pin_header) ||
        !json_is_utf8(x->pin_header))
        return refuse_pin(x, SLICE("The header x-ai-eg-backend is empty, too long, or not plain text."));
    if (x->pin.len && !slice_eq(x->pin, x->pin_header))
        return refuse_pin(x, SLICE("The header x-ai-eg-backend and the member 'backend' of the body disagree."));
    x->pin = x->pin_header;
    return STEP_ROUTE;
}

static bool add_model(struct exchange *x)
{
    return !x->model.len || (head_add(x, FIELD_INTERNAL, SLICE("x-ai-eg-model"), x->model) &&
                             head_add(x, FIELD_INTERNAL, SLICE("x-ai-eg-model-log"), x->model));
}

static bool add_pin(struct exchange *x)
{
    return (!x->pin.len || head_add(x, FIELD_INTERNAL, SLICE("x-ai-eg-backend"), x->pin)) &&
           head_add(x, FIELD_INTERNAL, SLICE("x-ai-eg-original-path"), x->target);
}

enum step step_lift(struct exchange *x)
{
    enum step next = STEP_ROUTE;
    if (x->endpoint)
        next = x->endpoint->body == ENDPOINT_BODY_MULTIPART ? lift_form(x) : lift_json(x);
    if (next == STEP_ROUTE && !add_model(x)) // before the pin is judged: the log has the model either way (S3)
        next = reply_error(x, ERROR_INTERNAL, SLICE(""));
    if (next == STEP_ROUTE)
        next = lift_pin(x);
    if (next == STEP_ROUTE && !add_pin(x))
        next = reply_error(x, ERROR_INTERNAL, SLICE(""));
    return next;
}
