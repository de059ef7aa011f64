// From resources to what they mean together: references, grants, policies, defaults.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config.h"

#include <stdio.h>

struct world {
    struct arena arena;
    struct findings findings;
    struct config *config; // NULL: refused
};

static bool no_variable(void *context, struct slice name, struct slice *ret_value)
{
    (void)context;
    (void)name;
    (void)ret_value;
    return false;
}

static bool no_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context;
    (void)path;
    (void)arena;
    (void)ret_text;
    return false;
}

// Loads the texts as one file each: "1.yaml", "2.yaml", ...
static void load(struct world *world, size_t count, const char *const *texts)
{
    static const struct slice names[] = {SLICE_INIT("1.yaml"), SLICE_INIT("2.yaml"), SLICE_INIT("3.yaml"),
                                         SLICE_INIT("4.yaml"), SLICE_INIT("5.yaml")};
    static const struct config_env env = {no_variable, no_file, NULL};
    struct config_file files[5];
    assert_true(count <= 5);
    for (size_t i = 0; i < count; i++)
        files[i] = (struct config_file){names[i], slice_from_cstr(texts[i])};
    arena_init(&world->arena, 4096, SIZE_MAX);
    findings_init(&world->findings, &world->arena);
    world->config = config_load(files, count, &env, &world->findings);
}

#define LOAD(world, ...)                                                                                               \
    load((world), sizeof(const char *const[]){__VA_ARGS__} / sizeof(char *), (const char *const[]){__VA_ARGS__})

static void unload(struct world *world)
{
    config_free(world->config);
    arena_fini(&world->arena);
}

static void print_findings(const struct world *world)
{
    for (size_t i = 0; i < world->findings.count; i++) {
        const struct finding *finding = &world->findings.items[i];
        print_message(SLICE_FMT ":%u:%u: " SLICE_FMT "\n", SLICE_ARG(finding->mark.file), finding->mark.line,
                      finding->mark.column, SLICE_ARG(finding->text));
    }
}

static void assert_loaded(const struct world *world)
{
    if (!world->config)
        print_findings(world);
    assert_non_null(world->config);
}

static size_t count_findings(const struct world *world, enum finding_level level, const char *file, uint32_t line,
                             const char *part)
{
    size_t count = 0;
    for (size_t i = 0; i < world->findings.count; i++) {
        const struct finding *finding = &world->findings.items[i];
        count += finding->level == level && finding->mark.line == line &&
                 slice_eq(finding->mark.file, slice_from_cstr(file)) &&
                 slice_find_slice(finding->text, slice_from_cstr(part)) != SLICE_NOT_FOUND;
    }
    return count;
}

// Exactly one finding of this level there that says so.
static void assert_finding(const struct world *world, enum finding_level level, const char *file, uint32_t line,
                           const char *part)
{
    size_t count = count_findings(world, level, file, line, part);
    if (count != 1) {
        print_message("wanted: %s:%u: %s\n", file, line, part);
        print_findings(world);
    }
    assert_int_equal(count, 1);
}

static void assert_text(struct slice text, const char *expected)
{
    if (!slice_eq(text, slice_from_cstr(expected)))
        print_message("\"" SLICE_FMT "\" is not \"%s\"\n", SLICE_ARG(text), expected);
    assert_true(slice_eq(text, slice_from_cstr(expected)));
}

// ---- texts ----------------------------------------------------------------------------------------------------

#define GATEWAY                                                                                                        \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                                       \
    "kind: GatewayClass\n"                                                                                             \
    "metadata: {name: weir}\n"                                                                                         \
    "spec: {controllerName: x/y}\n"                                                                                    \
    "---\n"                                                                                                            \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                                       \
    "kind: Gateway\n"                                                                                                  \
    "metadata: {name: gw, namespace: app}\n"                                                                           \
    "spec:\n"                                                                                                          \
    "  gatewayClassName: weir\n"                                                                                       \
    "  listeners:\n"                                                                                                   \
    "    - {name: all, protocol: HTTP, port: 80}\n"

#define ROUTE                                                                                                          \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"                                                                    \
    "kind: AIGatewayRoute\n"                                                                                           \
    "metadata: {name: r, namespace: app}\n"                                                                            \
    "spec:\n"                                                                                                          \
    "  parentRefs: [{name: gw}]\n"                                                                                     \
    "  rules:\n"                                                                                                       \
    "    - name: first\n"                                                                                              \
    "      matches: [{headers: [{name: x-ai-eg-model, value: m}]}]\n"                                                  \
    "      backendRefs: [{name: b, modelNameOverride: o, weight: 0}, {name: b, priority: 3}]\n"                        \
    "    - backendRefs: [{name: b}]\n"

#define BACKEND                                                                                                        \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"                                                                    \
    "kind: AIServiceBackend\n"                                                                                         \
    "metadata: {name: b, namespace: app}\n"                                                                            \
    "spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: k}}\n"             \
    "---\n"                                                                                                            \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"                                                                     \
    "kind: Backend\n"                                                                                                  \
    "metadata: {name: k, namespace: app}\n"                                                                            \
    "spec: {endpoints: [{ip: {address: 127.0.0.1, port: 8000}}]}\n"

// ---- the whole ------------------------------------------------------------------------------------------------

