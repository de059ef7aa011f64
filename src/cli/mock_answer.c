// Whole answers of the mock, and the way every answer begins and goes on.
#include "cli/mock_answer.h"

#include "json/json.h"

#define BODY_MAX_BYTES ((size_t)128 << 20)
#define PUMP_BYTES ((size_t)64 << 10) // made at a time

// ---- text -----------------------------------------------------------------------------------------------------------

static const struct slice words[] = {
    SLICE_INIT("Water"),  SLICE_INIT(" runs"),  SLICE_INIT(" over"),   SLICE_INIT(" the"),
    SLICE_INIT(" weir"),  SLICE_INIT(" and"),   SLICE_INIT(" finds"),  SLICE_INIT(" its"),
    SLICE_INIT(" own"),   SLICE_INIT(" level"), SLICE_INIT(" below"),  SLICE_INIT(","),
    SLICE_INIT(" clear"), SLICE_INIT(" and"),   SLICE_INIT(" steady"), SLICE_INIT(". "),
};
#define WORD_COUNT (sizeof words / sizeof *words)

void mock_write_token(struct buf *out, uint64_t index)
{
    buf_append(out, words[index % WORD_COUNT]);
}

void mock_write_text(struct buf *out, uint64_t tokens)
{
    for (uint64_t i = 0; i < tokens; i++)
        mock_write_token(out, i);
}

static void put_number(struct buf *out, struct slice before, uint64_t number)
{
    buf_append(out, before);
    buf_append_u64(out, number);
}

#define PUT_NUMBER(out, literal, number) put_number((out), SLICE(literal), (number))

void mock_write_usage(struct buf *out, const struct mock_answer *answer)
{
    bool is_chat = answer->stream == MOCK_STREAM_CHAT || answer->stream == MOCK_STREAM_COMPLETION;
    uint64_t output = answer->tokens + answer->reasoning_tokens;
    buf_append(out, is_chat ? SLICE("{\"prompt_tokens\":") : SLICE("{\"input_tokens\":"));
    buf_append_u64(out, answer->prompt_tokens);
    put_number(out, is_chat ? SLICE(",\"completion_tokens\":") : SLICE(",\"output_tokens\":"), output);
    PUT_NUMBER(out, ",\"total_tokens\":", answer->prompt_tokens + output);
    buf_append(out, is_chat ? SLICE(",\"prompt_tokens_details\":{\"cached_tokens\":")
                            : SLICE(",\"input_tokens_details\":{\"cached_tokens\":"));
    buf_append_u64(out, answer->cached_tokens);
    buf_append(out, is_chat ? SLICE("},\"completion_tokens_details\":{\"reasoning_tokens\":")
                            : SLICE("},\"output_tokens_details\":{\"reasoning_tokens\":"));
    buf_append_u64(out, answer->reasoning_tokens);
    PUT(out, "}}");
}

// ---- heads ----------------------------------------------------------------------------------------------------------

struct head {
    uint16_t status;
    struct slice type;
    struct slice model; // JSON string, may be empty
    struct slice retry_after;
    int64_t body_bytes; // -1: chunked, -2: until the close
    bool must_close;
};

static void write_head(struct buf *out, const struct head *head)
{
    if (head->status == 200) {
        PUT(out, "HTTP/1.1 200 OK\r\ncontent-type: ");
    } else {
        PUT_NUMBER(out, "HTTP/1.1 ", head->status);
        PUT(out, " Mock\r\ncontent-type: ");
    }
    buf_append(out, head->type);
    if (head->model.len > 2 && slice_find(head->model, '\\') == SLICE_NOT_FOUND) {
        PUT(out, "\r\nx-mock-model: ");
        buf_append(out, slice_sub(head->model, 1, head->model.len - 2));
    }
    if (head->retry_after.len) {
        PUT(out, "\r\nretry-after: ");
        buf_append(out, head->retry_after);
    }
    if (head->must_close)
        PUT(out, "\r\nconnection: close");
    if (head->body_bytes >= 0)
        PUT_NUMBER(out, "\r\ncontent-length: ", (uint64_t)head->body_bytes);
    else if (head->body_bytes == -1)
        PUT(out, "\r\ntransfer-encoding: chunked");
    PUT(out, "\r\n\r\n");
}

