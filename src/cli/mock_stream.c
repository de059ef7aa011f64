// The events of the mock's streams, one at a time: an opening, an event for each token, a closing.
#include "cli/mock_answer.h"

static void put_pad(struct buf *out, uint64_t bytes)
{
    static const struct slice pad = SLICE_INIT(" and so on and so on and so on and so on");
    for (; bytes > 0; bytes -= bytes < pad.len ? bytes : pad.len)
        buf_append(out, slice_sub(pad, 0, bytes));
}

static void put_token(const struct mock_answer *answer, uint64_t index, struct buf *out)
{
    mock_write_token(out, index);
    if (answer->token_pad)
        put_pad(out, answer->token_pad);
}

// ---- chat and completions -------------------------------------------------------------------------------------------

static void put_usage_chunk(const struct mock_answer *answer, struct buf *out)
{
    // "usage":null stands at the end of the prefix when usage was asked for; this chunk has the figures in its place.
    buf_append(out, slice_sub(buf_slice(&answer->prefix), 0, answer->prefix.len - (sizeof("\"usage\":null,") - 1)));
    PUT(out, "\"choices\":[],\"usage\":");
    mock_write_usage(out, answer);
    PUT(out, "}\n\n");
}

// What closes a stream of chat or completions: finish reason, usage if it was asked for, [DONE].
static bool close_chat(const struct mock_answer *answer, uint64_t step, struct slice finish, struct buf *out)
{
    if (step == 0) {
        buf_append(out, buf_slice(&answer->prefix));
        buf_append(out, finish);
        return true;
    }
    if (step == 1 && answer->wants_usage) {
        put_usage_chunk(answer, out);
        return true;
    }
    PUT(out, "data: [DONE]\n\n");
    return false;
}

