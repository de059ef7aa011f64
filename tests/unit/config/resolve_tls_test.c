// TLS of listeners: certificates across namespaces, demands on clients, TLSRoutes.
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

static void load(struct world *world, size_t count, const char *const *texts)
{
    static const struct config_env env = {NULL, NULL, NULL};
    struct config_file files[8];
    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++)
        files[i] = (struct config_file){SLICE("test.yaml"), slice_from_cstr(texts[i])};
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

static void assert_told(const struct world *world, enum finding_level level, const char *words)
{
    for (size_t i = 0; i < world->findings.count; i++)
        if (world->findings.items[i].level == level &&
            slice_find_slice(world->findings.items[i].text, slice_from_cstr(words)) != SLICE_NOT_FOUND)
            return;
    for (size_t i = 0; i < world->findings.count; i++)
        print_error(SLICE_FMT "\n", SLICE_ARG(world->findings.items[i].text));
    fail_msg("nothing says: %s", words);
}

static void assert_loaded(const struct world *world)
{
    for (size_t i = 0; !world->config && i < world->findings.count; i++)
        print_error(SLICE_FMT "\n", SLICE_ARG(world->findings.items[i].text));
    assert_non_null(world->config);
}

#define GATEWAY(listeners)                                                                                             \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                                       \
    "kind: GatewayClass\n"                                                                                             \
    "metadata: {name: c}\n"                                                                                            \
    "spec: {controllerName: a.io/b}\n"                                                                                 \
    "---\n"                                                                                                            \
    "apiVersion: gateway.networking.k8s.io/v1\n"                                                                       \
    "kind: Gateway\n"                                                                                                  \
    "metadata: {name: g, namespace: app}\n"                                                                            \
    "spec:\n"                                                                                                          \
    "  gatewayClassName: c\n"                                                                                          \
    "  listeners: [" listeners "]\n"
#define HTTPS "{name: s, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert, namespace: keys}]}}"
#define PASS "{name: p, port: 443, protocol: TLS, hostname: '*.x.com', tls: {mode: Passthrough}}"
#define HTTP "{name: h, port: 80, protocol: HTTP}"

static const char secret[] = "apiVersion: v1\n"
                             "kind: Secret\n"
                             "metadata: {name: cert, namespace: keys}\n"
                             "stringData: {tls.crt: CERT, tls.key: KEY, tls.ocsp-staple: OCSP}\n";
static const char grant[] = "apiVersion: gateway.networking.k8s.io/v1beta1\n"
                            "kind: ReferenceGrant\n"
                            "metadata: {name: r, namespace: keys}\n"
                            "spec:\n"
                            "  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: app}]\n"
                            "  to: [{group: '', kind: Secret, name: cert}]\n";
static const char clients_ca[] = "apiVersion: v1\n"
                                 "kind: ConfigMap\n"
                                 "metadata: {name: ca, namespace: app}\n"
                                 "data: {ca.crt: '-----BEGIN CERTIFICATE-----', ca.crl: LIST}\n";

#define POLICY(section, tls)                                                                                           \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"                                                                     \
    "kind: ClientTrafficPolicy\n"                                                                                      \
    "metadata: {name: p, namespace: app}\n"                                                                            \
    "spec:\n"                                                                                                          \
    "  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g" section "}]\n"                          \
    "  tls: " tls "\n"
#define VALIDATION(more) "{clientValidation: {caCertificateRefs: [{kind: ConfigMap, name: ca}]" more "}}"
#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static void test_certificates(void **state)
{
    struct world w;
    (void)state;
    LOAD(&w, GATEWAY(HTTPS), secret, grant);
    assert_loaded(&w);
    const struct config_listener *listener = &w.config->listeners[0];
    assert_int_equal(listener->protocol, LISTENER_HTTPS);
    assert_int_equal(listener->tls.certificate_count, 1);
    const struct config_certificate *certificate = &listener->tls.certificates[0];
    assert_true(slice_eq(certificate->secret, SLICE("keys/cert")));
    assert_true(slice_eq(certificate->chain_pem, SLICE("CERT")));
    assert_true(slice_eq(secret_reveal(certificate->key_pem), SLICE("KEY")));
    assert_true(slice_eq(certificate->ocsp, SLICE("OCSP")));
    assert_int_equal(listener->tls.choice.min_version, 0x0303);
    assert_int_equal(listener->tls.choice.max_version, 0x0304);
    assert_false(listener->tls.asks_client);
    unload(&w);
    LOAD(&w, GATEWAY(HTTPS), secret);
    assert_told(&w, FINDING_ERROR, "cross-namespace reference to Secret keys/cert is not permitted");
    assert_null(w.config);
    unload(&w);
    LOAD(&w, GATEWAY(HTTPS), grant);
    assert_told(&w, FINDING_ERROR, "Secret \"cert\"");
    unload(&w);
    LOAD(&w, GATEWAY(HTTPS), grant,
         "apiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: keys}\nstringData: {tls.crt: CERT}\n");
    assert_told(&w, FINDING_ERROR, "has no entry \"tls.key\"");
    unload(&w);
}

