// RFC 8259 token by token, with one bit a level for what is open (object or array), so that no input makes it recurse.
// The functions take where they begin and give where they ended; NULL when something is wrong (noted in the reader).
#include "json/walk.h"

#include "json/reader.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static struct slice between(const unsigned char *from, const unsigned char *to)
{
    return (struct slice){(const char *)from, (size_t)(to - from)};
}

static const unsigned char *fail(struct json_walk *walk, enum json_status status, const unsigned char *at)
{
    return json_fail(&walk->reader, status, at);
}

// ---- containers -----------------------------------------------------------------------------------------------

static const unsigned char *open_container(struct json_walk *walk, const unsigned char *at)
{
    if (walk->open == JSON_DEPTH_MAX)
        return fail(walk, JSON_DEPTH, at);
    uint64_t bit = UINT64_C(1) << (walk->open % 64);
    uint64_t *word = &walk->objects[walk->open / 64];
    bool is_object = *at == '{';
    *word = is_object ? *word | bit : *word & ~bit;
    walk->open++;
    walk->type = is_object ? JSON_OBJECT : JSON_ARRAY;
    walk->close = is_object ? '}' : ']';
    walk->is_first = true;
    return at + 1;
}

static void close_container(struct json_walk *walk, const unsigned char *after)
{
    walk->is_first = false;
    if (--walk->open == 0) {
        walk->after = after;
    } else {
        unsigned level = walk->open - 1;
        walk->close = walk->objects[level / 64] >> (level % 64) & 1 ? '}' : ']';
    }
}

// ---- tokens ---------------------------------------------------------------------------------------------------

static const unsigned char *skip_digits(const unsigned char *at, const unsigned char *end)
{
    while (at < end && (unsigned)*at - '0' < 10U)
        at++;
    return at;
}

// One digit or more.
static const unsigned char *read_digits(struct json_walk *walk, const unsigned char *at)
{
    const unsigned char *end = skip_digits(at, walk->reader.end);
    return end > at ? end : fail(walk, JSON_SYNTAX, at);
}

static const unsigned char *read_number(struct json_walk *walk, const unsigned char *at)
{
    const unsigned char *end = walk->reader.end;
    at += *at == '-';
    at = at < end && *at == '0' ? at + 1 : read_digits(walk, at);
    if (at && at < end && *at == '.')
        at = read_digits(walk, at + 1);
    if (at && at < end && (*at | 0x20) == 'e') {
        at++;
        at = read_digits(walk, at + (at < end && (*at == '+' || *at == '-')));
    }
    return at;
}

static const unsigned char *read_literal(struct json_walk *walk, const unsigned char *at, struct slice literal,
                                         enum json_type type)
{
    walk->type = type;
    for (size_t i = 0; i < literal.len; i++, at++)
        if (at == walk->reader.end || *at != (unsigned char)literal.ptr[i])
            return fail(walk, JSON_SYNTAX, at);
    return at;
}

static const unsigned char *read_long_string(struct json_walk *walk, const unsigned char *at)
{
    const unsigned char *quote = json_string_pick()(&walk->reader, at);
    return quote ? quote + 1 : NULL;
}

// From a string's opening quote to behind its closing one. Keys and short values end within 32 plain bytes: that is seen
// here, without a call and the wider blocks.
static inline const unsigned char *read_string(struct json_walk *walk, const unsigned char *at)
{
    at++;
#if defined(__SSE2__)
    for (unsigned block = 0; block < 2 && walk->reader.end - at >= 16; block++, at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i ends =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
        __m128i odd = _mm_cmpgt_epi8(_mm_set1_epi8(' '), bytes); // signed: what is not ASCII, too
        int found = _mm_movemask_epi8(_mm_or_si128(ends, odd));
        if (found) {
            at += __builtin_ctz((unsigned)found);
            if (*at == '"')
                return at + 1;
            break;
        }
    }
#endif
    return read_long_string(walk, at);
}

static const unsigned char *read_scalar(struct json_walk *walk, const unsigned char *at)
{
    switch (*at) {
    case '"':
        walk->type = JSON_STRING;
        return read_string(walk, at);
    case '-':
    case '0' ... '9':
        walk->type = JSON_NUMBER;
        return read_number(walk, at);
    case 't':
        return read_literal(walk, at, SLICE("true"), JSON_TRUE);
    case 'f':
        return read_literal(walk, at, SLICE("false"), JSON_FALSE);
    case 'n':
        return read_literal(walk, at, SLICE("null"), JSON_NULL);
    default:
        return fail(walk, JSON_SYNTAX, at);
    }
}

// ---- the walk -------------------------------------------------------------------------------------------------

void json_walk_init(struct json_walk *walk, struct slice text)
{
    const unsigned char *start = (const unsigned char *)(text.ptr ? text.ptr : "");
    const unsigned char *end = start + text.len;
    *walk = (struct json_walk){.reader = {.start = start, .end = end}, .is_first = true};
    walk->at = json_skip_blanks(start, end);
    if (slice_starts_with(text, SLICE("\xEF\xBB\xBF")))
        fail(walk, JSON_BOM, start);
    else if (walk->at == end)
        fail(walk, JSON_SYNTAX, end);
}

// Behind the text's value nothing may stand but blanks.
static const unsigned char *end_text(struct json_walk *walk, const unsigned char *at)
{
    return at == walk->reader.end ? NULL : fail(walk, JSON_TRAILING, at);
}

// Behind the colon of the key at `at`.
static inline const unsigned char *read_key(struct json_walk *walk, const unsigned char *at)
{
    const unsigned char *end = walk->reader.end;
    if (at == end || *at != '"')
        return fail(walk, JSON_SYNTAX, at);
    const unsigned char *colon = read_string(walk, at);
    if (!colon)
        return NULL;
    walk->key = between(at, colon);
    colon = json_skip_blanks(colon, end);
    return colon < end && *colon == ':' ? colon + 1 : fail(walk, JSON_SYNTAX, colon);
}

// From behind a value or a bracket to where the next value begins, over the containers that end here. NULL at the end of
// the text, too.
static inline const unsigned char *find_value(struct json_walk *walk, const unsigned char *at)
{
    const unsigned char *end = walk->reader.end;
    at = json_skip_blanks(at, end);
    while (walk->open && at < end && *at == (unsigned char)walk->close) {
        close_container(walk, ++at);
        at = json_skip_blanks(at, end);
    }
    if (!walk->open)
        return walk->is_first ? at : end_text(walk, at);
    if (!walk->is_first) {
        if (at == end || *at != ',')
            return fail(walk, JSON_SYNTAX, at);
        walk->comma = at;
        at = json_skip_blanks(at + 1, end);
    }
    if (walk->close == ']') {
        walk->key = (struct slice){NULL, 0};
        return at;
    }
    at = read_key(walk, at);
    return at ? json_skip_blanks(at, end) : NULL;
}

static inline const unsigned char *read_value(struct json_walk *walk, const unsigned char *at)
{
    if (at == walk->reader.end)
        return fail(walk, JSON_SYNTAX, at);
    walk->depth = walk->open;
    walk->is_first = false;
    const unsigned char *after = *at == '{' || *at == '[' ? open_container(walk, at) : read_scalar(walk, at);
    if (after)
        walk->value = between(at, after);
    return after;
}

bool json_walk_next(struct json_walk *walk, unsigned depth)
{
    const unsigned char *at = walk->at;
    if (walk->reader.status != JSON_OK)
        return false;
    do {
        at = find_value(walk, at);
        at = at ? read_value(walk, at) : NULL;
    } while (at && walk->depth > depth);
    walk->at = at;
    return at;
}
