// The beginning of a request: what its head alone decides, and the taking in of its body.
#include "exchange/life.h"

#include "http/media_type.h"

#define CHAT_BYTES 3840       // what a chat request and its answer take of the arena beside what depends on the head
#define NEXT_BLOCK_BYTES 1024 // small, so that an open stream holds little more than it uses
#define EXCHANGE_MAX_BYTES ((size_t)32 * 1024 * 1024) // the arena's ceiling; the body is held apart
#define PLAIN_HELD_BYTES ((int64_t)64 * 1024)         // plain routes hold bodies up to here, so that they can retry

// Holds what most requests need: the head's bytes, its fields as received and as sent on, and what comes later. Few
// sizes, so that the blocks of one request serve the next.
static size_t first_block_bytes(const struct request_head *head, size_t bytes)
{
    size_t needed = CHAT_BYTES + bytes + head->fields.count * 2 * sizeof(struct field);
    return (needed + 511) & ~(size_t)511;
}

struct exchange *exchange_open(struct snapshot *snapshot, size_t listener_id, const struct exchange_client *client,
                               const struct request_head *head, int64_t content_length, enum exchange_want *ret_want)
{
    struct arena arena;
    size_t bytes = head_bytes(head, client);
    arena_init(&arena, first_block_bytes(head, bytes), EXCHANGE_MAX_BYTES);
    struct exchange *x = ARENA_NEW(&arena, struct exchange);
    if (!x)
        return NULL;
    x->arena = arena;
    x->snapshot = snapshot_ref(snapshot);
    x->listener = &snapshot->listeners[listener_id];
    x->client = *client;
    x->random = client->random;
    x->content_length = content_length;
    buf_init(&x->body, 0);
    buf_init(&x->reply_body, SIZE_MAX / 2);
    if (!head_take(x, head, bytes)) {
        exchange_free(x);
        return NULL;
    }
    x->arena.block_bytes = NEXT_BLOCK_BYTES;
    x->step = STEP_ADMIT;
    *ret_want = exchange_run(x);
    return x;
}

size_t exchange_held_bytes(const struct exchange *x)
{
    return x->arena.held_bytes + (x->body_block.ptr ? x->body_block.cap : x->body.cap) + x->reply_body.cap;
}

void exchange_drop_body(struct exchange *x)
{
    if (!x->body.ptr && !x->body_block.ptr)
        return;
    if (x->body_block.ptr)
        buf_init(&x->body, 0);
    buf_fini(&x->body);
    buf_fini(&x->body_block);
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    attempt_fini(x->attempt);
    exchange_drop_body(x);
    buf_fini(&x->reply_body);
    struct snapshot *snapshot = x->snapshot;
    struct arena arena = x->arena; // holds the exchange itself
    arena_fini(&arena);
    snapshot_unref(snapshot);
}

// ---- admission ------------------------------------------------------------------------------------------------

static enum step admit_plain(struct exchange *x)
{
    x->endpoint = NULL;
    x->is_body_whole = x->content_length == 0;
    x->mode = x->content_length >= 0 && x->content_length <= PLAIN_HELD_BYTES ? BODY_HELD : BODY_STREAMED;
    x->body_limit = (size_t)PLAIN_HELD_BYTES;
    return x->mode == BODY_HELD && x->content_length > 0 ? STEP_BODY : STEP_LIFT;
}

static bool is_media_type_right(const struct exchange *x)
{
    if (x->is_type_repeated)
        return false;
    if (x->endpoint->body == ENDPOINT_BODY_MULTIPART)
        return media_type_is(x->content_type, SLICE("multipart/form-data"));
    return !x->content_type.len || media_type_is_json(x->content_type);
}

static enum step refuse_media_type(struct exchange *x)
{
    if (x->is_encoded)
        return reply_error(x, ERROR_MEDIA_TYPE, SLICE("A request body with a content-encoding is not supported here."));
    return reply_error(x, ERROR_MEDIA_TYPE,
                       x->endpoint->body == ENDPOINT_BODY_MULTIPART
                           ? SLICE("This endpoint takes a body of content-type multipart/form-data.")
                           : SLICE("This endpoint takes a body of content-type application/json."));
}

static enum step admit_models(struct exchange *x)
{
    if (slice_eq(x->method, SLICE("GET")) || slice_eq(x->method, SLICE("HEAD")))
        return reply_models(x);
    return reply_error_with(x, ERROR_METHOD_NOT_ALLOWED, SLICE(""), SLICE("allow"), SLICE("GET, HEAD"));
}

// The path of a model endpoint is one, unless no AI route serves the host and a plain route takes the request there.
static bool is_model_endpoint(struct exchange *x)
{
    struct slice host = http_host(x->authority);
    if (route_serves_models(x->listener->table, host))
        return true;
    struct route_request request = {
        .method = x->method, .target = x->target, .host = host, .fields = &x->fields, .is_plain = true};
    struct route_hit hit;
    return x->endpoint->id != ENDPOINT_MODELS && !route_match(x->listener->table, &request, &x->arena, &hit);
}

// A load balancer asks whether we are there (ClientTrafficPolicy.healthCheck).
static bool is_health_check(const struct exchange *x)
{
    struct slice path = x->listener->config->client.health_path;
    return path.len && slice_eq(http_path(x->target), path) &&
           (slice_eq(x->method, SLICE("GET")) || slice_eq(x->method, SLICE("HEAD")));
}

