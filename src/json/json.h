// Strict JSON without a tree (RFC 8259, S1): one pass validates everything and yields byte spans of the members that
// somebody asked for; edits are spliced by span, so that all other bytes stay as they were sent.
#ifndef WEIR_JSON_JSON_H
#define WEIR_JSON_JSON_H

#include "base/arena.h"
#include "base/buf.h"

#define JSON_DEPTH_MAX 128

enum json_type { JSON_NONE, JSON_NULL, JSON_TRUE, JSON_FALSE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_span { // bytes [from, to) of the scanned text
    size_t from;
    size_t to;
};

// What a scan found of one asked-for member of the object. With duplicates, `count` > 1 and the rest tells of the first.
struct json_member {
    enum json_type type; // JSON_NONE: not there
    uint32_t count;
    struct json_span key;   // quotes included
    struct json_span value; // as spelt
    size_t after;           // offset of the ',' or '}' that follows the value
    size_t before;          // offset of the ',' or '{' that precedes the key
};

// A set of member names to look for, built once (per snapshot or static) and shared. Names compare after decoding of
// escapes: `"mod\u0065l"` is `model`.
struct json_names;
// `names` are copied into the arena. Index i of a scan's result belongs to names[i]. NULL when memory was refused.
const struct json_names *json_names_new(struct arena *arena, const struct slice *names, size_t count);
size_t json_names_count(const struct json_names *names);
struct slice json_names_at(const struct json_names *names, size_t index);
// Index of a name, or SLICE_NOT_FOUND.
size_t json_names_index(const struct json_names *names, struct slice name);

enum json_status { JSON_OK, JSON_NOT_OBJECT, JSON_SYNTAX, JSON_UTF8, JSON_DEPTH, JSON_TRAILING, JSON_BOM };

struct json_scan {
    enum json_status status;
    size_t error_at;         // offset of the first bad byte when status is not JSON_OK
    struct slice text;       // as given; borrowed
    struct json_span object; // the top-level object, braces included
    size_t member_count;     // of the top-level object
};

// Scans a whole text that must be one object (white space around it allowed). Validates every byte, UTF-8 included.
// `ret_members` has one entry for each name; `names` may be NULL (validate only). Touches no memory of the arena kind.
struct json_scan json_scan_object(struct slice text, const struct json_names *names, struct json_member *ret_members);
// Validates any one value (for configuration and tests).
enum json_status json_validate(struct slice text, size_t *ret_error_at);
// Whether a text that no scan has seen is well-formed UTF-8 (Unicode 15, table 3-7).
bool json_is_utf8(struct slice text);
// Without the white space of RFC 8259 at both ends.
struct slice json_trim(struct slice text);
// Short English for a status, for messages.
struct slice json_status_text(enum json_status status);

// Walks the members of an object, or the elements of an array, that a scan has already validated (json/walk.h has a walk
// for text that none has seen).
struct json_cursor {
    struct slice text; // the object or array, brackets included
    size_t at;
};
struct json_cursor json_cursor_init(struct slice container);
// False at the end. `ret_key` is raw with quotes (empty in arrays).
bool json_next(struct json_cursor *cursor, struct slice *ret_key, struct slice *ret_value, enum json_type *ret_type);

// Decodes a raw string (quotes included) that a scan has validated. Borrowed from `raw` when nothing is escaped, else
// from the arena. False on a lone surrogate or when memory was refused.
bool json_string_decode(struct slice raw, struct arena *arena, struct slice *ret_text);
// The same into the caller's bytes. False on a lone surrogate or when the text does not fit.
bool json_string_decode_into(struct slice raw, char *out, size_t cap, size_t *ret_len);
// A non-negative integer without fraction or exponent. False otherwise.
bool json_to_u64(struct slice raw, uint64_t *ret_value);

// ---- splicing -------------------------------------------------------------------------------------------------

struct json_edit { // replace the bytes [from, to) by `with`
    size_t from;
    size_t to;
    struct slice with;
};

struct json_edits { // in the order of the text, not overlapping
    struct arena *arena;
    struct json_edit *items;
    size_t count;
    size_t cap;
};

void json_edits_init(struct json_edits *edits, struct arena *arena);
// An edit behind all earlier ones. False when it is not, or memory was refused.
bool json_edit_add(struct json_edits *edits, size_t from, size_t to, struct slice with);
// The text with the edits as a list of pieces (spans of `text` and of the edits), ready for writev. `ret_pieces` is in
// the edits' arena. False when memory was refused.
bool json_splice(struct slice text, const struct json_edits *edits, struct slice **ret_pieces, size_t *ret_count,
                 size_t *ret_bytes);

// ---- body paths (S6) ------------------------------------------------------------------------------------------

// A compiled body path: member names, outermost first.
struct json_path {
    struct slice *names;
    size_t count;
};
// `a.b` descends; `\.` is a dot, as `\` makes any byte behind it literal. Wildcards, array indexes, empty names are
// refused with a reason.
bool json_path_parse(struct slice text, struct arena *arena, struct json_path *ret_path, struct slice *ret_why);

struct json_change { // set (value is JSON text) or remove (value.ptr NULL) at a path
    const struct json_path *path;
    struct slice value;
};
// Applies changes in order to a valid object text; all bytes outside the edited members stay as they are. When several
// changes touch the same or nested paths the later wins. Sets create the objects on the way; an existing value on the
// way that is no object is replaced by one. A duplicate of a name on the path gives false with *ret_duplicate set.
bool json_apply(struct slice text, const struct json_change *changes, size_t count, struct arena *arena,
                struct slice **ret_pieces, size_t *ret_piece_count, size_t *ret_bytes, struct slice *ret_duplicate);
// The same for a text that was scanned already: members that `names` knows are taken from the scan, so that the text is
// not walked again. `scan` must be JSON_OK, `names` and `members` be those of the scan.
bool json_apply_scanned(const struct json_scan *scan, const struct json_names *names, const struct json_member *members,
                        const struct json_change *changes, size_t count, struct arena *arena, struct slice **ret_pieces,
                        size_t *ret_piece_count, size_t *ret_bytes, struct slice *ret_duplicate);

// ---- writing --------------------------------------------------------------------------------------------------

// Appends a string with quotes and all escapes that JSON needs; invalid UTF-8 becomes U+FFFD. False as buf_append.
bool json_write_string(struct buf *buf, struct slice text);

#endif
