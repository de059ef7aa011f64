#include "config/rule.h"

bool config_ref_is_usable(const struct config_backend_ref *ref)
{
    return ref->weight > 0 && ref->backend && ref->backend->endpoint_count > 0;
}

static bool has_one_request(const struct config_backend *backend)
{
    return !backend->proxy && (backend->host.len || backend->endpoint_count == 1);
}

const struct config_backend_ref *config_rule_only_ref(const struct config_rule *rule)
{
    const struct config_retry *retry = &rule->traffic.retry;
    const struct config_backend_ref *only = NULL;
    if (retry->is_set && retry->triggers & ~(uint32_t)RETRY_CONNECT_FAILURE)
        return NULL;
    for (size_t i = 0; i < rule->ref_count; i++) {
        if (!config_ref_is_usable(&rule->refs[i]))
            continue;
        if (only)
            return NULL;
        only = &rule->refs[i];
    }
    return only && has_one_request(only->backend) ? only : NULL;
}
