// One request a connection: the head is parsed by llhttp, answered when it is complete, and the connection is closed.
// Nothing of the proxy's own path is used here, so that the port answers when that is in trouble.
#define _GNU_SOURCE
#include "host/native/admin.h"

#include "host/native/admin_config.h"
#include "host/native/process_metrics.h"
#include "http/head.h"

#include <llhttp.h>
#include <stdlib.h>

#define CONNECTIONS_MAX 64U
#define TARGET_BYTES_MAX 2048U
#define HOST_BYTES_MAX 512U
#define HEAD_BYTES_MAX 16384U
#define READ_BYTES 4096U
#define BODY_BYTES_MAX ((size_t)256 << 20)
#define TIME_LIMIT_MS 10000
#define BACKLOG 64

struct admin {
    uv_loop_t *loop;
    const struct admin_source *source;
    uv_tcp_t listeners[ADMIN_LISTENERS_MAX];
    size_t listener_count;
    size_t connection_count;
    size_t handle_count; // listeners and connections that are open or closing
    struct connection *connections;
    bool is_closing;
    uint16_t port;
};

struct connection {
    struct admin *admin;
    struct connection *next;
    struct connection **prev_next;
    uv_tcp_t tcp;
    uv_timer_t timer;
    int open_handles;
    bool is_closing;
    bool is_answered;
    bool is_host; // the field at hand is Host
    llhttp_t parser;
    size_t read_bytes;
    struct buf target;
    struct buf host;
    struct buf name; // of the field at hand
    struct buf head;
    struct buf body;
    uv_write_t write;
    char input[READ_BYTES];
};

// ---- closing --------------------------------------------------------------------------------------------------

static void release(struct admin *admin)
{
    if (--admin->handle_count == 0 && admin->is_closing)
        free(admin);
}

static void on_part_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct admin *admin = connection->admin;
    if (--connection->open_handles > 0)
        return;
    buf_fini(&connection->target);
    buf_fini(&connection->host);
    buf_fini(&connection->name);
    buf_fini(&connection->head);
    buf_fini(&connection->body);
    free(connection);
    release(admin);
}

static void close_connection(struct connection *connection)
{
    if (connection->is_closing)
        return;
    connection->is_closing = true;
    *connection->prev_next = connection->next;
    if (connection->next)
        connection->next->prev_next = connection->prev_next;
    connection->admin->connection_count--;
    uv_close((uv_handle_t *)&connection->tcp, on_part_closed);
    uv_close((uv_handle_t *)&connection->timer, on_part_closed);
}

