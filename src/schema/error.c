// Error bodies and error events in the shape of the endpoint's family (S8, S9).
#include "json/json.h"
#include "schema/schema.h"

static bool write_member(struct buf *buf, struct slice name_and_colon, struct slice text)
{
    if (!buf_append(buf, name_and_colon))
        return false;
    return text.len ? json_write_string(buf, text) : buf_append(buf, SLICE("null"));
}

// The members of OpenAI's error object: message, type, param, code.
static bool write_openai_members(struct buf *buf, const struct schema_error *error)
{
    return write_member(buf, SLICE("\"message\":"), error->message) &&
           write_member(buf, SLICE(",\"type\":"), error->type) &&
           write_member(buf, SLICE(",\"param\":"), error->param) && write_member(buf, SLICE(",\"code\":"), error->code);
}

static bool write_openai(struct buf *buf, const struct schema_error *error)
{
    return buf_append(buf, SLICE("{\"error\":{")) && write_openai_members(buf, error) && buf_append(buf, SLICE("}}"));
}

// Anthropic's API errors: the type follows the status, the request id stands beside the error.
static struct slice anthropic_type(uint16_t status)
{
    switch (status) {
    case 401:
        return SLICE("authentication_error");
    case 403:
        return SLICE("permission_error");
    case 404:
        return SLICE("not_found_error");
    case 413:
        return SLICE("request_too_large");
    case 429:
        return SLICE("rate_limit_error");
    case 503:
        return SLICE("overloaded_error");
    default:
        return status >= 400 && status < 500 ? SLICE("invalid_request_error") : SLICE("api_error");
    }
}

static bool write_anthropic(struct buf *buf, const struct schema_error *error)
{
    return buf_append(buf, SLICE("{\"type\":\"error\",\"error\":{")) &&
           write_member(buf, SLICE("\"type\":"), anthropic_type(error->status)) &&
           write_member(buf, SLICE(",\"message\":"), error->message) &&
           write_member(buf, SLICE("},\"request_id\":"), error->request_id) && buf_append_byte(buf, '}');
}

bool schema_write_error(enum endpoint_family family, const struct schema_error *error, struct buf *buf)
{
    switch (family) {
    case FAMILY_ANTHROPIC:
        return write_anthropic(buf, error);
    case FAMILY_COHERE:
        return buf_append_byte(buf, '{') && write_member(buf, SLICE("\"message\":"), error->message) &&
               buf_append_byte(buf, '}');
    case FAMILY_OPENAI:
        break;
    }
    return write_openai(buf, error);
}

// Responses API: an `error` event whose object has the error's members at its top.
static bool write_responses_event(struct buf *buf, const struct schema_error *error)
{
    return buf_append(buf, SLICE("event: error\ndata: {\"type\":\"error\",")) &&
           write_member(buf, SLICE("\"code\":"), error->code.len ? error->code : error->type) &&
           write_member(buf, SLICE(",\"message\":"), error->message) &&
           write_member(buf, SLICE(",\"param\":"), error->param) && buf_append(buf, SLICE("}\n\n"));
}

bool schema_write_error_event(const struct endpoint *endpoint, const struct schema_error *error, struct buf *buf)
{
    if (endpoint->id == ENDPOINT_RESPONSES)
        return write_responses_event(buf, error);
    if (endpoint->family == FAMILY_ANTHROPIC && !buf_append(buf, SLICE("event: error\n")))
        return false;
    return buf_append(buf, SLICE("data: ")) && schema_write_error(endpoint->family, error, buf) &&
           buf_append(buf, SLICE("\n\n"));
}