void mock_answer_plain(struct buf *out, uint16_t status, struct slice json)
{
    write_head(out,
               &(struct head){.status = status, .type = SLICE("application/json"), .body_bytes = (int64_t)json.len});
    buf_append(out, json);
}

// ---- bodies ---------------------------------------------------------------------------------------------------------

// What is being answered.
struct work {
    struct mock_maker *maker;
    struct mock_answer *answer;
    const struct mock_request *request;
    struct mock_body body;
    struct slice type; // of the answer
};

static void put_id(struct work *work, struct slice prefix)
{
    struct buf *out = &work->maker->body;
    PUT(out, "{\"id\":\"");
    buf_append(out, prefix);
    buf_append_u64(out, work->answer->serial);
}

static void put_model(struct work *work, struct slice before_model)
{
    struct buf *out = &work->maker->body;
    buf_append(out, before_model);
    buf_append_u64(out, (uint64_t)work->maker->unix_s);
    PUT(out, ",\"model\":");
    buf_append(out, work->body.model);
}

static struct slice finish_reason(const struct work *work)
{
    return work->body.token_limit <= work->answer->tokens ? SLICE("length") : SLICE("stop");
}

static void write_chat(struct work *work)
{
    struct buf *out = &work->maker->body;
    put_id(work, SLICE("chatcmpl-"));
    put_model(work, SLICE("\",\"object\":\"chat.completion\",\"created\":"));
    PUT(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    if (work->body.tool.len) {
        PUT(out, "null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":");
        buf_append(out, work->body.tool);
        PUT(out, ",\"arguments\":\"{}\"}}]},\"logprobs\":null,\"finish_reason\":\"tool_calls");
        work->maker->gap = 0;
    } else {
        PUT(out, "\"");
        mock_write_text(out, work->answer->tokens);
        work->maker->gap = out->len;
        PUT(out, "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"");
        buf_append(out, finish_reason(work));
    }
    PUT(out, "\"}],\"usage\":");
    mock_write_usage(out, work->answer);
    PUT(out, "}");
}

static void write_completion(struct work *work)
{
    struct buf *out = &work->maker->body;
    put_id(work, SLICE("cmpl-"));
    put_model(work, SLICE("\",\"object\":\"text_completion\",\"created\":"));
    PUT(out, ",\"choices\":[{\"index\":0,\"text\":\"");
    mock_write_text(out, work->answer->tokens);
    work->maker->gap = out->len;
    PUT(out, "\",\"logprobs\":null,\"finish_reason\":\"");
    buf_append(out, finish_reason(work));
    PUT(out, "\"}],\"usage\":");
    mock_write_usage(out, work->answer);
    PUT(out, "}");
}

void mock_write_response(struct mock_maker *maker, const struct mock_answer *answer, bool is_done)
{
    struct buf *out = &maker->body;
    PUT_NUMBER(out, "{\"id\":\"resp_", answer->serial);
    PUT_NUMBER(out, "\",\"object\":\"response\",\"created_at\":", (uint64_t)maker->unix_s);
    buf_append(out, is_done ? SLICE(",\"status\":\"completed\"") : SLICE(",\"status\":\"in_progress\""));
    PUT(out, ",\"error\":null,\"incomplete_details\":null,\"instructions\":null,\"metadata\":{},\"parallel_tool_"
             "calls\":true,"
             "\"temperature\":1.0,\"top_p\":1.0,\"tool_choice\":\"auto\",\"tools\":[],\"model\":");
    buf_append(out, buf_slice(&answer->model));
    PUT(out, ",\"output\":[");
    if (is_done) {
        PUT(out, "{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{"
                 "\"type\":\"output_text\",\"annotations\":[],\"text\":\"");
        mock_write_text(out, answer->tokens);
        maker->gap = out->len;
        PUT(out, "\"}]}");
    }
    PUT(out, "],\"usage\":");
    if (is_done)
        mock_write_usage(out, answer);
    else
        PUT(out, "null");
    PUT(out, "}");
}

static void write_response(struct work *work)
{
    buf_append(&work->answer->model, work->body.model);
    mock_write_response(work->maker, work->answer, true);
}

static void write_input_tokens(struct work *work)
{
    PUT_NUMBER(&work->maker->body,
               "{\"object\":\"response.input_tokens\",\"input_tokens\":", work->answer->prompt_tokens);
    PUT(&work->maker->body, "}");
}

// Base64 of `count` little-endian float32 values 0.5, -0.5, 0.5, ...: 0.5 is 00 00 00 3f, -0.5 is 00 00 00 bf.
static void write_base64_floats(struct buf *out, uint64_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t bytes = count * 4;
    for (uint64_t at = 0; at < bytes; at += 3) {
        uint32_t three = 0;
        for (uint64_t i = at; i < at + 3; i++) {
            uint32_t byte = i >= bytes || i % 4 != 3 ? 0 : i / 4 % 2 ? 0xbf : 0x3f;
            three = three << 8 | byte;
        }
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63], digits[three >> 6 & 63], digits[three & 63]};
        if (at + 2 >= bytes)
            four[3] = '=';
        if (at + 1 >= bytes)
            four[2] = '=';
        buf_append(out, slice_make(four, 4));
    }
}

static void write_embedding(struct work *work)
{
    struct buf *out = &work->maker->body;
    PUT(out, "{\"object\":\"list\",\"data\":[");
    for (uint64_t i = 0; i < work->body.inputs && i < 2048; i++) {
        buf_append(out, i ? SLICE(",") : SLICE(""));
        PUT_NUMBER(out, "{\"object\":\"embedding\",\"index\":", i);
        PUT(out, ",\"embedding\":");
        if (work->body.wants_base64) {
            PUT(out, "\"");
            write_base64_floats(out, work->body.dimensions % 4097);
            PUT(out, "\"}");
            continue;
        }
        for (uint64_t at = 0; at < work->body.dimensions % 4097; at++)
            buf_append(out, at == 0 ? SLICE("[0.5") : at % 2 ? SLICE(",-0.5") : SLICE(",0.5"));
        PUT(out, "]}");
    }
    PUT(out, "],\"model\":");
    buf_append(out, work->body.model);
    PUT_NUMBER(out, ",\"usage\":{\"prompt_tokens\":", work->answer->prompt_tokens);
    PUT_NUMBER(out, ",\"total_tokens\":", work->answer->prompt_tokens);
    PUT(out, "}}");
}

static void write_speech(struct work *work)
{
    work->type = SLICE("audio/mpeg");
    for (int i = 0; i < 16; i++)
        PUT(&work->maker->body, "mock audio bytes");
    work->maker->gap = work->maker->body.len;
}

static void write_transcript(struct work *work)
{
    struct buf *out = &work->maker->body;
    work->type = work->body.is_text ? SLICE("text/plain; charset=utf-8") : work->type;
    if (!work->body.is_text)
        PUT(out, "{\"text\":\"");
    mock_write_text(out, work->answer->tokens);
    work->maker->gap = out->len;
    if (work->body.is_text)
        return;
    PUT(out, "\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":");
    buf_append_u64(out, work->answer->prompt_tokens);
    PUT_NUMBER(out, ",\"output_tokens\":", work->answer->tokens);
    PUT_NUMBER(out, ",\"total_tokens\":", work->answer->prompt_tokens + work->answer->tokens);
    PUT(out, "}}");
}

static void write_images(struct work *work)
{
    // One transparent pixel.
    static const struct slice pixel =
        SLICE_INIT("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==");
    struct buf *out = &work->maker->body;
    PUT_NUMBER(out, "{\"created\":", (uint64_t)work->maker->unix_s);
    PUT(out, ",\"data\":[");
    for (uint64_t i = 0; i < work->body.images && i < 10; i++) {
        buf_append(out, i ? SLICE(",{\"b64_json\":\"") : SLICE("{\"b64_json\":\""));
        buf_append(out, pixel);
        PUT(out, "\"}");
    }
    PUT(out, "],\"usage\":");
    mock_write_usage(out, work->answer);
    PUT(out, "}");
}

static void write_tokenize(struct work *work)
{
    PUT_NUMBER(&work->maker->body, "{\"count\":", work->answer->prompt_tokens);
    PUT(&work->maker->body, ",\"max_model_len\":4096,\"tokens\":[]}");
}

static void write_models(struct work *work)
{
    put_model(
        work,
        SLICE(
            "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"owned_by\":\"weir\",\"created\":"));
    PUT(&work->maker->body, "}]}");
}

// ---- endpoints ------------------------------------------------------------------------------------------------------

static const struct kind {
    struct slice suffix; // of the path, whatever prefix stands before it
    enum { TAKES_NOTHING, TAKES_JSON, TAKES_FORM } takes;
    enum mock_stream stream;
    void (*write)(struct work *work);
} kinds[] = {
    {SLICE_INIT("/chat/completions"), TAKES_JSON, MOCK_STREAM_CHAT, write_chat},
    {SLICE_INIT("/completions"), TAKES_JSON, MOCK_STREAM_COMPLETION, write_completion},
    {SLICE_INIT("/embeddings"), TAKES_JSON, MOCK_STREAM_NONE, write_embedding},
    {SLICE_INIT("/responses"), TAKES_JSON, MOCK_STREAM_RESPONSE, write_response},
    {SLICE_INIT("/responses/input_tokens"), TAKES_JSON, MOCK_STREAM_NONE, write_input_tokens},
    {SLICE_INIT("/audio/speech"), TAKES_JSON, MOCK_STREAM_SPEECH, write_speech},
    {SLICE_INIT("/audio/transcriptions"), TAKES_FORM, MOCK_STREAM_TRANSCRIPT, write_transcript},
    {SLICE_INIT("/audio/translations"), TAKES_FORM, MOCK_STREAM_NONE, write_transcript},
    {SLICE_INIT("/images/generations"), TAKES_JSON, MOCK_STREAM_NONE, write_images},
    {SLICE_INIT("/tokenize"), TAKES_JSON, MOCK_STREAM_NONE, write_tokenize},
    {SLICE_INIT("/models"), TAKES_NOTHING, MOCK_STREAM_NONE, write_models},
};

static const struct kind *find_kind(struct slice path)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slice_ends_with(path, kinds[i].suffix))
            return &kinds[i];
    return NULL;
}

