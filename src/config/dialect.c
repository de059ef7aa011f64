// One line a dialect.
#include "config/dialect.h"

static const struct {
    struct slice name;
    bool is_served;
} dialects[] = {
    [SCHEMA_NONE] = {SLICE_INIT(""), false},
    [SCHEMA_OPENAI] = {SLICE_INIT("OpenAI"), true},
    [SCHEMA_COHERE] = {SLICE_INIT("Cohere"), false},
    [SCHEMA_AWS_BEDROCK] = {SLICE_INIT("AWSBedrock"), false},
    [SCHEMA_AZURE_OPENAI] = {SLICE_INIT("AzureOpenAI"), false},
    [SCHEMA_GCP_VERTEX_AI] = {SLICE_INIT("GCPVertexAI"), false},
    [SCHEMA_GCP_ANTHROPIC] = {SLICE_INIT("GCPAnthropic"), false},
    [SCHEMA_ANTHROPIC] = {SLICE_INIT("Anthropic"), false},
    [SCHEMA_AWS_ANTHROPIC] = {SLICE_INIT("AWSAnthropic"), false},
};

#define DIALECT_COUNT (sizeof dialects / sizeof *dialects)

enum config_schema dialect_from_name(struct slice name)
{
    for (size_t i = SCHEMA_OPENAI; i < DIALECT_COUNT; i++)
        if (slice_eq(name, dialects[i].name))
            return (enum config_schema)i;
    return SCHEMA_NONE;
}

struct slice dialect_name(enum config_schema schema)
{
    return dialects[schema].name;
}

bool dialect_is_served(enum config_schema schema)
{
    return dialects[schema].is_served;
}
