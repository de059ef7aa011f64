// Framing of server-sent events. Lines are looked at once, in place; what is kept of them are offsets into the event,
// so that they hold whether the event stands in the caller's bytes or was put together in `partial`.
#include "http/sse.h"

#define KEEP_BYTES ((size_t)16 * 1024) // a buffer that grew past this is given back after its event

void sse_init(struct sse_parser *parser, size_t max_event_bytes)
{
    *parser = (struct sse_parser){0};
    buf_init(&parser->partial, max_event_bytes);
    buf_init(&parser->joined, max_event_bytes);
}

void sse_fini(struct sse_parser *parser)
{
    buf_fini(&parser->partial);
    buf_fini(&parser->joined);
}

// Sixteen bytes at a time, in the compiler's portable vectors: LF and CR are looked for in one go, because a search for
// each alone would cost the square of the input on streams that use the other.
typedef unsigned char byte_vector __attribute__((vector_size(16)));

// Index of the first CR or LF at or behind `at`, or `len`.
static size_t find_line_end(const char *base, size_t at, size_t len)
{
    while (len - at >= sizeof(byte_vector)) {
        byte_vector bytes;
        memcpy(&bytes, base + at, sizeof bytes);
        byte_vector is_end = (byte_vector)((bytes == '\n') | (bytes == '\r'));
        uint64_t halves[2];
        memcpy(halves, &is_end, sizeof halves);
        if (halves[0] | halves[1])
            break;
        at += sizeof bytes;
    }
    while (at < len && base[at] != '\n' && base[at] != '\r')
        at++;
    return at;
}

// Whether the line is this field; then *ret_from is where its value begins in the line.
static bool is_field(struct slice line, struct slice name, size_t *ret_from)
{
    if (!slice_starts_with(line, name) || (line.len > name.len && line.ptr[name.len] != ':'))
        return false;
    size_t from = name.len;
    if (from < line.len)
        from++;
    if (from < line.len && line.ptr[from] == ' ')
        from++;
    *ret_from = from;
    return true;
}

static struct slice without_bom(struct slice line)
{
    return slice_starts_with(line, SLICE("\xef\xbb\xbf")) ? slice_from(line, 3) : line;
}

// Notes what the line [line_start, end) says. True when it is empty: the event's end.
static bool take_line(struct sse_parser *parser, const char *base, size_t end)
{
    struct slice line = slice_make(base + parser->line_start, end - parser->line_start);
    size_t value;
    if (!parser->is_started) {
        line = without_bom(line);
        parser->is_started = true;
    }
    if (line.len == 0)
        return true;
    size_t from = end - line.len;
    if (is_field(line, SLICE("data"), &value)) {
        if (parser->data_count++ == 0)
            parser->data = (struct sse_span){from + value, end};
    } else if (is_field(line, SLICE("event"), &value)) {
        parser->event = (struct sse_span){from + value, end};
    }
    return false;
}

// Goes on over the bytes of one event, of which [0, scanned) were seen before. True at its end: *ret_end is behind its
// empty line, with the LF of a CRLF where that is there already.
static bool scan(struct sse_parser *parser, const char *base, size_t len, size_t *ret_end)
{
    for (;;) {
        if (parser->is_after_cr && parser->scanned < len) {
            parser->is_after_cr = false;
            if (base[parser->scanned] == '\n')
                parser->line_start = ++parser->scanned;
        }
        size_t at = find_line_end(base, parser->scanned, len);
        parser->scanned = at;
        if (at == len)
            return false;
        bool is_end = take_line(parser, base, at);
        parser->line_start = parser->scanned = at + 1;
        parser->is_after_cr = base[at] == '\r';
        if (!is_end)
            continue;
        *ret_end = at + 1;
        if (parser->is_after_cr && at + 1 < len) {
            parser->is_after_cr = false;
            *ret_end += base[at + 1] == '\n';
        }
        return true;
    }
}

static void begin_event(struct sse_parser *parser)
{
    parser->scanned = parser->line_start = 0;
    parser->data_count = 0;
    parser->data = parser->event = (struct sse_span){0, 0};
}

static struct slice span_of(struct slice raw, struct sse_span span)
{
    return slice_sub(raw, span.from, span.to - span.from);
}

