// Which match of which route wins: S3, S4, the worked examples of the configuration model.
#include "route/fixture.h"

#define UUID "0b5c"

static void one_condition_kinds(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *r = add_route(&f, "r", 0, "");
    add_rule(&f, r, "exact:/exact");
    add_rule(&f, r, "prefix:/pre");
    add_rule(&f, r, "prefix:/slash/");
    add_rule(&f, r, "regex:/re[0-9]+|/re");
    add_rule(&f, r, "POST prefix:/m");
    add_rule(&f, r, "prefix:/h h:X-Org=a,b");
    add_rule(&f, r, "prefix:/q q:name=a b");
    compile(&f);
    assert_string_equal(winner(&f, "h GET /exact?x=1 - -"), "r/0/0");
    assert_string_equal(winner(&f, "h GET /exact/ - -"), "none");
    assert_string_equal(winner(&f, "h GET /pre - -"), "r/1/0");
    assert_string_equal(winner(&f, "h GET /pre/ - -"), "r/1/0");
    assert_string_equal(winner(&f, "h GET /pre/x - -"), "r/1/0");
    assert_string_equal(winner(&f, "h GET /prefix - -"), "none");
    assert_string_equal(winner(&f, "h GET /slash - -"), "r/2/0");
    assert_string_equal(winner(&f, "h GET /slashed - -"), "none");
    assert_string_equal(winner(&f, "h GET /re12 - -"), "r/3/0");
    assert_string_equal(winner(&f, "h GET /re - -"), "r/3/0");
    assert_string_equal(winner(&f, "h GET /re12x - -"), "none"); // the whole value, not a part of it
    assert_string_equal(winner(&f, "h GET /x/re12 - -"), "none");
    assert_string_equal(winner(&f, "h POST /m - -"), "r/4/0");
    assert_string_equal(winner(&f, "h post /m - -"), "none");
    assert_string_equal(winner(&f, "h GET /m - -"), "none");
    assert_string_equal(winner(&f, "h GET /h - - h:x-org=a h:X-ORG=b"), "r/5/0"); // repeated fields join
    assert_string_equal(winner(&f, "h GET /h - - h:x-org=a"), "none");
    assert_string_equal(winner(&f, "h GET /h - - h:x-org=A,B"), "none");
    assert_string_equal(winner(&f, "h GET /h - -"), "none");
    fixture_fini(&f);
}

static void query_is_decoded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *r = add_route(&f, "r", 0, "");
    add_rule(&f, r, "q:na/me=a&b");
    add_rule(&f, r, "q:flag=");
    add_rule(&f, r, "q:n~[0-9]+");
    compile(&f);
    assert_string_equal(winner(&f, "h GET /x?y=1&na%2Fme=a%26b - -"), "r/0/0");
    assert_string_equal(winner(&f, "h GET /x?na/me=a%26b - -"), "r/0/0");
    assert_string_equal(winner(&f, "h GET /x?na/me=a&b - -"), "none");
    assert_string_equal(winner(&f, "h GET /x?na/me=other&na/me=a%26b - -"), "none"); // the first one counts
    assert_string_equal(winner(&f, "h GET /x?flag - -"), "r/1/0");
    assert_string_equal(winner(&f, "h GET /x?flag= - -"), "r/1/0");
    assert_string_equal(winner(&f, "h GET /x?n=12 - -"), "r/2/0");
    assert_string_equal(winner(&f, "h GET /x?n=12%2 - -"), "none");
    assert_string_equal(winner(&f, "h GET /x? - -"), "none");
    fixture_fini(&f);
}

static void hosts(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    add_rule(&f, add_route(&f, "none", 1, ""), "h:x-ai-eg-model=m");
    add_rule(&f, add_route(&f, "wide", 2, "*.x.com"), "h:x-ai-eg-model=m");
    add_rule(&f, add_route(&f, "narrow", 3, "*.a.x.com"), "h:x-ai-eg-model=m");
    add_rule(&f, add_route(&f, "exact", 4, "b.a.x.com y.com"), "h:x-ai-eg-model=m");
    compile(&f);
    assert_string_equal(winner(&f, "b.a.x.com POST /v1 m -"), "exact/0/0");
    assert_string_equal(winner(&f, "B.A.X.COM POST /v1 m -"), "exact/0/0");
    assert_string_equal(winner(&f, "c.a.x.com POST /v1 m -"), "narrow/0/0");
    assert_string_equal(winner(&f, "d.c.a.x.com POST /v1 m -"), "narrow/0/0");
    assert_string_equal(winner(&f, "a.x.com POST /v1 m -"), "wide/0/0"); // the apex is not below itself
    assert_string_equal(winner(&f, "x.com POST /v1 m -"), "none/0/0");
    assert_string_equal(winner(&f, "y.com POST /v1 m -"), "exact/0/0");
    assert_string_equal(winner(&f, "- POST /v1 m -"), "none/0/0");
    assert_string_equal(winner(&f, "b.a.x.com POST /v1 n -"), "none");
    fixture_fini(&f);
}

