// TLS of both sides: certificates, authorities, versions and algorithms.
#include "config/base64.h"
#include "config/resolve_parts.h"

#define HASH_BYTES 32 // SHA-256

// ---- certificates and authorities -----------------------------------------------------------------------------

static struct slice optional_datum(const struct resource *resource, struct slice key)
{
    const struct datum *datum = resource_datum(resource, key);
    return datum ? datum->value : (struct slice){NULL, 0};
}

static struct config_certificate read_certificate(struct resolver *resolver, const struct resource *owner,
                                                  const struct node *ref)
{
    struct config_certificate certificate = {.mark = node_mark(ref)};
    struct mark mark;
    const struct resource *found = resolve_granted(resolver, owner, ref, KIND_SECRET, &mark);
    if (!found)
        return certificate;
    certificate.mark = mark;
    certificate.secret =
        arena_printf(resolver->arena, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(found->namespace_), SLICE_ARG(found->name));
    resolve_datum(resolver, found, SLICE("tls.crt"), mark, &certificate.chain_pem);
    resolve_datum(resolver, found, SLICE("tls.key"), mark, &certificate.key_pem.hidden);
    certificate.ocsp = optional_datum(found, SLICE("tls.ocsp-staple"));
    return certificate;
}

static void append(struct resolver *resolver, struct slice *all, struct slice more)
{
    struct slice parts[] = {*all, more, SLICE("\n")};
    if (!more.len)
        return;
    *all = arena_join(resolver->arena, parts, 3);
    resolver->has_failed |= !all->ptr;
}

static void add_authority(struct resolver *resolver, const struct resource *owner, const struct node *ref,
                          struct config_trust *trust)
{
    bool is_map = slice_eq(node_get_text(ref, SLICE("kind")), SLICE("ConfigMap"));
    struct slice ca = {NULL, 0};
    struct mark mark;
    const struct resource *found = resolve_granted(resolver, owner, ref, is_map ? KIND_CONFIG_MAP : KIND_SECRET, &mark);
    if (!found || !resolve_datum(resolver, found, SLICE("ca.crt"), mark, &ca))
        return;
    if (slice_find_slice(ca, SLICE("-----BEGIN CERTIFICATE-----")) == SLICE_NOT_FOUND)
        finding_error(resolver->findings, mark,
                      "entry ca.crt of " SLICE_FMT " " SLICE_FMT "/" SLICE_FMT
                      " has no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
                      SLICE_ARG(found->kind_name), SLICE_ARG(found->namespace_), SLICE_ARG(found->name));
    append(resolver, &trust->ca_pem, ca);
    append(resolver, &trust->crl_pem, optional_datum(found, SLICE("ca.crl")));
}

// All authorities, one after the other. A reference that fails is a finding, so that no empty text is ever taken for the
// system's store.
static struct config_trust read_trust(struct resolver *resolver, const struct resource *owner, const struct node *refs)
{
    struct config_trust trust = {.mark = node_mark(refs)};
    for (const struct node *ref = node_first(refs); ref; ref = ref->next)
        add_authority(resolver, owner, ref, &trust);
    return trust;
}

// ---- versions and algorithms ----------------------------------------------------------------------------------

static uint16_t version_of(struct slice text, uint16_t absent)
{
    if (slice_eq(text, SLICE("1.3")))
        return 0x0304;
    return slice_eq(text, SLICE("1.2")) ? 0x0303 : absent;
}

// OpenSSL's lists have ":" between their names.
static struct config_text join_names(struct resolver *resolver, const struct node *list)
{
    struct slice all = {NULL, 0};
    for (const struct node *item = node_first(list); item; item = item->next) {
        struct slice parts[] = {all, all.len ? SLICE(":") : SLICE(""), node_text(item)};
        all = arena_join(resolver->arena, parts, 3);
        resolver->has_failed |= !all.ptr;
    }
    return (struct config_text){.text = all, .mark = node_mark(list)};
}

