// Header mutation: precedence of the levels, names left alone, and the merge as a property over random lists (S5).
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
    struct fields fields;
};

static void world_init(struct world *world)
{
    *world = (struct world){.fields = {NULL, 0, 0}};
    arena_init(&world->arena, 4096, SIZE_MAX);
    findings_init(&world->findings, &world->arena);
}

static void mutate(struct world *world, const struct config_mutation *route, const struct config_mutation *backend)
{
    struct header_mutation merged;
    assert_true(mutate_headers_merge(&world->arena, route, backend, &world->findings, &merged));
    assert_true(mutate_headers_apply(&merged, &world->arena, &world->fields));
}

static void assert_value(const struct world *world, struct slice name, struct slice expected)
{
    struct slice value = fields_value(&world->fields, name);
    assert_int_equal(value.len, expected.len);
    assert_memory_equal(value.ptr, expected.ptr, expected.len);
    assert_int_equal(fields_count(&world->fields, name), 1);
}

// config-model.md section 11, 6, with S5's rule where it differs.
static void route_wins(void **state)
{
    (void)state;
    struct config_set a = {TEXT("X-Org"), TEXT("a")};
    struct config_set b = {TEXT("x-org"), TEXT("b")};
    struct config_text name = TEXT("x-ORG");
    struct config_mutation sets_a = {.set = &a, .set_count = 1};
    struct config_mutation sets_b = {.set = &b, .set_count = 1};
    struct config_mutation removes = {.remove = &name, .remove_count = 1};
    struct {
        const struct config_mutation *route, *backend;
        const char *expected; // NULL: absent
    } cases[] = {
        {&sets_a, &sets_b, "a"}, {&sets_a, &removes, "a"}, {&removes, &sets_b, NULL}, {&removes, NULL, NULL},
        {NULL, &removes, NULL},  {NULL, &sets_b, "b"},     {NULL, NULL, "c"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world;
        world_init(&world);
        fields_add(&world.fields, &world.arena, SLICE("x-org"), SLICE("c"));
        mutate(&world, cases[i].route, cases[i].backend);
        if (cases[i].expected)
            assert_value(&world, SLICE("x-org"), slice_from_cstr(cases[i].expected));
        else
            assert_int_equal(fields_count(&world.fields, SLICE("x-org")), 0);
        assert_int_equal(world.findings.count, 0);
        arena_fini(&world.arena);
    }
}

static void replaces_in_place(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    fields_add(&world.fields, &world.arena, SLICE("One"), SLICE("1"));
    fields_add(&world.fields, &world.arena, SLICE("x-a"), SLICE("first"));
    fields_add(&world.fields, &world.arena, SLICE("Two"), SLICE("2"));
    fields_add(&world.fields, &world.arena, SLICE("X-A"), SLICE("second"));
    struct config_set sets[] = {{TEXT("X-a"), TEXT("new")}, {TEXT("Three"), TEXT("3")}, {TEXT("three"), TEXT("4")}};
    struct config_mutation mutation = {.set = sets, .set_count = 3};
    mutate(&world, NULL, &mutation);
    assert_int_equal(world.fields.count, 4);
    assert_true(slice_eq(world.fields.items[0].name, SLICE("One")));
    assert_true(slice_eq(world.fields.items[1].name, SLICE("X-a")));
    assert_true(slice_eq(world.fields.items[1].value, SLICE("new")));
    assert_true(slice_eq(world.fields.items[2].name, SLICE("Two")));
    assert_true(slice_eq(world.fields.items[3].name, SLICE("three"))); // the last of a list counts
    assert_true(slice_eq(world.fields.items[3].value, SLICE("4")));
    arena_fini(&world.arena);
}

static void removes_before_it_sets(void **state)
{
    (void)state;
    struct world world;
    world_init(&world);
    fields_add(&world.fields, &world.arena, SLICE("x-a"), SLICE("old"));
    struct config_set set = {TEXT("x-a"), TEXT("new")};
    struct config_text name = TEXT("X-A");
    struct config_mutation both = {.set = &set, .set_count = 1, .remove = &name, .remove_count = 1};
    mutate(&world, &both, NULL);
    assert_value(&world, SLICE("x-a"), SLICE("new"));
    arena_fini(&world.arena);
}

static void names_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = {":path",
                                        "x-ai-eg-model",
                                        "X-AI-EG-x",
                                        "Host",
                                        "connection",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "keep-alive",
                                        "content-length",
                                        "transfer-encoding",
                                        "proxy-connection",
                                        "x-envoy-original-path"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct world world;
        world_init(&world);
        struct config_text name = {.text = slice_from_cstr(names[i]), .mark = {SLICE("f.yaml"), 3, 7}};
        struct config_set set = {name, TEXT("v")};
        struct config_mutation mutation = {.set = &set, .set_count = 1, .remove = &name, .remove_count = 1};
        fields_add(&world.fields, &world.arena, name.text, SLICE("kept"));
        mutate(&world, NULL, &mutation);
        mutate(&world, NULL, &mutation);
        assert_value(&world, name.text, SLICE("kept"));
        assert_int_equal(world.findings.count, 1); // told once
        assert_int_equal(world.findings.items[0].level, FINDING_WARNING);
        assert_int_equal(world.findings.items[0].mark.line, 3);
        arena_fini(&world.arena);
    }
}

