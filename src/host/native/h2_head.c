// Collects the fields of a head and judges it.
#include "host/native/h2_head.h"

#define KEPT_BYTES 4096 // of each buffer, between heads

void h2_head_init(struct h2_head *head)
{
    *head = (struct h2_head){.error = ERROR_NONE};
    buf_init(&head->bytes, H2_HEAD_STORED_MAX);
    buf_init(&head->spans, H1_MAX_FIELDS * sizeof(struct h2_span));
}

void h2_head_fini(struct h2_head *head)
{
    buf_fini(&head->bytes);
    buf_fini(&head->spans);
}

void h2_head_trim(struct h2_head *head)
{
    if (head->bytes.cap <= KEPT_BYTES && head->spans.cap <= KEPT_BYTES)
        return;
    h2_head_fini(head);
    h2_head_init(head);
}

void h2_head_begin(struct h2_head *head, const struct h1_limits *limits, bool is_answer)
{
    buf_reset(&head->bytes);
    buf_reset(&head->spans);
    head->bytes.has_failed = head->spans.has_failed = false;
    head->limits = *limits;
    head->method = head->target = head->authority = head->host = head->status = (struct h2_span){0};
    head->is_answer = is_answer;
    head->counted = head->field_count = head->crumb_count = 0;
    head->error = ERROR_NONE;
}

// ---- collecting ---------------------------------------------------------------------------------------------------

static void set_error(struct h2_head *head, enum error_code error)
{
    if (head->error == ERROR_NONE)
        head->error = error;
}

static struct h2_span store(struct h2_head *head, struct slice name, struct slice value)
{
    struct h2_span span = {(uint32_t)head->bytes.len, (uint32_t)name.len, (uint32_t)(head->bytes.len + name.len),
                           (uint32_t)value.len};
    if (!buf_append(&head->bytes, name) || !buf_append(&head->bytes, value))
        set_error(head, ERROR_HEAD_TOO_LARGE);
    return span;
}

static void take_pseudo(struct h2_head *head, struct slice name, struct slice value)
{
    if (slice_eq(name, SLICE(":path")) && value.len > head->limits.target_bytes)
        set_error(head, ERROR_TARGET_TOO_LONG);
    if (head->error != ERROR_NONE)
        return;
    struct h2_span span = store(head, name, value);
    if (slice_eq(name, SLICE(":method")))
        head->method = span;
    else if (slice_eq(name, SLICE(":path")))
        head->target = span;
    else if (slice_eq(name, SLICE(":authority")))
        head->authority = span;
    else if (slice_eq(name, SLICE(":status")))
        head->status = span;
}

// A second Host is as bad as one that differs from :authority.
static void take_host(struct h2_head *head, struct slice name, struct slice value)
{
    if (head->host.name_len)
        set_error(head, ERROR_MALFORMED_HEAD);
    head->host = store(head, name, value);
}

bool h2_head_field(struct h2_head *head, struct slice name, struct slice value)
{
    bool is_pseudo = name.len && name.ptr[0] == ':';
    head->counted += name.len + value.len + (is_pseudo ? 2 : 4); // ": " and the end of a line
    if (!is_pseudo || slice_eq(name, SLICE(":authority")))
        head->field_count++;
    if (head->counted > H2_HEAD_DECODED_MAX)
        return false;
    if (is_pseudo) {
        take_pseudo(head, name, value);
        return true;
    }
    if (head->counted > head->limits.head_bytes || head->field_count > head->limits.head_fields)
        set_error(head, ERROR_HEAD_TOO_LARGE);
    if (head->error != ERROR_NONE)
        return true;
    if (!head->is_answer && slice_eq(name, SLICE("host"))) {
        take_host(head, name, value);
        return true;
    }
    head->crumb_count += !head->is_answer && slice_eq(name, SLICE("cookie"));
    struct h2_span span = store(head, name, value);
    if (!buf_append(&head->spans, slice_make((const char *)&span, sizeof span)))
        set_error(head, ERROR_HEAD_TOO_LARGE);
    return true;
}

// ---- the head as a whole ------------------------------------------------------------------------------------------

static struct slice value_of(const struct h2_head *head, const struct h2_span *span)
{
    if (!head->bytes.ptr)
        return slice_make("", 0);
    return slice_make(head->bytes.ptr + span->value_at, span->value_len);
}

// Cookie crumbs become one field (RFC 9113 section 8.2.3), behind all that was collected.
static bool join_crumbs(struct h2_head *head, const struct h2_span *list, size_t count, struct slice *ret_value)
{
    if (!buf_reserve(&head->bytes, head->bytes.len + 2 * head->crumb_count)) // no append below moves the bytes
        return false;
    size_t begin = head->bytes.len;
    for (size_t i = 0; i < count; i++) {
        if (list[i].name_len != 6 || memcmp(head->bytes.ptr + list[i].name_at, "cookie", 6) != 0)
            continue;
        if (head->bytes.len > begin)
            buf_append(&head->bytes, SLICE("; "));
        buf_append(&head->bytes, value_of(head, &list[i]));
    }
    *ret_value = slice_make(head->bytes.ptr + begin, head->bytes.len - begin);
    return true;
}

