// Body mutation (S6). The changes are first folded into a tree by name, in order, so that a later change wins over what
// it covers; then the tree is laid over the text, one object after the other, and gives edits in the order of the text.
// Recursion goes as deep as a configured path, never as deep as the input.
#include "json/names.h"
#include "json/reader.h"

enum change_kind {
    CHANGE_WITHIN, // only something below it changes
    CHANGE_SET,
    CHANGE_REMOVE,
};

struct change_node {
    struct slice name;
    enum change_kind kind;
    struct slice value; // of CHANGE_SET
    struct change_node *first_child;
    struct change_node *next;
    struct json_member found; // in the object under work; count 0: not there
};

struct apply {
    struct arena *arena;
    struct slice text;
    struct json_edits edits;
    struct slice duplicate;
};

// ---- folding the changes --------------------------------------------------------------------------------------

// The child of that name, made when there is none. NULL without memory.
static struct change_node *child_of(struct arena *arena, struct change_node *node, struct slice name)
{
    struct change_node **at = &node->first_child;
    while (*at && !slice_eq((*at)->name, name))
        at = &(*at)->next;
    if (!*at && (*at = ARENA_NEW(arena, struct change_node)) != NULL)
        (*at)->name = name;
    return *at;
}

// A change below a value that an earlier change sets: made in that value.
static bool fold_into_value(struct arena *arena, struct change_node *node, const struct json_path *below,
                            struct slice value)
{
    struct slice *pieces, duplicate;
    size_t count, bytes;
    struct json_change change = {below, value};
    if (!slice_starts_with(json_trim(node->value), SLICE("{"))) {
        if (!value.ptr)
            return true;
        node->value = SLICE("{}");
    }
    if (!json_apply(node->value, &change, 1, arena, &pieces, &count, &bytes, &duplicate))
        return false;
    node->value = arena_join(arena, pieces, count);
    return node->value.ptr != NULL;
}

static bool fold(struct arena *arena, struct change_node *node, const struct json_change *change)
{
    const struct json_path *path = change->path;
    for (size_t i = 0; i < path->count; i++) {
        node = child_of(arena, node, path->names[i]);
        if (!node)
            return false;
        struct json_path below = {path->names + i + 1, path->count - i - 1};
        if (below.count && node->kind == CHANGE_REMOVE && change->value.ptr) {
            node->kind = CHANGE_SET;
            node->value = SLICE("{}");
        }
        if (below.count && node->kind == CHANGE_REMOVE)
            return true;
        if (below.count && node->kind == CHANGE_SET)
            return fold_into_value(arena, node, &below, change->value);
    }
    node->kind = change->value.ptr ? CHANGE_SET : CHANGE_REMOVE;
    node->value = change->value;
    node->first_child = NULL;
    return true;
}

// ---- finding members ------------------------------------------------------------------------------------------

static bool note_member(struct apply *apply, struct change_node *node, const struct json_member *member)
{
    if (node->found.count) {
        apply->duplicate = node->name;
        return false;
    }
    node->found = *member;
    node->found.count = 1;
    return true;
}

static bool match_member(struct apply *apply, struct change_node *parent, struct slice key,
                         const struct json_member *member)
{
    for (struct change_node *node = parent->first_child; node; node = node->next)
        if (json_key_is(key, node->name))
            return note_member(apply, node, member);
    return true;
}

static struct json_span span_of(const struct apply *apply, struct slice part)
{
    size_t from = (size_t)(part.ptr - apply->text.ptr);
    return (struct json_span){from, from + part.len};
}

static size_t skip_blanks(struct slice text, size_t at)
{
    const unsigned char *start = (const unsigned char *)text.ptr;
    return (size_t)(json_skip_blanks(start + at, start + text.len) - start);
}

// Walks the members of an object. False on a duplicate of a name that changes.
static bool find_members(struct apply *apply, struct change_node *parent, struct json_span object, size_t *ret_count)
{
    struct slice container = slice_sub(apply->text, object.from, object.to - object.from);
    struct json_cursor cursor = json_cursor_init(container);
    struct slice key, value;
    struct json_member member = {.before = object.from};
    *ret_count = 0;
    while (json_next(&cursor, &key, &value, &member.type)) {
        ++*ret_count;
        member.key = span_of(apply, key);
        member.value = span_of(apply, value);
        member.after = skip_blanks(apply->text, member.value.to);
        if (!match_member(apply, parent, key, &member))
            return false;
        member.before = member.after;
    }
    return true;
}

// The same from what a scan found. False when it did not look for all of the names.
static bool take_members(struct change_node *parent, const struct json_names *names, const struct json_member *members)
{
    for (struct change_node *node = parent->first_child; node; node = node->next) {
        size_t index = names ? json_names_index(names, node->name) : SLICE_NOT_FOUND;
        if (index == SLICE_NOT_FOUND)
            return false;
        node->found = members[index];
    }
    return true;
}

// ---- laying the tree over the text ----------------------------------------------------------------------------

static bool has_sets(const struct change_node *node)
{
    if (node->kind != CHANGE_WITHIN)
        return node->kind == CHANGE_SET;
    for (const struct change_node *child = node->first_child; child; child = child->next)
        if (has_sets(child))
            return true;
    return false;
}

