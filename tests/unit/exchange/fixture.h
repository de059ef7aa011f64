// A configuration made by hand and an exchange driven by hand: what the tests of this room share.
#ifndef WEIR_TESTS_EXCHANGE_FIXTURE_H
#define WEIR_TESTS_EXCHANGE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "exchange/exchange.h"

#define ROOM 16

struct fixture {
    struct config *config;
    struct snapshot *snapshot;
    struct arena findings_arena;
    struct findings findings;
    struct exchange *x;
    struct attempt *a;
    const struct config_backend_ref *ref;
    enum exchange_want want;
    int64_t now_us;
    uint64_t random;
    uint8_t is_down[ROOM];
    int64_t cool_until_us[ROOM];
    bool retries_exhausted;
    struct buf sent; // what the client got of the body
    struct record record;
};

// Stands in for the loader's: a configuration made by hand is just its arena.
void config_free(struct config *config);
void config_free(struct config *config)
{
    struct arena arena = config->arena; // holds the configuration itself
    arena_fini(&arena);
}

static inline struct slice text(const char *s)
{
    return slice_from_cstr(s);
}

static inline struct config_text ctext(const char *s)
{
    return (struct config_text){.text = text(s)};
}

// A configuration with one listener and nothing on it.
static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.now_us = 1000000, .random = 7};
    struct arena arena;
    arena_init(&arena, 64 * 1024, SIZE_MAX / 2);
    f->config = ARENA_NEW(&arena, struct config);
    f->config->arena = arena;
    struct arena *mine = &f->config->arena;
    f->config->listeners = ARENA_ARRAY(mine, struct config_listener, 1);
    f->config->listener_count = 1;
    f->config->routes = ARENA_ARRAY(mine, struct config_route, ROOM);
    f->config->backends = ARENA_ARRAY(mine, struct config_backend, ROOM);
    struct config_listener *listener = f->config->listeners;
    *listener = (struct config_listener){
        .namespace_ = SLICE("ns"), .gateway = SLICE("gw"), .name = SLICE("http"), .port = 8080, .has_logs = true};
    listener->client.json_body_bytes = 1024 * 1024;
    listener->client.multipart_body_bytes = 2 * 1024 * 1024;
    listener->routes = ARENA_ARRAY(mine, struct config_route *, ROOM);
    arena_init(&f->findings_arena, 4096, SIZE_MAX / 2);
    findings_init(&f->findings, &f->findings_arena);
    buf_init(&f->sent, SIZE_MAX / 2);
}

static inline struct config_backend *add_backend(struct fixture *f, const char *name)
{
    struct config_backend *b = &f->config->backends[f->config->backend_count];
    *b = (struct config_backend){.id = f->config->backend_count++,
                                 .namespace_ = SLICE("ns"),
                                 .name = text(name),
                                 .schema = SCHEMA_OPENAI,
                                 .prefix = SLICE("v1"),
                                 .host = text(name)};
    return b;
}

static inline struct config_route *add_route(struct fixture *f, enum config_route_kind kind, const char *name)
{
    struct config_route *r = &f->config->routes[f->config->route_count];
    *r = (struct config_route){
        .kind = kind, .namespace_ = SLICE("ns"), .name = text(name), .order = f->config->route_count};
    f->config->route_count++;
    r->rules = ARENA_ARRAY(&f->config->arena, struct config_rule, ROOM);
    struct config_listener *listener = f->config->listeners;
    listener->routes[listener->route_count++] = r;
    return r;
}

// A rule for a path prefix, with header matches added by add_match.
static inline struct config_rule *add_rule(struct fixture *f, struct config_route *route, const char *path)
{
    struct config_rule *rule = &route->rules[route->rule_count];
    struct arena *arena = &f->config->arena;
    *rule = (struct config_rule){.index = route->rule_count++,
                                 .request_timeout_ms = -1,
                                 .backend_request_timeout_ms = -1,
                                 .stream_idle_ms = -1,
                                 .match_count = 1};
    rule->matches = ARENA_ARRAY(arena, struct config_match, 1);
    rule->matches->path_type = MATCH_PREFIX;
    rule->matches->path = ctext(path);
    rule->matches->headers = ARENA_ARRAY(arena, struct config_name_match, 4);
    rule->refs = ARENA_ARRAY(arena, struct config_backend_ref, ROOM);
    return rule;
}

