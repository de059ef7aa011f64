// Active checks against a small server on the same loop: thresholds, statuses, silence, refusal, TCP.
#include "host/native/health_check.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct loop host;
#define loop host.uv
static uv_tcp_t listener;
static uv_timer_t watch;
static uint16_t port;
static const char *reply; // NULL: silence
static char asked[1024];

struct peer {
    uv_tcp_t tcp;
    uv_write_t write;
    char input[1024];
};

static void on_peer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    if (!uv_is_closing((uv_handle_t *)write->handle))
        uv_close((uv_handle_t *)write->handle, on_peer_closed);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *input)
{
    struct peer *peer = stream->data;
    if (len < 0) {
        if (!uv_is_closing((uv_handle_t *)stream))
            uv_close((uv_handle_t *)stream, on_peer_closed);
        return;
    }
    snprintf(asked, sizeof asked, "%.*s", (int)len, input->base);
    if (reply) {
        uv_buf_t out = uv_buf_init((char *)(uintptr_t)reply, (unsigned)strlen(reply));
        uv_write(&peer->write, stream, &out, 1, on_written);
    }
}

static void give_input(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
    struct peer *peer = handle->data;
    (void)wanted;
    *ret_buf = uv_buf_init(peer->input, sizeof peer->input);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct peer *peer = calloc(1, sizeof *peer);
    assert_int_equal(status, 0);
    uv_tcp_init(&loop, &peer->tcp);
    peer->tcp.data = peer;
    uv_accept(server, (uv_stream_t *)&peer->tcp);
    uv_read_start((uv_stream_t *)&peer->tcp, give_input, on_read);
}

static int begin(void **state)
{
    (void)state;
    struct sockaddr_in address;
    int len = sizeof address;
    uv_loop_init(&loop);
    uv_tcp_init(&loop, &listener);
    uv_timer_init(&loop, &watch);
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0);
    uv_listen((uv_stream_t *)&listener, 16, on_connection);
    uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    reply = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    return 0;
}

static void on_other_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void close_left(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, handle->type == UV_TCP && handle->data ? on_peer_closed : on_other_closed);
}

static int end(void **state)
{
    (void)state;
    uv_walk(&loop, close_left, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static const char resources[] =
    "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: weir}\n"
    "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n---\n"
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: default}\n"
    "spec:\n  gatewayClassName: weir\n  listeners: [{name: http, protocol: HTTP, port: 1975}]\n---\n"
    "apiVersion: aigateway.envoyproxy.io/v1alpha1\nkind: AIGatewayRoute\nmetadata: {name: r, namespace: default}\n"
    "spec:\n  parentRefs: [{name: gw, kind: Gateway, group: gateway.networking.k8s.io}]\n"
    "  rules:\n  - backendRefs: [{name: b}]\n---\n"
    "apiVersion: aigateway.envoyproxy.io/v1alpha1\nkind: AIServiceBackend\nmetadata: {name: b, namespace: default}\n"
    "spec:\n  schema: {name: OpenAI}\n  backendRef: {name: b, kind: Backend, group: gateway.envoyproxy.io}\n---\n"
    "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: b, namespace: default}\n"
    "spec:\n  endpoints: [{ip: {address: 127.0.0.1, port: %u}}]\n";

static bool no_env(void *context, struct slice name, struct slice *ret_value)
{
    (void)context;
    (void)name;
    (void)ret_value;
    return false;
}

static bool no_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context;
    (void)path;
    (void)arena;
    (void)ret_text;
    return false;
}

