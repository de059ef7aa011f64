// The strict scanner: RFC 8259 as a small state machine over tokens, with one bit a level for what is open (object or
// array), so that no input makes it recurse.
#include "json/names.h"
#include "json/reader.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum expect {
    EXPECT_VALUE,
    EXPECT_ITEM_OR_END, // behind '['
    EXPECT_KEY,         // behind ',' of an object
    EXPECT_KEY_OR_END,  // behind '{'
    EXPECT_COLON,
    EXPECT_COMMA_OR_END, // behind a value inside something
    EXPECT_NOTHING,      // behind the top-level value
    EXPECT_FAILED,
};

struct scanner {
    struct json_reader reader;
    const unsigned char *at;
    json_string_fn *read_string;
    unsigned depth;                        // containers that are open
    bool is_in_object;                     // the innermost of them is an object
    uint64_t objects[JSON_DEPTH_MAX / 64]; // bit: the container at this depth is an object
    const unsigned char *end;              // behind the top-level container
    // Members of the top-level object, when somebody asked.
    const struct json_names *names;
    struct json_member *members;
    struct json_member current; // under way
    size_t current_index;       // its name, or SLICE_NOT_FOUND
    size_t member_count;
};

static enum expect fail(struct scanner *scan, enum json_status status, const unsigned char *at)
{
    json_fail(&scan->reader, status, at);
    return EXPECT_FAILED;
}

static size_t offset(const struct scanner *scan, const unsigned char *at)
{
    return (size_t)(at - scan->reader.start);
}

static inline bool is_in_top_object(const struct scanner *scan)
{
    return scan->depth == 1 && scan->is_in_object;
}

// ---- top-level members ----------------------------------------------------------------------------------------

static void begin_member(struct scanner *scan, const unsigned char *key, const unsigned char *key_end)
{
    scan->member_count++;
    if (!scan->names)
        return;
    struct slice raw = {(const char *)key, (size_t)(key_end - key)};
    scan->current_index = json_names_match(scan->names, raw);
    scan->current.key = (struct json_span){offset(scan, key), offset(scan, key_end)};
}

static inline void begin_value(struct scanner *scan)
{
    if (!is_in_top_object(scan))
        return;
    scan->current.value.from = offset(scan, scan->at);
    scan->current.type = json_type_of(*scan->at);
}

static void end_member(struct scanner *scan)
{
    if (scan->names && scan->current_index != SLICE_NOT_FOUND) {
        struct json_member *member = &scan->members[scan->current_index];
        uint32_t count = member->count;
        scan->current.after = offset(scan, scan->at);
        if (count == 0)
            *member = scan->current;
        if (count != UINT32_MAX)
            member->count = count + 1;
    }
    scan->current_index = SLICE_NOT_FOUND;
    scan->current.before = offset(scan, scan->at);
}

// ---- tokens ---------------------------------------------------------------------------------------------------

static inline enum expect end_value(struct scanner *scan, const unsigned char *end)
{
    if (is_in_top_object(scan))
        scan->current.value.to = offset(scan, end);
    scan->at = end;
    return scan->depth ? EXPECT_COMMA_OR_END : EXPECT_NOTHING;
}

