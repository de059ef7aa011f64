// A configuration after loading, defaulting, validation and resolution: what the user's resources mean, with every
// reference followed. Immutable once built; all memory is the config's own arena. Nothing here is compiled (regular
// expressions, CEL, log formats, mutations are text with a mark): the rooms that use them compile them, into the
// snapshot (exchange/snapshot.h), and report findings at the mark.
#ifndef WEIR_CONFIG_MODEL_H
#define WEIR_CONFIG_MODEL_H

#include "base/arena.h"
#include "base/finding.h"
#include "base/ip.h"
#include "base/secret.h"

// Text from a configuration file with its place.
struct config_text {
    struct slice text;
    struct mark mark;
    bool is_hidden; // came out of the environment (${VAR}): may be secret, and is not to be shown
};

// ---- matching -------------------------------------------------------------------------------------------------

enum config_match_type { MATCH_EXACT, MATCH_PREFIX, MATCH_REGEX };

struct config_name_match {       // a header or a query parameter
    enum config_match_type type; // EXACT or REGEX
    struct config_text name;     // headers: any case
    struct config_text value;
};

struct config_match {
    struct mark mark;
    enum config_match_type path_type; // default PREFIX "/"
    struct config_text path;
    struct slice method; // empty: any
    struct config_name_match *headers;
    size_t header_count;
    struct config_name_match *query;
    size_t query_count;
};

// ---- mutation (S5, S6) ----------------------------------------------------------------------------------------

struct config_set {
    struct config_text name; // header name or body path
    struct config_text value;
};

struct config_mutation {
    struct config_set *set;
    size_t set_count;
    struct config_text *remove;
    size_t remove_count;
};

// ---- backends -------------------------------------------------------------------------------------------------

enum config_schema {
    SCHEMA_NONE, // plain HTTP backend of an HTTPRoute
    SCHEMA_OPENAI,
    SCHEMA_COHERE,
    SCHEMA_AWS_BEDROCK,
    SCHEMA_AZURE_OPENAI,
    SCHEMA_GCP_VERTEX_AI,
    SCHEMA_GCP_ANTHROPIC,
    SCHEMA_ANTHROPIC,
    SCHEMA_AWS_ANTHROPIC,
};

enum config_credential_type {
    CREDENTIAL_NONE,
    CREDENTIAL_API_KEY,
    CREDENTIAL_AZURE_API_KEY,
    CREDENTIAL_ANTHROPIC_API_KEY
};

struct config_credential {
    enum config_credential_type type;
    struct mark mark;
    struct secret key;
    // BackendSecurityPolicy.spec.credentialOverride.fromRequestHeaders; empty: no override.
    struct slice override_header;
    bool override_falls_back; // an absent header: use `key` (true) or answer 401 (false)
};

struct config_endpoint {
    struct slice host; // FQDN or IP literal (IPv6 without brackets)
    uint16_t port;
    bool is_ip;
    struct slice hostname; // what the endpoint wants as Host when `host` is an IP; may be empty
};

// A certificate with its key, out of a Secret of type kubernetes.io/tls. Whether the texts are what they should be is
// the host's to say (host/native/tls_check.h): the core has no cryptography.
struct config_certificate {
    struct slice secret;    // "namespace/name": tells certificates apart over their renewals
    struct slice chain_pem; // tls.crt: the leaf first
    struct secret key_pem;  // tls.key
    struct slice ocsp;      // tls.ocsp-staple: a response in DER; empty: none
    struct mark mark;       // of the reference
};

// Authorities to trust.
struct config_trust {
    struct slice ca_pem;  // ca.crt of all references
    struct slice crl_pem; // ca.crl beside them; empty: revocation is not checked
    bool is_crl_for_leaf; // only the leaf is looked up in the CRLs, else the whole chain
    struct mark mark;
};

// Versions and algorithms. The lists are OpenSSL's, with ":" between; empty: the defaults.
struct config_tls_choice {
    uint16_t min_version; // 0x0303 or 0x0304
    uint16_t max_version;
    struct config_text ciphers; // of TLS 1.2
    struct config_text curves;
    struct config_text signature_algorithms;
    bool has_alpn; // else the default: all protocols that are spoken
    bool offers_h2;
    bool offers_http_1;
};

enum config_alt_name_type { ALT_NAME_DNS, ALT_NAME_URI };

struct config_alt_name {
    enum config_alt_name_type type;
    struct slice name;
};

