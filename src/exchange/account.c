// The end of a request: what was used, what it cost, and the record that logs, metrics and spans are made of.
#include "exchange/life.h"

static void put_text(struct record *record, struct slice key, struct slice text)
{
    if (text.len && record->metadata_count < RECORD_METADATA_MAX)
        record->metadata[record->metadata_count++] =
            (struct record_metadata){.key = key, .type = RECORD_STRING, .text = text};
}

static void put_number(struct record *record, struct slice key, double number, bool is_cost)
{
    if (record->metadata_count < RECORD_METADATA_MAX)
        record->metadata[record->metadata_count++] =
            (struct record_metadata){.key = key, .type = RECORD_NUMBER, .is_cost = is_cost, .number = number};
}

// The model that the last backend was asked for.
static struct slice final_model(const struct exchange *x)
{
    struct slice own = x->attempt && x->endpoint ? attempt_model(x->attempt) : SLICE("");
    return own.len ? own : x->model;
}

// ---- costs ----------------------------------------------------------------------------------------------------

// Configured costs by their keys (operations-and-mcp.md 5.1): of complete 2xx answers and of what a stream that ended
// early had used so far.
static void put_costs(const struct exchange *x, struct record *record)
{
    const struct config_route *route = x->hit.route;
    struct cost_input input = {
        .model = final_model(x),
        .backend = x->attempt->ref->key,
        .route_name = x->route->name,
        .usage = record->usage,
    };
    for (size_t i = 0; i < route->cost_count; i++) {
        uint64_t value;
        struct slice why;
        if (cost_eval(x->route->costs[i], &input, &value, &why))
            put_number(record, route->costs[i].key, (double)value, true);
        else
            record->failed_costs++;
    }
}

// The keys that the documentation's own examples give to token counts.
static const struct slice token_keys[USAGE_KIND_COUNT] = {
    [USAGE_INPUT] = SLICE_INIT("llm_input_token"),
    [USAGE_CACHED_INPUT] = SLICE_INIT("llm_cached_input_token"),
    [USAGE_CACHE_CREATION_INPUT] = SLICE_INIT("llm_cache_creation_input_token"),
    [USAGE_OUTPUT] = SLICE_INIT("llm_output_token"),
    [USAGE_TOTAL] = SLICE_INIT("llm_total_token"),
    [USAGE_REASONING] = SLICE_INIT("llm_reasoning_token"),
};

uint32_t account_cost_kinds(const struct config_route *route)
{
    uint32_t kinds = 0;
    for (size_t i = 0; i < route->cost_count; i++)
        for (size_t kind = 0; kind < USAGE_KIND_COUNT; kind++)
            if (slice_eq(route->costs[i].key, token_keys[kind]))
                kinds |= 1U << kind;
    return kinds;
}

// Where a cost uses the key, it is not there when the cost's expression failed either.
static void put_tokens(const struct exchange *x, struct record *record)
{
    uint32_t shown = record->usage.is_set & ~x->route->cost_kinds;
    for (size_t kind = 0; kind < USAGE_KIND_COUNT; kind++)
        if (shown & (1U << kind))
            put_number(record, token_keys[kind], (double)record->usage.tokens[kind], false);
}

// Milliseconds: to the first event, and between tokens after it (operations-and-mcp.md 1.4).
static void put_latency(const struct exchange *x, struct record *record)
{
    const struct attempt *a = x->attempt;
    if (!a->events || !a->first_event_us)
        return;
    int64_t whole_ms = (a->first_event_us - x->client.now_us) / 1000;
    put_number(record, SLICE("token_latency_ttft"), (double)whole_ms, false);
    uint64_t output = record->usage.tokens[USAGE_OUTPUT];
    if (output > 1)
        put_number(record, SLICE("token_latency_itl"),
                   (double)(a->last_us - a->first_event_us) / 1000.0 / (double)(output - 1), false);
}

// Whether the attempt's answer went to the client as a success: that is what costs, also where no usage is told in it.
static bool is_answered(const struct attempt *a)
{
    return a->head.status >= 200 && a->head.status < 300;
}

static void put_answer(const struct exchange *x, struct record *record)
{
    const struct attempt *a = x->attempt;
    if (a->reader) {
        record->usage = *usage_reader_usage(a->reader);
        put_text(record, SLICE("response_model"), usage_reader_model(a->reader));
    }
    put_costs(x, record);
    put_tokens(x, record);
    put_latency(x, record);
}

static void put_metadata(const struct exchange *x, struct record *record)
{
    const struct attempt *a = x->attempt;
    if (!x->endpoint || !x->hit.route)
        return;
    put_text(record, SLICE("route_name"), x->route->name);
    put_text(record, SLICE("model_name_override"), final_model(x));
    if (!a)
        return;
    put_text(record, SLICE("backend_name"), a->ref->key);
    put_text(record, SLICE("ai_service_backend_name"), a->compiled->short_name);
    if (a->is_body_edited)
        put_number(record, SLICE("content_length"), (double)a->request.body_bytes, false);
    if (is_answered(a))
        put_answer(x, record);
}