static enum expect open_container(struct scanner *scan, bool is_object)
{
    if (scan->depth == JSON_DEPTH_MAX)
        return fail(scan, JSON_DEPTH, scan->at);
    uint64_t bit = UINT64_C(1) << (scan->depth % 64);
    uint64_t *word = &scan->objects[scan->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    if (scan->depth++ == 0)
        scan->current.before = offset(scan, scan->at);
    scan->is_in_object = is_object;
    scan->at++;
    return is_object ? EXPECT_KEY_OR_END : EXPECT_ITEM_OR_END;
}

static enum expect close_container(struct scanner *scan)
{
    if (--scan->depth == 0) {
        scan->end = scan->at + 1;
    } else {
        unsigned level = scan->depth - 1;
        scan->is_in_object = scan->objects[level / 64] >> (level % 64) & 1;
    }
    return end_value(scan, scan->at + 1);
}

static const unsigned char *skip_digits(const unsigned char *at, const unsigned char *end)
{
    while (at < end && (unsigned)*at - '0' < 10U)
        at++;
    return at;
}

// One digit or more; NULL with the error noted otherwise.
static const unsigned char *read_digits(struct scanner *scan, const unsigned char *at)
{
    const unsigned char *end = skip_digits(at, scan->reader.end);
    return end > at ? end : json_fail(&scan->reader, JSON_SYNTAX, at);
}

static enum expect read_number(struct scanner *scan)
{
    const unsigned char *end = scan->reader.end;
    const unsigned char *at = scan->at + (*scan->at == '-');
    at = at < end && *at == '0' ? at + 1 : read_digits(scan, at);
    if (at && at < end && *at == '.')
        at = read_digits(scan, at + 1);
    if (at && at < end && (*at | 0x20) == 'e') {
        at++;
        at = read_digits(scan, at + (at < end && (*at == '+' || *at == '-')));
    }
    return at ? end_value(scan, at) : EXPECT_FAILED;
}

static enum expect read_literal(struct scanner *scan, struct slice literal)
{
    const unsigned char *at = scan->at;
    for (size_t i = 0; i < literal.len; i++, at++)
        if (at == scan->reader.end || *at != (unsigned char)literal.ptr[i])
            return fail(scan, JSON_SYNTAX, at);
    return end_value(scan, at);
}

// Reads a string from its opening quote. Keys and short values end within 32 plain bytes: that is seen here, without a
// call and the wider blocks.
static inline const unsigned char *read_string(struct scanner *scan)
{
    const unsigned char *at = scan->at + 1;
#if defined(__SSE2__)
    for (unsigned block = 0; block < 2 && scan->reader.end - at >= 16; block++, at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        int quotes = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
        int odd = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')),
                                                 _mm_cmpgt_epi8(_mm_set1_epi8(' '), bytes))); // signed: not ASCII too
        // The lowest quote is the end when nothing odd stands before it.
        if (quotes && !(odd & ((quotes & -quotes) - 1)))
            return at + __builtin_ctz((unsigned)quotes);
        if (odd)
            break;
    }
#endif
    return scan->read_string(&scan->reader, at);
}

static enum expect read_string_value(struct scanner *scan)
{
    const unsigned char *quote = read_string(scan);
    return quote ? end_value(scan, quote + 1) : EXPECT_FAILED;
}

static enum expect read_value(struct scanner *scan)
{
    begin_value(scan);
    switch (*scan->at) {
    case '"':
        return read_string_value(scan);
    case '{':
        return open_container(scan, true);
    case '[':
        return open_container(scan, false);
    case 't':
        return read_literal(scan, SLICE("true"));
    case 'f':
        return read_literal(scan, SLICE("false"));
    case 'n':
        return read_literal(scan, SLICE("null"));
    case '-':
    case '0' ... '9':
        return read_number(scan);
    default:
        return fail(scan, JSON_SYNTAX, scan->at);
    }
}

static enum expect read_key(struct scanner *scan)
{
    if (*scan->at != '"')
        return fail(scan, JSON_SYNTAX, scan->at);
    const unsigned char *quote = read_string(scan);
    if (!quote)
        return EXPECT_FAILED;
    if (is_in_top_object(scan))
        begin_member(scan, scan->at, quote + 1);
    scan->at = quote + 1;
    if (scan->at == scan->reader.end || *scan->at != ':')
        return EXPECT_COLON;
    scan->at++; // mostly there at once
    return EXPECT_VALUE;
}

static enum expect read_colon(struct scanner *scan)
{
    if (*scan->at != ':')
        return fail(scan, JSON_SYNTAX, scan->at);
    scan->at++;
    return EXPECT_VALUE;
}

static enum expect read_comma_or_end(struct scanner *scan)
{
    bool is_object = scan->is_in_object;
    unsigned char c = *scan->at;
    if (c != ',' && c != (is_object ? '}' : ']'))
        return fail(scan, JSON_SYNTAX, scan->at);
    if (is_in_top_object(scan))
        end_member(scan);
    if (c != ',')
        return close_container(scan);
    scan->at++;
    return is_object ? EXPECT_KEY : EXPECT_VALUE;
}

