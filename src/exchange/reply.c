// Answers that Weir gives itself: errors in the shape of the endpoint that was called (S9), the model list, redirects.
#include "exchange/life.h"

// Fields of every local reply, in room for two more.
static bool begin_reply(struct exchange *x, uint16_t status, struct slice content_type)
{
    struct fields *fields = &x->reply.head.fields;
    x->reply = (struct exchange_reply){.head = {.status = status, .reason = http_reason(status), .version = HTTP_1_1}};
    fields->items = ARENA_ARRAY(&x->arena, struct field, 6);
    if (!fields->items)
        return false;
    fields->cap = 6;
    return (!content_type.len || fields_add(fields, &x->arena, SLICE("content-type"), content_type)) &&
           (!x->request_id.len || fields_add(fields, &x->arena, SLICE("x-request-id"), x->request_id));
}

static bool may_have_body(uint16_t status)
{
    return status >= 200 && status != 204 && status != 304;
}

static bool end_reply(struct exchange *x)
{
    char digits[24];
    struct buf text = {.ptr = digits, .cap = sizeof digits, .max = sizeof digits};
    buf_append_u64(&text, x->reply_body.len);
    struct slice length = arena_dup(&x->arena, buf_slice(&text));
    if (!slice_eq(x->method, SLICE("HEAD")) && may_have_body(x->reply.head.status))
        x->reply.body = buf_slice(&x->reply_body);
    return !may_have_body(x->reply.head.status) ||
           (length.ptr && fields_add(&x->reply.head.fields, &x->arena, SLICE("content-length"), length));
}

#define DRAIN_BYTES ((int64_t)64 * 1024) // of an unread body that is cheaper to read than a connection to make anew

// Whether what is left of the request makes the connection useless.
static bool must_close(const struct exchange *x, enum error_code error)
{
    switch (error) {
    case ERROR_MALFORMED_HEAD:
    case ERROR_MALFORMED_CHUNK:
    case ERROR_REQUEST_TIMEOUT:
    case ERROR_BODY_TOO_LARGE:
    case ERROR_TARGET_TOO_LONG:
    case ERROR_HEAD_TOO_LARGE:
    case ERROR_TRANSFER_CODING:
    case ERROR_HTTP_VERSION:
    case ERROR_DRAINING:
        return true;
    default:
        return !x->is_body_whole && (x->content_length < 0 || x->content_length > DRAIN_BYTES);
    }
}

static enum step finish_reply(struct exchange *x, bool is_ready, enum error_code error)
{
    if (!is_ready) { // without memory for more, a bare status is all that is left
        x->reply = (struct exchange_reply){.head = {.status = 503, .version = HTTP_1_1}};
        x->error = ERROR_OVERLOADED;
    }
    x->reply.must_close = must_close(x, error) || !is_ready;
    x->sent_status = x->reply.head.status;
    x->sent_fields = &x->reply.head.fields;
    x->step = STEP_REPLY;
    return STEP_REPLY;
}

enum step reply_error_with(struct exchange *x, enum error_code error, struct slice message, struct slice name,
                           struct slice value)
{
    const struct error_info *info = error_info(error);
    x->error = error;
    struct schema_error shown = {
        .status = info->status,
        .type = info->type,
        .code = info->code,
        .param = x->reply_param,
        .message = message.len ? message : info->message,
        .request_id = x->request_id,
    };
    buf_reset(&x->reply_body);
    bool is_ready = schema_write_error(x->endpoint ? x->endpoint->family : FAMILY_OPENAI, &shown, &x->reply_body) &&
                    begin_reply(x, info->status ? info->status : 502, SLICE("application/json")) &&
                    (!name.len || fields_add(&x->reply.head.fields, &x->arena, name, value)) && end_reply(x);
    return finish_reply(x, is_ready, error);
}

enum step reply_error(struct exchange *x, enum error_code error, struct slice message)
{
    if (error == ERROR_OVERFLOW || error == ERROR_DRAINING || error == ERROR_OVERLOADED)
        return reply_error_with(x, error, message, SLICE("retry-after"), SLICE("1"));
    return reply_error_with(x, error, message, SLICE(""), SLICE(""));
}

enum step reply_answer(struct exchange *x, uint16_t status, struct slice content_type, struct slice location)
{
    bool is_ready = !x->reply_body.has_failed && begin_reply(x, status, content_type) &&
                    (!location.len || fields_add(&x->reply.head.fields, &x->arena, SLICE("location"), location)) &&
                    end_reply(x);
    return finish_reply(x, is_ready, ERROR_NONE);
}

// ---- GET /v1/models -------------------------------------------------------------------------------------------

static bool write_model(struct buf *buf, const struct route_model *model)
{
    return buf_append(buf, SLICE("{\"id\":")) && json_write_string(buf, model->id) &&
           buf_append(buf, SLICE(",\"created\":")) && buf_append_i64(buf, model->created_s) &&
           buf_append(buf, SLICE(",\"object\":\"model\",\"owned_by\":")) && json_write_string(buf, model->owned_by) &&
           buf_append_byte(buf, '}');
}

enum step reply_models(struct exchange *x)
{
    struct route_model *models = NULL;
    size_t count = route_models(x->listener->table, http_host(x->authority), &x->fields, &x->arena, &models);
    struct buf *buf = &x->reply_body;
    x->is_body_whole = x->content_length == 0;
    buf_append(buf, SLICE("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_append_byte(buf, ',');
        write_model(buf, &models[i]);
    }
    buf_append(buf, SLICE("]}"));
    return reply_answer(x, 200, SLICE("application/json"), SLICE(""));
}
