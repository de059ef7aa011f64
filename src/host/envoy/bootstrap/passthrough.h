// Listeners of protocol TLS in Envoy: connections are passed on unread, by SNI.
#ifndef WEIR_HOST_ENVOY_BOOTSTRAP_PASSTHROUGH_H
#define WEIR_HOST_ENVOY_BOOTSTRAP_PASSTHROUGH_H

#include "host/envoy/bootstrap/bootstrap.h"

#define PASSTHROUGH_NAMES_MAX 16 // hostnames of a TLSRoute (kind_tls_route.c)

// The filter chains of a listener.
void passthrough_chains(const struct bootstrap *bootstrap, struct emit *emit, size_t listener);
// The cluster of a TLSRoute, by the name that Envoy Gateway gives it; those of its copies are told apart by
// bootstrap_cluster_name.
void passthrough_name(const struct config_route *route, char *text, size_t cap);
// The cluster for names that nobody has, where there are listeners of this kind.
void passthrough_nobody(const struct bootstrap *bootstrap, struct emit *emit, bool with_type);

#endif