static inline void add_match(struct config_rule *rule, const char *name, const char *value)
{
    rule->matches->headers[rule->matches->header_count++] =
        (struct config_name_match){.type = MATCH_EXACT, .name = ctext(name), .value = ctext(value)};
}

static inline struct config_backend_ref *add_ref(struct fixture *f, struct config_route *route,
                                                 struct config_rule *rule, struct config_backend *backend)
{
    struct config_backend_ref *ref = &rule->refs[rule->ref_count];
    *ref = (struct config_backend_ref){.backend = backend, .index = rule->ref_count, .weight = 1};
    ref->key = arena_printf(&f->config->arena, "ns/" SLICE_FMT "/route/" SLICE_FMT "/rule/%zu/ref/%zu",
                            SLICE_ARG(backend->name), SLICE_ARG(route->name), rule->index, rule->ref_count);
    rule->ref_count++;
    return ref;
}

static inline void set_header(struct fixture *f, struct config_mutation *mutation, const char *name, const char *value)
{
    if (!mutation->set)
        mutation->set = ARENA_ARRAY(&f->config->arena, struct config_set, ROOM);
    mutation->set[mutation->set_count++] = (struct config_set){ctext(name), ctext(value)};
}

static inline void remove_name(struct fixture *f, struct config_mutation *mutation, const char *name)
{
    if (!mutation->remove)
        mutation->remove = ARENA_ARRAY(&f->config->arena, struct config_text, ROOM);
    mutation->remove[mutation->remove_count++] = ctext(name);
}

static inline void compile(struct fixture *f)
{
    f->snapshot = snapshot_new(f->config, 1, 99, &f->findings);
    for (size_t i = 0; i < f->findings.count && !f->snapshot; i++)
        fprintf(stderr, "finding: " SLICE_FMT "\n", SLICE_ARG(f->findings.items[i].text));
    assert_non_null(f->snapshot);
}

// An AI route "r" with one rule for model "m" and one backend "b".
static inline struct config_rule *simple_rule(struct fixture *f)
{
    struct config_route *route = add_route(f, ROUTE_AI, "r");
    struct config_rule *rule = add_rule(f, route, "/");
    add_match(rule, "x-ai-eg-model", "m");
    add_ref(f, route, rule, add_backend(f, "b"));
    return rule;
}

static inline void end_exchange(struct fixture *f)
{
    exchange_free(f->x);
    f->x = NULL;
    f->a = NULL;
    buf_reset(&f->sent);
}

static inline void fixture_fini(struct fixture *f)
{
    end_exchange(f);
    snapshot_unref(f->snapshot);
    arena_fini(&f->findings_arena);
    buf_fini(&f->sent);
}

// ---- driving --------------------------------------------------------------------------------------------------

// Opens a request; `headers` is "name: value" lines, each ended by '\n'.
static inline void open_request(struct fixture *f, const char *method, const char *target, const char *headers,
                                int64_t content_length)
{
    struct field items[32];
    struct request_head head = {.method = text(method),
                                .target = text(target),
                                .authority = SLICE("gw.example:8080"),
                                .scheme = SLICE("http"),
                                .version = HTTP_1_1,
                                .fields = {items, 0, 32}};
    struct slice rest = text(headers);
    while (rest.len) {
        struct slice value = slice_split(&rest, '\n');
        struct slice name = slice_split(&value, ':');
        items[head.fields.count++] = (struct field){name, slice_trim(value)};
    }
    struct exchange_client client = {.remote_address = SLICE("10.0.0.9:5555"),
                                     .local_address = SLICE("10.0.0.1:8080"),
                                     .now_us = f->now_us,
                                     .unix_us = 1700000000000000,
                                     .random = f->random,
                                     .random2 = f->random * 3};
    end_exchange(f);
    f->x = exchange_open(f->snapshot, 0, &client, &head, content_length, &f->want);
    assert_non_null(f->x);
}

// Sends a JSON body to an endpoint, whole.
static inline void post(struct fixture *f, const char *target, const char *headers, const char *body)
{
    open_request(f, "POST", target, headers, (int64_t)strlen(body));
    if (f->want == EXCHANGE_WANT_BODY)
        f->want = exchange_body(f->x, text(body), true);
}