static void what_a_route_means(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND);
    assert_loaded(&w);
    assert_int_equal(w.config->listener_count, 1);
    assert_int_equal(w.config->backend_count, 1);
    const struct config_listener *listener = &w.config->listeners[0];
    assert_int_equal(listener->port, 80);
    assert_false(listener->has_logs);
    assert_int_equal(listener->client.json_body_bytes, 50 << 20);
    assert_int_equal(listener->client.multipart_body_bytes, 256 << 20);
    assert_int_equal(listener->client.header_bytes, 60 << 10);
    assert_int_equal(listener->client.stream_idle_ms, 300000);
    assert_int_equal(listener->route_count, 1);
    const struct config_route *route = listener->routes[0];
    assert_int_equal(route->kind, ROUTE_AI);
    assert_false(route->has_created);
    assert_int_equal(route->rule_count, 2);
    const struct config_rule *rule = &route->rules[0];
    assert_int_equal(rule->ref_count, 2);
    assert_text(rule->refs[0].key, "app/b/route/r/rule/0/ref/0");
    assert_text(rule->refs[1].key, "app/b/route/r/rule/0/ref/1");
    assert_text(rule->refs[0].model_override, "o");
    assert_int_equal(rule->refs[0].weight, 0);
    assert_int_equal(rule->refs[1].weight, 1);
    assert_int_equal(rule->refs[1].priority, 3);
    assert_ptr_equal(rule->refs[0].backend, &w.config->backends[0]);
    assert_text(rule->matches[0].path.text, "/");
    assert_int_equal(rule->matches[0].path_type, MATCH_PREFIX);
    assert_text(rule->models_owned_by, "Envoy AI Gateway");
    assert_int_equal(rule->request_timeout_ms, -1); // S8: no total limit, unlike Envoy AI Gateway
    assert_int_equal(rule->backend_request_timeout_ms, -1);
    assert_int_equal(rule->stream_idle_ms, -1);
    assert_false(rule->traffic.retry.is_set);
    assert_int_equal(rule->traffic.connect_timeout_ms, 5000);
    assert_int_equal(rule->traffic.max_connections, 1024);
    assert_int_equal(rule->traffic.panic_threshold_percent, 50);
    assert_int_equal(route->rules[1].match_count, 1); // the default match
    assert_int_equal(route->rules[1].matches[0].header_count, 0);
    const struct config_backend *backend = &w.config->backends[0];
    assert_text(backend->prefix, "v1");
    assert_text(backend->host, "");
    assert_int_equal(backend->endpoints[0].port, 8000);
    assert_true(backend->endpoints[0].is_ip);
    assert_int_equal(w.findings.error_count, 0);
    assert_finding(&w, FINDING_WARNING, "3.yaml", 3, "client's own credentials");
    unload(&w);
}

// ---- references -----------------------------------------------------------------------------------------------

static void what_leads_nowhere(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE); // the backend is named three times, each is told
    assert_null(w.config);
    assert_int_equal(w.findings.error_count, 3);
    assert_int_equal(count_findings(&w, FINDING_ERROR, "2.yaml", 9, "AIServiceBackend \"b\" is not in namespace"), 2);
    assert_finding(&w, FINDING_ERROR, "2.yaml", 10, "AIServiceBackend \"b\" is not in namespace \"app\"");
    unload(&w);
    LOAD(&w, ROUTE, BACKEND);
    assert_null(w.config);
    assert_finding(&w, FINDING_ERROR, "1.yaml", 5, "Gateway \"gw\" is not in namespace \"app\"");
    unload(&w);
}

#define CROSS                                                                                                          \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"                                                                    \
    "kind: AIGatewayRoute\n"                                                                                           \
    "metadata: {name: r, namespace: app}\n"                                                                            \
    "spec:\n"                                                                                                          \
    "  parentRefs: [{name: gw}]\n"                                                                                     \
    "  rules:\n"                                                                                                       \
    "    - backendRefs: [{name: far, namespace: other}]\n"                                                             \
    "---\n"                                                                                                            \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"                                                                    \
    "kind: AIServiceBackend\n"                                                                                         \
    "metadata: {name: far, namespace: other}\n"                                                                        \
    "spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: k}}\n"             \
    "---\n"                                                                                                            \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"                                                                     \
    "kind: Backend\n"                                                                                                  \
    "metadata: {name: k, namespace: other}\n"                                                                          \
    "spec: {endpoints: [{ip: {address: 127.0.0.1, port: 8000}}]}\n"

