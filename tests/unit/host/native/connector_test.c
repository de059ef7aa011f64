// Making connections: the order of addresses, the race, what loses it, tunnels through a proxy.
#include "fake_dns.h"
#include "host/native/connector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop loop;
static struct dns *dns;
static struct fake_dns names;
static struct connector_memory memory;

static int begin(void **state)
{
    (void)state;
    struct slice why;
    loop_init(&loop);
    dns = dns_new(&loop.uv, &why);
    fake_dns_start(&names, &loop.uv, dns);
    memory = (struct connector_memory){0};
    return dns ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    fake_dns_stop(&names);
    dns_free(dns);
    uv_run(&loop.uv, UV_RUN_DEFAULT); // nothing is left open, or this does not return
    return uv_loop_close(&loop.uv);
}

// ---- order ----------------------------------------------------------------------------------------------------------

static struct dns_address address_of(const char *text)
{
    struct dns_address address = {0};
    bool is_v6 = strchr(text, ':') != NULL;
    address.any.sa_family = is_v6 ? AF_INET6 : AF_INET;
    address.len = is_v6 ? sizeof address.v6 : sizeof address.v4;
    inet_pton(address.any.sa_family, text, is_v6 ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr);
    return address;
}

static void expect_order(const char *given, struct config_lookup lookup, uint32_t turn, int first, const char *expected)
{
    struct dns_address addresses[40];
    const struct dns_address *order[CONNECTOR_ADDRESSES_MAX];
    struct dns_answer answer = {.addresses = addresses};
    char found[800] = "", text[64];
    struct slice rest = slice_from_cstr(given);
    for (struct slice one; (one = slice_split(&rest, ' ')).len;) {
        snprintf(text, sizeof text, SLICE_FMT, SLICE_ARG(one));
        addresses[answer.count++] = address_of(text);
    }
    size_t count = connector_order(&answer, &lookup, turn, first, order);
    for (size_t i = 0; i < count; i++) {
        struct slice one = dns_address_print(order[i], 1, text, sizeof text);
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%.*s", i ? " " : "", (int)one.len - 2,
                 one.ptr);
    }
    assert_string_equal(found, expected);
}

static void families_alternate(void **state)
{
    (void)state;
    struct config_lookup all = {FAMILY_ALL, 0};
    expect_order("2001:db8::1 2001:db8::2 10.0.0.1 10.0.0.2 10.0.0.3", all, 0, 0,
                 "[2001:db8::1] 10.0.0.1 [2001:db8::2] 10.0.0.2 10.0.0.3");
    expect_order("2001:db8::1 2001:db8::2 10.0.0.1 10.0.0.2 10.0.0.3", all, 1, 0,
                 "[2001:db8::2] 10.0.0.2 [2001:db8::1] 10.0.0.3 10.0.0.1");
    expect_order("2001:db8::1 10.0.0.1 10.0.0.2", all, 0, AF_INET, "10.0.0.1 [2001:db8::1] 10.0.0.2");
    expect_order("10.0.0.1 10.0.0.2", all, 3, AF_INET6, "10.0.0.2 10.0.0.1");
    expect_order("", all, 0, 0, "");
}

static void families_are_chosen(void **state)
{
    (void)state;
    const char *both = "2001:db8::1 10.0.0.1";
    expect_order(both, (struct config_lookup){FAMILY_V4, 0}, 0, 0, "10.0.0.1");
    expect_order(both, (struct config_lookup){FAMILY_V6, 0}, 0, 0, "[2001:db8::1]");
    expect_order(both, (struct config_lookup){FAMILY_V4_PREFERRED, 0}, 0, 0, "10.0.0.1");
    expect_order(both, (struct config_lookup){FAMILY_V6_PREFERRED, 0}, 0, AF_INET, "[2001:db8::1]");
    expect_order("2001:db8::1", (struct config_lookup){FAMILY_V4_PREFERRED, 0}, 0, 0, "[2001:db8::1]");
    expect_order("10.0.0.1", (struct config_lookup){FAMILY_V6, 0}, 0, 0, "");
}

