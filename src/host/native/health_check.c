// A probe is one endpoint that is checked again and again; a trial is one connection of it. The trial owns the socket and
// goes when libuv has let go of its poll handle; the probe's two timers live as long as the checks do.
#define _GNU_SOURCE
#include "host/native/health_check.h"

#include "base/buf.h"
#include "host/native/tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_BYTES_MAX 8192U
#define STATUS_LINE_BYTES 12U // "HTTP/1.1 200"
#define SPREAD_MS 37U         // between the first checks of two probes

struct trial {
    uv_poll_t poll;
    struct health_checks *checks;
    struct probe *probe;
    int fd;
    struct tls_session *tls; // NULL: plain
    bool is_connected;
    bool is_shaken; // TLS handshake done, or none needed
    size_t sent;
    size_t got;
    char answer[STATUS_LINE_BYTES];
};

struct probe {
    struct health_checks *checks;
    const struct config_backend *backend;
    const struct config_endpoint *endpoint;
    const struct config_active_health *policy;
    struct tls_context *tls; // NULL: plain
    struct buf request;      // empty for TCP
    const struct config_lookup *lookup;
    struct connector *connector; // while connecting
    struct connector_memory memory;
    uv_timer_t interval;
    uv_timer_t limit;
    struct trial *trial;
    unsigned run; // equal results in a row
    bool has_result;
    bool last_result;
    bool is_well;
};

struct health_checks {
    struct loop *loop;
    struct dns *dns;
    struct snapshot *snapshot;
    struct health *health;
    struct arena arena; // probes
    struct probe *probes;
    size_t count;
    size_t handle_count; // timers and polls that are open or closing
    bool is_closing;
};

static void release(struct health_checks *checks)
{
    if (--checks->handle_count > 0 || !checks->is_closing)
        return;
    snapshot_unref(checks->snapshot);
    arena_fini(&checks->arena);
    free(checks);
}

// ---- results --------------------------------------------------------------------------------------------------

// A backend is well while one of its endpoints is.
static void tell_health(const struct probe *probe)
{
    const struct health_checks *checks = probe->checks;
    bool is_well = false;
    for (size_t i = 0; i < checks->count; i++)
        if (checks->probes[i].backend == probe->backend)
            is_well |= checks->probes[i].is_well;
    health_set_checked(checks->health, probe->backend->id, is_well);
}

// The very first result decides alone, over what the table may hold of an earlier configuration; then the thresholds do.
static void note_result(struct probe *probe, bool is_good)
{
    unsigned threshold = is_good ? probe->policy->healthy_threshold : probe->policy->unhealthy_threshold;
    bool is_first = !probe->has_result;
    probe->run = !is_first && probe->last_result == is_good ? probe->run + 1 : 1;
    probe->has_result = true;
    probe->last_result = is_good;
    if (!is_first && (probe->run < threshold || probe->is_well == is_good))
        return;
    probe->is_well = is_good;
    tell_health(probe);
}

static void on_trial_closed(uv_handle_t *handle)
{
    struct trial *trial = handle->data;
    struct health_checks *checks = trial->checks;
    close(trial->fd);
    free(trial);
    release(checks);
}

static void end_trial(struct probe *probe)
{
    struct trial *trial = probe->trial;
    if (!trial)
        return;
    probe->trial = NULL;
    tls_session_free(trial->tls);
    uv_close((uv_handle_t *)&trial->poll, on_trial_closed);
}

static void finish(struct probe *probe, bool is_good)
{
    connector_cancel(probe->connector);
    probe->connector = NULL;
    uv_timer_stop(&probe->limit);
    end_trial(probe);
    note_result(probe, is_good);
}

// ---- one trial ------------------------------------------------------------------------------------------------

static void on_ready(uv_poll_t *poll, int status, int events);

static void wait_for(struct trial *trial, int events)
{
    uv_poll_start(&trial->poll, events, on_ready);
}

enum move { MOVE_ON, MOVE_WAIT, MOVE_FAILED };

static enum move move_of(struct trial *trial, enum tls_status status)
{
    switch (status) {
    case TLS_OK:
        return MOVE_ON;
    case TLS_WANT_READ:
        wait_for(trial, UV_READABLE);
        return MOVE_WAIT;
    case TLS_WANT_WRITE:
        wait_for(trial, UV_WRITABLE);
        return MOVE_WAIT;
    default:
        return MOVE_FAILED;
    }
}

static enum move move_of_errno(struct trial *trial, int events)
{
    if (errno != EAGAIN && errno != EINTR)
        return MOVE_FAILED;
    wait_for(trial, events);
    return MOVE_WAIT;
}

static enum move check_connected(struct trial *trial)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(trial->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
        return MOVE_FAILED;
    trial->is_connected = true;
    if (!trial->probe->tls)
        return MOVE_ON;
    trial->tls = tls_session_new(trial->probe->tls, trial->fd);
    return trial->tls && tls_offer_http_1(trial->tls) ? MOVE_ON : MOVE_FAILED;
}

