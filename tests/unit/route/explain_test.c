// What `weir explain`, `weir check` and GET /v1/models learn from the table.
#include "route/fixture.h"

static const char *why(struct fixture *f, const char *request_text, size_t line)
{
    struct fields fields;
    struct route_request request = parse_request(f, request_text, &fields);
    struct route_trace_line *lines;
    size_t count = route_explain(f->table, &request, &f->arena, &lines);
    assert_true(line < count);
    return arena_dup(&f->arena, lines[line].why).ptr;
}

static void reasons(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *r = add_route(&f, "r", 0, "");
    add_rule(&f, add_route(&f, "hosted", 0, "x.com"), "");
    add_rule(&f, r, "exact:/e");
    add_rule(&f, r, "prefix:/p h:authorization=secret-token");
    add_rule(&f, r, "h:x-ai-eg-model=m h:x-org=o");
    add_rule(&f, r, "h:x-ai-eg-model=m");
    add_rule(&f, r, "");
    compile(&f);
    const char *request = "h GET /p m -";
    assert_string_equal(why(&f, request, 0), "host \"h\" is not x.com");
    assert_string_equal(why(&f, request, 1), "path /p is not /e");
    assert_string_equal(why(&f, request, 2), "the request has no header authorization");
    assert_string_equal(why(&f, request, 3), "the request has no header x-org");
    assert_string_equal(why(&f, request, 4), "host *, path prefix /, header x-ai-eg-model = \"m\"");
    assert_string_equal(why(&f, request, 5),
                        "applies, but ns/r rule 3 match 0 wins: it has more header conditions (S4)");
    assert_string_equal(
        why(&f, "h GET /p m u", 4),
        "the request is pinned to backend \"u\", and this match names a model but no x-ai-eg-backend (S3)");
    assert_string_equal(why(&f, "h GET /p m - h:authorization=mine", 2),
                        "header authorization is \"(hidden)\", which is not \"(hidden)\"");
    assert_string_equal(why(&f, "h GET /p m - h:x-org=q", 3), "header x-org is \"q\", which is not \"o\"");
    fixture_fini(&f);
}

static void shadows(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *r = add_route(&f, "r", 0, "");
    add_rule(&f, r, "h:x-ai-eg-model=m h:x-org=o");
    add_rule(&f, r, "h:X-Org=o h:x-ai-eg-model=m"); // the same in another spelling
    add_rule(&f, r, "h:x-ai-eg-model=n");
    compile(&f);
    assert_int_equal(count_findings(&f, FINDING_WARNING, "can never win"), 1);
    assert_int_equal(count_findings(&f, FINDING_WARNING, "ns/r rule 0 match 0 (routes.yaml:1)"), 1);
    assert_int_equal(f.findings.count, 1);
    assert_int_equal(f.findings.items[0].mark.line, 2);
    fixture_fini(&f);
}

static void shadows_of_less_specific_conditions(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "api.x.com");
    add_rule(&f, add_route(&f, "named", 0, "api.x.com"), "h:x-ai-eg-model=m");
    struct config_route *open = add_route(&f, "open", 0, "");
    add_rule(&f, open, "h:x-ai-eg-model=m h:x-org=o");           // always loses to the one that names the host
    add_rule(&f, open, "h:x-ai-eg-model=m h:x-ai-eg-backend=u"); // not: on a pin the other is not eligible (S3)
    add_rule(&f, open, "GET regex:/a.*");                        // after the prefix below
    add_rule(&f, open, "");
    compile(&f);
    assert_int_equal(count_findings(&f, FINDING_WARNING, "can never win"), 2);
    assert_int_equal(count_findings(&f, FINDING_WARNING, "can never win on listener \"\" (api.x.com): "), 2);
    assert_int_equal(f.findings.items[0].mark.line, 101);
    assert_int_equal(f.findings.items[1].mark.line, 103);
    assert_int_equal(f.findings.count, 2);
    fixture_fini(&f);
}

