// AIGatewayRoute: each rule of the CRD both ways.
#include "loading.h"

#define HEAD "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\nmetadata: {name: r}\nspec:\n"
#define RULES(rules) HEAD "  rules:\n" rules
#define REF(ref) RULES("  - backendRefs: [" ref "]\n")

static void test_route(void **state)
{
    static const struct loading_case cases[] = {
        {RULES("  - backendRefs: [{name: b}]\n"), NULL},
        {HEAD "  parentRefs: []\n", "rules: Required value"},
        {HEAD "  parentRefs: [{name: g}]\n  rules: []\n", NULL},
        {HEAD "  parentRefs: [{name: g, kind: Service}]\n  rules: []\n", "only Gateway is supported"},
        {HEAD "  parentRefs: [{name: g, group: foo.io}]\n  rules: []\n", "only Gateway is supported"},
        {HEAD "  parentRefs: [{name: g, port: 70000}]\n  rules: []\n", "port: must be 1 to 65535"},
        {HEAD "  hostnames: ['*.example.com', a.b]\n  rules: []\n", NULL},
        {HEAD "  hostnames: [Example.com]\n  rules: []\n", "must be a lower-case host name"},
        {HEAD "  hostnames: ['a.*.b']\n  rules: []\n", "must be a lower-case host name"},
        {HEAD "  hostnames: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]\n  rules: []\n", "Too many: 17: must have at most 16"},
        {HEAD "  rules: {}\n", "rules: must be a list, not a map"},
        {HEAD "  rules: []\n  targetRefs: []\n", "name the Gateways in parentRefs"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_rules(void **state)
{
    static const struct loading_case cases[] = {
        {RULES("  - name: a\n  - name: b\n  - {}\n  - {}\n"), NULL},
        {RULES("  - name: a\n  - name: a\n"), "rule name must be unique within the route"},
        {RULES("  - name: route-not-found\n"), "rule name route-not-found is reserved"},
        {RULES("  - name: A_b\n"), "name: \"A_b\" must be"},
        {RULES("  - timeouts: {request: 2s, backendRequest: 2s}\n"), NULL},
        {RULES("  - timeouts: {backendRequest: 2s}\n"), NULL},
        {RULES("  - timeouts: {request: 0s, backendRequest: 2s}\n"), NULL},
        {RULES("  - timeouts: {request: 1s, backendRequest: 2s}\n"),
         "backendRequest timeout cannot be longer than request timeout"},
        {RULES("  - timeouts: {request: 1 s}\n"), "request: \"1 s\" must be a duration"},
        {RULES("  - streamIdleTimeout: 90s\n    modelsOwnedBy: me\n    modelsCreatedAt: 2026-01-01T00:00:00Z\n"), NULL},
        {RULES("  - modelsCreatedAt: yesterday\n"), "modelsCreatedAt: \"yesterday\" must be a time"},
        {RULES("  - modelsOwnedBy: 5\n"), "modelsOwnedBy: must be a string, not a number: put it in quotes"},
        {RULES("  - filters: []\n"), "unknown field \"filters\""},
        {RULES("  -\n"), "rules: an entry is empty"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_rule_counts(void **state)
{
    char yaml[8192];
    (void)state;
    for (size_t count = 128; count <= 129; count++) {
        struct loading loading;
        size_t len = (size_t)snprintf(yaml, sizeof yaml, "%s", RULES(""));
        for (size_t i = 0; i < count; i++)
            len += (size_t)snprintf(yaml + len, sizeof yaml - len, "  - {}\n");
        loading_init(&loading, yaml);
        assert_int_equal(loading.findings.error_count, count - 128);
        if (count == 129)
            assert_non_null(loading_find(&loading, "Too many: 129: must have at most 128 items"));
        loading_fini(&loading);
    }
}

static void test_matches(void **state)
{
    static const struct loading_case cases[] = {
        {RULES(
             "  - matches: [{headers: [{name: a, value: b}, {type: RegularExpression, name: c, value: 'd.*'}]}, {}]\n"),
         NULL},
        {RULES("  - matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]\n"), "Duplicate value: \"a\""},
        {RULES("  - matches: [{headers: [{type: Regex, name: a, value: b}]}]\n"),
         "is not one of Exact, RegularExpression"},
        {RULES("  - matches: [{headers: [{name: a}]}]\n"), "value: Required value"},
        {RULES("  - matches: [{headers: [{name: a, value: ''}]}]\n"), "value: must not be empty"},
        {RULES("  - matches: [{headers: [{name: 'a b', value: c}]}]\n"), "must be a header name"},
        {RULES("  - matches: [{path: {value: /}}]\n"), "unknown field \"path\""},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_backend_refs(void **state)
{
    static const struct loading_case cases[] = {
        {REF("{name: b, namespace: other, weight: 0, priority: 4294967295, modelNameOverride: m}"), NULL},
        {REF("{name: b, namespace: ''}"), NULL},
        {REF("{weight: 1}"), "name: Required value"},
        {REF("{name: b, weight: -1}"), "weight: must be 0 to 2147483647"},
        {REF("{name: b, weight: 1.5}"), "weight: must be a whole number"},
        {REF("{name: b, priority: 4294967296}"), "priority: must be 0 to 4294967295"},
        {REF("{name: b, kind: InferencePool}"), "group and kind must be specified together"},
        {REF("{name: b, group: inference.networking.k8s.io}"), "group and kind must be specified together"},
        {REF("{name: b, kind: Service, group: ''}"),
         "only InferencePool from inference.networking.k8s.io group is supported"},
        {REF("{name: b, kind: InferencePool, group: inference.networking.k8s.io}"), "InferencePool is not done yet"},
        {REF("{name: b, kind: InferencePool, group: inference.networking.k8s.io}, {name: c}"),
         "cannot mix InferencePool and AIServiceBackend references in the same rule"},
        {REF("{name: b, kind: InferencePool, group: inference.networking.k8s.io}, "
             "{name: c, kind: InferencePool, group: inference.networking.k8s.io}"),
         "only one InferencePool backend is allowed per rule"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_mutations(void **state)
{
    static const struct loading_case cases[] = {
        {REF("{name: b, headerMutation: {set: [{name: X-A, value: b}], remove: [c, ':d']}, "
             "bodyMutation: {set: [{path: a.b, value: '1'}], remove: [c]}}"),
         NULL},
        {REF("{name: b, headerMutation: {set: [{name: ':path', value: b}]}}"), NULL}, // left alone, with a warning
        {REF("{name: b, headerMutation: {set: [{name: ':a', value: b}, {name: ': a', value: b}]}}"),
         "must be a header name"},
        {REF("{name: b, headerMutation: {set: [{name: a, value: ''}]}}"), "value: must not be empty"},
        {REF("{name: b, headerMutation: {set: [{name: a, value: \"b\\nc\"}]}}"), "without control bytes"},
        {REF("{name: b, headerMutation: {set: [{name: a, value: ' b'}]}}"), "without blanks at the ends"},
        {REF("{name: b, headerMutation: {set: [{name: a, value: b}, {name: a, value: c}]}}"), "Duplicate value: \"a\""},
        {REF("{name: b, headerMutation: {remove: [a, a]}}"), "Duplicate value: \"a\""},
        {REF("{name: b, headerMutation: {remove: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]}}"), "Too many: 17"},
        {REF("{name: b, bodyMutation: {set: [{path: '', value: '1'}]}}"), "path: must not be empty"},
        {REF("{name: b, bodyMutation: {set: [{path: a, value: '1'}, {path: a, value: '2'}]}}"),
         "Duplicate value: \"a\""},
        {REF("{name: b, bodyMutation: {set: [{path: a, value: 1}]}}"), "put it in quotes"},
        {REF("{name: b, bodyMutation: {set: [{path: a}]}}"), "value: Required value"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_costs(void **state)
{
    static const struct loading_case cases[] = {
        {RULES("  - {}\n") "  llmRequestCosts: [{metadataKey: a, type: TotalToken}, {metadataKey: b, type: CEL, cel: "
                           "'1u'}]\n",
         NULL},
        {RULES("  - {}\n") "  llmRequestCosts: [{type: TotalToken}]\n", "metadataKey: Required value"},
        {RULES("  - {}\n") "  llmRequestCosts: [{metadataKey: a, type: Tokens}]\n", "\"Tokens\" is not one of"},
        {RULES("  - {}\n") "  llmRequestCosts: [{metadataKey: a, type: CEL}]\n", "needs its formula in cel"},
        {RULES("  - {}\n") "  llmRequestCosts: [{metadataKey: a, type: TotalToken, cel: '1u'}]\n",
         "only a cost of type CEL"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_defaults(void **state)
{
    struct loading loading;
    (void)state;
    loading_init(&loading, HEAD "  parentRefs: [{name: g}]\n  rules:\n  - matches: [{headers: [{name: a, value: b}]}]\n"
                                "    backendRefs: [{name: b, weight: null}]\n");
    const struct node *spec = loading.documents.items[0]->spec;
    const struct node *rule = node_get(spec, SLICE("rules"))->first;
    const struct node *ref = node_get(rule, SLICE("backendRefs"))->first;
    const struct node *match = node_get(node_get(rule, SLICE("matches"))->first, SLICE("headers"))->first;
    assert_int_equal(node_get_i64(ref, SLICE("weight"), -1), 1);
    assert_true(node_get(ref, SLICE("weight"))->is_default);
    assert_null(node_get(ref, SLICE("priority")));
    assert_true(slice_eq(node_get_text(match, SLICE("type")), SLICE("Exact")));
    assert_true(slice_eq(node_get_text(rule, SLICE("modelsOwnedBy")), SLICE("Envoy AI Gateway")));
    assert_true(slice_eq(node_get_text(node_get(spec, SLICE("parentRefs"))->first, SLICE("kind")), SLICE("Gateway")));
    loading_fini(&loading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route),   cmocka_unit_test(test_rules),        cmocka_unit_test(test_rule_counts),
        cmocka_unit_test(test_matches), cmocka_unit_test(test_backend_refs), cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_costs),   cmocka_unit_test(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
