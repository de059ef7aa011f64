// HTTP/1.1 messages, one after another on one connection. The first byte says whether they are requests or
// answers, the second in what pieces they come. However they are cut, the same is read; what is read as a head is clean;
// and a request that we write anew is read as what it was.
#include "host/native/h1.h"
#include "host/native/h1_write.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

#define INPUT_MAX 16384
#define MESSAGES_MAX 64

static const struct h1_limits limits = {8192, 100, 2048};

// What was read of the input.
struct transcript {
    uint64_t digest; // of heads and bodies
    size_t messages;
    enum error_code error;
    bool is_open; // a message is not at its end
};

static void note(struct transcript *transcript, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        transcript->digest = (transcript->digest ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3ULL;
}

static void note_fields(struct transcript *transcript, const struct fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        REQUIRE(http_is_token(fields->items[i].name) && http_is_field_value(fields->items[i].value));
        note(transcript, fields->items[i].name);
        note(transcript, SLICE(":"));
        note(transcript, fields->items[i].value);
        note(transcript, SLICE("\n"));
    }
}

static void read_again(const struct h1_request *request)
{
    static struct h1_spans spans;
    static struct h1_reader reader;
    struct h1_request again;
    struct buf buf;
    size_t used;
    if (request->head.authority.len == 0 || fields_find(&request->head.fields, SLICE("te")) ||
        fields_find(&request->head.fields, SLICE("expect")))
        return;
    buf_init(&buf, 1 << 20);
    REQUIRE(h1_write_request(&buf, request->head.method, request->head.target, request->head.authority,
                             &request->head.fields, request->content_length));
    const struct h1_limits wide = {1 << 20, H1_MAX_FIELDS, 1 << 16};
    REQUIRE(h1_read_request(&reader, buf_slice(&buf), 0, &wide, &spans, &again, &used) == H1_READY);
    REQUIRE(used == buf.len && slice_eq(again.head.method, request->head.method));
    REQUIRE(slice_eq(again.head.target, request->head.target));
    REQUIRE(slice_eq(again.head.authority, request->head.authority));
    REQUIRE(again.content_length == request->content_length);
    buf_fini(&buf);
}

static void note_request(struct transcript *transcript, const struct h1_request *request)
{
    const struct request_head *head = &request->head;
    REQUIRE(http_is_token(head->method) && head->target.len > 0);
    REQUIRE(head->target.ptr[0] == '/' || slice_eq(head->target, SLICE("*")));
    REQUIRE(head->authority.len == 0 ? head->version == HTTP_1_0 : http_is_authority(head->authority));
    REQUIRE(request->content_length >= -1);
    note(transcript, head->method);
    note(transcript, head->target);
    note(transcript, head->authority);
    note_fields(transcript, &head->fields);
    read_again(request);
}

static enum h1_result read_head(struct h1_reader *reader, bool is_request, struct slice bytes, size_t fed,
                                struct transcript *transcript, size_t *ret_used)
{
    static struct h1_spans spans;
    struct h1_request request;
    struct h1_response response;
    enum h1_result result = is_request
                                ? h1_read_request(reader, bytes, fed, &limits, &spans, &request, ret_used)
                                : h1_read_response(reader, bytes, fed, &limits, false, &spans, &response, ret_used);
    if (result == H1_READY && is_request)
        note_request(transcript, &request);
    if (result == H1_READY && !is_request) {
        REQUIRE(response.head.status >= 100 && response.head.status <= 999 && response.head.status != 101);
        note_fields(transcript, &response.head.fields);
    }
    return result;
}

// Reads `bytes` as they come, `step` at a time.
static struct transcript read_all(const char *data, size_t len, bool is_request, size_t step)
{
    static char bytes[INPUT_MAX];
    static struct h1_reader reader;
    struct transcript transcript = {.digest = 0xcbf29ce484222325ULL};
    size_t from = 0, fed = 0;
    bool in_body = false;
    memcpy(bytes, data, len);
    for (size_t to = step < len ? step : len; transcript.messages < MESSAGES_MAX;) {
        size_t used = 0;
        enum h1_result result = H1_MORE;
        if (in_body) {
            struct slice body;
            result = h1_read_body(&reader, bytes + from, to - from, &body, &used);
            note(&transcript, body);
            from += used;
            in_body = !reader.is_complete;
        } else if (to > from) {
            result = read_head(&reader, is_request, slice_make(bytes + from, to - from), fed, &transcript, &used);
            fed = result == H1_MORE ? to - from : 0;
            from += result == H1_READY ? used : 0;
            transcript.messages += result == H1_READY;
            in_body = result == H1_READY && !reader.is_complete;
        }
        if (result == H1_FAILED) {
            transcript.error = reader.error;
            return transcript;
        }
        bool is_stuck = result == H1_MORE || from == to;
        if (is_stuck && to == len)
            break;
        if (is_stuck)
            to = len - to < step ? len : to + step;
    }
    transcript.is_open = in_body || fed;
    return transcript;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size - 2 > INPUT_MAX)
        return 0;
    bool is_request = data[0] & 1;
    const char *bytes = (const char *)data + 2;
    struct transcript whole = read_all(bytes, size - 2, is_request, size);
    struct transcript cut = read_all(bytes, size - 2, is_request, (size_t)data[1] + 1);
    if (whole.error == ERROR_HEAD_TOO_LARGE || cut.error == ERROR_HEAD_TOO_LARGE ||
        whole.error == ERROR_UPSTREAM_TOO_LARGE || cut.error == ERROR_UPSTREAM_TOO_LARGE)
        return 0; // told sooner or later
    REQUIRE((whole.error == ERROR_NONE) == (cut.error == ERROR_NONE));
    REQUIRE(whole.messages == cut.messages && whole.is_open == cut.is_open);
    REQUIRE(whole.digest == cut.digest);
    return 0;
}
