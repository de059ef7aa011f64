#include "host/native/access_log.h"

#include "host/native/client.h"
#include "observe/accesslog.h"

void access_log_write(struct worker *worker, const struct pools *pools, size_t listener_id, const struct record *record)
{
    struct snapshot *snapshot = pools->generation->snapshot;
    if (!pools->logs || !pools->logs[listener_id])
        return;
    for (size_t i = 0; i < snapshot_log_count(snapshot, listener_id); i++) {
        const struct accesslog *log = snapshot_log(snapshot, listener_id, i);
        struct logsink_channel *channel = pools->logs[listener_id][i];
        buf_reset(&worker->log_line);
        if (!channel || !accesslog_wants(log, record) || !accesslog_write(log, record, &worker->log_line))
            continue;
        logsink_write(channel, buf_slice(&worker->log_line));
        counter_add(&worker->counters.log_lines, 1);
    }
}

// ---- refused requests ---------------------------------------------------------------------------------------------

static struct slice protocol_name(enum http_version version)
{
    if (version == HTTP_2)
        return SLICE("HTTP/2");
    return version == HTTP_1_0 ? SLICE("HTTP/1.0") : SLICE("HTTP/1.1");
}

static void put_client(const struct client *client, struct record *record)
{
    record->downstream_remote_address = slice_make(client->peer_text, client->peer_text_len);
    record->downstream_direct_remote_address = client->direct_text_len
                                                   ? slice_make(client->direct_text, client->direct_text_len)
                                                   : record->downstream_remote_address;
    record->downstream_local_address = slice_make(client->local_text, client->local_text_len);
    record->requested_server_name = client->transport.tls ? tls_server_name(client->transport.tls) : SLICE("");
}

static void put_head(const struct request_head *head, struct record *record)
{
    record->method = head->method;
    record->path = head->target;
    record->authority = head->authority;
    record->scheme = head->scheme;
    record->request = &head->fields;
}

static const struct config_listener *find_listener(const struct refused *refused)
{
    const struct client *client = refused->client;
    const struct generation *generation = client->worker->generation;
    const struct config_listener *listener =
        refused->head
            ? generation_find_name(generation, client->listener->port->number, http_host(refused->head->authority))
            : NULL;
    return listener ? listener : generation_first_listener(generation, client->listener->port->number);
}

void access_log_refused(const struct refused *refused)
{
    struct worker *worker = refused->client->worker;
    const struct config_listener *listener = find_listener(refused);
    const struct error_info *info = error_info(refused->error);
    int64_t now_us = loop_now_us();
    counter_add(&worker->counters.refused_heads, 1);
    if (!listener || !worker->pools)
        return;
    const struct field *id = refused->answer ? fields_find(&refused->answer->fields, SLICE("x-request-id")) : NULL;
    const struct fields known = {(struct field *)(uintptr_t)id, id != NULL,
                                 1}; // the id that the client was told finds the line
    struct record record = {
        .duration_us = now_us - refused->since_us,
        .upstream_time_us = -1,
        .protocol = protocol_name(refused->version),
        .request = &known,
        .response = refused->answer ? &refused->answer->fields : NULL,
        .status = refused->answer ? refused->answer->status : 0,
        .flags = info->flags.len ? info->flags : SLICE("-"),
        .details = info->details,
        .bytes_sent = refused->answer_bytes,
        .generation = snapshot_generation(worker->generation->snapshot),
    };
    record.start_unix_us = loop_unix_us() - record.duration_us;
    put_client(refused->client, &record);
    if (refused->head)
        put_head(refused->head, &record);
    access_log_write(worker, worker->pools, listener->id, &record);
}