struct config_tls { // towards a backend
    bool is_enabled;
    struct slice sni;              // empty: the endpoint's FQDN
    struct slice verify_name;      // empty: as sni
    struct config_alt_name *names; // any of them must be in the certificate, instead of verify_name
    size_t name_count;
    struct config_trust trust; // without ca_pem: the system's store
    bool is_unverified;        // insecureSkipVerify, spelt out by the user
    struct config_tls_choice choice;
    struct config_certificate *certificate; // of the client, Weir; NULL: none
    struct mark mark;
};

// How the names of backends are resolved (BackendTrafficPolicy.dns).
enum config_family {
    FAMILY_UNSET, // nothing was said: both, side by side
    FAMILY_ALL,   // both, side by side
    FAMILY_V4,    // this one alone
    FAMILY_V6,
    FAMILY_V4_PREFERRED, // the other one only for names that have no address of this one
    FAMILY_V6_PREFERRED,
};

struct config_lookup {
    enum config_family family;
    int64_t refresh_ms; // how old an answer may be; 0: as old as its records say
};

// GatewayConfig.forwardProxy: connections to backends go through it, by HTTP CONNECT.
struct config_forward_proxy {
    struct slice namespace_; // the GatewayConfig's
    struct slice name;
    struct slice host; // name or IP literal (IPv6 without brackets)
    uint16_t port;
    struct secret authorization; // the value of proxy-authorization; not set: none is sent
    struct mark mark;
};

enum config_listener_protocol { LISTENER_HTTP, LISTENER_HTTPS, LISTENER_PASSTHROUGH };

enum config_client_name_kind { CLIENT_NAME_DNS, CLIENT_NAME_EMAIL, CLIENT_NAME_IP, CLIENT_NAME_URI };

// An alternative name in the certificate of a client that is let in.
struct config_client_name {
    enum config_client_name_kind kind;
    enum { NAME_EXACT, NAME_PREFIX, NAME_SUFFIX } how;
    struct slice value; // an exact address in the form of RFC 5952
};

struct config_server_tls { // towards clients
    struct config_certificate *certificates;
    size_t certificate_count;
    struct config_tls_choice choice;
    bool asks_client;        // for a certificate, which has to be good
    bool is_client_optional; // none is fine too
    struct config_trust client_trust;
    struct slice *client_hashes; // SHA-256 of the certificate, 32 bytes each; any of them or of the keys must match
    size_t client_hash_count;
    struct slice *client_key_hashes; // SHA-256 of its public key (SPKI)
    size_t client_key_hash_count;
    struct config_client_name *client_names; // any of them must be in the certificate, beside all else; none: whatever
    size_t client_name_count;
    struct mark mark;
};

// One set of endpoints with one identity: an AIServiceBackend with its Backend, or a Backend named by an HTTPRoute.
struct config_backend {
    size_t id; // index in config.backends; hosts keep health and pools by it
    struct slice namespace_;
    struct slice name;
    struct mark mark;
    enum config_schema schema;
    struct slice version; // as configured
    struct slice prefix;  // OpenAI, Anthropic: without slashes at the ends, default "v1"; "" when the user set "/"
    struct config_mutation header_mutation;
    struct config_mutation body_mutation;
    struct config_credential credential;
    struct config_endpoint *endpoints;
    size_t endpoint_count;
    bool is_fallback; // Backend.spec.fallback
    bool is_h2c;      // speaks HTTP/2 without being asked (Backend.spec.appProtocols)
    struct config_tls tls;
    const struct config_forward_proxy *proxy; // NULL: called directly
    struct slice tls_from; // "namespace/name" of the EnvoyProxy whose backendTLS is in `tls`; empty: none
    struct slice
        host; // what goes out as Host (S7): FQDN, else TLS name, else address and port of the endpoint ("" then)
};

// ---- policies -------------------------------------------------------------------------------------------------

enum config_retry_trigger {
    RETRY_CONNECT_FAILURE = 1 << 0,
    RETRY_RESET = 1 << 1, // any reset before the first response byte, refused streams too
    RETRY_STATUS_CODES = 1 << 2,
    RETRY_5XX = 1 << 3,
    RETRY_GATEWAY_ERROR = 1 << 4,
    RETRY_4XX_409 = 1 << 5,
    RETRY_TIMEOUT = 1 << 6, // per-try time limit ran out before the first byte
};

struct config_retry {
    bool is_set; // a policy says it; else S7's defaults apply
    uint32_t num_retries;
    uint32_t attempts_per_priority; // 0: not set
    uint32_t triggers;              // enum config_retry_trigger; 0: nothing is retried
    const uint16_t *codes;          // none: S7's
    size_t code_count;
    int64_t per_try_timeout_ms; // 0: none
    int64_t backoff_base_ms;
    int64_t backoff_max_ms;
};

