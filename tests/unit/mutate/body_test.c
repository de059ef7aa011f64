// Body mutation: what the merged changes make of a body (S6).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mutate/mutate.h"

#define TEXT(literal) ((struct config_text){.text = SLICE(literal), .mark = {SLICE("f.yaml"), 3, 7}})

struct world {
    struct arena arena;
    struct findings findings;
};

static void world_init(struct world *world)
{
    arena_init(&world->arena, 4096, SIZE_MAX);
    findings_init(&world->findings, &world->arena);
}

static struct slice apply(struct world *world, struct slice body, const struct config_mutation *route,
                          const struct config_mutation *backend, struct slice override)
{
    struct body_mutation merged;
    assert_true(mutate_body_merge(&world->arena, route, backend, override, &world->findings, &merged));
    struct slice *pieces;
    size_t count;
    size_t bytes;
    struct slice duplicate;
    assert_true(json_apply(body, merged.changes, merged.count, &world->arena, &pieces, &count, &bytes, &duplicate));
    return arena_join(&world->arena, pieces, count);
}

static void assert_body(struct slice body, const char *expected)
{
    assert_int_equal(body.len, slice_from_cstr(expected).len);
    assert_memory_equal(body.ptr, expected, body.len);
}

static void levels(void **state)
{
    (void)state;
    struct config_set scale = {TEXT("service_tier"), TEXT("\"scale\"")};
    struct config_set flex = {TEXT("service_tier"), TEXT(" \"flex\" ")};
    struct config_text tier = TEXT("service_tier");
    struct config_mutation sets_scale = {.set = &scale, .set_count = 1};
    struct config_mutation sets_flex = {.set = &flex, .set_count = 1};
    struct config_mutation removes = {.remove = &tier, .remove_count = 1};
    struct slice body = SLICE("{\"model\": \"m\", \"service_tier\":\"default\" ,\"n\":1.0}");
    struct world w;
    world_init(&w);
    assert_body(apply(&w, body, &sets_scale, &sets_flex, SLICE("")),
                "{\"model\": \"m\", \"service_tier\":\"scale\" ,\"n\":1.0}");
    assert_body(apply(&w, body, NULL, &sets_flex, SLICE("")),
                "{\"model\": \"m\", \"service_tier\":\"flex\" ,\"n\":1.0}");
    struct json_member member;
    const struct json_names *names = json_names_new(&w.arena, (struct slice[]){SLICE("service_tier")}, 1);
    json_scan_object(apply(&w, body, &removes, &sets_scale, SLICE("")), names, &member);
    assert_int_equal(member.type, JSON_NONE); // route removes over backend sets
    json_scan_object(apply(&w, body, &sets_scale, &removes, SLICE("")), names, &member);
    assert_int_equal(member.type, JSON_STRING);
    assert_int_equal(w.findings.count, 0);
    arena_fini(&w.arena);
}

static void model_override_stands_under_mutations(void **state)
{
    (void)state;
    struct config_set set = {TEXT("model"), TEXT("\"mutated\"")};
    struct config_mutation sets = {.set = &set, .set_count = 1};
    struct world w;
    world_init(&w);
    assert_body(apply(&w, SLICE("{\"model\":\"m\"}"), NULL, NULL, SLICE("over\"ride")), "{\"model\":\"over\\\"ride\"}");
    assert_body(apply(&w, SLICE("{\"model\":\"m\"}"), NULL, &sets, SLICE("override")), "{\"model\":\"mutated\"}");
    arena_fini(&w.arena);
}

static void nested_paths(void **state)
{
    (void)state;
    struct config_set deep = {TEXT("a.b"), TEXT("1")};
    struct config_set dotted = {TEXT("a\\.b"), TEXT("2")};
    struct config_text above = TEXT("a");
    struct config_mutation sets_deep = {.set = &deep, .set_count = 1};
    struct config_mutation sets_dotted = {.set = &dotted, .set_count = 1};
    struct config_mutation removes_above = {.remove = &above, .remove_count = 1};
    struct config_text below = TEXT("a.b");
    struct config_mutation removes_below = {.remove = &below, .remove_count = 1};
    struct world w;
    world_init(&w);
    assert_body(apply(&w, SLICE("{}"), NULL, &sets_deep, SLICE("")), "{\"a\":{\"b\":1}}");
    assert_body(apply(&w, SLICE("{}"), NULL, &sets_dotted, SLICE("")), "{\"a.b\":2}");
    assert_body(apply(&w, SLICE("{\"a\":{\"b\":1,\"c\":2}}"), NULL, &removes_below, SLICE("")), "{\"a\":{\"c\":2}}");
    // the route level wins on paths above and below as well
    assert_body(apply(&w, SLICE("{\"a\":{\"c\":2}}"), &removes_above, &sets_deep, SLICE("")), "{}");
    assert_body(apply(&w, SLICE("{\"a\":{\"c\":2}}"), &sets_deep, &removes_above, SLICE("")), "{\"a\":{\"b\":1}}");
    arena_fini(&w.arena);
}

