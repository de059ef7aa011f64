// The exchange as a whole on the host in memory: any request against any answer, whole and in pieces. It must end, and
// the pieces must not matter.
//
// Input: five bytes (target, split of the request, split of the answer, status, fault), then request fields as lines, a
// NUL, the request body, a NUL, answer fields as lines, a NUL, the answer's body.
#include <stdlib.h>

#include "config/config.h"
#include "host/memory/memory.h"
#include "json/json.h"

static const char config_text[] =
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: GatewayClass\n"
    "metadata: {name: weir}\n"
    "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: Gateway\n"
    "metadata: {name: gw, namespace: default}\n"
    "spec: {gatewayClassName: weir, listeners: [{name: http, protocol: HTTP, port: 8080}]}\n"
    "---\n"
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"
    "kind: AIGatewayRoute\n"
    "metadata: {name: r, namespace: default}\n"
    "spec:\n"
    "  parentRefs: [{name: gw}]\n"
    "  rules:\n"
    "  - matches: [{headers: [{name: x-ai-eg-model, value: m}]}]\n"
    "    backendRefs:\n"
    "    - name: a\n"
    "      modelNameOverride: up\n"
    "      headerMutation: {set: [{name: x-tier, value: gold}], remove: [x-own]}\n"
    "      bodyMutation: {set: [{path: k.a, value: '1'}, {path: n, value: '[1]'}], remove: [gone, k.b]}\n"
    "    - {name: b, priority: 1}\n"
    "  - matches: [{headers: [{name: x-ai-eg-backend, value: u}]}]\n"
    "    backendRefs: [{name: b}]\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: HTTPRoute\n"
    "metadata: {name: p, namespace: default}\n"
    "spec:\n"
    "  parentRefs: [{name: gw}]\n"
    "  rules:\n"
    "  - matches: [{path: {type: PathPrefix, value: /files}}]\n"
    "    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /x}}}]\n"
    "    backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]\n"
    "---\n"
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"
    "kind: AIServiceBackend\n"
    "metadata: {name: a, namespace: default}\n"
    "spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: a}}\n"
    "---\n"
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"
    "kind: AIServiceBackend\n"
    "metadata: {name: b, namespace: default}\n"
    "spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: b}}\n"
    "---\n"
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"
    "kind: Backend\n"
    "metadata: {name: a, namespace: default}\n"
    "spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9401}}]}\n"
    "---\n"
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"
    "kind: Backend\n"
    "metadata: {name: b, namespace: default}\n"
    "spec: {endpoints: [{fqdn: {hostname: b.test, port: 9402}}]}\n";

static bool no_variable(void *context, struct slice name, struct slice *ret_value)
{
    (void)context, (void)name, (void)ret_value;
    return false;
}

static bool no_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context, (void)path, (void)arena, (void)ret_text;
    return false;
}

static struct snapshot *load(void)
{
    static struct arena arena;
    static struct findings findings;
    arena_init(&arena, 16384, SIZE_MAX / 2);
    findings_init(&findings, &arena);
    const struct config_file file = {SLICE("fuzz.yaml"), {config_text, sizeof config_text - 1}};
    const struct config_env env = {no_variable, no_file, NULL};
    struct config *config = config_load(&file, 1, &env, &findings);
    struct snapshot *snapshot = config ? snapshot_new(config, 1, 7, &findings) : NULL;
    if (!snapshot)
        abort();
    return snapshot;
}

static const struct slice targets[] = {
    SLICE_INIT("/v1/chat/completions"), SLICE_INIT("/v1/responses?x=1"),
    SLICE_INIT("/v1/embeddings"),       SLICE_INIT("/v1/audio/transcriptions"),
    SLICE_INIT("/v1/audio/speech"),     SLICE_INIT("/tokenize"),
    SLICE_INIT("/v1/models"),           SLICE_INIT("/files/a?b"),
};

// What stands before the next NUL.
static struct slice take(struct slice *rest)
{
    struct slice taken = slice_split(rest, '\0');
    return taken;
}

