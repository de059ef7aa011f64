// The end of a stream: what the access log and later filters see of it.
#include "host/envoy/stream_parts.h"

static void put_number(const struct stream *stream, struct slice space, struct slice key, double value)
{
    ENVOY_CALL(http_set_dynamic_metadata_number)(stream->filter, bytes_of(space), bytes_of(key), value);
}

// As %USAGE(...)% names them (observe/operator.c); `weir envoy` writes that operator as this metadata.
static const struct slice usage_keys[USAGE_KIND_COUNT] = {
    [USAGE_INPUT] = SLICE_INIT("input"),
    [USAGE_CACHED_INPUT] = SLICE_INIT("cached_input"),
    [USAGE_CACHE_CREATION_INPUT] = SLICE_INIT("cache_creation_input"),
    [USAGE_OUTPUT] = SLICE_INIT("output"),
    [USAGE_TOTAL] = SLICE_INIT("total"),
    [USAGE_REASONING] = SLICE_INIT("reasoning"),
};

static void put_text(const struct stream *stream, struct slice space, struct slice key, struct slice value)
{
    ENVOY_CALL(http_set_dynamic_metadata_string)
    (stream->filter, bytes_of(space), bytes_of(key), bytes_of(value));
}

static void put_metadata(const struct stream *stream, const struct record *record)
{
    struct slice space = SLICE(RECORD_AI_NAMESPACE);
    for (size_t i = 0; i < record->metadata_count; i++) {
        const struct record_metadata *item = &record->metadata[i];
        if (item->type == RECORD_NUMBER)
            put_number(stream, space, item->key, item->number);
        else
            put_text(stream, space, item->key, item->text);
    }
    for (size_t kind = 0; kind < USAGE_KIND_COUNT; kind++)
        if (usage_has(&record->usage, (enum usage_kind)kind))
            put_number(stream, SLICE(WEIR_METADATA), usage_keys[kind], (double)record->usage.tokens[kind]);
    if (record->route_name.len)
        put_text(stream, SLICE(WEIR_METADATA), SLICE("route_name"), record->route_name);
    // What Weir refused or cut itself Envoy has no letters for; all else it flags better than we could.
    if ((stream->is_replying || stream->is_cut) && !slice_eq(record->flags, SLICE("-")))
        put_text(stream, SLICE(WEIR_METADATA), SLICE("flags"), record->flags);
    int64_t upstream_ms = record->upstream_time_us / 1000;
    if (record->upstream_time_us >= 0)
        put_number(stream, SLICE(WEIR_METADATA), SLICE("upstream_ms"), (double)upstream_ms);
}

// The log shows the request as it was received and lifted, not as the last backend got it (S9).
static void restore_request(const struct stream *stream, const struct record *record)
{
    struct arena scratch;
    scratch_init(&scratch);
    if (record->request)
        headers_become(stream->filter, ENVOY_REQUEST_HEADERS, &scratch, record->request, true);
    if (record->path.len)
        headers_set(stream->filter, ENVOY_REQUEST_HEADERS, SLICE(":path"), record->path);
    if (record->authority.len)
        headers_set(stream->filter, ENVOY_REQUEST_HEADERS, SLICE(":authority"), record->authority);
    arena_fini(&scratch);
}

void stream_complete(struct stream *stream)
{
    if (!stream->exchange)
        return;
    enum exchange_end how = stream->is_cut                                  ? END_CUT
                            : stream->is_answer_over || stream->is_replying ? END_COMPLETE
                                                                            : END_CLIENT_GONE;
    const struct record *record =
        exchange_close(stream->exchange, how, now_us(), stream->received_bytes, stream->sent_bytes);
    put_metadata(stream, record);
    restore_request(stream, record);
}