static inline void chat(struct fixture *f, const char *body)
{
    post(f, "/v1/chat/completions", "content-type: application/json\n", body);
}

static inline struct exchange_choice next(struct fixture *f)
{
    struct backend_health health = {.is_down = f->is_down,
                                    .cool_until_us = f->cool_until_us,
                                    .count = ROOM,
                                    .retries_exhausted = f->retries_exhausted};
    return exchange_next_backend(f->x, f->now_us, &health);
}

// Chooses and begins an attempt.
static inline struct attempt *begin(struct fixture *f)
{
    struct exchange_choice choice = next(f);
    assert_int_equal(choice.kind, CHOICE_BACKEND);
    f->ref = choice.ref;
    f->a = attempt_begin(f->x, choice.ref, f->now_us);
    return f->a;
}

static inline struct slice attempt_body(struct fixture *f)
{
    static char bytes[1 << 16];
    const struct attempt_request *request = attempt_request(f->a);
    size_t len = 0;
    for (size_t i = 0; i < request->body_count; i++) {
        memcpy(bytes + len, request->body[i].ptr, request->body[i].len);
        len += request->body[i].len;
    }
    assert_int_equal(request->body_bytes, (int64_t)len);
    return slice_make(bytes, len);
}

static inline struct slice sent_header(struct fixture *f, const char *name)
{
    return fields_value(&attempt_request(f->a)->fields, text(name));
}

static inline struct attempt_verdict answer(struct fixture *f, uint16_t status, const char *headers, int64_t length)
{
    struct field items[16];
    struct response_head head = {.status = status, .version = HTTP_1_1, .fields = {items, 0, 16}};
    struct slice rest = text(headers);
    while (rest.len) {
        struct slice value = slice_split(&rest, '\n');
        struct slice name = slice_split(&value, ':');
        items[head.fields.count++] = (struct field){name, slice_trim(value)};
    }
    return attempt_response_head(f->a, &head, length != 0, length, f->now_us);
}

static inline void take_pieces(struct fixture *f, const struct attempt_verdict *verdict)
{
    for (size_t i = 0; i < verdict->piece_count; i++)
        assert_true(buf_append(&f->sent, verdict->pieces[i]));
}

static inline struct attempt_verdict piece(struct fixture *f, struct slice bytes, bool is_end)
{
    // A copy of its own, so that a sanitizer sees any use after the call.
    char *copy = malloc(bytes.len + 1);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    struct attempt_verdict verdict = attempt_response_body(f->a, slice_make(copy, bytes.len), is_end, f->now_us);
    take_pieces(f, &verdict);
    free(copy);
    return verdict;
}

static inline const struct record *end_request(struct fixture *f)
{
    exchange_close(f->x, END_COMPLETE, f->now_us + 5000, 10, 20, &f->record);
    return &f->record;
}

// ---- assertions -----------------------------------------------------------------------------------------------

static inline void assert_slice(struct slice got, const char *wanted)
{
    if (!slice_eq(got, text(wanted)))
        fail_msg("got \"" SLICE_FMT "\", wanted \"%s\"", SLICE_ARG(got), wanted);
}

static inline void assert_has(struct slice got, const char *part)
{
    if (slice_find_slice(got, text(part)) == SLICE_NOT_FOUND)
        fail_msg("\"" SLICE_FMT "\" lacks \"%s\"", SLICE_ARG(got), part);
}

// A local reply of this status whose body mentions a text.
static inline void assert_reply(struct fixture *f, uint16_t status, const char *part)
{
    assert_int_equal(f->want, EXCHANGE_WANT_REPLY);
    const struct exchange_reply *reply = exchange_reply(f->x);
    if (reply->head.status != status)
        fail_msg("status %u: " SLICE_FMT, reply->head.status, SLICE_ARG(reply->body));
    assert_has(reply->body, part);
    assert_true(fields_value(&reply->head.fields, SLICE("x-request-id")).len > 0);
}

static inline const struct record_metadata *metadata(struct fixture *f, const char *key)
{
    for (size_t i = 0; i < f->record.metadata_count; i++)
        if (slice_eq(f->record.metadata[i].key, text(key)))
            return &f->record.metadata[i];
    return NULL;
}

#endif
