// The endpoint table and what each dialect serves.
#include "schema/schema.h"

static const struct endpoint endpoints[ENDPOINT_COUNT] = {
#define ENDPOINT(id_, path_, method_, body_, model_, stream_, usage_, family_, suffix_)                                \
    [ENDPOINT_##id_] = {.id = ENDPOINT_##id_,                                                                          \
                        .name = SLICE_INIT(#id_),                                                                      \
                        .path = SLICE_INIT(path_),                                                                     \
                        .method = SLICE_INIT(method_),                                                                 \
                        .body = ENDPOINT_BODY_##body_,                                                                 \
                        .stream = STREAM_##stream_,                                                                    \
                        .usage = USAGE_SHAPE_##usage_,                                                                 \
                        .family = FAMILY_##family_,                                                                    \
                        .suffix = SLICE_INIT(suffix_)},
#include "schema/endpoints.def"
#undef ENDPOINT
};

const struct endpoint *endpoint_at(enum endpoint_id id)
{
    return id < ENDPOINT_COUNT ? &endpoints[id] : NULL;
}

const struct endpoint *endpoint_find(struct slice path)
{
    for (size_t i = 0; i < ENDPOINT_COUNT; i++)
        if (slice_eq(endpoints[i].path, path))
            return &endpoints[i];
    return NULL;
}

bool schema_serves(enum config_schema schema, enum endpoint_id endpoint)
{
    return schema == SCHEMA_OPENAI && endpoint < ENDPOINT_COUNT && endpoint != ENDPOINT_MODELS;
}

struct slice schema_name(enum config_schema schema)
{
    static const struct slice names[] = {
        [SCHEMA_NONE] = SLICE_INIT("none"),
        [SCHEMA_OPENAI] = SLICE_INIT("OpenAI"),
        [SCHEMA_COHERE] = SLICE_INIT("Cohere"),
        [SCHEMA_AWS_BEDROCK] = SLICE_INIT("AWSBedrock"),
        [SCHEMA_AZURE_OPENAI] = SLICE_INIT("AzureOpenAI"),
        [SCHEMA_GCP_VERTEX_AI] = SLICE_INIT("GCPVertexAI"),
        [SCHEMA_GCP_ANTHROPIC] = SLICE_INIT("GCPAnthropic"),
        [SCHEMA_ANTHROPIC] = SLICE_INIT("Anthropic"),
        [SCHEMA_AWS_ANTHROPIC] = SLICE_INIT("AWSAnthropic"),
    };
    return (size_t)schema < sizeof names / sizeof *names ? names[schema] : SLICE("unknown");
}