static enum move shake_hands(struct trial *trial)
{
    enum move move = trial->tls ? move_of(trial, tls_handshake(trial->tls)) : MOVE_ON;
    trial->is_shaken = move == MOVE_ON;
    return move;
}

static enum move send_request(struct trial *trial)
{
    struct slice rest = slice_from(buf_slice(&trial->probe->request), trial->sent);
    size_t len = 0;
    if (trial->tls) {
        enum tls_status status = tls_write(trial->tls, &rest, 1, &len);
        trial->sent += len;
        return move_of(trial, status);
    }
    ssize_t sent = send(trial->fd, rest.ptr, rest.len, MSG_NOSIGNAL);
    if (sent < 0)
        return move_of_errno(trial, UV_WRITABLE);
    trial->sent += (size_t)sent;
    return MOVE_ON;
}

static enum move read_answer(struct trial *trial)
{
    char *to = trial->answer + trial->got;
    size_t room = sizeof trial->answer - trial->got, len = 0;
    if (trial->tls) {
        enum tls_status status = tls_read(trial->tls, to, room, &len);
        trial->got += len;
        return move_of(trial, status);
    }
    ssize_t got = recv(trial->fd, to, room, 0);
    if (got < 0)
        return move_of_errno(trial, UV_READABLE);
    trial->got += (size_t)got;
    return got > 0 ? MOVE_ON : MOVE_FAILED;
}

// RFC 9112 section 4: the status line is all that counts.
static bool is_expected(const struct trial *trial)
{
    const struct config_active_health *policy = trial->probe->policy;
    struct slice line = slice_make(trial->answer, sizeof trial->answer);
    uint64_t status;
    if (!slice_starts_with(line, SLICE("HTTP/1.")) || line.ptr[8] != ' ' ||
        !slice_to_u64(slice_from(line, 9), 999, &status))
        return false;
    if (policy->expected_status_count == 0)
        return status == 200;
    for (size_t i = 0; i < policy->expected_status_count; i++)
        if (policy->expected_statuses[i] == status)
            return true;
    return false;
}

// Takes the next step that the trial has before it; MOVE_WAIT also when the trial is over.
static enum move step(struct trial *trial)
{
    struct probe *probe = trial->probe;
    if (!trial->is_connected)
        return check_connected(trial);
    if (!trial->is_shaken)
        return shake_hands(trial);
    if (trial->sent < probe->request.len)
        return send_request(trial);
    if (probe->request.len && trial->got < sizeof trial->answer)
        return read_answer(trial);
    finish(probe, probe->request.len == 0 || is_expected(trial));
    return MOVE_WAIT;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct trial *trial = poll->data;
    enum move move = status == 0 ? MOVE_ON : MOVE_FAILED;
    (void)events;
    while (move == MOVE_ON)
        move = step(trial);
    if (move == MOVE_FAILED)
        finish(trial->probe, false);
}

// Takes the socket.
static bool begin_trial(struct probe *probe, int take_fd)
{
    struct trial *trial = calloc(1, sizeof *trial);
    if (!trial || uv_poll_init_socket(&probe->checks->loop->uv, &trial->poll, take_fd) != 0) {
        free(trial);
        close(take_fd);
        return false;
    }
    trial->poll.data = trial;
    trial->checks = probe->checks;
    trial->probe = probe;
    trial->fd = take_fd;
    probe->checks->handle_count++;
    probe->trial = trial;
    wait_for(trial, UV_WRITABLE);
    return true;
}

static void on_connected(void *context, const struct connector_result *result)
{
    struct probe *probe = context;
    probe->connector = NULL;
    if (result->fd < 0 || !begin_trial(probe, result->fd))
        finish(probe, false);
}

static void on_limit(uv_timer_t *timer)
{
    finish(timer->data, false);
}

static void on_interval(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    struct health_checks *checks = probe->checks;
    const struct connector_target target = {
        .host = probe->endpoint->host,
        .port = probe->endpoint->port,
        .lookup = probe->lookup,
        .proxy = probe->backend->proxy,
        .memory = &probe->memory,
    };
    if (probe->trial || probe->connector)
        return; // the time limit is longer than the interval: the check before goes on
    uv_timer_start(&probe->limit, on_limit, (uint64_t)probe->policy->timeout_ms, 0);
    probe->connector = connector_start(checks->loop, checks->dns, &target, on_connected, probe);
    if (!probe->connector)
        finish(probe, false);
}

// ---- life -----------------------------------------------------------------------------------------------------

