// The kinds as tables: one entry for each field drives loading, defaulting, validation and the generated reference
// (reference.h). The limits are those of the CRDs of Envoy AI Gateway, Envoy Gateway and Gateway API.
#ifndef WEIR_CONFIG_KIND_H
#define WEIR_CONFIG_KIND_H

#include "config/pattern.h"
#include "config/resource.h"

enum field_type {
    FIELD_STRING,
    FIELD_INT,
    FIELD_NUMBER, // int or float
    FIELD_BOOL,
    FIELD_DURATION, // Gateway API's, "1h30m"
    FIELD_QUANTITY, // Kubernetes', "50Mi"
    FIELD_TIME,     // RFC 3339
    FIELD_LIST,     // of `item`
    FIELD_OBJECT,   // with `fields`
    FIELD_MAP,      // from any key to `item`
    FIELD_ANY,      // not looked into
};

enum field_support {
    SUPPORT_DONE,
    SUPPORT_REFUSED, // an error, with `words`
    SUPPORT_IGNORED, // a note, with `words`
    SUPPORT_SILENT,  // taken and left alone: nothing that a gateway acts on
};

struct check;

struct field {
    const char *name; // NULL ends a table
    enum field_type type;
    enum field_type item; // of a list or a map
    enum field_support support;
    bool is_required;
    // Strings: bytes; numbers: the value; durations: at least so many ms; lists and maps: entries. Both 0: no limit.
    int64_t min;
    int64_t max;
    int64_t item_min; // the same for scalar entries of a list or a map
    int64_t item_max;
    enum pattern pattern;       // of a string or of the scalar entries
    const char *const *values;  // what a string, or an entry, may be; NULL: anything. Ends with NULL
    const char *const *served;  // those of `values` that are done; NULL: all
    const char *preset;         // default, filled in when absent
    const char *absent;         // what holds when absent, for the reference only
    const char *harmless;       // a refused field with this value is accepted
    const struct field *fields; // of an object, or of the objects in a list or a map
    const char *unique_by;      // list of objects: this member tells them apart ("" for scalar entries)
    const char *unique_words;   // instead of the usual words
    void (*rule)(struct check *check, const struct node *node);      // what the fields alone can't say; once an object
    void (*list_rule)(struct check *check, const struct node *node); // the same for a whole list
    const char *words;                                               // refused, ignored: why and what to do
    const char *doc;                                                 // one sentence for the reference
};

struct kind {
    enum resource_kind kind;
    const char *name;
    const char *group;
    const char *versions[5];     // ends with NULL
    const char *old_versions[3]; // those of `versions` that are deprecated
    bool is_cluster_wide;        // has no namespace
    const struct field *fields;  // beside apiVersion, kind, metadata and status
    const char *doc;
};

// The table of a kind.
const struct kind *kind_of(enum resource_kind kind);
// Tables, in kind_*.c.
extern const struct kind kind_gateway_class, kind_gateway, kind_reference_grant, kind_ai_gateway_route,
    kind_ai_service_backend, kind_backend_security_policy, kind_gateway_config, kind_backend, kind_backend_tls_policy,
    kind_backend_traffic_policy, kind_client_traffic_policy, kind_http_route, kind_tls_route, kind_envoy_proxy,
    kind_secret, kind_config_map;

// ---- for rules ----------------------------------------------------------------------------------------------------

// One resource under check.
struct check {
    struct arena *arena; // of the documents: defaults go there
    struct findings *findings;
    struct resource *resource;
};

// A finding of level error in this resource.
void check_error(struct check *check, const struct node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_error_at(struct check *check, struct mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void check_warn(struct check *check, const struct node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// What a finding may show of a value: clipped; "(hidden)" for what came out of the environment or stands in a Secret.
struct slice check_quote(const struct check *check, const struct node *node);
// Checks a resource against its table, and fills in defaults. `root` is its document.
void check_resource(struct check *check, const struct kind *kind, struct node *root);

#endif
