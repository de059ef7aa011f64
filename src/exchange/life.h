// One request's state, and the steps that share it. Private to the room. An exchange and all that it points to live in
// its arena, but for the held body and a local reply's body, which have buffers of their own.
#ifndef WEIR_EXCHANGE_LIFE_H
#define WEIR_EXCHANGE_LIFE_H

#include "credential/credential.h"
#include "exchange/compiled.h"
#include "exchange/exchange.h"
#include "schema/schema.h"

enum step {
#define STEP(name, function, want) STEP_##name,
#include "exchange/steps.def"
#undef STEP
};

// What a request field is to Weir, found once by length and first byte.
enum field_class {
    FIELD_PLAIN,
    FIELD_HOP,        // hop-by-hop or framing: never forwarded
    FIELD_INTERNAL,   // x-ai-eg-*: Weir's own, seen by routes and logs, never forwarded
    FIELD_DROPPED,    // taken off before anybody sees it
    FIELD_OVERRIDE,   // x-aigw-* and the like: kept aside for the backend that may use it
    FIELD_CREDENTIAL, // the client's own credential
    FIELD_ENCODINGS,  // accept-encoding
    FIELD_CONNECTION,
    FIELD_CONTENT_TYPE,
    FIELD_CONTENT_ENCODING,
    FIELD_EXPECT,
    FIELD_REQUEST_ID,
    FIELD_FORWARDED_FOR,
    FIELD_FORWARDED_PROTO,
    FIELD_FORWARDED, // RFC 7239
    FIELD_CLIENT_CERT,
    FIELD_PIN,
};

// A part of a form as the edits of an attempt see it.
struct form_part {
    bool is_there;
    struct json_span whole; // from its delimiter to the next one
    struct json_span content;
};

// What was tried of a rule's backend references.
struct ref_state {
    uint8_t tries;
    bool is_down;           // as the host said when a backend was chosen last
    int64_t avoid_until_us; // as the host said: another one first, but nobody waits for it
    int64_t cool_until_us;  // retry-after to this very request
};

// In the order of the story rather than by size, but for what all of it asks for: between two events of one request those
// of many others pass, so that each line of memory has to be fetched anew.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct exchange {
    // What it holds, and lets go of at the end.
    struct arena arena;
    struct snapshot *snapshot;
    struct attempt *attempt; // the newest
    struct buf body;
    struct buf body_block; // where `body` lies if the host gave it whole; else empty, and `body` owns its memory
    struct buf reply_body;

    // What all of the story asks for.
    enum step step;
    enum error_code error;            // why the exchange replies itself or was cut
    const struct endpoint *endpoint;  // NULL: a plain route's request
    const struct compiled_rule *rule; // once it is routed
    const struct compiled_route *route;
    struct route_hit hit;
    struct slice request_id;
    const struct compiled_listener *listener;
    bool wants_usage; // something reads tokens or the response's model
    bool asks_usage;  // the provider is asked for usage, and the extra chunk kept from the client (S8)

    uint64_t random; // state of the generator

    // The client and its request, as received.
    struct exchange_client client;
    struct slice method;
    struct slice target;
    struct slice authority;
    struct slice scheme;
    enum http_version version;
    struct fields fields; // as clients' guards, routes and logs see them
    uint8_t *classes;     // enum field_class of each
    struct fields overrides;
    struct slice content_type;
    bool is_type_repeated;
    bool is_encoded;         // content-encoding other than identity
    bool is_expect_unknown;  // an expectation other than 100-continue
    struct slice pin_header; // NULL pointer: none
    uint32_t pin_count;
    size_t forwarded_for;         // index of the last, SLICE_NOT_FOUND when absent
    size_t forwarded;             // likewise
    struct slice forwarded_proto; // as the client sent it, empty when it did not, or twice
    uint32_t forwarded_proto_count;
    struct slice peer_address; // of who sent the request to us: the client, or the last proxy before us
    bool is_peer_trusted;      // by clientIPDetection: what it says of the client holds
    bool is_origin_unknown;    // by clientIPDetection: the request is refused
    bool has_underscore;       // some name has one, which the configuration refuses
    bool has_connection;       // a Connection field may name more fields to drop

    // The body.
    enum exchange_body_mode mode;
    int64_t content_length;
    size_t body_limit;
    bool is_body_whole;

    // Lifted (S2).
    struct slice model;
    struct slice pin;
    bool is_stream;
    struct json_scan scan;
    struct json_member *members; // by enum body_name and roots
    struct slice boundary;
    struct form_part form_model;
    struct form_part form_backend;

    // Attempts (S7).
    struct ref_state *refs;
    uint32_t attempts;
    uint32_t skipped_body_mutations; // on forms
    uint32_t retries_left;
    bool is_retry_barred; // by the host's budget, when a backend was chosen last
    bool has_host_picks;  // the host picks and retries by itself
    bool is_exhausted;    // a retry was due and none was left: URX
    int64_t backoff_until_us;

    // The end.
    struct exchange_reply reply;
    struct slice reply_param;
    struct slice transport_reason;
    uint16_t sent_status;
    const struct fields *sent_fields;
};

struct attempt {
    struct exchange *exchange;
    const struct config_backend_ref *ref;
    const struct compiled_ref *compiled;
    struct attempt_request request;
    bool is_body_edited;
    struct secret credential; // owned bytes, wiped with the attempt
    struct slice upstream_address;
    struct slice local_address;
    enum http_version protocol; // 0: not known
    int64_t begun_us;
    int64_t head_us; // when the upstream's head came; 0: not yet
    int64_t last_us; // when its last byte came