static void values(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        const char *expected;
        size_t warnings;
    } cases[] = {
        {SLICE_INIT("100"), "{\"x\":100}", 0},
        {SLICE_INIT("-0.70"), "{\"x\":-0.70}", 0},
        {SLICE_INIT("{\"a\": [1]}"), "{\"x\":{\"a\": [1]}}", 0},
        {SLICE_INIT("null"), "{\"x\":null}", 0},
        {SLICE_INIT("\n true \n"), "{\"x\":true}", 0},
        {SLICE_INIT("plain words"), "{\"x\":\"plain words\"}", 1},
        {SLICE_INIT("1.2.3"), "{\"x\":\"1.2.3\"}", 1}, // goes in raw at Envoy AI Gateway and breaks the body
        {SLICE_INIT("+5"), "{\"x\":\"+5\"}", 1},
        {SLICE_INIT("{broken"), "{\"x\":\"{broken\"}", 1},
        {SLICE_INIT(" spaced "), "{\"x\":\" spaced \"}", 1},
        {SLICE_INIT("q\"\n"), "{\"x\":\"q\\\"\\n\"}", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_init(&w);
        struct config_set set = {TEXT("x"), {.text = cases[i].value, .mark = {SLICE("f"), 4, 2}}};
        struct config_mutation sets = {.set = &set, .set_count = 1};
        assert_body(apply(&w, SLICE("{}"), &sets, NULL, SLICE("")), cases[i].expected);
        assert_body(apply(&w, SLICE("{}"), &sets, NULL, SLICE("")), cases[i].expected);
        assert_int_equal(w.findings.count, cases[i].warnings); // told once
        arena_fini(&w.arena);
    }
}

static void refused_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {"*", "a.*", "a.0", "a.-1", "a#b", "a|b", "@this", "", "a..b", ".a", "a\\"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct world w;
        world_init(&w);
        struct config_text path = {.text = slice_from_cstr(paths[i]), .mark = {SLICE("f"), 4, 2}};
        struct config_mutation removes = {.remove = &path, .remove_count = 1};
        struct body_mutation merged;
        assert_false(mutate_body_merge(&w.arena, NULL, &removes, SLICE(""), &w.findings, &merged));
        assert_int_equal(w.findings.error_count, 1);
        assert_int_equal(w.findings.items[0].mark.line, 4);
        arena_fini(&w.arena);
    }
}

// ---- property: flat members, both levels at random ------------------------------------------------------------

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static struct config_text random_of(const char *letters, uint64_t *seed)
{
    return (struct config_text){.text = slice_make(letters + next_random(seed) % 4, 1), .mark = {SLICE("f"), 1, 1}};
}

static struct config_mutation random_level(struct arena *arena, uint64_t *seed)
{
    struct config_mutation level = {.set = ARENA_ARRAY(arena, struct config_set, 4),
                                    .set_count = next_random(seed) % 4,
                                    .remove = ARENA_ARRAY(arena, struct config_text, 4),
                                    .remove_count = next_random(seed) % 4};
    for (size_t i = 0; i < level.set_count; i++)
        level.set[i] = (struct config_set){random_of("abcd", seed), random_of("1234", seed)};
    for (size_t i = 0; i < level.remove_count; i++)
        level.remove[i] = random_of("abcd", seed);
    return level;
}

static int says(const struct config_mutation *level, struct slice name, struct slice *ret_value)
{
    int said = 0;
    for (size_t i = 0; i < level->remove_count; i++)
        if (slice_eq(level->remove[i].text, name))
            said = 1;
    for (size_t i = 0; i < level->set_count; i++)
        if (slice_eq(level->set[i].name.text, name)) {
            *ret_value = level->set[i].value.text;
            said = 2;
        }
    return said;
}

static void merge_is_what_the_rule_says(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252U;
    const struct slice letters[] = {SLICE("a"), SLICE("b"), SLICE("c"), SLICE("d"), SLICE("e")};
    for (size_t round = 0; round < 5000; round++) {
        struct world w;
        world_init(&w);
        struct config_mutation route = random_level(&w.arena, &seed);
        struct config_mutation backend = random_level(&w.arena, &seed);
        bool has[4];
        struct slice body = SLICE("{\"e\": 9");
        for (size_t i = 0; i < 4; i++) {
            has[i] = next_random(&seed) & 1;
            if (has[i])
                body = arena_join(&w.arena, (struct slice[]){body, SLICE(" , \""), letters[i], SLICE("\":0")}, 4);
        }
        body = arena_join(&w.arena, (struct slice[]){body, SLICE("}")}, 2);
        struct slice result = apply(&w, body, &route, &backend, SLICE(""));
        struct json_member members[5];
        struct json_scan scan = json_scan_object(result, json_names_new(&w.arena, letters, 5), members);
        assert_int_equal(scan.status, JSON_OK);
        for (size_t i = 0; i < 4; i++) {
            struct slice value = SLICE("0");
            int said = says(&route, letters[i], &value);
            if (said == 0)
                said = says(&backend, letters[i], &value);
            assert_int_equal(members[i].count, said == 2 || (said == 0 && has[i]) ? 1 : 0);
            if (members[i].count)
                assert_int_equal(result.ptr[members[i].value.from], value.ptr[0]);
        }
        assert_int_equal(members[4].count, 1);
        arena_fini(&w.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),        cmocka_unit_test(model_override_stands_under_mutations),
        cmocka_unit_test(nested_paths),  cmocka_unit_test(values),
        cmocka_unit_test(refused_paths), cmocka_unit_test(merge_is_what_the_rule_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
