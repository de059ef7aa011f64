// TLS clients against a server in the same thread, over a socket pair: good and bad certificates, the words for what is
// wrong, resumption, writes through a narrow socket, an end without close_notify.
#include "host/native/tls.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];
static struct arena arena;

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...)
{
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

// A CA, and certificates by it: good, expired, of another name; and one self-signed.
static int begin_all(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/weir-tls-XXXXXX");
    arena_init(&arena, 4096, 1 << 20);
    if (!mkdtemp(folder))
        return -1;
    run("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem "
        "-days 2 "
        "-subj /CN=weir-test-ca 2>/dev/null",
        folder);
    static const char *const names[] = {"good", "expired", "other"};
    for (int i = 0; i < 3; i++)
        run("cd %s && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key -out %s.csr -subj "
            "/CN=x "
            "2>/dev/null && printf 'subjectAltName=DNS:%s,IP:127.0.0.1' >ext && openssl x509 -req -in %s.csr -CA "
            "ca.pem "
            "-CAkey ca.key -CAcreateserial -extfile ext -days %d -out %s.pem 2>/dev/null",
            folder, names[i], names[i], i == 2 ? "other.example" : "backend.example", names[i], i == 1 ? 0 : 2,
            names[i]);
    run("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key -out self.pem "
        "-days 2 "
        "-subj /CN=backend.example -addext subjectAltName=DNS:backend.example 2>/dev/null",
        folder);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    run("rm -rf %s", folder);
    arena_fini(&arena);
    return 0;
}

struct pair {
    int fds[2];
    SSL *server;
    struct tls_session *client;
};

static SSL_CTX *server_context(const char *name, int version)
{
    char path[128];
    SSL_CTX *ssl = SSL_CTX_new(TLS_server_method());
    snprintf(path, sizeof path, "%s/%s.pem", folder, name);
    assert_int_equal(SSL_CTX_use_certificate_file(ssl, path, SSL_FILETYPE_PEM), 1);
    snprintf(path, sizeof path, "%s/%s.key", folder, name);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ssl, path, SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_max_proto_version(ssl, version);
    SSL_CTX_set_session_id_context(ssl, (const unsigned char *)"w", 1);
    return ssl;
}

static void open_pair(struct pair *pair, SSL_CTX *server, struct tls_context *client)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fds), 0);
    int small = 8192;
    setsockopt(pair->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    pair->client = tls_session_new(client, pair->fds[0]);
    assert_non_null(pair->client);
    pair->server = server ? SSL_new(server) : NULL;
    if (server) {
        SSL_set_fd(pair->server, pair->fds[1]);
        SSL_set_accept_state(pair->server);
    }
}

static void close_pair(struct pair *pair)
{
    tls_session_free(pair->client);
    SSL_free(pair->server);
    close(pair->fds[0]);
    close(pair->fds[1]);
}

static enum tls_status shake(struct pair *pair)
{
    enum tls_status status = TLS_WANT_READ;
    for (int i = 0; i < 20; i++) {
        status = tls_handshake(pair->client);
        int result = SSL_do_handshake(pair->server);
        if (status == TLS_FAILED || (status == TLS_OK && result == 1))
            break;
    }
    return status;
}

static struct slice read_pem(const char *name)
{
    char path[128], text[8192];
    snprintf(path, sizeof path, "%s/%s.pem", folder, name);
    FILE *file = fopen(path, "r");
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    return arena_dup(&arena, slice_make(text, len));
}

static struct tls_context *client_context(const struct config_tls *config, const char *host)
{
    struct slice why = {0};
    struct tls_context *context = tls_context_new(config, slice_from_cstr(host), &arena, &why);
    if (!context)
        fail_msg(SLICE_FMT, SLICE_ARG(why));
    return context;
}

