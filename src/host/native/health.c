// Health of backends, in the manner of Envoy's outlier detection, by atomics that no order holds together: a report that
// comes a moment late changes nothing that matters.
#include "host/native/health.h"

#include "base/map.h"

#include <stdatomic.h>
#include <stdlib.h>

#define EJECTION_MAX_US ((int64_t)300 * 1000000) // Envoy's max_ejection_time
#define TRIAL_US ((int64_t)100 * 1000)           // one look in this time may try a backend that returns
#define COOL_FIRST_US ((int64_t)500 * 1000)      // after the first connect failure; doubles
#define COOL_MAX_US ((int64_t)30 * 1000000)
#define COOL_DOUBLINGS_MAX 6U

#define LOAD(object) atomic_load_explicit(&(object), memory_order_relaxed)
#define STORE(object, value) atomic_store_explicit(&(object), (value), memory_order_relaxed)
#define ADD(object, value) atomic_fetch_add_explicit(&(object), (value), memory_order_relaxed)

struct state {                        // of one backend
    _Atomic int64_t ejected_until_us; // 0: never ejected
    _Atomic int64_t trial_until_us;   // nobody else tries a returning backend before
    _Atomic int64_t cool_until_us;
    _Atomic uint32_t ejections; // what the next ejection is multiplied with, less what time forgave
    _Atomic uint32_t ejected_total;
    _Atomic uint32_t run_5xx; // failures in a row, by kind
    _Atomic uint32_t run_gateway;
    _Atomic uint32_t run_local;
    _Atomic uint32_t run_connect;
    _Atomic bool is_returning; // an ejection ended and no answer has been good since
    _Atomic bool is_failing_check;
};

struct health {
    const struct config *config;
    size_t count;
    size_t ref_count;
    _Atomic int64_t *ref_cool_until_us; // by config_backend_ref.id
    struct state states[];
};

// ---- life -----------------------------------------------------------------------------------------------------

static struct slice key_of(const struct config_backend *backend, struct arena *arena)
{
    const struct slice parts[] = {backend->namespace_, SLICE("/"), backend->name};
    return arena_join(arena, parts, 3);
}

static void copy_state(struct state *to, const struct state *from)
{
    STORE(to->ejected_until_us, LOAD(from->ejected_until_us));
    STORE(to->cool_until_us, LOAD(from->cool_until_us));
    STORE(to->ejections, LOAD(from->ejections));
    STORE(to->ejected_total, LOAD(from->ejected_total));
    STORE(to->run_5xx, LOAD(from->run_5xx));
    STORE(to->run_gateway, LOAD(from->run_gateway));
    STORE(to->run_local, LOAD(from->run_local));
    STORE(to->run_connect, LOAD(from->run_connect));
    STORE(to->is_returning, LOAD(from->is_returning));
    STORE(to->is_failing_check, LOAD(from->is_failing_check));
}

// Best effort: without memory for the names the new table begins well.
static void carry_over(struct health *health, const struct health *before)
{
    struct arena arena;
    struct map states;
    arena_init(&arena, (size_t)64 * 1024, (size_t)256 << 20);
    map_init(&states, &arena, 0);
    for (size_t i = 0; i < before->count; i++) {
        struct slice key = key_of(&before->config->backends[i], &arena);
        if (!key.ptr || !map_put(&states, key, (void *)(uintptr_t)&before->states[i]))
            break;
    }
    for (size_t i = 0; i < health->count; i++) {
        struct slice key = key_of(&health->config->backends[i], &arena);
        const struct state *known = key.ptr ? map_get(&states, key) : NULL;
        if (known)
            copy_state(&health->states[i], known);
    }
    arena_fini(&arena);
}

struct health *health_new(const struct config *config, const struct health *before, int64_t now_us)
{
    size_t bytes;
    (void)now_us;
    if (__builtin_mul_overflow(config->backend_count, sizeof(struct state), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct health), &bytes))
        return NULL;
    struct health *health = calloc(1, bytes);
    if (!health)
        return NULL;
    health->config = config;
    health->count = config->backend_count;
    health->ref_count = config->ref_count;
    health->ref_cool_until_us = calloc(config->ref_count + 1, sizeof *health->ref_cool_until_us);
    if (!health->ref_cool_until_us) {
        free(health);
        return NULL;
    }
    if (before)
        carry_over(health, before);
    return health;
}

void health_free(struct health *take_health)
{
    if (take_health)
        free(take_health->ref_cool_until_us);
    free(take_health);
}

// ---- reports --------------------------------------------------------------------------------------------------

