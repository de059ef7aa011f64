// Reading HTTP/1.1 messages. A head that comes in one piece is parsed once, in place. One that comes in several is
// checked as it comes (so that a bad one is refused at once) and parsed again when it is whole and contiguous.
#include "host/native/h1.h"

// What the callbacks of one llhttp_execute write to; reached through parser->data.
struct h1_feed {
    struct h1_reader *reader;
    struct h1_spans *spans; // NULL: only check
    const struct h1_limits *limits;
    char *body; // where the next content byte of a chunked body goes
    size_t body_len;
};

static struct h1_feed *feed_of(llhttp_t *parser)
{
    return parser->data;
}

static int fail(llhttp_t *parser, enum error_code error)
{
    feed_of(parser)->reader->error = error;
    llhttp_set_error_reason(parser, error_info(error)->name.ptr);
    return HPE_USER;
}

// ---- heads --------------------------------------------------------------------------------------------------------

static int on_method(llhttp_t *parser, const char *at, size_t len)
{
    struct h1_feed *feed = feed_of(parser);
    if (feed->spans)
        feed->spans->method = slice_make(at, len);
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct h1_feed *feed = feed_of(parser);
    feed->reader->target_bytes += (uint32_t)len;
    if (feed->reader->target_bytes > feed->limits->target_bytes)
        return fail(parser, ERROR_TARGET_TOO_LONG);
    if (feed->spans)
        feed->spans->target = slice_make(at, len);
    return 0;
}

static int on_version(llhttp_t *parser, const char *at, size_t len)
{
    struct h1_feed *feed = feed_of(parser);
    if (feed->spans)
        feed->spans->version = slice_make(at, len);
    return 0;
}

static int on_reason(llhttp_t *parser, const char *at, size_t len)
{
    struct h1_feed *feed = feed_of(parser);
    if (feed->spans)
        feed->spans->reason = slice_make(at, len);
    return 0;
}

// Trailers are dropped, within the limits of a head (S11).
static int count_trailer(llhttp_t *parser, size_t len, bool is_name)
{
    struct h1_reader *reader = feed_of(parser)->reader;
    reader->trailer_fields += is_name;
    reader->trailer_bytes += (uint32_t)len;
    if (reader->trailer_bytes > reader->max_trailer_bytes || reader->trailer_fields > reader->max_trailer_fields)
        return fail(parser, ERROR_HEAD_TOO_LARGE);
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len)
{
    struct h1_feed *feed = feed_of(parser);
    if (parser->flags & F_TRAILING)
        return count_trailer(parser, len, true);
    struct h1_spans *spans = feed->spans;
    if (!spans)
        return 0;
    if (spans->field_count >= feed->limits->head_fields || spans->field_count >= H1_MAX_FIELDS)
        return fail(parser, ERROR_HEAD_TOO_LARGE);
    spans->fields[spans->field_count++] = (struct field){slice_make(at, len), {"", 0}};
    spans->is_value_seen = false;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len)
{
    struct h1_feed *feed = feed_of(parser);
    if (parser->flags & F_TRAILING)
        return count_trailer(parser, len, false);
    struct h1_spans *spans = feed->spans;
    if (!spans || spans->field_count == 0)
        return 0;
    struct slice *value = &spans->fields[spans->field_count - 1].value;
    if (spans->is_value_seen) // told in parts: they lie side by side
        value->len = (size_t)(at + len - value->ptr);
    else
        *value = slice_make(at, len);
    spans->is_value_seen = true;
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    parser->upgrade = 0; // an Upgrade field is judged by check_upgrade, never obeyed
    return HPE_PAUSED;
}

// ---- chunked bodies -----------------------------------------------------------------------------------------------

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct h1_feed *feed = feed_of(parser);
    char *to = feed->body + feed->body_len;
    if (to != at)
        memmove(to, at, len);
    feed->body_len += len;
    return 0;
}

static int on_chunk_extension(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    struct h1_reader *reader = feed_of(parser)->reader;
    reader->extension_bytes += (uint32_t)len;
    return reader->extension_bytes > H1_MAX_CHUNK_EXTENSION ? fail(parser, ERROR_MALFORMED_CHUNK) : 0;
}

static int on_chunk_header(llhttp_t *parser)
{
    feed_of(parser)->reader->extension_bytes = 0;
    return parser->content_length > INT64_MAX ? fail(parser, ERROR_MALFORMED_CHUNK) : 0;
}

