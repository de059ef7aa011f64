// What is known of one finished request: the source of access-log lines, metrics and spans. Filled by the exchange and
// its host; all slices are borrowed from the exchange and live until it is closed.
#ifndef WEIR_OBSERVE_RECORD_H
#define WEIR_OBSERVE_RECORD_H

#include "http/head.h"
#include "usage/usage.h"

#define RECORD_METADATA_MAX 64
#define RECORD_AI_NAMESPACE "io.envoy.ai_gateway"

enum record_value_type { RECORD_STRING, RECORD_NUMBER };

// Kinds of tokens as %USAGE(NAME)% names them.
extern const struct slice record_usage_names[USAGE_KIND_COUNT];

struct record_metadata { // one key of %DYNAMIC_METADATA(io.envoy.ai_gateway:KEY)%
    struct slice key;
    enum record_value_type type;
    bool is_cost; // configured (llmRequestCosts): what limits count
    struct slice text;
    double number;
};

struct record {
    int64_t start_unix_us;    // wall clock when the head was complete
    int64_t duration_us;      // until the last byte went to the client
    int64_t upstream_time_us; // from sending the last attempt to its response head; -1 when there was none
    struct slice method;
    struct slice path;      // target as received (S9)
    struct slice authority; // as received
    struct slice protocol;  // "HTTP/1.1", ...
    struct slice scheme;
    const struct fields *request;  // request fields at the end: lifted headers and mutations included
    const struct fields *response; // response fields as sent to the client; NULL when none was sent
    uint16_t status;               // 0 when no answer was sent
    struct slice flags;            // "-" when none
    struct slice details;
    struct slice termination_details; // %CONNECTION_TERMINATION_DETAILS%, empty when none
    struct slice transport_failure;   // %UPSTREAM_TRANSPORT_FAILURE_REASON%
    uint64_t bytes_received;          // request body
    uint64_t bytes_sent;              // response body
    struct slice upstream_host;       // "1.2.3.4:443" of the last attempt
    struct slice upstream_cluster;    // "httproute/ns/name/rule/i"
    struct slice upstream_local_address;
    struct slice upstream_protocol;                // as protocol; empty when there was no connection
    struct slice downstream_local_address;         // with port
    struct slice downstream_remote_address;        // with port; of the client, behind whatever proxies
    struct slice downstream_direct_remote_address; // of the connection
    struct slice requested_server_name;
    struct slice route_name; // "httproute/ns/name/rule/i/match/j/host"
    uint32_t attempts;
    uint64_t generation;             // of the configuration
    uint32_t skipped_body_mutations; // of attempts on multipart endpoints, which they don't reach into (S6)
    uint32_t failed_costs;           // cost expressions that failed on this request's usage
    struct usage usage;
    struct record_metadata metadata[RECORD_METADATA_MAX];
    size_t metadata_count;
};

#endif
