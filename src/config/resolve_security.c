// How Weir shows itself to a backend: credentials.
#include "config/resolve_parts.h"

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
    struct mark mark;
    const struct resource *found = resolve_granted(resolver, policy, ref, KIND_SECRET, &mark);
    struct secret key = {{NULL, 0}};
    if (found && resolve_datum(resolver, found, SLICE("apiKey"), mark, &key.hidden) && has_control_byte(key.hidden))
        finding_error(resolver->findings, mark,
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
