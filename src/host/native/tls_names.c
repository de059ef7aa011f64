#include "host/native/tls_names.h"

#include "base/ip.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

struct tls_names {
    size_t count;
    struct config_client_name items[]; // their texts stand behind the last
};

struct tls_names *tls_names_new(const struct config_client_name *names, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += names[i].value.len;
    struct tls_names *copy = calloc(1, sizeof *copy + count * sizeof copy->items[0] + bytes);
    if (!copy)
        return NULL;
    char *text = (char *)&copy->items[count];
    copy->count = count;
    for (size_t i = 0; i < count; i++) {
        copy->items[i] = names[i];
        copy->items[i].value.ptr = text;
        memcpy(text, names[i].value.ptr, names[i].value.len);
        text += names[i].value.len;
    }
    return copy;
}

void tls_names_free(struct tls_names *names)
{
    free(names);
}

// ---- one name against one wanted -----------------------------------------------------------------------------------

static bool is_equal(struct slice a, struct slice b, bool is_case_kept)
{
    return is_case_kept ? slice_eq(a, b) : slice_eq_nocase(a, b);
}

// A wildcard of the certificate stands for one label (RFC 6125 section 6.4.3).
static bool wildcard_has(struct slice name, struct slice wanted)
{
    size_t dot = slice_find(wanted, '.');
    return slice_starts_with(name, SLICE("*.")) && dot != SLICE_NOT_FOUND && dot > 0 &&
           slice_eq_nocase(slice_from(name, 1), slice_from(wanted, dot));
}

// Names of DNS compare without case, all others with it.
static bool fits(const struct config_client_name *wanted, struct slice name)
{
    bool is_case_kept = wanted->kind != CLIENT_NAME_DNS;
    struct slice value = wanted->value;
    switch (wanted->how) {
    case NAME_EXACT:
        return is_equal(name, value, is_case_kept) || (wanted->kind == CLIENT_NAME_DNS && wildcard_has(name, value));
    case NAME_PREFIX:
        return name.len >= value.len && is_equal(slice_sub(name, 0, value.len), value, is_case_kept);
    case NAME_SUFFIX:
        return name.len >= value.len && is_equal(slice_from(name, name.len - value.len), value, is_case_kept);
    }
    return false;
}

// ---- the certificate's names ---------------------------------------------------------------------------------------

static bool read_ip(const ASN1_OCTET_STRING *bytes, char text[IP_TEXT_MAX], struct slice *ret_name)
{
    int len = ASN1_STRING_length(bytes);
    struct ip ip = {.is_v4 = len == 4};
    if (len != 4 && len != 16)
        return false;
    memcpy(ip.bytes, ASN1_STRING_get0_data(bytes), (size_t)len);
    *ret_name = slice_make(text, ip_write(&ip, text));
    return true;
}

// A name with a NUL byte is somebody's attempt to be taken for another.
static bool read_text(const ASN1_STRING *string, struct slice *ret_name)
{
    *ret_name = slice_make((const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
    return slice_find(*ret_name, '\0') == SLICE_NOT_FOUND;
}

static bool read_name(const GENERAL_NAME *name, char text[IP_TEXT_MAX], enum config_client_name_kind *ret_kind,
                      struct slice *ret_name)
{
    switch (name->type) {
    case GEN_DNS:
        *ret_kind = CLIENT_NAME_DNS;
        return read_text(name->d.dNSName, ret_name);
    case GEN_EMAIL:
        *ret_kind = CLIENT_NAME_EMAIL;
        return read_text(name->d.rfc822Name, ret_name);
    case GEN_URI:
        *ret_kind = CLIENT_NAME_URI;
        return read_text(name->d.uniformResourceIdentifier, ret_name);
    case GEN_IPADD:
        *ret_kind = CLIENT_NAME_IP;
        return read_ip(name->d.iPAddress, text, ret_name);
    default:
        return false;
    }
}

static bool is_wanted(const struct tls_names *names, const GENERAL_NAME *general)
{
    char text[IP_TEXT_MAX];
    enum config_client_name_kind kind;
    struct slice name;
    if (!read_name(general, text, &kind, &name))
        return false;
    for (size_t i = 0; i < names->count; i++)
        if (names->items[i].kind == kind && fits(&names->items[i], name))
            return true;
    return false;
}

bool tls_names_fit(const struct tls_names *names, const X509 *leaf)
{
    bool is_found = names->count == 0;
    GENERAL_NAMES *all = is_found ? NULL : X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && !is_found; i++)
        is_found = is_wanted(names, sk_GENERAL_NAME_value(all, i));
    GENERAL_NAMES_free(all);
    return is_found;
}