// ---- errors and echoes ----------------------------------------------------------------------------------------------

static struct slice error_type(uint16_t status)
{
    switch (status) {
    case 401:
        return SLICE("authentication_error");
    case 403:
        return SLICE("permission_error");
    case 429:
        return SLICE("rate_limit_error");
    default:
        return status >= 500 ? SLICE("server_error") : SLICE("invalid_request_error");
    }
}

static enum mock_step reply_error(struct work *work, uint16_t status, struct slice message, struct buf *out)
{
    struct buf *body = &work->maker->body;
    PUT(body, "{\"error\":{\"message\":\"");
    buf_append(body, message);
    PUT(body, "\",\"type\":\"");
    buf_append(body, error_type(status));
    PUT_NUMBER(body, "\",\"param\":null,\"code\":\"mock_", status);
    PUT(body, "\"}}");
    write_head(out, &(struct head){.status = status,
                                   .type = SLICE("application/json"),
                                   .model = work->body.model,
                                   .retry_after = work->request->wishes.retry_after,
                                   .body_bytes = (int64_t)body->len,
                                   .must_close = work->request->must_close});
    buf_append(out, buf_slice(body));
    return MOCK_STEP_END;
}

static void write_echo_fields(struct buf *body, struct slice lines)
{
    bool is_first = true;
    while (lines.len > 0) {
        struct slice value = slice_trim(slice_split(&lines, '\n'));
        if (value.len > 0 && value.ptr[value.len - 1] == '\r')
            value.len--;
        if (value.len == 0)
            break;
        struct slice name = slice_split(&value, ':');
        buf_append(body, is_first ? SLICE("[") : SLICE(",["));
        json_write_string(body, name);
        PUT(body, ",");
        json_write_string(body, slice_trim(value));
        PUT(body, "]");
        is_first = false;
    }
}