static struct config_tls_choice read_choice(struct resolver *resolver, const struct node *says)
{
    const struct node *alpn = node_get(says, SLICE("alpnProtocols"));
    struct config_tls_choice choice = {
        .min_version = version_of(node_get_text(says, SLICE("minVersion")), 0x0303),
        .max_version = version_of(node_get_text(says, SLICE("maxVersion")), 0x0304),
        .ciphers = join_names(resolver, node_get(says, SLICE("ciphers"))),
        .curves = join_names(resolver, node_get(says, SLICE("ecdhCurves"))),
        .signature_algorithms = join_names(resolver, node_get(says, SLICE("signatureAlgorithms"))),
        .has_alpn = alpn != NULL,
    };
    for (const struct node *item = node_first(alpn); item; item = item->next) {
        choice.offers_h2 |= slice_eq(node_text(item), SLICE("h2"));
        choice.offers_http_1 |= slice_eq(node_text(item), SLICE("http/1.1"));
    }
    return choice;
}

// ---- towards backends -----------------------------------------------------------------------------------------

static struct config_alt_name *read_alt_names(struct resolver *resolver, const struct node *list, size_t *ret_count)
{
    struct config_alt_name *names = RESOLVE_ARRAY(resolver, struct config_alt_name, node_count(list));
    for (const struct node *item = node_first(list); names && item; item = item->next) {
        bool is_uri = slice_eq(node_get_text(item, SLICE("type")), SLICE("URI"));
        names[(*ret_count)++] = (struct config_alt_name){
            is_uri ? ALT_NAME_URI : ALT_NAME_DNS, node_get_text(item, is_uri ? SLICE("uri") : SLICE("hostname"))};
    }
    return names;
}

static struct config_certificate *read_own_certificate(struct resolver *resolver, const struct resource *backend,
                                                       const struct node *ref)
{
    struct config_certificate *certificate = ref ? RESOLVE_ARRAY(resolver, struct config_certificate, 1) : NULL;
    if (certificate)
        *certificate = read_certificate(resolver, backend, ref);
    return certificate;
}

// BackendTLSPolicy over Backend.spec.tls, field by field where both speak of the same (config-model.md 2.3).
struct config_tls resolve_tls(struct resolver *resolver, const struct resource *backend)
{
    const struct node *own = node_get(backend->spec, SLICE("tls"));
    const struct resource *policy = policy_for(&resolver->tls, resolver->arena, "Backend", backend, SLICE(""));
    const struct node *validation = policy ? node_get(policy->spec, SLICE("validation")) : NULL;
    if (!own && !policy)
        return (struct config_tls){.is_enabled = false};
    const struct resource *owner = policy ? policy : backend;
    const struct node *says = policy ? validation : own;
    struct slice name = node_get_text(says, policy ? SLICE("hostname") : SLICE("sni"));
    struct config_tls tls = {
        .is_enabled = true,
        .sni = name,
        .verify_name = name,
        .trust = read_trust(resolver, owner, node_get(says, SLICE("caCertificateRefs"))),
        .is_unverified = !policy && node_get_bool(own, SLICE("insecureSkipVerify"), false),
        .choice = read_choice(resolver, own),
        .certificate = read_own_certificate(resolver, backend, node_get(own, SLICE("clientCertificateRef"))),
        .mark = says ? node_mark(says) : owner->mark,
    };
    if (policy)
        tls.names = read_alt_names(resolver, node_get(validation, SLICE("subjectAltNames")), &tls.name_count);
    return tls;
}

static struct slice full_name(struct resolver *resolver, const struct resource *resource)
{
    return arena_printf(resolver->arena, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(resource->namespace_),
                        SLICE_ARG(resource->name));
}

void resolve_tls_defaults(struct resolver *resolver, const struct resource *envoy_proxy)
{
    const struct node *ref = node_path(envoy_proxy->spec, SLICE("backendTLS.clientCertificateRef"));
    struct slice name = full_name(resolver, envoy_proxy);
    if (!ref || map_get(&resolver->certificates, name))
        return;
    struct config_certificate *certificate = read_own_certificate(resolver, envoy_proxy, ref);
    resolver->has_failed |= !certificate || !name.ptr || !map_put(&resolver->certificates, name, certificate);
}