// Data of several lines, joined by LF (WHATWG HTML section 9.2.6).
static bool join_data(struct sse_parser *parser, struct slice raw)
{
    buf_reset(&parser->joined);
    bool is_joined = true;
    for (size_t at = parser->data.from, end; at < raw.len && is_joined; at = end + 1) {
        end = find_line_end(raw.ptr, at, raw.len);
        struct slice line = slice_make(raw.ptr + at, end - at);
        size_t value = 0;
        if (at == parser->data.from)
            is_joined = buf_append(&parser->joined, line);
        else if (is_field(line, SLICE("data"), &value))
            is_joined = buf_append_byte(&parser->joined, '\n') && buf_append(&parser->joined, slice_from(line, value));
    }
    return is_joined;
}

static enum sse_status give(struct sse_parser *parser, struct slice raw, struct sse_event *ret_event)
{
    struct slice data = span_of(raw, parser->data);
    size_t late_lf = slice_ends_with(raw, SLICE("\r\n")); // could have come behind the event as well
    if (raw.len - late_lf > parser->partial.max || (parser->data_count > 1 && !join_data(parser, raw))) {
        parser->is_too_large = true;
        return SSE_TOO_LARGE;
    }
    if (parser->data_count > 1)
        data = buf_slice(&parser->joined);
    *ret_event = (struct sse_event){raw, data, span_of(raw, parser->event), parser->data_count > 0, false};
    begin_event(parser);
    return SSE_EVENT;
}

static void give_back(struct buf *buf)
{
    buf_reset(buf);
    if (buf->cap > KEEP_BYTES)
        buf_fini(buf);
}

static enum sse_status keep(struct sse_parser *parser, struct slice *input, size_t len)
{
    if (!buf_append(&parser->partial, slice_sub(*input, 0, len))) {
        parser->is_too_large = true;
        return SSE_TOO_LARGE;
    }
    *input = slice_from(*input, len);
    return SSE_NEED_MORE;
}

// Completes the event that stands in `partial`, line by line, so that no byte behind its end is taken.
static enum sse_status next_of_partial(struct sse_parser *parser, struct slice *input, struct sse_event *ret_event)
{
    while (input->len) {
        size_t line_end = find_line_end(input->ptr, 0, input->len);
        if (keep(parser, input, line_end < input->len ? line_end + 1 : line_end) == SSE_TOO_LARGE)
            return SSE_TOO_LARGE;
        size_t end;
        if (scan(parser, parser->partial.ptr, parser->partial.len, &end)) {
            parser->is_given = true;
            return give(parser, buf_slice(&parser->partial), ret_event);
        }
    }
    return SSE_NEED_MORE;
}

// The LF of the CRLF whose CR ended the event that was given last.
static bool take_late_lf(struct sse_parser *parser, struct slice *input, struct sse_event *ret_event)
{
    bool is_late = parser->is_after_cr && input->ptr[0] == '\n';
    parser->is_after_cr = false;
    if (!is_late)
        return false;
    *ret_event = (struct sse_event){.raw = slice_sub(*input, 0, 1), .is_late_lf = true};
    *input = slice_from(*input, 1);
    return true;
}

enum sse_status sse_next(struct sse_parser *parser, struct slice *input, struct sse_event *ret_event)
{
    if (parser->is_too_large)
        return SSE_TOO_LARGE;
    if (parser->is_given) {
        give_back(&parser->partial);
        give_back(&parser->joined);
        parser->is_given = false;
    }
    if (parser->partial.len)
        return next_of_partial(parser, input, ret_event);
    size_t end;
    if (input->len == 0)
        return SSE_NEED_MORE;
    if (take_late_lf(parser, input, ret_event))
        return SSE_EVENT;
    if (!scan(parser, input->ptr, input->len, &end))
        return keep(parser, input, input->len);
    struct slice raw = slice_sub(*input, 0, end);
    *input = slice_from(*input, end);
    return give(parser, raw, ret_event);
}

bool sse_finish(struct sse_parser *parser, struct sse_event *ret_event)
{
    if (parser->is_too_large || parser->is_given || parser->partial.len == 0)
        return false;
    struct slice held = buf_slice(&parser->partial);
    if (parser->line_start < held.len)
        take_line(parser, held.ptr, held.len);
    parser->is_given = true;
    return give(parser, held, ret_event) == SSE_EVENT;
}