static enum mock_step reply_echo(struct work *work, struct buf *out)
{
    struct buf *body = &work->maker->body;
    PUT(body, "{\"method\":");
    json_write_string(body, work->request->method);
    PUT(body, ",\"path\":");
    json_write_string(body, work->request->target);
    PUT(body, ",\"headers\":[");
    write_echo_fields(body, work->request->fields);
    PUT(body, "],\"body\":");
    json_write_string(body, work->request->body);
    PUT(body, "}");
    write_head(out, &(struct head){.status = 200,
                                   .type = SLICE("application/json"),
                                   .model = work->body.model,
                                   .body_bytes = (int64_t)body->len,
                                   .must_close = work->request->must_close});
    buf_append(out, buf_slice(body));
    return MOCK_STEP_END;
}

// ---- beginning and going on -----------------------------------------------------------------------------------------

void mock_maker_init(struct mock_maker *maker, int64_t unix_s)
{
    *maker = (struct mock_maker){.unix_s = unix_s};
    arena_init(&maker->arena, 64 << 10, BODY_MAX_BYTES);
    arena_init(&maker->names_arena, 16 << 10, 1 << 20);
    maker->names = mock_body_names(&maker->names_arena);
    buf_init(&maker->body, BODY_MAX_BYTES);
}

void mock_maker_fini(struct mock_maker *maker)
{
    arena_fini(&maker->arena);
    arena_fini(&maker->names_arena);
    buf_fini(&maker->body);
}

