// The budget of retries (S11): a fifth of the requests of the last ten seconds.
#include "host/native/worker.h"

#define BUDGET_SECONDS 10
#define BUDGET_FREE 100 // so that failures after a quiet time, and those of light traffic, are all retried

static size_t slot_of(struct retry_budget *budget, int64_t now_us)
{
    int64_t second = now_us / 1000000;
    if (second - budget->second > BUDGET_SECONDS)
        budget->second = second - BUDGET_SECONDS;
    while (budget->second < second) {
        budget->second++;
        budget->requests[budget->second % BUDGET_SECONDS] = 0;
        budget->retries[budget->second % BUDGET_SECONDS] = 0;
    }
    return (size_t)(second % BUDGET_SECONDS);
}

void retry_budget_request(struct retry_budget *budget, int64_t now_us)
{
    budget->requests[slot_of(budget, now_us)]++;
}

void retry_budget_retry(struct retry_budget *budget, int64_t now_us)
{
    budget->retries[slot_of(budget, now_us)]++;
}

// Retries of the window, and how many there may be.
static uint64_t count(struct retry_budget *budget, int64_t now_us, uint64_t *ret_limit)
{
    uint64_t requests = 0, retries = 0;
    slot_of(budget, now_us);
    for (size_t i = 0; i < BUDGET_SECONDS; i++) {
        requests += budget->requests[i];
        retries += budget->retries[i];
    }
    *ret_limit = BUDGET_FREE + requests / 5;
    return retries;
}

bool retry_budget_allows(struct retry_budget *budget, int64_t now_us)
{
    uint64_t limit;
    return count(budget, now_us, &limit) < limit;
}

bool retry_budget_is_low(struct retry_budget *budget, int64_t now_us)
{
    uint64_t limit;
    return count(budget, now_us, &limit) >= limit / 2;
}