static void addresses_are_bounded(void **state)
{
    (void)state;
    struct dns_address addresses[32];
    const struct dns_address *order[CONNECTOR_ADDRESSES_MAX];
    for (size_t i = 0; i < 32; i++)
        addresses[i] = address_of("10.0.0.1");
    struct dns_answer answer = {.addresses = addresses, .count = 32};
    assert_int_equal(connector_order(&answer, NULL, 7, 0, order), CONNECTOR_ADDRESSES_MAX);
}

// ---- sockets --------------------------------------------------------------------------------------------------------

// A listening socket; 0: any port. `backlog` 0 with its queue filled answers nobody.
static int listen_at(const char *ip, uint16_t *port, int backlog)
{
    struct net_address address;
    net_parse_ip(slice_from_cstr(ip), *port, &address);
    int fd = socket(address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &address.at.any, address.len), 0);
    assert_int_equal(listen(fd, backlog), 0);
    net_local_address(fd, &address);
    *port = ntohs(address.at.any.sa_family == AF_INET ? address.at.v4.sin_port : address.at.v6.sin6_port);
    return fd;
}

#define FILLERS 4

// An address that never answers a connection: its queue is full.
static void fill_queue(const char *ip, uint16_t port, int fillers[FILLERS])
{
    struct net_address address;
    bool is_done;
    net_parse_ip(slice_from_cstr(ip), port, &address);
    for (int i = 0; i < FILLERS; i++)
        fillers[i] = net_connect(&address, &is_done);
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

struct outcome {
    int calls;
    int fd;
    int family;
    enum error_code error;
    char why[200];
};

static void on_done(void *context, const struct connector_result *result)
{
    struct outcome *outcome = context;
    outcome->calls++;
    outcome->fd = result->fd;
    outcome->family = result->address.at.any.sa_family;
    outcome->error = result->error;
    snprintf(outcome->why, sizeof outcome->why, SLICE_FMT, SLICE_ARG(result->why));
}

static struct connector *start(struct outcome *outcome, const char *host, uint16_t port,
                               const struct config_forward_proxy *proxy)
{
    struct connector_target target = {.host = slice_from_cstr(host), .port = port, .proxy = proxy, .memory = &memory};
    *outcome = (struct outcome){.fd = -1};
    struct connector *connector = connector_start(&loop, dns, &target, on_done, outcome);
    assert_non_null(connector);
    assert_int_equal(outcome->calls, 0); // never from within
    return connector;
}

// Gives the milliseconds that it took.
static uint64_t run(struct outcome *outcome, const char *host, uint16_t port, const struct config_forward_proxy *proxy)
{
    uv_update_time(&loop.uv);
    uint64_t begin_ms = uv_now(&loop.uv);
    start(outcome, host, port, proxy);
    while (!outcome->calls)
        uv_run(&loop.uv, UV_RUN_ONCE);
    uv_update_time(&loop.uv);
    if (outcome->fd >= 0)
        close(outcome->fd);
    return uv_now(&loop.uv) - begin_ms;
}

static void a_literal_connects(void **state)
{
    (void)state;
    struct outcome outcome;
    uint16_t port = 0;
    int server = listen_at("127.0.0.1", &port, 8);
    run(&outcome, "127.0.0.1", port, NULL);
    assert_true(outcome.fd >= 0);
    close(server);
    run(&outcome, "127.0.0.1", port, NULL);
    assert_int_equal(outcome.fd, -1);
    assert_int_equal(outcome.error, ERROR_UPSTREAM_CONNECT);
    assert_string_equal(outcome.why, "Connection refused");
}

// The first of a name that refuses costs nothing; the result is one.
static void a_refusal_goes_on_at_once(void **state)
{
    (void)state;
    struct outcome outcome;
    uint16_t port = 0;
    int server = listen_at("127.0.0.1", &port, 8);
    names.v6[0] = "::1";
    names.v4[0] = "127.0.0.1";
    assert_true(run(&outcome, "weir.test", port, NULL) < CONNECTOR_DELAY_MS);
    assert_int_equal(outcome.family, AF_INET);
    assert_int_equal(outcome.calls, 1);
    close(server);
    run(&outcome, "weir.test", port, NULL);
    assert_string_equal(outcome.why, "Connection refused");
}

// RFC 8305 section 5: one that does not answer gets a start of 250 ms, and loses; its family comes second then.
static void silence_is_overtaken(void **state)
{
    (void)state;
    struct outcome outcome;
    int fillers[FILLERS];
    uint16_t port = 0;
    int silent = listen_at("::1", &port, 0), server = listen_at("127.0.0.1", &port, 8);
    fill_queue("::1", port, fillers);
    names.v6[0] = "::1";
    names.v4[0] = "127.0.0.1";
    uint64_t took_ms = run(&outcome, "weir.test", port, NULL);
    assert_int_equal(outcome.family, AF_INET);
    assert_true(took_ms >= CONNECTOR_DELAY_MS - 20 && took_ms < 1500);
    assert_true(run(&outcome, "weir.test", port, NULL) < CONNECTOR_DELAY_MS - 20);
    assert_int_equal(outcome.family, AF_INET);
    close_all(fillers, FILLERS);
    close(silent);
    close(server);
}

static void cancelled_at_any_time(void **state)
{
    (void)state;
    struct outcome outcome;
    int fillers[FILLERS];
    uint16_t port = 0;
    int silent = listen_at("127.0.0.1", &port, 0);
    fill_queue("127.0.0.1", port, fillers);
    names.v4[0] = "127.0.0.1";
    struct connector *connector = start(&outcome, "weir.test", port, NULL);
    assert_true(connector_is_resolving(connector));
    connector_cancel(connector);
    connector = start(&outcome, "127.0.0.1", port, NULL);
    assert_false(connector_is_resolving(connector));
    for (int i = 0; i < 3; i++)
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    connector_cancel(connector);
    connector_cancel(NULL);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(outcome.calls, 0);
    close_all(fillers, FILLERS);
    close(silent);
}

static void names_that_fail(void **state)
{
    (void)state;
    struct outcome outcome;
    run(&outcome, "weir.test", 80, NULL);
    assert_int_equal(outcome.error, ERROR_UPSTREAM_DNS);
    assert_true(strstr(outcome.why, "DNS resolution failed: ") == outcome.why);
    run(&outcome, "not a name", 80, NULL);
    assert_int_equal(outcome.error, ERROR_UPSTREAM_DNS);
}

// ---- tunnels --------------------------------------------------------------------------------------------------------

struct proxy {
    uv_tcp_t listener;
    uv_tcp_t peer;
    uv_write_t write;
    const char *answer; // NULL: closes
    char asked[512];
    char input[512];
    size_t len;
};

static void on_proxy_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *input)
{
    struct proxy *proxy = stream->data;
    if (len < 0)
        return;
    memcpy(proxy->asked + proxy->len, input->base, (size_t)len);
    proxy->len += (size_t)len;
    proxy->asked[proxy->len] = '\0';
    if (!strstr(proxy->asked, "\r\n\r\n"))
        return;
    if (proxy->answer) {
        uv_buf_t out = uv_buf_init((char *)(uintptr_t)proxy->answer, (unsigned)strlen(proxy->answer));
        uv_write(&proxy->write, stream, &out, 1, NULL);
    } else {
        uv_close((uv_handle_t *)stream, NULL);
    }
}

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
    struct proxy *proxy = handle->data;
    (void)wanted;
    *ret_buf = uv_buf_init(proxy->input, sizeof proxy->input - 1);
}

