// Tables that several kinds use.
#ifndef WEIR_CONFIG_KIND_SHARED_H
#define WEIR_CONFIG_KIND_SHARED_H

#include "config/kind.h"

#define GROUP_GATEWAY "gateway.networking.k8s.io"
#define GROUP_ENVOY_GATEWAY "gateway.envoyproxy.io"
#define GROUP_AI_GATEWAY "aigateway.envoyproxy.io"
#define GROUP_INFERENCE "inference.networking.k8s.io"

#define END_OF_FIELDS                                                                                                  \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

// Fields of which no more is to be said than that they are refused, or have no effect.
#define REFUSED(field_name, why, what)                                                                                 \
    {                                                                                                                  \
        .name = field_name, .type = FIELD_ANY, .support = SUPPORT_REFUSED, .words = why, .doc = what                   \
    }
#define IGNORED(field_name, why, what)                                                                                 \
    {                                                                                                                  \
        .name = field_name, .type = FIELD_ANY, .support = SUPPORT_IGNORED, .words = why, .doc = what                   \
    }

// The table of a kind that has nothing but a spec (beside its frame); what is given are the members of that field.
#define SPEC(...)                                                                                                      \
    (const struct field[])                                                                                             \
    {                                                                                                                  \
        {.name = "spec", .type = FIELD_OBJECT, __VA_ARGS__}, END_OF_FIELDS,                                            \
    }
// Of references.
#define NAME_FIELD(what)                                                                                               \
    {                                                                                                                  \
        .name = "name", .type = FIELD_STRING, .is_required = true, .min = 1, .max = 253, .doc = what                   \
    }
#define NAMESPACE_FIELD(when_absent, what)                                                                             \
    {                                                                                                                  \
        .name = "namespace", .type = FIELD_STRING, .pattern = PATTERN_DNS_LABEL, .min = 1, .max = 63,                  \
        .absent = when_absent, .doc = what                                                                             \
    }

// Versions and algorithms of TLS, the same on both sides (Envoy Gateway's TLSSettings).
extern const char *const shared_tls_versions[], *const shared_tls_served_versions[], *const shared_alpn_protocols[];
extern const char *const shared_served_alpn[]; // those that are done
// What Weir offers to backends.
#define BACKEND_ALPN_FIELD                                                                                             \
    {                                                                                                                  \
        .name = "alpnProtocols", .type = FIELD_LIST, .item = FIELD_STRING, .values = shared_alpn_protocols,            \
        .served = shared_served_alpn, .words = "HTTP/1.0 has no name in ALPN here", .max = 8,                          \
        .absent = "h2, http/1.1", .doc = "Protocols to offer; an empty list: no ALPN."                                 \
    }
#define TLS_CHOICE_FIELDS                                                                                              \
    {.name = "minVersion",                                                                                             \
     .type = FIELD_STRING,                                                                                             \
     .values = shared_tls_versions,                                                                                    \
     .served = shared_tls_served_versions,                                                                             \
     .words = "TLS 1.2 is the oldest that is spoken",                                                                  \
     .absent = "1.2",                                                                                                  \
     .doc = "Oldest version."},                                                                                        \
        {.name = "maxVersion",                                                                                         \
         .type = FIELD_STRING,                                                                                         \
         .values = shared_tls_versions,                                                                                \
         .served = shared_tls_served_versions,                                                                         \
         .words = "TLS 1.2 is the oldest that is spoken",                                                              \
         .absent = "1.3",                                                                                              \
         .doc = "Newest version."},                                                                                    \
        {.name = "ciphers",                                                                                            \
         .type = FIELD_LIST,                                                                                           \
         .item = FIELD_STRING,                                                                                         \
         .pattern = PATTERN_TLS_NAME,                                                                                  \
         .max = 32,                                                                                                    \
         .absent = "ECDHE with AES-GCM and ChaCha20",                                                                  \
         .doc = "Cipher suites of TLS 1.2, by OpenSSL's names."},                                                      \
        {.name = "ecdhCurves",                                                                                         \
         .type = FIELD_LIST,                                                                                           \
         .item = FIELD_STRING,                                                                                         \
         .pattern = PATTERN_TLS_NAME,                                                                                  \
         .max = 32,                                                                                                    \
         .absent = "X25519, P-256, P-384",                                                                             \
         .doc = "Groups for the key exchange."},                                                                       \
        {.name = "signatureAlgorithms",                                                                                \
         .type = FIELD_LIST,                                                                                           \
         .item = FIELD_STRING,                                                                                         \
         .pattern = PATTERN_TLS_NAME,                                                                                  \
         .max = 32,                                                                                                    \
         .absent = "OpenSSL's",                                                                                        \
         .doc = "Signatures that are taken, by their names of RFC 8446."},                                             \
        REFUSED("fingerprints", "fingerprints of TLS clients are not done", "JA3, JA4.")

extern const struct field shared_object_ref[]; // SecretObjectReference; also of ConfigMaps, by its rule
extern const struct field shared_parent_ref[]; // ParentReference
extern const struct field shared_name_match[]; // header and query parameter matches: type, name, value
extern const struct field shared_header_mutation[];
extern const struct field shared_body_mutation[];
extern const struct field shared_costs[];      // LLMRequestCost
extern const struct field shared_target_ref[]; // LocalPolicyTargetReferenceWithSectionName
extern const struct field shared_route_timeouts[];

// Rules for them.
void rule_parent_ref(struct check *check, const struct node *ref);
void rule_secret_ref(struct check *check, const struct node *ref);    // a Secret
void rule_authority_ref(struct check *check, const struct node *ref); // a Secret or a ConfigMap
void rule_tls_choice(struct check *check, const struct node *tls);    // of TLS_CHOICE_FIELDS
void rule_header_mutation(struct check *check, const struct node *mutation);
void rule_name_matches(struct check *check, const struct node *list);
void rule_cost(struct check *check, const struct node *cost);
void rule_route_timeouts(struct check *check, const struct node *timeouts);
void rule_regex_or_exact(struct check *check, const struct node *match);
// Exactly one way to name the targets of an Envoy Gateway policy, of the kinds that Weir attaches to.
void rule_policy_targets(struct check *check, const struct node *spec, const char *const *kinds, const char *words);

// True when the member is there (and not null).
bool node_has(const struct node *map, const char *name);
// True when the member's text is this.
bool node_is(const struct node *map, const char *name, const char *text);

#endif
