// Strings: the vector readers say what the byte-wise one says, at every length and place, up to the last readable byte;
// decoding and writing.
#include "guard_page.h"
#include "json/text.h"

#include "json/reader.h"

struct outcome {
    size_t at; // of the closing quote, or of the error
    enum json_status status;
};

static struct outcome read_with(json_string_fn *read, struct slice body)
{
    const unsigned char *start = (const unsigned char *)body.ptr;
    struct json_reader reader = {.start = start, .end = start + body.len};
    const unsigned char *quote = read(&reader, start);
    const unsigned char *at = quote ? quote : reader.error_at;
    return (struct outcome){(size_t)(at - start), reader.status};
}

static json_string_fn *const vector_readers[] = {
#if defined(__x86_64__)
    json_string_sse2,
    json_string_avx2,
#endif
    json_string_scalar,
};

static bool can_run(json_string_fn *read)
{
#if defined(__x86_64__)
    return read != json_string_avx2 || json_string_pick() == json_string_avx2;
#else
    return read != NULL;
#endif
}

static void check_same(struct slice body)
{
    struct outcome expected = read_with(json_string_scalar, body);
    for (size_t i = 0; i < sizeof vector_readers / sizeof *vector_readers; i++) {
        if (!can_run(vector_readers[i]))
            continue;
        struct outcome got = read_with(vector_readers[i], body);
        if (got.at != expected.at || got.status != expected.status)
            fail_msg("reader %zu: status %d at %zu, not %d at %zu: " SLICE_FMT, i, got.status, got.at, expected.status,
                     expected.at, SLICE_ARG(body));
    }
}

// What a string may hold, well or badly, put at every place of up to three blocks.
static const struct slice inserts[] = {
    SLICE_INIT("\""),
    SLICE_INIT("\\\""),
    SLICE_INIT("\\\\"),
    SLICE_INIT("\\\\\""),
    SLICE_INIT("\\\\\\\""),
    SLICE_INIT("\\n"),
    SLICE_INIT("\\t"),
    SLICE_INIT("\\x"),
    SLICE_INIT("\\"),
    SLICE_INIT("\\u00e9"),
    SLICE_INIT("\\u00g9"),
    SLICE_INIT("\\u"),
    SLICE_INIT("\n"),
    SLICE_INIT("\x7F"),
    SLICE_INIT("\0"),
    SLICE_INIT("\xC3\xA9"),
    SLICE_INIT("\xE2\x82\xAC"),
    SLICE_INIT("\xF0\x9F\x98\x80"),
    SLICE_INIT("\xC3"),
    SLICE_INIT("\xE2\x82"),
    SLICE_INIT("\xF0\x9F\x98"),
    SLICE_INIT("\xED\xA0\x80"),
    SLICE_INIT("\xC0\x80"),
    SLICE_INIT("\xE0\x80\x80"),
    SLICE_INIT("\xF0\x80\x80\x80"),
    SLICE_INIT("\xF4\x90\x80\x80"),
    SLICE_INIT("\x80"),
    SLICE_INIT("\xBF"),
    SLICE_INIT("\xF8"),
    SLICE_INIT("\xFF"),
    SLICE_INIT("\xC3\"\xA9"),
    SLICE_INIT("\xE2\\n"),
    SLICE_INIT("\\u12\""),
    SLICE_INIT("\xEF\xBF\xBF\xC2\x80\xF0\x90\x80\x80"),
    SLICE_INIT("\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4"),
};

