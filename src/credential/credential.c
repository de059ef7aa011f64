// API keys: choosing and placing them.
#include "credential/credential.h"

enum credential_choice credential_choose(const struct config_credential *credential, struct slice from_request,
                                         struct secret *ret_key)
{
    if (credential->type == CREDENTIAL_NONE)
        return CREDENTIAL_UNUSED;
    if (credential->override_header.len) {
        struct slice given = slice_trim(from_request);
        if (given.len) {
            *ret_key = (struct secret){given};
            return CREDENTIAL_USE;
        }
        if (!credential->override_falls_back)
            return CREDENTIAL_MISSING;
    }
    if (!secret_is_set(credential->key))
        return CREDENTIAL_MISSING;
    *ret_key = credential->key;
    return CREDENTIAL_USE;
}

static struct slice field_name(enum config_credential_type type)
{
    switch (type) {
    case CREDENTIAL_API_KEY:
        return SLICE("authorization");
    case CREDENTIAL_AZURE_API_KEY:
        return SLICE("api-key");
    case CREDENTIAL_ANTHROPIC_API_KEY:
        return SLICE("x-api-key");
    case CREDENTIAL_NONE:
        break;
    }
    return SLICE("");
}

bool credential_apply(enum config_credential_type type, struct secret key, struct arena *arena, struct fields *fields,
                      struct secret *ret_value, bool *ret_is_owned)
{
    struct slice name = field_name(type);
    struct slice value = secret_reveal(key);
    bool is_owned = type == CREDENTIAL_API_KEY;
    if (!name.len || !http_is_field_value(value))
        return false;
    if (is_owned)
        value = arena_join(arena, (struct slice[]){SLICE("Bearer "), value}, 2);
    if (!value.ptr || !fields_set(fields, arena, name, value))
        return false;
    *ret_value = (struct secret){value};
    *ret_is_owned = is_owned;
    return true;
}
