// TLS of both sides as Envoy has it: the transport sockets, and certificates as secrets that it follows.
#ifndef WEIR_HOST_ENVOY_BOOTSTRAP_TLS_H
#define WEIR_HOST_ENVOY_BOOTSTRAP_TLS_H

#include "host/envoy/bootstrap/bootstrap.h"

// What Envoy's TLS library has not becomes an error finding.
void bootstrap_check_tls(const struct config_tls_choice *choice, const struct config_certificate *certificates,
                         size_t count, struct findings *findings);
// A certificate as a resource of xDS.
void bootstrap_secret(struct emit *emit, const struct config_certificate *certificate);
// The member "transport_socket" of a filter chain.
void bootstrap_server_tls(const struct bootstrap *bootstrap, struct emit *emit, const struct config_server_tls *tls);
// The same towards an endpoint of this host, with what ALPN is to offer: neither is no ALPN, unless the cluster follows it.
void bootstrap_backend_tls(const struct bootstrap *bootstrap, struct emit *emit, const struct config_tls *tls,
                           struct slice host, bool offers_h2, bool offers_http_1);

#endif
