// Lifting from multipart/form-data: `model`, `backend` and `stream` are form parts, with the same strictness (S1).
#include "exchange/life.h"
#include "http/multipart.h"

static enum step refuse_form(struct exchange *x, const char *why)
{
    struct slice parts[] = {SLICE("The request body is not valid multipart/form-data: "), slice_from_cstr(why),
                            SLICE(".")};
    return reply_error(x, ERROR_BODY_MULTIPART, arena_join(&x->arena, parts, 3));
}

// Spans of a part. `end_before` is where the part before it ended, its line break included.
static struct form_part span_of(const struct exchange *x, const struct multipart_part *part, size_t end_before)
{
    size_t content = (size_t)(part->content.ptr - x->body.ptr);
    struct json_span span = {content, content + part->content.len};
    return (struct form_part){true, {end_before, span.to + 2}, span};
}

// Notes a part that Weir reads. False: the reply is ready.
static bool note_part(struct exchange *x, const struct multipart_part *part, size_t end_before, bool *is_stream_seen)
{
    struct form_part *form = NULL;
    if (slice_eq(part->name, SLICE("model")))
        form = &x->form_model;
    else if (slice_eq(part->name, SLICE("backend")))
        form = &x->form_backend;
    bool is_stream = x->endpoint->stream == STREAM_FORM && slice_eq(part->name, SLICE("stream"));
    if ((form && form->is_there) || (is_stream && *is_stream_seen)) {
        lift_refuse(x, ERROR_BODY_MEMBER, part->name, SLICE("stands more than once."));
        return false;
    }
    if (form && part->filename.ptr) {
        lift_refuse(x, ERROR_BODY_MEMBER, part->name, SLICE("is a file."));
        return false;
    }
    if (form)
        *form = span_of(x, part, end_before);
    if (is_stream) {
        *is_stream_seen = true;
        x->is_stream = slice_eq_nocase(part->content, SLICE("true"));
    }
    return true;
}

static struct slice content_of(const struct exchange *x, const struct form_part *part)
{
    return slice_sub(buf_slice(&x->body), part->content.from, part->content.to - part->content.from);
}

static enum step lift_parts(struct exchange *x)
{
    if (!x->form_model.is_there) {
        x->reply_param = SLICE("model");
        return reply_error(x, ERROR_MODEL_MISSING, SLICE("you must provide a model parameter"));
    }
    if (!lift_value(x, content_of(x, &x->form_model), 256, SLICE("model"), &x->model))
        return STEP_REPLY;
    if (x->form_backend.is_there && !lift_value(x, content_of(x, &x->form_backend), 128, SLICE("backend"), &x->pin))
        return STEP_REPLY;
    return STEP_ROUTE;
}

// Where the first delimiter begins.
static size_t first_delimiter(struct exchange *x)
{
    struct slice needle = arena_join(&x->arena, (struct slice[]){SLICE("--"), x->boundary}, 2);
    size_t at = slice_find_slice(buf_slice(&x->body), needle);
    return at == SLICE_NOT_FOUND ? 0 : at;
}

enum step lift_form(struct exchange *x)
{
    if (!multipart_boundary(x->content_type, &x->arena, &x->boundary))
        return refuse_form(x, "the content-type has no valid boundary");
    struct multipart reader;
    struct multipart_part part;
    enum multipart_status status;
    bool is_stream_seen = false;
    size_t end_before = first_delimiter(x);
    multipart_init(&reader, buf_slice(&x->body), x->boundary);
    while ((status = multipart_next(&reader, &x->arena, &part)) == MULTIPART_PART) {
        if (!note_part(x, &part, end_before, &is_stream_seen))
            return STEP_REPLY;
        end_before = (size_t)(part.content.ptr - x->body.ptr) + part.content.len + 2;
    }
    if (status == MULTIPART_BAD)
        return refuse_form(x, reader.why ? reader.why : "it cannot be read");
    return lift_parts(x);
}
