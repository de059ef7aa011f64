// The hooks that Envoy calls, and nothing else: each finds the object it is about and hands on. Whatever a stream is in
// (listener or upstream position) is decided once, when its filter is made.
//
// All hooks that Envoy 1.40 resolves for HTTP filters are here, used or not: a module that lacks one is refused. No hook
// blocks, aborts or recurses on input; what can't be had (memory) becomes an answer to that one stream.
#include "host/envoy/abi.h"
#include "host/envoy/headers.h"
#include "host/envoy/log.h"
#include "host/envoy/settings.h"
#include "host/envoy/stream.h"
#include "host/envoy/table.h"
#include "host/envoy/try.h"

#include <stdlib.h>

#define HOOK __attribute__((visibility("default")))

// Of a filter's address: it is a try's, in the upstream position. Without it a stream's, in the listener position.
#define TRY_BIT 1U

// ---- the process and its configurations -----------------------------------------------------------------------

HOOK const char *ENVOY_HOOK(program_init)(void);
const char *ENVOY_HOOK(program_init)(void)
{
    if (!ENVOY_CALL(get_log_level)) {
        log_text(ENVOY_LOG_ERROR, SLICE("weir: "), SLICE("this Envoy is older than 1.39, the oldest that Weir serves"));
        return NULL;
    }
    if (ENVOY_CALL(get_concurrency)() > TABLE_WORKERS_MAX) {
        log_text(ENVOY_LOG_ERROR, SLICE("weir: "), SLICE("more workers than this module serves"));
        return NULL;
    }
    return ENVOY_ABI_VERSION;
}

HOOK const void *ENVOY_HOOK(http_filter_config_new)(struct envoy_filter_config *config, struct envoy_bytes name,
                                                    struct envoy_bytes text);
const void *ENVOY_HOOK(http_filter_config_new)(struct envoy_filter_config *config, struct envoy_bytes name,
                                               struct envoy_bytes text)
{
    (void)config;
    (void)name;
    return settings_new(slice_of(text));
}

static struct settings *settings_from(const void *settings)
{
    return (struct settings *)(uintptr_t)settings;
}

HOOK void ENVOY_HOOK(http_filter_config_destroy)(const void *settings);
void ENVOY_HOOK(http_filter_config_destroy)(const void *settings)
{
    settings_free(settings_from(settings));
}

HOOK const void *ENVOY_HOOK(http_filter_per_route_config_new)(struct envoy_bytes name, struct envoy_bytes text);
const void *ENVOY_HOOK(http_filter_per_route_config_new)(struct envoy_bytes name, struct envoy_bytes text)
{
    (void)name;
    return settings_new(slice_of(text));
}

HOOK void ENVOY_HOOK(http_filter_per_route_config_destroy)(const void *settings);
void ENVOY_HOOK(http_filter_per_route_config_destroy)(const void *settings)
{
    settings_free(settings_from(settings));
}

// ---- streams --------------------------------------------------------------------------------------------------

// NULL in the other position.
static struct stream *stream_from(const void *filter)
{
    uintptr_t address = (uintptr_t)filter;
    return address & TRY_BIT ? NULL : (struct stream *)address;
}

static struct try *try_from(const void *filter)
{
    uintptr_t address = (uintptr_t)filter;
    return address & TRY_BIT ? (struct try *)(address - TRY_BIT) : NULL;
}

HOOK void ENVOY_HOOK(http_filter_destroy)(const void *filter);
void ENVOY_HOOK(http_filter_destroy)(const void *filter)
{
    stream_free(stream_from(filter));
    try_free(try_from(filter));
}

HOOK const void *ENVOY_HOOK(http_filter_new)(const void *settings, struct envoy_filter *envoy_filter);
const void *ENVOY_HOOK(http_filter_new)(const void *settings, struct envoy_filter *envoy_filter)
{
    const struct settings *own = settings;
    if (own->position == POSITION_LISTENER)
        return stream_new(own, envoy_filter);
    struct try *try = try_new(envoy_filter);
    return try ? (const void *)((uintptr_t)try | TRY_BIT) : NULL;
}

