#include "host/envoy/bootstrap/tls.h"

#include <stdio.h>

#include "config/base64.h"
#include "host/envoy/bootstrap/algorithms.h"
#include "host/envoy/bootstrap/keys.h"

#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"
#define SERVER_CURVES "X25519:P-256:P-384" // as the native host's (tls_server.c); Envoy alone takes less
#define TLS_TYPE "envoy.extensions.transport_sockets.tls.v3."

// ---- versions and algorithms ----------------------------------------------------------------------------------

// Once for each place: backends may share a Secret or an EnvoyProxy.
static void tell(struct findings *findings, struct mark mark, struct slice text)
{
    if (text.ptr && !findings_know(findings, mark, text))
        finding_error(findings, mark, SLICE_FMT, SLICE_ARG(text));
}

static void check_names(enum algorithm_kind kind, const char *field, const struct config_text *list,
                        struct findings *findings)
{
    struct slice rest = list->text, name;
    while (algorithm_next(&rest, &name))
        if (!algorithm_name(kind, name).len)
            tell(findings, list->mark,
                 arena_printf(findings->arena,
                              "%s: Envoy's TLS library (BoringSSL) has no \"" SLICE_FMT
                              "\"; take it out, or use weir run",
                              field, SLICE_ARG(name)));
}

static void check_key(const struct config_certificate *certificate, struct findings *findings)
{
    if (!key_is_known(certificate))
        tell(findings, certificate->mark,
             arena_printf(findings->arena,
                          "Secret " SLICE_FMT
                          ": Envoy takes keys of RSA, ECDSA (P-256, P-384, P-521) and Ed25519 alone; "
                          "take another certificate, or use weir run",
                          SLICE_ARG(certificate->secret)));
}

void bootstrap_check_tls(const struct config_tls_choice *choice, const struct config_certificate *certificates,
                         size_t count, struct findings *findings)
{
    for (size_t i = 0; i < count; i++)
        check_key(&certificates[i], findings);
    check_names(ALGORITHM_CIPHER, "ciphers", &choice->ciphers, findings);
    check_names(ALGORITHM_CURVE, "ecdhCurves", &choice->curves, findings);
    check_names(ALGORITHM_SIGNATURE, "signatureAlgorithms", &choice->signature_algorithms, findings);
}

static void emit_names(struct emit *emit, const char *key, enum algorithm_kind kind, struct slice list)
{
    struct slice name;
    if (!list.len)
        return;
    emit_list(emit, key);
    while (algorithm_next(&list, &name))
        emit_text(emit, "", algorithm_name(kind, name));
    emit_list_end(emit);
}

static void emit_params(struct emit *emit, const struct config_tls_choice *choice, struct slice preset_curves)
{
    emit_object(emit, "tls_params");
    emit_cstr(emit, "tls_minimum_protocol_version", choice->min_version == 0x0304 ? "TLSv1_3" : "TLSv1_2");
    emit_cstr(emit, "tls_maximum_protocol_version", choice->max_version == 0x0303 ? "TLSv1_2" : "TLSv1_3");
    emit_names(emit, "cipher_suites", ALGORITHM_CIPHER, choice->ciphers.text);
    emit_names(emit, "ecdh_curves", ALGORITHM_CURVE, choice->curves.text.len ? choice->curves.text : preset_curves);
    emit_names(emit, "signature_algorithms", ALGORITHM_SIGNATURE, choice->signature_algorithms.text);
    emit_end(emit);
}

static void emit_alpn(struct emit *emit, bool offers_h2, bool offers_http_1)
{
    if (!offers_h2 && !offers_http_1)
        return;
    emit_list(emit, "alpn_protocols");
    if (offers_h2)
        emit_cstr(emit, "", "h2");
    if (offers_http_1)
        emit_cstr(emit, "", "http/1.1");
    emit_list_end(emit);
}

// ---- certificates ---------------------------------------------------------------------------------------------

static void emit_inline(struct emit *emit, const char *key, struct slice text)
{
    emit_object(emit, key);
    emit_text(emit, "inline_string", text);
    emit_end(emit);
}