enum health_outcome health_of_status(uint16_t status)
{
    if (status < 500)
        return HEALTH_SUCCESS;
    return status >= 502 && status <= 504 ? HEALTH_GATEWAY_ERROR : HEALTH_5XX;
}

static void reset_runs(struct state *state)
{
    // Read before written: the line stays shared between the workers while all is well.
    if (LOAD(state->run_5xx))
        STORE(state->run_5xx, 0);
    if (LOAD(state->run_gateway))
        STORE(state->run_gateway, 0);
    if (LOAD(state->run_local))
        STORE(state->run_local, 0);
    if (LOAD(state->run_connect))
        STORE(state->run_connect, 0);
}

static bool is_ejected(const struct state *state, int64_t now_us)
{
    return now_us < LOAD(state->ejected_until_us);
}

// Whether one more of the rule's backends may go. Envoy counts the share with the one at hand.
static bool may_eject(const struct health *health, const struct config_rule *rule, int64_t now_us)
{
    const struct config_passive_health *policy = &rule->traffic.passive;
    size_t total = 0, ejected = 0;
    for (size_t i = 0; i < rule->ref_count; i++) {
        const struct config_backend *backend = rule->refs[i].backend;
        if (!backend)
            continue;
        total++;
        ejected += is_ejected(&health->states[backend->id], now_us);
    }
    if (ejected == 0 && policy->always_eject_one)
        return true;
    return (ejected + 1) * 100 <= (size_t)policy->max_ejection_percent * total;
}

// Each interval since the last ejection takes one off the multiplier.
static uint32_t forgiven(const struct state *state, int64_t interval_us, int64_t now_us)
{
    uint32_t ejections = LOAD(state->ejections);
    int64_t since_us = now_us - LOAD(state->ejected_until_us);
    int64_t intervals = interval_us > 0 ? since_us / interval_us : 0;
    return intervals >= (int64_t)ejections ? 0 : ejections - (uint32_t)intervals;
}

static void eject(struct state *state, const struct config_passive_health *policy, int64_t now_us)
{
    int64_t until_us = LOAD(state->ejected_until_us);
    uint32_t ejections = forgiven(state, policy->interval_ms * 1000, now_us) + 1;
    int64_t base_us = policy->base_ejection_ms * 1000;
    int64_t most_us = base_us > EJECTION_MAX_US ? base_us : EJECTION_MAX_US;
    int64_t length_us;
    if (__builtin_mul_overflow(base_us, (int64_t)ejections, &length_us) || length_us > most_us)
        length_us = most_us;
    // Of several workers that see the same threshold passed, one ejects.
    if (!atomic_compare_exchange_strong(&state->ejected_until_us, &until_us, now_us + length_us))
        return;
    STORE(state->ejections, ejections);
    STORE(state->is_returning, true);
    STORE(state->trial_until_us, 0);
    ADD(state->ejected_total, 1U);
    reset_runs(state);
}

static bool has_run(uint32_t run, uint32_t threshold)
{
    return threshold && run >= threshold;
}

static bool is_local(enum health_outcome outcome)
{
    return outcome == HEALTH_CONNECT_FAILURE || outcome == HEALTH_RESET;
}

// Counts a failure as the policy does: local ones by themselves where it asks for that, else as gateway errors.
static bool passes_threshold(struct state *state, const struct config_passive_health *policy,
                             enum health_outcome outcome)
{
    if (is_local(outcome) && policy->consecutive_local_origin_failures)
        return has_run(ADD(state->run_local, 1U) + 1, policy->consecutive_local_origin_failures);
    uint32_t run_gateway = 0;
    if (outcome == HEALTH_5XX)
        STORE(state->run_gateway, 0);
    else
        run_gateway = ADD(state->run_gateway, 1U) + 1;
    uint32_t run_5xx = ADD(state->run_5xx, 1U) + 1;
    return has_run(run_5xx, policy->consecutive_5xx) || has_run(run_gateway, policy->consecutive_gateway_errors);
}

// S7's default where no policy says anything: a pause that doubles. Failures of one burst count once.
static void pause_after_connect_failure(struct state *state, int64_t now_us)
{
    int64_t cool_us = LOAD(state->cool_until_us);
    if (now_us < cool_us)
        return;
    uint32_t run = ADD(state->run_connect, 1U);
    int64_t length_us = COOL_FIRST_US << (run < COOL_DOUBLINGS_MAX ? run : COOL_DOUBLINGS_MAX);
    STORE(state->cool_until_us, now_us + (length_us < COOL_MAX_US ? length_us : COOL_MAX_US));
}

