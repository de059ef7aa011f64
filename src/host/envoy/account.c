// The end of a stream: what the access log and later filters see of it.
#include "host/envoy/lines.h"
#include "host/envoy/metadata.h"

// Of an address with its port.
static struct slice ip_of(struct slice address)
{
    struct slice host = http_host(address);
    return host.len > 2 && host.ptr[0] == '[' ? slice_sub(host, 1, host.len - 2) : host;
}

// What Envoy's own access log has no operators for; `weir envoy` writes %USAGE(NAME)% as this metadata.
static void put_log_metadata(const struct stream *stream, struct arena *scratch, const struct record *record)
{
    struct record_metadata items[USAGE_KIND_COUNT + 5];
    size_t count = 0;
    for (size_t kind = 0; kind < USAGE_KIND_COUNT; kind++)
        if (usage_has(&record->usage, (enum usage_kind)kind))
            items[count++] = (struct record_metadata){
                .key = record_usage_names[kind], .type = RECORD_NUMBER, .number = (double)record->usage.tokens[kind]};
    if (record->route_name.len)
        items[count++] = (struct record_metadata){.key = SLICE("route_name"), .text = record->route_name};
    items[count++] = (struct record_metadata){.key = SLICE("client"), .text = record->downstream_remote_address};
    items[count++] =
        (struct record_metadata){.key = SLICE("client_ip"), .text = ip_of(record->downstream_remote_address)};
    // What Weir refused or cut itself Envoy has no letters for; all else it flags better than we could.
    if ((stream->is_replying || stream->is_cut || stream_is_left(stream)) && !slice_eq(record->flags, SLICE("-")))
        items[count++] = (struct record_metadata){.key = SLICE("flags"), .text = record->flags};
    int64_t upstream_ms = record->upstream_time_us / 1000;
    if (record->upstream_time_us >= 0)
        items[count++] =
            (struct record_metadata){.key = SLICE("upstream_ms"), .type = RECORD_NUMBER, .number = (double)upstream_ms};
    metadata_put(stream->filter, scratch, SLICE(WEIR_METADATA), items, count);
}

// The log shows the request as it was received and lifted, not as the last backend got it (S9).
static void restore_request(const struct stream *stream, struct arena *scratch, const struct record *record)
{
    struct request_form form = {
        .fields = record->request, .path = record->path, .authority = record->authority, .keeps_framing = true};
    if (form.fields)
        headers_become_request(stream->filter, scratch, &form);
}

static void publish(const struct stream *stream, struct arena *scratch, const struct record *record)
{
    struct record_metadata costs[RECORD_METADATA_MAX] __attribute__((uninitialized));
    size_t count = 0;
    // Lines that Envoy makes may ask for any of it.
    if (stream->settings->publish == PUBLISH_ALL || stream->settings->log_by == LOG_BY_ENVOY) {
        metadata_put(stream->filter, scratch, SLICE(RECORD_AI_NAMESPACE), record->metadata, record->metadata_count);
        return;
    }
    for (size_t i = 0; i < record->metadata_count; i++)
        if (record->metadata[i].is_cost)
            costs[count++] = record->metadata[i];
    metadata_put(stream->filter, scratch, SLICE(RECORD_AI_NAMESPACE), costs, count);
}

void stream_complete(struct stream *stream)
{
    if (!stream->exchange) {
        if (stream->settings->log_by == LOG_BY_WEIR)
            lines_leave_to_envoy(stream);
        return;
    }
    enum exchange_end how = stream->is_cut                                  ? END_CUT
                            : stream->is_answer_over || stream->is_replying ? END_COMPLETE
                                                                            : END_CLIENT_GONE;
    struct record record __attribute__((uninitialized));
    exchange_close(stream->exchange, how, now_us(), stream->received_bytes, stream->sent_bytes, &record);
    struct scratch memory __attribute__((uninitialized));
    struct arena *scratch = scratch_init(&memory);
    publish(stream, scratch, &record);
    if (stream->settings->log_by == LOG_BY_WEIR) {
        lines_put(stream, scratch, &record);
    } else {
        put_log_metadata(stream, scratch, &record);
        restore_request(stream, scratch, &record);
    }
    scratch_fini(&memory);
}