static void grants(void **state)
{
    (void)state;
    static const struct {
        const char *from, *from_namespace, *to, *in;
        bool is_good;
    } cases[] = {
        {"group: aigateway.envoyproxy.io, kind: AIGatewayRoute", "app",
         "group: aigateway.envoyproxy.io, kind: AIServiceBackend", "other", true},
        {"group: aigateway.envoyproxy.io, kind: AIGatewayRoute", "app",
         "group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: far", "other", true},
        {"group: aigateway.envoyproxy.io, kind: AIGatewayRoute", "app",
         "group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: near", "other", false},
        {"group: aigateway.envoyproxy.io, kind: AIGatewayRoute", "else",
         "group: aigateway.envoyproxy.io, kind: AIServiceBackend", "other", false},
        {"group: aigateway.envoyproxy.io, kind: AIGatewayRoute", "app",
         "group: aigateway.envoyproxy.io, kind: AIServiceBackend", "app", false},
        {"group: gateway.networking.k8s.io, kind: HTTPRoute", "app",
         "group: aigateway.envoyproxy.io, kind: AIServiceBackend", "other", false},
        {"group: aigateway.envoyproxy.io, kind: AIGatewayRoute", "app", "group: gateway.envoyproxy.io, kind: Backend",
         "other", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char grant[600];
        snprintf(grant, sizeof grant,
                 "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\n"
                 "metadata: {name: g, namespace: %s}\n"
                 "spec: {from: [{%s, namespace: %s}], to: [{%s}]}\n",
                 cases[i].in, cases[i].from, cases[i].from_namespace, cases[i].to);
        struct world w;
        LOAD(&w, GATEWAY, CROSS, grant);
        assert_int_equal(w.config != NULL, cases[i].is_good);
        if (cases[i].is_good)
            assert_text(w.config->routes[0].rules[0].refs[0].key,
                        "app/far/route/r/rule/0/ref/0"); // the route's namespace
        else
            assert_finding(&w, FINDING_ERROR, "2.yaml", 7, "is not permitted; add a ReferenceGrant");
        unload(&w);
    }
}

// ---- attaching ------------------------------------------------------------------------------------------------

#define LISTENERS                                                                                                      \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                                       \
    "kind: Gateway\n"                                                                                                  \
    "metadata: {name: gw, namespace: infra}\n"                                                                         \
    "spec:\n"                                                                                                          \
    "  gatewayClassName: weir\n"                                                                                       \
    "  listeners:\n"                                                                                                   \
    "    - {name: open, protocol: HTTP, port: 80, hostname: \"*.x.com\", allowedRoutes: {namespaces: {from: All}}}\n"  \
    "    - {name: same, protocol: HTTP, port: 81}\n"                                                                   \
    "    - {name: other, protocol: HTTP, port: 82, hostname: y.com, allowedRoutes: {namespaces: {from: All}}}\n"

static void parents(void **state)
{
    (void)state;
    static const struct {
        const char *ref, *hosts, *why; // why: NULL when it attaches
        size_t attached[3];
    } cases[] = {
        {"{name: gw, namespace: infra}", "[]", NULL, {1, 0, 1}},
        {"{name: gw, namespace: infra}", "[api.x.com]", NULL, {1, 0, 0}},
        {"{name: gw, namespace: infra}", "[\"*.com\"]", NULL, {1, 0, 1}},
        {"{name: gw, namespace: infra, port: 82}", "[]", NULL, {0, 0, 1}},
        {"{name: gw, namespace: infra, sectionName: open}, {name: gw, namespace: infra}", "[]", NULL, {1, 0, 1}},
        {"{name: gw, namespace: infra, sectionName: same}", "[]", "take no routes of this namespace", {0, 0, 0}},
        {"{name: gw, namespace: infra, sectionName: none}", "[]", "no listener of that sectionName", {0, 0, 0}},
        {"{name: gw, namespace: infra, sectionName: open, port: 82}", "[]", "no listener of that", {0, 0, 0}},
        {"{name: gw, namespace: infra}", "[x.com]", "none of the route's hostnames", {0, 0, 0}},
        {"{name: gw}", "[]", "is not in namespace \"app\", but in \"infra\"", {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char route[700];
        snprintf(route, sizeof route,
                 "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\n"
                 "metadata: {name: r, namespace: app}\nspec:\n  parentRefs: [%s]\n  hostnames: %s\n"
                 "  rules: [{backendRefs: [{name: b}]}]\n",
                 cases[i].ref, cases[i].hosts);
        struct world w;
        LOAD(&w, LISTENERS, route, BACKEND);
        if (cases[i].why) {
            assert_null(w.config);
            assert_finding(&w, FINDING_ERROR, "2.yaml", 5, cases[i].why);
        } else {
            assert_loaded(&w);
            for (size_t j = 0; j < 3; j++)
                assert_int_equal(w.config->listeners[j].route_count, cases[i].attached[j]);
            assert_int_equal(w.config->route_count, 1);
        }
        unload(&w);
    }
}

static void ports_of_two_gateways(void **state)
{
    (void)state;
    static const char second[] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
        "metadata: {name: gw2, namespace: app}\nspec:\n  gatewayClassName: weir\n  listeners:\n"
        "    - {name: l, protocol: HTTP, port: 80, hostname: z.com}\n"
        "    - {name: m, protocol: HTTP, port: 80}\n";
    struct world w;
    LOAD(&w, GATEWAY, second);
    assert_null(w.config);
    assert_int_equal(w.findings.error_count, 1); // another hostname on the port is fine
    assert_finding(&w, FINDING_ERROR, "2.yaml", 8, "has the port 80 and the hostname of listener \"all\"");
    unload(&w);
}

// ---- credentials ----------------------------------------------------------------------------------------------

#define POLICY(name, type, block, secret)                                                                              \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"                                                                    \
    "kind: BackendSecurityPolicy\n"                                                                                    \
    "metadata: {name: " name ", namespace: app}\n"                                                                     \
    "spec:\n"                                                                                                          \
    "  type: " type "\n"                                                                                               \
    "  targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: b}]\n"                              \
    "  " block ": {secretRef: {name: " secret "}}\n"

#define SECRET(data) "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: app}\n" data "\n"

static void credentials(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND, POLICY("p", "APIKey", "apiKey", "s"), SECRET("data: {apiKey: c2stMTIzCg==}"));
    assert_loaded(&w);
    const struct config_credential *credential = &w.config->backends[0].credential;
    assert_int_equal(credential->type, CREDENTIAL_API_KEY);
    assert_text(secret_reveal(credential->key), "sk-123"); // without the line end
    assert_text(credential->override_header, "");
    assert_int_equal(w.findings.count, 0);
    unload(&w);

    LOAD(&w, GATEWAY, ROUTE, BACKEND,
         POLICY("p", "AnthropicAPIKey", "anthropicAPIKey",
                "s") "  credentialOverride: {fromRequestHeaders: {fallbackToConfigured: false}}\n",
         SECRET("stringData: {apiKey: k}"));
    assert_loaded(&w);
    assert_text(w.config->backends[0].credential.override_header, "x-aigw-anthropic-api-key");
    assert_false(w.config->backends[0].credential.override_falls_back);
    unload(&w);
}

static void bad_credentials(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND, POLICY("p", "APIKey", "apiKey", "s"), SECRET("stringData: {key: hunter2}"));
    assert_null(w.config);
    assert_finding(&w, FINDING_ERROR, "4.yaml", 7, "Secret app/s has no entry \"apiKey\"");
    unload(&w);
    LOAD(&w, GATEWAY, ROUTE, BACKEND, POLICY("p", "APIKey", "apiKey", "t"), SECRET("stringData: {apiKey: k}"));
    assert_finding(&w, FINDING_ERROR, "4.yaml", 7, "Secret \"t\" is not in namespace \"app\"");
    unload(&w);
    LOAD(&w, GATEWAY, ROUTE, BACKEND, POLICY("p", "APIKey", "apiKey", "s"),
         SECRET("stringData: {apiKey: \"hunter2\\nhunter3\"}"));
    assert_finding(&w, FINDING_ERROR, "4.yaml", 7, "has control bytes or several lines");
    for (size_t i = 0; i < w.findings.count; i++)
        assert_int_equal(slice_find_slice(w.findings.items[i].text, SLICE("hunter")), SLICE_NOT_FOUND);
    unload(&w);
    LOAD(&w, GATEWAY, ROUTE, BACKEND, POLICY("p", "APIKey", "apiKey", "s") "---\n" POLICY("q", "APIKey", "apiKey", "s"),
         SECRET("stringData: {apiKey: k}"));
    assert_finding(&w, FINDING_ERROR, "4.yaml", 14, "BackendSecurityPolicy \"p\" targets this already");
    unload(&w);
}

#define FAR_SECRET "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: vault}\nstringData: {apiKey: k}\n"
#define VAULT_GRANT(kind)                                                                                              \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: vault}\n"     \
    "spec: {from: [{group: aigateway.envoyproxy.io, kind: " kind ", namespace: app}], to: [{group: '', kind: "         \
    "Secret}]}\n"

static void secrets_of_another_namespace(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND, POLICY("p", "APIKey", "apiKey", "s, namespace: vault"),
         FAR_SECRET VAULT_GRANT("BackendSecurityPolicy"));
    assert_loaded(&w);
    assert_text(secret_reveal(w.config->backends[0].credential.key), "k");
    unload(&w);
    LOAD(&w, GATEWAY, ROUTE, BACKEND, POLICY("p", "APIKey", "apiKey", "s, namespace: vault"),
         FAR_SECRET VAULT_GRANT("AIServiceBackend"));
    assert_null(w.config);
    assert_finding(&w, FINDING_ERROR, "4.yaml", 7, "cross-namespace reference to Secret vault/s is not permitted");
    unload(&w);
}

