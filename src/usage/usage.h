// Token usage of one response, read off the bytes that pass (S8). Also cost expressions (usage/cost.h).
#ifndef WEIR_USAGE_USAGE_H
#define WEIR_USAGE_USAGE_H

#include "base/slice.h"

enum usage_kind {
    USAGE_INPUT,
    USAGE_CACHED_INPUT,
    USAGE_CACHE_CREATION_INPUT,
    USAGE_OUTPUT,
    USAGE_TOTAL,
    USAGE_REASONING,
    USAGE_KIND_COUNT,
};

struct usage {
    uint64_t tokens[USAGE_KIND_COUNT];
    uint32_t is_set; // bit 1 << kind
};

static inline bool usage_has(const struct usage *usage, enum usage_kind kind)
{
    return usage->is_set & (1U << kind);
}

static inline void usage_set(struct usage *usage, enum usage_kind kind, uint64_t tokens)
{
    usage->tokens[kind] = tokens;
    usage->is_set |= 1U << kind;
}

#endif