void health_report(struct health *health, const struct config_rule *rule, size_t backend_id,
                   enum health_outcome outcome, int64_t now_us)
{
    const struct config_passive_health *policy = &rule->traffic.passive;
    struct state *state = &health->states[backend_id];
    if (outcome == HEALTH_SUCCESS) {
        reset_runs(state);
        if (LOAD(state->is_returning) && !is_ejected(state, now_us))
            STORE(state->is_returning, false);
        return;
    }
    if (!policy->is_set) {
        if (outcome == HEALTH_CONNECT_FAILURE)
            pause_after_connect_failure(state, now_us);
        return;
    }
    if (is_ejected(state, now_us))
        return; // an answer to something sent before
    bool is_enough = passes_threshold(state, policy, outcome) || LOAD(state->is_returning);
    if (is_enough && may_eject(health, rule, now_us))
        eject(state, policy, now_us);
}

static bool is_named_again(const struct config_rule *rule, const struct config_backend_ref *ref)
{
    for (size_t i = 0; i < rule->ref_count; i++)
        if (&rule->refs[i] != ref && rule->refs[i].backend == ref->backend)
            return true;
    return false;
}

void health_cool(struct health *health, const struct config_rule *rule, const struct config_backend_ref *ref,
                 int64_t cool_ms, int64_t now_us)
{
    _Atomic int64_t *cool_until_us = is_named_again(rule, ref) && ref->id < health->ref_count
                                         ? &health->ref_cool_until_us[ref->id]
                                         : &health->states[ref->backend->id].cool_until_us;
    int64_t until_us;
    if (cool_ms <= 0 || __builtin_mul_overflow(cool_ms, (int64_t)1000, &until_us) ||
        __builtin_add_overflow(until_us, now_us, &until_us))
        return;
    if (until_us > LOAD(*cool_until_us))
        STORE(*cool_until_us, until_us);
}

void health_set_checked(struct health *health, size_t backend_id, bool is_well)
{
    STORE(health->states[backend_id].is_failing_check, !is_well);
}

// ---- looks ----------------------------------------------------------------------------------------------------

bool health_view_init(struct health_view *view, const struct health *health)
{
    size_t count = health->count ? health->count : 1;
    *view = (struct health_view){calloc(count, sizeof *view->is_down), calloc(count, sizeof *view->cool_until_us),
                                 calloc(health->ref_count + 1, sizeof *view->ref_cool_until_us), health->count};
    if (view->is_down && view->cool_until_us && view->ref_cool_until_us)
        return true;
    health_view_fini(view);
    return false;
}

void health_view_fini(struct health_view *view)
{
    free(view->is_down);
    free(view->cool_until_us);
    free(view->ref_cool_until_us);
    *view = (struct health_view){NULL, NULL, NULL, 0};
}

// A backend that returns is given to one look at a time, until an answer was good: slow return.
static bool is_down(struct state *state, int64_t now_us)
{
    if (LOAD(state->is_failing_check) || is_ejected(state, now_us))
        return true;
    if (!LOAD(state->is_returning))
        return false;
    int64_t until_us = LOAD(state->trial_until_us);
    return now_us < until_us || !atomic_compare_exchange_strong(&state->trial_until_us, &until_us, now_us + TRIAL_US);
}

struct backend_health health_look(struct health *health, struct health_view *view, const struct config_rule *rule,
                                  int64_t now_us)
{
    for (size_t i = 0; i < rule->ref_count; i++) {
        const struct config_backend *backend = rule->refs[i].backend;
        if (!backend)
            continue;
        struct state *state = &health->states[backend->id];
        view->is_down[backend->id] = is_down(state, now_us);
        view->cool_until_us[backend->id] = LOAD(state->cool_until_us);
        if (rule->refs[i].id < health->ref_count)
            view->ref_cool_until_us[rule->refs[i].id] = LOAD(health->ref_cool_until_us[rule->refs[i].id]);
    }
    return (struct backend_health){.is_down = view->is_down,
                                   .cool_until_us = view->cool_until_us,
                                   .count = view->count,
                                   .ref_cool_until_us = view->ref_cool_until_us,
                                   .ref_count = health->ref_count};
}

struct health_state health_state(const struct health *health, size_t backend_id, int64_t now_us)
{
    const struct state *state = &health->states[backend_id];
    return (struct health_state){
        .is_ejected = is_ejected(state, now_us),
        .is_failing_check = LOAD(state->is_failing_check),
        .is_cooling = now_us < LOAD(state->cool_until_us),
        .ejections = LOAD(state->ejected_total),
    };
}