enum step step_admit(struct exchange *x)
{
    const struct config_client *limits = &x->listener->config->client;
    x->mode = BODY_HELD;
    if (x->is_expect_unknown)
        return reply_error(x, ERROR_EXPECTATION, SLICE(""));
    if (x->has_underscore)
        return reply_error(x, ERROR_HEADER_UNDERSCORE, SLICE(""));
    if (x->is_origin_unknown)
        return reply_error(x, ERROR_ORIGIN_UNKNOWN, SLICE(""));
    if (!http_is_target(x->target))
        return reply_error(x, ERROR_PATH_MALFORMED, SLICE(""));
    if (limits->refuses_slash_escape && http_has_slash_escape(http_path(x->target)))
        return reply_error(x, ERROR_PATH_MALFORMED, SLICE("The path has an encoded slash or backslash."));
    if (http_has_dot_segment(http_path(x->target)))
        return reply_error(x, ERROR_PATH_UNSAFE, SLICE(""));
    if (slice_eq(x->method, SLICE("TRACE"))) // a backend would tell the credential that we add
        return reply_error_with(x, ERROR_METHOD_NOT_ALLOWED, SLICE(""), SLICE("allow"), SLICE(HTTP_METHODS_SERVED));
    if (is_health_check(x))
        return reply_answer(x, 200, SLICE(""), SLICE(""));
    x->endpoint = x->listener->has_ai ? endpoint_find(http_path(x->target)) : NULL;
    if (!x->endpoint || !is_model_endpoint(x))
        return admit_plain(x);
    if (x->endpoint->id == ENDPOINT_MODELS)
        return admit_models(x);
    if (!slice_eq(x->method, x->endpoint->method))
        return reply_error_with(x, ERROR_METHOD_NOT_ALLOWED, SLICE(""), SLICE("allow"), x->endpoint->method);
    if (x->is_encoded || !is_media_type_right(x))
        return refuse_media_type(x);
    x->body_limit =
        x->endpoint->body == ENDPOINT_BODY_MULTIPART ? limits->multipart_body_bytes : limits->json_body_bytes;
    if (x->content_length > 0 && (uint64_t)x->content_length > x->body_limit)
        return reply_error(x, ERROR_BODY_TOO_LARGE, SLICE(""));
    x->is_body_whole = x->content_length == 0;
    return x->is_body_whole ? STEP_LIFT : STEP_BODY;
}

// ---- the body -------------------------------------------------------------------------------------------------

#define RESERVE_AT_ONCE_BYTES ((size_t)256 * 1024) // of an announced body; more only as it comes

struct slice exchange_body_space(struct exchange *x, size_t wanted)
{
    static const struct slice none = {NULL, 0};
    x->body.max = x->body_limit;
    if (x->step != STEP_BODY || x->body.len >= x->body_limit)
        return none;
    if (!x->body.ptr && x->content_length > 0 && (uint64_t)x->content_length <= RESERVE_AT_ONCE_BYTES)
        wanted = (size_t)x->content_length;
    size_t left = x->body_limit - x->body.len;
    if (wanted > left)
        wanted = left;
    if (x->body.cap == x->body.len && !buf_reserve(&x->body, wanted ? wanted : 1))
        return none;
    return slice_make(x->body.ptr + x->body.len, x->body.cap - x->body.len);
}

static bool take_piece(struct exchange *x, struct slice piece)
{
    if (piece.len > x->body_limit - x->body.len)
        return false;
    if (x->body.ptr && piece.ptr == x->body.ptr + x->body.len && piece.len <= x->body.cap - x->body.len) {
        x->body.len += piece.len; // was received into exchange_body_space
        return true;
    }
    if (!x->body.ptr && x->content_length > 0 && (uint64_t)x->content_length <= RESERVE_AT_ONCE_BYTES)
        buf_reserve(&x->body, (size_t)x->content_length);
    return buf_append(&x->body, piece);
}

enum exchange_want exchange_body(struct exchange *x, struct slice piece, bool is_end)
{
    if (x->step != STEP_BODY)
        return exchange_run(x);
    x->body.max = x->body_limit;
    if (!take_piece(x, piece)) {
        bool is_too_large = piece.len > x->body_limit - x->body.len;
        x->step = reply_error(x, is_too_large ? ERROR_BODY_TOO_LARGE : ERROR_OVERLOADED, SLICE(""));
    } else if (is_end) {
        x->is_body_whole = true;
        x->step = STEP_LIFT;
    }
    return exchange_run(x);
}

enum exchange_want exchange_body_give(struct exchange *x, struct buf *take_block, struct slice body)
{
    if (x->step != STEP_BODY || x->body.ptr || body.len > x->body_limit) {
        enum exchange_want want = exchange_body(x, body, true);
        buf_fini(take_block);
        return want;
    }
    x->body_block = *take_block;
    x->body = (struct buf){.ptr = (char *)(uintptr_t)body.ptr, .len = body.len, .cap = body.len, .max = body.len};
    x->is_body_whole = true;
    x->step = STEP_LIFT;
    return exchange_run(x);
}

enum exchange_want exchange_fail(struct exchange *x, enum error_code error)
{
    if (x->step == STEP_ANSWER)
        x->error = error; // an answer is on its way: no other can be sent, the log says why it ended
    else if (x->step != STEP_REPLY && x->step != STEP_CLOSED)
        x->step = reply_error(x, error, SLICE(""));
    return exchange_run(x);
}