HOOK enum envoy_headers_status ENVOY_HOOK(http_filter_request_headers)(struct envoy_filter *envoy, const void *filter,
                                                                       bool is_end);
enum envoy_headers_status ENVOY_HOOK(http_filter_request_headers)(struct envoy_filter *envoy, const void *filter,
                                                                  bool is_end)
{
    (void)envoy;
    struct stream *stream = stream_from(filter);
    return stream ? stream_request_headers(stream, is_end) : try_request_headers(try_from(filter), is_end);
}

HOOK enum envoy_body_status ENVOY_HOOK(http_filter_request_body)(struct envoy_filter *envoy, const void *filter,
                                                                 bool is_end);
enum envoy_body_status ENVOY_HOOK(http_filter_request_body)(struct envoy_filter *envoy, const void *filter, bool is_end)
{
    (void)envoy;
    struct stream *stream = stream_from(filter);
    return stream ? stream_request_body(stream, is_end) : try_request_body(try_from(filter));
}

HOOK enum envoy_trailers_status ENVOY_HOOK(http_filter_request_trailers)(struct envoy_filter *envoy,
                                                                         const void *filter);
enum envoy_trailers_status ENVOY_HOOK(http_filter_request_trailers)(struct envoy_filter *envoy, const void *filter)
{
    (void)envoy;
    struct stream *stream = stream_from(filter);
    return stream ? stream_request_trailers(stream) : ENVOY_TRAILERS_CONTINUE;
}

HOOK enum envoy_headers_status ENVOY_HOOK(http_filter_response_headers)(struct envoy_filter *envoy, const void *filter,
                                                                        bool is_end);
enum envoy_headers_status ENVOY_HOOK(http_filter_response_headers)(struct envoy_filter *envoy, const void *filter,
                                                                   bool is_end)
{
    (void)envoy;
    struct stream *stream = stream_from(filter);
    if (stream)
        return stream_response_headers(stream, is_end);
    try_response_headers(try_from(filter));
    return ENVOY_HEADERS_CONTINUE;
}

HOOK enum envoy_body_status ENVOY_HOOK(http_filter_response_body)(struct envoy_filter *envoy, const void *filter,
                                                                  bool is_end);
enum envoy_body_status ENVOY_HOOK(http_filter_response_body)(struct envoy_filter *envoy, const void *filter,
                                                             bool is_end)
{
    (void)envoy;
    struct stream *stream = stream_from(filter);
    return stream ? stream_response_body(stream, is_end) : ENVOY_BODY_CONTINUE;
}

HOOK enum envoy_trailers_status ENVOY_HOOK(http_filter_response_trailers)(struct envoy_filter *envoy,
                                                                          const void *filter);
enum envoy_trailers_status ENVOY_HOOK(http_filter_response_trailers)(struct envoy_filter *envoy, const void *filter)
{
    (void)envoy;
    struct stream *stream = stream_from(filter);
    return stream ? stream_response_trailers(stream) : ENVOY_TRAILERS_CONTINUE;
}

HOOK enum envoy_local_reply_status ENVOY_HOOK(http_filter_local_reply)(struct envoy_filter *envoy, const void *filter,
                                                                       uint32_t status, struct envoy_bytes details,
                                                                       bool is_reset_imminent);
enum envoy_local_reply_status ENVOY_HOOK(http_filter_local_reply)(struct envoy_filter *envoy, const void *filter,
                                                                  uint32_t status, struct envoy_bytes details,
                                                                  bool is_reset_imminent)
{
    (void)envoy;
    (void)is_reset_imminent;
    struct stream *stream = stream_from(filter);
    if (stream)
        stream_local_reply(stream, status, slice_of(details));
    return ENVOY_LOCAL_REPLY_CONTINUE;
}

HOOK void ENVOY_HOOK(http_filter_stream_complete)(struct envoy_filter *envoy, const void *filter);
void ENVOY_HOOK(http_filter_stream_complete)(struct envoy_filter *envoy, const void *filter)
{
    (void)envoy;
    struct stream *stream = stream_from(filter);
    if (stream)
        stream_complete(stream);
}

