// Header maps of Envoy as field lists of the core, and back.
#ifndef WEIR_HOST_ENVOY_HEADERS_H
#define WEIR_HOST_ENVOY_HEADERS_H

#include "host/envoy/abi.h"
#include "http/head.h"

static inline struct slice slice_of(struct envoy_bytes bytes)
{
    return bytes.ptr ? slice_make(bytes.ptr, bytes.len) : slice_make("", 0);
}

static inline struct envoy_bytes bytes_of(struct slice s)
{
    return (struct envoy_bytes){s.ptr ? s.ptr : "", s.len};
}

// A request or response map, taken apart: all borrowed from Envoy but the list, which is in the arena.
struct header_map {
    struct fields
        fields; // without pseudo-fields, and without Envoy's own x-envoy-* fields (a client's would steer Envoy)
    struct slice method;
    struct slice path;
    struct slice authority;
    struct slice scheme;
    uint16_t status;
    int64_t content_length; // -1: not said
    bool is_length_malformed;
    const struct envoy_header *items; // the map itself, until something sets it
    size_t count;
    struct slice *steering; // names of x-envoy-* fields, but those that Envoy itself has set; copied
    size_t steering_count;
};

// False without memory.
bool headers_read(struct envoy_filter *filter, enum envoy_header_map which, struct arena *arena,
                  struct header_map *map);

// Makes the map's fields those of `wanted`, and no others but pseudo-fields: what is there already stays untouched, so that
// an unchanged head costs no call. `keeps_framing` leaves content-length and transfer-encoding as they are; they are taken
// off otherwise. Names go out in lower case, as Envoy wants them. False without memory.
bool headers_become(struct envoy_filter *filter, enum envoy_header_map map, struct arena *arena,
                    const struct fields *wanted, bool keeps_framing);
// The same for a map that was read in this hook, and not set since.
bool headers_read_become(struct envoy_filter *filter, enum envoy_header_map which, struct arena *arena,
                         const struct header_map *map, const struct fields *wanted, bool keeps_framing);
// The same for a request, with its pseudo-fields and its framing.
struct request_form {
    const struct fields *fields;
    struct slice path;
    struct slice authority;
    struct slice content_length; // NULL: none
    bool keeps_framing;          // content-length and transfer-encoding stay as they are
    bool keeps_routing;          // so do the rule and what Envoy has set for itself: our routes take them off
};
bool headers_become_request(struct envoy_filter *filter, struct arena *arena, const struct request_form *wanted);
void headers_set(struct envoy_filter *filter, enum envoy_header_map map, struct slice name, struct slice value);
void headers_set_number(struct envoy_filter *filter, enum envoy_header_map map, struct slice name, uint64_t value);
void headers_remove(struct envoy_filter *filter, enum envoy_header_map map, struct slice name);

// Of the connection or the request, borrowed from Envoy; empty when Envoy has none.
struct slice attribute_text(struct envoy_filter *filter, enum envoy_attribute which);

#endif