// One handshake; `expected_reason` NULL: it must succeed.
static void expect(const struct config_tls *config, const char *host, const char *certificate,
                   const char *expected_reason)
{
    struct pair pair;
    SSL_CTX *server = server_context(certificate, TLS1_3_VERSION);
    struct tls_context *client = client_context(config, host);
    open_pair(&pair, server, client);
    enum tls_status status = shake(&pair);
    char reason[512];
    snprintf(reason, sizeof reason, SLICE_FMT, SLICE_ARG(tls_reason(pair.client)));
    if (expected_reason)
        assert_string_equal(reason, expected_reason);
    assert_int_equal(status, expected_reason ? TLS_FAILED : TLS_OK);
    close_pair(&pair);
    tls_context_unref(client);
    SSL_CTX_free(server);
}

static void certificates(void **state)
{
    (void)state;
    struct config_tls config = {.is_enabled = true, .trust.ca_pem = read_pem("ca")};
    expect(&config, "backend.example", "good", NULL);
    expect(&config, "127.0.0.1", "good", NULL);
    expect(&config, "backend.example", "expired", "TLS_error: a certificate of backend.example has expired");
    expect(&config, "backend.example", "other",
           "TLS_error: the certificate is not for backend.example but for other.example");
    expect(&config, "10.0.0.1", "good", "TLS_error: the certificate is not for 10.0.0.1 but for backend.example");
    expect(&config, "backend.example", "self",
           "TLS_error: the certificate of backend.example is self-signed and not trusted");
    config.verify_name = SLICE("other.example");
    expect(&config, "backend.example", "other", NULL);
    config = (struct config_tls){.is_enabled = true};
    expect(&config, "backend.example", "good",
           "TLS_error: the certificate of backend.example comes from a CA that is not trusted (/CN=weir-test-ca)");
    config.is_unverified = true;
    expect(&config, "backend.example", "self", NULL);
}

static void bad_configuration(void **state)
{
    (void)state;
    struct slice why;
    struct config_tls config = {.is_enabled = true, .trust.ca_pem = SLICE("no pem")};
    assert_null(tls_context_new(&config, SLICE("a"), &arena, &why));
    assert_true(slice_eq(why, SLICE("the CA holds no certificate in PEM")));
    config.trust.ca_pem = SLICE("");
    assert_null(tls_context_new(&config, SLICE(""), &arena, &why));
    assert_true(why.len > 0);
    tls_context_unref(NULL);
    tls_session_free(NULL);
}

// Plain HTTP behind the port; a server that hangs up.
static void no_tls(void **state)
{
    (void)state;
    struct config_tls config = {.is_enabled = true, .is_unverified = true};
    struct tls_context *client = client_context(&config, "a");
    struct pair pair;
    open_pair(&pair, NULL, client);
    assert_int_equal(tls_handshake(pair.client), TLS_WANT_READ);
    assert_true(write(pair.fds[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28) == 28);
    assert_int_equal(tls_handshake(pair.client), TLS_FAILED);
    assert_true(slice_eq(tls_reason(pair.client), SLICE("TLS_error: the backend does not speak TLS on this port")));
    assert_int_equal(tls_handshake(pair.client), TLS_FAILED);
    close_pair(&pair);
    open_pair(&pair, NULL, client);
    assert_int_equal(tls_handshake(pair.client), TLS_WANT_READ);
    shutdown(pair.fds[1], SHUT_WR);
    assert_int_equal(tls_handshake(pair.client), TLS_FAILED);
    assert_true(
        slice_eq(tls_reason(pair.client), SLICE("TLS_error: the backend closed the connection during the handshake")));
    close_pair(&pair);
    tls_context_unref(client);
}

static void resumption(void **state)
{
    (void)state;
    struct config_tls config = {.is_enabled = true, .trust.ca_pem = read_pem("ca")};
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *server = server_context("good", version);
        struct tls_context *client = client_context(&config, "backend.example");
        for (int i = 0; i < 3; i++) {
            struct pair pair;
            char byte;
            size_t len;
            open_pair(&pair, server, client);
            assert_int_equal(shake(&pair), TLS_OK);
            assert_int_equal(tls_is_resumed(pair.client), i > 0);
            assert_int_equal(tls_read(pair.client, &byte, 1, &len), TLS_WANT_READ); // takes the tickets in
            SSL_shutdown(pair.server);
            assert_int_equal(tls_read(pair.client, &byte, 1, &len), TLS_EOF);
            tls_close(pair.client);
            close_pair(&pair);
        }
        tls_context_unref(client);
        SSL_CTX_free(server);
    }
}

