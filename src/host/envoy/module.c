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

struct filter {
    struct stream *stream; // in the listener position
    struct try *try;       // in the upstream position
};

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

static struct filter *filter_from(const void *filter)
{
    return (struct filter *)(uintptr_t)filter;
}

HOOK void ENVOY_HOOK(http_filter_destroy)(const void *filter);
void ENVOY_HOOK(http_filter_destroy)(const void *filter)
{
    struct filter *own = filter_from(filter);
    if (!own)
        return;
    stream_free(own->stream);
    try_free(own->try);
    free(own);
}

HOOK const void *ENVOY_HOOK(http_filter_new)(const void *settings, struct envoy_filter *envoy_filter);
const void *ENVOY_HOOK(http_filter_new)(const void *settings, struct envoy_filter *envoy_filter)
{
    const struct settings *own = settings;
    struct filter *filter = calloc(1, sizeof *filter);
    if (!filter)
        return NULL;
    if (own->position == POSITION_UPSTREAM)
        filter->try = try_new(envoy_filter);
    else
        filter->stream = stream_new(own, envoy_filter);
    if (filter->try || filter->stream)
        return filter;
    free(filter);
    return NULL;
}

HOOK enum envoy_headers_status ENVOY_HOOK(http_filter_request_headers)(struct envoy_filter *envoy, const void *filter,
                                                                       bool is_end);
enum envoy_headers_status ENVOY_HOOK(http_filter_request_headers)(struct envoy_filter *envoy, const void *filter,
                                                                  bool is_end)
{
    (void)envoy;
    struct filter *own = filter_from(filter);
    return own->stream ? stream_request_headers(own->stream, is_end) : try_request_headers(own->try, is_end);
}

HOOK enum envoy_body_status ENVOY_HOOK(http_filter_request_body)(struct envoy_filter *envoy, const void *filter,
                                                                 bool is_end);
enum envoy_body_status ENVOY_HOOK(http_filter_request_body)(struct envoy_filter *envoy, const void *filter, bool is_end)
{
    (void)envoy;
    struct filter *own = filter_from(filter);
    return own->stream ? stream_request_body(own->stream, is_end) : try_request_body(own->try);
}

HOOK enum envoy_trailers_status ENVOY_HOOK(http_filter_request_trailers)(struct envoy_filter *envoy,
                                                                         const void *filter);
enum envoy_trailers_status ENVOY_HOOK(http_filter_request_trailers)(struct envoy_filter *envoy, const void *filter)
{
    (void)envoy;
    struct filter *own = filter_from(filter);
    return own->stream ? stream_request_trailers(own->stream) : ENVOY_TRAILERS_CONTINUE;
}

HOOK enum envoy_headers_status ENVOY_HOOK(http_filter_response_headers)(struct envoy_filter *envoy, const void *filter,
                                                                        bool is_end);
enum envoy_headers_status ENVOY_HOOK(http_filter_response_headers)(struct envoy_filter *envoy, const void *filter,
                                                                   bool is_end)
{
    (void)envoy;
    struct filter *own = filter_from(filter);
    if (own->stream)
        return stream_response_headers(own->stream, is_end);
    try_response_headers(own->try);
    return ENVOY_HEADERS_CONTINUE;
}

HOOK enum envoy_body_status ENVOY_HOOK(http_filter_response_body)(struct envoy_filter *envoy, const void *filter,
                                                                  bool is_end);
enum envoy_body_status ENVOY_HOOK(http_filter_response_body)(struct envoy_filter *envoy, const void *filter,
                                                             bool is_end)
{
    (void)envoy;
    struct filter *own = filter_from(filter);
    return own->stream ? stream_response_body(own->stream, is_end) : ENVOY_BODY_CONTINUE;
}

HOOK enum envoy_trailers_status ENVOY_HOOK(http_filter_response_trailers)(struct envoy_filter *envoy,
                                                                          const void *filter);
enum envoy_trailers_status ENVOY_HOOK(http_filter_response_trailers)(struct envoy_filter *envoy, const void *filter)
{
    (void)envoy;
    struct filter *own = filter_from(filter);
    return own->stream ? stream_response_trailers(own->stream) : ENVOY_TRAILERS_CONTINUE;
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
    struct filter *own = filter_from(filter);
    if (own->stream)
        stream_local_reply(own->stream, status, slice_of(details));
    return ENVOY_LOCAL_REPLY_CONTINUE;
}

HOOK void ENVOY_HOOK(http_filter_stream_complete)(struct envoy_filter *envoy, const void *filter);
void ENVOY_HOOK(http_filter_stream_complete)(struct envoy_filter *envoy, const void *filter)
{
    (void)envoy;
    struct filter *own = filter_from(filter);
    if (own->stream)
        stream_complete(own->stream);
}

HOOK void ENVOY_HOOK(http_filter_scheduled)(struct envoy_filter *envoy, const void *filter, uint64_t event);
void ENVOY_HOOK(http_filter_scheduled)(struct envoy_filter *envoy, const void *filter, uint64_t event)
{
    (void)envoy;
    (void)event;
    struct filter *own = filter_from(filter);
    if (own->stream)
        stream_scheduled(own->stream);
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