struct config_passive_health { // EG: healthCheck.passive
    bool is_set;
    int64_t interval_ms;
    int64_t base_ejection_ms;
    uint32_t consecutive_5xx;
    uint32_t consecutive_gateway_errors;        // 0: off
    uint32_t consecutive_local_origin_failures; // 0: off
    uint32_t max_ejection_percent;
    bool always_eject_one;
};

enum config_active_type { ACTIVE_HTTP, ACTIVE_TCP };

struct config_active_health { // EG: healthCheck.active
    bool is_set;
    enum config_active_type type;
    int64_t timeout_ms;
    int64_t interval_ms;
    uint32_t unhealthy_threshold;
    uint32_t healthy_threshold;
    struct slice path;
    struct slice method;
    struct slice hostname; // empty: the backend's host
    const uint16_t *expected_statuses;
    size_t expected_status_count;
};

enum config_lb { LB_LEAST_REQUEST, LB_ROUND_ROBIN, LB_RANDOM };

struct config_traffic { // BackendTrafficPolicy as it holds for one rule, defaults filled in
    struct config_retry retry;
    int64_t connect_timeout_ms;     // default 5 s (S11)
    int64_t max_stream_duration_ms; // 0: none
    int64_t upstream_idle_ms;       // idle pooled connection, default 55 s (S11)
    struct config_passive_health passive;
    struct config_active_health active;
    uint32_t panic_threshold_percent;
    uint32_t max_connections;
    uint32_t max_pending_requests;
    uint32_t max_parallel_requests;
    uint32_t max_parallel_retries;
    uint32_t max_requests_per_connection; // 0: no limit
    enum config_lb lb;
    struct config_lookup lookup;
    uint32_t h2_streams; // HTTP/2: at once on a connection, if the backend allows as many
    uint32_t h2_stream_window;
    uint32_t h2_connection_window;
    int64_t h2_ping_interval_ms; // 0: none
    int64_t h2_ping_timeout_ms;
};

// How the address of a client behind other proxies is found (clientIPDetection).
struct config_origin {
    enum { ORIGIN_CONNECTION, ORIGIN_HOPS, ORIGIN_RANGES, ORIGIN_FIELD } kind;
    uint32_t hops;           // ORIGIN_HOPS: entries of x-forwarded-for from the right
    struct ip_range *ranges; // ORIGIN_RANGES: of trusted proxies
    size_t range_count;
    struct slice field; // ORIGIN_FIELD: its name
    bool is_required;   // 403 without an address in it
};

enum config_proxy_protocol { PROXY_PROTOCOL_OFF, PROXY_PROTOCOL_OPTIONAL, PROXY_PROTOCOL_REQUIRED };
enum config_underscores { UNDERSCORES_ALLOWED, UNDERSCORES_DROPPED, UNDERSCORES_REFUSED };
// What becomes of a client's x-forwarded-client-cert.
enum config_client_cert { CLIENT_CERT_DROPPED, CLIENT_CERT_FORWARDED_OVER_MTLS, CLIENT_CERT_FORWARDED };

struct config_client { // ClientTrafficPolicy as it holds for one listener; S11 fills in what is not set
    size_t json_body_bytes;
    size_t multipart_body_bytes;
    size_t header_bytes;
    size_t header_count;
    size_t target_bytes;
    int64_t head_timeout_ms;
    int64_t body_idle_timeout_ms;
    int64_t keep_alive_idle_ms;
    int64_t h2_idle_ms;  // the same for HTTP/2, once a request was served
    uint32_t h2_streams; // at once on a connection
    uint32_t h2_stream_window;
    uint32_t h2_connection_window;
    int64_t stream_idle_ms;
    int64_t send_timeout_ms;
    int64_t request_timeout_ms; // whole request received; 0: none
    int64_t tls_handshake_ms;   // ClientHello and handshake
    int64_t tcp_idle_ms;        // of connections that are passed on; 0: none
    uint32_t max_connections;   // 0: none
    uint32_t max_requests;      // of a connection; 0: no limit
    int64_t max_age_ms;         // of a connection; 0: no limit
    struct slice health_path;   // answered 200 by the gateway itself; empty: none
    struct config_origin origin;
    enum config_proxy_protocol proxy_protocol; // the same on all listeners of a port
    enum config_underscores underscores;
    enum config_client_cert client_cert;
    bool is_id_replaced;       // a client's x-request-id is
    bool refuses_slash_escape; // a path with an encoded slash or backslash is a 400
    bool is_keep_alive_off;
};

// ---- routes ---------------------------------------------------------------------------------------------------

