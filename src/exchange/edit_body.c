// The body of an attempt: the original's bytes with the members spliced that this backend wants otherwise (S6). What the
// scan of the request found is used again; only a member that is changed inside is read once more.
#include "exchange/life.h"
#include "schema/openai/openai.h"

static void take_edited(struct attempt *a, const struct slice *pieces, size_t bytes)
{
    a->request.body = pieces;
    a->request.body_bytes = (int64_t)bytes;
    a->is_body_edited = true;
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

// Weir's own member, whatever a mutation says: never forwarded (S2).
static struct json_change backend_cut(void)
{
    static struct slice name[] = {SLICE_INIT("backend")};
    static const struct json_path path = {name, 1};
    return (struct json_change){.path = &path};
}

// In the order in which they are made: the mutations of the configuration may change what Weir asks for itself.
static size_t collect_changes(const struct exchange *x, const struct attempt *a, struct json_change *changes)
{
    const struct body_mutation *body = &a->compiled->body;
    size_t count = 0;
    if (x->asks_usage)
        changes[count++] = *openai_usage_change();
    for (size_t i = 0; i < body->count; i++)
        changes[count++] = body->changes[i];
    if (x->members[NAME_BACKEND].type != JSON_NONE)
        changes[count++] = backend_cut();
    return count;
}

static bool edit_json(struct exchange *x, struct attempt *a)
{
    struct json_change *changes = ARENA_ARRAY(&x->arena, struct json_change, a->compiled->body.count + 2);
    struct slice *pieces;
    struct slice duplicate;
    size_t bytes;
    if (!changes)
        return false;
    size_t count = collect_changes(x, a, changes);
    if (!count)
        return pass_body(x, a);
    if (!json_apply_scanned(&x->scan, x->snapshot->names, x->members, changes, count, &x->arena, &pieces,
                            &a->request.body_count, &bytes, &duplicate)) {
        if (duplicate.ptr)
            lift_refuse(x, ERROR_BODY_MEMBER, duplicate, SLICE("stands more than once."));
        return false;
    }
    take_edited(a, pieces, bytes);
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
    take_edited(a, pieces, bytes);
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
    return edit_json(x, a);
}
