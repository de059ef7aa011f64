#include "usage/capture.h"

#include "json/find.h"
#include "json/json.h"

void capture_init(struct capture *capture, const struct slice *names, size_t name_count, size_t max_value_bytes)
{
    *capture = (struct capture){.names = names, .name_count = name_count, .wanted = SLICE_NOT_FOUND};
    buf_init(&capture->partial, max_value_bytes);
}

void capture_fini(struct capture *capture)
{
    buf_fini(&capture->partial);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// Takes in the first `len` bytes, of which there are as many at least.
static inline void take(struct slice *input, size_t len)
{
    input->ptr += len;
    input->len -= len;
}

static void add_to_key(struct capture *capture, struct slice bytes)
{
    if (bytes.len <= sizeof capture->key - capture->key_len) {
        memcpy(capture->key + capture->key_len, bytes.ptr, bytes.len);
        capture->key_len += bytes.len;
    } else {
        capture->key_len = sizeof capture->key; // full: can't be one of ours any more
    }
}

static size_t find_name(const struct capture *capture, struct slice key)
{
    for (size_t i = 0; i < capture->name_count; i++)
        if (slice_eq(capture->names[i], key))
            return i;
    return SLICE_NOT_FOUND;
}

// Takes in string bytes up to and with the closing quote, or all. True when the string is closed.
static bool pass_string(struct json_nesting *nesting, struct slice *input)
{
    while (input->len) {
        if (nesting->is_escaped) {
            nesting->is_escaped = false;
            take(input, 1);
            continue;
        }
        size_t at = json_find_in_string(*input);
        if (at == SLICE_NOT_FOUND) {
            take(input, input->len);
            return false;
        }
        nesting->is_escaped = input->ptr[at] == '\\';
        take(input, at + 1);
        if (!nesting->is_escaped)
            return true;
    }
    return false;
}

static void pass_key(struct capture *capture, struct slice *input)
{
    struct slice key = *input;
    bool is_closed = pass_string(&capture->nesting, input);
    key.len -= input->len + is_closed;
    if (!is_closed || capture->key_len) { // it comes in pieces
        add_to_key(capture, key);
        key = slice_make(capture->key, capture->key_len);
    }
    if (is_closed) {
        capture->wanted = find_name(capture, key);
        capture->state = CAPTURE_COLON;
    }
}

// One byte between the tokens of the top-level object.
static void pass_between(struct capture *capture, struct slice *input)
{
    char c = input->ptr[0];
    take(input, 1);
    if (is_blank(c))
        return;
    if (capture->state == CAPTURE_START && c == '{') {
        capture->state = CAPTURE_KEY;
        capture->nesting.depth = 1;
    } else if (capture->state == CAPTURE_KEY && c == '"') {
        capture->state = CAPTURE_IN_KEY;
        capture->key_len = 0;
    } else if (capture->state == CAPTURE_COLON && c == ':') {
        capture->state = CAPTURE_VALUE;
        buf_reset(&capture->partial);
    } else {
        capture->state = CAPTURE_DONE;
    }
}

// Takes in bytes of a value. True at the ',' or '}' that ends it, which is left in the input.
static bool pass_value(struct json_nesting *nesting, struct slice *input)
{
    while (input->len) {
        if (nesting->depth > 1) {
            take(input, json_pass_nested(nesting, *input));
            continue;
        }
        if (nesting->is_in_string) {
            nesting->is_in_string = !pass_string(nesting, input);
            continue;
        }
        char c = input->ptr[0];
        if (c == ',' || c == '}' || c == ']')
            return true;
        take(input, 1);
        nesting->depth += c == '{' || c == '[';
        nesting->is_in_string = c == '"';
    }
    return false;
}

// The value is complete with the bytes [from, to) of this piece. False when it is none of ours or was too large.
static bool complete_value(struct capture *capture, struct slice last, size_t *ret_index, struct slice *ret_value)
{
    size_t index = capture->wanted;
    capture->wanted = SLICE_NOT_FOUND;
    if (index == SLICE_NOT_FOUND)
        return false;
    struct slice value = last;
    if (capture->partial.len) {
        if (!buf_append(&capture->partial, last))
            return false;
        value = buf_slice(&capture->partial);
    } else if (last.len > capture->partial.max) {
        return false; // as if it had come in pieces
    }
    *ret_index = index;
    *ret_value = json_trim(value);
    return true;
}

// Passes over (or keeps) value bytes. True when a wanted value is complete.
static bool pass_member_value(struct capture *capture, struct slice *input, size_t *ret_index, struct slice *ret_value)
{
    struct slice before = *input;
    bool is_complete = pass_value(&capture->nesting, input);
    struct slice taken = slice_sub(before, 0, before.len - input->len);
    if (!is_complete) {
        if (capture->wanted != SLICE_NOT_FOUND && !buf_append(&capture->partial, taken))
            capture->wanted = SLICE_NOT_FOUND;
        return false;
    }
    capture->state = input->ptr[0] == ',' ? CAPTURE_KEY : CAPTURE_DONE;
    take(input, 1);
    return complete_value(capture, taken, ret_index, ret_value);
}

bool capture_next(struct capture *capture, struct slice *input, size_t *ret_index, struct slice *ret_value)
{
    while (input->len && capture->state != CAPTURE_DONE) {
        if (capture->state == CAPTURE_IN_KEY) {
            pass_key(capture, input);
        } else if (capture->state == CAPTURE_VALUE) {
            if (pass_member_value(capture, input, ret_index, ret_value))
                return true;
        } else {
            pass_between(capture, input);
        }
    }
    *input = slice_from(*input, input->len);
    return false;
}