static bool write_new_value(struct buf *buf, const struct change_node *node)
{
    if (node->kind == CHANGE_SET)
        return buf_append(buf, node->value);
    bool is_written = buf_append_byte(buf, '{'), is_first = true;
    for (const struct change_node *child = node->first_child; child && is_written; child = child->next) {
        if (!has_sets(child))
            continue;
        is_written = (is_first || buf_append_byte(buf, ',')) && json_write_string(buf, child->name) &&
                     buf_append_byte(buf, ':') && write_new_value(buf, child);
        is_first = false;
    }
    return is_written && buf_append_byte(buf, '}');
}

// The value of a node that the text does not have, with its name before it when it becomes a new member.
static struct slice new_value(struct arena *arena, const struct change_node *node, struct slice separator,
                              bool is_named)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    bool is_written = buf_append(&buf, separator) &&
                      (!is_named || (json_write_string(&buf, node->name) && buf_append_byte(&buf, ':'))) &&
                      write_new_value(&buf, node);
    struct slice value = is_written ? arena_dup(arena, buf_slice(&buf)) : (struct slice){NULL, 0};
    buf_fini(&buf);
    return value;
}

static bool lay_over_object(struct apply *apply, struct change_node *parent, struct json_span object,
                            size_t member_count);

static bool change_value(struct apply *apply, struct change_node *node)
{
    const struct json_member *member = &node->found;
    if (node->kind == CHANGE_SET)
        return json_edit_add(&apply->edits, member->value.from, member->value.to, node->value);
    if (member->type == JSON_OBJECT) {
        size_t count;
        return find_members(apply, node, member->value, &count) && lay_over_object(apply, node, member->value, count);
    }
    if (!has_sets(node))
        return true;
    struct slice value = new_value(apply->arena, node, SLICE(""), false);
    return value.ptr && json_edit_add(&apply->edits, member->value.from, member->value.to, value);
}

// The node whose member comes first in the text, behind `from`.
static struct change_node *next_found(struct change_node *parent, size_t from)
{
    struct change_node *best = NULL;
    for (struct change_node *node = parent->first_child; node; node = node->next)
        if (node->found.count && node->found.before >= from && (!best || node->found.before < best->found.before))
            best = node;
    return best;
}

// Cuts a member with one comma: the one behind it when nothing that stays is before it, else the one before it.
// *cut_to: what was cut so far from the object's start on.
static bool cut_member(struct apply *apply, const struct json_member *member, size_t *cut_to)
{
    if (*cut_to != member->before)
        return json_edit_add(&apply->edits, member->before, member->value.to, SLICE(""));
    bool has_comma = apply->text.ptr[member->after] == ',';
    *cut_to = member->after;
    return json_edit_add(&apply->edits, member->before + 1, has_comma ? member->after + 1 : member->value.to,
                         SLICE(""));
}

static bool add_missing(struct apply *apply, struct change_node *parent, size_t end, bool has_members)
{
    for (struct change_node *node = parent->first_child; node; node = node->next) {
        if (node->found.count || !has_sets(node))
            continue;
        struct slice text = new_value(apply->arena, node, has_members ? SLICE(",") : SLICE(""), true);
        if (!text.ptr || !json_edit_add(&apply->edits, end, end, text))
            return false;
        has_members = true;
    }
    return true;
}

static bool lay_over_object(struct apply *apply, struct change_node *parent, struct json_span object,
                            size_t member_count)
{
    size_t cut_to = object.from, from = 0;
    struct change_node *node;
    while ((node = next_found(parent, from)) != NULL) {
        from = node->found.after;
        bool is_cut = node->kind == CHANGE_REMOVE;
        if (!(is_cut ? cut_member(apply, &node->found, &cut_to) : change_value(apply, node)))
            return false;
        member_count -= is_cut;
    }
    return add_missing(apply, parent, object.to - 1, member_count > 0);
}

static bool fold_all(struct arena *arena, struct change_node *root, const struct json_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!fold(arena, root, &changes[i]))
            return false;
    return true;
}

bool json_apply_scanned(const struct json_scan *scan, const struct json_names *names, const struct json_member *members,
                        const struct json_change *changes, size_t count, struct arena *arena, struct slice **ret_pieces,
                        size_t *ret_piece_count, size_t *ret_bytes, struct slice *ret_duplicate)
{
    struct apply apply = {.arena = arena, .text = scan->text};
    struct change_node root = {.kind = CHANGE_WITHIN};
    size_t member_count = scan->member_count;
    json_edits_init(&apply.edits, arena);
    *ret_duplicate = (struct slice){NULL, 0};
    if (!fold_all(arena, &root, changes, count))
        return false;
    bool is_found = true;
    if (!take_members(&root, names, members)) {
        for (struct change_node *node = root.first_child; node; node = node->next)
            node->found.count = 0;
        is_found = find_members(&apply, &root, scan->object, &member_count);
    }
    for (struct change_node *node = root.first_child; node && is_found; node = node->next)
        if (node->found.count > 1) {
            apply.duplicate = node->name;
            is_found = false;
        }
    if (is_found && lay_over_object(&apply, &root, scan->object, member_count))
        return json_splice(scan->text, &apply.edits, ret_pieces, ret_piece_count, ret_bytes);
    *ret_duplicate = apply.duplicate;
    return false;
}

bool json_apply(struct slice text, const struct json_change *changes, size_t count, struct arena *arena,
                struct slice **ret_pieces, size_t *ret_piece_count, size_t *ret_bytes, struct slice *ret_duplicate)
{
    struct apply apply = {.text = text};
    struct json_scan scan = {.text = text, .object = span_of(&apply, json_trim(text))};
    return json_apply_scanned(&scan, NULL, NULL, changes, count, arena, ret_pieces, ret_piece_count, ret_bytes,
                              ret_duplicate);
}
