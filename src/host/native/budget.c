// The budget of retries (S11): a fifth of the requests of the last ten seconds.
#include "host/native/worker.h"

#define BUDGET_SECONDS 10
#define BUDGET_FREE 10 // so that the first failures after a quiet time are retried

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

bool retry_budget_allows(struct retry_budget *budget, int64_t now_us)
{
    uint64_t requests = 0, retries = 0;
    slot_of(budget, now_us);
    for (size_t i = 0; i < BUDGET_SECONDS; i++) {
        requests += budget->requests[i];
        retries += budget->retries[i];
    }
    return retries < BUDGET_FREE + requests / 5;
}