static bool write_request(struct probe *probe)
{
    const struct config_active_health *policy = probe->policy;
    struct slice method = policy->method.len ? policy->method : SLICE("GET");
    struct slice path = policy->path.len ? policy->path : SLICE("/");
    struct slice host = policy->hostname.len ? policy->hostname : probe->backend->host;
    buf_init(&probe->request, REQUEST_BYTES_MAX);
    if (policy->type != ACTIVE_HTTP)
        return true;
    if (host.len == 0)
        host = probe->endpoint->hostname.len ? probe->endpoint->hostname : probe->endpoint->host;
    return buf_printf(&probe->request,
                      SLICE_FMT " " SLICE_FMT " HTTP/1.1\r\nhost: " SLICE_FMT
                                "\r\nuser-agent: weir-health-check\r\nconnection: close\r\n\r\n",
                      SLICE_ARG(method), SLICE_ARG(path), SLICE_ARG(host));
}

static void start_probe(struct probe *probe, struct health_checks *checks, const struct config_backend *backend,
                        const struct config_endpoint *endpoint, const struct config_traffic *traffic)
{
    struct slice why;
    const struct config_active_health *policy = &traffic->active;
    *probe = (struct probe){.checks = checks,
                            .backend = backend,
                            .endpoint = endpoint,
                            .policy = policy,
                            .lookup = &traffic->lookup,
                            .is_well = true};
    bool is_ready = write_request(probe);
    if (backend->tls.is_enabled) {
        probe->tls = tls_context_new(&backend->tls, endpoint->host, &checks->arena, &why);
        is_ready = is_ready && probe->tls;
    }
    uv_timer_init(&checks->loop->uv, &probe->interval);
    uv_timer_init(&checks->loop->uv, &probe->limit);
    probe->interval.data = probe->limit.data = probe;
    checks->handle_count += 2;
    uint64_t interval_ms = policy->interval_ms > 0 ? (uint64_t)policy->interval_ms : 1;
    if (is_ready) // else left alone: a backend is not failed for want of memory
        uv_timer_start(&probe->interval, on_interval, checks->count * SPREAD_MS % interval_ms, interval_ms);
}

// Calls for each backend with active checks, once, by the first rule that wants them. Counts endpoints with NULL.
static size_t walk_backends(const struct config *config, struct health_checks *checks, bool *seen)
{
    size_t count = 0;
    memset(seen, 0, config->backend_count * sizeof *seen);
    for (size_t r = 0; r < config->route_count; r++)
        for (size_t i = 0; i < config->routes[r].rule_count; i++) {
            const struct config_rule *rule = &config->routes[r].rules[i];
            for (size_t k = 0; rule->traffic.active.is_set && k < rule->ref_count; k++) {
                const struct config_backend *backend = rule->refs[k].backend;
                if (!backend || seen[backend->id])
                    continue;
                seen[backend->id] = true;
                count += backend->endpoint_count;
                for (size_t e = 0; checks && e < backend->endpoint_count; e++, checks->count++)
                    start_probe(&checks->probes[checks->count], checks, backend, &backend->endpoints[e],
                                &rule->traffic);
            }
        }
    return count;
}

static struct health_checks *new_checks(struct loop *loop, struct dns *dns, struct snapshot *snapshot,
                                        struct health *health, size_t count)
{
    struct health_checks *checks = calloc(1, sizeof *checks);
    if (!checks)
        return NULL;
    arena_init(&checks->arena, (size_t)64 * 1024, SIZE_MAX / 2);
    checks->probes = ARENA_ARRAY(&checks->arena, struct probe, count);
    if (!checks->probes) {
        free(checks);
        return NULL;
    }
    checks->loop = loop;
    checks->dns = dns;
    checks->snapshot = snapshot_ref(snapshot);
    checks->health = health;
    return checks;
}

struct health_checks *health_checks_new(struct loop *loop, struct dns *dns, struct snapshot *snapshot,
                                        struct health *health)
{
    const struct config *config = snapshot_config(snapshot);
    bool *seen = calloc(config->backend_count + 1, sizeof *seen);
    struct health_checks *checks = NULL;
    size_t count = seen ? walk_backends(config, NULL, seen) : 0;
    for (size_t i = 0; seen && i < config->backend_count; i++)
        if (!seen[i]) // it may have failed checks that an earlier configuration asked for
            health_set_checked(health, i, true);
    if (count)
        checks = new_checks(loop, dns, snapshot, health, count);
    if (checks)
        walk_backends(config, checks, seen);
    free(seen);
    return checks;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    release(probe->checks);
}

void health_checks_free(struct health_checks *take_checks)
{
    struct health_checks *checks = take_checks;
    if (!checks)
        return;
    checks->is_closing = true;
    for (size_t i = 0; i < checks->count; i++) {
        struct probe *probe = &checks->probes[i];
        connector_cancel(probe->connector);
        end_trial(probe);
        tls_context_unref(probe->tls);
        buf_fini(&probe->request);
        uv_close((uv_handle_t *)&probe->interval, on_timer_closed);
        uv_close((uv_handle_t *)&probe->limit, on_timer_closed);
    }
}
