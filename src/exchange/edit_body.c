// The body of an attempt: the original's bytes with the members spliced that this backend wants otherwise (S6). The scan
// of the request is used again; only the value of a member that is changed inside is read once more.
#include "exchange/life.h"
#include "schema/openai/openai.h"

struct root {     // a top-level member that is changed, in the order of the text
    size_t place; // in the snapshot's names
    bool is_gone;
    struct slice value; // JSON text, when not gone
};

struct roots {
    struct root *items;
    size_t count;
};

static const struct json_member *member_of(const struct exchange *x, const struct root *root)
{
    return &x->members[root->place];
}

static struct slice span_text(const struct exchange *x, struct json_span span)
{
    return slice_sub(buf_slice(&x->body), span.from, span.to - span.from);
}

// The entry for a member, as it stands in the body at first.
static struct root *root_at(const struct exchange *x, struct roots *roots, size_t place)
{
    for (size_t i = 0; i < roots->count; i++)
        if (roots->items[i].place == place)
            return &roots->items[i];
    struct root *root = &roots->items[roots->count++];
    *root = (struct root){.place = place, .is_gone = x->members[place].type == JSON_NONE};
    if (!root->is_gone)
        root->value = span_text(x, x->members[place].value);
    return root;
}

static bool refuse_duplicate(struct exchange *x, struct slice name)
{
    lift_refuse(x, ERROR_BODY_MEMBER, name, SLICE("stands more than once."));
    return false;
}

// A change inside a member: the member's value alone is edited, and becomes the member's new value.
static bool change_inside(struct exchange *x, struct root *root, const struct json_change *change)
{
    bool is_object = !root->is_gone && root->value.len && root->value.ptr[0] == '{';
    if (!is_object && !change->value.ptr)
        return true; // nothing there to remove
    struct json_path path = {change->path->names + 1, change->path->count - 1};
    struct json_change inner = {&path, change->value};
    struct slice *pieces;
    size_t count;
    size_t bytes;
    struct slice duplicate = {NULL, 0};
    if (!json_apply(is_object ? root->value : SLICE("{}"), &inner, 1, &x->arena, &pieces, &count, &bytes, &duplicate))
        return duplicate.ptr ? refuse_duplicate(x, duplicate) : false;
    root->value = arena_join(&x->arena, pieces, count);
    root->is_gone = false;
    return root->value.ptr;
}

static bool change_root(struct exchange *x, struct roots *roots, size_t place, const struct json_change *change)
{
    struct root *root = root_at(x, roots, place);
    if (change->path->count > 1)
        return change_inside(x, root, change);
    root->is_gone = !change->value.ptr;
    root->value = change->value;
    return true;
}

static bool collect(struct exchange *x, struct attempt *a, struct roots *roots)
{
    const struct body_mutation *body = &a->compiled->body;
    if (x->asks_usage && !change_root(x, roots, NAME_STREAM_OPTIONS, openai_usage_change()))
        return false;
    for (size_t i = 0; i < body->count; i++)
        if (!change_root(x, roots, a->compiled->roots[i], &body->changes[i]))
            return false;
    // Weir's own member, whatever a mutation says: never forwarded (S2).
    if (x->members[NAME_BACKEND].type != JSON_NONE)
        root_at(x, roots, NAME_BACKEND)->is_gone = true;
    return true;
}

// Members that stand in the body, by their place in it; those to be appended behind them.
static void sort_roots(const struct exchange *x, struct roots *roots)
{
    for (size_t i = 1; i < roots->count; i++) {
        struct root moving = roots->items[i];
        size_t at = i;
        size_t from = member_of(x, &moving)->type == JSON_NONE ? SIZE_MAX : member_of(x, &moving)->key.from;
        for (; at > 0; at--) {
            const struct json_member *before = member_of(x, &roots->items[at - 1]);
            if (before->type == JSON_NONE ? from == SIZE_MAX : before->key.from <= from)
                break;
            roots->items[at] = roots->items[at - 1];
        }
        roots->items[at] = moving;
    }
}

// ---- edits ----------------------------------------------------------------------------------------------------

// Cuts a member out with one comma: the one before it, or the one behind while nothing that stays stands before it.
static bool cut_member(struct exchange *x, struct json_edits *edits, const struct json_member *member,
                       size_t *leading_end)
{
    size_t from = member->before;
    size_t to = member->value.to;
    if (member->before == *leading_end) { // so far all members are gone
        from = member->before + 1;
        if (x->body.ptr[member->after] == ',')
            to = member->after + 1;
        *leading_end = member->after;
    }
    return json_edit_add(edits, from, to, SLICE(""));
}