// A name that is nearly there is suggested; and what is of the wrong type is said once, with its place.
static void near_names_and_wrong_types(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND, POLICY("p", "APIKey", "apiKey", "ss"), SECRET("stringData: {apiKey: k}"));
    assert_finding(&w, FINDING_ERROR, "4.yaml", 7, "did you mean \"s\"?");
    unload(&w);
    LOAD(&w, GATEWAY, ROUTE, BACKEND "  headerMutation: {set: {a: b}, remove: {c: d}}\n  bodyMutation: {set: [x]}\n");
    for (size_t i = 0; i < w.findings.count; i++)
        assert_true(w.findings.items[i].mark.line > 0);
    unload(&w);
}

// ---- TLS ------------------------------------------------------------------------------------------------------

#define TLS_BACKEND(spec)                                                                                              \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\n"                                                                    \
    "kind: AIServiceBackend\n"                                                                                         \
    "metadata: {name: b, namespace: app}\n"                                                                            \
    "spec: {schema: {name: OpenAI, prefix: /}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: k}}\n"  \
    "---\n"                                                                                                            \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"                                                                     \
    "kind: Backend\n"                                                                                                  \
    "metadata: {name: k, namespace: app}\n"                                                                            \
    "spec: " spec "\n"

#define TLS_POLICY                                                                                                     \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                                       \
    "kind: BackendTLSPolicy\n"                                                                                         \
    "metadata: {name: t, namespace: app}\n"                                                                            \
    "spec:\n"                                                                                                          \
    "  targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: k}]\n"                                         \
    "  validation: {hostname: llm.x.com, caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]}\n"

#define CA "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca, namespace: app}\ndata: {%s: \"%s\"}\n"

static void tls(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE,
         TLS_BACKEND("{endpoints: [{fqdn: {hostname: api.x.com, port: 443}}], tls: {minVersion: \"1.3\"}}"));
    assert_loaded(&w);
    const struct config_backend *backend = &w.config->backends[0];
    assert_text(backend->prefix, "");
    assert_text(backend->host, "api.x.com");
    assert_true(backend->tls.is_enabled);
    assert_false(backend->tls.is_unverified);
    assert_text(backend->tls.sni, ""); // the endpoint's name
    assert_int_equal(backend->tls.choice.min_version, 0x0304);
    assert_int_equal(backend->tls.trust.ca_pem.len, 0);
    unload(&w);

    char ca[300];
    snprintf(ca, sizeof ca, CA, "ca.crt", "-----BEGIN CERTIFICATE-----");
    LOAD(&w, GATEWAY, ROUTE, TLS_BACKEND("{endpoints: [{ip: {address: 10.0.0.1, port: 443}}]}"), TLS_POLICY, ca);
    assert_loaded(&w);
    backend = &w.config->backends[0];
    assert_text(backend->tls.sni, "llm.x.com");
    assert_text(backend->tls.verify_name, "llm.x.com");
    assert_text(backend->host, "llm.x.com"); // S7: no FQDN, but a TLS name
    assert_true(slice_starts_with(backend->tls.trust.ca_pem, SLICE("-----BEGIN")));
    unload(&w);

    snprintf(ca, sizeof ca, CA, "other.crt", "-----BEGIN CERTIFICATE-----");
    LOAD(&w, GATEWAY, ROUTE, TLS_BACKEND("{endpoints: [{ip: {address: 10.0.0.1, port: 443}}]}"), TLS_POLICY, ca);
    assert_finding(&w, FINDING_ERROR, "4.yaml", 6, "has no entry \"ca.crt\"");
    unload(&w);

    LOAD(&w, GATEWAY, ROUTE, TLS_BACKEND("{endpoints: [{ip: {address: 10.0.0.1, port: 443}}], tls: {}}"));
    assert_finding(&w, FINDING_ERROR, "3.yaml", 9, "no name to verify its certificate by");
    unload(&w);

    LOAD(&w, GATEWAY, ROUTE, TLS_BACKEND("{endpoints: [{fqdn: {hostname: api.x.com, port: 443}}]}"));
    assert_loaded(&w);
    assert_finding(&w, FINDING_WARNING, "3.yaml", 8, "has port 443 but no TLS");
    unload(&w);
}

