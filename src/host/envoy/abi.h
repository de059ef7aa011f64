// What Weir uses of Envoy's dynamic-module interface for HTTP filters: our own declarations of the functions, written
// from its documentation. Tested against interface versions v0.1.0 (Envoy 1.39.3) and v0.2.0 (Envoy 1.40.0).
//
// Envoy warns when a module's version string differs from its own, and refuses a module that lacks a hook it resolves or
// that imports a function it does not have. So every hook of the newest Envoy claimed is exported (module.c), and what
// the oldest one lacks would be imported weakly and tested before use.
//
// Rules of the interface that the whole room keeps:
// - Configuration hooks run on the main thread. All hooks of a stream run on the one worker that owns its connection;
//   a stream never moves. Objects of a configuration are shared by all workers and only read there.
// - A filter's envoy_filter may be used while one of its hooks runs, until its destroy hook.
// - Bytes lent by Envoy live until the hook returns, or until something sets the same map or body. Bytes lent to Envoy
//   are copied during the call.
// - Nothing here may block: a hook that waits stops every stream of its worker.
#ifndef WEIR_HOST_ENVOY_ABI_H
#define WEIR_HOST_ENVOY_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENVOY_ABI_VERSION "v0.2.0"

struct envoy_filter;        // one filter of one stream, Envoy's
struct envoy_filter_config; // one configured filter, Envoy's
struct envoy_scheduler;     // owned by the module that made it

struct envoy_bytes { // either side's
    const char *ptr;
    size_t len;
};

struct envoy_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
};

enum envoy_header_map {
    ENVOY_REQUEST_HEADERS,
    ENVOY_REQUEST_TRAILERS,
    ENVOY_RESPONSE_HEADERS,
    ENVOY_RESPONSE_TRAILERS
};
enum envoy_body {
    ENVOY_RECEIVED_REQUEST_BODY,
    ENVOY_BUFFERED_REQUEST_BODY,
    ENVOY_RECEIVED_RESPONSE_BODY,
    ENVOY_BUFFERED_RESPONSE_BODY
};
enum envoy_headers_status { ENVOY_HEADERS_CONTINUE, ENVOY_HEADERS_STOP };
enum envoy_body_status {
    ENVOY_BODY_CONTINUE,
    ENVOY_BODY_STOP_AND_BUFFER,
    ENVOY_BODY_STOP_WATERMARK,
    ENVOY_BODY_STOP_NO_BUFFER
};
enum envoy_trailers_status { ENVOY_TRAILERS_CONTINUE, ENVOY_TRAILERS_STOP };
enum envoy_local_reply_status { ENVOY_LOCAL_REPLY_CONTINUE, ENVOY_LOCAL_REPLY_RESET };
enum envoy_reset_reason { ENVOY_RESET_LOCAL, ENVOY_RESET_LOCAL_REFUSED };
enum envoy_metadata_source {
    ENVOY_METADATA_DYNAMIC,
    ENVOY_METADATA_ROUTE,
    ENVOY_METADATA_CLUSTER,
    ENVOY_METADATA_HOST
};
enum envoy_log_level { ENVOY_LOG_DEBUG = 1, ENVOY_LOG_INFO, ENVOY_LOG_WARN, ENVOY_LOG_ERROR };
// Places in the list of attributes.
enum envoy_attribute {
    ENVOY_ATTRIBUTE_PROTOCOL = 10,
    ENVOY_ATTRIBUTE_RESPONSE_CODE = 15,
    ENVOY_ATTRIBUTE_RESPONSE_CODE_DETAILS = 16,
    ENVOY_ATTRIBUTE_RESPONSE_FLAGS = 17,
    ENVOY_ATTRIBUTE_SOURCE_ADDRESS = 24,
    ENVOY_ATTRIBUTE_DESTINATION_ADDRESS = 26,
    ENVOY_ATTRIBUTE_MTLS = 29,
    ENVOY_ATTRIBUTE_SERVER_NAME = 30,
    ENVOY_ATTRIBUTE_TERMINATION_DETAILS = 40,
    ENVOY_ATTRIBUTE_UPSTREAM_ADDRESS = 41,
    ENVOY_ATTRIBUTE_UPSTREAM_LOCAL_ADDRESS = 51,
    ENVOY_ATTRIBUTE_UPSTREAM_TRANSPORT_FAILURE = 52,
};

#define ENVOY_CALL(name) envoy_dynamic_module_callback_##name
#define ENVOY_HOOK(name) envoy_dynamic_module_on_##name

// Of the oldest Envoy claimed, 1.39, and of none before it; never called, only looked for.
void ENVOY_CALL(get_log_level)(void) __attribute__((weak));