// Lines "name: value" that a host would have let through.
static struct fields read_fields(struct slice lines, struct arena *arena)
{
    struct fields fields = {0};
    while (lines.len && fields.count < 32) {
        struct slice value = slice_split(&lines, '\n');
        struct slice name = slice_split(&value, ':');
        value = slice_trim(value);
        if (http_is_token(name) && http_is_field_value(value) && !fields_add(&fields, arena, name, value))
            abort();
    }
    return fields;
}

// The answer's body in pieces of `size` bytes.
static size_t cut(struct slice body, size_t size, struct arena *arena, const struct slice **ret_pieces)
{
    size_t count = 0;
    struct slice *pieces = ARENA_ARRAY(arena, struct slice, body.len / size + 1);
    if (!pieces)
        abort();
    for (size_t at = 0; at < body.len; at += size)
        pieces[count++] = slice_sub(body, at, size);
    *ret_pieces = pieces;
    return count;
}

static bool same(const struct memory_result *a, const struct memory_result *b)
{
    if (a->attempt_count != b->attempt_count || a->end != b->end || a->response.status != b->response.status)
        return false;
    for (size_t i = 0; i < a->attempt_count; i++)
        if (!slice_eq(a->attempts[i].body, b->attempts[i].body))
            return false;
    return slice_eq(a->body, b->body);
}

// What a backend gets on a JSON endpoint is one valid object without Weir's own member, however it was edited.
static void check_bodies(const struct memory_result *result, struct arena *arena)
{
    const struct slice name = SLICE("backend");
    const struct json_names *names = json_names_new(arena, &name, 1);
    for (size_t i = 0; names && i < result->attempt_count; i++) {
        struct json_member member = {0};
        if (json_scan_object(result->attempts[i].body, names, &member).status != JSON_OK || member.count)
            abort();
    }
}

static void run(struct snapshot *snapshot, const struct memory_request *request, struct memory_answer answer,
                struct slice body, size_t size, struct arena *arena, struct memory_result *ret_result)
{
    answer.piece_count = cut(body, size, arena, &answer.pieces);
    if (!memory_run(snapshot, request, &answer, 1, arena, ret_result))
        abort();
    if (ret_result->end == MEMORY_END_STUCK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t statuses[] = {200, 200, 200, 400, 429, 500, 204, 304};
    static struct snapshot *snapshot;
    if (!snapshot)
        snapshot = load();
    if (size < 5 || size > 16384)
        return 0;
    struct arena arena;
    arena_init(&arena, 16384, SIZE_MAX / 2);
    struct slice rest = slice_make((const char *)data + 5, size - 5);
    struct memory_request request = {
        .head = {.method = data[0] & 0x40 ? SLICE("GET") : SLICE("POST"),
                 .target = targets[data[0] % 8],
                 .authority = SLICE("gw.test"),
                 .scheme = SLICE("http"),
                 .version = HTTP_1_1,
                 .fields = read_fields(take(&rest), &arena)},
        .body = take(&rest),
        .has_body = true,
        .is_chunked = data[0] & 0x80,
        .random = data[1],
    };
    struct memory_answer answer = {
        .head = {.status = statuses[data[3] % 8], .version = HTTP_1_1, .fields = read_fields(take(&rest), &arena)},
        .has_length = data[3] & 0x80,
        .fault = (enum memory_fault)(data[4] % 5),
    };
    struct memory_result whole;
    struct memory_result pieces;
    run(snapshot, &request, answer, rest, rest.len + 1, &arena, &whole);
    if (data[0] % 8 < 6 && data[0] % 8 != 3)
        check_bodies(&whole, &arena);
    const size_t sizes[] = {data[1] % 64, data[1] / 64, 1, 1};
    request.piece_sizes = sizes;
    request.piece_count = 4;
    run(snapshot, &request, answer, rest, (size_t)data[2] % 32 + 1, &arena, &pieces);
    // A stalled answer without a piece never had a head: there the pieces do matter.
    if (answer.fault != MEMORY_FAULT_STALL && !same(&whole, &pieces))
        abort();
    arena_fini(&arena);
    return 0;
}