// ---- traffic policies -----------------------------------------------------------------------------------------

#define TRAFFIC(name, kind, target, section, spec)                                                                     \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"                                                                     \
    "kind: BackendTrafficPolicy\n"                                                                                     \
    "metadata: {name: " name ", namespace: app}\n"                                                                     \
    "spec:\n"                                                                                                          \
    "  targetRefs: [{group: gateway.networking.k8s.io, kind: " kind ", name: " target section "}]\n"                   \
    "  " spec "\n"

static void retries(void **state)
{
    (void)state;
    enum { defaults = RETRY_CONNECT_FAILURE | RETRY_RESET | RETRY_TIMEOUT | RETRY_STATUS_CODES };
    static const struct {
        const char *spec;
        uint32_t triggers;
        size_t code_count;
        uint16_t first_code;
    } cases[] = {
        {TRAFFIC("t", "HTTPRoute", "r", "", "retry: {}"), defaults, 0, 0},
        {TRAFFIC("t", "HTTPRoute", "r", "", "retry: {retryOn: {httpStatusCodes: [429, 500]}}"), defaults, 2, 429},
        // Without codes: S7's.
        {TRAFFIC("t", "HTTPRoute", "r", "", "retry: {retryOn: {triggers: [connect-failure, retriable-status-codes]}}"),
         RETRY_CONNECT_FAILURE | RETRY_STATUS_CODES, 0, 0},
        // What never fires here retries nothing, least of all the defaults.
        {TRAFFIC("t", "HTTPRoute", "r", "", "retry: {retryOn: {triggers: [unavailable, cancelled]}}"), 0, 0, 0},
        {TRAFFIC("t", "HTTPRoute", "r", "", "retry: {retryOn: {triggers: [5xx]}}"),
         RETRY_5XX | RETRY_CONNECT_FAILURE | RETRY_RESET | RETRY_TIMEOUT, 0, 0},
        {TRAFFIC("t", "HTTPRoute", "r", "", "retry: {retryOn: {triggers: [retriable-4xx]}}"), RETRY_4XX_409, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        LOAD(&w, GATEWAY, ROUTE, BACKEND, cases[i].spec);
        assert_loaded(&w);
        const struct config_retry *retry = &w.config->routes[0].rules[0].traffic.retry;
        assert_true(retry->is_set);
        assert_int_equal(retry->num_retries, 2);
        assert_int_equal(retry->attempts_per_priority, 0);
        assert_int_equal(retry->triggers, cases[i].triggers);
        assert_int_equal(retry->code_count, cases[i].code_count);
        if (retry->code_count)
            assert_int_equal(retry->codes[0], cases[i].first_code);
        assert_int_equal(retry->backoff_base_ms, 25);
        assert_int_equal(retry->backoff_max_ms, 250);
        unload(&w);
    }
}

static void the_most_specific_policy_counts(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND,
         TRAFFIC("a", "Gateway", "gw", "", "retry: {numRetries: 1}") "---\n" TRAFFIC(
             "b", "Gateway", "gw", ", sectionName: all",
             "retry: {numRetries: 2}") "---\n" TRAFFIC("c", "HTTPRoute", "r", ", sectionName: first",
                                                       "timeout: {http: {requestTimeout: 7s}}"));
    assert_loaded(&w);
    const struct config_rule *rules = w.config->routes[0].rules;
    assert_false(rules[0].traffic.retry.is_set); // replaced as a whole
    assert_int_equal(rules[0].request_timeout_ms, 7000);
    assert_int_equal(rules[1].traffic.retry.num_retries, 2); // that of the listener over that of the Gateway
    assert_int_equal(rules[1].request_timeout_ms, -1);
    unload(&w);
}

static void bad_targets(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND,
         TRAFFIC("a", "HTTPRoute", "none", "", "retry: {}") "---\n"             // line 5
         TRAFFIC("b", "HTTPRoute", "r", ", sectionName: none", "retry: {}")     // line 12
         "---\n" TRAFFIC("c", "HTTPRoute", "r", "", "retry: {}")                // line 19
         "---\n" TRAFFIC("d", "HTTPRoute", "r", "", "retry: {numRetries: 1}")); // line 26
    assert_null(w.config);
    assert_finding(&w, FINDING_ERROR, "4.yaml", 5, "HTTPRoute \"none\" is not in namespace");
    assert_finding(&w, FINDING_ERROR, "4.yaml", 12, "has no rule named \"none\"");
    assert_finding(&w, FINDING_ERROR, "4.yaml", 26, "BackendTrafficPolicy \"c\" targets this already");
    assert_int_equal(w.findings.error_count, 3);
    unload(&w);
}

// A route on two Gateways with different policies means two things, and its findings are told once.
static void variants(void **state)
{
    (void)state;
    static const char gateways[] = GATEWAY "---\n"
                                           "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
                                           "metadata: {name: gw2, namespace: app}\nspec:\n  gatewayClassName: weir\n"
                                           "  listeners: [{name: all, protocol: HTTP, port: 90}]\n";
    static const char route[] = "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\n"
                                "metadata: {name: r, namespace: app}\nspec:\n"
                                "  parentRefs: [{name: gw}, {name: gw2}]\n"
                                "  rules: [{backendRefs: [{name: b, weight: 0}]}]\n";
    struct world w;
    LOAD(&w, gateways, route, BACKEND, TRAFFIC("a", "Gateway", "gw2", "", "retry: {numRetries: 9}"));
    assert_loaded(&w);
    assert_int_equal(w.config->route_count, 2);
    assert_int_equal(w.config->backend_count, 1);
    assert_false(w.config->listeners[0].routes[0]->rules[0].traffic.retry.is_set);
    assert_int_equal(w.config->listeners[1].routes[0]->rules[0].traffic.retry.num_retries, 9);
    assert_finding(&w, FINDING_WARNING, "2.yaml", 6, "have weight 0");
    unload(&w);
}

