// TLS of both sides: certificates, authorities, versions and algorithms.
#include "config/resolve_parts.h"

// ---- certificates and authorities -----------------------------------------------------------------------------

// The resource that a reference names, if it may be referred to.
static const struct resource *find_granted(struct resolver *resolver, const struct resource *owner,
                                           const struct node *ref, enum resource_kind kind, struct mark *ret_mark)
{
    struct reference reference = reference_of(ref, owner->namespace_);
    const struct resource *found = resolve_find(resolver, kind, &reference);
    *ret_mark = reference.mark;
    return found && resolve_may_refer(resolver, owner, found, reference.mark) ? found : NULL;
}

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
    const struct resource *found = find_granted(resolver, owner, ref, KIND_SECRET, &mark);
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
    const struct resource *found = find_granted(resolver, owner, ref, is_map ? KIND_CONFIG_MAP : KIND_SECRET, &mark);
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
    return (struct config_text){all, node_mark(list)};
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
    return (struct config_tls){
        .is_enabled = true,
        .sni = name,
        .verify_name = name,
        .trust = read_trust(resolver, owner, node_get(says, SLICE("caCertificateRefs"))),
        .is_unverified = !policy && node_get_bool(own, SLICE("insecureSkipVerify"), false),
        .choice = read_choice(resolver, own),
        .mark = says ? node_mark(says) : owner->mark,
    };
}

// ---- towards clients ------------------------------------------------------------------------------------------

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
    for (const struct node *ref = node_first(refs); server.certificates && ref; ref = ref->next)
        server.certificates[server.certificate_count++] = read_certificate(resolver, gateway, ref);
    return server;
}