    // The answer.
    struct response_head head;
    struct usage_reader *reader;
    struct sse_parser *events; // of an answer that is framed as events (S8); else NULL
    struct buf carry;          // an event that came in several pieces
    struct slice *pieces;
    size_t piece_count;
    size_t piece_cap;
    struct slice first_pieces[2]; // where `pieces` begins: seldom are there more
    int64_t first_event_us;
    bool is_event_kept; // the last event was not for the client
    bool is_over;
    bool is_paused; // its answer is not read for now
    bool is_request_sent;
    bool is_last;
};

// ---- steps ----------------------------------------------------------------------------------------------------

// Runs steps until one waits; gives what it waits for.
enum exchange_want exchange_run(struct exchange *x);
// Gives back the memory of the held body, which is not needed any more.
void exchange_drop_body(struct exchange *x);
enum step step_admit(struct exchange *x);
enum step step_lift(struct exchange *x);
enum step step_route(struct exchange *x);

// ---- the head -------------------------------------------------------------------------------------------------

// Bytes of the copies that head_take makes.
size_t head_bytes(const struct request_head *head, const struct exchange_client *client);
// Copies the head, which has so many bytes, into the exchange and classifies its fields. False without memory.
bool head_take(struct exchange *x, const struct request_head *head, size_t bytes);
// A copy of the bytes at `*at`, which goes behind them.
struct slice head_take_slice(char **at, struct slice s);
// Appends a field of the given class to what routes and logs see.
bool head_add(struct exchange *x, enum field_class class, struct slice name, struct slice value);
// Whether a comma list of tokens names this one (any case), as Connection does.
bool list_names(struct slice list, struct slice token);

// Finds the client behind other proxies (clientIPDetection) and makes its address the exchange's. False without memory.
bool origin_find(struct exchange *x);
// Adds what Weir knows of the client to x-forwarded-for, x-forwarded-proto and, where that came, forwarded. False without
// memory.
bool origin_forward(struct exchange *x);

// ---- lifting --------------------------------------------------------------------------------------------------

// A lifted value as S1 wants it; prepares the reply and gives false when it is not.
bool lift_value(struct exchange *x, struct slice text, size_t max_bytes, struct slice name, struct slice *ret_value);
enum step lift_json(struct exchange *x);
enum step lift_form(struct exchange *x);
// The reply for a member that is wrong: 400 with `param`. Gives STEP_REPLY.
enum step lift_refuse(struct exchange *x, enum error_code error, struct slice name, struct slice why);

// ---- replies --------------------------------------------------------------------------------------------------

// Prepares the local reply for an error, with its own message or (not empty) another. Gives STEP_REPLY.
enum step reply_error(struct exchange *x, enum error_code error, struct slice message);
// The same with one more field, such as allow.
enum step reply_error_with(struct exchange *x, enum error_code error, struct slice message, struct slice name,
                           struct slice value);
// Prepares an answer that is no error; `body` in x->reply_body.
enum step reply_answer(struct exchange *x, uint16_t status, struct slice content_type, struct slice location);
// The list of models (config-model.md 3.6).
enum step reply_models(struct exchange *x);

// ---- choosing and retrying ------------------------------------------------------------------------------------

void choose_init(struct exchange *x);
uint64_t exchange_random(struct exchange *x);
// Whether some backend can take another attempt, at once or in time.
bool choose_has_next(struct exchange *x, int64_t now_us);
// Microseconds until a next one is ready, 0 also where there is none; -1: not in time.
int64_t choose_wait_us(struct exchange *x, int64_t now_us);
static inline const struct config_retry *exchange_policy(const struct exchange *x)
{
    return &x->hit.rule->traffic.retry;
}
// Whether the attempt's failure, or its answer's status, is to be followed by another attempt. Notes when that may
// begin. `retry_after_us` 0: the upstream said nothing.
bool retry_after_failure(struct exchange *x, enum error_code why, int64_t now_us);
bool retry_after_status(struct exchange *x, uint16_t status, int64_t retry_after_us, int64_t now_us);
// The value of retry-after in microseconds, a day at most: seconds or an HTTP date (RFC 9110 section 10.2.3); 0 when there
// is none.
int64_t retry_after_us(const struct fields *fields, int64_t unix_us);

// ---- attempts -------------------------------------------------------------------------------------------------

// The body for this attempt as pieces. False: the reply is ready.
bool edit_body(struct exchange *x, struct attempt *a);
// The model that this backend is asked for on a model endpoint where it is another than the client's; else empty. Forms
// know modelNameOverride alone (S6).
struct slice attempt_model(const struct attempt *a);
// The header filters of a plain route, on the attempt's request.
bool plain_build(struct exchange *x, struct attempt *a);
// The response filters of a plain route.
bool plain_response(struct exchange *x, struct fields *fields);
// Redirects; STEP_REPLY or STEP_BACKEND.
enum step plain_answer(struct exchange *x);
// Target with the path change of a filter.
struct slice plain_target(struct exchange *x);
// Wipes and releases what an attempt holds outside the arena. NULL is fine.
void attempt_fini(struct attempt *a);

// ---- responses ------------------------------------------------------------------------------------------------

// Event streams: the pieces of this call's whole events.
struct attempt_verdict stream_pass(struct attempt *a, struct slice piece, bool is_end, int64_t now_us);
// Ends the client's message abnormally, with an error event where the endpoint has one.
struct attempt_verdict stream_cut(struct attempt *a, enum error_code why);
bool attempt_push(struct attempt *a, struct slice piece);

// ---- time -----------------------------------------------------------------------------------------------------

// The moment the whole request must be over, INT64_MAX: never.
int64_t total_deadline_us(const struct exchange *x);

#endif