// Pieces of all sizes through a socket that takes little at a time arrive whole and in order.
static void narrow_socket(void **state)
{
    (void)state;
    struct config_tls config = {.is_enabled = true, .trust.ca_pem = read_pem("ca")};
    SSL_CTX *server = server_context("good", TLS1_3_VERSION);
    struct tls_context *client = client_context(&config, "backend.example");
    struct pair pair;
    enum { TOTAL = 300000 };
    char *sent = malloc(TOTAL), *got = malloc(TOTAL);
    struct slice pieces[64];
    size_t count = 0, got_len = 0;
    unsigned seed = 7;
    for (size_t i = 0; i < TOTAL; i++)
        sent[i] = (char)rand_r(&seed);
    for (size_t at = 0, len; at < TOTAL; at += len, count++) {
        static const size_t sizes[] = {0, 1, 300, 3000, 5000, 40000, 17, 20000};
        len = count == 63 || sizes[count % 8] > TOTAL - at ? TOTAL - at : sizes[count % 8];
        pieces[count] = slice_make(sent + at, len);
    }
    open_pair(&pair, server, client);
    assert_int_equal(shake(&pair), TLS_OK);
    size_t first = 0, waits = 0;
    while (got_len < TOTAL) {
        size_t len = 0;
        enum tls_status status = first < count ? tls_write(pair.client, pieces + first, count - first, &len) : TLS_OK;
        assert_true(status == TLS_OK || status == TLS_WANT_WRITE);
        waits += status == TLS_WANT_WRITE;
        while (first < count && len >= pieces[first].len)
            len -= pieces[first++].len;
        if (first < count)
            pieces[first] = slice_from(pieces[first], len);
        int read_len = SSL_read(pair.server, got + got_len, 10000);
        got_len += read_len > 0 ? (size_t)read_len : 0;
    }
    assert_true(waits > 0);
    assert_memory_equal(sent, got, TOTAL);
    close_pair(&pair);
    tls_context_unref(client);
    SSL_CTX_free(server);
    free(sent);
    free(got);
}

// Cut without close_notify: the answer may be incomplete, and that is told.
static void truncation(void **state)
{
    (void)state;
    struct config_tls config = {.is_enabled = true, .trust.ca_pem = read_pem("ca")};
    SSL_CTX *server = server_context("good", TLS1_3_VERSION);
    struct tls_context *client = client_context(&config, "backend.example");
    struct pair pair;
    char text[16];
    size_t len;
    open_pair(&pair, server, client);
    assert_int_equal(shake(&pair), TLS_OK);
    assert_int_equal(SSL_write(pair.server, "half", 4), 4);
    shutdown(pair.fds[1], SHUT_WR);
    assert_int_equal(tls_read(pair.client, text, sizeof text, &len), TLS_OK);
    assert_int_equal(len, 4);
    assert_int_equal(tls_read(pair.client, text, sizeof text, &len), TLS_FAILED);
    assert_true(
        slice_eq(tls_reason(pair.client), SLICE("TLS_error: the backend closed the connection without ending TLS")));
    close_pair(&pair);
    tls_context_unref(client);
    SSL_CTX_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates), cmocka_unit_test(bad_configuration), cmocka_unit_test(no_tls),
        cmocka_unit_test(resumption),   cmocka_unit_test(narrow_socket),     cmocka_unit_test(truncation),
    };
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
