#include "host/envoy/refusal.h"

static bool is_target(const struct header_map *head)
{
    if (slice_eq(head->path, SLICE("*")))
        return slice_eq(head->method, SLICE("OPTIONS"));
    return head->path.len && head->path.ptr[0] == '/' && slice_find(head->path, '#') == SLICE_NOT_FOUND;
}

// Envoy has taken the one expectation that it knows off the head.
static bool is_expectation_met(const struct header_map *head, enum http_version version)
{
    struct slice expect = fields_value(&head->fields, SLICE("expect"));
    return !expect.ptr || version == HTTP_1_0 || slice_eq_nocase(expect, SLICE("100-continue"));
}

// Of HTTP/1.0 a Host may be missing. HTTP/0.9, which Envoy takes for it, has no fields at all.
static bool is_authority(const struct header_map *head, enum http_version version)
{
    if (version != HTTP_1_0 || head->authority.len)
        return http_is_authority(head->authority);
    for (size_t i = 0; i < head->fields.count; i++)
        if (!slice_starts_with(head->fields.items[i].name, SLICE("x-forwarded-"))) // Envoy's own
            return true;
    return false;
}

enum error_code refusal_of_head(const struct config_client *limits, enum http_version version,
                                const struct header_map *head)
{
    if (slice_eq(head->method, SLICE("CONNECT")))
        return ERROR_METHOD_NOT_ALLOWED;
    if (head->path.len > limits->target_bytes)
        return ERROR_TARGET_TOO_LONG;
    if (!is_target(head) || head->is_length_malformed)
        return ERROR_MALFORMED_HEAD;
    if (!is_authority(head, version))
        return ERROR_MALFORMED_HEAD;
    return is_expectation_met(head, version) ? ERROR_NONE : ERROR_EXPECTATION;
}

void refusal_send(struct envoy_filter *filter, enum error_code error, const struct refusal *refusal)
{
    struct envoy_header headers[sizeof refusal->fields / sizeof refusal->fields[0]];
    const struct fields *fields = &refusal->head.fields;
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        headers[i] = (struct envoy_header){field->name.ptr, field->name.len, field->value.ptr, field->value.len};
    }
    ENVOY_CALL(http_send_response)
    (filter, refusal->head.status, headers, fields->count, bytes_of(refusal->body),
     bytes_of(error_info(error)->details));
}

void refusal_write_head(struct envoy_filter *filter, const struct refusal *refusal)
{
    headers_set_number(filter, ENVOY_RESPONSE_HEADERS, SLICE(":status"), refusal->head.status);
    for (size_t i = 0; i < refusal->head.fields.count; i++)
        headers_set(filter, ENVOY_RESPONSE_HEADERS, refusal->fields[i].name, refusal->fields[i].value);
    headers_set_number(filter, ENVOY_RESPONSE_HEADERS, SLICE("content-length"), refusal->body.len);
}
