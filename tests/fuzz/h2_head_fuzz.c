// HTTP/2 heads, of requests and of answers: the input is lines of name TAB value, as HPACK would give them. What is let
// through must be sound in itself, and the same fields in two heads after each other must give the same verdict.
#include "host/native/h2_head.h"

#include <stdlib.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static struct h1_spans spans;

static const struct h1_limits limits = {2048, 20, 256};

// False: so much was decoded that the connection would end.
static bool read_fields(struct h2_head *head, struct slice text, bool is_answer)
{
    h2_head_begin(head, &limits, is_answer);
    while (text.ptr) {
        struct slice value = slice_split(&text, '\n');
        struct slice name = slice_split(&value, '\t');
        if (!h2_head_field(head, name, value.ptr ? value : slice_make("", 0)))
            return false;
    }
    REQUIRE(head->bytes.len <= limits.head_bytes + limits.target_bytes + 1024 || head->error != ERROR_NONE);
    return true;
}

static enum error_code run(struct h2_head *head, struct slice text, struct h1_request *request)
{
    return read_fields(head, text, false) ? h2_head_request(head, false, &spans, request) : ERROR_INTERNAL;
}

static void run_answer(struct h2_head *head, struct slice text, bool is_end)
{
    struct h1_response response;
    if (!read_fields(head, text, true) || h2_head_response(head, is_end, false, &spans, &response) != ERROR_NONE)
        return;
    REQUIRE(response.head.status >= 100 && response.head.status <= 999 && response.head.status != 101);
    REQUIRE(response.head.fields.count <= 20 && response.content_length >= -1);
    REQUIRE(!response.has_body || (!is_end && response.content_length != 0));
    REQUIRE(!fields_find(&response.head.fields, SLICE("transfer-encoding")));
}

static void check(const struct h1_request *request)
{
    const struct request_head *head = &request->head;
    REQUIRE(head->target.len && (head->target.ptr[0] == '/' || head->target.ptr[0] == '*'));
    REQUIRE(head->target.len <= 256 && http_is_token(head->method) && http_is_authority(head->authority));
    REQUIRE(fields_count(&head->fields, SLICE("cookie")) <= 1 && !fields_find(&head->fields, SLICE("host")));
    REQUIRE(head->fields.count <= 20 && request->content_length >= -1);
}

// nghttp2 lets no name with capitals through.
static void lower_names(char *text, size_t len)
{
    bool is_name = true;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\t')
            is_name = false;
        else if (text[i] == '\n')
            is_name = true;
        else if (is_name)
            text[i] = ascii_lower(text[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    if (size)
        memcpy(copy, data, size);
    lower_names(copy, size);
    struct slice text = slice_make(copy, size);
    struct h2_head head;
    struct h1_request request;
    h2_head_init(&head);
    enum error_code error = run(&head, text, &request);
    if (error == ERROR_NONE || error == ERROR_EXPECTATION)
        check(&request);
    h2_head_trim(&head);
    REQUIRE(run(&head, text, &request) == error);
    run_answer(&head, text, true);
    run_answer(&head, text, false);
    h2_head_fini(&head);
    free(copy);
    return 0;
}