static enum expect step(struct scanner *scan, enum expect expect)
{
    switch (expect) {
    case EXPECT_VALUE:
        return read_value(scan);
    case EXPECT_ITEM_OR_END:
        return *scan->at == ']' ? close_container(scan) : read_value(scan);
    case EXPECT_KEY:
        return read_key(scan);
    case EXPECT_KEY_OR_END:
        return *scan->at == '}' ? close_container(scan) : read_key(scan);
    case EXPECT_COLON:
        return read_colon(scan);
    case EXPECT_COMMA_OR_END:
        return read_comma_or_end(scan);
    case EXPECT_NOTHING:
        return fail(scan, JSON_TRAILING, scan->at);
    case EXPECT_FAILED:
        break;
    }
    return EXPECT_FAILED;
}

// ---- whole texts ----------------------------------------------------------------------------------------------

static void scanner_init(struct scanner *scan, struct slice text)
{
    const unsigned char *start = (const unsigned char *)(text.ptr ? text.ptr : "");
    *scan = (struct scanner){
        .reader = {.start = start, .end = start + text.len},
        .at = start,
        .read_string = json_string_pick(),
        .current_index = SLICE_NOT_FOUND,
    };
}

// Begins at the first byte that counts. False with the reader's status set when there is none.
static bool begin_text(struct scanner *scan)
{
    struct slice text = {(const char *)scan->at, (size_t)(scan->reader.end - scan->at)};
    if (slice_starts_with(text, SLICE("\xEF\xBB\xBF"))) {
        json_fail(&scan->reader, JSON_BOM, scan->at);
        return false;
    }
    scan->at = json_skip_blanks(scan->at, scan->reader.end);
    if (scan->at == scan->reader.end)
        json_fail(&scan->reader, JSON_SYNTAX, scan->at);
    return scan->reader.status == JSON_OK;
}

// Moves to the next token. False at the end of the text.
static inline bool has_token(struct scanner *scan)
{
    scan->at = json_skip_blanks(scan->at, scan->reader.end);
    return scan->at < scan->reader.end;
}

static void run(struct scanner *scan)
{
    enum expect expect = EXPECT_VALUE;
    while (expect != EXPECT_FAILED && has_token(scan)) {
        expect = step(scan, expect);
        // Behind most values stands a comma or a bracket: said here once more, so that the processor can tell these
        // two turns apart when it guesses.
        if (expect == EXPECT_COMMA_OR_END && has_token(scan))
            expect = read_comma_or_end(scan);
    }
    if (expect != EXPECT_FAILED && expect != EXPECT_NOTHING)
        json_fail(&scan->reader, JSON_SYNTAX, scan->at);
}

struct json_scan json_scan_object(struct slice text, const struct json_names *names, struct json_member *ret_members)
{
    struct scanner scan;
    struct json_scan result = {.text = text};
    scanner_init(&scan, text);
    if (names && json_names_count(names)) {
        scan.names = names;
        scan.members = ret_members;
        memset(ret_members, 0, json_names_count(names) * sizeof *ret_members);
    }
    if (begin_text(&scan)) {
        result.object.from = offset(&scan, scan.at);
        if (*scan.at == '{')
            run(&scan);
        else
            json_fail(&scan.reader, JSON_NOT_OBJECT, scan.at);
    }
    result.status = scan.reader.status;
    result.member_count = scan.member_count;
    if (result.status != JSON_OK)
        result.error_at = offset(&scan, scan.reader.error_at);
    else
        result.object.to = offset(&scan, scan.end);
    return result;
}

enum json_status json_validate(struct slice text, size_t *ret_error_at)
{
    struct scanner scan;
    scanner_init(&scan, text);
    if (begin_text(&scan))
        run(&scan);
    if (scan.reader.status != JSON_OK)
        *ret_error_at = offset(&scan, scan.reader.error_at);
    return scan.reader.status;
}

struct slice json_status_text(enum json_status status)
{
    switch (status) {
    case JSON_OK:
        return SLICE("valid");
    case JSON_NOT_OBJECT:
        return SLICE("not an object");
    case JSON_SYNTAX:
        return SLICE("a syntax error");
    case JSON_UTF8:
        return SLICE("invalid UTF-8");
    case JSON_DEPTH:
        return SLICE("nested too deeply");
    case JSON_TRAILING:
        return SLICE("more text behind the value");
    case JSON_BOM:
        return SLICE("a byte order mark before the text");
    }
    return SLICE("unknown");
}
