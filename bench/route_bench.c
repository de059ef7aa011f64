// What finding a route costs with few and with many rules, in nanoseconds a lookup (best of several rounds): exact
// x-ai-eg-model and x-ai-eg-backend matches cost the same whatever their number. The first three figures are for 64
// requests in turn, as traffic has its favourites; the last is for 1,024 all over the table, where what grows with the
// table is the price of memory that is in no cache.
//   route_bench
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "route/route.h"

#define ROUNDS 7
#define REQUESTS_MAX 1024U
#define LOOKUPS 400000U

struct bench {
    struct arena arena; // of table and configuration
    struct findings findings;
    struct config_listener listener;
    struct route_table *table;
    size_t routes;
};

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static struct slice numbered(struct arena *arena, const char *prefix, size_t number)
{
    return arena_printf(arena, "%s%zu", prefix, number);
}

static void add_match(struct bench *bench, struct config_rule *rule, const char *header, struct slice value)
{
    struct config_match *match = ARENA_NEW(&bench->arena, struct config_match);
    rule->matches = match;
    rule->match_count = 1;
    match->path_type = MATCH_PREFIX;
    match->path.text = SLICE("/");
    match->headers = ARENA_NEW(&bench->arena, struct config_name_match);
    match->header_count = 1;
    match->headers[0].name.text = slice_from_cstr(header);
    match->headers[0].value.text = value;
}

// A deployment as users have it: one rule by its id, one by its model, on one host of all or on its own.
static struct config_route *make_route(struct bench *bench, size_t number, bool own_host)
{
    struct config_route *route = ARENA_NEW(&bench->arena, struct config_route);
    route->namespace_ = SLICE("default");
    route->name = numbered(&bench->arena, "route-", number);
    route->order = number;
    route->hostnames = ARENA_NEW(&bench->arena, struct config_text);
    route->hostname_count = 1;
    route->hostnames[0].text =
        own_host ? arena_printf(&bench->arena, "h%zu.example.com", number) : SLICE("api.example.com");
    route->rules = ARENA_ARRAY(&bench->arena, struct config_rule, 2);
    route->rule_count = 2;
    route->rules[1].index = 1;
    add_match(bench, &route->rules[0], "x-ai-eg-backend", numbered(&bench->arena, "uuid-", number));
    add_match(bench, &route->rules[1], "x-ai-eg-model", numbered(&bench->arena, "model-", number));
    return route;
}

static double build(struct bench *bench, size_t routes, bool own_host)
{
    *bench = (struct bench){.routes = routes};
    arena_init(&bench->arena, 1 << 20, SIZE_MAX);
    findings_init(&bench->findings, &bench->arena);
    bench->listener.routes = ARENA_ARRAY(&bench->arena, struct config_route *, routes);
    for (size_t i = 0; i < routes; i++)
        bench->listener.routes[bench->listener.route_count++] = make_route(bench, i, own_host);
    double start = now_ns();
    bench->table = route_table_new(&bench->arena, &bench->listener, 7, &bench->findings);
    if (!bench->table)
        exit(1);
    return (now_ns() - start) / 1e6;
}

// Requests for routes all over the table; `is_pin`: by backend, the model being that of another route.
static double lookup_ns(struct bench *bench, bool is_pin, bool own_host, size_t distinct)
{
    struct route_request requests[REQUESTS_MAX];
    struct field fields[] = {{SLICE("content-type"), SLICE("application/json")}, {SLICE("user-agent"), SLICE("bench")}};
    struct fields list = {fields, 2, 2};
    struct arena scratch;
    arena_init(&scratch, 4096, 1 << 20);
    for (size_t i = 0; i < distinct; i++) {
        size_t number = i * 7919 % bench->routes;
        requests[i] = (struct route_request){
            .method = SLICE("POST"),
            .target = SLICE("/v1/chat/completions"),
            .host = own_host ? arena_printf(&bench->arena, "h%zu.example.com", number) : SLICE("api.example.com"),
            .fields = &list,
            .model = numbered(&bench->arena, "model-", is_pin ? 0 : number),
            .backend = is_pin ? numbered(&bench->arena, "uuid-", number) : SLICE(""),
        };
    }
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (size_t i = 0; i < LOOKUPS; i++) {
            struct route_hit hit;
            if (!route_match(bench->table, &requests[i % distinct], &scratch, &hit))
                exit(1);
        }
        double ns = (now_ns() - start) / LOOKUPS;
        best = ns < best ? ns : best;
    }
    arena_fini(&scratch);
    return best;
}

int main(void)
{
    static const size_t counts[] = {10, 100, 1000, 10000, 50000};
    printf("%8s %10s %10s %10s %12s %12s\n", "routes", "build ms", "model ns", "pin ns", "own host ns", "all over ns");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct bench bench;
        double built = build(&bench, counts[i], false);
        double model = lookup_ns(&bench, false, false, 64);
        double pin = lookup_ns(&bench, true, false, 64);
        double spread = lookup_ns(&bench, false, false, REQUESTS_MAX);
        route_table_free(bench.table);
        arena_fini(&bench.arena);
        build(&bench, counts[i], true);
        double host = lookup_ns(&bench, false, true, 64);
        route_table_free(bench.table);
        arena_fini(&bench.arena);
        printf("%8zu %10.1f %10.1f %10.1f %12.1f %12.1f\n", counts[i], built, model, pin, host, spread);
    }
    return 0;
}
