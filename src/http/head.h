// Message heads as both hosts and the core share them (RFC 9110). All bytes are borrowed: whoever fills a head says
// how long they live. Field lists keep the sender's order, case and bytes.
#ifndef WEIR_HTTP_HEAD_H
#define WEIR_HTTP_HEAD_H

#include "base/arena.h"

struct field {
    struct slice name;
    struct slice value; // without surrounding blanks
};

struct fields {
    struct field *items;
    size_t count;
    size_t cap;
};

// What an Allow field says where any of them may do (RFC 9110 section 10.2.1).
#define HTTP_METHODS_SERVED "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

enum http_version { HTTP_1_0 = 10, HTTP_1_1 = 11, HTTP_2 = 20 };

struct request_head {
    struct slice method;
    struct slice target; // origin form as received: path and query ("*" for OPTIONS *); never absolute form
    struct slice
        authority;       // Host or :authority as received, port included; of an absolute-form target if that was sent
    struct slice scheme; // "http" or "https", of the client's connection
    enum http_version version;
    struct fields fields; // without Host and pseudo-fields; framing fields (content-length, ...) may stand in it
};

struct response_head {
    uint16_t status;
    struct slice reason; // may be empty
    enum http_version version;
    struct fields fields;
};

// The first field of that name (any case), or NULL.
const struct field *fields_find(const struct fields *fields, struct slice name);
// How many fields have that name (any case).
size_t fields_count(const struct fields *fields, struct slice name);
// The value of the first such field, or an empty slice with a NULL pointer.
struct slice fields_value(const struct fields *fields, struct slice name);
// All values of that name joined by "," in `arena`; the one value itself, borrowed, when there is just one
// (RFC 9110 section 5.3). NULL pointer when there is none.
struct slice fields_joined(const struct fields *fields, struct slice name, struct arena *arena);
// Appends. False when memory was refused.
bool fields_add(struct fields *fields, struct arena *arena, struct slice name, struct slice value);
// Replaces all fields of that name by one in the place of the first, or appends (S5). False when memory was refused.
bool fields_set(struct fields *fields, struct arena *arena, struct slice name, struct slice value);
// Removes all fields of that name. Gives how many there were.
size_t fields_remove(struct fields *fields, struct slice name);
// A shallow copy with room for `extra` more fields.
bool fields_copy(const struct fields *from, struct arena *arena, size_t extra, struct fields *ret_copy);

// RFC 9110 token (field names, methods).
bool http_is_token(struct slice text);
// A field value as we are willing to pass it: no control bytes except HTAB, no blank at either end.
bool http_is_field_value(struct slice text);
// A byte that no field value may have, and that could end a line somewhere else: control bytes except HTAB.
bool http_has_control_byte(struct slice text);
// Hop-by-hop by itself (RFC 9110 section 7.6.1): connection, keep-alive, proxy-connection, te, trailer,
// transfer-encoding, upgrade. Fields that a Connection field names are the caller's to look up.
bool http_is_hop_by_hop(struct slice name);
// Whether some segment of the path is "." or "..", also where it is percent-encoded, stands between backslashes or has
// parameters (";") behind it: what another server may take for a step to another folder (RFC 3986 section 5.2.4).
bool http_has_dot_segment(struct slice path);
// Whether the path has a slash or a backslash in percent-encoded form.
bool http_has_slash_escape(struct slice path);
// An origin-form target as we are willing to pass it: in its path only what RFC 3986 section 3.3 allows, escapes whole
// and not of control bytes; in its query any visible ASCII byte but '#'.
bool http_is_target(struct slice target);
// Host or :authority as we are willing to read it: a name, an IPv4 address, or an IPv6 address in brackets, and maybe
// a port.
bool http_is_authority(struct slice authority);
// A field that carries a credential, of whatever provider: neither logs (S10) nor `explain` show its value.
bool http_is_credential(struct slice name);
// Path part of a target (what stands before the first '?').
struct slice http_path(struct slice target);
// Query part without the '?'; NULL pointer when there is none.
struct slice http_query(struct slice target);
// Host without port, brackets of IPv6 kept. Borrowed from `authority`.
struct slice http_host(struct slice authority);
// Standard reason phrase, or empty.
struct slice http_reason(uint16_t status);

#endif