void mock_answer_fini(struct mock_answer *answer)
{
    buf_fini(&answer->model);
    buf_fini(&answer->tool);
    buf_fini(&answer->prefix);
    buf_fini(&answer->tail);
}

// Forgets the last answer but keeps its memory.
static void reset(struct mock_answer *answer)
{
    struct mock_answer kept = {
        .model = answer->model, .tool = answer->tool, .prefix = answer->prefix, .tail = answer->tail};
    if (kept.model.max == 0) {
        buf_init(&kept.model, 64 << 10);
        buf_init(&kept.tool, 64 << 10);
        buf_init(&kept.prefix, 64 << 10);
        buf_init(&kept.tail, BODY_MAX_BYTES);
    }
    buf_reset(&kept.model);
    buf_reset(&kept.tool);
    buf_reset(&kept.prefix);
    buf_reset(&kept.tail);
    *answer = kept;
}

static enum mock_step reply_stream(struct work *work, int64_t now_us, struct buf *out)
{
    const struct mock_wishes *wishes = &work->request->wishes;
    struct mock_answer *answer = work->answer;
    if (wishes->body_bytes) { // events of about 1 KiB
        answer->tokens = wishes->body_bytes / 1024 + 1;
        answer->token_pad = 800;
    }
    answer->is_stream = true;
    answer->is_chunked = !work->request->is_http10;
    answer->wants_usage = work->body.wants_usage;
    answer->cut_after = wishes->cut_after;
    answer->stall_after = wishes->stall_after;
    answer->interval_us = wishes->rate ? 1000000 / (int64_t)wishes->rate : 0;
    answer->due_us = now_us;
    buf_append(&answer->model, work->body.model);
    buf_append(&answer->tool, work->body.tool);
    mock_stream_begin(answer, work->maker);
    write_head(out, &(struct head){.status = 200,
                                   .type = SLICE("text/event-stream; charset=utf-8\r\ncache-control: no-cache"),
                                   .model = work->body.model,
                                   .body_bytes = answer->is_chunked ? -1 : -2,
                                   .must_close = work->request->must_close});
    return mock_answer_next(answer, work->maker, now_us, out);
}

// A whole body with a fault in it: half of it, then nothing more.
static enum mock_step reply_half(struct work *work, struct slice body, struct buf *out)
{
    buf_append(out, slice_sub(body, 0, body.len / 2));
    return work->request->wishes.cut_after != MOCK_NO_LIMIT ? MOCK_STEP_CUT : MOCK_STEP_STALL;
}

// The rest of a padded body, PUMP_BYTES at a time: one that is shorter goes out with its head, as providers' answers do.
static enum mock_step fill_more(struct mock_answer *answer, struct buf *out)
{
    size_t bytes = answer->fill < PUMP_BYTES ? (size_t)answer->fill : PUMP_BYTES;
    if (!buf_reserve(out, bytes))
        return MOCK_STEP_CUT;
    memset(out->ptr + out->len, 'x', bytes);
    out->len += bytes;
    answer->fill -= bytes;
    if (answer->fill)
        return MOCK_STEP_MORE;
    buf_append(out, buf_slice(&answer->tail));
    return MOCK_STEP_END;
}

