#include "host/envoy/bootstrap/keys.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "host/native/tls_pem.h"

static bool is_known_group(const EVP_PKEY *key)
{
    static const struct slice groups[] = {SLICE_INIT("prime256v1"), SLICE_INIT("secp384r1"), SLICE_INIT("secp521r1")};
    char name[64];
    size_t len = 0;
    if (EVP_PKEY_get_group_name(key, name, sizeof name, &len) != 1)
        return false;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (slice_eq(groups[i], slice_make(name, len)))
            return true;
    return false;
}

bool key_is_known(const struct config_certificate *certificate)
{
    X509 *leaf = pem_leaf(certificate->chain_pem);
    const EVP_PKEY *key = leaf ? X509_get0_pubkey(leaf) : NULL;
    bool is_known = true;
    if (key)
        switch (EVP_PKEY_get_base_id(key)) {
        case EVP_PKEY_RSA:
        case EVP_PKEY_ED25519:
            break;
        case EVP_PKEY_EC:
            is_known = is_known_group(key);
            break;
        default:
            is_known = false;
        }
    X509_free(leaf);
    return is_known;
}
