// Edits by span: what is not edited is handed on as the bytes it is, never written again.
#include "json/reader.h"

void json_edits_init(struct json_edits *edits, struct arena *arena)
{
    *edits = (struct json_edits){.arena = arena};
}

// Where an edit of [from, to) belongs: behind what begins before it; insertions at one place keep their order and stand
// before what is replaced there.
static size_t place_of(const struct json_edits *edits, size_t from, size_t to)
{
    size_t at = edits->count;
    while (at > 0) {
        const struct json_edit *before = &edits->items[at - 1];
        bool is_behind = before->from < from || (before->from == from && (before->to == before->from || to > from));
        if (is_behind)
            break;
        at--;
    }
    return at;
}

static bool overlaps(const struct json_edit *first, size_t from, size_t to)
{
    return first->from < to && from < first->to;
}

bool json_edit_add(struct json_edits *edits, size_t from, size_t to, struct slice with)
{
    size_t at = place_of(edits, from, to);
    if (from > to || (at > 0 && overlaps(&edits->items[at - 1], from, to)) ||
        (at < edits->count && overlaps(&edits->items[at], from, to)))
        return false;
    if (!ARENA_GROW(edits->arena, edits))
        return false;
    memmove(&edits->items[at + 1], &edits->items[at], (edits->count - at) * sizeof *edits->items);
    edits->items[at] = (struct json_edit){from, to, with};
    edits->count++;
    return true;
}

// The edit that cuts or replaces the byte at `offset`, or NULL.
static const struct json_edit *edit_over(const struct json_edits *edits, size_t offset)
{
    for (size_t i = 0; i < edits->count; i++)
        if (edits->items[i].from <= offset && offset < edits->items[i].to)
            return &edits->items[i];
    return NULL;
}

static size_t skip_blanks(struct slice text, size_t at)
{
    const unsigned char *start = (const unsigned char *)text.ptr;
    return (size_t)(json_skip_blanks(start + at, start + text.len) - start);
}

// When nothing is left before a cut member, the comma behind it must go too: its own, or, where the members behind it
// were cut with theirs, the next that still stands.
static bool cut_comma_behind(struct json_edits *edits, const struct json_scan *scan, size_t after)
{
    const struct json_edit *over;
    while ((over = edit_over(edits, after)) != NULL)
        after = skip_blanks(scan->text, over->to);
    return scan->text.ptr[after] != ',' || json_edit_add(edits, after, after + 1, SLICE(""));
}

bool json_edit_remove(struct json_edits *edits, const struct json_scan *scan, const struct json_member *member)
{
    bool is_first = scan->text.ptr[member->before] == '{' || edit_over(edits, member->before);
    if (!is_first)
        return json_edit_add(edits, member->before, member->value.to, SLICE(""));
    if (!json_edit_add(edits, member->key.from, member->value.to, SLICE("")))
        return false;
    return cut_comma_behind(edits, scan, member->after);
}

bool json_edit_replace(struct json_edits *edits, const struct json_member *member, struct slice value)
{
    return json_edit_add(edits, member->value.from, member->value.to, value);
}

bool json_edit_append(struct json_edits *edits, const struct json_scan *scan, struct slice name, struct slice value,
                      bool has_members)
{
    struct buf key;
    buf_init(&key, SIZE_MAX);
    bool is_written =
        (!has_members || buf_append_byte(&key, ',')) && json_write_string(&key, name) && buf_append_byte(&key, ':');
    struct slice parts[] = {buf_slice(&key), value};
    struct slice with = is_written ? arena_join(edits->arena, parts, 2) : (struct slice){NULL, 0};
    buf_fini(&key);
    size_t end = scan->object.to - 1;
    return with.ptr && json_edit_add(edits, end, end, with);
}

static void add_piece(struct slice *pieces, size_t *count, struct slice piece)
{
    if (piece.len)
        pieces[(*count)++] = piece;
}

bool json_splice(struct slice text, const struct json_edits *edits, struct slice **ret_pieces, size_t *ret_count,
                 size_t *ret_bytes)
{
    struct slice *pieces = ARENA_ARRAY(edits->arena, struct slice, edits->count * 2 + 1);
    size_t count = 0, bytes = 0, at = 0;
    if (!pieces)
        return false;
    for (size_t i = 0; i < edits->count; i++) {
        const struct json_edit *edit = &edits->items[i];
        add_piece(pieces, &count, slice_sub(text, at, edit->from - at));
        add_piece(pieces, &count, edit->with);
        at = edit->to;
    }
    add_piece(pieces, &count, slice_from(text, at));
    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(bytes, pieces[i].len, &bytes))
            return false;
    *ret_pieces = pieces;
    *ret_count = count;
    *ret_bytes = bytes;
    return true;
}
