// A YAML document (JSON is a subset) as a tree of nodes with a place in the file on every node and every key. Read by
// libyaml's event parser, bounded in depth, size and alias expansion; duplicate keys are findings. Scalars keep their
// text; what a plain scalar means (YAML 1.2 core schema) is worked out once.
#ifndef WEIR_CONFIG_DOCUMENT_H
#define WEIR_CONFIG_DOCUMENT_H

#include "base/map.h"
#include "config/config.h"

#define DOCUMENT_MAX_DEPTH 64
#define DOCUMENT_MAX_BYTES ((size_t)64 << 20) // of one file
#define DOCUMENT_MAX_ALIASES 100              // expansions in one file
#define DOCUMENT_MAX_ALIAS_BYTES ((size_t)1 << 20)

enum node_type { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STRING, NODE_LIST, NODE_MAP };

// Lives in the arena of its documents. Children are a chain; an alias gives a copy, so every node has one parent.
struct node {
    enum node_type type;
    bool is_quoted;      // a scalar in quotes or a block scalar: always NODE_STRING
    bool is_default;     // not in the file: filled in from the kind's table
    bool is_substituted; // a ${VAR} stood in it: the text may serve as any type
    bool is_unset;       // likewise, and it has no value, as a finding says: nothing more is to be said about it
    struct mark mark;
    struct slice text;    // scalars: as written, quotes and escapes resolved, ${VAR} substituted
    struct slice key;     // members of a map
    struct mark key_mark; // likewise
    struct node *first;   // child of a list or a map, in the order of the file
    struct node *last;
    struct node *next; // sibling
    size_t count;      // of children
};

// Called with the root of each document of a file that is neither empty nor null. The nodes live in the arena.
typedef void document_visit(void *context, struct node *root);

// Parses one file. A syntax error is one finding; reading goes on with the next document of the file. False when anything was wrong. The arena keeps a copy of everything, the path included; the file's text may go.
bool document_parse(const struct config_file *file, struct arena *arena, struct findings *findings,
                    document_visit *visit, void *context);

// What a plain scalar of this text is.
enum node_type document_plain_type(struct slice text);

// The getters take NULL and nodes of another type; the answer is then that of an absent value.

// Member of a map. An explicit null is absent, as in Kubernetes: NULL.
struct node *node_get(const struct node *map, struct slice key);
// Member of a map, explicit null included.
struct node *node_member(const struct node *map, struct slice key);
// Follows a dotted path of plain names ("http.path"); NULL when a step is absent.
struct node *node_path(const struct node *map, struct slice path);
bool node_is_scalar(const struct node *node);
// The scalar's text; empty for NULL, null, lists and maps.
struct slice node_text(const struct node *node);
// True/false only for a value of that type; *ret_value is untouched otherwise.
bool node_to_i64(const struct node *node, int64_t *ret_value);
bool node_to_bool(const struct node *node, bool *ret_value);
// A duration of Gateway API ("1h30m", "500ms") in milliseconds; a bare number is seconds.
bool node_to_ms(const struct node *node, int64_t *ret_ms);
// Quantity of Kubernetes ("50Mi", "1G", "32768") in bytes, rounded up.
bool node_to_bytes(const struct node *node, uint64_t *ret_bytes);
// RFC 3339 in Unix seconds.
bool node_to_time(const struct node *node, int64_t *ret_unix_s);

// The same by name, with what holds when the member is absent (or, after its finding, not of the type).
struct slice node_get_text(const struct node *map, struct slice key);
int64_t node_get_i64(const struct node *map, struct slice key, int64_t absent);
bool node_get_bool(const struct node *map, struct slice key, bool absent);
int64_t node_get_ms(const struct node *map, struct slice key, int64_t absent);
uint64_t node_get_bytes(const struct node *map, struct slice key, uint64_t absent);

// Number of children of a list or a map; 0 else.
size_t node_count(const struct node *node);
// The mark of the node, or {0} for NULL.
struct mark node_mark(const struct node *node);
// Text with its place, as the model keeps it.
struct config_text node_config_text(const struct node *node);

// for (const struct node *child = node_first(list); child; child = child->next)
static inline struct node *node_first(const struct node *node)
{
    return node ? node->first : NULL;
}

// Adds a member to a map. NULL when memory was refused.
struct node *node_add(struct arena *arena, struct node *map, struct slice key, enum node_type type, struct slice text);

#endif
