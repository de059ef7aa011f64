// Holds many event streams open over TLS, in one thread, and measures the time between events of each; later lets slow
// readers and streams whose upstream falls silent join them, and measures again.
//
// Usage: tls_streams PORT h1|h2 STREAMS RATE SECONDS HOSTILE
//   h1: a connection for each stream; h2: 90 streams a connection, and the hostile ones on the same connections.
//   RATE: events a second of each stream. SECONDS: of each of the two measurements. HOSTILE: how many of each kind.
//
// Prints a line of JSON at the end of each phase ("open", "alone", "among hostile ones"), with all streams still open, and
// goes on when a line comes on standard input, so that whoever runs it can look at the server's memory meanwhile.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS_A_CONNECTION 90 // of HTTP/2; the server takes 100
#define OPENING_MAX 64          // connections in their handshake at a time
#define GIVE_UP_US 120000000
#define BODY "{\"model\":\"bench\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

enum kind { STEADY, SLOW, STALLED };

struct stream {
    enum kind kind;
    char tail;       // the last byte that came, for ends of events that are split
    int64_t last_us; // of the last event; 0: none yet
    size_t sent;     // of BODY (HTTP/2)
    bool is_over;
};

struct conn {
    int fd;
    SSL *ssl;
    nghttp2_session *h2;    // NULL: HTTP/1.1
    struct stream *streams; // what to ask for once the handshake is done
    size_t stream_count;
    char *out; // not yet written
    size_t out_len, out_cap;
    unsigned wanted;
    bool is_open;
    bool is_deaf; // a slow reader of HTTP/1.1
};

struct load {
    uint16_t port;
    bool is_h2;
    int epoll;
    SSL_CTX *tls;
    char rate[16];
    struct conn **all;
    size_t connections, opening, begun, failed; // begun: steady streams with an event
    uint64_t events;
    bool is_measuring;
    uint32_t *gaps; // microseconds
    size_t gap_count, gap_cap;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

// ---- events -------------------------------------------------------------------------------------------------------

static void note_event(struct load *load, struct stream *stream)
{
    int64_t now = now_us();
    if (stream->kind != STEADY)
        return;
    load->events++;
    load->begun += stream->last_us == 0;
    if (load->is_measuring && stream->last_us && load->gap_count < load->gap_cap)
        load->gaps[load->gap_count++] = (uint32_t)(now - stream->last_us);
    stream->last_us = now;
}

static void take_body(struct load *load, struct stream *stream, const char *bytes, size_t len)
{
    bool has_event = false;
    for (size_t i = 0; i < len; i++) {
        has_event |= stream->tail == '\n' && bytes[i] == '\n';
        stream->tail = bytes[i];
    }
    if (has_event)
        note_event(load, stream);
}

static void end_stream(struct load *load, struct stream *stream)
{
    if (!stream->is_over && stream->kind == STEADY)
        load->failed++; // none ends while we look
    stream->is_over = true;
}

// ---- output -------------------------------------------------------------------------------------------------------

static void append(struct conn *conn, const void *bytes, size_t len)
{
    if (conn->out_len + len > conn->out_cap) {
        conn->out_cap = (conn->out_len + len) * 2;
        conn->out = realloc(conn->out, conn->out_cap);
    }
    memcpy(conn->out + conn->out_len, bytes, len);
    conn->out_len += len;
}

static void want(struct load *load, struct conn *conn, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (conn->wanted != events && epoll_ctl(load->epoll, EPOLL_CTL_MOD, conn->fd, &event) < 0)
        die("epoll_ctl");
    conn->wanted = events;
}

static void drop(struct load *load, struct conn *conn)
{
    if (conn->fd < 0)
        return;
    for (size_t i = 0; i < conn->stream_count; i++)
        end_stream(load, &conn->streams[i]);
    load->opening -= !conn->is_open;
    close(conn->fd);
    conn->fd = -1;
}

static void flush(struct load *load, struct conn *conn)
{
    const uint8_t *bytes;
    nghttp2_ssize len;
    while (conn->h2 && (len = nghttp2_session_mem_send2(conn->h2, &bytes)) > 0)
        append(conn, bytes, (size_t)len);
    while (conn->out_len) {
        int sent = SSL_write(conn->ssl, conn->out, (int)conn->out_len);
        if (sent <= 0 && SSL_get_error(conn->ssl, sent) != SSL_ERROR_WANT_WRITE) {
            drop(load, conn);
            return;
        }
        if (sent <= 0)
            break;
        memmove(conn->out, conn->out + sent, conn->out_len - (size_t)sent);
        conn->out_len -= (size_t)sent;
    }
    if (!conn->out_len) {
        free(conn->out);
        conn->out = NULL;
        conn->out_cap = 0;
    }
    want(load, conn, (conn->is_deaf ? 0 : EPOLLIN) | (conn->out_len ? EPOLLOUT : 0));
}

// ---- requests -----------------------------------------------------------------------------------------------------

struct wishes {
    const char *tokens, *rate, *stall; // what x-mock-... say; stall: NULL for none
};

static struct wishes wishes_of(const struct load *load, enum kind kind)
{
    switch (kind) {
    case SLOW:
        return (struct wishes){"1000000", "0", NULL};
    case STALLED:
        return (struct wishes){"1000000", load->rate, "1"};
    case STEADY:
        break;
    }
    return (struct wishes){"1000000", load->rate, NULL};
}

static void ask_h1(struct load *load, struct conn *conn)
{
    struct wishes wishes = wishes_of(load, conn->streams[0].kind);
    char text[1024];
    int len = snprintf(text, sizeof text,
                       "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                       "x-mock-tokens: %s\r\nx-mock-rate: %s\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
                       wishes.tokens, wishes.rate, wishes.stall ? "x-mock-stall: " : "",
                       wishes.stall ? wishes.stall : "", wishes.stall ? "\r\n" : "", strlen(BODY), BODY);
    append(conn, text, (size_t)len);
    conn->is_deaf = conn->streams[0].kind == SLOW;
}

static nghttp2_ssize on_body_wanted(nghttp2_session *session, int32_t id, uint8_t *to, size_t len, uint32_t *flags,
                                    nghttp2_data_source *source, void *context)
{
    struct stream *stream = source->ptr;
    size_t left = strlen(BODY) - stream->sent;
    (void)session, (void)id, (void)context;
    if (len >= left) {
        len = left;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    memcpy(to, BODY + stream->sent, len);
    stream->sent += len;
    return (nghttp2_ssize)len;
}

static nghttp2_nv pair(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0};
}

static void ask_h2(struct load *load, struct conn *conn, struct stream *stream)
{
    struct wishes wishes = wishes_of(load, stream->kind);
    nghttp2_nv pairs[] = {pair(":method", "POST"),
                          pair(":scheme", "https"),
                          pair(":path", "/v1/chat/completions"),
                          pair(":authority", "bench"),
                          pair("content-type", "application/json"),
                          pair("x-mock-tokens", wishes.tokens),
                          pair("x-mock-rate", wishes.rate),
                          pair("x-mock-stall", wishes.stall ? wishes.stall : "")};
    nghttp2_data_provider2 body = {.source.ptr = stream, .read_callback = on_body_wanted};
    nghttp2_submit_request2(conn->h2, NULL, pairs, wishes.stall ? 8 : 7, &body, stream);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *context)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    (void)flags;
    nghttp2_session_consume_connection(session, len);
    if (stream && stream->kind != SLOW)
        nghttp2_session_consume_stream(session, id, len);
    if (stream)
        take_body(context, stream, (const char *)bytes, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    (void)error;
    if (stream)
        end_stream(context, stream);
    return 0;
}

static void begin_h2(struct load *load, struct conn *conn)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&conn->h2, callbacks, load, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    nghttp2_submit_settings(conn->h2, 0, NULL, 0);
    nghttp2_session_set_local_window_size(conn->h2, 0, 0, 1 << 24);
}

