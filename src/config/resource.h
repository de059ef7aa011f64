// The resources of a configuration: every document with its kind, name and namespace told, checked against the table of
// its kind (kind.h), its defaults filled in. References between them are not followed here; resolve.h does that.
#ifndef WEIR_CONFIG_RESOURCE_H
#define WEIR_CONFIG_RESOURCE_H

#include "base/map.h"
#include "config/document.h"

// Of a GatewayConfig: the Secret with username and password for its forward proxy.
#define PROXY_CREDENTIALS_ANNOTATION "weir.dev/forward-proxy-credentials"

// The kinds that Weir reads. All others are errors, or belong to other software and are named in a note.
enum resource_kind {
    KIND_GATEWAY_CLASS,
    KIND_GATEWAY,
    KIND_AI_GATEWAY_ROUTE,
    KIND_AI_SERVICE_BACKEND,
    KIND_BACKEND_SECURITY_POLICY,
    KIND_BACKEND,
    KIND_BACKEND_TLS_POLICY,
    KIND_BACKEND_TRAFFIC_POLICY,
    KIND_CLIENT_TRAFFIC_POLICY,
    KIND_HTTP_ROUTE,
    KIND_TLS_ROUTE,
    KIND_ENVOY_PROXY,
    KIND_GATEWAY_CONFIG,
    KIND_REFERENCE_GRANT,
    KIND_SECRET,
    KIND_CONFIG_MAP,
    KIND_COUNT
};

// One entry of a Secret's or ConfigMap's data: base64 decoded, `stringData` over `data`, substitutions done.
struct datum {
    struct slice key;
    struct slice value; // of a Secret: never to be printed
    struct mark mark;
};

struct resource {
    enum resource_kind kind;
    struct slice api_version; // "gateway.networking.k8s.io/v1"
    struct slice group;       // "" for the core group
    struct slice version;
    struct slice kind_name;
    struct slice namespace_; // "default" when not given; "" for GatewayClass, which has none
    struct slice name;
    const struct node *root;
    const struct node *spec;        // may be NULL
    const struct node *annotations; // may be NULL
    bool has_created;
    int64_t created_s; // metadata.creationTimestamp, Unix time
    struct mark mark;  // of metadata.name; else of the document
    size_t order;      // document order over all files
    // Findings of level error were made in this resource. References to it hold, its content may lack anything: what
    // follows from that must not be reported a second time.
    bool has_errors;
    const struct datum *data; // Secret, ConfigMap
    size_t datum_count;
};

// All resources that are not skipped, in document order. Lives in the arena, which becomes that of the config.
struct documents {
    struct arena *arena;
    struct resource **items;
    size_t count;
    size_t cap;
    struct map by_name; // "kind/namespace/name"
    // The resources that `weir.dev/ignore` takes out, or whose kind is of other software, are not listed. True when a
    // document could not be read at all: a reference that leads nowhere may then be meant for it.
    bool is_incomplete;
};

// Reads, substitutes, checks. All findings are added; whatever can be told of a resource is kept, even a broken one.
// False when memory was refused.
bool documents_load(struct documents *documents, struct arena *arena, const struct config_file *files, size_t count,
                    const struct config_env *env, struct findings *findings);

// NULL when there is none.
const struct resource *documents_find(const struct documents *documents, enum resource_kind kind,
                                      struct slice namespace_, struct slice name);
// Kind as written in files, and back. KIND_COUNT when the kind is none that Weir reads.
struct slice resource_kind_name(enum resource_kind kind);
enum resource_kind resource_kind_from_name(struct slice name);
// An entry of a Secret or ConfigMap; NULL when there is none.
const struct datum *resource_datum(const struct resource *resource, struct slice key);

#endif
