// `weir explain`, `weir check` and the configuration made from the environment.
#include "run_cli.h"

#include "cli/load.h"

#define QUICKSTART "examples/quickstart.yaml"

static void test_the_winner_its_reason_and_the_attempt(void **state)
{
    (void)state;
    struct said said = RUN("explain", QUICKSTART, "-d", "{\"model\":\"demo\"}", "-H", "x-mine: 1");
    assert_string_equal(said.err, "");
    assert_int_equal(said.status, CLI_OK);
    assert_says(said.out, "x-ai-eg-model           demo");
    assert_says(said.out, "wins   default/quickstart/0");
    assert_says(said.out, "beaten default/quickstart/1");
    assert_says(said.out, "to default/mock");
    assert_says(said.out, "POST /v1/chat/completions");
    assert_says(said.out, "  x-mine: 1");
    assert_says(said.out, "{\"model\":\"demo-small\"}");
    forget(&said);
}

static void test_secrets_are_masked(void **state)
{
    (void)state;
    const char *const forms[] = {"-X", "--json"};
    for (size_t i = 0; i < 2; i++) {
        struct said said =
            RUN("explain", QUICKSTART, "-d", "{\"model\":\"demo\"}", "-H", "authorization: Bearer clientkey", "-H",
                "cookie: a=clientcookie", forms[i], i == 0 ? "POST" : "--json");
        assert_int_equal(said.status, CLI_OK);
        assert_says(said.out, "Bearer ***");
        assert_null(strstr(said.out, "not-a-real-key"));
        assert_null(strstr(said.out, "clientkey"));
        assert_null(strstr(said.out, "clientcookie"));
        forget(&said);
    }
}

// What a configuration takes out of the environment is not shown either: here from a file written for the purpose.
static void test_values_of_the_environment_are_masked(void **state)
{
    (void)state;
    static const char text[] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\n"
        "spec: {gatewayClassName: c, listeners: [{name: l, protocol: HTTP, port: 80}]}\n---\n"
        "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\nmetadata: {name: r}\nspec:\n"
        "  parentRefs: [{name: g}]\n  rules:\n"
        "    - matches: [{headers: [{name: x-ai-eg-model, value: '${M:=demo}'}, {name: x-who, value: "
        "'${S:=hushed}'}]}]\n"
        "      backendRefs:\n        - name: b\n"
        "          headerMutation: {set: [{name: x-mine, value: 'is ${S:=hushed}'}, {name: x-open, value: open}]}\n"
        "          bodyMutation: {set: [{path: a.b, value: '${S:=hushed}'}]}\n---\n"
        "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIServiceBackend\nmetadata: {name: b}\n"
        "spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: b}}\n---\n"
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: b}\n"
        "spec: {endpoints: [{ip: {address: 127.0.0.1, port: 9}}]}\n";
    char path[] = "/tmp/weir-explain-XXXXXX";
    int file = mkstemp(path);
    assert_int_equal(write(file, text, sizeof text - 1), sizeof text - 1);
    close(file);
    const char *const forms[] = {"-X", "--json"};
    for (size_t i = 0; i < 2; i++) {
        struct said said = RUN("explain", path, "-d", "{\"model\":\"demo\", \"a\": {}}", "-H", "x-who: other", forms[i],
                               i == 0 ? "POST" : "--json");
        assert_int_equal(said.status, CLI_OK);
        assert_says(said.out, "(hidden)");
        assert_null(strstr(said.out, "hushed"));
        forget(&said);
        said = RUN("explain", path, "-d", "{\"model\":\"demo\", \"a\": {}}", "-H", "x-who: hushed", forms[i],
                   i == 0 ? "POST" : "--json");
        assert_says(said.out, i == 0 ? "x-mine: ***" : "[\"x-mine\",\"***\"]");
        assert_says(said.out, i == 0 ? "x-open: open" : "[\"x-open\",\"open\"]");
        assert_says(said.out, i == 0 ? "\"a\": {\"b\":\"***\"}" : "\\\"b\\\":\\\"***\\\"");
        assert_says(said.out, i == 0 ? "host: 127.0.0.1:9" : "\"authority\":\"127.0.0.1:9\"");
        assert_says(said.out, "demo");
        forget(&said);
    }
    unlink(path);
}

static void test_a_request_that_weir_answers_itself(void **state)
{
    (void)state;
    struct said said = RUN("explain", QUICKSTART, "-d", "{\"model\":7}");
    assert_int_equal(said.status, CLI_OK);
    assert_says(said.out, "Weir answers itself");
    assert_says(said.out, "  400\n");
    forget(&said);
    said = RUN("explain", QUICKSTART, "--path", "/v1/models");
    assert_says(said.out, "\"id\":\"demo\"");
    forget(&said);
}

static void test_explain_refuses_what_it_cannot_read(void **state)
{
    (void)state;
    struct said said = RUN("explain", "/no/such/file.yaml");
    assert_int_equal(said.status, CLI_USAGE);
    assert_says(said.err, "/no/such/file.yaml: error:");
    forget(&said);
    said = RUN("explain", QUICKSTART, "-d", "@/no/such/body");
    assert_int_equal(said.status, CLI_USAGE);
    forget(&said);
    said = RUN("explain", QUICKSTART, "--listener", "a/b/c");
    assert_int_equal(said.status, CLI_USAGE);
    assert_says(said.err, "no such listener");
    forget(&said);
}

