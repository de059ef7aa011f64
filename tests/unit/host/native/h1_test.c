// Reading of HTTP/1.1: what is accepted comes out the same at every split of its bytes, and what is refused is refused at
// every split, with the error that the table names (reliability-security.md 1.3).
#include "host/native/h1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct h1_limits limits = {61440, 100, 8192};
static struct h1_spans spans;

#define POST "POST /v1/chat/completions HTTP/1.1\r\nHost: a.example\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

// A message as it came out: what a connection would have made of it.
struct outcome {
    enum h1_result result;
    enum error_code error;
    struct h1_request request;
    char text[512]; // method, target, authority, number of fields
    char body[512];
    size_t body_len;
    size_t rest; // bytes behind the message
    bool is_complete;
};

static void note_head(struct outcome *outcome)
{
    const struct request_head *head = &outcome->request.head;
    snprintf(outcome->text, sizeof outcome->text, SLICE_FMT " " SLICE_FMT " " SLICE_FMT " %zu", SLICE_ARG(head->method),
             SLICE_ARG(head->target), SLICE_ARG(head->authority), head->fields.count);
}

static void read_body(struct h1_reader *reader, struct outcome *outcome, const char *bytes, size_t len)
{
    char *copy = malloc(len + 1); // bodies are pushed together in place
    struct slice body;
    size_t used;
    memcpy(copy, bytes, len);
    outcome->result = h1_read_body(reader, copy, len, &body, &used);
    if (outcome->result != H1_FAILED) {
        assert_true(outcome->body_len + body.len <= sizeof outcome->body);
        memcpy(outcome->body + outcome->body_len, body.ptr, body.len);
        outcome->body_len += body.len;
        outcome->rest = len - used;
    }
    free(copy);
}

// Reads a message that comes in two pieces.
static struct outcome read_split(struct slice message, size_t split)
{
    struct outcome outcome = {.result = H1_MORE};
    struct h1_reader reader;
    size_t ends[2] = {split, message.len}, fed = 0, used = 0;
    bool has_head = false;
    for (size_t i = 0; i < 2 && outcome.result != H1_FAILED; i++) {
        if (ends[i] == fed && !(i == 1 && split == message.len))
            continue;
        if (has_head) {
            if (!reader.is_complete)
                read_body(&reader, &outcome, message.ptr + fed, ends[i] - fed);
            else
                outcome.rest += ends[i] - fed;
            fed = ends[i];
            continue;
        }
        outcome.result =
            h1_read_request(&reader, slice_sub(message, 0, ends[i]), fed, &limits, &spans, &outcome.request, &used);
        fed = ends[i];
        if (outcome.result != H1_READY)
            continue;
        has_head = true;
        note_head(&outcome);
        outcome.rest = fed - used;
        if (!reader.is_complete && fed > used)
            read_body(&reader, &outcome, message.ptr + used, fed - used);
    }
    outcome.error = reader.error;
    outcome.is_complete = has_head && reader.is_complete;
    return outcome;
}

static struct outcome read_whole(const char *message, size_t len)
{
    return read_split(slice_make(message, len), len);
}

#define READ(literal) read_whole("" literal, sizeof(literal) - 1)

static void accepts(struct slice message, const char *text, const char *body)
{
    for (size_t split = 1; split <= message.len; split++) {
        struct outcome outcome = read_split(message, split);
        if (outcome.result == H1_FAILED || !outcome.is_complete)
            fail_msg("refused at split %zu (%d): " SLICE_FMT, split, (int)outcome.error, SLICE_ARG(message));
        assert_string_equal(outcome.text, text);
        assert_int_equal(outcome.body_len, strlen(body));
        assert_memory_equal(outcome.body, body, outcome.body_len);
        assert_int_equal(outcome.rest, 0);
    }
}

static void refuses(struct slice message, enum error_code error)
{
    for (size_t split = 1; split <= message.len; split++) {
        struct outcome outcome = read_split(message, split);
        if (outcome.result != H1_FAILED || outcome.error != error)
            fail_msg("split %zu: result %d, %s instead of %s: " SLICE_FMT, split, (int)outcome.result,
                     error_info(outcome.error)->name.ptr, error_info(error)->name.ptr, SLICE_ARG(message));
    }
}

#define ACCEPTS(message, text, body) accepts(SLICE(message), text, body)
#define REFUSES(message, error) refuses(SLICE(message), error)

static void takes_requests_at_every_split(void **state)
{
    (void)state;
    ACCEPTS("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / a 0", "");
    ACCEPTS("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / a 0", "");
    ACCEPTS("GET /?q HTTP/1.0\r\n\r\n", "GET /?q  0", "");
    ACCEPTS(POST "Content-Length: 5\r\n\r\nabcde", "POST /v1/chat/completions a.example 1", "abcde");
    ACCEPTS(POST "X: \t y \r\nY:\r\nContent-Length: 0\r\n\r\n", "POST /v1/chat/completions a.example 3", "");
    ACCEPTS("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * a 0", "");
}