static bool tool_event(const struct mock_answer *answer, uint64_t at, struct buf *out)
{
    if (at > 1)
        return close_chat(answer, at - 2,
                          SLICE("\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"), out);
    buf_append(out, buf_slice(&answer->prefix));
    if (at == 1) {
        PUT(out,
            "\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]},"
            "\"finish_reason\":null}]}\n\n");
        return true;
    }
    PUT(out,
        "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,"
        "\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":");
    buf_append(out, buf_slice(&answer->tool));
    PUT(out, ",\"arguments\":\"\"}}]},\"finish_reason\":null}]}\n\n");
    return true;
}

static bool chat_event(const struct mock_answer *answer, uint64_t at, struct buf *out)
{
    if (answer->tool.len)
        return tool_event(answer, at, out);
    if (at > answer->tokens)
        return close_chat(answer, at - answer->tokens - 1,
                          SLICE("\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"), out);
    buf_append(out, buf_slice(&answer->prefix));
    if (at == 0) {
        PUT(out, "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}"
                 "]}\n\n");
        return true;
    }
    PUT(out, "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
    put_token(answer, at - 1, out);
    PUT(out, "\"},\"finish_reason\":null}]}\n\n");
    return true;
}

static bool completion_event(const struct mock_answer *answer, uint64_t at, struct buf *out)
{
    if (at >= answer->tokens)
        return close_chat(answer, at - answer->tokens,
                          SLICE("\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n"), out);
    buf_append(out, buf_slice(&answer->prefix));
    PUT(out, "\"choices\":[{\"index\":0,\"text\":\"");
    put_token(answer, at, out);
    PUT(out, "\",\"finish_reason\":null}]}\n\n");
    return true;
}

// ---- responses ------------------------------------------------------------------------------------------------------

// `event: NAME`, and the data as far as its own members.
static void open_response_event(struct slice name, uint64_t at, struct buf *out)
{
    PUT(out, "event: ");
    buf_append(out, name);
    PUT(out, "\ndata: {\"type\":\"");
    buf_append(out, name);
    PUT(out, "\",\"sequence_number\":");
    buf_append_u64(out, at);
}

static void open_response(const struct mock_answer *answer, struct mock_maker *maker, uint64_t at)
{
    struct buf *out = &maker->body;
    switch (at) {
    case 0:
        open_response_event(SLICE("response.created"), at, out);
        PUT(out, ",\"response\":");
        mock_write_response(maker, answer, false);
        PUT(out, "}\n\n");
        break;
    case 1:
        open_response_event(SLICE("response.output_item.added"), at, out);
        PUT(out,
            ",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"in_progress\",\"role\":"
            "\"assistant\",\"content\":[]}}\n\n");
        break;
    default:
        open_response_event(SLICE("response.content_part.added"), at, out);
        PUT(out, ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\","
                 "\"annotations\":[],\"text\":\"\"}}\n\n");
        break;
    }
}

static bool close_response(const struct mock_answer *answer, struct mock_maker *maker, uint64_t at, uint64_t step)
{
    struct buf *out = &maker->body;
    switch (step) {
    case 0:
        open_response_event(SLICE("response.output_text.done"), at, out);
        PUT(out, ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"logprobs\":[],\"text\":\"");
        mock_write_text(out, answer->tokens);
        PUT(out, "\"}\n\n");
        return true;
    case 1:
        open_response_event(SLICE("response.content_part.done"), at, out);
        PUT(out, ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\","
                 "\"annotations\":[],\"text\":\"");
        mock_write_text(out, answer->tokens);
        PUT(out, "\"}}\n\n");
        return true;
    case 2:
        open_response_event(SLICE("response.output_item.done"), at, out);
        PUT(out,
            ",\"output_index\":0,\"item\":{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"completed\",\"role\":"
            "\"assistant\",\"content\":[{\"type\":\"output_text\",\"annotations\":[],\"text\":\"");
        mock_write_text(out, answer->tokens);
        PUT(out, "\"}]}}\n\n");
        return true;
    default:
        open_response_event(SLICE("response.completed"), at, out);
        PUT(out, ",\"response\":");
        mock_write_response(maker, answer, true);
        PUT(out, "}\n\n");
        return false;
    }
}

#define RESPONSE_OPENING 3

static bool response_event(const struct mock_answer *answer, struct mock_maker *maker, uint64_t at)
{
    struct buf *out = &maker->body;
    if (at < RESPONSE_OPENING) {
        open_response(answer, maker, at);
        return true;
    }
    if (at - RESPONSE_OPENING >= answer->tokens)
        return close_response(answer, maker, at, at - RESPONSE_OPENING - answer->tokens);
    open_response_event(SLICE("response.output_text.delta"), at, out);
    PUT(out, ",\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"logprobs\":[],\"delta\":\"");
    put_token(answer, at - RESPONSE_OPENING, out);
    PUT(out, "\"}\n\n");
    return true;
}

// ---- audio ----------------------------------------------------------------------------------------------------------

static bool speech_event(const struct mock_answer *answer, uint64_t at, struct buf *out)
{
    if (at < answer->tokens) {
        PUT(out, "data: {\"type\":\"speech.audio.delta\",\"audio\":\"bW9jayBhdWRpbyBieXRlcw==\"}\n\n");
        return true;
    }
    PUT(out, "data: {\"type\":\"speech.audio.done\",\"usage\":");
    mock_write_usage(out, answer);
    PUT(out, "}\n\n");
    return false;
}

static bool transcript_event(const struct mock_answer *answer, uint64_t at, struct buf *out)
{
    bool has_more = at < answer->tokens;
    if (has_more) {
        PUT(out, "data: {\"type\":\"transcript.text.delta\",\"delta\":\"");
        put_token(answer, at, out);
    } else {
        PUT(out, "data: {\"type\":\"transcript.text.done\",\"text\":\"");
        mock_write_text(out, answer->tokens);
    }
    PUT(out, "\"}\n\n");
    return has_more;
}

// ---- all ------------------------------------------------------------------------------------------------------------

void mock_stream_begin(struct mock_answer *answer, struct mock_maker *maker)
{
    struct buf *out = &answer->prefix;
    bool is_chat = answer->stream == MOCK_STREAM_CHAT;
    buf_append(out, is_chat ? SLICE("data: {\"id\":\"chatcmpl-") : SLICE("data: {\"id\":\"cmpl-"));
    buf_append_u64(out, answer->serial);
    buf_append(out, is_chat ? SLICE("\",\"object\":\"chat.completion.chunk\",\"created\":")
                            : SLICE("\",\"object\":\"text_completion\",\"created\":"));
    buf_append_u64(out, (uint64_t)maker->unix_s);
    PUT(out, ",\"model\":");
    buf_append(out, buf_slice(&answer->model));
    PUT(out, ",");
    if (answer->wants_usage)
        PUT(out, "\"usage\":null,");
}

bool mock_stream_is_token(const struct mock_answer *answer)
{
    uint64_t opening = answer->stream == MOCK_STREAM_CHAT       ? 1
                       : answer->stream == MOCK_STREAM_RESPONSE ? RESPONSE_OPENING
                                                                : 0;
    return answer->at >= opening && answer->at - opening < answer->tokens;
}

bool mock_stream_event(struct mock_answer *answer, struct mock_maker *maker)
{
    uint64_t at = answer->at++;
    struct buf *out = &maker->body;
    switch (answer->stream) {
    case MOCK_STREAM_CHAT:
        return chat_event(answer, at, out);
    case MOCK_STREAM_COMPLETION:
        return completion_event(answer, at, out);
    case MOCK_STREAM_RESPONSE:
        return response_event(answer, maker, at);
    case MOCK_STREAM_SPEECH:
        return speech_event(answer, at, out);
    case MOCK_STREAM_TRANSCRIPT:
        return transcript_event(answer, at, out);
    case MOCK_STREAM_NONE:
        break;
    }
    return false;
}