// ---- the way out ----------------------------------------------------------------------------------------------

#define GATEWAY_VIA(name, port, config)                                                                                \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"                                                        \
    "metadata: {name: " name ", namespace: app, annotations: {aigateway.envoyproxy.io/gateway-config: " config "}}\n"  \
    "spec: {gatewayClassName: weir, listeners: [{name: all, protocol: HTTP, port: " port "}]}\n---\n"
#define PROXY(name, annotations, address)                                                                              \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: GatewayConfig\n"                                               \
    "metadata: {name: " name ", namespace: app, annotations: {" annotations "}}\n"                                     \
    "spec: {forwardProxy: {address: '" address "'}}\n---\n"
#define PROXY_SECRET                                                                                                   \
    "apiVersion: v1\nkind: Secret\nmetadata: {name: pw, namespace: app}\ntype: kubernetes.io/basic-auth\n"
#define TWO_PARENTS                                                                                                    \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\nmetadata: {name: r, namespace: app}\n"         \
    "spec:\n  parentRefs: [{name: one}, {name: two}, {name: three}]\n  rules: [{backendRefs: [{name: b}]}]\n"

// A backend that Gateways call in different ways is a backend for each.
static void forward_proxies(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w,
         GATEWAY_VIA("one", "80", "a") GATEWAY_VIA("two", "81", "b") GATEWAY_VIA("three", "82", "''")
             PROXY("a", "weir.dev/forward-proxy-credentials: pw", "[::1]:3128") PROXY("b", "", "p.example:80"),
         TWO_PARENTS, BACKEND, PROXY_SECRET "stringData: {username: user, password: 'p:w'}\n");
    assert_loaded(&w);
    assert_int_equal(w.config->backend_count, 3);
    const struct config_backend *backends[3];
    for (size_t i = 0; i < 3; i++)
        backends[i] = w.config->listeners[i].routes[0]->rules[0].refs[0].backend;
    assert_text(backends[0]->proxy->host, "::1");
    assert_int_equal(backends[0]->proxy->port, 3128);
    assert_text(secret_reveal(backends[0]->proxy->authorization), "Basic dXNlcjpwOnc=");
    assert_text(backends[1]->proxy->host, "p.example");
    assert_false(secret_is_set(backends[1]->proxy->authorization));
    assert_null(backends[2]->proxy);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(&w.config->backends[backends[i]->id], backends[i]);
        assert_text(backends[i]->name, "b");
    }
    unload(&w);
}

static void bad_forward_proxies(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY_VIA("gw", "80", "a") PROXY("a", "weir.dev/forward-proxy-credentials: pw", "p:1"), ROUTE, BACKEND,
         PROXY_SECRET "stringData: {username: 'us:er', password: pw}\n");
    assert_finding(&w, FINDING_ERROR, "1.yaml", 8, "or a colon in username");
    unload(&w);
    LOAD(&w, GATEWAY_VIA("gw", "80", "a") PROXY("a", "weir.dev/forward-proxy-credentials: pw", "p:1"), ROUTE, BACKEND,
         PROXY_SECRET "stringData: {username: user}\n");
    assert_finding(&w, FINDING_ERROR, "1.yaml", 8, "password");
    unload(&w);
    LOAD(&w,
         GATEWAY_VIA("gw", "80", "a") "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: GatewayConfig\n"
                                      "metadata: {name: a, namespace: app, annotations: "
                                      "{weir.dev/forward-proxy-credentials: pw}}\nspec: {}\n",
         ROUTE, BACKEND, PROXY_SECRET "stringData: {username: user, password: pw}\n");
    assert_finding(&w, FINDING_ERROR, "1.yaml", 8, "does not have");
    unload(&w);
}

#define PLAIN_GATEWAY                                                                                                  \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: app}\n"                  \
    "spec: {gatewayClassName: weir, listeners: [{name: all, protocol: HTTP, port: 80}]}\n"
#define CLASS_WITH(spec)                                                                                               \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: weir}\n"                           \
    "spec: {controllerName: x/y, parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: px, "           \
    "namespace: app}}\n---\n"                                                                                          \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: px, namespace: app}\n"             \
    "spec: {backendTLS: {" spec "}}\n---\n"
#define TLS_SECRET                                                                                                     \
    "apiVersion: v1\nkind: Secret\nmetadata: {name: client, namespace: app}\ntype: kubernetes.io/tls\n"                \
    "stringData: {tls.crt: chain, tls.key: key}\n"
#define BACKEND_OVER(tls)                                                                                              \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIServiceBackend\nmetadata: {name: b, namespace: app}\n"       \
    "spec: {schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: e}}\n---\n"        \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: e, namespace: app}\n"                 \
    "spec: {endpoints: [{fqdn: {hostname: h.example, port: 443}}]" tls "}\n"