static int on_message_complete(llhttp_t *parser)
{
    feed_of(parser)->reader->is_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_status = on_reason,
    .on_method = on_method,
    .on_version = on_version,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
    .on_chunk_header = on_chunk_header,
};

// ---- reading a head -----------------------------------------------------------------------------------------------

static void start(struct h1_reader *reader, llhttp_type_t type, const struct h1_limits *limits)
{
    llhttp_init(&reader->parser, type, &settings);
    reader->left = 0;
    reader->error = ERROR_NONE;
    reader->body = H1_BODY_NONE;
    reader->target_bytes = reader->extension_bytes = reader->trailer_bytes = reader->trailer_fields = 0;
    reader->max_trailer_bytes = (uint32_t)limits->head_bytes;
    reader->max_trailer_fields = (uint32_t)limits->head_fields;
    reader->is_complete = false;
}

static enum error_code error_of(const struct h1_reader *reader, llhttp_errno_t code)
{
    switch (code) {
    case HPE_USER:
        return reader->error;
    case HPE_INVALID_VERSION: // also said of a line that does not end as it should behind a good version
        return reader->parser.http_major == 1 && reader->parser.http_minor <= 1 ? ERROR_MALFORMED_HEAD
                                                                                : ERROR_HTTP_VERSION;
    case HPE_PAUSED_H2_UPGRADE:
        return ERROR_HTTP_VERSION;
    case HPE_INVALID_TRANSFER_ENCODING:
        // Together with a content-length it is a smuggling attempt, alone a coding that we do not know.
        return reader->parser.flags & F_CONTENT_LENGTH ? ERROR_MALFORMED_HEAD : ERROR_TRANSFER_CODING;
    default:
        return ERROR_MALFORMED_HEAD;
    }
}

static llhttp_errno_t execute(struct h1_reader *reader, struct h1_feed *feed, const char *at, size_t len)
{
    reader->parser.data = feed;
    llhttp_errno_t code = llhttp_execute(&reader->parser, at, len);
    reader->parser.data = NULL;
    return code;
}

// llhttp skips any CR and LF in front; one empty line is what RFC 9112 section 2.2 asks for, and all that we take.
static bool begins_well(struct slice bytes)
{
    if (bytes.len == 0 || (bytes.ptr[0] != '\r' && bytes.ptr[0] != '\n'))
        return true;
    if (bytes.ptr[0] == '\n' || (bytes.len > 1 && bytes.ptr[1] != '\n'))
        return false;
    return bytes.len < 3 || (bytes.ptr[2] != '\r' && bytes.ptr[2] != '\n');
}

// The parser stands paused behind the empty line; how many bytes of `bytes` that are.
static size_t paused_at(const struct h1_reader *reader, struct slice bytes)
{
    return (size_t)(llhttp_get_error_pos(&reader->parser) - bytes.ptr);
}

static enum h1_result read_head(struct h1_reader *reader, llhttp_type_t type, struct slice bytes, size_t fed,
                                const struct h1_limits *limits, struct h1_spans *spans, size_t *ret_used)
{
    struct h1_feed feed = {.reader = reader, .limits = limits, .spans = fed ? NULL : spans};
    if (fed == 0)
        start(reader, type, limits);
    if (!begins_well(bytes)) {
        reader->error = ERROR_MALFORMED_HEAD;
        return H1_FAILED;
    }
    spans->field_count = 0;
    spans->method = spans->target = spans->version = spans->reason = slice_make("", 0);
    llhttp_errno_t code = execute(reader, &feed, bytes.ptr + fed, bytes.len - fed);
    if (code == HPE_PAUSED && fed) {
        start(reader, type, limits);
        feed = (struct h1_feed){.reader = reader, .limits = limits, .spans = spans};
        code = execute(reader, &feed, bytes.ptr, bytes.len);
    }
    size_t used = code == HPE_PAUSED ? paused_at(reader, bytes) : bytes.len;
    if ((code == HPE_OK || code == HPE_PAUSED) && used > limits->head_bytes) {
        reader->error = ERROR_HEAD_TOO_LARGE;
        return H1_FAILED;
    }
    if (code == HPE_OK)
        return H1_MORE;
    if (code != HPE_PAUSED) {
        reader->error = error_of(reader, code);
        return H1_FAILED;
    }
    llhttp_resume(&reader->parser);
    *ret_used = used;
    return H1_READY;
}

// ---- checks of our own --------------------------------------------------------------------------------------------

