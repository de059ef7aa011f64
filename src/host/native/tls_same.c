// Whether a context can be kept over a reload. All fields are compared but marks: one that is left out would keep an old
// certificate, or old demands, in use.
#include "host/native/tls.h"

static bool is_same_certificate(const struct config_certificate *a, const struct config_certificate *b)
{
    if (!a || !b)
        return a == b;
    return slice_eq(a->secret, b->secret) && slice_eq(a->chain_pem, b->chain_pem) &&
           secret_eq(a->key_pem, b->key_pem) && slice_eq(a->ocsp, b->ocsp);
}
_Static_assert(sizeof(struct config_certificate) == 64 + sizeof(struct mark), "compare the new field");

static bool is_same_trust(const struct config_trust *a, const struct config_trust *b)
{
    return slice_eq(a->ca_pem, b->ca_pem) && slice_eq(a->crl_pem, b->crl_pem) &&
           a->is_crl_for_leaf == b->is_crl_for_leaf;
}
_Static_assert(sizeof(struct config_trust) == 40 + sizeof(struct mark), "compare the new field");

static bool is_same_choice(const struct config_tls_choice *a, const struct config_tls_choice *b)
{
    return a->min_version == b->min_version && a->max_version == b->max_version &&
           slice_eq(a->ciphers.text, b->ciphers.text) && slice_eq(a->curves.text, b->curves.text) &&
           slice_eq(a->signature_algorithms.text, b->signature_algorithms.text) && a->has_alpn == b->has_alpn &&
           a->offers_h2 == b->offers_h2 && a->offers_http_1 == b->offers_http_1;
}
_Static_assert(sizeof(struct config_tls_choice) == 16 + 3 * sizeof(struct config_text), "compare the new field");

static bool is_same_name_list(const struct config_tls *a, const struct config_tls *b)
{
    if (a->name_count != b->name_count)
        return false;
    for (size_t i = 0; i < a->name_count; i++)
        if (a->names[i].type != b->names[i].type || !slice_eq(a->names[i].name, b->names[i].name))
            return false;
    return true;
}

bool tls_is_same_config(const struct config_tls *a, const struct config_tls *b)
{
    return a->is_enabled == b->is_enabled && slice_eq(a->sni, b->sni) && slice_eq(a->verify_name, b->verify_name) &&
           is_same_name_list(a, b) && is_same_trust(&a->trust, &b->trust) && a->is_unverified == b->is_unverified &&
           is_same_choice(&a->choice, &b->choice) && is_same_certificate(a->certificate, b->certificate);
}
_Static_assert(sizeof(struct config_tls) ==
                   72 + sizeof(struct config_trust) + sizeof(struct config_tls_choice) + sizeof(struct mark),
               "compare the new field");
