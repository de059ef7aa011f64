// Why TLS failed, in an operator's words: %UPSTREAM_TRANSPORT_FAILURE_REASON%.
#include "host/native/tls_parts.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASON_BYTES 384

static void set_reason(struct tls_session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void set_reason(struct tls_session *session, const char *format, ...)
{
    va_list arguments;
    if (!session->reason)
        session->reason = calloc(1, REASON_BYTES); // kept by the few that fail, not by all connections
    if (!session->reason)
        return;
    va_start(arguments, format);
    vsnprintf(session->reason, REASON_BYTES, format, arguments); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(arguments);
    // Names out of a stranger's certificate may hold anything; the reason goes to logs.
    for (char *at = session->reason; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
}

// The names that the certificate is for: DNS names of the SAN, as many as fit.
static void print_names(const X509 *certificate, char *text, size_t cap)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t len = 0;
    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && len < cap; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS)
            continue;
        int added = snprintf(text + len, cap - len, "%s%.*s", len ? ", " : "", ASN1_STRING_length(name->d.dNSName),
                             (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        len += added > 0 ? (size_t)added : 0;
    }
    GENERAL_NAMES_free(names);
    if (len == 0)
        snprintf(text, cap, "no DNS name");
}

static void print_name(const X509_NAME *name, char *text, size_t cap)
{
    if (!name || !X509_NAME_oneline(name, text, (int)cap))
        snprintf(text, cap, "unknown");
}

static void explain_certificate(struct tls_session *session, int error, const X509 *certificate)
{
    const char *expected = tls_context_name(session->context);
    char text[192] = "unknown";
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        set_reason(session, "TLS_error: a certificate of %s has expired", expected);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        set_reason(session, "TLS_error: a certificate of %s is not valid yet: is this machine's clock right?",
                   expected);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        if (certificate)
            print_names(certificate, text, sizeof text);
        set_reason(session, "TLS_error: the certificate is not for %s but for %s", expected, text);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        set_reason(session, "TLS_error: the certificate of %s is self-signed and not trusted", expected);
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        if (certificate)
            print_name(X509_get_issuer_name(certificate), text, sizeof text);
        set_reason(session, "TLS_error: the certificate of %s comes from a CA that is not trusted (%s)", expected,
                   text);
        break;
    case X509_V_ERR_CERT_REVOKED:
        set_reason(session, "TLS_error: the certificate of %s was revoked by its CA (ca.crl)", expected);
        break;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        if (certificate)
            print_name(X509_get_issuer_name(certificate), text, sizeof text);
        set_reason(session, "TLS_error: ca.crl has no revocation list of the CA that signed for %s (%s)", expected,
                   text);
        break;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        set_reason(session, "TLS_error: the revocation list in ca.crl for %s has expired", expected);
        break;
    default:
        set_reason(session, "TLS_error: the certificate of %s was refused: %s", expected,
                   X509_verify_cert_error_string(error));
    }
}

// Called by OpenSSL for each certificate of the chain; the certificate at fault is known here only.
int tls_on_verify(int is_fine, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get_current_cert(chain);
    if (is_fine && X509_STORE_CTX_get_error_depth(chain) == 0 && !tls_context_knows(session->context, certificate)) {
        X509_STORE_CTX_set_error(chain, X509_V_ERR_HOSTNAME_MISMATCH);
        is_fine = 0;
    }
    if (!is_fine)
        explain_certificate(session, X509_STORE_CTX_get_error(chain), certificate);
    return is_fine;
}

static void explain_protocol(struct tls_session *session, unsigned long error)
{
    int reason = ERR_GET_REASON(error);
    const char *text = ERR_reason_error_string(error);
    if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
        set_reason(session, "TLS_error: the backend does not speak TLS on this port");
    else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        set_reason(session, session->is_open ? "TLS_error: the backend closed the connection without ending TLS"
                                             : "TLS_error: the backend closed the connection during the handshake");
    else if (reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION || reason == SSL_R_UNSUPPORTED_PROTOCOL)
        set_reason(session, "TLS_error: the backend and Weir have no TLS version in common");
    else if (reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE)
        set_reason(session, "TLS_error: the backend refused the handshake: no algorithms in common, or it asks for a "
                            "client certificate");
    else if (reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED || reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
             reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA)
        set_reason(session, "TLS_error: the backend asks for a client certificate or refused it");
    else
        set_reason(session, "TLS_error: %s", text ? text : "unknown protocol error");
}

void tls_explain(struct tls_session *session, int ssl_error, int system_error)
{
    unsigned long error = ERR_peek_error();
    bool is_verify = ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    session->is_refused = is_verify || (ERR_GET_LIB(error) == ERR_LIB_SSL &&
                                        ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE);
    if (!session->context || (is_verify && session->reason))
        return; // a client is not explained to; tls_on_verify has said it of a backend
    if (ssl_error == SSL_ERROR_SSL || error)
        explain_protocol(session, error);
    else if (system_error)
        set_reason(session, "TLS_error: %s", strerror(system_error));
    else
        set_reason(session, "TLS_error: the backend closed the connection");
}