void ENVOY_CALL(log)(enum envoy_log_level level, struct envoy_bytes message);
bool ENVOY_CALL(log_enabled)(enum envoy_log_level level);
uint32_t ENVOY_CALL(get_concurrency)(void);
uint32_t ENVOY_CALL(http_filter_get_worker_index)(struct envoy_filter *filter);

// Setting replaces all fields of that name by one; a NULL value removes them.
bool ENVOY_CALL(http_set_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                                 struct envoy_bytes value);
bool ENVOY_CALL(http_add_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                                 struct envoy_bytes value);
// One value of a name; `count`, which may be NULL, is how many there are.
bool ENVOY_CALL(http_get_header)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_bytes name,
                                 struct envoy_bytes *value, size_t index, size_t *count);
size_t ENVOY_CALL(http_get_headers_size)(struct envoy_filter *filter, enum envoy_header_map map);
bool ENVOY_CALL(http_get_headers)(struct envoy_filter *filter, enum envoy_header_map map, struct envoy_header *headers);

size_t ENVOY_CALL(http_get_body_size)(struct envoy_filter *filter, enum envoy_body body);
size_t ENVOY_CALL(http_get_body_chunks_size)(struct envoy_filter *filter, enum envoy_body body);
bool ENVOY_CALL(http_get_body_chunks)(struct envoy_filter *filter, enum envoy_body body, struct envoy_bytes *chunks);
bool ENVOY_CALL(http_append_body)(struct envoy_filter *filter, enum envoy_body body, struct envoy_bytes data);
bool ENVOY_CALL(http_drain_body)(struct envoy_filter *filter, enum envoy_body body, size_t bytes);

// Sends a piece of the answer through the response filters, as a filter that answers itself does.
void ENVOY_CALL(http_send_response_data)(struct envoy_filter *filter, struct envoy_bytes data, bool is_end);

// Raises or lowers what Envoy buffers of this stream before it answers 413.
void ENVOY_CALL(http_set_buffer_limit)(struct envoy_filter *filter, uint64_t bytes);

void ENVOY_CALL(http_send_response)(struct envoy_filter *filter, uint32_t status, struct envoy_header *headers,
                                    size_t header_count, struct envoy_bytes body, struct envoy_bytes details);
void ENVOY_CALL(http_clear_route_cache)(struct envoy_filter *filter);
const void *ENVOY_CALL(get_most_specific_route_config)(struct envoy_filter *filter);
void ENVOY_CALL(http_filter_reset_stream)(struct envoy_filter *filter, enum envoy_reset_reason reason,
                                          struct envoy_bytes details);

void ENVOY_CALL(http_set_dynamic_metadata_number)(struct envoy_filter *filter, struct envoy_bytes space,
                                                  struct envoy_bytes key, double value);
void ENVOY_CALL(http_set_dynamic_metadata_string)(struct envoy_filter *filter, struct envoy_bytes space,
                                                  struct envoy_bytes key, struct envoy_bytes value);
// Many keys of a namespace at once: a google.protobuf.Struct in its serialized form, merged into what is there. Not in every
// Envoy that loads the module: NULL where it is missing.
void ENVOY_CALL(http_set_dynamic_metadata_struct)(struct envoy_filter *filter, struct envoy_bytes space,
                                                  struct envoy_bytes serialized) __attribute__((weak));
bool ENVOY_CALL(http_get_metadata_number)(struct envoy_filter *filter, enum envoy_metadata_source source,
                                          struct envoy_bytes space, struct envoy_bytes key, double *value);
bool ENVOY_CALL(http_get_metadata_string)(struct envoy_filter *filter, enum envoy_metadata_source source,
                                          struct envoy_bytes space, struct envoy_bytes key, struct envoy_bytes *value);
bool ENVOY_CALL(http_filter_get_attribute_string)(struct envoy_filter *filter, enum envoy_attribute attribute,
                                                  struct envoy_bytes *value);
bool ENVOY_CALL(http_filter_get_attribute_int)(struct envoy_filter *filter, enum envoy_attribute attribute,
                                               uint64_t *value);
bool ENVOY_CALL(http_filter_get_attribute_bool)(struct envoy_filter *filter, enum envoy_attribute attribute,
                                                bool *value);

// The only call that other threads may make is commit; here a hook uses it to be called again after it returned.
struct envoy_scheduler *ENVOY_CALL(http_filter_scheduler_new)(struct envoy_filter *filter);
void ENVOY_CALL(http_filter_scheduler_commit)(struct envoy_scheduler *scheduler, uint64_t event);
void ENVOY_CALL(http_filter_scheduler_delete)(struct envoy_scheduler *scheduler);

#endif
