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
};

enum error_code failure_of(struct slice details)
{
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (slice_find_slice(details, failures[i].text) != SLICE_NOT_FOUND)
            return failures[i].error;
    return ERROR_UPSTREAM_RESET;
}