static bool list_fields(struct h2_head *head, struct h1_spans *spans)
{
    const struct h2_span *list = (const struct h2_span *)(const void *)head->spans.ptr;
    size_t count = head->spans.len / sizeof *list;
    struct slice cookie = {NULL, 0};
    if (head->crumb_count > 1 && !join_crumbs(head, list, count, &cookie))
        return false;
    bool is_cookie_told = false;
    spans->field_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct field field = {slice_make(head->bytes.ptr + list[i].name_at, list[i].name_len),
                              value_of(head, &list[i])};
        if (cookie.ptr && slice_eq(field.name, SLICE("cookie"))) {
            if (is_cookie_told)
                continue;
            is_cookie_told = true;
            field.value = cookie;
        }
        spans->fields[spans->field_count++] = field;
    }
    return true;
}

// The methods that llhttp knows, so that both protocols refuse the same ones.
static bool is_method(struct slice method)
{
#define METHOD(number, name, text) SLICE_INIT(#text),
    static const struct slice methods[] = {HTTP_METHOD_MAP(METHOD)};
#undef METHOD
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (slice_eq(methods[i], method))
            return true;
    return false;
}

static enum error_code check_target(struct slice method, struct slice target)
{
    if (slice_eq(method, SLICE("CONNECT")))
        return ERROR_METHOD_NOT_ALLOWED;
    if (!is_method(method))
        return ERROR_MALFORMED_HEAD;
    if (slice_eq(target, SLICE("*")))
        return slice_eq(method, SLICE("OPTIONS")) ? ERROR_NONE : ERROR_MALFORMED_HEAD;
    if (target.len == 0 || target.ptr[0] != '/')
        return ERROR_MALFORMED_HEAD;
    for (size_t i = 0; i < target.len; i++) {
        unsigned char byte = (unsigned char)target.ptr[i];
        if (byte <= 0x20 || byte == 0x7f || byte == '#')
            return ERROR_MALFORMED_HEAD;
    }
    return ERROR_NONE;
}

// :authority, or Host where that alone was sent; both must say the same (RFC 9113 section 8.3.1).
static bool take_authority(const struct h2_head *head, struct slice *ret_authority)
{
    struct slice host = value_of(head, &head->host);
    *ret_authority = value_of(head, head->authority.name_len ? &head->authority : &head->host);
    if (head->authority.name_len && head->host.name_len && !slice_eq_nocase(host, *ret_authority))
        return false;
    return http_is_authority(*ret_authority);
}

// nghttp2 compares the length with what DATA frames carry.
static bool frame_request(struct h1_request *request, bool is_end)
{
    const struct fields *fields = &request->head.fields;
    const struct field *length = fields_find(fields, SLICE("content-length"));
    uint64_t value = 0;
    if (length &&
        (fields_count(fields, SLICE("content-length")) > 1 || !slice_to_u64(length->value, INT64_MAX, &value)))
        return false;
    request->content_length = is_end ? 0 : length ? (int64_t)value : -1;
    return true;
}

enum error_code h2_head_request(struct h2_head *head, bool is_end, struct h1_spans *spans,
                                struct h1_request *ret_request)
{
    if (head->error != ERROR_NONE)
        return head->error;
    struct request_head *request = &ret_request->head;
    if (!head->bytes.ptr || !list_fields(head, spans))
        return ERROR_OVERLOADED;
    request->method = value_of(head, &head->method);
    request->target = value_of(head, &head->target);
    request->scheme = SLICE("http");
    request->version = HTTP_2;
    request->fields = (struct fields){spans->fields, spans->field_count, H1_MAX_FIELDS};
    ret_request->is_keep_alive = true;
    enum error_code error = check_target(request->method, request->target);
    if (error != ERROR_NONE)
        return error;
    if (!take_authority(head, &request->authority) || !frame_request(ret_request, is_end))
        return ERROR_MALFORMED_HEAD;
    return h1_check_expect(ret_request);
}

// ---- answers ------------------------------------------------------------------------------------------------------

static bool read_status(struct slice text, uint16_t *ret_status)
{
    uint64_t status = 0;
    if (text.len != 3 || !slice_to_u64(text, 999, &status) || status < 100 || status == 101)
        return false;
    *ret_status = (uint16_t)status;
    return true;
}

static bool frame_response(struct h1_response *response, bool is_end, bool is_head)
{
    const struct fields *fields = &response->head.fields;
    const struct field *length = fields_find(fields, SLICE("content-length"));
    uint64_t value = 0;
    uint16_t status = response->head.status;
    if (length &&
        (fields_count(fields, SLICE("content-length")) > 1 || !slice_to_u64(length->value, INT64_MAX, &value)))
        return false;
    if (fields_find(fields, SLICE("transfer-encoding")))
        return false;
    response->content_length = length ? (int64_t)value : -1;
    response->has_body = !is_end && !is_head && status != 204 && status != 304 && response->content_length != 0;
    if (is_end && !length && !is_head && status != 204 && status != 304)
        response->content_length = 0;
    return true;
}

enum error_code h2_head_response(struct h2_head *head, bool is_end, bool is_head, struct h1_spans *spans,
                                 struct h1_response *ret_response)
{
    struct response_head *response = &ret_response->head;
    if (head->error != ERROR_NONE)
        return ERROR_UPSTREAM_TOO_LARGE;
    if (!head->bytes.ptr || !list_fields(head, spans) || !read_status(value_of(head, &head->status), &response->status))
        return ERROR_UPSTREAM_MALFORMED;
    response->reason = slice_make("", 0);
    response->version = HTTP_2;
    response->fields = (struct fields){spans->fields, spans->field_count, H1_MAX_FIELDS};
    ret_response->is_keep_alive = true;
    return frame_response(ret_response, is_end, is_head) ? ERROR_NONE : ERROR_UPSTREAM_MALFORMED;
}