// What no route that names the host takes falls to those that name a wider one or none (S4).
static void hosts_fall_through(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    add_rule(&f, add_route(&f, "named", 1, "api.x.com"), "h:x-ai-eg-model=a");
    add_rule(&f, add_route(&f, "wild", 1, "*.x.com"), "h:x-ai-eg-model=c");
    add_rule(&f, add_route(&f, "open", 1, ""), "h:x-ai-eg-model=b");
    compile(&f);
    assert_string_equal(winner(&f, "api.x.com POST / a -"), "named/0/0");
    assert_string_equal(winner(&f, "api.x.com POST / b -"), "open/0/0");
    assert_string_equal(winner(&f, "api.x.com POST / c -"), "wild/0/0");
    assert_string_equal(winner(&f, "www.x.com POST / a -"), "none");
    fixture_fini(&f);
}

static void listener_narrows(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "*.x.com");
    add_rule(&f, add_route(&f, "all", 0, "*.com"), "h:x-ai-eg-model=a");
    add_rule(&f, add_route(&f, "open", 0, ""), "h:x-ai-eg-model=b");
    add_rule(&f, add_route(&f, "other", 0, "y.com"), "h:x-ai-eg-model=c");
    compile(&f);
    assert_string_equal(winner(&f, "api.x.com POST / a -"), "all/0/0");
    assert_string_equal(winner(&f, "api.y.com POST / a -"), "none");
    assert_string_equal(winner(&f, "api.x.com POST / b -"), "open/0/0");
    assert_string_equal(winner(&f, "api.y.com POST / b -"), "none");
    assert_string_equal(winner(&f, "y.com POST / c -"), "none");
    fixture_fini(&f);
}

static void order_of_s4(void **state)
{
    (void)state;
    static const char *const better_first[][3] = {
        // the better one is always of the younger route and stands second
        {"exact:/a", "prefix:/a h:x=1 q:q=1", "h GET /a?q=1 - - h:x=1"},
        {"prefix:/a/b", "GET prefix:/a h:x=1", "h GET /a/b - - h:x=1"},
        {"prefix:/", "GET regex:/a.* h:x=1", "h GET /a - - h:x=1"},
        {"regex:/a.*", "regex:/.* h:x=1", "h GET /a - - h:x=1"},
        {"GET", "h:x=1 h:y=1", "h GET /a - - h:x=1 h:y=1"},
        {"h:x=1 h:y~.*", "h:x=1 q:q=1", "h GET /a?q=1 - - h:x=1 h:y=1"},
        {"h:x=1 q:q=1", "h:y=1", "h GET /a?q=1 - - h:x=1 h:y=1"},
        {"h:x=1", "h:x~1", "h GET /a - - h:x=1"},
    };
    for (size_t i = 0; i < sizeof better_first / sizeof better_first[0]; i++) {
        struct fixture f;
        fixture_init(&f, "");
        add_rule(&f, add_route(&f, "old", 1, ""), better_first[i][1]);
        add_rule(&f, add_route(&f, "young", 2, ""), better_first[i][0]);
        compile(&f);
        assert_string_equal(winner(&f, better_first[i][2]), "young/0/0");
        fixture_fini(&f);
    }
}

static void ties(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    add_rule(&f, add_route(&f, "z-first", 0, ""), "h:a=1");
    add_rule(&f, add_route(&f, "a-second", 0, ""), "h:a=1");
    add_rule(&f, add_route(&f, "dated", 9, ""), "h:b=1");
    add_rule(&f, add_route(&f, "older", 8, ""), "h:b=1");
    add_rule(&f, add_route(&f, "undated", 0, ""), "h:b=1");
    add_rule(&f, add_route(&f, "same-b", 7, ""), "h:c=1");
    struct config_route *last = add_route(&f, "same-a", 7, "");
    add_rule(&f, last, "h:c=1");
    add_match(&f, add_rule(&f, last, "h:d=1"), "h:d=1");
    compile(&f);
    assert_string_equal(winner(&f, "h GET / - - h:a=1"), "z-first/0/0"); // document order
    assert_string_equal(winner(&f, "h GET / - - h:b=1"), "older/0/0");   // age, and dated before undated
    assert_string_equal(winner(&f, "h GET / - - h:c=1"), "same-a/0/0");  // name
    assert_string_equal(winner(&f, "h GET / - - h:d=1"), "same-a/1/0");  // place in the route
    fixture_fini(&f);
}

