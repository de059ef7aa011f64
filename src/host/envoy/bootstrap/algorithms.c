#include "host/envoy/bootstrap/algorithms.h"

// Tried with Envoy 1.39.3 and 1.40.0, which refuse a whole configuration over one name that they don't know. Keywords
// ("HIGH", "ECDHE+AESGCM") mean other ciphers in the two libraries and are not here.
static const struct slice ciphers[] = {
    SLICE_INIT("ECDHE-ECDSA-AES128-GCM-SHA256"),
    SLICE_INIT("ECDHE-RSA-AES128-GCM-SHA256"),
    SLICE_INIT("ECDHE-ECDSA-AES256-GCM-SHA384"),
    SLICE_INIT("ECDHE-RSA-AES256-GCM-SHA384"),
    SLICE_INIT("ECDHE-ECDSA-CHACHA20-POLY1305"),
    SLICE_INIT("ECDHE-RSA-CHACHA20-POLY1305"),
    SLICE_INIT("ECDHE-ECDSA-AES128-SHA256"),
    SLICE_INIT("ECDHE-RSA-AES128-SHA256"),
    SLICE_INIT("ECDHE-ECDSA-AES128-SHA"),
    SLICE_INIT("ECDHE-RSA-AES128-SHA"),
    SLICE_INIT("ECDHE-ECDSA-AES256-SHA"),
    SLICE_INIT("ECDHE-RSA-AES256-SHA"),
    SLICE_INIT("AES128-GCM-SHA256"),
    SLICE_INIT("AES256-GCM-SHA384"),
    SLICE_INIT("AES128-SHA"),
    SLICE_INIT("AES256-SHA"),
};

struct alias {
    struct slice name; // OpenSSL's, which compares without case
    struct slice own;
};

static const struct alias curves[] = {
    {SLICE_INIT("X25519"), SLICE_INIT("X25519")},
    {SLICE_INIT("P-256"), SLICE_INIT("P-256")},
    {SLICE_INIT("P-384"), SLICE_INIT("P-384")},
    {SLICE_INIT("P-521"), SLICE_INIT("P-521")},
    {SLICE_INIT("prime256v1"), SLICE_INIT("P-256")},
    {SLICE_INIT("secp256r1"), SLICE_INIT("P-256")},
    {SLICE_INIT("secp384r1"), SLICE_INIT("P-384")},
    {SLICE_INIT("secp521r1"), SLICE_INIT("P-521")},
    {SLICE_INIT("X25519MLKEM768"), SLICE_INIT("X25519MLKEM768")},
};

static const struct alias signatures[] = {
    {SLICE_INIT("ecdsa_secp256r1_sha256"), SLICE_INIT("ecdsa_secp256r1_sha256")},
    {SLICE_INIT("ecdsa_secp384r1_sha384"), SLICE_INIT("ecdsa_secp384r1_sha384")},
    {SLICE_INIT("ecdsa_secp521r1_sha512"), SLICE_INIT("ecdsa_secp521r1_sha512")},
    {SLICE_INIT("rsa_pss_rsae_sha256"), SLICE_INIT("rsa_pss_rsae_sha256")},
    {SLICE_INIT("rsa_pss_rsae_sha384"), SLICE_INIT("rsa_pss_rsae_sha384")},
    {SLICE_INIT("rsa_pss_rsae_sha512"), SLICE_INIT("rsa_pss_rsae_sha512")},
    {SLICE_INIT("rsa_pkcs1_sha256"), SLICE_INIT("rsa_pkcs1_sha256")},
    {SLICE_INIT("rsa_pkcs1_sha384"), SLICE_INIT("rsa_pkcs1_sha384")},
    {SLICE_INIT("rsa_pkcs1_sha512"), SLICE_INIT("rsa_pkcs1_sha512")},
    {SLICE_INIT("ed25519"), SLICE_INIT("ed25519")},
    {SLICE_INIT("ECDSA+SHA256"), SLICE_INIT("ecdsa_secp256r1_sha256")},
    {SLICE_INIT("ECDSA+SHA384"), SLICE_INIT("ecdsa_secp384r1_sha384")},
    {SLICE_INIT("ECDSA+SHA512"), SLICE_INIT("ecdsa_secp521r1_sha512")},
    {SLICE_INIT("RSA-PSS+SHA256"), SLICE_INIT("rsa_pss_rsae_sha256")},
    {SLICE_INIT("RSA-PSS+SHA384"), SLICE_INIT("rsa_pss_rsae_sha384")},
    {SLICE_INIT("RSA-PSS+SHA512"), SLICE_INIT("rsa_pss_rsae_sha512")},
    {SLICE_INIT("PSS+SHA256"), SLICE_INIT("rsa_pss_rsae_sha256")},
    {SLICE_INIT("PSS+SHA384"), SLICE_INIT("rsa_pss_rsae_sha384")},
    {SLICE_INIT("PSS+SHA512"), SLICE_INIT("rsa_pss_rsae_sha512")},
    {SLICE_INIT("RSA+SHA256"), SLICE_INIT("rsa_pkcs1_sha256")},
    {SLICE_INIT("RSA+SHA384"), SLICE_INIT("rsa_pkcs1_sha384")},
    {SLICE_INIT("RSA+SHA512"), SLICE_INIT("rsa_pkcs1_sha512")},
};

static struct slice find_alias(const struct alias *aliases, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase(aliases[i].name, name))
            return aliases[i].own;
    return (struct slice){NULL, 0};
}

static struct slice find_cipher(struct slice name)
{
    for (size_t i = 0; i < sizeof ciphers / sizeof ciphers[0]; i++)
        if (slice_eq(ciphers[i], name))
            return ciphers[i];
    return (struct slice){NULL, 0};
}

struct slice algorithm_name(enum algorithm_kind kind, struct slice name)
{
    switch (kind) {
    case ALGORITHM_CIPHER:
        return find_cipher(name);
    case ALGORITHM_CURVE:
        return find_alias(curves, sizeof curves / sizeof curves[0], name);
    case ALGORITHM_SIGNATURE:
        return find_alias(signatures, sizeof signatures / sizeof signatures[0], name);
    }
    return (struct slice){NULL, 0};
}

bool algorithm_next(struct slice *list, struct slice *ret_name)
{
    if (!list->len)
        return false;
    size_t end = slice_find(*list, ':');
    *ret_name = slice_sub(*list, 0, end == SLICE_NOT_FOUND ? list->len : end);
    *list = slice_from(*list, end == SLICE_NOT_FOUND ? list->len : end + 1);
    return true;
}