HOOK void ENVOY_HOOK(http_filter_scheduled)(struct envoy_filter *envoy, const void *filter, uint64_t event);
void ENVOY_HOOK(http_filter_scheduled)(struct envoy_filter *envoy, const void *filter, uint64_t event)
{
    (void)envoy;
    (void)event;
    struct stream *stream = stream_from(filter);
    if (stream)
        stream_scheduled(stream);
}

// ---- required, not used ---------------------------------------------------------------------------------------

HOOK void ENVOY_HOOK(http_filter_http_callout_done)(struct envoy_filter *envoy, const void *filter, uint64_t id,
                                                    int result, struct envoy_header *headers, size_t header_count,
                                                    struct envoy_bytes *body, size_t body_count);
void ENVOY_HOOK(http_filter_http_callout_done)(struct envoy_filter *envoy, const void *filter, uint64_t id, int result,
                                               struct envoy_header *headers, size_t header_count,
                                               struct envoy_bytes *body, size_t body_count)
{
    (void)envoy, (void)filter, (void)id, (void)result, (void)headers, (void)header_count, (void)body, (void)body_count;
}

HOOK void ENVOY_HOOK(http_filter_http_stream_headers)(struct envoy_filter *envoy, const void *filter, uint64_t id,
                                                      struct envoy_header *headers, size_t count, bool is_end);
void ENVOY_HOOK(http_filter_http_stream_headers)(struct envoy_filter *envoy, const void *filter, uint64_t id,
                                                 struct envoy_header *headers, size_t count, bool is_end)
{
    (void)envoy, (void)filter, (void)id, (void)headers, (void)count, (void)is_end;
}

HOOK void ENVOY_HOOK(http_filter_http_stream_data)(struct envoy_filter *envoy, const void *filter, uint64_t id,
                                                   const struct envoy_bytes *data, size_t count, bool is_end);
void ENVOY_HOOK(http_filter_http_stream_data)(struct envoy_filter *envoy, const void *filter, uint64_t id,
                                              const struct envoy_bytes *data, size_t count, bool is_end)
{
    (void)envoy, (void)filter, (void)id, (void)data, (void)count, (void)is_end;
}

HOOK void ENVOY_HOOK(http_filter_http_stream_trailers)(struct envoy_filter *envoy, const void *filter, uint64_t id,
                                                       struct envoy_header *trailers, size_t count);
void ENVOY_HOOK(http_filter_http_stream_trailers)(struct envoy_filter *envoy, const void *filter, uint64_t id,
                                                  struct envoy_header *trailers, size_t count)
{
    (void)envoy, (void)filter, (void)id, (void)trailers, (void)count;
}

HOOK void ENVOY_HOOK(http_filter_http_stream_complete)(struct envoy_filter *envoy, const void *filter, uint64_t id);
void ENVOY_HOOK(http_filter_http_stream_complete)(struct envoy_filter *envoy, const void *filter, uint64_t id)
{
    (void)envoy, (void)filter, (void)id;
}

HOOK void ENVOY_HOOK(http_filter_http_stream_reset)(struct envoy_filter *envoy, const void *filter, uint64_t id,
                                                    int reason);
void ENVOY_HOOK(http_filter_http_stream_reset)(struct envoy_filter *envoy, const void *filter, uint64_t id, int reason)
{
    (void)envoy, (void)filter, (void)id, (void)reason;
}

HOOK void ENVOY_HOOK(http_filter_downstream_above_write_buffer_high_watermark)(struct envoy_filter *envoy,
                                                                               const void *filter);
void ENVOY_HOOK(http_filter_downstream_above_write_buffer_high_watermark)(struct envoy_filter *envoy,
                                                                          const void *filter)
{
    (void)envoy, (void)filter; // Envoy slows the upstream itself
}

HOOK void ENVOY_HOOK(http_filter_downstream_below_write_buffer_low_watermark)(struct envoy_filter *envoy,
                                                                              const void *filter);
void ENVOY_HOOK(http_filter_downstream_below_write_buffer_low_watermark)(struct envoy_filter *envoy, const void *filter)
{
    (void)envoy, (void)filter;
}