enum config_cost_type {
    COST_INPUT,
    COST_CACHED_INPUT,
    COST_CACHE_CREATION_INPUT,
    COST_OUTPUT,
    COST_TOTAL,
    COST_REASONING,
    COST_CEL,
};

struct config_cost {
    struct slice key; // metadata key under io.envoy.ai_gateway
    enum config_cost_type type;
    struct config_text cel;
};

struct config_backend_ref {
    struct config_backend *backend; // NULL in an HTTPRoute: the reference is invalid there and answers 500
    struct mark mark;
    struct slice key; // "ns/backend/route/name/rule/i/ref/j" (config-model.md section 0.1)
    size_t id;        // index among the references of all rules
    size_t index;     // in the rule; weight 0 keeps it
    uint32_t weight;
    uint32_t priority;                      // Backend.fallback counted in
    struct slice model_override;            // empty: keep
    struct config_mutation header_mutation; // route level
    struct config_mutation body_mutation;   // route level
};

// HTTPRoute filters that Weir does; all others are findings.
struct config_rule_filters {
    struct config_mutation request_headers; // RequestHeaderModifier set + remove
    struct config_set *request_add;
    size_t request_add_count;
    struct config_mutation response_headers;
    struct config_set *response_add;
    size_t response_add_count;
    uint16_t redirect_status; // 0: no redirect
    struct slice redirect_scheme;
    struct slice redirect_host;
    uint16_t redirect_port; // 0: keep
    // Path change of URLRewrite or RequestRedirect.
    enum { PATH_KEEP, PATH_REPLACE_FULL, PATH_REPLACE_PREFIX } path_change;
    struct slice path_value;
    struct slice rewrite_host; // URLRewrite.hostname; empty: S7's rule
};

struct config_rule {
    struct slice name; // may be empty
    size_t index;
    struct mark mark;
    struct config_match *matches; // at least one; a rule without matches has the default one
    size_t match_count;
    struct config_backend_ref *refs;
    size_t ref_count;
    struct config_rule_filters filters;
    int64_t request_timeout_ms;         // 0: none (S8: the default for streams); -1: not set
    int64_t backend_request_timeout_ms; // per try; -1: not set
    int64_t stream_idle_ms;             // -1: not set (S8: 5 min)
    struct config_traffic traffic;
    struct slice models_owned_by;
    int64_t models_created_s; // Unix time
};

enum config_route_kind { ROUTE_AI, ROUTE_HTTP, ROUTE_TLS };

struct config_route {
    enum config_route_kind kind;
    struct slice namespace_;
    struct slice name;
    struct mark mark;
    struct config_text *hostnames;
    size_t hostname_count;
    bool has_created;
    int64_t created_s; // creationTimestamp, Unix time
    size_t order;      // document order over all routes
    struct config_rule *rules;
    size_t rule_count;
    const struct config_cost *costs; // of the route over those of the Gateway (GatewayConfig), resolved per key
    size_t cost_count;
};

// ---- listeners ------------------------------------------------------------------------------------------------

enum config_log_format { LOG_JSON, LOG_TEXT };

struct config_log_field {
    struct slice name; // JSON member
    struct config_text format;
    // A nested JSON object of a format keeps its members here; else NULL.
    struct config_log_field *members;
    size_t member_count;
};

struct config_log { // one EnvoyProxy telemetry.accessLog setting
    enum config_log_format format;
    struct config_text text;         // LOG_TEXT
    struct config_log_field *fields; // LOG_JSON, in the order of the file; none: the default line
    size_t field_count;
    struct config_text *matches; // CEL on the request; all must hold
    size_t match_count;
    struct slice path; // "/dev/stdout", "/dev/stderr" or a file
    struct mark mark;
};

struct config_listener {
    size_t id;               // index in config.listeners
    struct slice namespace_; // of its Gateway
    struct slice gateway;
    struct slice name;
    struct mark mark;
    struct slice hostname; // lower case, may begin "*."; empty: all
    uint16_t port;
    enum config_listener_protocol protocol;
    struct config_server_tls tls; // HTTPS
    struct config_client client;
    const struct config_log *logs; // empty with has_logs: access log switched off
    size_t log_count;
    bool has_logs;                // false: the default JSON line on stdout
    struct config_route **routes; // attached ones, in document order
    size_t route_count;
};

struct config {
    struct arena arena;
    struct config_listener *listeners;
    size_t listener_count;
    struct config_route *routes;
    size_t route_count;
    struct config_backend *backends;
    size_t backend_count;
    struct config_forward_proxy *proxies;
    size_t proxy_count;
    size_t ref_count; // of all rules together
};

#endif
