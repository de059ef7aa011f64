// Which backend is tried next, and whether there is a next one at all (S7).
#include "exchange/life.h"

// Longest wait for the only backends left when nothing else limits the request's time.
#define WAIT_MAX_US ((int64_t)10 * 1000 * 1000)

// SplitMix64 (Steele, Lea, Flood 2014): good enough for weights and jitter, and one addition a draw.
uint64_t exchange_random(struct exchange *x)
{
    uint64_t z = (x->random += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

void choose_init(struct exchange *x)
{
    if (exchange_policy(x)->is_set)
        x->retries_left = exchange_policy(x)->num_retries;
    else
        x->retries_left = x->rule->usable_refs > 1 ? 2 : 1;
}

// ---- choosing -------------------------------------------------------------------------------------------------

// Whether a reference may be tried at all now, cooling aside.
static bool is_open(const struct exchange *x, size_t i, uint32_t tries_in_priority)
{
    const struct config_backend_ref *ref = &x->hit.rule->refs[i];
    uint32_t limit = exchange_policy(x)->attempts_per_priority;
    return ref->weight > 0 && ref->backend && !x->refs[i].is_down && (!limit || tries_in_priority < limit);
}

static uint32_t tries_of_priority(const struct exchange *x, uint32_t priority)
{
    uint32_t tries = 0;
    for (size_t i = 0; i < x->hit.rule->ref_count; i++)
        if (x->hit.rule->refs[i].priority == priority)
            tries += x->refs[i].tries;
    return tries;
}

// May a backend be tried again? Without a policy, several backends get one try each; a single one a second connection.
static bool allows_again(const struct exchange *x)
{
    return exchange_policy(x)->is_set || x->rule->usable_refs == 1;
}

// The next priority above `over` (or the first with over < 0), -1 when there is none.
static int64_t next_priority(const struct exchange *x, int64_t over)
{
    int64_t found = -1;
    for (size_t i = 0; i < x->hit.rule->ref_count; i++) {
        int64_t priority = x->hit.rule->refs[i].priority;
        if (priority > over && (found < 0 || priority < found))
            found = priority;
    }
    return found;
}

// By weight among the untried, open and not cooling references of one priority. SLICE_NOT_FOUND: none.
static size_t pick_untried(struct exchange *x, uint32_t priority, int64_t now_us)
{
    const struct config_backend_ref *refs = x->hit.rule->refs;
    uint32_t tries = tries_of_priority(x, priority);
    uint64_t total = 0;
    size_t last = SLICE_NOT_FOUND;
    for (int pass = 0; pass < 2; pass++) {
        uint64_t drawn = pass && total ? exchange_random(x) % total : 0;
        for (size_t i = 0; i < x->hit.rule->ref_count; i++) {
            if (refs[i].priority != priority || x->refs[i].tries || x->refs[i].avoid_until_us > now_us ||
                !is_open(x, i, tries))
                continue;
            if (!pass) {
                total += refs[i].weight;
                last = i;
            } else if (drawn < refs[i].weight) {
                return i;
            } else {
                drawn -= refs[i].weight;
            }
        }
        if (last == SLICE_NOT_FOUND || total == refs[last].weight)
            return last; // none, or one alone: nothing to draw
    }
    return last;
}

static size_t pick_fresh(struct exchange *x, int64_t now_us)
{
    for (int64_t p = next_priority(x, -1); p >= 0; p = next_priority(x, p)) {
        size_t i = pick_untried(x, (uint32_t)p, now_us);
        if (i != SLICE_NOT_FOUND)
            return i;
    }
    return SLICE_NOT_FOUND;
}

// The reference that is ready first among those that must be waited for or tried again; equals by priority, then fewer
// tries. *ret_at_us says when.
static size_t pick_again(const struct exchange *x, int64_t *ret_at_us)
{
    const struct config_backend_ref *refs = x->hit.rule->refs;
    size_t best = SLICE_NOT_FOUND;
    int64_t best_at = INT64_MAX;
    for (size_t i = 0; i < x->hit.rule->ref_count; i++) {
        const struct ref_state *state = &x->refs[i];
        if (!is_open(x, i, tries_of_priority(x, refs[i].priority)) || (state->tries && !allows_again(x)))
            continue;
        int64_t at = state->cool_until_us;
        if (state->tries && x->backoff_until_us > at)
            at = x->backoff_until_us;
        bool is_better =
            at < best_at || (at == best_at && best != SLICE_NOT_FOUND &&
                             (refs[i].priority < refs[best].priority ||
                              (refs[i].priority == refs[best].priority && state->tries < x->refs[best].tries)));
        if (is_better) {
            best = i;
            best_at = at;
        }
    }
    *ret_at_us = best_at;
    return best;
}

// Whether waiting until then leaves time for an answer.
static bool fits(const struct exchange *x, int64_t at_us, int64_t now_us)
{
    int64_t end = total_deadline_us(x);
    return at_us <= now_us || (end == INT64_MAX ? at_us - now_us <= WAIT_MAX_US : at_us < end);
}

bool choose_has_next(struct exchange *x, int64_t now_us)
{
    int64_t at_us;
    return pick_fresh(x, now_us) != SLICE_NOT_FOUND ||
           (pick_again(x, &at_us) != SLICE_NOT_FOUND && fits(x, at_us, now_us));
}

int64_t choose_wait_us(struct exchange *x, int64_t now_us)
{
    int64_t at_us;
    if (pick_fresh(x, now_us) != SLICE_NOT_FOUND || pick_again(x, &at_us) == SLICE_NOT_FOUND || at_us <= now_us)
        return 0;
    return fits(x, at_us, now_us) ? at_us - now_us : -1;
}

// Percent of the backends of a priority that are well; 0 when none of them takes traffic by weight.
static uint32_t well_percent(const struct exchange *x, int64_t priority)
{
    uint32_t all = 0;
    uint32_t well = 0;
    for (size_t i = 0; i < x->hit.rule->ref_count; i++) {
        const struct config_backend_ref *ref = &x->hit.rule->refs[i];
        if (ref->priority != (uint32_t)priority || ref->weight == 0 || !ref->backend)
            continue;
        all++;
        well += !x->refs[i].is_down;
    }
    return all ? well * 100 / all : 0;
}

// Whether all priorities together carry the load, each trusted with 1.4 times its share of healthy backends (Envoy's
// overprovisioning factor): then the others serve for the one that is down, and no health is doubted.
static bool has_capacity(const struct exchange *x)
{
    uint32_t capacity = 0;
    for (int64_t p = next_priority(x, -1); p >= 0 && capacity < 100; p = next_priority(x, p))
        capacity += well_percent(x, p) * 14 / 10;
    return capacity >= 100;
}

// With too few healthy backends in a priority, health is not believed there (panic threshold).
static void apply_panic(struct exchange *x)
{
    uint32_t threshold = x->hit.rule->traffic.panic_threshold_percent;
    if (threshold == 0 || has_capacity(x))
        return;
    for (int64_t p = next_priority(x, -1); p >= 0; p = next_priority(x, p)) {
        bool is_panic = well_percent(x, p) < threshold;
        for (size_t i = 0; is_panic && i < x->hit.rule->ref_count; i++)
            if (x->hit.rule->refs[i].priority == (uint32_t)p)
                x->refs[i].is_down = false;
    }
}

static int64_t avoid_until_us(const struct backend_health *health, const struct config_backend_ref *ref)
{
    int64_t of_backend = health->cool_until_us ? health->cool_until_us[ref->backend->id] : 0;
    int64_t of_ref = health->ref_cool_until_us && ref->id < health->ref_count ? health->ref_cool_until_us[ref->id] : 0;
    return of_ref > of_backend ? of_ref : of_backend;
}

// Takes over the host's view of this rule's backends.
static void note_health(struct exchange *x, const struct backend_health *health)
{
    x->is_retry_barred = health && health->retries_exhausted;
    bool has_down = false;
    for (size_t i = 0; health && i < x->hit.rule->ref_count; i++) {
        const struct config_backend *backend = x->hit.rule->refs[i].backend;
        if (!backend || backend->id >= health->count)
            continue;
        x->refs[i].is_down = health->is_down && health->is_down[backend->id];
        has_down |= x->refs[i].is_down;
        x->refs[i].avoid_until_us = avoid_until_us(health, &x->hit.rule->refs[i]);
    }
    if (has_down)
        apply_panic(x);
}

static struct exchange_choice give_up(struct exchange *x)
{
    bool has_backend = false;
    for (size_t i = 0; i < x->hit.rule->ref_count; i++)
        has_backend |= x->hit.rule->refs[i].backend != NULL;
    // A rule whose every reference is invalid answers 500 (Gateway API, HTTPRouteRule.backendRefs).
    x->step = reply_error(x, has_backend ? ERROR_NO_HEALTHY_BACKEND : ERROR_INTERNAL, SLICE(""));
    return (struct exchange_choice){.kind = CHOICE_REPLY};
}

static struct exchange_choice choose(struct exchange *x, size_t i)
{
    return (struct exchange_choice){.kind = CHOICE_BACKEND, .ref = &x->hit.rule->refs[i], .is_retry = x->attempts > 0};
}

// False: the reply is ready.
static bool take_states(struct exchange *x)
{
    if (x->step == STEP_REPLY || !x->hit.rule)
        return false;
    if (!x->refs && !(x->refs = ARENA_ARRAY(&x->arena, struct ref_state, x->hit.rule->ref_count)))
        x->step = reply_error(x, ERROR_OVERLOADED, SLICE(""));
    return x->refs;
}

bool exchange_host_picks(struct exchange *x)
{
    x->has_host_picks = true;
    if (!take_states(x))
        return false;
    if (x->rule->usable_refs == 0)
        give_up(x);
    return x->step != STEP_REPLY;
}

struct exchange_choice exchange_next_backend(struct exchange *x, int64_t now_us, const struct backend_health *health)
{
    if (!take_states(x))
        return (struct exchange_choice){.kind = CHOICE_REPLY};
    note_health(x, health);
    size_t i = pick_fresh(x, now_us);
    if (i != SLICE_NOT_FOUND)
        return choose(x, i);
    int64_t at_us;
    i = pick_again(x, &at_us);
    if (i == SLICE_NOT_FOUND || !fits(x, at_us, now_us))
        return give_up(x);
    if (at_us <= now_us)
        return choose(x, i);
    return (struct exchange_choice){.kind = CHOICE_WAIT, .at_us = at_us, .is_retry = x->attempts > 0};
}