static void ask(struct load *load, struct conn *conn)
{
    if (load->is_h2)
        begin_h2(load, conn);
    else
        ask_h1(load, conn);
    for (size_t i = 0; load->is_h2 && i < conn->stream_count; i++)
        ask_h2(load, conn, &conn->streams[i]);
    flush(load, conn);
}

// ---- connections --------------------------------------------------------------------------------------------------

// Several source addresses, since one has ports for 28,000 connections at most, old ones that linger included.
static int open_socket(const struct load *load)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(load->port)};
    int one = 1;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(load->connections % 16));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect");
    return fd;
}

static void open_connection(struct load *load, struct stream *streams, size_t count)
{
    struct conn *conn = calloc(1, sizeof *conn);
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = conn};
    conn->fd = open_socket(load);
    conn->streams = streams;
    conn->stream_count = count;
    conn->wanted = EPOLLOUT;
    conn->ssl = SSL_new(load->tls);
    SSL_set_fd(conn->ssl, conn->fd);
    SSL_set_connect_state(conn->ssl);
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0)
        die("epoll_ctl");
    load->all[load->connections++] = conn;
    load->opening++;
}

static void shake_hands(struct load *load, struct conn *conn)
{
    int result = SSL_do_handshake(conn->ssl);
    int error = result == 1 ? 0 : SSL_get_error(conn->ssl, result);
    if (error == SSL_ERROR_WANT_READ) {
        want(load, conn, EPOLLIN);
    } else if (error == SSL_ERROR_WANT_WRITE) {
        want(load, conn, EPOLLOUT);
    } else if (error) {
        drop(load, conn);
    } else {
        load->opening--;
        conn->is_open = true;
        ask(load, conn);
    }
}

