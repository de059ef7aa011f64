#include "host/envoy/refusal.h"

#include <stdio.h>

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

struct slice refusal_body(enum error_code error, struct arena *arena)
{
    const struct error_info *info = error_info(error);
    struct slice body = arena_printf(arena,
                                     "{\"error\":{\"message\":\"" SLICE_FMT "\",\"type\":\"" SLICE_FMT
                                     "\",\"param\":null,\"code\":\"" SLICE_FMT "\"}}",
                                     SLICE_ARG(info->message), SLICE_ARG(info->type), SLICE_ARG(info->code));
    return body.ptr ? body : SLICE("");
}

static void add(struct refusal *refusal, struct slice name, struct slice value)
{
    refusal->headers[refusal->count++] = (struct envoy_header){name.ptr, name.len, value.ptr, value.len};
}

void refusal_make(struct refusal *refusal, enum error_code error, struct arena *arena, const uint64_t random[2])
{
    int len = snprintf(refusal->id, sizeof refusal->id, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(random[0] >> 32),
                       (unsigned)(random[0] >> 16) & 0xffff, (unsigned)random[0] & 0xfff, (unsigned)(random[1] >> 52),
                       (unsigned long long)random[1] & 0xffffffffffffULL);
    refusal->count = 0;
    refusal->body = refusal_body(error, arena);
    add(refusal, SLICE("content-type"), SLICE("application/json"));
    add(refusal, SLICE("x-request-id"), slice_make(refusal->id, (size_t)len));
    if (error == ERROR_METHOD_NOT_ALLOWED)
        add(refusal, SLICE("allow"), SLICE(HTTP_METHODS_SERVED));
}

void refusal_write_head(struct envoy_filter *filter, enum error_code error, const struct refusal *refusal)
{
    headers_set_number(filter, ENVOY_RESPONSE_HEADERS, SLICE(":status"), error_info(error)->status);
    for (size_t i = 0; i < refusal->count; i++) {
        const struct envoy_header *header = &refusal->headers[i];
        headers_set(filter, ENVOY_RESPONSE_HEADERS, slice_make(header->name, header->name_len),
                    slice_make(header->value, header->value_len));
    }
    headers_set_number(filter, ENVOY_RESPONSE_HEADERS, SLICE("content-length"), refusal->body.len);
}
