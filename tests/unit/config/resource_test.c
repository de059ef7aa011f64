// Resources as a set: kinds, versions, names, Secrets, what is skipped; and that all findings come at once.
#include "loading.h"

static const struct resource *only(const struct loading *loading)
{
    assert_int_equal(loading->documents.count, 1);
    return loading->documents.items[0];
}

static void assert_slice(struct slice got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.ptr, expected, got.len);
}

#define GRANT(api, metadata)                                                                                           \
    "apiVersion: " api "\nkind: ReferenceGrant\nmetadata: {" metadata "}\nspec: {from: [{group: '', kind: A, "         \
    "namespace: n}], to: [{group: '', kind: Secret}]}\n"
#define SECRET(metadata, rest) "apiVersion: v1\nkind: Secret\nmetadata: {name: s" metadata "}\n" rest

static void test_frame(void **state)
{
    static const struct loading_case cases[] = {
        {GRANT("gateway.networking.k8s.io/v1beta1", "name: g"), NULL},
        {GRANT("gateway.networking.k8s.io/v1",
               "name: g, namespace: n, labels: {a: b}, uid: x, creationTimestamp: null"),
         NULL},
        {GRANT("gateway.networking.k8s.io/v2", "name: g"), "write gateway.networking.k8s.io/v1beta1"},
        {GRANT("foo.io/v1", "name: g"), "has no ReferenceGrant that is read here"},
        {GRANT("gateway.networking.k8s.io/v1", "namespace: n"), "name: Required value"},
        {GRANT("gateway.networking.k8s.io/v1", "name: G"), "name: \"G\" must be lower-case letters"},
        {GRANT("gateway.networking.k8s.io/v1", "name: g, namespace: a.b"), "namespace: \"a.b\" must be"},
        {GRANT("gateway.networking.k8s.io/v1", "name: g, creationTimestamp: now"), "must be a time"},
        {GRANT("gateway.networking.k8s.io/v1", "name: g, annotations: {a: 1}"), "put it in quotes"},
        {GRANT("gateway.networking.k8s.io/v1", "name: g") "status: {anything: [1]}\n", NULL},
        {GRANT("gateway.networking.k8s.io/v1", "name: g") "sepc: {}\n", "did you mean \"spec\"?"},
        {GRANT("gateway.networking.k8s.io/v1", "name: g") "Status: {}\n", "did you mean \"status\"?"},
        {GRANT("gateway.networking.k8s.io/v1", "name: g, annotations: {weir.dev/ignore: 'yes'}"),
         "weir.dev/ignore: must be \"true\" or \"false\""},
        {GRANT("gateway.networking.k8s.io/v1", "name: g, annotations: {weir.dev/ignore: 'false'}"), NULL},
        {GRANT("gateway.networking.k8s.io/v1", "name: g, annotations: {weir.dev/skip: 'true'}"),
         "unknown annotation \"weir.dev/skip\""},
        {"- a\n", "no resource: a document is a map"},
        {"a: b\n", "no resource: a document is a map"},
        {"kind: Gateway\n", "apiVersion: Required value"},
        {"apiVersion: v1\n", "kind: Required value"},
        {"apiVersion: v1\nkind: Secret\n", "metadata: Required value"},
        {"apiVersion: v1\nkind: Secret\nmetadata: []\n", "metadata: must be a map"},
        {"apiVersion: v1\nkind: Secert\nmetadata: {name: s}\n", "did you mean Secret?"},
        {"apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Foo\nmetadata: {name: s}\n", "unknown kind \"Foo\""},
        {"apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: s}\n",
         "SecurityPolicy is not supported"},
        {"apiVersion: gateway.envoyproxy.com/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: s}\n",
         "SecurityPolicy is not supported"},
        {"apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: MCPRoute\nmetadata: {name: s}\n",
         "MCPRoute is not supported"},
        {"apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: s}\n",
         "InferencePool is not"},
        {SECRET("", "") "---\n" SECRET(", namespace: default", ""), "defined twice: first in test.yaml, line 3"},
        {SECRET("", "") "---\n" SECRET(", namespace: other", ""), NULL},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_identity(void **state)
{
    struct loading loading;
    (void)state;
    loading_init(&loading,
                 GRANT("gateway.networking.k8s.io/v1beta1", "name: g, creationTimestamp: 2026-01-31T12:00:00Z"));
    const struct resource *grant = only(&loading);
    assert_int_equal(grant->kind, KIND_REFERENCE_GRANT);
    assert_slice(grant->group, "gateway.networking.k8s.io");
    assert_slice(grant->version, "v1beta1");
    assert_slice(grant->namespace_, "default");
    assert_int_equal(grant->mark.line, 3);
    assert_true(grant->has_created && grant->created_s == 1769860800);
    assert_ptr_equal(documents_find(&loading.documents, KIND_REFERENCE_GRANT, SLICE("default"), SLICE("g")), grant);
    assert_null(documents_find(&loading.documents, KIND_GATEWAY, SLICE("default"), SLICE("g")));
    assert_null(documents_find(&loading.documents, KIND_REFERENCE_GRANT, SLICE("other"), SLICE("g")));
    loading_fini(&loading);
}

static void test_skipped(void **state)
{
    struct loading loading;
    (void)state;
    loading_init(&loading, "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\n"
                           "metadata: {name: p, annotations: {weir.dev/ignore: 'true'}}\n---\n"
                           "apiVersion: apps/v1\nkind: Deployment\nspec: {x: \"${NOT_SET}\"}\n---\n"
                           "apiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: Service\n");
    assert_int_equal(loading.documents.count, 0);
    assert_int_equal(loading.findings.error_count, 0);
    assert_int_equal(loading.findings.count, 2);
    assert_non_null(loading_find(&loading, "SecurityPolicy skipped"));
    assert_non_null(loading_find(&loading, "kinds of other software are not read: Deployment (1), Service (2)"));
    assert_int_equal(loading.findings.items[1].level, FINDING_NOTE);
    loading_fini(&loading);
}

static void test_list(void **state)
{
    struct loading loading;
    (void)state;
    loading_init(&loading, "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n"
                           "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {ca.crt: pem}}\n");
    assert_int_equal(loading.documents.count, 2);
    assert_slice(resource_datum(loading.documents.items[1], SLICE("ca.crt"))->value, "pem");
    loading_fini(&loading);
}

// What the API server writes around resources of one kind: the items don't say what they are.
static void test_list_of_one_kind(void **state)
{
    static const struct loading_case cases[] = {
        {"apiVersion: v1\nkind: SecretList\nitems: {a: b}\n", "items: must be a list"},
        {"apiVersion: v1\nkind: SecretList\nitems: []\n", NULL},
        {"apiVersion: v1\nkind: SecretList\nmetadata: {resourceVersion: ''}\nitems: [{metadata: {nmae: a}}]\n",
         "did you mean \"name\"?"},
    };
    struct loading loading;
    (void)state;
    LOADING_CHECK(cases);
    loading_init(&loading, "apiVersion: v1\nkind: SecretList\nitems:\n- {metadata: {name: a}}\n"
                           "- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n");
    assert_int_equal(loading.findings.count, 0);
    assert_int_equal(loading.documents.items[0]->kind, KIND_SECRET);
    assert_int_equal(loading.documents.items[1]->kind, KIND_CONFIG_MAP);
    loading_fini(&loading);
}

// Others have a Gateway, too; a group that is nearly one of ours is a mistake all the same.
static void test_namesakes(void **state)
{
    static const struct loading_case cases[] = {
        {"apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\n", NULL},
        {"apiVersion: gateway.networking.k8s.oi/v1\nkind: Gateway\nmetadata: {name: g}\n",
         "write gateway.networking.k8s.io/v1"},
        {"apiVersion: v1\nkind: Gateway\nmetadata: {name: g}\n", "write gateway.networking.k8s.io/v1"},
        {"apiVersion: foo.io/v1\nkind: BackendSecurityPolicy\nmetadata: {name: g}\n",
         "write aigateway.envoyproxy.io/v1beta1"},
    };
    struct loading loading;
    (void)state;
    LOADING_CHECK(cases);
    loading_init(&loading, cases[0].yaml);
    assert_non_null(loading_find(&loading, "kinds of other software are not read: Gateway (1)"));
    loading_fini(&loading);
}

// ---- substitution -------------------------------------------------------------------------------------------------

#define MAP(value) "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata:\n  # ${COMMENT}\n  ca.crt: " value "\n"

static void test_substitution(void **state)
{
    static const char *const cases[][2] = {
        {"${A}", "alpha"},
        {"'${A}'", "alpha"},
        {"x${A}y${A}z", "xalphayalphaz"},
        {"${NOT_SET:=some text}", "some text"},
        {"${EMPTY:=d}", "d"},
        {"${NOT_SET:-d}", "d"},
        {"'${NOT_SET:=}'", ""},
        {"${EMPTY}", ""},
        {"${PORT}", "8080"},
        {"$A $ $$ $(A)", "$A $ $$ $(A)"},
        {"$${A}", "${A}"},
        {"a$${A}${A}", "a${A}alpha"},
        {"|\n    one ${A}\n    two", "one alpha\ntwo\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct loading loading;
        char yaml[512];
        snprintf(yaml, sizeof yaml, MAP("%s"), cases[i][0]);
        loading_init(&loading, yaml);
        loading_print(&loading);
        assert_int_equal(loading.findings.count, 0);
        const struct datum *datum = resource_datum(only(&loading), SLICE("ca.crt"));
        assert_slice(datum->value, cases[i][1]);
        loading_fini(&loading);
    }
}

static void test_bad_substitution(void **state)
{
    static const struct loading_case cases[] = {
        {MAP("'${NOT_SET}'"), "${NOT_SET}: the environment variable is not set"},
        {MAP("'${A'"), "the closing } is missing"},
        {MAP("'${A B}'"), "write ${NAME} or ${NAME:=default}"},
        {MAP("'${1A}'"), "write ${NAME} or ${NAME:=default}"},
        {MAP("'${}'"), "write ${NAME} or ${NAME:=default}"},
        {MAP("'${A:?x}'"), "write ${NAME} or ${NAME:=default}"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

// Texts that Weir does not read may hold any "${": scripts, dashboards, what kubectl keeps.
static void test_verbatim(void **state)
{
    static const struct loading_case cases[] = {
        {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {run.sh: 'echo ${NOT_SET} ${1:-x}'}\n", NULL},
        {GRANT("gateway.networking.k8s.io/v1",
               "name: g, annotations: {kubectl.kubernetes.io/last-applied-configuration: '${NOT_SET}'}"),
         NULL},
        {GRANT("gateway.networking.k8s.io/v1", "name: g, managedFields: [{a: '${NOT_SET}'}]"), NULL},
        {GRANT("gateway.networking.k8s.io/v1", "name: g") "status: {a: '${NOT_SET}'}\n", NULL},
        {GRANT("gateway.networking.k8s.io/v1", "name: '${A}'"), NULL},
        {GRANT("gateway.networking.k8s.io/v1", "name: '${NOT_SET}'"), "is not set"},
        {GRANT("gateway.networking.k8s.io/v1", "name: g, annotations: {a: '${NOT_SET}'}"), "is not set"},
        {SECRET("", "stringData: {status: '${NOT_SET}'}\n"), "is not set"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

// A variable that is not set is one finding, not another about the empty text that is left.
static void test_unset_is_said_once(void **state)
{
    struct loading loading;
    (void)state;
    loading_init(&loading, GRANT("gateway.networking.k8s.io/v1", "name: '${NOT_SET}'"));
    assert_int_equal(loading.findings.count, 1);
    loading_fini(&loading);
}

#define GATEWAY(port)                                                                                                  \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  gatewayClassName: c\n"     \
    "  listeners:\n  - name: l\n    protocol: HTTP\n    port: " port "\n"

// A plain scalar takes its new text's type; what came from the environment is never shown.
static void test_substituted_types(void **state)
{
    static const struct loading_case cases[] = {
        {GATEWAY("${PORT}"), NULL},
        {GATEWAY("${NOT_SET:=1975}"), NULL},
        {GATEWAY("\"${PORT}\""), "port: must be a whole number, not a text"},
        {GATEWAY("${TOKEN}"), "port: must be a whole number"},
        {MAP("${PORT}"), NULL},
    };
    struct loading loading;
    (void)state;
    LOADING_CHECK(cases);
    loading_init(&loading, GATEWAY("80\n    hostname: ${TOKEN}_x"));
    assert_non_null(loading_find(&loading, "hostname: \"(hidden)\" must be"));
    assert_null(loading_find(&loading, "sk-secret-1"));
    loading_fini(&loading);
}

// ---- Secrets ------------------------------------------------------------------------------------------------------

static void test_secret_data(void **state)
{
    struct loading loading;
    (void)state;
    loading_init(&loading,
                 SECRET("", "type: Opaque\ndata: {a: aGk=, b: aGk, c: aGVsbG8h, d: ''}\nstringData: {c: over}\n"));
    const struct resource *secret = only(&loading);
    assert_slice(resource_datum(secret, SLICE("a"))->value, "hi");
    assert_slice(resource_datum(secret, SLICE("c"))->value, "over");
    assert_slice(resource_datum(secret, SLICE("d"))->value, "");
    assert_null(resource_datum(secret, SLICE("b")));
    assert_int_equal(loading.findings.error_count, 1);
    assert_non_null(loading_find(&loading, "\"b\" is not base64"));
    assert_true(secret->has_errors);
    loading_fini(&loading);
}

#define NOTE(kind, key, value) "substitution.aigw.run/" kind "/" key ": " value

static void test_secret_annotations(void **state)
{
    struct loading loading;
    (void)state;
    loading_init(
        &loading,
        SECRET(", annotations: {" NOTE("env", "a", "TOKEN") ", " NOTE("file", "b", "~/key") ", " NOTE(
                   "env", "c", "NOT_SET") ", " NOTE("file", "d", "/none") ", " NOTE("file", "a", "/home/u/key") "}",
               "stringData: {a: x, c: literal}\n"));
    const struct resource *secret = only(&loading);
    assert_slice(resource_datum(secret, SLICE("a"))->value, "sk-secret-1");
    assert_slice(resource_datum(secret, SLICE("b"))->value, "from-file");
    assert_slice(resource_datum(secret, SLICE("c"))->value, "literal");
    assert_int_equal(loading.findings.count, 2);
    assert_int_equal(loading_find(&loading, "\"c\": the environment variable is not set")->level, FINDING_WARNING);
    assert_int_equal(loading_find(&loading, "\"d\": the file can't be read")->level, FINDING_ERROR);
    assert_null(loading_find(&loading, "sk-secret-1"));
    loading_fini(&loading);
}

// ---- all at once --------------------------------------------------------------------------------------------------

static const char ten_mistakes[] = "apiVersion: gateway.networking.k8s.io/v1\n"
                                   "kind: Gateway\n"
                                   "metadata: {name: g}\n"
                                   "spec:\n"
                                   "  gatewayClassName: c\n"
                                   "  listeners:\n"
                                   "  - {name: a, protocol: HTTPS, port: 443}\n" // 7:5
                                   "  - {name: b, protocol: HTTP, port: 0}\n"    // 8:37
                                   "---\n"
                                   "apiVersion: aigateway.envoyproxy.io/v1beta1\n"
                                   "kind: AIGatewayRoute\n"
                                   "metadata: {name: r, namespase: n}\n" // 12:21
                                   "spec:\n"
                                   "  rules:\n"
                                   "  - name: x\n"
                                   "    macthes: []\n"                                   // 16:5
                                   "  - name: x\n"                                       // 17:11
                                   "    backendRefs: [{name: b, kind: InferencePool}]\n" // 18:19
                                   "---\n"
                                   "foo: [1\n" // 21:1
                                   "---\n"
                                   "apiVersion: v1\n"
                                   "kind: Secret\n"
                                   "metadata: {name: s}\n"
                                   "data: {k: '***'}\n" // 25:11
                                   "---\n"
                                   "apiVersion: aigateway.envoyproxy.io/v1beta1\n"
                                   "kind: AIServiceBackend\n"
                                   "metadata: {name: b}\n"
                                   "spec: {schema: {name: Cohere}}\n" // 30:7 and 30:23
                                   "\n";

static void test_ten_mistakes(void **state)
{
    static const uint32_t places[][2] = {{7, 5},   {8, 37}, {12, 21}, {16, 5}, {17, 11},
                                         {18, 19}, {21, 1}, {25, 11}, {30, 7}, {30, 23}};
    struct loading loading;
    (void)state;
    loading_init(&loading, ten_mistakes);
    if (loading.findings.count != 10)
        loading_print(&loading);
    assert_int_equal(loading.findings.count, 10);
    assert_int_equal(loading.findings.error_count, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_slice(loading.findings.items[i].mark.file, "test.yaml");
        assert_int_equal(loading.findings.items[i].mark.line, places[i][0]);
        assert_int_equal(loading.findings.items[i].mark.column, places[i][1]);
    }
    assert_true(loading.documents.is_incomplete);
    loading_fini(&loading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_skipped),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_of_one_kind),
        cmocka_unit_test(test_namesakes),
        cmocka_unit_test(test_substitution),
        cmocka_unit_test(test_bad_substitution),
        cmocka_unit_test(test_verbatim),
        cmocka_unit_test(test_unset_is_said_once),
        cmocka_unit_test(test_substituted_types),
        cmocka_unit_test(test_secret_data),
        cmocka_unit_test(test_secret_annotations),
        cmocka_unit_test(test_ten_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