void resolve_apply_tls_defaults(struct resolver *resolver, const struct resource *envoy_proxy, const struct node *own,
                                struct config_tls *tls)
{
    const struct node *says = node_get(envoy_proxy->spec, SLICE("backendTLS"));
    struct config_tls_choice theirs = read_choice(resolver, says), *choice = &tls->choice;
    if (!tls->certificate)
        tls->certificate = map_get(&resolver->certificates, full_name(resolver, envoy_proxy));
    if (!node_get(own, SLICE("minVersion")))
        choice->min_version = theirs.min_version;
    if (!node_get(own, SLICE("maxVersion")))
        choice->max_version = theirs.max_version;
    if (!node_get(own, SLICE("ciphers")))
        choice->ciphers = theirs.ciphers;
    if (!node_get(own, SLICE("ecdhCurves")))
        choice->curves = theirs.curves;
    if (!node_get(own, SLICE("signatureAlgorithms")))
        choice->signature_algorithms = theirs.signature_algorithms;
    if (!node_get(own, SLICE("alpnProtocols"))) {
        choice->has_alpn = theirs.has_alpn;
        choice->offers_h2 = theirs.offers_h2;
        choice->offers_http_1 = theirs.offers_http_1;
    }
    if (choice->min_version > choice->max_version)
        finding_error(resolver->findings, tls->mark,
                      "minVersion is above maxVersion together with backendTLS of EnvoyProxy " SLICE_FMT "/" SLICE_FMT,
                      SLICE_ARG(envoy_proxy->namespace_), SLICE_ARG(envoy_proxy->name));
}

// ---- towards clients ------------------------------------------------------------------------------------------

static void tell_no_hash(struct resolver *resolver, const struct node *item, const char *form)
{
    finding_error(resolver->findings, node_mark(item), "this is no SHA-256 in %s", form);
}

static struct slice read_base64_hash(struct resolver *resolver, const struct node *item)
{
    struct slice hash = {NULL, 0};
    if (!base64_decode(node_text(item), resolver->arena, &hash) || hash.len != HASH_BYTES)
        tell_no_hash(resolver, item, "base64 (44 characters)");
    return hash;
}

