// Whole configurations, from bytes to route tables: loading, resolving, compiling, a lookup and its explanation.
#include <stdint.h>
#include <stdlib.h>

#include "config/config.h"
#include "exchange/snapshot.h"
#include "mutate/mutate.h"
#include "route/route.h"

static bool get_variable(void *context, struct slice name, struct slice *ret_value)
{
    (void)context;
    *ret_value = name;
    return name.len > 0 && name.ptr[0] == 'K';
}

static bool read_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context;
    (void)arena;
    *ret_text = path;
    return true;
}

// Both ways of asking must agree on the winner.
static void ask(const struct route_table *table, const struct route_request *request, struct arena *arena)
{
    struct route_hit hit = {.rule = NULL};
    struct route_trace_line *lines;
    bool is_hit = route_match(table, request, arena, &hit);
    size_t count = route_explain(table, request, arena, &lines);
    const struct config_rule *told = NULL;
    for (size_t i = 0; i < count; i++)
        if (lines[i].is_winner)
            told = lines[i].rule;
    if (told != (is_hit ? hit.rule : NULL))
        abort();
}

static void use_listener(const struct config_listener *listener, struct arena *arena, struct findings *findings)
{
    struct fields fields = {NULL, 0, 0};
    struct slice hosts[] = {SLICE("api.example.com"), SLICE("localhost"), SLICE("")};
    struct slice backends[] = {SLICE(""), SLICE("u")};
    struct route_table *table = route_table_new(arena, listener, 1, findings);
    for (size_t i = 0; table && i < 6; i++) {
        struct route_request request = {.method = SLICE("POST"),
                                        .target = SLICE("/v1/chat/completions?q=1"),
                                        .host = hosts[i % 3],
                                        .fields = &fields,
                                        .model = SLICE("m"),
                                        .backend = backends[i / 3]};
        struct route_model *models;
        ask(table, &request, arena);
        route_models(table, request.host, &fields, arena, &models);
    }
    route_table_free(table);
}

static void merge_rule(const struct config_rule *rule, struct arena *arena, struct findings *findings)
{
    for (size_t i = 0; i < rule->ref_count; i++) {
        const struct config_backend_ref *ref = &rule->refs[i];
        struct header_mutation headers;
        struct body_mutation body;
        if (!ref->backend)
            continue;
        mutate_headers_merge(arena, &ref->header_mutation, &ref->backend->header_mutation, findings, &headers);
        mutate_body_merge(arena, &ref->body_mutation, &ref->backend->body_mutation, ref->model_override, findings,
                          &body);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_file file = {SLICE("fuzz.yaml"), {(const char *)data, size}};
    struct config_env env = {get_variable, read_file, NULL};
    struct arena arena;
    struct findings findings;
    arena_init(&arena, 65536, (size_t)256 << 20);
    findings_init(&findings, &arena);
    struct config *config = config_load(&file, 1, &env, &findings);
    if (!config && findings.error_count == 0)
        abort(); // refused without a word
    for (size_t i = 0; config && i < config->listener_count; i++)
        use_listener(&config->listeners[i], &arena, &findings);
    for (size_t i = 0; config && i < config->route_count; i++)
        for (size_t j = 0; j < config->routes[i].rule_count; j++)
            merge_rule(&config->routes[i].rules[j], &arena, &findings);
    config_free(config);
    // With errors, too, it is compiled for its findings.
    findings_init(&findings, &arena);
    struct config *broken = config_load_for_findings(&file, 1, &env, &findings);
    snapshot_unref(broken ? snapshot_new(broken, 1, 7, &findings) : NULL);
    arena_fini(&arena);
    return 0;
}
