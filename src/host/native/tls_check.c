// Every certificate is tried as it will be used.
#include "host/native/tls_check.h"

#include "host/native/tls.h"
#include "host/native/tls_parts.h"
#include "host/native/tls_pem.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY_S 86400
#define SOON_S (7 * (int64_t)DAY_S)

struct check {
    struct findings *findings;
    int64_t now_s;
};

// Findings of one place are told once: several listeners may share a Secret's reference, several endpoints a backend.
static void tell(const struct check *check, struct mark mark, const char *what, struct slice name, const char *why)
{
    struct slice text = arena_printf(check->findings->arena, "%s%s" SLICE_FMT "%s%s", what, name.len ? " " : "",
                                     SLICE_ARG(name), what[0] ? ": " : "", why);
    if (text.ptr && !findings_know(check->findings, mark, text))
        finding_error(check->findings, mark, SLICE_FMT, SLICE_ARG(text));
}

// ---- certificates -------------------------------------------------------------------------------------------------

static void check_dates(const struct check *check, const struct config_certificate *certificate, X509 *leaf)
{
    int64_t until_s = pem_until(leaf), from_s = pem_from(leaf);
    if (until_s <= check->now_s)
        finding_warn(check->findings, certificate->mark,
                     "Secret " SLICE_FMT ": the certificate expired %lld days ago; nobody will accept it",
                     SLICE_ARG(certificate->secret), (long long)((check->now_s - until_s) / DAY_S));
    else if (from_s > check->now_s)
        finding_warn(check->findings, certificate->mark,
                     "Secret " SLICE_FMT ": the certificate is not valid yet; is this machine's clock right?",
                     SLICE_ARG(certificate->secret));
    else if (until_s - check->now_s < SOON_S)
        finding_warn(check->findings, certificate->mark, "Secret " SLICE_FMT ": the certificate expires in %lld hours",
                     SLICE_ARG(certificate->secret), (long long)((until_s - check->now_s) / 3600));
}

static bool check_certificate(const struct check *check, const struct config_certificate *certificate)
{
    if (!certificate->chain_pem.len || !secret_is_set(certificate->key_pem))
        return false; // said when the reference was followed
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    const char *why = ssl ? pem_use_certificate(ssl, certificate) : "out of memory";
    X509 *leaf = pem_leaf(certificate->chain_pem);
    int64_t until_s;
    if (!why && certificate->ocsp.len)
        why = pem_check_staple(certificate->ocsp, leaf, &until_s);
    if (why)
        tell(check, certificate->mark, "Secret", certificate->secret, why);
    else
        check_dates(check, certificate, leaf);
    X509_free(leaf);
    SSL_CTX_free(ssl);
    return !why;
}

static void check_name(const struct check *check, const struct config_certificate *certificate, struct slice hostname)
{
    char name[256];
    // A wildcard is asked for by a name under it.
    int len = snprintf(name, sizeof name, "%s" SLICE_FMT, hostname.ptr[0] == '*' ? "x" : "",
                       SLICE_ARG(slice_from(hostname, hostname.ptr[0] == '*' ? 1 : 0)));
    X509 *leaf = pem_leaf(certificate->chain_pem);
    if (leaf && len > 0 && (size_t)len < sizeof name && X509_check_host(leaf, name, (size_t)len, 0, NULL) != 1)
        finding_warn(check->findings, certificate->mark,
                     "Secret " SLICE_FMT ": the certificate is not for the listener's hostname \"" SLICE_FMT "\"",
                     SLICE_ARG(certificate->secret), SLICE_ARG(hostname));
    X509_free(leaf);
    ERR_clear_error();
}

// ---- trust and algorithms -----------------------------------------------------------------------------------------

static bool check_trust(const struct check *check, const struct config_trust *trust)
{
    if (!trust->ca_pem.len)
        return true;
    X509_STORE *store = X509_STORE_new();
    const char *why = store ? pem_use_trust(store, trust) : "out of memory";
    X509_STORE_free(store);
    ERR_clear_error();
    if (why)
        tell(check, trust->mark, "", SLICE(""), why);
    return !why;
}

static bool check_list(const struct check *check, struct mark mark, const struct config_tls_choice *one)
{
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    const char *why = ssl ? tls_set_choice(ssl, one, TLS1_2_VERSION, NULL, NULL) : "out of memory";
    SSL_CTX_free(ssl);
    if (why)
        tell(check, mark, "", SLICE(""), why);
    return !why;
}

static bool check_choice(const struct check *check, const struct config_tls_choice *choice)
{
    struct config_tls_choice ciphers = {.max_version = TLS1_3_VERSION, .ciphers = choice->ciphers};
    struct config_tls_choice curves = {.max_version = TLS1_3_VERSION, .curves = choice->curves};
    struct config_tls_choice signatures = {.max_version = TLS1_3_VERSION,
                                           .signature_algorithms = choice->signature_algorithms};
    bool is_good = check_list(check, choice->ciphers.mark, &ciphers);
    is_good = check_list(check, choice->curves.mark, &curves) && is_good;
    return check_list(check, choice->signature_algorithms.mark, &signatures) && is_good;
}

// ---- the two sides ------------------------------------------------------------------------------------------------

static void check_listener(const struct check *check, const struct config_listener *listener)
{
    const struct config_server_tls *tls = &listener->tls;
    bool is_good = check_choice(check, &tls->choice) && tls->certificate_count; // none: said already
    struct slice why;
    for (size_t i = 0; i < tls->certificate_count; i++) {
        bool is_usable = check_certificate(check, &tls->certificates[i]);
        if (is_usable && listener->hostname.len)
            check_name(check, &tls->certificates[i], listener->hostname);
        is_good = is_usable && is_good;
    }
    if (tls->asks_client)
        is_good = check_trust(check, &tls->client_trust) && tls->client_trust.ca_pem.len && is_good;
    if (!is_good)
        return;
    struct tls_server *server = tls_server_new(tls, check->findings->arena, &why);
    if (!server)
        finding_error(check->findings, tls->mark, SLICE_FMT, SLICE_ARG(why));
    tls_server_unref(server);
}

static void check_backend(const struct check *check, const struct config_tls *tls)
{
    check_choice(check, &tls->choice);
    check_trust(check, &tls->trust);
    if (tls->certificate)
        check_certificate(check, tls->certificate);
}

// Findings outlive the configuration, where the names of its files live.
static void adopt_files(struct findings *findings, size_t from)
{
    for (size_t i = from; i < findings->count; i++) {
        struct slice copy = arena_dup(findings->arena, findings->items[i].mark.file);
        findings->items[i].mark.file = copy.ptr ? copy : SLICE("");
    }
}

void tls_check(const struct config *config, int64_t now_s, struct findings *findings)
{
    struct check check = {findings, now_s};
    size_t first = findings->count;
    for (size_t i = 0; i < config->listener_count; i++)
        if (config->listeners[i].protocol == LISTENER_HTTPS)
            check_listener(&check, &config->listeners[i]);
    for (size_t i = 0; i < config->backend_count; i++)
        if (config->backends[i].tls.is_enabled)
            check_backend(&check, &config->backends[i].tls);
    adopt_files(findings, first);
    findings_sort(findings);
}