static void read_some(struct load *load, struct conn *conn)
{
    static char bytes[16384];
    int got;
    while ((got = SSL_read(conn->ssl, bytes, sizeof bytes)) > 0) {
        if (!conn->h2)
            take_body(load, &conn->streams[0], bytes, (size_t)got); // heads and chunk lines have no "\n\n"
        else if (nghttp2_session_mem_recv2(conn->h2, (uint8_t *)bytes, (size_t)got) < 0)
            break;
    }
    if (got > 0 || SSL_get_error(conn->ssl, got) != SSL_ERROR_WANT_READ)
        drop(load, conn);
    else if (conn->h2)
        flush(load, conn);
    ERR_clear_error();
}

static void turn(struct load *load)
{
    struct epoll_event events[256];
    int ready = epoll_wait(load->epoll, events, 256, 10);
    for (int i = 0; i < ready; i++) {
        struct conn *conn = events[i].data.ptr;
        if (conn->fd < 0)
            continue;
        if (!conn->is_open) {
            shake_hands(load, conn);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            flush(load, conn);
        if (conn->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !conn->is_deaf)
            read_some(load, conn);
    }
}

// ---- phases -------------------------------------------------------------------------------------------------------

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t quantile(const struct load *load, double share)
{
    return load->gap_count ? load->gaps[(size_t)(share * (double)(load->gap_count - 1))] : 0;
}

// Serves what comes until a line is read from standard input.
static void report(struct load *load, const char *phase, double seconds)
{
    char byte;
    qsort(load->gaps, load->gap_count, sizeof *load->gaps, compare);
    printf("{\"phase\": \"%s\", \"connections\": %zu, \"streams\": %zu, \"failed\": %zu, \"seconds\": %.2f, "
           "\"events\": %llu, "
           "\"gap_p50_us\": %u, \"gap_p99_us\": %u, \"gap_max_us\": %u}\n",
           phase, load->connections, load->begun, load->failed, seconds, (unsigned long long)load->events,
           quantile(load, 0.5), quantile(load, 0.99), quantile(load, 1));
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) != 1)
        turn(load);
}

static void open_all(struct load *load, struct stream *streams, size_t count)
{
    size_t step = load->is_h2 ? STREAMS_A_CONNECTION : 1;
    int64_t begin = now_us();
    for (size_t at = 0; at < count; at += step) {
        open_connection(load, &streams[at], count - at < step ? count - at : step);
        while (load->opening >= OPENING_MAX)
            turn(load);
    }
    while (load->begun + load->failed < count && now_us() - begin < GIVE_UP_US)
        turn(load);
    report(load, "open", (double)(now_us() - begin) / 1e6);
}

static void measure(struct load *load, const char *phase, int64_t seconds)
{
    int64_t begin = now_us();
    load->is_measuring = true;
    load->gap_count = 0;
    load->events = 0;
    while (now_us() - begin < seconds * 1000000)
        turn(load);
    load->is_measuring = false;
    report(load, phase, (double)(now_us() - begin) / 1e6);
}

// The first connections of HTTP/2 get the hostile streams beside their own.
static void add_hostile(struct load *load, struct stream *streams, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!load->is_h2)
            open_connection(load, &streams[i], 1);
        else
            ask_h2(load, load->all[i % load->connections], &streams[i]);
    }
    for (size_t i = 0; load->is_h2 && i < load->connections; i++)
        flush(load, load->all[i]);
    while (load->opening)
        turn(load);
}

static SSL_CTX *make_tls(bool is_h2)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    const char *alpn = is_h2 ? "\2h2" : "\10http/1.1";
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL); // a self-signed certificate on loopback
    SSL_CTX_set_mode(tls,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_protos(tls, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    return tls;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: tls_streams PORT h1|h2 STREAMS RATE SECONDS HOSTILE\n");
        return 2;
    }
    size_t count = (size_t)strtol(argv[3], NULL, 10), hostile = (size_t)strtol(argv[6], NULL, 10);
    int64_t seconds = strtol(argv[5], NULL, 10);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    struct load load = {.port = (uint16_t)strtol(argv[1], NULL, 10), .is_h2 = strcmp(argv[2], "h2") == 0};
    snprintf(load.rate, sizeof load.rate, "%s", argv[4]);
    load.gap_cap = count * (size_t)(strtol(argv[4], NULL, 10) * seconds + 2);
    load.gaps = calloc(load.gap_cap, sizeof *load.gaps);
    load.epoll = epoll_create1(0);
    load.tls = make_tls(load.is_h2);
    load.all = calloc(count + 2 * hostile, sizeof *load.all);
    struct stream *streams = calloc(count + 2 * hostile, sizeof *streams);
    for (size_t i = 0; i < 2 * hostile; i++)
        streams[count + i].kind = i % 2 ? SLOW : STALLED;
    open_all(&load, streams, count);
    measure(&load, "alone", seconds);
    add_hostile(&load, streams + count, 2 * hostile);
    measure(&load, "among hostile ones", seconds);
    return load.failed > 0;
}
