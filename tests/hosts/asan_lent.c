// Under the address sanitizer, bytes that Envoy lends are copies, each of its own size, which are freed as soon as the
// interface takes them back (src/host/envoy/abi.h): when the hook returns that they were lent to, and before that when the map
// is set, or the body drained, that they are from. Linked into the module, whose calls of Envoy lead here (-Wl,--wrap).
//
// Envoy itself is laxer than its interface: a value stays where it is until that very field is set. So it takes this to see
// a use that would come to grief with another Envoy, or with other requests.
#include "host/envoy/abi.h"

#include <stdlib.h>
#include <string.h>

#pragma GCC diagnostic ignored "-Wmissing-prototypes" // called by names that the linker makes

#define REAL(name) __real_envoy_dynamic_module_callback_##name
#define WRAP(name) __wrap_envoy_dynamic_module_callback_##name

#define HIDDEN __attribute__((visibility("hidden")))

enum lender { HEADERS = 0, BODIES = 4, METADATA = 8, ATTRIBUTES = 12 }; // headers and bodies: and which of them

struct lent {
    struct lent *next;
    char *copy;
    unsigned lender;
    unsigned depth; // of the hook that it was lent to
};

static _Thread_local struct lent *all_lent;
static _Thread_local unsigned depth; // hooks call Envoy, which calls hooks

static const char *lend(unsigned lender, const char *bytes, size_t len)
{
    if (!bytes)
        return NULL;
    struct lent *lent = malloc(sizeof *lent);
    char *copy = malloc(len ? len : 1);
    if (!lent || !copy)
        abort();
    memcpy(copy, bytes, len);
    *lent = (struct lent){all_lent, copy, lender, depth};
    all_lent = lent;
    return len ? copy : copy + 1; // not even its first byte may be read
}

static void take_back(bool (*is_over)(const struct lent *lent, unsigned what), unsigned what)
{
    for (struct lent **at = &all_lent, *lent; (lent = *at);) {
        if (!is_over(lent, what)) {
            at = &lent->next;
            continue;
        }
        *at = lent->next;
        free(lent->copy);
        free(lent);
    }
}

static bool is_of(const struct lent *lent, unsigned lender)
{
    return lent->lender == lender;
}

static bool is_deeper(const struct lent *lent, unsigned limit)
{
    return lent->depth > limit;
}

// ---- hooks ----------------------------------------------------------------------------------------------------

// module.c, which has the hooks and little else, calls these at each function's start and end (-finstrument-functions).
HIDDEN void __cyg_profile_func_enter(void *function, void *caller)
{
    (void)function, (void)caller;
    depth++;
}

HIDDEN void __cyg_profile_func_exit(void *function, void *caller)
{
    (void)function, (void)caller;
    take_back(is_deeper, --depth);
}

// ---- what is lent ---------------------------------------------------------------------------------------------

static void lend_value(unsigned lender, struct envoy_bytes *value)
{
    value->ptr = lend(lender, value->ptr, value->len);
}

bool REAL(http_get_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                           struct envoy_bytes *value, size_t index, size_t *count);
bool WRAP(http_get_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                           struct envoy_bytes *value, size_t index, size_t *count)
{
    bool has = REAL(http_get_header)(filter, map, name, value, index, count);
    if (has)
        lend_value(HEADERS + (unsigned)map, value);
    return has;
}

bool REAL(http_get_headers)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_header *headers);
bool WRAP(http_get_headers)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_header *headers)
{
    size_t count = ENVOY_CALL(http_get_headers_size)(filter, map);
    bool has = REAL(http_get_headers)(filter, map, headers);
    for (size_t i = 0; has && i < count; i++) {
        headers[i].name = lend(HEADERS + (unsigned)map, headers[i].name, headers[i].name_len);
        headers[i].value = lend(HEADERS + (unsigned)map, headers[i].value, headers[i].value_len);
    }
    return has;
}

bool REAL(http_get_body_chunks)(struct envoy_filter *filter, enum envoy_body body, struct envoy_bytes *chunks);
bool WRAP(http_get_body_chunks)(struct envoy_filter *filter, enum envoy_body body, struct envoy_bytes *chunks)
{
    size_t count = ENVOY_CALL(http_get_body_chunks_size)(filter, body);
    bool has = REAL(http_get_body_chunks)(filter, body, chunks);
    for (size_t i = 0; has && i < count; i++)
        lend_value(BODIES + (unsigned)body, &chunks[i]);
    return has;
}

bool REAL(http_get_metadata_string)(struct envoy_filter *filter, enum envoy_metadata_source source,
                                    struct envoy_bytes space, struct envoy_bytes key, struct envoy_bytes *value);
bool WRAP(http_get_metadata_string)(struct envoy_filter *filter, enum envoy_metadata_source source,
                                    struct envoy_bytes space, struct envoy_bytes key, struct envoy_bytes *value)
{
    bool has = REAL(http_get_metadata_string)(filter, source, space, key, value);
    if (has)
        lend_value(METADATA + (unsigned)source, value);
    return has;
}

bool REAL(http_filter_get_attribute_string)(struct envoy_filter *filter, enum envoy_attribute attribute,
                                            struct envoy_bytes *value);
bool WRAP(http_filter_get_attribute_string)(struct envoy_filter *filter, enum envoy_attribute attribute,
                                            struct envoy_bytes *value)
{
    bool has = REAL(http_filter_get_attribute_string)(filter, attribute, value);
    if (has)
        lend_value(ATTRIBUTES, value);
    return has;
}

// ---- what ends it ---------------------------------------------------------------------------------------------

// The value that is set may be one that was lent, in the call itself: it is taken back after it.
bool REAL(http_set_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                           struct envoy_bytes value);
bool WRAP(http_set_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                           struct envoy_bytes value)
{
    bool is_set = REAL(http_set_header)(filter, map, name, value);
    take_back(is_of, HEADERS + (unsigned)map);
    return is_set;
}

bool REAL(http_add_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                           struct envoy_bytes value);
bool WRAP(http_add_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                           struct envoy_bytes value)
{
    bool is_added = REAL(http_add_header)(filter, map, name, value);
    take_back(is_of, HEADERS + (unsigned)map);
    return is_added;
}

// Appending to a body leaves what is in it where it is.
bool REAL(http_drain_body)(struct envoy_filter *filter, enum envoy_body body, size_t bytes);
bool WRAP(http_drain_body)(struct envoy_filter *filter, enum envoy_body body, size_t bytes)
{
    bool is_drained = REAL(http_drain_body)(filter, body, bytes);
    take_back(is_of, BODIES + (unsigned)body);
    return is_drained;
}
