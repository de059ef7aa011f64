// Plays the traffic of a usual day through the module's hooks, with the tests' stand-in for Envoy. Built with counters in the
// code, it writes the profile by which a release is laid out: see docs/decisions/trained-release.md.
//
// Usage: train FILE (tools/train.yaml)
#include <stdio.h>

#include "host/envoy/fake_envoy.h"

#define ROUNDS 300
#define EVENTS 20

struct part {           // of the day
    const char *before; // the request, around words
    const char *after;
    size_t words_bytes; // of it, and of the answer when that is no stream
    const char *ref;    // the backend that a filter in the upstream position is told of; NULL: there is no such filter
    bool is_stream;
    unsigned times; // in a round
};

#define REF "default/first/route/train/rule/1/ref/0"
#define OTHER_REF "default/second/route/train/rule/1/ref/1"
#define ASK "\"messages\":[{\"role\":\"user\",\"content\":\""
static const struct part day[] = {
    {"{\"model\":\"alone\"," ASK, "\"}]}", 700, NULL, false, 8},
    {"{\"model\":\"alone\"," ASK, "\"}],\"temperature\":0.2,\"max_tokens\":512}", 6000, NULL, false, 4},
    {"{" ASK, "\"}],\"stream\":false,\"model\":\"alone\"}", 32000, NULL, false, 2},
    {"{\"model\":\"alone\",\"stream\":true," ASK, "\"}]}", 700, NULL, true, 6},
    {"{\"model\":\"pair\"," ASK, "\"}]}", 700, REF, false, 3},
    {"{\"model\":\"pair\",\"stream\":true," ASK, "\"}]}", 700, OTHER_REF, true, 2},
};

#define ANSWER(object) "{\"id\":\"chatcmpl-1\",\"object\":\"" object "\",\"created\":1770000000,\"model\":\"there\","
#define USAGE                                                                                                          \
    "\"usage\":{\"prompt_tokens\":120,\"completion_tokens\":16,\"total_tokens\":136,\"prompt_tokens_details\":{"
static const char answer_before[] =
    ANSWER("chat.completion") "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
static const char answer_after[] =
    "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}]," USAGE "\"cached_tokens\":64}}}";
static const struct slice event =
    SLICE_INIT("data: " ANSWER("chat.completion.chunk") "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" water\"},"
                                                        "\"logprobs\":null,\"finish_reason\":null}]}\n\n");
static const struct slice last_events = SLICE_INIT(
    "data: " ANSWER("chat.completion.chunk") "\"choices\":[]," USAGE "\"cached_tokens\":64}}}\n\ndata: [DONE]\n\n");

// Words between two texts: some of them need a second look, most do not.
static struct slice text_of(const char *before, size_t words_bytes, const char *after)
{
    static const struct slice words =
        SLICE_INIT("Water runs over the weir and \\\"finds\\\" its own level below, clear and steady.\\n ");
    static char text[64 << 10];
    struct buf buf = {.ptr = text, .cap = sizeof text, .max = sizeof text};
    buf_append(&buf, slice_from_cstr(before));
    for (size_t bytes = 0; bytes < words_bytes; bytes += words.len)
        buf_append(&buf, words);
    buf_append(&buf, slice_from_cstr(after));
    return buf_slice(&buf);
}

static const struct field usual_fields[] = {
    {SLICE_INIT(":authority"), SLICE_INIT("api.example.com")},
    {SLICE_INIT(":path"), SLICE_INIT("/v1/chat/completions")},
    {SLICE_INIT(":method"), SLICE_INIT("POST")},
    {SLICE_INIT(":scheme"), SLICE_INIT("http")},
    {SLICE_INIT("user-agent"), SLICE_INIT("OpenAI/Python 2.1.0")},
    {SLICE_INIT("accept"), SLICE_INIT("application/json")},
    {SLICE_INIT("accept-encoding"), SLICE_INIT("gzip, deflate")},
    {SLICE_INIT("content-type"), SLICE_INIT("application/json")},
    {SLICE_INIT("authorization"), SLICE_INIT("Bearer none-of-ours")},
    {SLICE_INIT("x-internal"), SLICE_INIT("1")},
    {SLICE_INIT("x-forwarded-proto"), SLICE_INIT("http")},
    {SLICE_INIT("x-envoy-external-address"), SLICE_INIT("192.0.2.1")},
};