static void test_clients(void **state)
{
    struct world w;
    (void)state;
    LOAD(&w, GATEWAY(HTTPS), secret, grant, clients_ca,
         POLICY("", VALIDATION(", optional: true, certificateHashes: [" HEX "], spkiHashes: "
                               "[AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=]")));
    assert_loaded(&w);
    const struct config_server_tls *tls = &w.config->listeners[0].tls;
    assert_true(tls->asks_client && tls->is_client_optional);
    assert_true(slice_starts_with(tls->client_trust.ca_pem, SLICE("-----BEGIN")));
    assert_true(slice_eq(tls->client_trust.crl_pem, SLICE("LIST\n")));
    assert_false(tls->client_trust.is_crl_for_leaf);
    assert_int_equal(tls->client_hash_count, 1);
    assert_int_equal(tls->client_key_hash_count, 1);
    assert_true(slice_eq(tls->client_hashes[0], tls->client_key_hashes[0]));
    assert_int_equal(tls->client_hashes[0].ptr[31], 31);
    unload(&w);
    LOAD(&w, GATEWAY(HTTPS), secret, grant, clients_ca,
         POLICY("", VALIDATION(
                        ", certificateHashes: ['x00102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F']")));
    assert_told(&w, FINDING_ERROR, "this is no SHA-256 in hexadecimal digits");
    unload(&w);
}

// Who asks for certificates must not be served without a word where none are asked for.
static void test_clients_without_tls(void **state)
{
    struct world w;
    (void)state;
    LOAD(&w, GATEWAY(HTTP ", " HTTPS), secret, grant, clients_ca, POLICY("", VALIDATION("")));
    assert_loaded(&w);
    assert_told(&w, FINDING_WARNING, "clientValidation does not hold on listener \"h\"");
    unload(&w);
    LOAD(&w, GATEWAY(HTTP ", " HTTPS), secret, grant, clients_ca, POLICY(", sectionName: h", VALIDATION("")));
    assert_null(w.config);
    assert_told(&w, FINDING_ERROR, "clientValidation does not hold on listener \"h\"");
    unload(&w);
}

#define TLS_ROUTE(section, hosts)                                                                                      \
    "apiVersion: gateway.networking.k8s.io/v1alpha2\n"                                                                 \
    "kind: TLSRoute\n"                                                                                                 \
    "metadata: {name: r, namespace: app}\n"                                                                            \
    "spec:\n"                                                                                                          \
    "  parentRefs: [{name: g, sectionName: " section "}]\n"                                                            \
    "  hostnames: [" hosts "]\n"                                                                                       \
    "  rules: [{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]}]\n"                             \
    "---\n"                                                                                                            \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\n"                                                                     \
    "kind: Backend\n"                                                                                                  \
    "metadata: {name: b, namespace: app}\n"                                                                            \
    "spec: {endpoints: [{ip: {address: 10.0.0.1, port: 443}}]}\n"

static void test_tls_routes(void **state)
{
    struct world w;
    (void)state;
    LOAD(&w, GATEWAY(PASS ", " HTTPS), secret, grant, TLS_ROUTE("p", "a.x.com"));
    assert_loaded(&w);
    assert_int_equal(w.config->listeners[0].protocol, LISTENER_PASSTHROUGH);
    assert_int_equal(w.config->listeners[0].route_count, 1);
    assert_int_equal(w.config->listeners[1].route_count, 0);
    assert_int_equal(w.config->listeners[0].routes[0]->kind, ROUTE_TLS);
    assert_int_equal(w.config->listeners[0].routes[0]->rules[0].refs[0].backend->endpoint_count, 1);
    assert_int_equal(w.findings.count, 0); // port 443 without TLS settings is right here
    unload(&w);
    LOAD(&w, GATEWAY(PASS ", " HTTPS), secret, grant, TLS_ROUTE("s", "a.x.com"));
    assert_told(&w, FINDING_ERROR, "its listeners are of another protocol");
    unload(&w);
    LOAD(&w, GATEWAY(PASS), TLS_ROUTE("p", "a.y.com"));
    assert_told(&w, FINDING_ERROR, "none of the route's hostnames");
    unload(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_clients_without_tls),
        cmocka_unit_test(test_tls_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