// EnvoyProxy.spec.backendTLS says what the backends with TLS don't; the others are none of its.
static void tls_defaults(void **state)
{
    (void)state;
    static const char defaults[] =
        CLASS_WITH("clientCertificateRef: {name: client}, minVersion: '1.3', ecdhCurves: [X25519]") PLAIN_GATEWAY;
    struct world w;
    LOAD(&w, defaults, ROUTE, BACKEND_OVER(", tls: {ecdhCurves: [P-256]}"), TLS_SECRET);
    assert_loaded(&w);
    const struct config_backend *backend = w.config->routes[0].rules[0].refs[0].backend;
    assert_int_equal(w.config->backend_count, 1);
    assert_text(backend->tls.certificate->chain_pem, "chain");
    assert_int_equal(backend->tls.choice.min_version, 0x0304);
    assert_text(backend->tls.choice.curves.text, "P-256");
    assert_text(backend->tls_from, "app/px");
    unload(&w);
    LOAD(&w, defaults, ROUTE, BACKEND_OVER(""), TLS_SECRET);
    assert_loaded(&w);
    backend = w.config->routes[0].rules[0].refs[0].backend;
    assert_false(backend->tls.is_enabled);
    assert_null(backend->tls.certificate);
    assert_text(backend->tls_from, "");
    unload(&w);
    LOAD(&w, defaults, ROUTE, BACKEND_OVER(", tls: {maxVersion: '1.2'}"), TLS_SECRET);
    assert_finding(&w, FINDING_ERROR, "3.yaml", 9, "together with backendTLS of EnvoyProxy app/px");
    unload(&w);
    LOAD(&w, CLASS_WITH("clientCertificateRef: {name: nobody}") PLAIN_GATEWAY, ROUTE, BACKEND_OVER(", tls: {}"),
         TLS_SECRET);
    assert_finding(&w, FINDING_ERROR, "1.yaml", 9, "nobody");
    unload(&w);
}

// Of two Gateways one has defaults: each has its own backend.
static void tls_defaults_of_one_gateway(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w,
         "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: app}\n"
         "spec: {gatewayClassName: weir, listeners: [{name: all, protocol: HTTP, port: 80}]}\n---\n"
         "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: two, namespace: app}\n"
         "spec: {gatewayClassName: weir, infrastructure: {parametersRef: {group: gateway.envoyproxy.io, kind: "
         "EnvoyProxy, "
         "name: px}}, listeners: [{name: all, protocol: HTTP, port: 81}]}\n---\n"
         "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: px, namespace: app}\n"
         "spec: {backendTLS: {minVersion: '1.3'}}\n",
         "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\nmetadata: {name: r, namespace: app}\n"
         "spec: {parentRefs: [{name: two}, {name: gw}], rules: [{backendRefs: [{name: b}]}]}\n",
         BACKEND_OVER(", tls: {}"));
    assert_loaded(&w);
    assert_int_equal(w.config->backend_count, 2);
    const struct config_backend *one = w.config->listeners[0].routes[0]->rules[0].refs[0].backend;
    const struct config_backend *two = w.config->listeners[1].routes[0]->rules[0].refs[0].backend;
    assert_int_equal(one->tls.choice.min_version, 0x0303);
    assert_int_equal(two->tls.choice.min_version, 0x0304);
    assert_true(one->id != two->id);
    unload(&w);
}

static void lookups(void **state)
{
    (void)state;
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND,
         TRAFFIC("a", "Gateway", "gw", "", "dns: {lookupFamily: IPv6Preferred, respectDnsTtl: false}"));
    assert_loaded(&w);
    assert_int_equal(w.config->routes[0].rules[0].traffic.lookup.family, FAMILY_V6_PREFERRED);
    assert_int_equal(w.config->routes[0].rules[0].traffic.lookup.refresh_ms, 30000);
    unload(&w);
    LOAD(&w, GATEWAY, ROUTE, BACKEND, TRAFFIC("a", "Gateway", "gw", "", "dns: {dnsRefreshRate: 5s}"));
    assert_loaded(&w);
    assert_int_equal(w.config->routes[0].rules[0].traffic.lookup.family, FAMILY_UNSET);
    assert_int_equal(w.config->routes[0].rules[0].traffic.lookup.refresh_ms, 0);
    assert_finding(&w, FINDING_WARNING, "4.yaml", 6, "dnsRefreshRate has no effect");
    unload(&w);
}

// ---- costs, logs, clients -------------------------------------------------------------------------------------

static void costs(void **state)
{
    (void)state;
    static const char gateway[] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
        "metadata: {name: gw, namespace: app, annotations: {aigateway.envoyproxy.io/gateway-config: cfg}}\n"
        "spec: {gatewayClassName: weir, listeners: [{name: all, protocol: HTTP, port: 80}]}\n"
        "---\n"
        "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: GatewayConfig\nmetadata: {name: cfg, namespace: app}\n"
        "spec:\n  globalLLMRequestCosts:\n"
        "    - {metadataKey: total, type: TotalToken}\n    - {metadataKey: in, type: InputToken}\n";
    struct world w;
    LOAD(&w, gateway,
         ROUTE "  llmRequestCosts:\n"
               "    - {metadataKey: in, type: CEL, cel: input_tokens * 2u}\n"
               "    - {metadataKey: out, type: OutputToken}\n",
         BACKEND);
    assert_loaded(&w);
    const struct config_route *route = &w.config->routes[0];
    assert_int_equal(route->cost_count, 3);
    assert_text(route->costs[0].key, "total");
    assert_text(route->costs[1].key, "in");
    assert_int_equal(route->costs[1].type, COST_CEL);
    assert_text(route->costs[1].cel.text, "input_tokens * 2u");
    assert_int_equal(route->costs[1].cel.mark.line, 12);
    assert_text(route->costs[2].key, "out");
    unload(&w);
}