// config-model.md section 11, 2: exact values before expressions; 3: a rule without matches takes what is left.
static void worked_examples(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *r = add_route(&f, "r", 0, "");
    add_rule(&f, r, "");
    add_rule(&f, r, "h:x-ai-eg-model~gpt-.*");
    add_rule(&f, r, "h:x-ai-eg-model=gpt-4");
    compile(&f);
    assert_string_equal(winner(&f, "h POST / gpt-4 -"), "r/2/0");
    assert_string_equal(winner(&f, "h POST / gpt-5 -"), "r/1/0");
    assert_string_equal(winner(&f, "h POST / my-gpt-5 -"), "r/0/0");
    assert_string_equal(winner(&f, "h POST / - -"), "r/0/0");
    fixture_fini(&f);
}

// ---- S3 -------------------------------------------------------------------------------------------------------

// AIM routes: a rule by UUID and one by model name each, in every order of ages and of the document.
static void pins_whatever_the_age(void **state)
{
    (void)state;
    static const char *const names[] = {"aim-a", "aim-b", "aim-c"};
    static const int ages[][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {2, 3, 1},
                                  {3, 1, 2}, {3, 2, 1}, {0, 0, 0}, {0, 1, 0}};
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t both = 0; both < 2; both++)
        for (size_t i = 0; i < sizeof ages / sizeof ages[0]; i++)
            for (size_t j = 0; j < sizeof orders / sizeof orders[0]; j++) {
                struct fixture f;
                fixture_init(&f, "");
                for (size_t k = 0; k < 3; k++) {
                    int which = orders[j][k];
                    struct config_route *route = add_route(&f, names[which], ages[i][which], "api.x.com");
                    struct slice pin = arena_printf(&f.arena, "h:x-ai-eg-backend=uuid-%c%s", 'a' + which,
                                                    both ? " h:x-ai-eg-model=llama" : "");
                    add_rule(&f, route, pin.ptr);
                    add_rule(&f, route, "h:x-ai-eg-model=llama");
                    add_rule(&f, route, "h:x-ai-eg-model=llama h:x-org=o"); // more conditions than a lone pin
                }
                compile(&f);
                assert_string_equal(winner(&f, "api.x.com POST / llama uuid-a h:x-org=o"), "aim-a/0/0");
                assert_string_equal(winner(&f, "api.x.com POST / llama uuid-b h:x-org=o"), "aim-b/0/0");
                assert_string_equal(winner(&f, "api.x.com POST / llama uuid-c h:x-org=o"), "aim-c/0/0");
                assert_string_equal(winner(&f, "api.x.com POST / llama uuid-d h:x-org=o"), "none");
                assert_string_not_equal(winner(&f, "api.x.com POST / llama -"), "none");
                fixture_fini(&f);
            }
}

static void pins_fall_to_the_catch_all_only(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *r = add_route(&f, "r", 0, "");
    add_match(&f, add_rule(&f, r, "h:x-ai-eg-backend=u"), "h:x-ai-eg-model=m");
    add_rule(&f, r, "h:x-ai-eg-model~.*");
    add_rule(&f, r, "h:x-org=o");
    compile(&f);
    assert_string_equal(winner(&f, "h POST / m u"), "r/0/0");
    assert_string_equal(winner(&f, "h POST / m -"), "r/0/1");
    assert_string_equal(winner(&f, "h POST / m other"), "none");
    assert_string_equal(winner(&f, "h POST / m other h:x-org=o"), "r/2/0");
    fixture_fini(&f);
}

// What a client writes into the lifted headers itself counts for nothing: the request's lifted values do.
static void lifted_values_are_not_headers(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *r = add_route(&f, "r", 0, "");
    add_rule(&f, r, "h:X-AI-EG-Model=m");
    add_rule(&f, r, "h:x-ai-eg-backend~u.* h:x-ai-eg-model=m");
    compile(&f);
    assert_string_equal(winner(&f, "h POST / - - h:x-ai-eg-model=m"), "none");
    assert_string_equal(winner(&f, "h POST / m - h:x-ai-eg-model=n"), "r/0/0");
    assert_string_equal(winner(&f, "h POST / m u1"), "r/1/0"); // a pin by expression, with a model
    assert_string_equal(winner(&f, "h POST / m v1"), "none");
    fixture_fini(&f);
}

