// Loading as a whole: a good configuration, a bad one, and what outlives it.
#include "loading.h"

#include <stdlib.h>
#include <string.h>

static const char good[] =
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: Gateway\n"
    "metadata: {name: g}\n"
    "spec: {gatewayClassName: c, listeners: [{name: l, protocol: HTTP, port: 1975}]}\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: GatewayClass\n"
    "metadata: {name: c}\n"
    "spec: {controllerName: a.io/b}\n"
    "---\n"
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"
    "kind: AIGatewayRoute\n"
    "metadata: {name: r}\n"
    "spec: {parentRefs: [{name: g}], rules: [{backendRefs: [{name: b}]}]}\n"
    "---\n"
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"
    "kind: AIServiceBackend\n"
    "metadata: {name: b}\n"
    "spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: b}}\n"
    "---\n"
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"
    "kind: Backend\n"
    "metadata: {name: b}\n"
    "spec: {endpoints: [{ip: {address: 127.0.0.1, port: 1976}}]}\n";

static const char policy[] = "apiVersion: aigateway.envoyproxy.io/v1beta1\n"
                             "kind: BackendSecurityPolicy\n"
                             "metadata: {name: p}\n"
                             "spec: {type: APIKey, apiKey: {secretRef: {name: s}},\n"
                             "  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: b}]}\n"
                             "---\n"
                             "apiVersion: v1\n"
                             "kind: Secret\n"
                             "metadata: {name: s}\n"
                             "stringData: {apiKey: \"${TOKEN}\"}\n";

struct set {
    struct arena arena;
    struct findings findings;
};

static struct config *load(struct set *set, const char *first, const char *second)
{
    // The files' text and names go before the findings are read.
    char *texts[2] = {strdup(first), strdup(second)};
    char *names[2] = {strdup("one.yaml"), strdup("two.yaml")};
    struct config_file files[2];
    for (size_t i = 0; i < 2; i++)
        files[i] = (struct config_file){slice_from_cstr(names[i]), slice_from_cstr(texts[i])};
    arena_init(&set->arena, 4096, 1 << 20);
    findings_init(&set->findings, &set->arena);
    struct config *config = config_load(files, 2, &loading_env, &set->findings);
    for (size_t i = 0; i < 2; i++) {
        free(texts[i]);
        free(names[i]);
    }
    return config;
}

static void test_good(void **state)
{
    struct set set;
    (void)state;
    struct config *config = load(&set, good, policy);
    for (size_t i = 0; i < set.findings.count; i++)
        print_message(SLICE_FMT "\n", SLICE_ARG(set.findings.items[i].text));
    assert_non_null(config);
    assert_int_equal(set.findings.error_count, 0);
    assert_int_equal(config->listener_count, 1);
    assert_int_equal(config->listeners[0].route_count, 1);
    assert_int_equal(config->backend_count, 1);
    assert_true(slice_eq(secret_reveal(config->backends[0].credential.key), SLICE("sk-secret-1")));
    assert_true(slice_eq(config->backends[0].mark.file, SLICE("one.yaml")));
    config_free(config);
    config_free(NULL);
    arena_fini(&set.arena);
}

static void test_findings_outlive_the_configuration(void **state)
{
    struct set set;
    (void)state;
    assert_null(load(&set, good, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndate: {}\n"));
    assert_int_equal(set.findings.error_count, 1);
    const struct finding *last = &set.findings.items[set.findings.count - 1];
    assert_true(slice_eq(last->mark.file, SLICE("two.yaml")));
    assert_int_equal(last->mark.line, 4);
    assert_int_equal(last->mark.column, 1);
    arena_fini(&set.arena);
}

static void test_nothing(void **state)
{
    struct set set;
    (void)state;
    assert_null(load(&set, "", "# nothing\n"));
    assert_true(set.findings.error_count > 0);
    arena_fini(&set.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_findings_outlive_the_configuration),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