// ---- the record -----------------------------------------------------------------------------------------------

static struct slice protocol_name(enum http_version version)
{
    switch (version) {
    case HTTP_1_0:
        return SLICE("HTTP/1.0");
    case HTTP_1_1:
        return SLICE("HTTP/1.1");
    case HTTP_2:
        return SLICE("HTTP/2");
    }
    return SLICE("");
}

static void put_request(const struct exchange *x, struct record *record)
{
    record->start_unix_us = x->client.unix_us;
    record->method = x->method;
    record->path = x->target;
    record->authority = x->authority;
    record->scheme = x->scheme;
    record->protocol = protocol_name(x->version);
    record->downstream_local_address = x->client.local_address;
    record->downstream_remote_address = x->client.remote_address;
    record->downstream_direct_remote_address =
        x->client.direct_address.len ? x->client.direct_address : x->peer_address;
    record->requested_server_name = x->client.server_name;
    record->generation = x->snapshot->generation;
    record->request = &x->fields;
    record->attempts = x->attempts;
    record->skipped_body_mutations = x->skipped_body_mutations;
}

// The request's fields as the last backend saw them, but with the lifted ones and without its credential. They take the
// place of those that went to it, which are of no more use.
static void put_mutated_fields(struct exchange *x, struct record *record)
{
    const struct header_mutation *mutation = &x->attempt->compiled->headers;
    struct fields *fields = &x->attempt->request.fields;
    if (!mutation->set_count && !mutation->remove_count)
        return;
    if (fields->cap < x->fields.count && !fields_copy(&x->fields, &x->arena, mutation->set_count, fields))
        return;
    fields->count = x->fields.count;
    memcpy(fields->items, x->fields.items, fields->count * sizeof *fields->items);
    if (mutate_headers_apply(mutation, &x->arena, fields))
        record->request = fields;
}

static void put_upstream(struct exchange *x, struct record *record)
{
    record->upstream_time_us = -1;
    if (x->rule) {
        record->upstream_cluster = x->rule->cluster;
        record->route_name = x->hit.name;
    }
    if (!x->attempt)
        return;
    record->upstream_host = x->attempt->upstream_address;
    record->upstream_local_address = x->attempt->local_address;
    record->upstream_protocol = protocol_name(x->attempt->protocol);
    record->transport_failure = x->transport_reason;
    if (x->attempt->head_us)
        record->upstream_time_us = x->attempt->head_us - x->attempt->begun_us;
    put_mutated_fields(x, record);
}

// Why an exchange that did not end by itself ended.
static enum error_code end_error(const struct exchange *x, enum exchange_end how)
{
    switch (how) {
    case END_CLIENT_GONE:
        return ERROR_CLIENT_GONE;
    case END_DRAINED:
        return ERROR_DRAINING;
    case END_SEND_TIMEOUT:
        return ERROR_SEND_TIMEOUT;
    case END_CUT:
        return x->error ? x->error : ERROR_STREAM_CUT;
    case END_COMPLETE:
        break;
    }
    return x->error;
}

static void put_outcome(struct exchange *x, struct record *record, enum exchange_end how)
{
    enum error_code error = end_error(x, how);
    const struct error_info *info = error_info(error);
    record->status = x->sent_status;
    record->response = x->sent_status ? x->sent_fields : NULL;
    record->details = error ? info->details : x->attempt ? SLICE("via_upstream") : SLICE("direct_response");
    record->flags = info->flags.len && error ? info->flags : SLICE("-");
    if (x->is_exhausted && x->attempts > 1) // retries were spent: URX beside whatever else
        record->flags = error && info->flags.len
                            ? arena_join(&x->arena, (struct slice[]){info->flags, SLICE(",URX")}, 2)
                            : SLICE("URX");
}

void exchange_close(struct exchange *x, enum exchange_end how, int64_t now_us, uint64_t bytes_received,
                    uint64_t bytes_sent, struct record *ret_record)
{
    // The metadata's slots are filled as they are used; clearing all of them would cost more than the rest.
    memset(ret_record, 0, offsetof(struct record, metadata));
    ret_record->metadata_count = 0;
    put_request(x, ret_record);
    put_upstream(x, ret_record);
    put_outcome(x, ret_record, how);
    put_metadata(x, ret_record);
    ret_record->duration_us = now_us - x->client.now_us;
    ret_record->bytes_received = bytes_received;
    ret_record->bytes_sent = bytes_sent;
    x->step = STEP_CLOSED;
}
