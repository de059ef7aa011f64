// A tight parser for well-formed HTTP/1 requests. It trusts its peer no further than memory safety asks for.
#include "cli/mock_request.h"

#include "cli/cli.h"

#define HEAD_MAX (64 << 10)
#define BODY_MAX ((uint64_t)1 << 30)

static struct slice take_line(struct slice *rest)
{
    struct slice line = slice_split(rest, '\n');
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool parse_request_line(struct slice line, struct mock_request *request)
{
    request->method = slice_split(&line, ' ');
    request->target = slice_split(&line, ' ');
    request->is_http10 = slice_eq(line, SLICE("HTTP/1.0"));
    request->must_close = request->is_http10;
    struct slice rest = request->target;
    request->path = slice_split(&rest, '?');
    return request->method.len > 0 && request->target.len > 0 && slice_starts_with(line, SLICE("HTTP/1."));
}

static uint64_t number_or(struct slice value, uint64_t otherwise)
{
    uint64_t number = otherwise;
    slice_to_u64(value, BODY_MAX * 16, &number);
    return number;
}

// What follows "x-mock-".
static void read_wish(struct slice name, struct slice value, struct mock_wishes *wishes)
{
    if (slice_eq_nocase(name, SLICE("status")))
        wishes->status = (uint16_t)(number_or(value, 0) % 1000);
    else if (slice_eq_nocase(name, SLICE("retry-after")))
        wishes->retry_after = value;
    else if (slice_eq_nocase(name, SLICE("delay")))
        duration_parse_us(value, &wishes->delay_us);
    else if (slice_eq_nocase(name, SLICE("cut")))
        wishes->cut_after = number_or(value, 0);
    else if (slice_eq_nocase(name, SLICE("stall"))) {
        wishes->is_silent = !slice_to_u64(value, BODY_MAX, &wishes->stall_after);
    } else if (slice_eq_nocase(name, SLICE("reset")))
        wishes->is_reset = true;
    else if (slice_eq_nocase(name, SLICE("echo")))
        wishes->is_echo = true;
    else if (slice_eq_nocase(name, SLICE("body-bytes")))
        wishes->body_bytes = number_or(value, 0);
    else if (slice_eq_nocase(name, SLICE("tokens")))
        wishes->tokens = (uint32_t)number_or(value, wishes->tokens);
    else if (slice_eq_nocase(name, SLICE("rate")))
        wishes->rate = (uint32_t)number_or(value, wishes->rate);
    else if (slice_eq_nocase(name, SLICE("chunk")))
        wishes->chunk_bytes = number_or(value, 0);
    else if (slice_eq_nocase(name, SLICE("cached-tokens")))
        wishes->cached_tokens = (uint32_t)number_or(value, 0);
    else if (slice_eq_nocase(name, SLICE("reasoning-tokens")))
        wishes->reasoning_tokens = (uint32_t)number_or(value, 0);
}

// Most fields mean nothing here: the first letter and the length rule them out.
static void read_field(struct slice name, struct slice value, struct mock_request *request)
{
    switch (name.len ? ascii_lower(name.ptr[0]) : 0) {
    case 'c':
        if (slice_eq_nocase(name, SLICE("content-length")))
            request->content_length = number_or(value, MOCK_NO_LIMIT);
        else if (slice_eq_nocase(name, SLICE("content-type")))
            request->content_type = value;
        else if (slice_eq_nocase(name, SLICE("connection")))
            request->must_close = slice_eq_nocase(value, SLICE("close")) ||
                                  (request->is_http10 && !slice_eq_nocase(value, SLICE("keep-alive")));
        break;
    case 't':
        if (slice_eq_nocase(name, SLICE("transfer-encoding")))
            request->is_chunked = true;
        break;
    case 'e':
        if (slice_eq_nocase(name, SLICE("expect")))
            request->wants_continue = true;
        break;
    case 'x':
        if (slice_starts_with_nocase(name, SLICE("x-mock-")))
            read_wish(slice_from(name, 7), value, &request->wishes);
        break;
    default:
        break;
    }
}

static void read_fails(struct slice name, struct slice value, const struct mock_options *options,
                       struct mock_wishes *wishes)
{
    for (size_t i = 0; i < options->fail_count; i++)
        if (slice_eq_nocase(name, options->fails[i].name) && slice_eq(value, options->fails[i].value))
            wishes->status = options->fails[i].status;
}

static bool parse_head(struct slice head, const struct mock_options *options, struct mock_request *request)
{
    if (!parse_request_line(take_line(&head), request))
        return false;
    request->fields = head;
    while (head.len > 0) {
        struct slice value = take_line(&head);
        if (value.len == 0)
            break;
        struct slice name = slice_split(&value, ':');
        if (!value.ptr)
            return false;
        value = slice_trim(value);
        read_field(name, value, request);
        if (options->fail_count)
            read_fails(name, value, options, &request->wishes);
    }
    return request->content_length <= BODY_MAX;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_chunk_size(struct slice line, uint64_t *ret_size)
{
    uint64_t size = 0;
    size_t i = 0;
    for (; i < line.len && hex_value(line.ptr[i]) >= 0; i++) {
        size = size * 16 + (uint64_t)hex_value(line.ptr[i]);
        if (size > BODY_MAX)
            return false;
    }
    *ret_size = size;
    return i > 0;
}

// Puts the chunks together; *ret_bytes: with the last chunk and the trailers.
static enum mock_parse parse_chunks(struct slice input, struct buf *chunks, size_t *ret_bytes)
{
    struct slice rest = input;
    buf_reset(chunks);
    for (;;) {
        size_t line_end = slice_find(rest, '\n');
        uint64_t size = 0;
        if (line_end == SLICE_NOT_FOUND)
            return rest.len > 1024 ? MOCK_PARSE_BAD : MOCK_PARSE_MORE;
        if (!parse_chunk_size(rest, &size))
            return MOCK_PARSE_BAD;
        rest = slice_from(rest, line_end + 1);
        if (size == 0)
            break;
        if (rest.len < size + 2)
            return MOCK_PARSE_MORE;
        if (!buf_append(chunks, slice_sub(rest, 0, size)))
            return MOCK_PARSE_BAD;
        rest = slice_from(rest, size + 2);
    }
    for (;;) { // trailers
        size_t line_end = slice_find(rest, '\n');
        if (line_end == SLICE_NOT_FOUND)
            return MOCK_PARSE_MORE;
        bool is_last = line_end <= 1;
        rest = slice_from(rest, line_end + 1);
        if (is_last)
            break;
    }
    *ret_bytes = input.len - rest.len;
    return MOCK_PARSE_DONE;
}

enum mock_parse mock_request_parse(struct slice input, const struct mock_options *options, struct buf *chunks,
                                   struct mock_request *ret_request, size_t *ret_bytes)
{
    *ret_bytes = 0;
    size_t head_bytes = slice_find_slice(input, SLICE("\r\n\r\n"));
    if (head_bytes == SLICE_NOT_FOUND)
        return input.len > HEAD_MAX ? MOCK_PARSE_BAD : MOCK_PARSE_MORE;
    head_bytes += 4;
    *ret_request = (struct mock_request){.wishes = {.cut_after = MOCK_NO_LIMIT,
                                                    .stall_after = MOCK_NO_LIMIT,
                                                    .delay_us = options->latency_us,
                                                    .tokens = options->tokens,
                                                    .rate = options->rate,
                                                    .chunk_bytes = options->chunk_bytes}};
    if (!parse_head(slice_sub(input, 0, head_bytes), options, ret_request))
        return MOCK_PARSE_BAD;
    if (ret_request->is_chunked) {
        size_t body_bytes = 0;
        enum mock_parse result = parse_chunks(slice_from(input, head_bytes), chunks, &body_bytes);
        ret_request->body = buf_slice(chunks);
        *ret_bytes = result == MOCK_PARSE_DONE ? head_bytes + body_bytes : 0;
        return result;
    }
    *ret_bytes = head_bytes + ret_request->content_length;
    ret_request->body = slice_sub(input, head_bytes, ret_request->content_length);
    return input.len < *ret_bytes ? MOCK_PARSE_MORE : MOCK_PARSE_DONE;
}
