// YAML as JSON, and JSON compared as values.
#include "cli/vector.h"

#include "json/json.h"

#include <math.h>
#include <stdlib.h>

// ---- YAML to JSON ---------------------------------------------------------------------------------------------------

// YAML's 0x1f, 0o17, +1, .5 and .inf are no JSON numbers; what JSON can't say becomes a string.
static void write_number(const struct node *node, struct buf *out)
{
    int64_t whole = 0;
    size_t error_at = 0;
    if (json_validate(node->text, &error_at) == JSON_OK) {
        buf_append(out, node->text);
    } else if (node_to_i64(node, &whole)) {
        buf_append_i64(out, whole);
    } else {
        char text[64] = "";
        memcpy(text, node->text.ptr, node->text.len < sizeof text ? node->text.len : sizeof text - 1);
        double number = strtod(text, NULL);
        if (isfinite(number))
            buf_printf(out, "%.17g", number);
        else
            json_write_string(out, node->text);
    }
}

static void write_node(const struct node *node, struct buf *out)
{
    switch (node->type) {
    case NODE_NULL:
        buf_append(out, SLICE("null"));
        return;
    case NODE_BOOL: {
        bool is_true = false;
        node_to_bool(node, &is_true);
        buf_append(out, is_true ? SLICE("true") : SLICE("false"));
        return;
    }
    case NODE_INT:
    case NODE_FLOAT:
        write_number(node, out);
        return;
    case NODE_STRING:
        json_write_string(out, node->text);
        return;
    case NODE_LIST:
    case NODE_MAP:
        break;
    }
    bool is_map = node->type == NODE_MAP;
    buf_append_byte(out, is_map ? '{' : '[');
    for (const struct node *child = node_first(node); child; child = child->next) { // depth: DOCUMENT_MAX_DEPTH
        if (is_map) {
            json_write_string(out, child->key);
            buf_append_byte(out, ':');
        }
        write_node(child, out);
        if (child->next)
            buf_append_byte(out, ',');
    }
    buf_append_byte(out, is_map ? '}' : ']');
}

struct slice node_to_json(const struct node *node, struct arena *arena)
{
    struct buf out;
    buf_init(&out, (size_t)256 << 20);
    write_node(node, &out);
    struct slice text = arena_dup(arena, buf_slice(&out));
    buf_fini(&out);
    return text;
}

// ---- comparing ------------------------------------------------------------------------------------------------------

struct comparison {
    struct arena *arena;
    struct vector_diff *diff;
};

static enum json_type type_of(struct slice value)
{
    switch (value.len ? value.ptr[0] : 0) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

static struct slice decoded(struct slice raw, struct arena *arena)
{
    struct slice text = raw;
    json_string_decode(raw, arena, &text);
    return text;
}

static double number_value(struct slice raw, struct arena *arena)
{
    struct slice text = arena_dup(arena, raw);
    return text.ptr ? strtod(text.ptr, NULL) : 0;
}

static bool find_member(struct slice object, struct slice name, struct arena *arena, struct slice *ret_value)
{
    struct json_cursor cursor = json_cursor_init(object);
    struct slice key, value;
    enum json_type type;
    while (json_next(&cursor, &key, &value, &type))
        if (slice_eq(decoded(key, arena), name)) {
            *ret_value = value;
            return true;
        }
    return false;
}

static void compare_values(struct comparison *comparison, struct slice where, struct slice expected, struct slice got);

static void compare_objects(struct comparison *comparison, struct slice where, struct slice expected, struct slice got)
{
    struct arena *arena = comparison->arena;
    struct json_cursor cursor = json_cursor_init(expected);
    struct slice key, value, other;
    enum json_type type;
    while (json_next(&cursor, &key, &value, &type)) {
        struct slice name = decoded(key, arena);
        struct slice inner = arena_join(arena, (struct slice[]){where, SLICE("."), name}, 3);
        if (find_member(got, name, arena, &other))
            compare_values(comparison, inner, value, other);
        else
            vector_differ(comparison->diff, inner, value, SLICE("(absent)"));
    }
    cursor = json_cursor_init(got);
    while (json_next(&cursor, &key, &value, &type)) {
        struct slice name = decoded(key, arena);
        if (!find_member(expected, name, arena, &other))
            vector_differ(comparison->diff, arena_join(arena, (struct slice[]){where, SLICE("."), name}, 3),
                          SLICE("(absent)"), value);
    }
}

static void compare_arrays(struct comparison *comparison, struct slice where, struct slice expected, struct slice got)
{
    struct json_cursor left = json_cursor_init(expected);
    struct json_cursor right = json_cursor_init(got);
    for (size_t at = 0;; at++) {
        struct slice key, a = SLICE("(absent)"), b = SLICE("(absent)");
        enum json_type type;
        bool has_a = json_next(&left, &key, &a, &type);
        bool has_b = json_next(&right, &key, &b, &type);
        struct slice inner = arena_printf(comparison->arena, SLICE_FMT "[%zu]", SLICE_ARG(where), at);
        if (!has_a && !has_b)
            return;
        if (has_a && has_b)
            compare_values(comparison, inner, a, b);
        else
            vector_differ(comparison->diff, inner, a, b);
    }
}

static void compare_values(struct comparison *comparison, struct slice where, struct slice expected, struct slice got)
{
    enum json_type type = type_of(expected);
    bool is_equal = type == type_of(got);
    if (is_equal && type == JSON_OBJECT) {
        compare_objects(comparison, where, expected, got);
        return;
    }
    if (is_equal && type == JSON_ARRAY) {
        compare_arrays(comparison, where, expected, got);
        return;
    }
    if (is_equal && type == JSON_STRING)
        is_equal = slice_eq(decoded(expected, comparison->arena), decoded(got, comparison->arena));
    if (is_equal && type == JSON_NUMBER && !slice_eq(expected, got)) {
        double a = number_value(expected, comparison->arena);
        double b = number_value(got, comparison->arena);
        is_equal = !(a < b) && !(a > b);
    }
    if (!is_equal)
        vector_differ(comparison->diff, where, expected, got);
}

void json_compare(struct slice where, struct slice expected, struct slice got, struct arena *arena,
                  struct vector_diff *diff)
{
    size_t error_at = 0;
    struct comparison comparison = {arena, diff};
    // The outer blanks are no part of the value.
    expected = slice_trim(expected);
    while (got.len > 0 && strchr(" \t\r\n", got.ptr[got.len - 1]))
        got.len--;
    while (got.len > 0 && strchr(" \t\r\n", got.ptr[0]))
        got = slice_from(got, 1);
    if (json_validate(got, &error_at) != JSON_OK)
        vector_differ(diff, where, expected, arena_join(arena, (struct slice[]){SLICE("(no JSON) "), got}, 2));
    else
        compare_values(&comparison, where, expected, got);
}