static void test_readers_agree_at_every_place(void **state)
{
    char *region = edge_map(), text[256];
    for (size_t i = 0; i < sizeof inserts / sizeof *inserts; i++)
        for (size_t place = 0; place < 140; place++)
            for (size_t behind = 0; behind < 70; behind += behind < 4 ? 1 : 33) {
                memset(text, 'n', sizeof text);
                memcpy(text + place, inserts[i].ptr, inserts[i].len);
                text[place + inserts[i].len + behind] = '"';
                check_same(edge_copy(region, slice_make(text, place + inserts[i].len + behind + 1)));
                check_same(edge_copy(region, slice_make(text, place + inserts[i].len + behind)));
            }
    edge_unmap(region);
    (void)state;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void test_readers_agree_on_random_text(void **state)
{
    char *region = edge_map(), text[400];
    uint64_t seed = 88172645463325252;
    for (int round = 0; round < 60000; round++) {
        size_t len = 0, goal = next_random(&seed) % 300;
        unsigned rarity = 1 + (unsigned)(next_random(&seed) % 60);
        while (len < goal) {
            struct slice piece = SLICE("a");
            if (next_random(&seed) % rarity == 0)
                piece = inserts[1 + next_random(&seed) % (sizeof inserts / sizeof *inserts - 1)];
            memcpy(text + len, piece.ptr, piece.len);
            len += piece.len;
        }
        text[len++] = '"';
        check_same(edge_copy(region, slice_make(text, len)));
    }
    edge_unmap(region);
    (void)state;
}

// Every code point, and every sequence of lead bytes, told the same way from both sides: by the definition (encode and
// compare) and by the readers.
static size_t encode(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char leads[] = {0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(leads[extra] | code >> (6 * extra));
    for (size_t i = 1; i <= extra; i++)
        out[i] = (char)(0x80 | (code >> (6 * (extra - i)) & 0x3F));
    return extra + 1;
}

static void test_every_code_point(void **state)
{
    char text[128];
    memset(text, 'x', sizeof text);
    for (uint32_t code = 0x80; code < 0x110000; code++) {
        memset(text + 60, 'x', 8);
        size_t len = encode(code, text + 60);
        text[100] = '"';
        bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
        struct outcome got = read_with(json_string_pick(), slice_make(text, sizeof text));
        assert_int_equal(got.status, is_surrogate ? JSON_UTF8 : JSON_OK);
        assert_int_equal(got.at, is_surrogate ? 60 : 100);
        assert_true(len >= 2);
    }
    (void)state;
}

static void test_every_pair_and_triple(void **state)
{
    char text[80];
    for (uint32_t bytes = 0; bytes < 1 << 24; bytes += 7) { // 7 is coprime: all byte values turn up in each place
        memset(text, 'x', sizeof text);
        text[79] = '"';
        text[10] = (char)(bytes >> 16);
        text[11] = (char)(bytes >> 8);
        text[12] = (char)bytes;
        struct slice body = slice_make(text, sizeof text);
        struct outcome expected = read_with(json_string_scalar, body), got = read_with(json_string_pick(), body);
        if (got.at != expected.at || got.status != expected.status)
            fail_msg("%06x", bytes);
    }
    (void)state;
}

// ---- decoding and writing -------------------------------------------------------------------------------------

static const struct {
    struct slice raw;
    struct slice text;
} decoded[] = {
    {SLICE_INIT("\"\""), SLICE_INIT("")},
    {SLICE_INIT("\"gpt-4o\""), SLICE_INIT("gpt-4o")},
    {SLICE_INIT("\"gpt\\u002d4o\""), SLICE_INIT("gpt-4o")},
    {SLICE_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), SLICE_INIT("\"\\/\b\f\n\r\t")},
    {SLICE_INIT("\"\\u00e9\\u20AC\\ud83d\\ude00\""), SLICE_INIT("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")},
    {SLICE_INIT("\"\\uDBFF\\uDFFF\\uD800\\uDC00\""), SLICE_INIT("\xF4\x8F\xBF\xBF\xF0\x90\x80\x80")},
    {SLICE_INIT("\"a\\u0000b\""), SLICE_INIT("a\0b")},
    {SLICE_INIT("\"\\uFFFF\\u07ff\\u0800\""), SLICE_INIT("\xEF\xBF\xBF\xDF\xBF\xE0\xA0\x80")},
};

static void test_decodes(void **state)
{
    struct arena arena;
    arena_init(&arena, 4096, 1 << 16);
    for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++) {
        struct slice text;
        assert_true(json_string_decode(decoded[i].raw, &arena, &text));
        assert_slice_equal(text, decoded[i].text);
        assert_true(json_key_is(decoded[i].raw, decoded[i].text));
        assert_false(json_key_is(decoded[i].raw, SLICE("else")));
    }
    arena_fini(&arena);
    (void)state;
}

static void test_lone_surrogates(void **state)
{
    static const struct slice raws[] = {
        SLICE_INIT("\"\\ud800\""),        SLICE_INIT("\"\\udc00\""),        SLICE_INIT("\"\\ud800x\""),
        SLICE_INIT("\"\\ud800\\n\""),     SLICE_INIT("\"\\ud800\\ud800\""), SLICE_INIT("\"\\ude00\\ud83d\""),
        SLICE_INIT("\"\\ud83d\\u0041\""),
    };
    struct arena arena;
    arena_init(&arena, 4096, 1 << 16);
    for (size_t i = 0; i < sizeof raws / sizeof *raws; i++) {
        struct slice text = SLICE("kept");
        assert_false(json_string_decode(raws[i], &arena, &text));
        assert_slice_equal(text, SLICE("kept"));
    }
    arena_fini(&arena);
    (void)state;
}