static void hostile_input(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *r = add_route(&f, "r", 0, "*.x.com");
    add_rule(&f, r, "h:x-slow~(a+)+b"); // catastrophic without limits
    add_rule(&f, r, "h:x-utf~..");
    compile(&f);
    assert_string_equal(
        winner(&f, "a.x.com GET / - - h:x-slow=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"), "none");
    assert_string_equal(winner(&f, "a.x.com GET / - - h:x-utf=\xc3\xa9\xc3\xa9"), "r/1/0");
    assert_string_equal(winner(&f, "a.x.com GET / - - h:x-utf=\xff\xff"), "none");
    assert_string_equal(winner(&f, ".x.com GET / - -"), "none");
    assert_string_equal(winner(&f, ". GET / - -"), "none");
    assert_string_equal(winner(&f, "......................................................... GET / - -"), "none");
    char long_host[600];
    snprintf(long_host, sizeof long_host, "%0400d.x.com GET / - - h:x-utf=ab", 0);
    assert_string_equal(winner(&f, long_host), "none");
    assert_string_equal(winner(&f, "a.x.com OPTIONS * - -"), "none");
    fixture_fini(&f);
}

static void bad_expression_is_a_finding(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    add_rule(&f, add_route(&f, "r", 0, ""), "h:x~a( regex:/[");
    compile(&f);
    assert_null(f.table);
    assert_int_equal(count_findings(&f, FINDING_ERROR, "regular expression"), 2);
    fixture_fini(&f);
}

// ---- the index of paths ---------------------------------------------------------------------------------------

static uint32_t next_random(uint32_t *seed)
{
    return *seed = *seed * 1664525 + 1013904223;
}

// "/a", "/a/bb//a", ...: few letters, so that paths begin with each other.
static const char *random_path(struct fixture *f, uint32_t *seed)
{
    static const char *const parts[] = {"/a", "/b", "/aa", "/", "/a.b"};
    const char *text = "";
    for (uint32_t count = 1 + (next_random(seed) >> 16) % 4; count > 0; count--)
        text = arena_printf(&f->arena, "%s%s", text, parts[(next_random(seed) >> 16) % 5]).ptr;
    return text;
}

// What the search finds is the first entry of the table that applies: `winner` asks both.
static void paths_are_found_in_the_order_of_the_table(void **state)
{
    (void)state;
    static const char *const types[] = {"exact", "exact", "prefix", "prefix", "prefix", "regex"};
    static const char *const rest[] = {"", "", " GET", " h:x=1", " h:x-ai-eg-model=m", " q:k=v"};
    uint32_t seed = 7;
    struct fixture f;
    fixture_init(&f, "");
    for (size_t r = 0; r < FIXTURE_ROUTES; r++) {
        struct config_route *route =
            add_route(&f, arena_printf(&f.arena, "r%zu", r).ptr, 0, r % 4 == 0 ? "h other" : "");
        for (size_t i = 0; i < 8; i++)
            add_rule(&f, route,
                     arena_printf(&f.arena, "%s:%s%s", types[(next_random(&seed) >> 16) % 6], random_path(&f, &seed),
                                  rest[(next_random(&seed) >> 16) % 6])
                         .ptr);
    }
    compile(&f);
    const char *last = "";
    size_t changes = 0;
    for (size_t i = 0; i < 3000; i++) {
        const char *request =
            arena_printf(&f.arena, "%s %s %s%s %s - %s", i % 3 ? "h" : "x", i % 2 ? "GET" : "POST",
                         random_path(&f, &seed), i % 5 ? "" : "?k=v", i % 7 ? "-" : "m", i % 4 ? "" : "h:x=1")
                .ptr;
        const char *now = winner(&f, request);
        changes += strcmp(now, last) != 0;
        last = now;
    }
    assert_true(changes > 1000); // it is not always the same that wins
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_condition_kinds),
        cmocka_unit_test(query_is_decoded),
        cmocka_unit_test(hosts),
        cmocka_unit_test(hosts_fall_through),
        cmocka_unit_test(listener_narrows),
        cmocka_unit_test(order_of_s4),
        cmocka_unit_test(ties),
        cmocka_unit_test(worked_examples),
        cmocka_unit_test(pins_whatever_the_age),
        cmocka_unit_test(pins_fall_to_the_catch_all_only),
        cmocka_unit_test(lifted_values_are_not_headers),
        cmocka_unit_test(hostile_input),
        cmocka_unit_test(bad_expression_is_a_finding),
        cmocka_unit_test(paths_are_found_in_the_order_of_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