// transfer-encoding must be exactly "chunked", once (RFC 9112 section 6.1).
static enum error_code check_transfer_coding(const struct fields *fields, bool *ret_chunked)
{
    *ret_chunked = false;
    size_t count = fields_count(fields, SLICE("transfer-encoding"));
    if (count == 0)
        return ERROR_NONE;
    if (count > 1)
        return ERROR_MALFORMED_HEAD;
    if (!slice_eq_nocase(fields_value(fields, SLICE("transfer-encoding")), SLICE("chunked")))
        return ERROR_TRANSFER_CODING;
    if (fields_find(fields, SLICE("content-length")))
        return ERROR_MALFORMED_HEAD;
    *ret_chunked = true;
    return ERROR_NONE;
}

// -1 when there is none. llhttp refuses repeated and overlong ones; the digits are checked here once more.
static bool content_length(const struct fields *fields, int64_t *ret_length)
{
    const struct field *field = fields_find(fields, SLICE("content-length"));
    uint64_t value;
    *ret_length = -1;
    if (!field)
        return true;
    if (fields_count(fields, SLICE("content-length")) > 1 || !slice_to_u64(field->value, INT64_MAX, &value))
        return false;
    *ret_length = (int64_t)value;
    return true;
}

// Values as the core wants them, and no byte in them that could end a line somewhere else.
static bool trim_fields(struct h1_spans *spans)
{
    for (size_t i = 0; i < spans->field_count; i++) {
        struct field *field = &spans->fields[i];
        field->value = slice_trim(field->value);
        if (http_has_control_byte(field->value))
            return false;
    }
    return true;
}

// Takes the one Host field out of the list into `authority`.
static bool take_host(struct h1_spans *spans, enum http_version version, struct slice *ret_authority)
{
    size_t kept = 0, hosts = 0;
    for (size_t i = 0; i < spans->field_count; i++) {
        if (slice_eq_nocase(spans->fields[i].name, SLICE("host"))) {
            *ret_authority = spans->fields[i].value;
            hosts++;
        } else {
            spans->fields[kept++] = spans->fields[i];
        }
    }
    spans->field_count = kept;
    if (hosts == 0)
        return version == HTTP_1_0;
    return hosts == 1 && http_is_authority(*ret_authority);
}

// Absolute form (RFC 9112 section 3.2.2): its authority stands in for Host, the rest becomes the origin form.
static bool split_absolute(struct h1_spans *spans, struct request_head *head, size_t scheme_len)
{
    struct slice rest = slice_from(head->target, scheme_len);
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    head->authority = slice_sub(rest, 0, end);
    if (!http_is_authority(head->authority))
        return false;
    rest = slice_from(rest, end);
    if (rest.len && rest.ptr[0] == '/') {
        head->target = rest;
        return true;
    }
    if (rest.len + 1 > sizeof spans->target_text)
        return false;
    bool is_options = slice_eq(head->method, SLICE("OPTIONS")) && rest.len == 0;
    spans->target_text[0] = is_options ? '*' : '/';
    memcpy(spans->target_text + 1, rest.ptr, rest.len);
    head->target = slice_make(spans->target_text, rest.len + 1);
    return true;
}

static enum error_code check_target(struct h1_spans *spans, struct request_head *head)
{
    if (head->method.ptr + head->method.len + 1 != head->target.ptr) // one blank, not several
        return ERROR_MALFORMED_HEAD;
    if (slice_eq(head->method, SLICE("CONNECT")))
        return ERROR_METHOD_NOT_ALLOWED;
    if (slice_find(head->target, '#') != SLICE_NOT_FOUND)
        return ERROR_MALFORMED_HEAD;
    if (head->target.len && head->target.ptr[0] == '/')
        return ERROR_NONE;
    if (slice_eq(head->target, SLICE("*")))
        return slice_eq(head->method, SLICE("OPTIONS")) ? ERROR_NONE : ERROR_MALFORMED_HEAD;
    if (slice_starts_with_nocase(head->target, SLICE("http://")))
        return split_absolute(spans, head, 7) ? ERROR_NONE : ERROR_MALFORMED_HEAD;
    if (slice_starts_with_nocase(head->target, SLICE("https://")))
        return split_absolute(spans, head, 8) ? ERROR_NONE : ERROR_MALFORMED_HEAD;
    return ERROR_MALFORMED_HEAD;
}

