// The walk over a whole text, and what it found of the top-level members that somebody asked for.
#include "json/names.h"
#include "json/reader.h"

static size_t offset(const struct json_walk *walk, const unsigned char *at)
{
    return (size_t)(at - walk->reader.start);
}

static struct json_span span(const struct json_walk *walk, struct slice part)
{
    size_t from = offset(walk, (const unsigned char *)part.ptr);
    return (struct json_span){from, from + part.len};
}

// ---- top-level members ----------------------------------------------------------------------------------------

// The member whose value the walk has come to, if it is asked for and the first of its name; else NULL.
static struct json_member *begin_member(const struct json_walk *walk, const struct json_names *names,
                                        struct json_member *members, size_t before)
{
    size_t index = json_names_match(names, walk->key);
    if (index == SLICE_NOT_FOUND)
        return NULL;
    struct json_member *member = &members[index];
    if (member->count != UINT32_MAX)
        member->count++;
    if (member->count > 1)
        return NULL;
    member->type = walk->type;
    member->key = span(walk, walk->key);
    member->value = span(walk, walk->value);
    member->before = before;
    return member;
}

// `after`: offset of the ',' or '}' behind the value.
static void end_member(struct json_member *member, struct slice text, size_t after)
{
    if (!member)
        return;
    member->after = after;
    member->value.to = after;
    while (json_is_blank((unsigned char)text.ptr[member->value.to - 1]))
        member->value.to--;
}

// From the '{' of the text's object to behind its '}'.
static void scan_members(struct json_walk *walk, const struct json_names *names, struct json_member *members,
                         struct json_scan *scan)
{
    struct json_member *member = NULL; // the one that isn't ended yet
    size_t before = scan->object.from;
    for (json_walk_next(walk, 0); json_walk_next(walk, 1); scan->member_count++) {
        if (scan->member_count)
            before = offset(walk, walk->comma);
        end_member(member, scan->text, before);
        member = names ? begin_member(walk, names, members, before) : NULL;
    }
    if (walk->reader.status != JSON_OK)
        return;
    scan->object.to = offset(walk, walk->after);
    end_member(member, scan->text, scan->object.to - 1);
}

// ---- whole texts ----------------------------------------------------------------------------------------------

struct json_scan json_scan_object(struct slice text, const struct json_names *names, struct json_member *ret_members)
{
    struct json_walk walk;
    struct json_scan scan = {.text = text};
    json_walk_init(&walk, text);
    if (names && json_names_count(names))
        memset(ret_members, 0, json_names_count(names) * sizeof *ret_members);
    if (walk.reader.status == JSON_OK) {
        scan.object.from = offset(&walk, walk.at);
        if (*walk.at == '{')
            scan_members(&walk, names, ret_members, &scan);
        else
            json_fail(&walk.reader, JSON_NOT_OBJECT, walk.at);
    }
    scan.status = walk.reader.status;
    if (scan.status != JSON_OK)
        scan.error_at = offset(&walk, walk.reader.error_at);
    return scan;
}

enum json_status json_validate(struct slice text, size_t *ret_error_at)
{
    struct json_walk walk;
    json_walk_init(&walk, text);
    while (json_walk_next(&walk, 0))
        ;
    if (walk.reader.status != JSON_OK)
        *ret_error_at = offset(&walk, walk.reader.error_at);
    return walk.reader.status;
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