static void on_proxy_connection(uv_stream_t *server, int status)
{
    struct proxy *proxy = server->data;
    assert_int_equal(status, 0);
    uv_tcp_init(&loop.uv, &proxy->peer);
    proxy->peer.data = proxy;
    uv_accept(server, (uv_stream_t *)&proxy->peer);
    uv_read_start((uv_stream_t *)&proxy->peer, give_room, on_proxy_read);
}

// One tunnel through a proxy that answers so; the connector has to be done with it.
static void through(struct outcome *outcome, struct proxy *proxy, const char *answer, const char *host,
                    struct secret authorization)
{
    struct sockaddr_in address;
    int len = sizeof address;
    *proxy = (struct proxy){.answer = answer};
    uv_tcp_init(&loop.uv, &proxy->listener);
    proxy->listener.data = proxy;
    uv_ip4_addr("127.0.0.1", 0, &address);
    uv_tcp_bind(&proxy->listener, (const struct sockaddr *)&address, 0);
    uv_tcp_getsockname(&proxy->listener, (struct sockaddr *)&address, &len);
    uv_listen((uv_stream_t *)&proxy->listener, 8, on_proxy_connection);
    struct config_forward_proxy settings = {
        .host = SLICE("127.0.0.1"), .port = ntohs(address.sin_port), .authorization = authorization};
    run(outcome, host, 443, &settings);
    uv_close((uv_handle_t *)&proxy->listener, NULL);
    if (!uv_is_closing((uv_handle_t *)&proxy->peer))
        uv_close((uv_handle_t *)&proxy->peer, NULL);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void a_tunnel_opens(void **state)
{
    (void)state;
    struct outcome outcome;
    struct proxy proxy;
    through(&outcome, &proxy, "HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n", "api.example.com",
            (struct secret){SLICE("Basic dTpw")});
    assert_true(outcome.fd >= 0);
    assert_string_equal(proxy.asked, "CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\n"
                                     "proxy-authorization: Basic dTpw\r\n\r\n");
    through(&outcome, &proxy, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204\r\n\r\n", "2001:db8::1", (struct secret){{0}});
    assert_true(outcome.fd >= 0);
    assert_string_equal(proxy.asked, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nhost: [2001:db8::1]:443\r\n\r\n");
}

static void a_proxy_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *why;
    } cases[] = {
        {"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 9\r\n\r\nforbidden",
         "it answered 407 Proxy Authentication Required"},
        {"HTTP/1.1 502 \x1b[31m\r\n\r\n", "it answered 502 ?[31m"},
        {"HTTP/1.1 403\r\n\r\n", "it answered 403"},
        {"HTTP/1.1 101 Switching\r\n\r\n", "it answered 101 Switching"},
        {"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n", "bytes that nobody asked for came through the tunnel"},
        {"SSH-2.0-OpenSSH\r\n\r\n", "its answer is no HTTP/1.1"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "its answer is no HTTP/1.1"},
        {"HTTP/2 200\r\n\r\n", "its answer is no HTTP/1.1"},
        {NULL, "it closed the connection"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome outcome;
        struct proxy proxy;
        through(&outcome, &proxy, cases[i].answer, "api.example.com", (struct secret){{0}});
        assert_int_equal(outcome.fd, -1);
        assert_int_equal(outcome.error, ERROR_UPSTREAM_CONNECT);
        assert_true(strstr(outcome.why, "forward proxy 127.0.0.1:") == outcome.why);
        assert_non_null(strstr(outcome.why, cases[i].why));
    }
}

static void a_proxy_that_talks_too_much(void **state)
{
    (void)state;
    static char long_answer[12000];
    struct outcome outcome;
    struct proxy proxy;
    memset(long_answer, 'a', sizeof long_answer - 1);
    through(&outcome, &proxy, long_answer, "api.example.com", (struct secret){{0}});
    assert_int_equal(outcome.fd, -1);
    assert_non_null(strstr(outcome.why, "its answer is too long"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(families_alternate),
        TEST(families_are_chosen),
        TEST(addresses_are_bounded),
        TEST(a_literal_connects),
        TEST(a_refusal_goes_on_at_once),
        TEST(silence_is_overtaken),
        TEST(cancelled_at_any_time),
        TEST(names_that_fail),
        TEST(a_tunnel_opens),
        TEST(a_proxy_refuses),
        TEST(a_proxy_that_talks_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