// The protocol's name is checked too: llhttp knows RTSP and ICE, we don't.
static enum error_code check_version(const struct h1_spans *spans, enum http_version *ret_version)
{
    struct slice version = spans->version;
    if (version.len != 3 || spans->target.len == 0)
        return ERROR_HTTP_VERSION;
    if (version.ptr != spans->target.ptr + spans->target.len + 6) // " HTTP/": one blank, not several
        return ERROR_MALFORMED_HEAD;
    if (memcmp(version.ptr - 6, " HTTP/", 6) != 0)
        return ERROR_HTTP_VERSION;
    if (slice_eq(version, SLICE("1.1")))
        *ret_version = HTTP_1_1;
    else if (slice_eq(version, SLICE("1.0")))
        *ret_version = HTTP_1_0;
    else
        return ERROR_HTTP_VERSION;
    return ERROR_NONE;
}

enum error_code h1_check_expect(struct h1_request *request)
{
    struct slice expect = fields_value(&request->head.fields, SLICE("expect"));
    request->expects_continue = false;
    if (!expect.ptr || request->head.version == HTTP_1_0)
        return ERROR_NONE;
    if (!slice_eq_nocase(expect, SLICE("100-continue")))
        return ERROR_EXPECTATION;
    request->expects_continue = request->content_length != 0;
    return ERROR_NONE;
}

// An offer to go over to HTTP/2 may be ignored (RFC 9110 section 7.8); whoever asks for another protocol would not
// understand an ordinary answer.
static enum error_code check_upgrade(const struct fields *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        if (slice_eq_nocase(fields->items[i].name, SLICE("upgrade")) &&
            !slice_eq_nocase(fields->items[i].value, SLICE("h2c")))
            return ERROR_UPGRADE;
    return ERROR_NONE;
}

static bool keeps_alive(const struct h1_reader *reader, enum http_version version)
{
    if (version == HTTP_1_0)
        return (reader->parser.flags & F_CONNECTION_KEEP_ALIVE) && !(reader->parser.flags & F_CONNECTION_CLOSE);
    return !(reader->parser.flags & F_CONNECTION_CLOSE);
}

static enum error_code frame_request(struct h1_reader *reader, struct h1_request *request)
{
    bool is_chunked;
    enum error_code error = check_transfer_coding(&request->head.fields, &is_chunked);
    if (error != ERROR_NONE)
        return error;
    if (is_chunked && request->head.version == HTTP_1_0)
        return ERROR_MALFORMED_HEAD;
    if (!content_length(&request->head.fields, &request->content_length))
        return ERROR_MALFORMED_HEAD;
    if (is_chunked) {
        reader->body = H1_BODY_CHUNKED;
    } else if (request->content_length > 0) {
        reader->body = H1_BODY_LENGTH;
        reader->left = (uint64_t)request->content_length;
    } else {
        reader->is_complete = true;
        request->content_length = 0;
    }
    return ERROR_NONE;
}

static enum error_code make_request(struct h1_reader *reader, struct h1_spans *spans, struct h1_request *request)
{
    struct request_head *head = &request->head;
    enum error_code error = check_version(spans, &head->version);
    if (error != ERROR_NONE)
        return error;
    head->method = spans->method;
    head->target = spans->target;
    head->authority = slice_make("", 0);
    head->scheme = SLICE("http");
    if (!trim_fields(spans) || !take_host(spans, head->version, &head->authority))
        return ERROR_MALFORMED_HEAD;
    head->fields = (struct fields){spans->fields, spans->field_count, H1_MAX_FIELDS};
    error = check_target(spans, head);
    if (error == ERROR_NONE)
        error = frame_request(reader, request);
    if (error == ERROR_NONE)
        error = h1_check_expect(request);
    if (error == ERROR_NONE)
        error = check_upgrade(&head->fields);
    request->is_keep_alive = keeps_alive(reader, head->version);
    return error;
}

enum h1_result h1_read_request(struct h1_reader *reader, struct slice bytes, size_t fed, const struct h1_limits *limits,
                               struct h1_spans *spans, struct h1_request *ret_request, size_t *ret_used)
{
    enum h1_result result = read_head(reader, HTTP_REQUEST, bytes, fed, limits, spans, ret_used);
    if (result != H1_READY)
        return result;
    reader->error = make_request(reader, spans, ret_request);
    return reader->error == ERROR_NONE ? H1_READY : H1_FAILED;
}

// ---- answers ------------------------------------------------------------------------------------------------------