// All members to be appended as one text.
static bool append_members(struct exchange *x, struct json_edits *edits, const struct roots *roots, size_t first,
                           bool has_members)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    for (size_t i = first; i < roots->count; i++) {
        const struct root *root = &roots->items[i];
        if (root->is_gone)
            continue;
        if (has_members)
            buf_append_byte(&text, ',');
        has_members = true;
        json_write_string(&text, json_names_at(x->snapshot->names, root->place));
        buf_append_byte(&text, ':');
        buf_append(&text, root->value);
    }
    struct slice added = text.has_failed ? (struct slice){NULL, 0} : arena_dup(&x->arena, buf_slice(&text));
    buf_fini(&text);
    size_t end = x->scan.object.to - 1;
    return added.ptr && (!added.len || json_edit_add(edits, end, end, added));
}

static bool make_edits(struct exchange *x, const struct roots *roots, struct json_edits *edits)
{
    size_t kept = x->scan.member_count;
    size_t leading_end = x->scan.object.from;
    size_t i = 0;
    for (; i < roots->count && member_of(x, &roots->items[i])->type != JSON_NONE; i++) {
        const struct root *root = &roots->items[i];
        const struct json_member *member = member_of(x, root);
        if (root->is_gone) {
            kept--;
            if (!cut_member(x, edits, member, &leading_end))
                return false;
        } else if (!json_edit_add(edits, member->value.from, member->value.to, root->value)) {
            return false;
        }
    }
    return i == roots->count || append_members(x, edits, roots, i, kept > 0);
}

static bool edit_json(struct exchange *x, struct attempt *a)
{
    struct roots roots = {ARENA_ARRAY(&x->arena, struct root, a->compiled->body.count + 2), 0};
    struct json_edits edits;
    struct slice *pieces;
    json_edits_init(&edits, &x->arena);
    if (!roots.items || !collect(x, a, &roots))
        return false;
    sort_roots(x, &roots);
    size_t bytes;
    if (!make_edits(x, &roots, &edits) ||
        !json_splice(buf_slice(&x->body), &edits, &pieces, &a->request.body_count, &bytes))
        return false;
    a->request.body = pieces;
    a->request.body_bytes = (int64_t)bytes;
    return true;
}

// ---- forms ----------------------------------------------------------------------------------------------------

// A form's model is replaced and its backend cut out; other mutations don't reach into forms (S6).
static bool edit_form(struct exchange *x, struct attempt *a)
{
    struct json_edits edits;
    json_edits_init(&edits, &x->arena);
    const struct form_part *model = &x->form_model;
    const struct form_part *backend = &x->form_backend;
    bool is_backend_first = backend->is_there && backend->whole.from < model->whole.from;
    struct slice name = attempt_model(a);
    struct slice *pieces;
    size_t bytes;
    if (is_backend_first && !json_edit_add(&edits, backend->whole.from, backend->whole.to, SLICE("")))
        return false;
    if (name.len && !json_edit_add(&edits, model->content.from, model->content.to, name))
        return false;
    if (backend->is_there && !is_backend_first &&
        !json_edit_add(&edits, backend->whole.from, backend->whole.to, SLICE("")))
        return false;
    if (!json_splice(buf_slice(&x->body), &edits, &pieces, &a->request.body_count, &bytes))
        return false;
    a->request.body = pieces;
    a->request.body_bytes = (int64_t)bytes;
    return true;
}

static bool pass_body(struct exchange *x, struct attempt *a)
{
    struct slice *pieces = ARENA_NEW(&x->arena, struct slice);
    if (!pieces)
        return false;
    *pieces = buf_slice(&x->body);
    a->request.body = pieces;
    a->request.body_count = pieces->len ? 1 : 0;
    a->request.body_bytes = (int64_t)pieces->len;
    return true;
}

bool edit_body(struct exchange *x, struct attempt *a)
{
    if (x->mode == BODY_STREAMED) {
        a->request.body_bytes = x->content_length;
        return true;
    }
    if (!x->endpoint)
        return pass_body(x, a);
    if (x->endpoint->body == ENDPOINT_BODY_MULTIPART) {
        x->skipped_body_mutations += (uint32_t)(a->compiled->body.count - (a->ref->model_override.len > 0));
        return attempt_model(a).len || x->form_backend.is_there ? edit_form(x, a) : pass_body(x, a);
    }
    bool is_edited = x->asks_usage || a->compiled->body.count || x->members[NAME_BACKEND].type != JSON_NONE;
    return is_edited ? edit_json(x, a) : pass_body(x, a);
}
