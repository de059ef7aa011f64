// Whether a failed attempt is followed by another one, and when that may begin (S7).
#include "exchange/life.h"

#define BACKOFF_BASE_MS 25 // as Envoy's defaults, where a policy says nothing
#define BACKOFF_MAX_MS 250

// The trigger that a failure is; 0: never retried.
static uint32_t trigger_of(enum error_code why)
{
    switch (why) {
    case ERROR_UPSTREAM_CONNECT:
    case ERROR_UPSTREAM_TLS:
    case ERROR_UPSTREAM_DNS:
    case ERROR_CONNECT_TIMEOUT:
    case ERROR_OVERFLOW:
        return RETRY_CONNECT_FAILURE;
    case ERROR_UPSTREAM_RESET:
    case ERROR_UPSTREAM_MALFORMED:
        return RETRY_RESET;
    case ERROR_FIRST_BYTE_TIMEOUT:
        return RETRY_TIMEOUT;
    default:
        return 0;
    }
}

static bool is_status_listed(const struct config_retry *retry, uint16_t status)
{
    if (!retry->is_set || !retry->code_count) // S7: 429, 500-504, and Anthropic's 529
        return status == 429 || (status >= 500 && status <= 504) || status == 529;
    for (size_t i = 0; i < retry->code_count; i++)
        if (retry->codes[i] == status)
            return true;
    return false;
}

static bool is_status_retriable(const struct exchange *x, uint16_t status)
{
    const struct config_retry *retry = exchange_policy(x);
    uint32_t triggers = retry->is_set ? retry->triggers : (uint32_t)RETRY_STATUS_CODES;
    if (!retry->is_set && x->rule->usable_refs <= 1)
        return false;
    return ((triggers & RETRY_STATUS_CODES) && is_status_listed(retry, status)) ||
           ((triggers & RETRY_5XX) && status >= 500) ||
           ((triggers & RETRY_GATEWAY_ERROR) && status >= 502 && status <= 504) ||
           ((triggers & RETRY_4XX_409) && status == 409);
}

static bool is_failure_retriable(const struct exchange *x, enum error_code why)
{
    const struct config_retry *retry = exchange_policy(x);
    uint32_t triggers = RETRY_CONNECT_FAILURE;
    if (retry->is_set)
        triggers = retry->triggers; // none at all when only such are named as never fire here
    else if (x->rule->usable_refs > 1)
        triggers |= RETRY_RESET | RETRY_TIMEOUT;
    if (triggers & (RETRY_5XX | RETRY_GATEWAY_ERROR)) // Envoy counts these failures among them
        triggers |= RETRY_CONNECT_FAILURE | RETRY_RESET | RETRY_TIMEOUT;
    if (x->mode == BODY_STREAMED)
        triggers &= RETRY_CONNECT_FAILURE; // nothing of the body went yet
    return trigger_of(why) & triggers;
}

// Full jitter (Brooker 2015) below a limit that doubles from the base to the maximum.
static int64_t draw_backoff_us(struct exchange *x)
{
    const struct config_retry *retry = exchange_policy(x);
    int64_t base = retry->is_set && retry->backoff_base_ms > 0 ? retry->backoff_base_ms : BACKOFF_BASE_MS;
    int64_t max = retry->is_set && retry->backoff_max_ms > 0 ? retry->backoff_max_ms : BACKOFF_MAX_MS;
    int64_t limit = base;
    for (uint32_t i = 1; i < x->attempts && limit < max; i++)
        limit *= 2;
    if (limit > max)
        limit = max;
    return (int64_t)(exchange_random(x) % ((uint64_t)limit * 1000 + 1));
}

// Whether some backend can take another attempt, in time.
static bool is_another_left(struct exchange *x, int64_t now_us)
{
    if (x->has_host_picks)
        return false;
    if (!x->retries_left || x->is_retry_barred) {
        x->is_exhausted = true;
        return false;
    }
    x->backoff_until_us = now_us + draw_backoff_us(x);
    if (!choose_has_next(x, now_us)) {
        x->is_exhausted = true;
        return false;
    }
    x->retries_left--;
    return true;
}

bool retry_after_failure(struct exchange *x, enum error_code why, int64_t now_us)
{
    return is_failure_retriable(x, why) && is_another_left(x, now_us);
}

bool retry_after_status(struct exchange *x, uint16_t status, int64_t retry_after, int64_t now_us)
{
    if (retry_after > 0)
        x->refs[x->attempt->ref - x->hit.rule->refs].cool_until_us = now_us + retry_after;
    return x->mode == BODY_HELD && is_status_retriable(x, status) && is_another_left(x, now_us);
}

int64_t exchange_retry_wait_us(struct exchange *x, const struct response_head *head, int64_t now_us)
{
    if (!x->attempt || !x->refs || (head->status != 429 && head->status < 500))
        return 0;
    int64_t wait_us = retry_after_us(&head->fields, x->client.unix_us + (now_us - x->client.now_us));
    if (wait_us <= 0)
        return 0;
    x->refs[x->attempt->ref - x->hit.rule->refs].cool_until_us = now_us + wait_us;
    return choose_wait_us(x, now_us);
}
