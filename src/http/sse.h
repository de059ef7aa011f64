// Server-sent events as bytes that pass (WHATWG HTML section 9.2, S8): finds where each event ends, at any split, without
// copying more than an incomplete event.
#ifndef WEIR_HTTP_SSE_H
#define WEIR_HTTP_SSE_H

#include "base/buf.h"

struct sse_event {
    struct slice raw;   // all bytes of the event, the empty line that ends it included; borrowed
    struct slice data;  // data lines joined by LF; borrowed from raw when there is one, else from the parser
    struct slice event; // last `event:` value, may be empty
    bool has_data;
    bool is_late_lf; // no event: the LF behind the CR that ended the event before it, which passes or stays with that
};

struct sse_span { // bytes [from, to) of an event
    size_t from;
    size_t to;
};

struct sse_parser {
    struct buf partial; // an incomplete event
    struct buf joined;  // data of a multi-line event
    // Private state, all of the event at hand but the flags.
    size_t scanned;
    size_t line_start;
    size_t data_count;
    struct sse_span data; // value of the first data line
    struct sse_span event;
    bool is_after_cr;  // an LF that comes next belongs to the line end before it
    bool is_started;   // a first line was seen: no BOM any more
    bool is_given;     // `partial` is lent to the caller until the next call
    bool is_too_large; // for good
};

void sse_init(struct sse_parser *parser, size_t max_event_bytes);
void sse_fini(struct sse_parser *parser);

enum sse_status { SSE_EVENT, SSE_NEED_MORE, SSE_TOO_LARGE };
// Takes the next event out of `*input` (advances it). SSE_EVENT: *ret_event is valid until the next call. SSE_NEED_MORE:
// all of `*input` was taken in. An event that ends with CR is given at once; an LF that turns out to belong to it follows
// by itself. Comments-only blocks are events without data. SSE_TOO_LARGE is for good (or memory was refused).
enum sse_status sse_next(struct sse_parser *parser, struct slice *input, struct sse_event *ret_event);
// What stands unfinished at the end of the stream, read as if an empty line followed; false when it ended cleanly. Of a
// stream that was cut it is to be dropped (S8).
bool sse_finish(struct sse_parser *parser, struct sse_event *ret_event);

#endif