static void on_time_limit(uv_timer_t *timer)
{
    close_connection(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    close_connection(write->data);
}

// ---- answers --------------------------------------------------------------------------------------------------

struct answer {
    uint16_t status;
    struct slice type;
};

static const struct answer text_ok = {200, SLICE_INIT("text/plain; charset=utf-8")};
static const struct answer json_ok = {200, SLICE_INIT("application/json")};

static struct answer fail_with(struct connection *connection, uint16_t status, struct slice why)
{
    buf_reset(&connection->body);
    buf_append(&connection->body, why);
    buf_append_byte(&connection->body, '\n');
    return (struct answer){status, text_ok.type};
}

static struct answer answer_health(struct connection *connection)
{
    buf_append(&connection->body, SLICE("ok\n"));
    return text_ok;
}

static struct answer answer_ready(struct connection *connection)
{
    const struct admin_source *source = connection->admin->source;
    struct slice why = SLICE("not ready");
    if (!source->is_ready(source->context, &why))
        return fail_with(connection, 503, why);
    buf_append(&connection->body, SLICE("ready\n"));
    return text_ok;
}

static struct answer answer_metrics(struct connection *connection)
{
    const struct admin_source *source = connection->admin->source;
    source->metrics(source->context, &connection->body);
    process_metrics_write(&connection->body);
    return (struct answer){200, SLICE("text/plain; version=0.0.4; charset=utf-8")};
}

static struct answer answer_from_snapshot(struct connection *connection,
                                          bool (*write)(const struct snapshot *snapshot, struct buf *out))
{
    const struct admin_source *source = connection->admin->source;
    struct snapshot *snapshot = source->snapshot(source->context);
    if (!snapshot)
        return fail_with(connection, 503, SLICE("no configuration"));
    bool is_written = write(snapshot, &connection->body);
    snapshot_unref(snapshot);
    return is_written ? json_ok : fail_with(connection, 500, SLICE("out of memory"));
}

static struct answer answer_config(struct connection *connection)
{
    return answer_from_snapshot(connection, admin_write_config);
}

static struct answer answer_routes(struct connection *connection)
{
    return answer_from_snapshot(connection, admin_write_routes);
}

static struct answer answer_index(struct connection *connection);

static const struct page {
    struct slice path;
    struct answer (*answer)(struct connection *connection);
    const char *about;
} pages[] = {
    {SLICE_INIT("/"), answer_index, "this page"},
    {SLICE_INIT("/health"), answer_health, "200 while the process lives"},
    {SLICE_INIT("/ready"), answer_ready, "200 when it serves, 503 while draining"},
    {SLICE_INIT("/metrics"), answer_metrics, "Prometheus text"},
    {SLICE_INIT("/config"), answer_config, "the configuration in use, secrets masked (JSON)"},
    {SLICE_INIT("/routes"), answer_routes, "the routes of each listener (JSON)"},
};

static struct answer answer_index(struct connection *connection)
{
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        buf_printf(&connection->body, "%-10.*s %s\n", SLICE_ARG(pages[i].path), pages[i].about);
    return text_ok;
}

// A browser that was led here by a name that resolves to loopback sends that name (DNS rebinding): it gets nothing.
// Addresses and names without a dot can't be such: nobody registers them.
static bool is_local_name(struct slice authority)
{
    struct slice host = http_host(authority);
    bool has_dot = slice_find(host, '.') != SLICE_NOT_FOUND;
    bool has_letter = false;
    for (size_t i = 0; i < host.len; i++)
        has_letter |= (host.ptr[i] < '0' || host.ptr[i] > '9') && host.ptr[i] != '.';
    return !has_dot || !has_letter;
}

static struct answer answer_request(struct connection *connection)
{
    llhttp_method_t method = (llhttp_method_t)llhttp_get_method(&connection->parser);
    struct slice path = http_path(buf_slice(&connection->target));
    if (!is_local_name(buf_slice(&connection->host)))
        return fail_with(connection, 403, SLICE("this port answers to localhost only"));
    if (method != HTTP_GET && method != HTTP_HEAD)
        return fail_with(connection, 405, SLICE("GET and HEAD only"));
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (slice_eq(pages[i].path, path))
            return pages[i].answer(connection);
    return fail_with(connection, 404, SLICE("not found; see /"));
}

static void write_head(struct connection *connection, struct answer answer)
{
    struct slice reason = http_reason(answer.status);
    buf_printf(&connection->head,
               "HTTP/1.1 %u " SLICE_FMT "\r\ncontent-type: " SLICE_FMT "\r\ncontent-length: %zu\r\n"
               "cache-control: no-store\r\nx-content-type-options: nosniff\r\n%sconnection: close\r\n\r\n",
               (unsigned)answer.status, SLICE_ARG(reason), SLICE_ARG(answer.type), connection->body.len,
               answer.status == 405 ? "allow: GET, HEAD\r\n" : "");
}

static void send_answer(struct connection *connection, struct answer answer)
{
    bool is_head = llhttp_get_method(&connection->parser) == HTTP_HEAD;
    if (connection->body.has_failed)
        answer = fail_with(connection, 500, SLICE("out of memory"));
    connection->is_answered = true;
    write_head(connection, answer);
    uv_buf_t parts[2] = {uv_buf_init(connection->head.ptr, (unsigned)connection->head.len),
                         uv_buf_init(connection->body.ptr, (unsigned)connection->body.len)};
    connection->write.data = connection;
    uv_read_stop((uv_stream_t *)&connection->tcp);
    if (connection->head.has_failed ||
        uv_write(&connection->write, (uv_stream_t *)&connection->tcp, parts, is_head ? 1 : 2, on_written) != 0)
        close_connection(connection);
}

// ---- parsing --------------------------------------------------------------------------------------------------

static int keep(struct buf *buf, const char *at, size_t len)
{
    return buf_append(buf, slice_make(at, len)) ? 0 : HPE_USER;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct connection *connection = parser->data;
    return keep(&connection->target, at, len);
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct connection *connection = parser->data;
    return keep(&connection->name, at, len);
}

static int on_field_complete(llhttp_t *parser)
{
    struct connection *connection = parser->data;
    connection->is_host = slice_eq_nocase(buf_slice(&connection->name), SLICE("host"));
    buf_reset(&connection->name);
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct connection *connection = parser->data;
    return connection->is_host ? keep(&connection->host, at, len) : 0;
}

// The answer needs no body of the request: parsing ends with the head.
static int on_head(llhttp_t *parser)
{
    struct connection *connection = parser->data;
    send_answer(connection, answer_request(connection));
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
};

// ---- connections ----------------------------------------------------------------------------------------------

static void give_input(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_buf)
{
    struct connection *connection = handle->data;
    (void)wanted;
    *ret_buf = uv_buf_init(connection->input, sizeof connection->input);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *input)
{
    struct connection *connection = stream->data;
    if (len == 0)
        return;
    if (len < 0) {
        close_connection(connection);
        return;
    }
    connection->read_bytes += (size_t)len;
    llhttp_errno_t error = llhttp_execute(&connection->parser, input->base, (size_t)len);
    if (connection->is_answered)
        return;
    if (error != HPE_OK)
        send_answer(connection, fail_with(connection, 400, SLICE("malformed request")));
    else if (connection->read_bytes > HEAD_BYTES_MAX)
        send_answer(connection, fail_with(connection, 431, SLICE("request head too large")));
}

static void begin_connection(struct connection *connection, struct admin *admin)
{
    connection->admin = admin;
    connection->next = admin->connections;
    connection->prev_next = &admin->connections;
    if (connection->next)
        connection->next->prev_next = &connection->next;
    admin->connections = connection;
    admin->connection_count++;
    admin->handle_count++;
    connection->open_handles = 2;
    connection->tcp.data = connection;
    connection->timer.data = connection;
    buf_init(&connection->target, TARGET_BYTES_MAX);
    buf_init(&connection->host, HOST_BYTES_MAX);
    buf_init(&connection->name, HEAD_BYTES_MAX);
    buf_init(&connection->head, HEAD_BYTES_MAX);
    buf_init(&connection->body, BODY_BYTES_MAX);
    llhttp_init(&connection->parser, HTTP_REQUEST, &settings);
    connection->parser.data = connection;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct admin *admin = listener->data;
    struct connection *connection = status == 0 ? calloc(1, sizeof *connection) : NULL;
    if (!connection)
        return;
    uv_tcp_init(admin->loop, &connection->tcp);
    uv_timer_init(admin->loop, &connection->timer);
    begin_connection(connection, admin);
    if (uv_accept(listener, (uv_stream_t *)&connection->tcp) != 0 || admin->connection_count > CONNECTIONS_MAX ||
        uv_read_start((uv_stream_t *)&connection->tcp, give_input, on_read) != 0) {
        close_connection(connection);
        return;
    }
    uv_timer_start(&connection->timer, on_time_limit, TIME_LIMIT_MS, 0);
}

// ---- life -----------------------------------------------------------------------------------------------------

static void on_listener_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static uv_tcp_t *add_listener(struct admin *admin)
{
    uv_tcp_t *listener = &admin->listeners[admin->listener_count];
    uv_tcp_init(admin->loop, listener);
    listener->data = admin;
    admin->listener_count++;
    admin->handle_count++;
    return listener;
}

static int listen_on(struct admin *admin, const struct sockaddr *address, unsigned flags)
{
    uv_tcp_t *listener = add_listener(admin);
    int status = uv_tcp_bind(listener, address, flags);
    return status == 0 ? uv_listen((uv_stream_t *)listener, BACKLOG, on_connection) : status;
}

static uint16_t bound_port(const uv_tcp_t *listener)
{
    struct sockaddr_storage address;
    int len = sizeof address;
    if (uv_tcp_getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(((const struct sockaddr_in *)(const void *)&address)->sin_port);
}

// IPv4 must work; IPv6 where the machine has it.
static int listen_on_loopback(struct admin *admin, uint16_t port)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    uv_ip4_addr("127.0.0.1", port, &v4);
    int status = listen_on(admin, (const struct sockaddr *)&v4, 0);
    if (status != 0)
        return status;
    admin->port = bound_port(&admin->listeners[0]);
    uv_ip6_addr("::1", admin->port, &v6);
    listen_on(admin, (const struct sockaddr *)&v6, UV_TCP_IPV6ONLY);
    return 0;
}

struct admin *admin_new(uv_loop_t *loop, uint16_t port, const struct admin_source *source, struct slice *ret_why)
{
    struct admin *admin = calloc(1, sizeof *admin);
    if (!admin) {
        *ret_why = SLICE("out of memory");
        return NULL;
    }
    admin->loop = loop;
    admin->source = source;
    int status = listen_on_loopback(admin, port);
    if (status == 0)
        return admin;
    *ret_why = slice_from_cstr(uv_strerror(status));
    admin_free(admin);
    return NULL;
}

struct admin *admin_new_on(uv_loop_t *loop, const int *take_sockets, size_t count, const struct admin_source *source,
                           struct slice *ret_why)
{
    struct admin *admin = calloc(1, sizeof *admin);
    *ret_why = SLICE("out of memory");
    if (!admin)
        return NULL;
    admin->loop = loop;
    admin->source = source;
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        uv_tcp_t *listener = add_listener(admin);
        status = uv_tcp_open(listener, take_sockets[i]);
        if (status == 0)
            status = uv_listen((uv_stream_t *)listener, BACKLOG, on_connection);
    }
    if (status == 0) {
        admin->port = bound_port(&admin->listeners[0]);
        return admin;
    }
    *ret_why = slice_from_cstr(uv_strerror(status));
    admin_free(admin);
    return NULL;
}

size_t admin_sockets(const struct admin *admin, int ret_sockets[ADMIN_LISTENERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < admin->listener_count; i++) {
        uv_os_fd_t fd;
        const uv_handle_t *listener = (const uv_handle_t *)&admin->listeners[i];
        if (!uv_is_closing(listener) && uv_is_active(listener) && uv_fileno(listener, &fd) == 0)
            ret_sockets[count++] = fd;
    }
    return count;
}

void admin_close_listeners(struct admin *admin)
{
    for (size_t i = 0; i < admin->listener_count; i++)
        if (!uv_is_closing((uv_handle_t *)&admin->listeners[i]))
            uv_close((uv_handle_t *)&admin->listeners[i], on_listener_closed);
}

uint16_t admin_port(const struct admin *admin)
{
    return admin->port;
}

void admin_free(struct admin *take_admin)
{
    struct admin *admin = take_admin;
    if (!admin)
        return;
    admin->is_closing = true;
    while (admin->connections)
        close_connection(admin->connections);
    admin_close_listeners(admin);
    if (admin->handle_count == 0)
        free(admin);
}