// A configuration with one backend at `to_port` and these checks.
static struct snapshot *make_snapshot(uint16_t to_port, struct config_active_health active)
{
    char text[4096];
    struct arena arena;
    struct findings findings;
    int len = snprintf(text, sizeof text, resources, to_port);
    arena_init(&arena, 65536, 1 << 24);
    findings_init(&findings, &arena);
    const struct config_file file = {SLICE("x.yaml"), slice_make(text, (size_t)len)};
    const struct config_env env = {no_env, no_file, NULL};
    struct config *config = config_load(&file, 1, &env, &findings);
    for (size_t i = 0; !config && i < findings.count; i++)
        print_message(SLICE_FMT "\n", SLICE_ARG(findings.items[i].text));
    assert_non_null(config);
    active.is_set = true;
    active.timeout_ms = active.timeout_ms ? active.timeout_ms : 1000;
    active.interval_ms = 10;
    active.healthy_threshold = 2;
    active.unhealthy_threshold = 3;
    config->routes[0].rules[0].traffic.active = active;
    struct snapshot *snapshot = snapshot_new(config, 1, 1, &findings);
    assert_non_null(snapshot);
    arena_fini(&arena);
    return snapshot;
}

struct run {
    struct snapshot *snapshot;
    struct health *health;
    struct dns *dns;
    struct health_checks *checks;
};

static void start(struct run *run, uint16_t to_port, struct config_active_health active)
{
    struct slice why;
    run->snapshot = make_snapshot(to_port, active);
    run->health = health_new(snapshot_config(run->snapshot), NULL, 0);
    run->dns = dns_new(&loop, &why);
    run->checks = health_checks_new(&host, run->dns, run->snapshot, run->health);
    assert_non_null(run->checks);
}

static void stop(struct run *run)
{
    health_checks_free(run->checks);
    dns_free(run->dns);
    for (int i = 0; i < 5; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    snapshot_unref(run->snapshot);
    health_free(run->health);
}

static void on_watch(uv_timer_t *timer)
{
    (void)timer;
}

// Turns the loop until the backend is failing, or well; at most four seconds.
static void expect_failing(const struct run *run, bool is_failing)
{
    uv_timer_start(&watch, on_watch, 1, 1);
    for (int i = 0; i < 4000 && health_state(run->health, 0, 0).is_failing_check != is_failing; i++)
        uv_run(&loop, UV_RUN_ONCE);
    uv_timer_stop(&watch);
    assert_int_equal(health_state(run->health, 0, 0).is_failing_check, is_failing);
}

static void statuses(void **state)
{
    (void)state;
    struct run run;
    static const uint16_t expected[] = {204};
    start(
        &run, port,
        (struct config_active_health){.type = ACTIVE_HTTP, .path = SLICE("/healthz"), .hostname = SLICE("h.example")});
    reply = "HTTP/1.1 503 Service Unavailable\r\n\r\n";
    expect_failing(&run, true);
    assert_string_equal(asked, "GET /healthz HTTP/1.1\r\nhost: h.example\r\nuser-agent: weir-health-check\r\n"
                               "connection: close\r\n\r\n");
    reply = "HTTP/1.0 200 OK\r\n\r\n";
    expect_failing(&run, false);
    reply = "SSH-2.0-OpenSSH\r\n";
    expect_failing(&run, true);
    stop(&run);
    start(
        &run, port,
        (struct config_active_health){.type = ACTIVE_HTTP, .expected_statuses = expected, .expected_status_count = 1});
    reply = "HTTP/1.1 200 OK\r\n\r\n";
    expect_failing(&run, true);
    reply = "HTTP/1.1 204 No Content\r\n\r\n";
    expect_failing(&run, false);
    stop(&run);
}

static void silence_and_refusal(void **state)
{
    (void)state;
    struct run run;
    start(&run, port, (struct config_active_health){.type = ACTIVE_HTTP, .timeout_ms = 30});
    reply = NULL;
    expect_failing(&run, true);
    stop(&run);
    start(&run, 1, (struct config_active_health){.type = ACTIVE_TCP});
    expect_failing(&run, true);
    stop(&run);
}

static void tcp(void **state)
{
    (void)state;
    struct run run;
    reply = NULL;
    start(&run, port, (struct config_active_health){.type = ACTIVE_TCP});
    health_set_checked(run.health, 0, false); // as an earlier configuration left it
    expect_failing(&run, false);
    stop(&run);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(statuses), TEST(silence_and_refusal), TEST(tcp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