static void emit_bytes(struct emit *emit, const char *key, struct slice bytes)
{
    struct arena arena;
    arena_init(&arena, 4096, SIZE_MAX);
    struct slice text = base64_encode(bytes, SLICE(""), &arena);
    emit_object(emit, key);
    emit_text(emit, "inline_bytes", text);
    emit_end(emit);
    emit->buf->has_failed |= !text.ptr;
    arena_fini(&arena);
}

static void emit_certificate(struct emit *emit, const struct config_certificate *certificate)
{
    emit_inline(emit, "certificate_chain", certificate->chain_pem);
    emit_inline(emit, "private_key", secret_reveal(certificate->key_pem));
    if (certificate->ocsp.len)
        emit_bytes(emit, "ocsp_staple", certificate->ocsp);
}

void bootstrap_secret(struct emit *emit, const struct config_certificate *certificate)
{
    emit_any(emit, "", TLS_TYPE "Secret");
    emit_text(emit, "name", certificate->secret);
    emit_object(emit, "tls_certificate");
    emit_certificate(emit, certificate);
    emit_end(emit);
    emit_end(emit);
}

// With xDS, secrets of their own: a renewed certificate then replaces no listener and no cluster.
static void emit_followed(const struct bootstrap *bootstrap, struct emit *emit,
                          const struct config_certificate *certificate)
{
    char file[BOOTSTRAP_FILE_MAX];
    bootstrap_secret_file(certificate, file);
    emit_object(emit, "");
    emit_text(emit, "name", certificate->secret);
    bootstrap_source(bootstrap, emit, "sds_config", file);
    emit_end(emit);
}

static void emit_certificates(const struct bootstrap *bootstrap, struct emit *emit,
                              const struct config_certificate *certificates, size_t count)
{
    bool is_followed = bootstrap->xds_dir.len > 0;
    emit_list(emit, is_followed ? "tls_certificate_sds_secret_configs" : "tls_certificates");
    for (size_t i = 0; i < count; i++) {
        if (is_followed) {
            emit_followed(bootstrap, emit, &certificates[i]);
            continue;
        }
        emit_object(emit, "");
        emit_certificate(emit, &certificates[i]);
        emit_end(emit);
    }
    emit_list_end(emit);
}

// ---- whom to trust --------------------------------------------------------------------------------------------

static void emit_trust(struct emit *emit, const struct config_trust *trust)
{
    emit_object(emit, "trusted_ca");
    if (trust->ca_pem.len)
        emit_text(emit, "inline_string", trust->ca_pem);
    else
        emit_cstr(emit, "filename", SYSTEM_CA);
    emit_end(emit);
    if (!trust->crl_pem.len)
        return;
    emit_inline(emit, "crl", trust->crl_pem);
    emit_bool(emit, "only_verify_leaf_cert_crl", trust->is_crl_for_leaf);
}

// ---- towards clients ------------------------------------------------------------------------------------------

static void emit_hashes(struct emit *emit, const struct config_server_tls *tls)
{
    if (tls->client_hash_count)
        emit_list(emit, "verify_certificate_hash");
    for (size_t i = 0; i < tls->client_hash_count; i++) {
        char text[65];
        for (size_t at = 0; at < tls->client_hashes[i].len; at++)
            snprintf(text + 2 * at, 3, "%02x", (unsigned char)tls->client_hashes[i].ptr[at]);
        emit_cstr(emit, "", text);
    }
    if (tls->client_hash_count)
        emit_list_end(emit);
    if (!tls->client_key_hash_count)
        return;
    struct arena arena;
    arena_init(&arena, 4096, SIZE_MAX);
    emit_list(emit, "verify_certificate_spki");
    for (size_t i = 0; i < tls->client_key_hash_count; i++)
        emit_text(emit, "", base64_encode(tls->client_key_hashes[i], SLICE(""), &arena));
    emit_list_end(emit);
    arena_fini(&arena);
}