static void takes_chunked_bodies(void **state)
{
    (void)state;
    ACCEPTS(CHUNKED "5\r\nabcde\r\n0\r\n\r\n", "POST /v1/chat/completions a.example 1", "abcde");
    ACCEPTS(CHUNKED "3;x=1\r\nabc\r\n2;y\r\nde\r\n0\r\nT: 1\r\n\r\n", "POST /v1/chat/completions a.example 1", "abcde");
    ACCEPTS(CHUNKED "0\r\n\r\n", "POST /v1/chat/completions a.example 1", "");
    ACCEPTS(POST "transfer-encoding: Chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n00\r\n\r\n",
            "POST /v1/chat/completions a.example 1", "ab");
}

static void takes_absolute_targets(void **state)
{
    (void)state;
    ACCEPTS("GET http://b:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y b:80 0", "");
    ACCEPTS("GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / b 0", "");
    ACCEPTS("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?q b 0", "");
    ACCEPTS("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * b 0", "");
    REFUSES("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET http://u@b/x HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET ftp://b/x HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_MALFORMED_HEAD);
}

static void refuses_doubtful_lengths(void **state)
{
    (void)state;
    REFUSES(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Content-Length: 5\r\nContent-Length: 10\r\n\r\nabcde", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Content-Length: 5, 5\r\n\r\nabcde", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Content-Length: +5\r\n\r\nabcde", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Content-Length: 0x5\r\n\r\nabcde", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Content-Length:\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Content-Length: 99999999999999999999\r\n\r\n", ERROR_MALFORMED_HEAD);
}

static void refuses_doubtful_codings(void **state)
{
    (void)state;
    REFUSES(POST "Transfer-Encoding : chunked\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "Transfer-Encoding: \x0b"
                 "chunked\r\n\r\n",
            ERROR_MALFORMED_HEAD);
    REFUSES(POST "Transfer-Encoding: xchunked\r\n\r\n", ERROR_TRANSFER_CODING);
    REFUSES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", ERROR_TRANSFER_CODING);
    REFUSES(POST "Transfer-Encoding: chunked, identity\r\n\r\n", ERROR_TRANSFER_CODING);
    REFUSES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ERROR_MALFORMED_HEAD);
    assert_int_equal(READ(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n").result, H1_FAILED);
}

static void refuses_bad_lines(void **state)
{
    (void)state;
    REFUSES(POST "X: a\r\n b\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "X: a\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET / HTTP/1.1\nHost: a\n\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "X: a\rb\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "X: a\0b\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "X: a\x7f"
                 "b\r\n\r\n",
            ERROR_MALFORMED_HEAD);
    REFUSES(POST "X y: a\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST ": a\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES(POST "X\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_MALFORMED_HEAD);
}

static void refuses_hosts_and_versions(void **state)
{
    (void)state;
    REFUSES("GET / HTTP/1.1\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET / HTTP/1.1\r\nHost:\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ERROR_MALFORMED_HEAD);
    REFUSES("GET / HTTP/1.2\r\nHost: a\r\n\r\n", ERROR_HTTP_VERSION);
    REFUSES("GET / HTTP/2.0\r\nHost: a\r\n\r\n", ERROR_HTTP_VERSION);
    REFUSES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ERROR_HTTP_VERSION);
    REFUSES("DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", ERROR_HTTP_VERSION);
    REFUSES("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", ERROR_METHOD_NOT_ALLOWED);
    REFUSES("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", ERROR_UPGRADE);
    REFUSES(POST "Content-Length: 1\r\nExpect: a-pony\r\n\r\n", ERROR_EXPECTATION);
}

static void refuses_bad_chunks(void **state)
{
    (void)state;
    REFUSES(CHUNKED "5\nabcde\r\n0\r\n\r\n", ERROR_MALFORMED_CHUNK);
    REFUSES(CHUNKED "5;a\nb\r\nabcde\r\n0\r\n\r\n", ERROR_MALFORMED_CHUNK);
    REFUSES(CHUNKED "0x5\r\nabcde\r\n0\r\n\r\n", ERROR_MALFORMED_CHUNK);
    REFUSES(CHUNKED "11111111111111111\r\nabcde\r\n0\r\n\r\n", ERROR_MALFORMED_CHUNK);
    REFUSES(CHUNKED "-1\r\nabcde\r\n0\r\n\r\n", ERROR_MALFORMED_CHUNK);
    REFUSES(CHUNKED "3\r\nabcde\r\n0\r\n\r\n", ERROR_MALFORMED_CHUNK);
}

static void keeps_limits(void **state)
{
    (void)state;
    static char big[80000];
    int len = snprintf(big, sizeof big, POST "X: %070000d\r\n\r\n", 1);
    assert_int_equal(read_whole(big, (size_t)len).error, ERROR_HEAD_TOO_LARGE);
    assert_int_equal(read_split(slice_make(big, (size_t)len), 30000).error, ERROR_HEAD_TOO_LARGE);
    len = snprintf(big, sizeof big, "GET /%09000d HTTP/1.1\r\n", 1);
    assert_int_equal(read_split(slice_make(big, (size_t)len), 4000).error, ERROR_TARGET_TOO_LONG);
    len = snprintf(big, sizeof big, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 100; i++)
        len += snprintf(big + len, sizeof big - (size_t)len, "X%d: y\r\n", i);
    len += snprintf(big + len, sizeof big - (size_t)len, "\r\n");
    assert_int_equal(read_whole(big, (size_t)len).error, ERROR_HEAD_TOO_LARGE);
    len = snprintf(big, sizeof big, CHUNKED "1;%0300d\r\na\r\n0\r\n\r\n", 1);
    assert_int_equal(read_whole(big, (size_t)len).error, ERROR_MALFORMED_CHUNK);
    len = snprintf(big, sizeof big, CHUNKED "0\r\nT: %070000d\r\n\r\n", 1);
    assert_int_equal(read_whole(big, (size_t)len).error, ERROR_HEAD_TOO_LARGE);
}

static void tells_what_follows(void **state)
{
    (void)state;
    struct outcome outcome = READ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2");
    assert_int_equal(outcome.rest, 6);
    outcome = READ(CHUNKED "1\r\na\r\n0\r\n\r\nGET /2");
    assert_int_equal(outcome.rest, 6);
    assert_true(outcome.is_complete);
    outcome = READ(POST "Content-Length: 2\r\n\r\nabGET");
    assert_int_equal(outcome.rest, 3);
}

static void tells_how_connections_go_on(void **state)
{
    (void)state;
    assert_true(READ("GET / HTTP/1.1\r\nHost: a\r\n\r\n").request.is_keep_alive);
    assert_false(READ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").request.is_keep_alive);
    assert_false(READ("GET / HTTP/1.0\r\n\r\n").request.is_keep_alive);
    assert_true(READ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").request.is_keep_alive);
    assert_true(READ(POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n").request.expects_continue);
    assert_false(READ(POST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n").request.expects_continue);
    assert_int_equal(READ(CHUNKED).request.content_length, -1);
    assert_int_equal(READ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n").result, H1_READY);
}

// ---- answers ------------------------------------------------------------------------------------------------------

static struct h1_response response;
static struct h1_reader reader;

static enum h1_result read_answer(const char *text, bool is_head)
{
    size_t used;
    return h1_read_response(&reader, slice_from_cstr(text), 0, &limits, is_head, &spans, &response, &used);
}

static void frames_answers(void **state)
{
    (void)state;
    assert_int_equal(read_answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false), H1_READY);
    assert_true(response.has_body && response.is_keep_alive && response.content_length == 3);
    assert_int_equal(read_answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true), H1_READY);
    assert_true(!response.has_body && reader.is_complete && response.content_length == 3);
    assert_int_equal(read_answer("HTTP/1.1 204\r\n\r\n", false), H1_READY);
    assert_true(!response.has_body && response.head.status == 204);
    assert_int_equal(read_answer("HTTP/1.0 200 OK\r\n\r\n", false), H1_READY);
    assert_true(response.has_body && !response.is_keep_alive && reader.body == H1_BODY_UNTIL_CLOSE);
    assert_false(reader.is_complete);
    assert_true(h1_end_of_file(&reader));
    assert_int_equal(read_answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", false), H1_READY);
    assert_true(reader.is_complete && response.head.status == 103);
}

static void refuses_answers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\nX: y\n\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (read_answer(bad[i], false) != H1_FAILED)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(reader.error, ERROR_UPSTREAM_MALFORMED);
    }
}

static void short_answers_are_not_complete(void **state)
{
    (void)state;
    struct slice body;
    size_t used;
    char bytes[] = "ab";
    read_answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false);
    h1_read_body(&reader, bytes, 2, &body, &used);
    assert_false(h1_end_of_file(&reader));
    read_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false);
    char chunk[] = "2\r\nab\r\n";
    h1_read_body(&reader, chunk, sizeof chunk - 1, &body, &used);
    assert_int_equal(body.len, 2);
    assert_false(h1_end_of_file(&reader));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_requests_at_every_split),
        cmocka_unit_test(takes_chunked_bodies),
        cmocka_unit_test(takes_absolute_targets),
        cmocka_unit_test(refuses_doubtful_lengths),
        cmocka_unit_test(refuses_doubtful_codings),
        cmocka_unit_test(refuses_bad_lines),
        cmocka_unit_test(refuses_hosts_and_versions),
        cmocka_unit_test(refuses_bad_chunks),
        cmocka_unit_test(keeps_limits),
        cmocka_unit_test(tells_what_follows),
        cmocka_unit_test(tells_how_connections_go_on),
        cmocka_unit_test(frames_answers),
        cmocka_unit_test(refuses_answers),
        cmocka_unit_test(short_answers_are_not_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
