// The scanner, beside a slow and plain reading of RFC 8259 that is written here as its oracle; and the walks and edits
// over what was found valid.
#include "json/json.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

// ---- the oracle: recursive descent, one byte at a time --------------------------------------------------------

struct oracle {
    const unsigned char *at;
    const unsigned char *end;
    int depth;
};

static bool eat(struct oracle *oracle, unsigned char c)
{
    bool is_there = oracle->at < oracle->end && *oracle->at == c;
    oracle->at += is_there;
    return is_there;
}

static void eat_blanks(struct oracle *oracle)
{
    while (eat(oracle, ' ') || eat(oracle, '\t') || eat(oracle, '\n') || eat(oracle, '\r'))
        ;
}

static bool eat_range(struct oracle *oracle, unsigned char low, unsigned char high)
{
    bool is_there = oracle->at < oracle->end && *oracle->at >= low && *oracle->at <= high;
    oracle->at += is_there;
    return is_there;
}

static bool eat_digits(struct oracle *oracle)
{
    if (!eat_range(oracle, '0', '9'))
        return false;
    while (eat_range(oracle, '0', '9'))
        ;
    return true;
}

static bool eat_number(struct oracle *oracle)
{
    eat(oracle, '-');
    if (!eat(oracle, '0') && !eat_digits(oracle))
        return false;
    if (eat(oracle, '.') && !eat_digits(oracle))
        return false;
    if (eat(oracle, 'e') || eat(oracle, 'E')) {
        if (!eat(oracle, '+'))
            eat(oracle, '-');
        return eat_digits(oracle);
    }
    return true;
}

// Unicode's table 3-7, row by row.
static bool eat_utf8(struct oracle *oracle)
{
    static const struct {
        unsigned char lead[2], second[2];
        int more;
    } rows[] = {
        {{0xC2, 0xDF}, {0x80, 0xBF}, 0}, {{0xE0, 0xE0}, {0xA0, 0xBF}, 1}, {{0xE1, 0xEC}, {0x80, 0xBF}, 1},
        {{0xED, 0xED}, {0x80, 0x9F}, 1}, {{0xEE, 0xEF}, {0x80, 0xBF}, 1}, {{0xF0, 0xF0}, {0x90, 0xBF}, 2},
        {{0xF1, 0xF3}, {0x80, 0xBF}, 2}, {{0xF4, 0xF4}, {0x80, 0x8F}, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!eat_range(oracle, rows[i].lead[0], rows[i].lead[1]))
            continue;
        bool is_good = eat_range(oracle, rows[i].second[0], rows[i].second[1]);
        for (int more = 0; is_good && more < rows[i].more; more++)
            is_good = eat_range(oracle, 0x80, 0xBF);
        return is_good;
    }
    return false;
}

static bool eat_hex(struct oracle *oracle)
{
    return eat_range(oracle, '0', '9') || eat_range(oracle, 'a', 'f') || eat_range(oracle, 'A', 'F');
}

static bool eat_escape(struct oracle *oracle)
{
    if (eat(oracle, 'u'))
        return eat_hex(oracle) && eat_hex(oracle) && eat_hex(oracle) && eat_hex(oracle);
    for (const char *letter = "\"\\/bfnrt"; *letter; letter++)
        if (eat(oracle, (unsigned char)*letter))
            return true;
    return false;
}

static bool eat_string(struct oracle *oracle)
{
    if (!eat(oracle, '"'))
        return false;
    while (!eat(oracle, '"')) {
        bool is_good = eat(oracle, '\\') ? eat_escape(oracle) : eat_range(oracle, 0x20, 0x7F) || eat_utf8(oracle);
        if (!is_good)
            return false;
    }
    return true;
}

static bool eat_word(struct oracle *oracle, const char *word)
{
    while (*word)
        if (!eat(oracle, (unsigned char)*word++))
            return false;
    return true;
}

static bool eat_value(struct oracle *oracle);

static bool eat_item(struct oracle *oracle, bool is_object)
{
    eat_blanks(oracle);
    if (is_object) {
        if (!eat_string(oracle))
            return false;
        eat_blanks(oracle);
        if (!eat(oracle, ':'))
            return false;
    }
    return eat_value(oracle);
}

