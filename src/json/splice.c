// Edits by span: what is not edited is handed on as the bytes it is, never written again.
#include "json/json.h"

void json_edits_init(struct json_edits *edits, struct arena *arena)
{
    *edits = (struct json_edits){.arena = arena};
}

bool json_edit_add(struct json_edits *edits, size_t from, size_t to, struct slice with)
{
    size_t end_before = edits->count ? edits->items[edits->count - 1].to : 0;
    if (from < end_before || from > to || !ARENA_GROW(edits->arena, edits))
        return false;
    edits->items[edits->count++] = (struct json_edit){from, to, with};
    return true;
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
