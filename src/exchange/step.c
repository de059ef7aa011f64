// The step table, and what may be asked of an exchange at any time.
#include "exchange/life.h"

struct step_row {
    enum step (*run)(struct exchange *x); // NULL: waits for the host
    enum exchange_want want;
    struct slice name;
};

static const struct step_row steps[] = {
#define STEP(name_, function_, want_) [STEP_##name_] = {function_, EXCHANGE_WANT_##want_, SLICE_INIT(#name_)},
#include "exchange/steps.def"
#undef STEP
};

enum exchange_want exchange_run(struct exchange *x)
{
    while (steps[x->step].run)
        x->step = steps[x->step].run(x);
    return steps[x->step].want;
}

struct slice exchange_step_name(const struct exchange *x)
{
    return steps[x->step].name;
}

enum exchange_body_mode exchange_body_mode(const struct exchange *x)
{
    return x->mode;
}

const struct config_rule *exchange_rule(const struct exchange *x)
{
    return x->hit.rule;
}

struct slice exchange_cluster(const struct exchange *x)
{
    return x->rule ? x->rule->cluster : SLICE("");
}

const struct config_backend_ref *exchange_ref(const struct exchange *x, struct slice key)
{
    for (size_t i = 0; x->hit.rule && i < x->hit.rule->ref_count; i++)
        if (slice_eq(x->hit.rule->refs[i].key, key))
            return &x->hit.rule->refs[i];
    return NULL;
}

struct attempt *exchange_attempt(const struct exchange *x)
{
    return x->attempt;
}

enum error_code exchange_error(const struct exchange *x)
{
    return x->error;
}

const struct config_listener *exchange_listener(const struct exchange *x)
{
    return x->listener->config;
}

const struct snapshot *exchange_snapshot(const struct exchange *x)
{
    return x->snapshot;
}

const struct fields *exchange_fields(const struct exchange *x)
{
    return &x->fields;
}

const struct exchange_reply *exchange_reply(const struct exchange *x)
{
    return &x->reply;
}