static void access_logs(void **state)
{
    (void)state;
    static const char proxy[] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: weir}\n"
        "spec: {controllerName: x/y, parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: px, "
        "namespace: sys}}\n"
        "---\n"
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: px, namespace: sys}\n"
        "spec:\n  telemetry:\n    accessLog:\n      settings:\n"
        "        - format: {type: JSON, json: {b: \"%PROTOCOL%\", a: \"%REQ(x)%\"}}\n"
        "          matches: [\"true\"]\n"
        "          sinks: [{type: File, file: {path: /dev/stdout}}, {type: File, file: {path: /tmp/x.log}}]\n"
        "        - format: {type: Text, text: \"%PROTOCOL%\"}\n"
        "          sinks: [{type: File, file: {path: /dev/stderr}}]\n";
    static const char gateway[] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
        "metadata: {name: gw, namespace: app}\n"
        "spec: {gatewayClassName: weir, listeners: [{name: all, protocol: HTTP, port: 80}]}\n";
    struct world w;
    LOAD(&w, proxy, gateway, ROUTE, BACKEND);
    assert_loaded(&w);
    const struct config_listener *listener = &w.config->listeners[0];
    assert_true(listener->has_logs);
    assert_int_equal(listener->log_count, 3);
    assert_int_equal(listener->logs[0].format, LOG_JSON);
    assert_text(listener->logs[0].fields[0].name, "b"); // in the order of the file
    assert_text(listener->logs[0].fields[1].format.text, "%REQ(x)%");
    assert_text(listener->logs[0].path, "/dev/stdout");
    assert_text(listener->logs[1].path, "/tmp/x.log");
    assert_int_equal(listener->logs[1].match_count, 1);
    assert_int_equal(listener->logs[2].format, LOG_TEXT);
    assert_text(listener->logs[2].text.text, "%PROTOCOL%");
    unload(&w);
}

static void client_settings(void **state)
{
    (void)state;
    static const char policy[] = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\n"
                                 "metadata: {name: c, namespace: app}\nspec:\n"
                                 "  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]\n"
                                 "  connection: {bufferLimit: 2Mi, connectionLimit: {value: 7}}\n"
                                 "  timeout: {http: {idleTimeout: 9s, requestReceivedTimeout: 3s}}\n";
    struct world w;
    LOAD(&w, GATEWAY, ROUTE, BACKEND, policy);
    assert_loaded(&w);
    const struct config_client *client = &w.config->listeners[0].client;
    assert_int_equal(client->json_body_bytes, 2 << 20);
    assert_int_equal(client->multipart_body_bytes, 2 << 20);
    assert_int_equal(client->max_connections, 7);
    assert_int_equal(client->keep_alive_idle_ms, 9000);
    assert_int_equal(client->request_timeout_ms, 3000);
    unload(&w);
}

// ---- plain routes ---------------------------------------------------------------------------------------------

static void plain_routes(void **state)
{
    (void)state;
    static const char route[] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: p, namespace: app}\n"
        "spec:\n  parentRefs: [{name: gw}]\n  rules:\n"
        "    - matches: [{path: {type: Exact, value: /x}, method: PUT, queryParams: [{name: q, value: v}]}]\n"
        "      timeouts: {request: 5s, backendRequest: 2s}\n"
        "      filters:\n"
        "        - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], add: [{name: c, "
        "value: d}], remove: [e]}}\n"
        "        - {type: URLRewrite, urlRewrite: {hostname: h.com, path: {type: ReplaceFullPath, replaceFullPath: "
        "/y}}}\n"
        "      backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: k}]\n"
        "    - filters: [{type: RequestRedirect, requestRedirect: {scheme: https, port: 8443, statusCode: 301}}]\n";
    static const char backend[] = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\n"
                                  "metadata: {name: k, namespace: app}\n"
                                  "spec: {fallback: true, endpoints: [{fqdn: {hostname: a.com, port: 80}}, {fqdn: "
                                  "{hostname: b.com, port: 80}}]}\n";
    struct world w;
    LOAD(&w, GATEWAY, route, backend);
    assert_loaded(&w);
    assert_int_equal(w.findings.count, 0);
    const struct config_rule *rule = &w.config->routes[0].rules[0];
    assert_int_equal(w.config->routes[0].kind, ROUTE_HTTP);
    assert_int_equal(rule->matches[0].path_type, MATCH_EXACT);
    assert_text(rule->matches[0].method, "PUT");
    assert_text(rule->matches[0].query[0].value.text, "v");
    assert_int_equal(rule->request_timeout_ms, 5000);
    assert_int_equal(rule->backend_request_timeout_ms, 2000);
    assert_text(rule->filters.request_headers.set[0].value.text, "b");
    assert_text(rule->filters.request_headers.remove[0].text, "e");
    assert_text(rule->filters.request_add[0].name.text, "c");
    assert_text(rule->filters.rewrite_host, "h.com");
    assert_int_equal(rule->filters.path_change, PATH_REPLACE_FULL);
    assert_text(rule->filters.path_value, "/y");
    assert_int_equal(rule->refs[0].backend->schema, SCHEMA_NONE);
    assert_int_equal(rule->refs[0].priority, 1);  // Backend.fallback
    assert_text(rule->refs[0].backend->host, ""); // two names: each endpoint by its own
    const struct config_rule_filters *redirect = &w.config->routes[0].rules[1].filters;
    assert_int_equal(redirect->redirect_status, 301);
    assert_text(redirect->redirect_scheme, "https");
    assert_int_equal(redirect->redirect_port, 8443);
    unload(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_route_means),
        cmocka_unit_test(what_leads_nowhere),
        cmocka_unit_test(grants),
        cmocka_unit_test(parents),
        cmocka_unit_test(ports_of_two_gateways),
        cmocka_unit_test(credentials),
        cmocka_unit_test(bad_credentials),
        cmocka_unit_test(secrets_of_another_namespace),
        cmocka_unit_test(near_names_and_wrong_types),
        cmocka_unit_test(tls),
        cmocka_unit_test(retries),
        cmocka_unit_test(the_most_specific_policy_counts),
        cmocka_unit_test(bad_targets),
        cmocka_unit_test(variants),
        cmocka_unit_test(forward_proxies),
        cmocka_unit_test(bad_forward_proxies),
        cmocka_unit_test(tls_defaults),
        cmocka_unit_test(tls_defaults_of_one_gateway),
        cmocka_unit_test(lookups),
        cmocka_unit_test(costs),
        cmocka_unit_test(access_logs),
        cmocka_unit_test(client_settings),
        cmocka_unit_test(plain_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
