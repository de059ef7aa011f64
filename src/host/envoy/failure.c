#include "host/envoy/failure.h"

// The first text that stands in the details wins: the exact ones before those that they contain.
static const struct {
    struct slice text;
    enum error_code error;
} failures[] = {
    {SLICE_INIT("no_healthy_upstream"), ERROR_NO_HEALTHY_BACKEND},
    {SLICE_INIT("cluster_not_found"), ERROR_NO_HEALTHY_BACKEND},
    {SLICE_INIT("no_cluster"), ERROR_NO_HEALTHY_BACKEND},
    {SLICE_INIT("connection_timeout"), ERROR_CONNECT_TIMEOUT},
    {SLICE_INIT("connection timeout"), ERROR_CONNECT_TIMEOUT},
    {SLICE_INIT("TLS_error"), ERROR_UPSTREAM_TLS},
    {SLICE_INIT("CERTIFICATE_VERIFY_FAILED"), ERROR_UPSTREAM_TLS},
    {SLICE_INIT("dns_resolution_failure"), ERROR_UPSTREAM_DNS},
    {SLICE_INIT("connection_failure"), ERROR_UPSTREAM_CONNECT},
    {SLICE_INIT("overflow"), ERROR_OVERFLOW},
    {SLICE_INIT("protocol_error"), ERROR_UPSTREAM_MALFORMED},
    {SLICE_INIT("per_try_timeout"), ERROR_FIRST_BYTE_TIMEOUT},
    {SLICE_INIT("per_try_idle_timeout"), ERROR_FIRST_BYTE_TIMEOUT},
    {SLICE_INIT("response_timeout"), ERROR_TOTAL_TIMEOUT},
    {SLICE_INIT("max_duration"), ERROR_TOTAL_TIMEOUT},
    {SLICE_INIT("stream_idle_timeout"), ERROR_IDLE_TIMEOUT},
    {SLICE_INIT("request_overall_timeout"), ERROR_REQUEST_TIMEOUT},
    {SLICE_INIT("request_payload_too_large"), ERROR_BODY_TOO_LARGE},
    {SLICE_INIT("request_payload_exceeded"), ERROR_BODY_TOO_LARGE},
    {SLICE_INIT("response_payload_too_large"), ERROR_UPSTREAM_TOO_LARGE},
    {SLICE_INIT("overload"), ERROR_OVERLOADED},
    {SLICE_INIT("weir_unknown_backend"), ERROR_NO_HEALTHY_BACKEND}, // of the upstream position (try.c)
    {SLICE_INIT("weir_no_stream"), ERROR_NO_HEALTHY_BACKEND},
};

// What is the client's fault in both places: the status tells it, whatever the codec calls it.
static enum error_code failure_of_client(uint32_t status)
{
    switch (status) {
    case 408:
        return ERROR_REQUEST_TIMEOUT;
    case 413:
        return ERROR_BODY_TOO_LARGE;
    case 431:
        return ERROR_HEAD_TOO_LARGE;
    default:
        return ERROR_NONE;
    }
}

// Details of the codecs themselves, which name their protocol: all but the upstream's, whose details only contain them.
static bool is_of_codec(struct slice details)
{
    return slice_starts_with(details, SLICE("http1.")) || slice_starts_with(details, SLICE("http2.")) ||
           slice_starts_with(details, SLICE("http3.")) || slice_starts_with(details, SLICE("http."));
}

enum error_code failure_of(struct slice details, uint32_t status)
{
    enum error_code of_client = failure_of_client(status);
    if (of_client != ERROR_NONE)
        return of_client;
    if (is_of_codec(details) && status < 500)
        return ERROR_MALFORMED_CHUNK;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (slice_find_slice(details, failures[i].text) != SLICE_NOT_FOUND)
            return failures[i].error;
    return status < 500 ? ERROR_NONE : ERROR_UPSTREAM_RESET;
}

enum error_code failure_of_head(struct slice details, uint32_t status)
{
    static const struct {
        struct slice text;
        enum error_code error;
    } heads[] = {
        {SLICE_INIT("upgrade_failed"), ERROR_UPGRADE},
        {SLICE_INIT("low_version"), ERROR_HTTP_VERSION},
        {SLICE_INIT("missing_host_header"), ERROR_MALFORMED_HEAD},
        {SLICE_INIT("missing_path_rejected"), ERROR_MALFORMED_HEAD},
        {SLICE_INIT("absolute_path_rejected"), ERROR_MALFORMED_HEAD},
        {SLICE_INIT("path_normalization_failed"), ERROR_PATH_MALFORMED},
        {SLICE_INIT("request_header_timeout"), ERROR_REQUEST_TIMEOUT},
        {SLICE_INIT("request_overall_timeout"), ERROR_REQUEST_TIMEOUT},
        {SLICE_INIT("overload"), ERROR_OVERLOADED},
    };
    if (is_of_codec(details)) {
        enum error_code of_client = failure_of_client(status);
        return of_client != ERROR_NONE ? of_client : status == 501 ? ERROR_TRANSFER_CODING : ERROR_MALFORMED_HEAD;
    }
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        if (slice_find_slice(details, heads[i].text) != SLICE_NOT_FOUND)
            return heads[i].error;
    return ERROR_NONE;
}