static void test_check_prints_places_and_a_summary(void **state)
{
    (void)state;
    struct said said = RUN("check", QUICKSTART);
    assert_int_equal(said.status, CLI_OK);
    assert_says(said.err, "0 errors, 0 warnings\n");
    forget(&said);
    const char *path = write_file("check.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {nam: x}\n");
    said = RUN("check", path);
    assert_int_equal(said.status, CLI_USAGE);
    assert_says(said.out, "check.yaml:3:");
    assert_says(said.out, " error: ");
    forget(&said);
    said = RUN("check", "--json", path);
    assert_int_equal(said.status, CLI_USAGE);
    assert_says(said.out, "\"level\":\"error\"");
    forget(&said);
    remove(path);
}

// ---- the environment ------------------------------------------------------------------------------------------------

static const char *base_url;
static const char *set_key;

static const char *openai_environment(const char *name)
{
    if (strcmp(name, set_key) == 0)
        return "sk-very-secret";
    if (strcmp(name, "OPENAI_BASE_URL") == 0)
        return base_url;
    if (strcmp(name, "OPENAI_ORG_ID") == 0)
        return "org";
    if (strcmp(name, "OPENAI_PROJECT_ID") == 0)
        return "project";
    return NULL;
}

static struct snapshot *load_environment_configuration(struct said *said)
{
    struct arena arena;
    struct findings findings;
    struct sources sources = {0};
    struct cli cli = {.environment = openai_environment};
    struct snapshot *snapshot = NULL;
    cli.out = cli.err = open_memstream(&said->err, &said->err_len);
    arena_init(&arena, 4096, 1 << 20);
    findings_init(&findings, &arena);
    struct config_env env = load_environment(&cli);
    if (load_from_environment(&cli, &arena, &sources)) {
        assert_int_equal(slice_find_slice(sources.items[0].text, SLICE("sk-very-secret")), SLICE_NOT_FOUND);
        snapshot = load_snapshot(&sources, &env, 1, 1, &findings);
    }
    findings_print(cli.err, &findings, false);
    fclose(cli.err);
    arena_fini(&arena);
    return snapshot;
}

static void test_the_environment_makes_a_valid_configuration(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *prefix;
        uint16_t port;
        bool is_tls, is_ip;
    } cases[] = {
        {NULL, "api.openai.com", "v1", 443, true, false},
        {"http://localhost:8000/v1", "localhost", "v1", 8000, false, false},
        {"https://api.router.tetrate.ai/v1/", "api.router.tetrate.ai", "v1", 443, true, false},
        {"http://127.0.0.1:11434/openai/v1", "127.0.0.1", "openai/v1", 11434, false, true},
        {"http://[::1]:8000", "::1", "", 8000, false, true},
    };
    set_key = "OPENAI_API_KEY";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct said said = {0};
        base_url = cases[i].url;
        struct snapshot *snapshot = load_environment_configuration(&said);
        if (!snapshot)
            fail_msg("%s: %s", cases[i].url, said.err);
        const struct config_backend *backend = &snapshot_config(snapshot)->backends[0];
        assert_true(slice_eq(backend->endpoints[0].host, slice_from_cstr(cases[i].host)));
        assert_int_equal(backend->endpoints[0].port, cases[i].port);
        assert_int_equal(backend->endpoints[0].is_ip, cases[i].is_ip);
        assert_int_equal(backend->tls.is_enabled, cases[i].is_tls);
        assert_true(slice_eq(backend->prefix, slice_from_cstr(cases[i].prefix)));
        assert_int_equal(backend->header_mutation.set_count, 2);
        assert_true(slice_eq(secret_reveal(backend->credential.key), SLICE("sk-very-secret")));
        assert_int_equal(snapshot_config(snapshot)->listeners[0].port, 1975);
        snapshot_unref(snapshot);
        forget(&said);
    }
}

static void test_other_providers_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const keys[] = {"AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY", "NOTHING"};
    static const char *const says[] = {"AZURE_OPENAI_API_KEY is set, but", "ANTHROPIC_API_KEY is set, but",
                                       "set OPENAI_API_KEY"};
    for (size_t i = 0; i < 3; i++) {
        set_key = keys[i];
        test_environment = openai_environment;
        struct said said = RUN("run");
        test_environment = NULL;
        assert_int_equal(said.status, CLI_USAGE);
        assert_says(said.err, says[i]);
        forget(&said);
    }
    set_key = "OPENAI_API_KEY";
    static const char *const urls[] = {"ftp://x",          "http://",        "http://a b",
                                       "http://u:p@host/", "http://x:99999", "http://x/\"y"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        base_url = urls[i];
        struct said said = {0};
        assert_null(load_environment_configuration(&said));
        assert_says(said.err, "OPENAI_BASE_URL");
        forget(&said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_winner_its_reason_and_the_attempt),
        cmocka_unit_test(test_secrets_are_masked),
        cmocka_unit_test(test_values_of_the_environment_are_masked),
        cmocka_unit_test(test_a_request_that_weir_answers_itself),
        cmocka_unit_test(test_explain_refuses_what_it_cannot_read),
        cmocka_unit_test(test_check_prints_places_and_a_summary),
        cmocka_unit_test(test_the_environment_makes_a_valid_configuration),
        cmocka_unit_test(test_other_providers_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
