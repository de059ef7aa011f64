// What several rooms ask of rules and routes.
#ifndef WEIR_CONFIG_RULE_H
#define WEIR_CONFIG_RULE_H

#include "config/model.h"

// Whether requests can go there: it has a weight, a backend and an endpoint.
bool config_ref_is_usable(const struct config_backend_ref *ref);
// The reference that every attempt of the rule goes to, with one and the same request: the only usable one, its backend
// called directly and under one name, and no answer leads to another try. NULL: attempts may differ.
const struct config_backend_ref *config_rule_only_ref(const struct config_rule *rule);
// The Host that a request to the rule's backend gets, where it has a name of its own or the rule gives one; empty: the
// endpoint's address and port (S7).
struct slice config_ref_host(const struct config_rule *rule, const struct config_backend_ref *ref);
// The TLSRoute of a listener that connections for this name go to, or for all names under this wildcard; NULL: none.
const struct config_route *config_listener_tls_route(const struct config_listener *listener, struct slice name);

#endif