static enum mock_step reply_whole(struct work *work, const struct kind *kind, struct buf *out)
{
    const struct mock_wishes *wishes = &work->request->wishes;
    work->maker->gap = 0;
    kind->write(work);
    struct slice body = buf_slice(&work->maker->body);
    uint64_t fill = work->maker->gap && wishes->body_bytes > body.len ? wishes->body_bytes - body.len : 0;
    write_head(out, &(struct head){.status = 200,
                                   .type = work->type,
                                   .model = work->body.model,
                                   .body_bytes = (int64_t)(body.len + fill),
                                   .must_close = work->request->must_close});
    if (wishes->cut_after != MOCK_NO_LIMIT || wishes->stall_after != MOCK_NO_LIMIT)
        return reply_half(work, body, out);
    if (fill == 0) {
        buf_append(out, body);
        return MOCK_STEP_END;
    }
    work->answer->fill = fill;
    buf_append(out, slice_sub(body, 0, work->maker->gap));
    buf_append(&work->answer->tail, slice_from(body, work->maker->gap));
    return fill_more(work->answer, out);
}

static bool read_body(struct work *work, const struct kind *kind)
{
    work->body = (struct mock_body){.model = SLICE("\"\""), .token_limit = MOCK_NO_LIMIT};
    if (kind->takes == TAKES_FORM)
        return mock_form_read(work->request, &work->maker->arena, &work->body);
    return kind->takes == TAKES_NOTHING || mock_body_read(work->request, work->maker->names, &work->body);
}

enum mock_step mock_answer_begin(struct mock_answer *answer, struct mock_maker *maker,
                                 const struct mock_request *request, int64_t now_us, struct buf *out)
{
    struct work work = {.maker = maker, .answer = answer, .request = request, .type = SLICE("application/json")};
    const struct kind *kind = find_kind(request->path);
    reset(answer);
    arena_reset(&maker->arena);
    buf_reset(&maker->body);
    if (!kind && !request->wishes.is_echo)
        return reply_error(&work, 404, SLICE("There is no such endpoint."), out);
    bool is_good = kind && read_body(&work, kind);
    if (request->wishes.is_echo)
        return reply_echo(&work, out);
    if (request->wishes.status)
        return reply_error(&work, request->wishes.status, SLICE("The mock was asked for this error."), out);
    if (!is_good)
        return reply_error(&work, 400, SLICE("The body is not what this endpoint takes."), out);
    answer->stream = kind->stream;
    answer->serial = ++maker->serial;
    answer->tokens = request->wishes.tokens < work.body.token_limit ? request->wishes.tokens : work.body.token_limit;
    answer->prompt_tokens = work.body.prompt_bytes / 4 + 1;
    answer->cached_tokens = request->wishes.cached_tokens;
    answer->reasoning_tokens = request->wishes.reasoning_tokens;
    if (work.body.is_stream && kind->stream != MOCK_STREAM_NONE)
        return reply_stream(&work, now_us, out);
    return reply_whole(&work, kind, out);
}

static void frame_event(const struct mock_answer *answer, struct slice event, struct buf *out)
{
    if (!answer->is_chunked) {
        buf_append(out, event);
        return;
    }
    static const char digits[] = "0123456789abcdef";
    char size[8];
    size_t at = sizeof size;
    for (size_t left = event.len; left > 0 && at > 0; left >>= 4)
        size[--at] = digits[left & 15];
    buf_append(out, slice_make(size + at, sizeof size - at));
    PUT(out, "\r\n");
    buf_append(out, event);
    PUT(out, "\r\n");
}

enum mock_step mock_answer_next(struct mock_answer *answer, struct mock_maker *maker, int64_t now_us, struct buf *out)
{
    if (!answer->is_stream)
        return fill_more(answer, out);
    while (out->len < PUMP_BYTES) {
        if (answer->at >= answer->cut_after)
            return MOCK_STEP_CUT;
        if (answer->at >= answer->stall_after)
            return MOCK_STEP_STALL;
        if (answer->interval_us && mock_stream_is_token(answer)) {
            if (now_us < answer->due_us)
                return MOCK_STEP_WAIT;
            answer->due_us += answer->interval_us;
        }
        buf_reset(&maker->body);
        bool has_more = mock_stream_event(answer, maker);
        frame_event(answer, buf_slice(&maker->body), out);
        if (!has_more) {
            if (answer->is_chunked)
                PUT(out, "0\r\n\r\n");
            return MOCK_STEP_END;
        }
    }
    return MOCK_STEP_MORE;
}
