// One client request from start to finish: lift, route, attempt, stream, account. The only room that knows all others.
//
// Sans-I/O: the host feeds events and carries out what the calls return; there are no callbacks, no clock, no sockets.
// Time comes in as `now_us`, monotonic microseconds, the host's own epoch. All slices handed in are copied when they are
// kept, so they need to live only for the call; all slices handed out live in the exchange (or attempt) and are valid
// until the next call on the same object unless something longer is said.
//
// The order of calls for one request:
//   exchange_open -> (exchange_body)* -> exchange_next_backend -> attempt_begin -> attempt_response_head ->
//   (attempt_response_body)* -> exchange_close
// with attempt_failed wherever the upstream fails, and back to exchange_next_backend when it says so.
#ifndef WEIR_EXCHANGE_EXCHANGE_H
#define WEIR_EXCHANGE_EXCHANGE_H

#include "base/buf.h"
#include "base/error.h"
#include "exchange/snapshot.h"
#include "http/head.h"
#include "observe/record.h"

struct exchange;
struct attempt;

// What the host knows of the client and lends to the exchange at open.
struct exchange_client {
    struct slice remote_address; // with port: of the connection, or what a PROXY header said of it
    struct slice direct_address; // of the connection itself, likewise; empty: the same
    struct slice local_address;
    struct slice server_name; // SNI, may be empty
    bool is_tls;
    bool is_verified;    // the client showed a certificate, and it was good
    bool is_origin_told; // remote_address is the client's own already: the host has looked behind other proxies
    int64_t now_us;
    int64_t unix_us; // wall clock
    uint64_t random; // fresh 64 random bits: weights, request id
    uint64_t random2;
};

// What the exchange wants next.
enum exchange_want {
    EXCHANGE_WANT_BODY,    // give the body with exchange_body; nothing can be decided before its end
    EXCHANGE_WANT_BACKEND, // call exchange_next_backend
    EXCHANGE_WANT_REPLY,   // send exchange_reply() to the client, then close
};

// How the request body is to be treated; told by exchange_body_mode after open.
enum exchange_body_mode {
    BODY_HELD,     // exchange_body takes all of it, then the attempt's body comes from the exchange
    BODY_STREAMED, // a plain route: the host passes pieces straight to the upstream (no retry once a piece went)
};

// Opens an exchange on the generation that is current; holds a reference to `snapshot` until close.
// `content_length` is -1 when unknown (chunked) and 0 when there is no body. NULL only without memory.
struct exchange *exchange_open(struct snapshot *snapshot, size_t listener_id, const struct exchange_client *client,
                               const struct request_head *head, int64_t content_length, enum exchange_want *ret_want);
enum exchange_body_mode exchange_body_mode(const struct exchange *x);
// Memory to receive body bytes into without a copy, at least 1 byte, or {NULL, 0} when the limit is reached. Optional.
// Bytes put there are committed by calling exchange_body with a slice that begins at that pointer.
struct slice exchange_body_space(struct exchange *x, size_t wanted);
// A piece of the held body; `is_end` with the last (which may be empty).
enum exchange_want exchange_body(struct exchange *x, struct slice piece, bool is_end);
// The whole held body at once, where it lies: in `take_block`, which the exchange keeps as long as it needs the body.
enum exchange_want exchange_body_give(struct exchange *x, struct buf *take_block, struct slice body);
// The host gives up on the request before an answer began: malformed body, time limit, drain... Prepares the reply.
enum exchange_want exchange_fail(struct exchange *x, enum error_code error);

// ---- local replies --------------------------------------------------------------------------------------------

struct exchange_reply {
    struct response_head head; // content-type, content-length, x-request-id, retry-after, allow... all set
    struct slice body;
    bool must_close; // the connection can't be used again (framing is in doubt)
};
const struct exchange_reply *exchange_reply(const struct exchange *x);

// ---- choosing a backend ---------------------------------------------------------------------------------------

// A host's view of the backends' state, indexed by config_backend.id. Plain arrays that the host owns.
struct backend_health {
    const uint8_t *is_down;       // ejected or failing its checks
    const int64_t *cool_until_us; // retry-after seen: not before this time, if another is untried
    size_t count;
    bool retries_exhausted; // the host's budget of retries (S11) is used up: this request gets no more of them
    // The same pause for one reference alone, indexed by config_backend_ref.id; NULL: none. For rules that name one
    // backend several times: what its dedicated capacity asks for is not meant for its shared one.
    const int64_t *ref_cool_until_us;
    size_t ref_count;
};

enum exchange_choice_kind {
    CHOICE_BACKEND, // attempt_begin with `ref`
    CHOICE_WAIT,    // nothing before `at_us`: call exchange_next_backend again then
    CHOICE_REPLY,   // given up: exchange_reply() is ready
};

struct exchange_choice {
    enum exchange_choice_kind kind;
    const struct config_backend_ref *ref;
    int64_t at_us;
    bool is_retry;
};

// Picks by priority, weight, health and what was tried (S7).
struct exchange_choice exchange_next_backend(struct exchange *x, int64_t now_us, const struct backend_health *health);

// For hosts that pick backends and try again by themselves (Envoy): called once, when a backend is wanted, instead of
// exchange_next_backend. From then on attempt_begin may be called for any reference of the rule, once an attempt, and no
// verdict is ATTEMPT_RETRY. False: the rule has no backend that could be picked, exchange_reply() is ready.
bool exchange_host_picks(struct exchange *x);
// For those hosts, of an answer of the newest attempt before they decide on another try: how long its retry-after keeps
// that one waiting (S7). 0: not at all, or another backend is untried; -1: longer than there is time for, so that the
// answer must go to the client.
int64_t exchange_retry_wait_us(struct exchange *x, const struct response_head *head, int64_t now_us);

