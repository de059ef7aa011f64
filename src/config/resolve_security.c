// How Weir knows a backend (TLS) and how it shows itself to it (credentials).
#include "config/resolve_parts.h"

// ---- TLS ------------------------------------------------------------------------------------------------------

static struct slice ca_text(struct resolver *resolver, const struct resource *owner, const struct node *ref)
{
    bool is_secret = slice_eq(node_get_text(ref, SLICE("kind")), SLICE("Secret"));
    struct reference reference = {node_get_text(ref, SLICE("name")), owner->namespace_,
                                  node_mark(node_get(ref, SLICE("name")))};
    const struct resource *found = resolve_find(resolver, is_secret ? KIND_SECRET : KIND_CONFIG_MAP, &reference);
    struct slice text = {NULL, 0};
    if (found && resolve_datum(resolver, found, SLICE("ca.crt"), reference.mark, &text) &&
        slice_find_slice(text, SLICE("-----BEGIN CERTIFICATE-----")) == SLICE_NOT_FOUND)
        finding_error(resolver->findings, reference.mark,
                      "entry ca.crt of " SLICE_FMT " " SLICE_FMT "/" SLICE_FMT
                      " has no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
                      SLICE_ARG(found->kind_name), SLICE_ARG(found->namespace_), SLICE_ARG(found->name));
    return text;
}

// All authorities, one after the other. A reference that fails is a finding, so that no empty text is ever taken for the
// system's store.
static struct slice ca_texts(struct resolver *resolver, const struct resource *owner, const struct node *refs)
{
    struct slice all = {NULL, 0};
    for (const struct node *ref = node_first(refs); ref; ref = ref->next) {
        struct slice parts[] = {all, ca_text(resolver, owner, ref), SLICE("\n")};
        all = arena_join(resolver->arena, parts, 3);
        resolver->has_failed |= !all.ptr;
    }
    return all;
}

static uint16_t min_version(struct slice text)
{
    return slice_eq(text, SLICE("1.3")) ? 0x0304 : 0x0303;
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
    return (struct config_tls){
        .is_enabled = true,
        .sni = name,
        .verify_name = name,
        .ca_pem = ca_texts(resolver, owner, node_get(says, SLICE("caCertificateRefs"))),
        .is_unverified = !policy && node_get_bool(own, SLICE("insecureSkipVerify"), false),
        .min_version = min_version(node_get_text(own, SLICE("minVersion"))),
        .mark = says ? node_mark(says) : owner->mark,
    };
}

// ---- credentials ----------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    const char *block;
    const char *override_header;
    enum config_credential_type type;
} credentials[] = {
    {"APIKey", "apiKey", "x-aigw-api-key", CREDENTIAL_API_KEY},
    {"AzureAPIKey", "azureAPIKey", "x-aigw-azure-api-key", CREDENTIAL_AZURE_API_KEY},
    {"AnthropicAPIKey", "anthropicAPIKey", "x-aigw-anthropic-api-key", CREDENTIAL_ANTHROPIC_API_KEY},
};

static bool has_control_byte(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

static struct secret read_key(struct resolver *resolver, const struct resource *policy, const struct node *ref)
{
    struct reference reference = {node_get_text(ref, SLICE("name")), policy->namespace_,
                                  node_mark(node_get(ref, SLICE("name")))};
    const struct resource *found = resolve_find(resolver, KIND_SECRET, &reference);
    struct secret key = {{NULL, 0}};
    if (found && resolve_datum(resolver, found, SLICE("apiKey"), reference.mark, &key.hidden) &&
        has_control_byte(key.hidden))
        finding_error(resolver->findings, reference.mark,
                      "entry apiKey of Secret " SLICE_FMT "/" SLICE_FMT
                      " has control bytes or several lines; it must be "
                      "one line of text",
                      SLICE_ARG(found->namespace_), SLICE_ARG(found->name));
    return key;
}

static struct slice lower(struct resolver *resolver, struct slice name)
{
    char *out = RESOLVE_ARRAY(resolver, char, name.len);
    for (size_t i = 0; out && i < name.len; i++)
        out[i] = ascii_lower(name.ptr[i]);
    return slice_make(out, out ? name.len : 0);
}

static void read_override(struct resolver *resolver, const struct node *spec, const char *preset,
                          struct config_credential *credential)
{
    const struct node *from = node_path(spec, SLICE("credentialOverride.fromRequestHeaders"));
    struct slice header = node_get_text(from, SLICE("header"));
    if (!from)
        return;
    credential->override_header = header.len ? lower(resolver, header) : slice_from_cstr(preset);
    credential->override_falls_back = node_get_bool(from, SLICE("fallbackToConfigured"), true);
}

struct config_credential resolve_credential(struct resolver *resolver, const struct resource *backend)
{
    struct config_credential credential = {.type = CREDENTIAL_NONE};
    const struct resource *policy =
        policy_for(&resolver->credentials, resolver->arena, "AIServiceBackend", backend, SLICE(""));
    for (size_t i = 0; policy && i < sizeof credentials / sizeof credentials[0]; i++) {
        const struct node *block = node_get(policy->spec, slice_from_cstr(credentials[i].block));
        if (!slice_eq(node_get_text(policy->spec, SLICE("type")), slice_from_cstr(credentials[i].name)) || !block)
            continue;
        credential.type = credentials[i].type;
        credential.mark = policy->mark;
        credential.key = read_key(resolver, policy, node_get(block, SLICE("secretRef")));
        read_override(resolver, policy->spec, credentials[i].override_header, &credential);
    }
    return credential;
}
