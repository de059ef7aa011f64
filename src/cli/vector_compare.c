// Compares what came with what was expected, and words the differences.
#include "cli/vector.h"

#include "json/json.h"

#define SHOWN_BYTES 240

// ---- differences ----------------------------------------------------------------------------------------------------

// Control bytes are shown as escapes, so that a difference in line ends can be seen.
static void show(struct buf *out, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte == '\n')
            buf_append(out, SLICE("\\n"));
        else if (byte == '\r')
            buf_append(out, SLICE("\\r"));
        else if (byte == '\t')
            buf_append(out, SLICE("\\t"));
        else if (byte < ' ' || byte == 0x7f) {
            char escape[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
            buf_append(out, slice_make(escape, 4));
        } else
            buf_append_byte(out, (char)byte);
    }
}

static size_t common_start(struct slice a, struct slice b)
{
    size_t at = 0;
    while (at < a.len && at < b.len && a.ptr[at] == b.ptr[at])
        at++;
    return at;
}

// Long texts are shown from a little before the place where they part.
static void show_part(struct buf *out, struct slice text, size_t from)
{
    if (from > 0)
        buf_append(out, SLICE("..."));
    show(out, slice_sub(text, from, SHOWN_BYTES));
    if (text.len > from + SHOWN_BYTES)
        buf_append(out, SLICE("..."));
    buf_append_byte(out, '\n');
}

void vector_differ(struct vector_diff *diff, struct slice where, struct slice expected, struct slice got)
{
    if (++diff->count > 12)
        return;
    size_t parting = common_start(expected, got);
    bool is_long = expected.len > SHOWN_BYTES || got.len > SHOWN_BYTES;
    size_t from = is_long && parting > 40 ? parting - 40 : 0;
    buf_append(&diff->text, SLICE("    "));
    buf_append(&diff->text, where);
    if (from > 0)
        buf_printf(&diff->text, " (from byte %zu)", from);
    buf_append(&diff->text, SLICE("\n      expected  "));
    show_part(&diff->text, expected, from);
    buf_append(&diff->text, SLICE("      got       "));
    show_part(&diff->text, got, from);
}

// ---- parts of a message ---------------------------------------------------------------------------------------------

struct part {
    const struct node *expected; // the map of expectations
    struct slice where;          // "response", "attempts[0]"
    struct arena *arena;
    struct vector_diff *diff;
};

static struct slice below(const struct part *part, struct slice name)
{
    return arena_join(part->arena, (struct slice[]){part->where, SLICE("."), name}, 3);
}

static void compare_text(const struct part *part, struct slice name, struct slice got)
{
    const struct node *expected = node_get(part->expected, name);
    if (expected && !slice_eq(node_text(expected), got))
        vector_differ(part->diff, below(part, name), node_text(expected), got);
}

// All values of a field as one line to show.
static struct slice shown_values(const struct part *part, const struct fields *fields, struct slice name)
{
    struct slice shown = SLICE("(absent)");
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++)
        if (slice_eq_nocase(fields->items[i].name, name))
            shown = count++ == 0
                        ? fields->items[i].value
                        : arena_join(part->arena, (struct slice[]){shown, SLICE(" | "), fields->items[i].value}, 3);
    return shown;
}

static struct slice expected_values(const struct part *part, const struct node *expected)
{
    if (expected->type == NODE_NULL)
        return SLICE("(absent)");
    if (expected->type != NODE_LIST)
        return node_text(expected);
    struct slice shown = SLICE("(absent)");
    for (const struct node *child = node_first(expected); child; child = child->next)
        shown = child == node_first(expected)
                    ? node_text(child)
                    : arena_join(part->arena, (struct slice[]){shown, SLICE(" | "), node_text(child)}, 3);
    return shown;
}