// ---- attempts -------------------------------------------------------------------------------------------------

struct attempt_request {
    struct slice method;
    struct slice target;
    struct slice authority;   // Host; empty: the host uses the endpoint's address and port
    struct fields fields;     // framing fields left out; the host adds host and content-length/transfer-encoding
    const struct slice *body; // pieces of the held body, ready for writev; live until the attempt ends
    size_t body_count;
    int64_t body_bytes; // -1: streamed, length unknown; for streamed bodies with a known length that length
};

// Builds the request for this backend from the untouched original. NULL: exchange_reply() is ready (untranslatable,
// credential missing, memory). An earlier attempt of the same exchange is gone after this call.
struct attempt *attempt_begin(struct exchange *x, const struct config_backend_ref *ref, int64_t now_us);
const struct attempt_request *attempt_request(const struct attempt *attempt);
// For the log: where it went, and in which protocol (0: not known). Call when connected.
void attempt_connected(struct attempt *attempt, struct slice upstream_address, struct slice local_address,
                       enum http_version protocol);

// The request went out whole: the held body may be released as soon as no retry can follow, so that an open stream holds
// no request body. Without this call it is held until the end (body pieces stay valid for a host that still writes).
void attempt_request_sent(struct attempt *attempt);
// For hosts that pick backends: no other attempt follows this one, whatever becomes of it. No retry is waited for, then.
void attempt_is_last(struct attempt *attempt);

enum attempt_verdict_kind {
    ATTEMPT_PASS,  // head: send it on; body: send `pieces`
    ATTEMPT_RETRY, // drop this upstream answer, call exchange_next_backend
    ATTEMPT_REPLY, // drop it, send exchange_reply()
    ATTEMPT_CUT,   // send `pieces`, then end the client's message abnormally (S8)
    ATTEMPT_DONE,  // send `pieces`; the answer is complete
};

struct attempt_verdict {
    enum attempt_verdict_kind kind;
    const struct response_head *head; // PASS of a head: framing fields left out; the host frames by body_bytes
    int64_t body_bytes;               // PASS of a head: length when known and unchanged, else -1 (chunked)
    const struct slice *pieces;       // for the client; borrowed from the piece handed in or the attempt
    size_t piece_count;
    int64_t cool_ms; // of a head: keep the backend out for so long (retry-after), also when the answer passes; 0: no
};

// `has_body` false for HEAD, 204, 304 or a content-length of 0: then PASS is the whole answer and attempt_response_body
// need not be called (calling it with an empty end is harmless). Informational (1xx) heads are the host's to drop.
struct attempt_verdict attempt_response_head(struct attempt *attempt, const struct response_head *head, bool has_body,
                                             int64_t content_length, int64_t now_us);
// `is_end` with the last piece of a complete body. Trailers are dropped by AI routes.
struct attempt_verdict attempt_response_body(struct attempt *attempt, struct slice piece, bool is_end, int64_t now_us);
// The host reads no more of this answer, because its client does not keep up (true), or does again: meanwhile the backend
// can't fall silent.
void attempt_paused(struct attempt *attempt, bool is_paused, int64_t now_us);
// Connect failure, reset, malformed answer, time limit: RETRY, REPLY, or, after the first byte went out, CUT.
struct attempt_verdict attempt_failed(struct attempt *attempt, enum error_code why, struct slice transport_reason,
                                      int64_t now_us);

// ---- time -----------------------------------------------------------------------------------------------------

// The moment at which the host must act if nothing happened by then, and the error to report by attempt_failed (or
// exchange_fail when no attempt is under way): first byte, stream idle, total. INT64_MAX: none. Coarse: check every 50 ms.
// Connect and client-side times (head, body, send, keep-alive) are the host's own.
int64_t exchange_deadline_us(const struct exchange *x, enum error_code *ret_error);

// ---- end ------------------------------------------------------------------------------------------------------

enum exchange_end { END_COMPLETE, END_CLIENT_GONE, END_CUT, END_DRAINED, END_SEND_TIMEOUT };

// Accounts, once; may be called in any state. What the record points to lives until exchange_free, the attempt's request
// does not outlive this call. Of the record's metadata only what it counts is written.
void exchange_close(struct exchange *x, enum exchange_end how, int64_t now_us, uint64_t bytes_received,
                    uint64_t bytes_sent, struct record *ret_record);
void exchange_free(struct exchange *x);
// Memory that it holds: arenas and bodies.
size_t exchange_held_bytes(const struct exchange *x);

// ---- what hosts and tools may ask -----------------------------------------------------------------------------

const struct config_rule *exchange_rule(const struct exchange *x);
// "httproute/ns/name/rule/i" of the rule; empty before there is one.
struct slice exchange_cluster(const struct exchange *x);
// The reference of the rule that has this key; NULL: none, or no rule yet.
const struct config_backend_ref *exchange_ref(const struct exchange *x, struct slice key);
// The newest attempt; NULL before the first.
struct attempt *exchange_attempt(const struct exchange *x);
// Why the exchange answers itself or was cut; ERROR_NONE otherwise.
enum error_code exchange_error(const struct exchange *x);
const struct config_listener *exchange_listener(const struct exchange *x);
const struct snapshot *exchange_snapshot(const struct exchange *x); // until exchange_free
struct slice exchange_step_name(const struct exchange *x);
// What a client or the log sees as the request's fields now: lifted headers included.
const struct fields *exchange_fields(const struct exchange *x);

#endif