static bool eat_container(struct oracle *oracle, bool is_object)
{
    unsigned char close = is_object ? '}' : ']';
    if (++oracle->depth > JSON_DEPTH_MAX)
        return false;
    eat_blanks(oracle);
    if (!eat(oracle, close)) {
        do {
            if (!eat_item(oracle, is_object))
                return false;
            eat_blanks(oracle);
        } while (eat(oracle, ','));
        if (!eat(oracle, close))
            return false;
    }
    oracle->depth--;
    return true;
}

static bool eat_value(struct oracle *oracle)
{
    eat_blanks(oracle);
    if (oracle->at == oracle->end)
        return false;
    switch (*oracle->at) {
    case '"':
        return eat_string(oracle);
    case '{':
    case '[':
        return eat_container(oracle, *oracle->at++ == '{');
    case 't':
        return eat_word(oracle, "true");
    case 'f':
        return eat_word(oracle, "false");
    case 'n':
        return eat_word(oracle, "null");
    default:
        return eat_number(oracle);
    }
}

static bool is_json(struct slice text)
{
    const unsigned char *start = (const unsigned char *)text.ptr;
    struct oracle oracle = {start, start + text.len, 0};
    if (!eat_value(&oracle))
        return false;
    eat_blanks(&oracle);
    return oracle.at == oracle.end;
}

// ---- what must hold of valid text -----------------------------------------------------------------------------

static struct slice part(struct slice text, struct json_span span)
{
    return slice_sub(text, span.from, span.to - span.from);
}

static void check_walk(struct slice text, size_t expected)
{
    struct json_cursor cursor = json_cursor_init(text);
    struct slice key, value;
    enum json_type type;
    size_t count = 0, at;
    for (; json_next(&cursor, &key, &value, &type); count++) {
        REQUIRE(json_validate(key, &at) == JSON_OK && json_validate(value, &at) == JSON_OK);
        REQUIRE(type != JSON_NONE);
    }
    REQUIRE(count == expected);
}

// A string that decodes is written so that it decodes to the same.
static void check_string(struct arena *arena, struct slice raw)
{
    struct slice text, again;
    struct buf buf;
    size_t at;
    if (!json_string_decode(raw, arena, &text))
        return;
    buf_init(&buf, SIZE_MAX);
    REQUIRE(json_write_string(&buf, text));
    REQUIRE(json_validate(buf_slice(&buf), &at) == JSON_OK);
    REQUIRE(json_string_decode(buf_slice(&buf), arena, &again) && slice_eq(text, again));
    buf_fini(&buf);
}

static void check_object(struct slice text)
{
    static const struct slice wanted[] = {SLICE_INIT("a"), SLICE_INIT("b"), SLICE_INIT("model"), SLICE_INIT("")};
    struct arena arena;
    struct json_member members[4];
    arena_init(&arena, 4096, SIZE_MAX);
    const struct json_names *names = json_names_new(&arena, wanted, 4);
    struct json_scan scan = json_scan_object(text, names, members);
    REQUIRE(scan.status == JSON_OK || scan.status == JSON_NOT_OBJECT);
    if (scan.status == JSON_OK) {
        size_t at;
        check_walk(part(text, scan.object), scan.member_count);
        for (size_t i = 0; i < 4; i++) {
            if (!members[i].count)
                continue;
            REQUIRE(json_validate(part(text, members[i].value), &at) == JSON_OK);
            REQUIRE(text.ptr[members[i].before] == '{' || text.ptr[members[i].before] == ',');
            REQUIRE(text.ptr[members[i].after] == '}' || text.ptr[members[i].after] == ',');
            if (members[i].type == JSON_STRING)
                check_string(&arena, part(text, members[i].value));
        }
    }
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make((const char *)data, size);
    size_t at = 0;
    enum json_status status = json_validate(text, &at);
    REQUIRE((status == JSON_OK) == is_json(text));
    REQUIRE(at <= size);
    if (status == JSON_OK)
        check_object(text);
    else
        REQUIRE(json_scan_object(text, NULL, NULL).status != JSON_OK);
    return 0;
}
