// The moments at which a request has taken too long (S8, S11).
#include "exchange/life.h"

#define FIRST_BYTE_MS 60000
#define STREAM_IDLE_MS ((int64_t)5 * 60 * 1000)

static int64_t after_ms(int64_t from_us, int64_t ms)
{
    int64_t at;
    if (ms <= 0 || __builtin_mul_overflow(ms, 1000, &at) || __builtin_add_overflow(from_us, at, &at))
        return INT64_MAX;
    return at;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t total_deadline_us(const struct exchange *x)
{
    if (!x->hit.rule)
        return INT64_MAX;
    int64_t begin = x->client.now_us;
    return smaller(after_ms(begin, x->hit.rule->request_timeout_ms),
                   after_ms(begin, x->hit.rule->traffic.max_stream_duration_ms));
}

static int64_t idle_ms(const struct exchange *x)
{
    if (x->hit.rule->stream_idle_ms >= 0)
        return x->hit.rule->stream_idle_ms;
    int64_t listener = x->listener->config->client.stream_idle_ms;
    return listener > 0 ? listener : STREAM_IDLE_MS;
}

// Per try: the retry policy's limit, the rule's backendRequest, or the default.
static int64_t first_byte_ms(const struct exchange *x)
{
    if (x->mode == BODY_STREAMED)
        return idle_ms(x); // the client may still be sending
    if (exchange_policy(x)->per_try_timeout_ms > 0)
        return exchange_policy(x)->per_try_timeout_ms;
    return x->hit.rule->backend_request_timeout_ms >= 0 ? x->hit.rule->backend_request_timeout_ms : FIRST_BYTE_MS;
}

int64_t exchange_deadline_us(const struct exchange *x, enum error_code *ret_error)
{
    int64_t own = INT64_MAX;
    enum error_code error = ERROR_TOTAL_TIMEOUT;
    if (x->step == STEP_ATTEMPT) {
        own = after_ms(x->attempt->begun_us, first_byte_ms(x));
        error = ERROR_FIRST_BYTE_TIMEOUT;
    } else if (x->step == STEP_ANSWER && !x->attempt->is_over) {
        if (!x->attempt->is_paused)
            own = after_ms(x->attempt->last_us, idle_ms(x));
        error = ERROR_IDLE_TIMEOUT;
    } else if (x->step != STEP_BACKEND) {
        return INT64_MAX;
    }
    int64_t total = total_deadline_us(x);
    *ret_error = total <= own ? ERROR_TOTAL_TIMEOUT : error;
    return smaller(total, own);
}