static int hex_value(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// 64 digits, with a colon between the bytes or without.
static struct slice read_hex_hash(struct resolver *resolver, const struct node *item)
{
    struct slice text = node_text(item);
    char *hash = RESOLVE_ARRAY(resolver, char, HASH_BYTES);
    size_t step = text.len == 3 * HASH_BYTES - 1 ? 3 : 2;
    bool is_good = hash && text.len == (step == 3 ? 3 * HASH_BYTES - 1 : 2 * HASH_BYTES);
    for (size_t i = 0; is_good && i < HASH_BYTES; i++) {
        int high = hex_value(text.ptr[i * step]), low = hex_value(text.ptr[i * step + 1]);
        is_good = high >= 0 && low >= 0 && (step == 2 || i + 1 == HASH_BYTES || text.ptr[i * step + 2] == ':');
        if (is_good)
            hash[i] = (char)(high << 4 | low);
    }
    if (!is_good)
        tell_no_hash(resolver, item, "hexadecimal digits (64, perhaps with colons)");
    return slice_make(hash, HASH_BYTES);
}

static struct slice *read_hashes(struct resolver *resolver, const struct node *list, bool is_hex, size_t *ret_count)
{
    struct slice *hashes = RESOLVE_ARRAY(resolver, struct slice, node_count(list));
    for (const struct node *item = node_first(list); hashes && item; item = item->next) {
        struct slice hash = is_hex ? read_hex_hash(resolver, item) : read_base64_hash(resolver, item);
        if (hash.len == HASH_BYTES)
            hashes[(*ret_count)++] = hash;
    }
    return hashes;
}

// Addresses are compared as they are written, so that exact ones are written as the host writes those of certificates.
static struct slice read_client_name(struct resolver *resolver, const struct config_client_name *name,
                                     const struct node *item)
{
    char text[IP_TEXT_MAX];
    struct ip ip;
    struct slice value = node_get_text(item, SLICE("value"));
    if (name->kind != CLIENT_NAME_IP || name->how != NAME_EXACT)
        return value;
    if (!ip_parse(value, &ip)) {
        finding_error(resolver->findings, node_mark(node_get(item, SLICE("value"))),
                      "this is no IP address; for a part of one use type Prefix or Suffix");
        return value;
    }
    value = arena_dup(resolver->arena, slice_make(text, ip_write(&ip, text)));
    resolver->has_failed |= !value.ptr;
    return value;
}

static void read_client_names(struct resolver *resolver, const struct node *names, struct config_server_tls *server)
{
    static const struct slice lists[] = {
        [CLIENT_NAME_DNS] = SLICE_INIT("dnsNames"),
        [CLIENT_NAME_EMAIL] = SLICE_INIT("emailAddresses"),
        [CLIENT_NAME_IP] = SLICE_INIT("ipAddresses"),
        [CLIENT_NAME_URI] = SLICE_INIT("uris"),
    };
    size_t count = 0, kinds = sizeof lists / sizeof lists[0];
    for (size_t kind = 0; kind < kinds; kind++)
        count += node_count(node_get(names, lists[kind]));
    server->client_names = RESOLVE_ARRAY(resolver, struct config_client_name, count);
    for (size_t kind = 0; kind < kinds && server->client_names; kind++)
        for (const struct node *item = node_first(node_get(names, lists[kind])); item; item = item->next) {
            struct config_client_name *name = &server->client_names[server->client_name_count++];
            struct slice type = node_get_text(item, SLICE("type"));
            name->kind = (enum config_client_name_kind)kind;
            name->how = slice_eq(type, SLICE("Prefix"))   ? NAME_PREFIX
                        : slice_eq(type, SLICE("Suffix")) ? NAME_SUFFIX
                                                          : NAME_EXACT;
            name->value = read_client_name(resolver, name, item);
        }
}

static void read_lists(struct resolver *resolver, const struct resource *owner, const struct node *crl,
                       struct config_trust *trust)
{
    trust->is_crl_for_leaf = node_get_bool(crl, SLICE("onlyVerifyLeafCertificate"), false);
    for (const struct node *ref = node_first(node_get(crl, SLICE("refs"))); ref; ref = ref->next) {
        bool is_map = slice_eq(node_get_text(ref, SLICE("kind")), SLICE("ConfigMap"));
        struct slice list = {NULL, 0};
        struct mark mark;
        const struct resource *found =
            resolve_granted(resolver, owner, ref, is_map ? KIND_CONFIG_MAP : KIND_SECRET, &mark);
        if (found && resolve_datum(resolver, found, SLICE("ca.crl"), mark, &list))
            append(resolver, &trust->crl_pem, list);
    }
}

static void read_validation(struct resolver *resolver, const struct resource *policy, const struct node *validation,
                            struct config_server_tls *server)
{
    if (!validation)
        return;
    server->asks_client = true;
    server->is_client_optional = node_get_bool(validation, SLICE("optional"), false);
    server->client_trust = read_trust(resolver, policy, node_get(validation, SLICE("caCertificateRefs")));
    read_lists(resolver, policy, node_get(validation, SLICE("crl")), &server->client_trust);
    server->client_hashes =
        read_hashes(resolver, node_get(validation, SLICE("certificateHashes")), true, &server->client_hash_count);
    server->client_key_hashes =
        read_hashes(resolver, node_get(validation, SLICE("spkiHashes")), false, &server->client_key_hash_count);
    read_client_names(resolver, node_get(validation, SLICE("subjectAltNames")), server);
}

struct config_server_tls resolve_server_tls(struct resolver *resolver, const struct resource *gateway,
                                            const struct node *listener, const struct resource *policy)
{
    const struct node *tls = node_get(listener, SLICE("tls"));
    const struct node *refs = node_get(tls, SLICE("certificateRefs"));
    const struct node *says = policy ? node_get(policy->spec, SLICE("tls")) : NULL;
    struct config_server_tls server = {
        .certificates = RESOLVE_ARRAY(resolver, struct config_certificate, node_count(refs)),
        .choice = read_choice(resolver, says),
        .mark = node_mark(tls),
    };
    if (says)
        read_validation(resolver, policy, node_get(says, SLICE("clientValidation")), &server);
    for (const struct node *ref = node_first(refs); server.certificates && ref; ref = ref->next)
        server.certificates[server.certificate_count++] = read_certificate(resolver, gateway, ref);
    return server;
}
