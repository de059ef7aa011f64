// The admin port on a loop of its own, asked by plain sockets: pages, methods, other people's host names, garbage, a
// configuration without its secrets.
#include "host/native/admin.h"

#include "host/native/admin_config.h"
#include "json/json.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static uv_loop_t loop;
static struct admin *admin;
static bool is_ready;
static struct snapshot *snapshot;

static bool get_ready(void *context, struct slice *ret_why)
{
    (void)context;
    *ret_why = SLICE("draining");
    return is_ready;
}

static void get_metrics(void *context, struct buf *out)
{
    (void)context;
    buf_append(out, SLICE("weir_test 1\n"));
}

static struct snapshot *get_snapshot(void *context)
{
    (void)context;
    return snapshot ? snapshot_ref(snapshot) : NULL;
}

static const struct admin_source source = {get_ready, get_metrics, get_snapshot, NULL};

static int begin(void **state)
{
    (void)state;
    struct slice why;
    uv_loop_init(&loop);
    is_ready = true;
    admin = admin_new(&loop, 0, &source, &why);
    return admin ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    admin_free(admin);
    uv_run(&loop, UV_RUN_DEFAULT);
    snapshot_unref(snapshot);
    snapshot = NULL;
    return uv_loop_close(&loop);
}

// Sends and reads to the end, turning the loop meanwhile.
static void ask(const char *request, char *answer, size_t cap)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(admin_port(admin))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t len = 0;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_true(write(fd, request, strlen(request)) == (ssize_t)strlen(request));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 2000; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        ssize_t got = read(fd, answer + len, cap - len - 1);
        if (got == 0)
            break;
        if (got > 0)
            len += (size_t)got;
        else
            usleep(500);
    }
    answer[len] = '\0';
    close(fd);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static void expect(const char *request, const char *head, const char *inside)
{
    static char answer[1 << 20];
    ask(request, answer, sizeof answer);
    if (strncmp(answer, head, strlen(head)) != 0 || !strstr(answer, inside))
        fail_msg("%s\n-->\n%s", request, answer);
}

static void pages(void **state)
{
    (void)state;
    expect("GET /health HTTP/1.1\r\nHost: localhost:1064\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    expect("GET /ready?x=1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "ready\n");
    is_ready = false;
    expect("GET /ready HTTP/1.1\r\nHost: [::1]\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n", "draining\n");
    expect("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\n", "ok\n");
    expect("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
           "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4", &"\nweir_test 1\n"[1]);
    expect("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "HTTP/1.1 200", "process_resident_memory_bytes ");
    expect("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200", "/metrics");
    expect("GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 503", "no configuration");
    expect("GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404", "not found");
}

static void head_only(void **state)
{
    (void)state;
    char answer[4096];
    ask("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n", answer, sizeof answer);
    assert_non_null(strstr(answer, "content-length: 3\r\n"));
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
}

static void refused(void **state)
{
    (void)state;
    static char big[32768];
    expect("POST /ready HTTP/1.1\r\nHost: localhost\r\ncontent-length: 2\r\n\r\nxx", "HTTP/1.1 405",
           "allow: GET, HEAD");
    expect("GET /config HTTP/1.1\r\nHost: evil.example\r\n\r\n", "HTTP/1.1 403", "localhost only");
    expect("GET /config HTTP/1.1\r\nHost: 127.evil.example\r\n\r\n", "HTTP/1.1 403", "localhost only");
    expect("GET /health HTTP/1.1\r\nHost: 127.0.0.1:1064\r\n\r\n", "HTTP/1.1 200", "ok");
    expect("GET /health HTTP/1.1\r\nHost: weir\r\n\r\n", "HTTP/1.1 200", "ok");
    expect("garbage\r\n\r\n", "HTTP/1.1 400", "malformed");
    memset(big, 'x', sizeof big - 1);
    memcpy(big, "GET /", 5);
    expect(big, "HTTP/1.1 4", "\r\n\r\n");
    memcpy(big, "GET / HTTP/1.1\r\nX: ", 19);
    expect(big, "HTTP/1.1 431", "too large");
}

// Connections that say nothing end with the port.
static void left_open(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(admin_port(admin))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    for (int i = 0; i < 100; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        connect(fd, (const struct sockaddr *)&address, sizeof address);
        if (i % 2)
            close(fd);
        uv_run(&loop, UV_RUN_NOWAIT);
    }
}

static void port_taken(void **state)
{
    (void)state;
    struct slice why = {0};
    assert_null(admin_new(&loop, admin_port(admin), &source, &why));
    assert_true(why.len > 0);
}

static bool get_env(void *context, struct slice name, struct slice *ret_value)
{
    (void)context;
    (void)name;
    (void)ret_value;
    return false;
}

static bool read_no_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context;
    (void)path;
    (void)arena;
    (void)ret_text;
    return false;
}

static void load_snapshot(void)
{
    static char text[65536], key[] = "sk-very-secret"; // wiped with the snapshot
    FILE *file = fopen("examples/gcp-provisioned-throughput.yaml", "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    struct arena arena;
    struct findings findings;
    arena_init(&arena, 65536, 1 << 24);
    findings_init(&findings, &arena);
    const struct config_file files = {SLICE("x.yaml"), slice_make(text, len)};
    const struct config_env env = {get_env, read_no_file, NULL};
    struct config *config = config_load(&files, 1, &env, &findings);
    assert_non_null(config);
    for (size_t i = 0; i < config->backend_count; i++)
        config->backends[i].credential =
            (struct config_credential){.type = CREDENTIAL_API_KEY, .key = {slice_make(key, sizeof key - 1)}};
    snapshot = snapshot_new(config, 7, 1, &findings);
    assert_non_null(snapshot);
    arena_fini(&arena);
}

static void configuration(void **state)
{
    (void)state;
    struct buf out;
    size_t error_at;
    load_snapshot();
    buf_init(&out, 1 << 20);
    assert_true(admin_write_config(snapshot, &out));
    assert_int_equal(json_validate(buf_slice(&out), &error_at), JSON_OK);
    assert_int_equal(slice_find_slice(buf_slice(&out), SLICE("sk-very-secret")), SLICE_NOT_FOUND);
    assert_int_not_equal(slice_find_slice(buf_slice(&out), SLICE("\"key\":\"***\"")), SLICE_NOT_FOUND);
    assert_int_not_equal(slice_find_slice(buf_slice(&out), SLICE("\"generation\":7,")), SLICE_NOT_FOUND);
    buf_reset(&out);
    assert_true(admin_write_routes(snapshot, &out));
    assert_int_equal(json_validate(buf_slice(&out), &error_at), JSON_OK);
    assert_int_not_equal(slice_find_slice(buf_slice(&out), SLICE("\"value\":\"dedicated\"")), SLICE_NOT_FOUND);
    buf_fini(&out);
    expect("GET /routes HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-type: application/json",
           "{\"generation\":7,");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(pages),     TEST(head_only),  TEST(refused),
                                       TEST(left_open), TEST(port_taken), TEST(configuration)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