// Names of DNS compare without case, all others with it (tls_names.c); an exact one of DNS does so in Envoy anyway.
static void emit_client_name(struct emit *emit, const struct config_client_name *name)
{
    static const char *const kinds[] = {[CLIENT_NAME_DNS] = "DNS",
                                        [CLIENT_NAME_EMAIL] = "EMAIL",
                                        [CLIENT_NAME_IP] = "IP_ADDRESS",
                                        [CLIENT_NAME_URI] = "URI"};
    static const char *const ways[] = {[NAME_EXACT] = "exact", [NAME_PREFIX] = "prefix", [NAME_SUFFIX] = "suffix"};
    emit_object(emit, "");
    emit_cstr(emit, "san_type", kinds[name->kind]);
    emit_object(emit, "matcher");
    emit_text(emit, ways[name->how], name->value);
    if (name->kind == CLIENT_NAME_DNS)
        emit_bool(emit, "ignore_case", true);
    emit_end(emit);
    emit_end(emit);
}

static void emit_client_validation(struct emit *emit, const struct config_server_tls *tls)
{
    emit_object(emit, "validation_context");
    emit_trust(emit, &tls->client_trust);
    emit_hashes(emit, tls);
    if (tls->client_name_count) {
        emit_list(emit, "match_typed_subject_alt_names");
        for (size_t i = 0; i < tls->client_name_count; i++)
            emit_client_name(emit, &tls->client_names[i]);
        emit_list_end(emit);
    }
    emit_end(emit);
}

void bootstrap_server_tls(const struct bootstrap *bootstrap, struct emit *emit, const struct config_server_tls *tls)
{
    const struct config_tls_choice *choice = &tls->choice;
    emit_typed(emit, "transport_socket", "envoy.transport_sockets.tls", TLS_TYPE "DownstreamTlsContext");
    if (tls->asks_client)
        emit_bool(emit, "require_client_certificate", !tls->is_client_optional);
    emit_object(emit, "common_tls_context");
    emit_params(emit, choice, SLICE(SERVER_CURVES));
    emit_alpn(emit, !choice->has_alpn || choice->offers_h2, !choice->has_alpn || choice->offers_http_1);
    emit_certificates(bootstrap, emit, tls->certificates, tls->certificate_count);
    if (tls->asks_client)
        emit_client_validation(emit, tls);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}

// ---- towards backends -----------------------------------------------------------------------------------------

static void emit_alt_name(struct emit *emit, const char *type, struct slice name)
{
    emit_object(emit, "");
    emit_cstr(emit, "san_type", type);
    emit_object(emit, "matcher");
    emit_text(emit, "exact", name);
    emit_end(emit);
    emit_end(emit);
}

// An address is compared as Envoy writes it.
static void emit_name(struct emit *emit, struct slice name)
{
    char text[IP_TEXT_MAX];
    struct ip ip;
    if (ip_parse(name, &ip))
        emit_alt_name(emit, "IP_ADDRESS", slice_make(text, ip_write(&ip, text)));
    else
        emit_alt_name(emit, "DNS", name);
}

static void emit_validation(struct emit *emit, const struct config_tls *tls, struct slice name)
{
    if (tls->is_unverified)
        return;
    emit_object(emit, "validation_context");
    emit_trust(emit, &tls->trust);
    emit_list(emit, "match_typed_subject_alt_names");
    if (!tls->name_count)
        emit_name(emit, name);
    for (size_t i = 0; i < tls->name_count; i++)
        emit_alt_name(emit, tls->names[i].type == ALT_NAME_URI ? "URI" : "DNS", tls->names[i].name);
    emit_list_end(emit);
    emit_end(emit);
}

void bootstrap_backend_tls(const struct bootstrap *bootstrap, struct emit *emit, const struct config_tls *tls,
                           struct slice host, bool offers_h2, bool offers_http_1)
{
    struct slice sni = tls->sni.len ? tls->sni : host;
    struct ip ip;
    emit_typed(emit, "transport_socket", "envoy.transport_sockets.tls", TLS_TYPE "UpstreamTlsContext");
    if (!ip_parse(sni, &ip)) // no addresses in SNI (RFC 6066 section 3)
        emit_text(emit, "sni", sni);
    emit_object(emit, "common_tls_context");
    emit_params(emit, &tls->choice, SLICE(""));
    if (tls->certificate)
        emit_certificates(bootstrap, emit, tls->certificate, 1);
    emit_validation(emit, tls, tls->verify_name.len ? tls->verify_name : sni);
    emit_alpn(emit, offers_h2, offers_http_1);
    emit_end(emit);
    emit_end(emit);
    emit_end(emit);
}
