// Which backends are worth trying (S7): passive ejection as BackendTrafficPolicy.healthCheck.passive says, a short growing
// pause after connect failures where no policy says anything, pauses that a backend asks for itself (retry-after), and
// what active checks found (health_check.h). One table a snapshot, shared by all workers, all of it atomics: reports and
// looks take no lock. No clock in here: time is monotonic microseconds of the caller.
#ifndef WEIR_HOST_NATIVE_HEALTH_H
#define WEIR_HOST_NATIVE_HEALTH_H

#include "exchange/exchange.h"

struct health;

// For all backends of a configuration, all well. `config` is borrowed: keep its snapshot. What `before` (or NULL) knows of
// a backend of the same name is carried over. NULL without memory.
struct health *health_new(const struct config *config, const struct health *before, int64_t now_us);
void health_free(struct health *take_health);

enum health_outcome {
    HEALTH_SUCCESS,         // an answer below 500
    HEALTH_5XX,             // 500 and above, but
    HEALTH_GATEWAY_ERROR,   // 502, 503, 504
    HEALTH_CONNECT_FAILURE, // refused, unreachable, DNS, TLS, connect time limit
    HEALTH_RESET,           // reset or time limit before the answer's head
};

// The outcome of an answer's status.
enum health_outcome health_of_status(uint16_t status);
// Tells how one attempt of this rule at this backend went.
void health_report(struct health *health, const struct config_rule *rule, size_t backend_id,
                   enum health_outcome outcome, int64_t now_us);
// The backend asked to be left alone (attempt_verdict.cool_ms). Where the rule names it several times, each with its own
// mutations, the answer speaks for this reference alone.
void health_cool(struct health *health, const struct config_rule *rule, const struct config_backend_ref *ref,
                 int64_t cool_ms, int64_t now_us);
// What an active check found.
void health_set_checked(struct health *health, size_t backend_id, bool is_well);

// A worker's own arrays for exchange_next_backend. Make one for each worker and snapshot.
struct health_view {
    uint8_t *is_down;
    int64_t *cool_until_us;
    int64_t *ref_cool_until_us;
    size_t count;
};
// False without memory.
bool health_view_init(struct health_view *view, const struct health *health);
void health_view_fini(struct health_view *view);
// Brings the backends of this rule up to date (trials of returning backends included) and gives what the exchange takes,
// which applies the panic threshold itself. Cost: the rule's references, not all backends.
struct backend_health health_look(struct health *health, struct health_view *view, const struct config_rule *rule,
                                  int64_t now_us);

// For metrics and the admin port.
struct health_state {
    bool is_ejected;       // passively, now
    bool is_failing_check; // actively
    bool is_cooling;
    uint32_t ejections; // since the start
};
struct health_state health_state(const struct health *health, size_t backend_id, int64_t now_us);

#endif