static void check_written(struct slice text, struct slice expected)
{
    struct buf buf;
    buf_init(&buf, 1000);
    assert_true(json_write_string(&buf, text));
    assert_slice_equal(buf_slice(&buf), expected);
    buf_fini(&buf);
}

static void test_writes(void **state)
{
    check_written(SLICE(""), SLICE("\"\""));
    check_written(SLICE("a\"b\\c/"), SLICE("\"a\\\"b\\\\c/\""));
    check_written(SLICE("\0\x01\b\t\n\v\f\r\x1F \x7F"), SLICE("\"\\u0000\\u0001\\b\\t\\n\\u000b\\f\\r\\u001f \x7F\""));
    check_written(SLICE("\xC3\xA9\xF0\x9F\x98\x80"), SLICE("\"\xC3\xA9\xF0\x9F\x98\x80\""));
    check_written(SLICE("\xC3(\xFFz\xE2\x82"), SLICE("\"\xEF\xBF\xBD(\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\""));
    (void)state;
}

// Writes the text, in which the byte at one place may be odd, from before an unreadable page into a buffer with room for
// just what is expected of it.
static void check_written_at(struct guard_page *guard, struct slice text, size_t place)
{
    char expected[64];
    unsigned char byte = (unsigned char)text.ptr[place];
    bool is_replaced = byte >= 0x80, is_escaped = byte < 0x20 || byte == '"' || byte == '\\';
    struct buf buf;
    buf_init(&buf, is_escaped || is_replaced ? 1000 : text.len + 2);
    assert_true(json_write_string(&buf, guard_page_copy(guard, text)));
    assert_int_equal(buf.ptr[place + 1] == '\\', is_escaped);
    expected[0] = expected[text.len + 1] = '"';
    memcpy(expected + 1, text.ptr, text.len);
    if (is_replaced) // nothing of the text has what would continue a character
        assert_memory_equal(buf.ptr + place + 1, "\xEF\xBF\xBD", 3);
    else if (!is_escaped)
        assert_slice_equal(buf_slice(&buf), slice_make(expected, text.len + 2));
    buf_fini(&buf);
}

// Every byte at every place of texts of every small length: escaped exactly where it must be.
static void test_writes_every_byte_at_every_place(void **state)
{
    char text[40];
    struct guard_page guard = {0};
    for (size_t len = 1; len <= sizeof text; len++)
        for (size_t place = 0; place < len; place++)
            for (unsigned byte = 0; byte <= 0xFF; byte++) {
                for (size_t i = 0; i < len; i++)
                    text[i] = (char)('a' + i % 26);
                text[place] = (char)byte;
                check_written_at(&guard, slice_make(text, len), place);
            }
    guard_page_free(&guard);
    (void)state;
}

static void test_writes_whole_or_not_at_all(void **state)
{
    struct buf buf;
    buf_init(&buf, 8);
    assert_true(buf_append(&buf, SLICE("abc")));
    assert_false(json_write_string(&buf, SLICE("\n\n\n")));
    assert_slice_equal(buf_slice(&buf), SLICE("abc"));
    buf_fini(&buf);
    (void)state;
}

static void test_integers(void **state)
{
    uint64_t value = 7;
    assert_true(json_to_u64(SLICE("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    static const struct slice bad[] = {SLICE_INIT("18446744073709551616"),
                                       SLICE_INIT("-1"),
                                       SLICE_INIT("1.0"),
                                       SLICE_INIT("1e3"),
                                       SLICE_INIT(""),
                                       SLICE_INIT("\"1\"")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(json_to_u64(bad[i], &value));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_agree_at_every_place),
        cmocka_unit_test(test_readers_agree_on_random_text),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_every_pair_and_triple),
        cmocka_unit_test(test_decodes),
        cmocka_unit_test(test_lone_surrogates),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_writes_every_byte_at_every_place),
        cmocka_unit_test(test_writes_whole_or_not_at_all),
        cmocka_unit_test(test_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
