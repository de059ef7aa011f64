// One try at one backend, built from the untouched original request (S7): target, head, body, credential. Nothing of an
// earlier attempt survives.
#include "config/rule.h"
#include "exchange/life.h"

#define FIELDS_ADDED 4 // content-type, a credential, and some room for mutations

void attempt_fini(struct attempt *a)
{
    if (!a)
        return;
    secret_wipe(&a->credential);
    if (a->reader)
        usage_reader_fini(a->reader);
    a->reader = NULL;
    if (a->events) {
        sse_fini(a->events);
        buf_fini(&a->carry);
    }
}

// What of the client's head goes to this backend.
static bool is_forwarded(const struct exchange *x, const struct attempt *a, size_t i)
{
    switch ((enum field_class)x->classes[i]) {
    case FIELD_HOP:
    case FIELD_CONNECTION:
    case FIELD_EXPECT:
    case FIELD_INTERNAL:
    case FIELD_DROPPED:
    case FIELD_OVERRIDE:
    case FIELD_PIN:
        return false;
    case FIELD_ENCODINGS:
        return !x->endpoint; // usage is read off the answer: it must not be compressed
    case FIELD_CREDENTIAL:
        return a->ref->backend->credential.type == CREDENTIAL_NONE;
    case FIELD_PLAIN:
    case FIELD_CONTENT_TYPE:
    case FIELD_CONTENT_ENCODING:
    case FIELD_REQUEST_ID:
    case FIELD_FORWARDED_FOR:
    case FIELD_FORWARDED_PROTO:
    case FIELD_FORWARDED:
    case FIELD_CLIENT_CERT:
        break;
    }
    return true;
}

static bool copy_fields(struct exchange *x, struct attempt *a)
{
    struct fields *fields = &a->request.fields;
    fields->cap = x->fields.count + FIELDS_ADDED;
    fields->items = arena_alloc(&x->arena, fields->cap * sizeof *fields->items);
    if (!fields->items)
        return false;
    for (size_t i = 0; i < x->fields.count; i++)
        if (is_forwarded(x, a, i))
            fields->items[fields->count++] = x->fields.items[i];
    // A body without a type on a JSON endpoint was read as JSON, and goes out as that.
    return x->content_type.ptr || !x->endpoint || x->endpoint->body != ENDPOINT_BODY_JSON ||
           fields_add(fields, &x->arena, SLICE("content-type"), SLICE("application/json"));
}

// The credential comes last, so that no mutation replaces or copies it (S5).
static bool apply_credential(struct exchange *x, struct attempt *a)
{
    const struct config_credential *credential = &a->ref->backend->credential;
    struct slice given = {NULL, 0};
    if (credential->override_header.len) {
        given = fields_value(&x->overrides, credential->override_header);
        if (!given.ptr)
            given = fields_value(&x->fields, credential->override_header);
        fields_remove(&a->request.fields, credential->override_header);
    }
    struct secret key;
    switch (credential_choose(credential, given, &key)) {
    case CREDENTIAL_UNUSED:
        return true;
    case CREDENTIAL_MISSING:
        reply_error(x, ERROR_UPSTREAM_CREDENTIAL_MISSING, SLICE(""));
        return false;
    case CREDENTIAL_USE:
        break;
    }
    struct secret value;
    bool is_owned;
    if (!credential_apply(credential->type, key, &x->arena, &a->request.fields, &value, &is_owned)) {
        reply_error(x, ERROR_INTERNAL, SLICE(""));
        return false;
    }
    if (is_owned)
        a->credential = value;
    return true;
}

struct slice attempt_model(const struct attempt *a)
{
    return a->exchange->endpoint->body == ENDPOINT_BODY_MULTIPART ? a->ref->model_override : a->compiled->model;
}

static bool build_model_request(struct exchange *x, struct attempt *a)
{
    const struct config_backend *backend = a->ref->backend;
    if (backend->schema == SCHEMA_NONE)
        a->request.target = plain_target(x); // a plain route over a model endpoint's path
    else if (!schema_serves(backend->schema, x->endpoint->id)) {
        reply_error(x, ERROR_ENDPOINT_UNSUPPORTED, SLICE(""));
        return false;
    } else
        a->request.target = schema_target(x->endpoint, backend, attempt_model(a).len ? attempt_model(a) : x->model,
                                          x->target, &x->arena);
    return a->request.target.ptr;
}

static bool build(struct exchange *x, struct attempt *a)
{
    a->request.method = x->method;
    a->request.authority = config_ref_host(x->hit.rule, a->ref);
    if (x->endpoint ? !build_model_request(x, a) : !(a->request.target = plain_target(x)).ptr)
        return false;
    return copy_fields(x, a) && plain_build(x, a) &&
           mutate_headers_apply(&a->compiled->headers, &x->arena, &a->request.fields) && apply_credential(x, a) &&
           edit_body(x, a);
}

struct attempt *attempt_begin(struct exchange *x, const struct config_backend_ref *ref, int64_t now_us)
{
    attempt_fini(x->attempt);
    struct attempt *a = arena_alloc(&x->arena, sizeof *a);
    x->attempt = a;
    if (!a) {
        x->step = reply_error(x, ERROR_OVERLOADED, SLICE(""));
        return NULL;
    }
    size_t index = (size_t)(ref - x->hit.rule->refs);
    *a = (struct attempt){.exchange = x, .ref = ref, .compiled = &x->rule->refs[index], .begun_us = now_us};
    a->pieces = a->first_pieces;
    a->piece_cap = sizeof a->first_pieces / sizeof *a->first_pieces;
    x->attempts++;
    if (x->refs && x->refs[index].tries < UINT8_MAX)
        x->refs[index].tries++;
    x->transport_reason = (struct slice){NULL, 0};
    x->step = STEP_ATTEMPT;
    if (build(x, a))
        return a;
    if (x->step != STEP_REPLY)
        x->step = reply_error(x, ERROR_OVERLOADED, SLICE(""));
    return NULL;
}

const struct attempt_request *attempt_request(const struct attempt *attempt)
{
    return &attempt->request;
}

void attempt_connected(struct attempt *a, struct slice upstream_address, struct slice local_address,
                       enum http_version protocol)
{
    a->protocol = protocol;
    a->upstream_address = arena_dup(&a->exchange->arena, upstream_address);
    a->local_address = arena_dup(&a->exchange->arena, local_address);
}

struct attempt_verdict attempt_failed(struct attempt *a, enum error_code why, struct slice transport_reason,
                                      int64_t now_us)
{
    struct exchange *x = a->exchange;
    if (transport_reason.len)
        x->transport_reason = arena_dup(&x->arena, transport_reason);
    a->piece_count = 0; // those of the last call are gone
    if (x->step == STEP_ANSWER)
        return stream_cut(a, why == ERROR_UPSTREAM_RESET ? ERROR_STREAM_CUT : why);
    if (x->step == STEP_BACKEND) // was given up already, and another is to follow
        return (struct attempt_verdict){.kind = ATTEMPT_RETRY};
    if (x->step != STEP_ATTEMPT)
        return (struct attempt_verdict){.kind = ATTEMPT_REPLY};
    if (retry_after_failure(x, why, now_us)) {
        x->step = STEP_BACKEND;
        return (struct attempt_verdict){.kind = ATTEMPT_RETRY};
    }
    x->step = reply_error(x, why, SLICE(""));
    return (struct attempt_verdict){.kind = ATTEMPT_REPLY};
}