static void send_request(struct envoy_filter *fake, const void *filter, const struct part *part)
{
    struct slice body = text_of(part->before, part->words_bytes, part->after);
    for (size_t i = 0; i < sizeof usual_fields / sizeof *usual_fields; i++)
        fake_add(fake, ENVOY_REQUEST_HEADERS, usual_fields[i].name, usual_fields[i].value);
    headers_set_number(fake, ENVOY_REQUEST_HEADERS, SLICE("content-length"), body.len);
    ENVOY_HOOK(http_filter_request_headers)(fake, filter, false);
    fake_frame(fake, ENVOY_RECEIVED_REQUEST_BODY, body);
    ENVOY_HOOK(http_filter_request_body)(fake, filter, true);
}

static void send_piece(struct envoy_filter *fake, const void *filter, struct slice text, bool is_end)
{
    fake_frame(fake, ENVOY_RECEIVED_RESPONSE_BODY, text);
    ENVOY_HOOK(http_filter_response_body)(fake, filter, is_end);
}

static void send_answer(struct envoy_filter *fake, const void *filter, const struct part *part)
{
    struct slice body = text_of(answer_before, part->words_bytes, answer_after);
    struct slice type = part->is_stream ? SLICE("text/event-stream") : SLICE("application/json");
    fake_add(fake, ENVOY_RESPONSE_HEADERS, SLICE(":status"), SLICE("200"));
    fake_add(fake, ENVOY_RESPONSE_HEADERS, SLICE("date"), SLICE("Sun, 22 Nov 2026 12:00:00 GMT"));
    fake_add(fake, ENVOY_RESPONSE_HEADERS, SLICE("content-type"), type);
    if (!part->is_stream)
        headers_set_number(fake, ENVOY_RESPONSE_HEADERS, SLICE("content-length"), body.len);
    ENVOY_HOOK(http_filter_response_headers)(fake, filter, false);
    for (unsigned i = 0; part->is_stream && i < EVENTS; i++)
        send_piece(fake, filter, event, false);
    send_piece(fake, filter, part->is_stream ? last_events : body, false);
    send_piece(fake, filter, SLICE(""), true);
}

static void play(const void *settings, const void *upstream_settings, const struct part *part)
{
    static struct envoy_filter fake;
    fake_init(&fake);
    const void *filter = ENVOY_HOOK(http_filter_new)(settings, &fake);
    send_request(&fake, filter, part);
    if (part->ref)
        fake_try(&fake, upstream_settings, part->ref);
    if (fake.sent_status) {
        fprintf(stderr, "train: a request was refused: " SLICE_FMT "\n", SLICE_ARG(buf_slice(&fake.sent_body)));
        exit(1);
    }
    send_answer(&fake, filter, part);
    ENVOY_HOOK(http_filter_stream_complete)(&fake, filter);
    ENVOY_HOOK(http_filter_destroy)(filter);
    fake_fini(&fake);
}

static const void *settings_of(const char *text)
{
    const void *settings = fake_settings(text);
    if (!settings) {
        fprintf(stderr, "train: settings refused: %s\n", text);
        exit(1);
    }
    return settings;
}

int main(int count, char **arguments)
{
    char text[4096];
    if (count != 2) {
        fprintf(stderr, "usage: train FILE\n");
        return 2;
    }
    snprintf(text, sizeof text, "{\"publish\":\"costs\",\"log\":\"weir\",\"build\":\"ahead\",\"files\":[\"%s\"]}",
             arguments[1]);
    const void *settings = settings_of(text);
    const void *upstream_settings = settings_of("{\"position\":\"upstream\"}");
    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < sizeof day / sizeof *day; i++)
            for (unsigned times = 0; times < day[i].times; times++)
                play(settings, upstream_settings, &day[i]);
    ENVOY_HOOK(http_filter_config_destroy)(settings);
    ENVOY_HOOK(http_filter_config_destroy)(upstream_settings);
    return 0;
}