static bool frame_response(struct h1_reader *reader, struct h1_response *response, bool is_head)
{
    bool is_chunked;
    uint16_t status = response->head.status;
    if (check_transfer_coding(&response->head.fields, &is_chunked) != ERROR_NONE ||
        !content_length(&response->head.fields, &response->content_length))
        return false;
    if (is_chunked && response->head.version == HTTP_1_0)
        return false;
    if (is_head || status < 200 || status == 204 || status == 304 || response->content_length == 0) {
        reader->is_complete = true;
        response->has_body = false;
        return true;
    }
    response->has_body = true;
    if (is_chunked)
        reader->body = H1_BODY_CHUNKED;
    else if (response->content_length > 0)
        reader->body = H1_BODY_LENGTH, reader->left = (uint64_t)response->content_length;
    else
        reader->body = H1_BODY_UNTIL_CLOSE;
    return true;
}

// RFC 9112 section 4: llhttp takes any byte up to the end of the line.
static bool is_reason(struct slice reason)
{
    for (size_t i = 0; i < reason.len; i++) {
        unsigned char byte = (unsigned char)reason.ptr[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

static bool make_response(struct h1_reader *reader, struct h1_spans *spans, bool is_head, struct h1_response *response)
{
    struct response_head *head = &response->head;
    head->status = reader->parser.status_code;
    head->reason = spans->reason;
    if (slice_eq(spans->version, SLICE("1.1")))
        head->version = HTTP_1_1;
    else if (slice_eq(spans->version, SLICE("1.0")))
        head->version = HTTP_1_0;
    else
        return false;
    if (head->status < 100 || head->status > 999 || head->status == 101 || !is_reason(head->reason) ||
        !trim_fields(spans))
        return false;
    head->fields = (struct fields){spans->fields, spans->field_count, H1_MAX_FIELDS};
    if (!frame_response(reader, response, is_head))
        return false;
    response->is_keep_alive = keeps_alive(reader, head->version) && reader->body != H1_BODY_UNTIL_CLOSE;
    return true;
}

// llhttp 9.3 takes answers of RTSP, too.
static bool is_http(struct slice version, struct slice bytes)
{
    struct slice name = SLICE("HTTP/");
    if (version.len == 0)
        return true; // left to those who ask for the version
    size_t at = (size_t)(version.ptr - bytes.ptr);
    return at >= name.len && slice_eq(slice_sub(bytes, at - name.len, name.len), name);
}

enum h1_result h1_read_response(struct h1_reader *reader, struct slice bytes, size_t fed,
                                const struct h1_limits *limits, bool is_head, struct h1_spans *spans,
                                struct h1_response *ret_response, size_t *ret_used)
{
    enum h1_result result = read_head(reader, HTTP_RESPONSE, bytes, fed, limits, spans, ret_used);
    if (result == H1_READY &&
        (!is_http(spans->version, bytes) || !make_response(reader, spans, is_head, ret_response))) {
        reader->error = ERROR_UPSTREAM_MALFORMED;
        return H1_FAILED;
    }
    if (result == H1_FAILED)
        reader->error = reader->error == ERROR_HEAD_TOO_LARGE ? ERROR_UPSTREAM_TOO_LARGE : ERROR_UPSTREAM_MALFORMED;
    return result;
}

// ---- bodies -------------------------------------------------------------------------------------------------------

static enum h1_result read_chunked(struct h1_reader *reader, char *bytes, size_t len, struct slice *ret_body,
                                   size_t *ret_used)
{
    struct h1_feed feed = {.reader = reader, .body = bytes};
    llhttp_errno_t code = execute(reader, &feed, bytes, len);
    *ret_body = slice_make(bytes, feed.body_len);
    *ret_used = len;
    if (code == HPE_OK)
        return H1_READY;
    if (code == HPE_PAUSED && reader->is_complete) {
        *ret_used = paused_at(reader, slice_make(bytes, len));
        return H1_READY;
    }
    if (code != HPE_USER)
        reader->error = ERROR_MALFORMED_CHUNK;
    return H1_FAILED;
}

enum h1_result h1_read_body(struct h1_reader *reader, char *bytes, size_t len, struct slice *ret_body, size_t *ret_used)
{
    *ret_body = slice_make(bytes, 0);
    *ret_used = 0;
    if (reader->is_complete)
        return H1_READY;
    if (reader->body == H1_BODY_CHUNKED)
        return read_chunked(reader, bytes, len, ret_body, ret_used);
    if (reader->body == H1_BODY_LENGTH) {
        if (len > reader->left)
            len = (size_t)reader->left;
        reader->left -= len;
        reader->is_complete = reader->left == 0;
    }
    *ret_body = slice_make(bytes, len);
    *ret_used = len;
    return H1_READY;
}

bool h1_end_of_file(struct h1_reader *reader)
{
    if (reader->body == H1_BODY_UNTIL_CLOSE)
        reader->is_complete = true;
    return reader->is_complete;
}