static void ties_are_told(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    add_rule(&f, add_route(&f, "a", 1, "x.com y.com"), "h:x-ai-eg-model=m"); // twice the same: told once
    add_rule(&f, add_route(&f, "b", 2, "x.com y.com"), "h:x-org=o");
    add_rule(&f, add_route(&f, "c", 2, "x.com"), "h:x-ai-eg-backend=u"); // never meets a; meets b
    add_rule(&f, add_route(&f, "d", 3, "x.com"), "h:x-ai-eg-model=n");   // never meets a; meets b
    compile(&f);
    assert_int_equal(count_findings(&f, FINDING_WARNING, "ties with ns/a"), 1);
    assert_int_equal(count_findings(&f, FINDING_WARNING, "ties with ns/b"), 2);
    assert_int_equal(count_findings(&f, FINDING_WARNING, "only because its route is older"), 2);
    assert_int_equal(count_findings(&f, FINDING_WARNING, "only because its route comes first by namespace and name"),
                     1);
    assert_int_equal(f.findings.count, 3);
    fixture_fini(&f);
}

static void no_ties_where_one_excludes_the_other(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    add_rule(&f, add_route(&f, "a", 1, ""), "h:x-ai-eg-model=m h:x-org=o");
    add_rule(&f, add_route(&f, "b", 2, ""), "h:x-ai-eg-model=n h:x-tier=t");
    add_rule(&f, add_route(&f, "c", 3, ""), "h:x-ai-eg-backend=u h:x-tier=t");
    add_rule(&f, add_route(&f, "d", 4, ""), "h:x-ai-eg-model~q.* h:x-tier=t"); // fewer exact values: no tie
    add_rule(&f, add_route(&f, "e", 4, ""), "prefix:/a h:x-ai-eg-model=m h:x-tier=t");
    compile(&f);
    assert_int_equal(f.findings.count, 0);
    fixture_fini(&f);
}

static const char *models(struct fixture *f, const char *request_text)
{
    struct fields fields;
    struct route_request request = parse_request(f, request_text, &fields);
    struct route_model *items;
    size_t count = route_models(f->table, request.host, &fields, &f->arena, &items);
    struct slice text = SLICE("");
    for (size_t i = 0; i < count; i++)
        text = arena_join(&f->arena, (struct slice[]){text, items[i].id, SLICE(" ")}, 3);
    return arena_dup(&f->arena, text).ptr;
}

static void model_list(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    struct config_route *a = add_route(&f, "a", 0, "api.x.com");
    add_match(&f, add_rule(&f, a, "h:x-ai-eg-model=one"), "h:x-ai-eg-model=two h:x-team~t[0-9]");
    add_rule(&f, a, "h:x-ai-eg-model~gpt.*");
    add_rule(&f, a, "h:x-ai-eg-model=one h:x-team=t1");
    add_rule(&f, a, "h:x-ai-eg-model=pinned h:x-ai-eg-backend=u");
    add_rule(&f, add_route(&f, "b", 0, ""), "h:x-ai-eg-model=open");
    add_rule(&f, add_route(&f, "c", 0, "*.x.com"), "h:x-ai-eg-model=wild");
    struct config_route *plain = add_route(&f, "plain", 0, "plain.com");
    plain->kind = ROUTE_HTTP;
    add_rule(&f, plain, "h:x-ai-eg-model=not-listed");
    compile(&f);
    assert_string_equal(models(&f, "api.x.com GET /v1/models - -"), "one open wild ");
    assert_string_equal(models(&f, "API.x.com GET /v1/models - - h:X-Team=t1"), "one two open wild ");
    assert_string_equal(models(&f, "b.x.com GET /v1/models - -"), "open wild ");
    assert_string_equal(models(&f, "plain.com GET /v1/models - -"), "open ");
    assert_string_equal(models(&f, "- GET /v1/models - -"), "one open wild ");
    assert_true(route_serves_models(f.table, SLICE("anything")));
    fixture_fini(&f);

    fixture_init(&f, "");
    struct config_route *only = add_route(&f, "only", 0, "x.com");
    add_rule(&f, only, "");
    compile(&f);
    assert_true(route_serves_models(f.table, SLICE("x.com")));
    assert_false(route_serves_models(f.table, SLICE("y.com")));
    only->kind = ROUTE_HTTP;
    compile(&f);
    assert_false(route_serves_models(f.table, SLICE("x.com")));
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons),
        cmocka_unit_test(shadows),
        cmocka_unit_test(shadows_of_less_specific_conditions),
        cmocka_unit_test(ties_are_told),
        cmocka_unit_test(no_ties_where_one_excludes_the_other),
        cmocka_unit_test(model_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