static void compare_fields(const struct part *part, const struct fields *fields)
{
    for (const struct node *child = node_first(node_get(part->expected, SLICE("headers"))); child;
         child = child->next) {
        struct slice expected = expected_values(part, child);
        struct slice got = shown_values(part, fields, child->key);
        if (!slice_eq(expected, got))
            vector_differ(part->diff,
                          arena_join(part->arena, (struct slice[]){part->where, SLICE(".headers."), child->key}, 3),
                          expected, got);
    }
}

static void compare_contains(const struct part *part, struct slice name, struct slice got, bool is_wanted)
{
    const struct node *expected = node_get(part->expected, name);
    const struct node *one = node_is_scalar(expected) ? expected : node_first(expected);
    for (; one; one = one == expected ? NULL : one->next)
        if ((slice_find_slice(got, node_text(one)) != SLICE_NOT_FOUND) != is_wanted)
            vector_differ(part->diff, below(part, name), node_text(one), got);
}

static void compare_body(const struct part *part, struct slice got)
{
    const struct node *json = node_member(part->expected, SLICE("json"));
    const struct node *body = node_get(part->expected, SLICE("body"));
    if (json)
        json_compare(below(part, SLICE("json")), node_to_json(json, part->arena), got, part->arena, part->diff);
    if (body && !slice_eq(node_text(body), got))
        vector_differ(part->diff, below(part, SLICE("body")), node_text(body), got);
    compare_contains(part, SLICE("bodyContains"), got, true);
    compare_contains(part, SLICE("bodyAbsent"), got, false);
}

// ---- the whole ------------------------------------------------------------------------------------------------------

static struct slice backend_name(const struct memory_attempt *attempt, struct arena *arena)
{
    const struct config_backend *backend = attempt->ref->backend;
    if (!backend)
        return SLICE("(none)");
    return arena_join(arena, (struct slice[]){backend->namespace_, SLICE("/"), backend->name}, 3);
}

static void compare_attempt(const struct part *part, const struct memory_attempt *attempt)
{
    compare_text(part, SLICE("backend"), backend_name(attempt, part->arena));
    compare_text(part, SLICE("method"), attempt->method);
    compare_text(part, SLICE("path"), attempt->target);
    compare_text(part, SLICE("authority"), attempt->authority);
    const struct node *at = node_get(part->expected, SLICE("at"));
    int64_t at_ms = 0;
    if (at && (!node_to_ms(at, &at_ms) || at_ms != attempt->at_ms))
        vector_differ(part->diff, below(part, SLICE("at")), node_text(at),
                      arena_printf(part->arena, "%lldms", (long long)attempt->at_ms));
    compare_fields(part, &attempt->fields);
    compare_body(part, attempt->body);
}

static struct slice name_attempts(const struct memory_result *result, struct arena *arena)
{
    struct slice names = arena_printf(arena, "%zu:", result->attempt_count);
    for (size_t i = 0; i < result->attempt_count; i++)
        names = arena_join(arena, (struct slice[]){names, SLICE(" "), backend_name(&result->attempts[i], arena)}, 3);
    return names;
}

static struct slice name_expected(const struct node *list, struct arena *arena)
{
    struct slice names = arena_printf(arena, "%zu:", node_count(list));
    for (const struct node *child = node_first(list); child; child = child->next) {
        const struct node *backend = node_get(child, SLICE("backend"));
        struct slice name = backend ? node_text(backend) : SLICE("(any)");
        names = arena_join(arena, (struct slice[]){names, SLICE(" "), name}, 3);
    }
    return names;
}

static void compare_attempts(const struct node *list, const struct memory_result *result, struct arena *arena,
                             struct vector_diff *diff)
{
    if (list->count != result->attempt_count)
        vector_differ(diff, SLICE("attempts"), name_expected(list, arena), name_attempts(result, arena));
    size_t at = 0;
    for (const struct node *child = node_first(list); child && at < result->attempt_count; child = child->next, at++) {
        struct part part = {child, arena_printf(arena, "attempts[%zu]", at), arena, diff};
        compare_attempt(&part, &result->attempts[at]);
    }
}