static void refuses_what_cannot_be_sent(void **state)
{
    (void)state;
    struct config_set bad[] = {{TEXT("x-a"), TEXT("a\r\nb: c")},
                               {TEXT("x-a"), TEXT(" a")},
                               {TEXT("x-a"), TEXT("a\0b")},
                               {TEXT("x a"), TEXT("a")},
                               {TEXT(""), TEXT("a")}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct world world;
        world_init(&world);
        struct config_mutation mutation = {.set = &bad[i], .set_count = 1};
        struct header_mutation merged;
        assert_false(mutate_headers_merge(&world.arena, &mutation, NULL, &world.findings, &merged));
        assert_int_equal(world.findings.error_count, 1);
        arena_fini(&world.arena);
    }
}

// ---- property -------------------------------------------------------------------------------------------------

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static const char *const some_names[] = {"a", "A", "b", "B", "c", "d"};
static const char *const some_values[] = {"1", "2", "3", "4"};

static struct config_text random_name(uint64_t *seed)
{
    return (struct config_text){.text = slice_from_cstr(some_names[next_random(seed) % 6]), .mark = {SLICE("f"), 1, 1}};
}

static struct config_mutation random_level(struct arena *arena, uint64_t *seed)
{
    struct config_mutation level = {.set = ARENA_ARRAY(arena, struct config_set, 4),
                                    .set_count = next_random(seed) % 4,
                                    .remove = ARENA_ARRAY(arena, struct config_text, 4),
                                    .remove_count = next_random(seed) % 4};
    for (size_t i = 0; i < level.set_count; i++)
        level.set[i] = (struct config_set){
            random_name(seed),
            {.text = slice_from_cstr(some_values[next_random(seed) % 4]), .mark = {SLICE("f"), 1, 1}}};
    for (size_t i = 0; i < level.remove_count; i++)
        level.remove[i] = random_name(seed);
    return level;
}

// What a level says of a name: 0 nothing, 1 remove, 2 set (then *ret_value).
static int says(const struct config_mutation *level, struct slice name, struct slice *ret_value)
{
    int said = 0;
    for (size_t i = 0; i < level->remove_count; i++)
        if (slice_eq_nocase(level->remove[i].text, name))
            said = 1;
    for (size_t i = 0; i < level->set_count; i++)
        if (slice_eq_nocase(level->set[i].name.text, name)) {
            *ret_value = level->set[i].value.text;
            said = 2;
        }
    return said;
}

static void merge_is_what_the_rule_says(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252U;
    for (size_t round = 0; round < 20000; round++) {
        struct world world;
        world_init(&world);
        struct config_mutation route = random_level(&world.arena, &seed);
        struct config_mutation backend = random_level(&world.arena, &seed);
        size_t given = next_random(&seed) % 5;
        for (size_t i = 0; i < given; i++)
            fields_add(&world.fields, &world.arena, random_name(&seed).text, SLICE("0"));
        struct fields before;
        assert_true(fields_copy(&world.fields, &world.arena, 0, &before));
        mutate(&world, &route, &backend);
        for (const char *name = "abcd"; *name; name++) {
            struct slice one = slice_make(name, 1);
            struct slice value = SLICE("");
            int said = says(&route, one, &value);
            if (said == 0)
                said = says(&backend, one, &value);
            if (said == 2)
                assert_value(&world, one, value);
            else
                assert_int_equal(fields_count(&world.fields, one), said == 1 ? 0 : fields_count(&before, one));
        }
        arena_fini(&world.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(route_wins),
        cmocka_unit_test(replaces_in_place),
        cmocka_unit_test(removes_before_it_sets),
        cmocka_unit_test(names_left_alone),
        cmocka_unit_test(refuses_what_cannot_be_sent),
        cmocka_unit_test(merge_is_what_the_rule_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