static void compare_stream(const struct part *part, const struct memory_result *result)
{
    const struct node *list = node_get(part->expected, SLICE("stream"));
    size_t at = 0;
    if (!list)
        return;
    if (list->count != result->piece_count)
        vector_differ(part->diff, below(part, SLICE("stream")), arena_printf(part->arena, "%zu pieces", list->count),
                      arena_printf(part->arena, "%zu pieces", result->piece_count));
    for (const struct node *child = node_first(list); child && at < result->piece_count; child = child->next, at++)
        if (!slice_eq(node_text(child), result->pieces[at]))
            vector_differ(part->diff, arena_printf(part->arena, "response.stream[%zu]", at), node_text(child),
                          result->pieces[at]);
}

static void compare_response(const struct part *part, const struct memory_result *result)
{
    static const struct slice ends[] = {[MEMORY_END_COMPLETE] = SLICE_INIT("complete"),
                                        [MEMORY_END_CUT] = SLICE_INIT("cut"),
                                        [MEMORY_END_STUCK] = SLICE_INIT("(nothing ends it)")};
    compare_text(part, SLICE("status"), arena_printf(part->arena, "%u", result->response.status));
    compare_fields(part, &result->response.fields);
    compare_body(part, result->body);
    compare_stream(part, result);
    compare_text(part, SLICE("end"), ends[result->end]);
}

static void compare_rule(const struct node *expected, const struct memory_result *result, struct arena *arena,
                         struct vector_diff *diff)
{
    struct slice got = SLICE("(none)");
    if (result->route)
        got = arena_printf(arena, SLICE_FMT "/" SLICE_FMT "/%zu", SLICE_ARG(result->route->namespace_),
                           SLICE_ARG(result->route->name), result->rule->index);
    struct slice wanted = expected->type == NODE_NULL ? SLICE("(none)") : node_text(expected);
    if (!slice_eq(wanted, got))
        vector_differ(diff, SLICE("rule"), wanted, got);
}

static void compare_log(const struct node *map, const struct memory_result *result, struct arena *arena,
                        struct vector_diff *diff)
{
    struct slice line = result->log_count ? result->log_lines[0] : SLICE("");
    size_t error_at = 0;
    if (json_validate(line, &error_at) != JSON_OK) {
        vector_differ(diff, SLICE("log"), SLICE("a JSON line"), line.len ? line : SLICE("(no line)"));
        return;
    }
    for (const struct node *child = node_first(map); child; child = child->next) {
        struct json_cursor cursor = json_cursor_init(slice_trim(slice_sub(line, 0, line.len - 1)));
        struct slice where = arena_join(arena, (struct slice[]){SLICE("log."), child->key}, 2);
        struct slice key, value, got = SLICE("null");
        enum json_type type;
        while (json_next(&cursor, &key, &value, &type))
            if (slice_eq(slice_sub(key, 1, key.len - 2), child->key))
                got = value;
        json_compare(where, node_to_json(child, arena), got, arena, diff);
    }
}

void vector_compare(const struct node *expect, const struct memory_result *result, struct arena *arena,
                    struct vector_diff *diff)
{
    const struct node *rule = node_member(expect, SLICE("rule"));
    const struct node *attempts = node_get(expect, SLICE("attempts"));
    const struct node *response = node_get(expect, SLICE("response"));
    const struct node *log = node_get(expect, SLICE("log"));
    if (result->end == MEMORY_END_STUCK)
        vector_differ(diff, SLICE("end"), SLICE("an end"), SLICE("nothing would ever end this request"));
    if (rule)
        compare_rule(rule, result, arena, diff);
    if (attempts)
        compare_attempts(attempts, result, arena, diff);
    if (response)
        compare_response(&(struct part){response, SLICE("response"), arena, diff}, result);
    if (log)
        compare_log(log, result, arena, diff);
}
