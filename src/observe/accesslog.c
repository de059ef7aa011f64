// An access log is compiled to a list of steps: an operator each, and the literal bytes before it, which hold all of the
// line that does not change, escaped already.
#include "observe/accesslog.h"

#include "json/json.h"
#include "observe/operator.h"
// CEL lives in usage, above this room's usual includes: `matches` use the same engine as cost expressions.
#include "usage/cost.h"

#include <math.h>
#include <stdio.h>

#define LITERAL_BYTES_MAX ((size_t)1 << 20)
#define MEMBER_DEPTH_MAX 16
#define LITERAL_BLOCK_BYTES 32 // most literals are shorter: a comma, a member's name, quotes, a colon

enum step_type {
    STEP_TEXT,        // value as it is, control bytes escaped; "-" when absent
    STEP_JSON_VALUE,  // the whole of a JSON value, typed; null when absent
    STEP_JSON_INSIDE, // inside a JSON string
};

struct step {
    struct slice before; // has LITERAL_BLOCK_BYTES to read at least
    enum step_type type;
    struct log_operator op;
};

struct accesslog {
    struct step *items;
    size_t count;
    size_t cap;
    struct slice end; // behind the last step
    const struct cel_predicate **matches;
    size_t match_count;
};

// ---- writing --------------------------------------------------------------------------------------------------

static const char hex_digits[] = "0123456789abcdef";

// A line is a line: control bytes, which a provider's answer can bring in, are written as \xNN.
static bool write_plain(struct buf *buf, struct slice text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c != 0x7f)
            continue;
        char escape[] = {'\\', 'x', hex_digits[c >> 4], hex_digits[c & 15]};
        if (!buf_append(buf, slice_sub(text, from, i - from)) || !buf_append(buf, slice_make(escape, sizeof escape)))
            return false;
        from = i + 1;
    }
    return buf_append(buf, slice_from(text, from));
}

// The quotes that the JSON writer puts around the text are taken off again.
static bool write_json_inside(struct buf *buf, struct slice text)
{
    size_t from = buf->len;
    if (!json_write_string(buf, text))
        return false;
    buf->len -= 2;
    memmove(buf->ptr + from, buf->ptr + from + 1, buf->len - from);
    return true;
}

// Integers as such; fractions (milliseconds of latencies) with six digits at most, without the C library's locale.
static bool write_real(struct buf *buf, double real)
{
    double size = real < 0 ? -real : real;
    if (size < 1e12 && real == (double)(int64_t)real)
        return buf_append_i64(buf, (int64_t)real);
    if (!isfinite(real))
        return buf_append(buf, SLICE("null"));
    if (size >= 9e18)
        return buf_printf(buf, "%.17g", real);
    if (size >= 1e12)
        return buf_append_i64(buf, (int64_t)real);
    char digits[6];
    uint64_t micro = (uint64_t)(size * 1e6 + 0.5);
    uint64_t fraction = micro % 1000000;
    size_t len = 0;
    for (size_t i = sizeof digits; i-- > 0; fraction /= 10) {
        digits[i] = (char)('0' + fraction % 10);
        if (len == 0 && digits[i] != '0')
            len = i + 1;
    }
    if (real < 0 && micro && !buf_append_byte(buf, '-'))
        return false;
    return buf_append_u64(buf, micro / 1000000) &&
           (len == 0 || (buf_append_byte(buf, '.') && buf_append(buf, slice_make(digits, len))));
}

static bool write_number(struct buf *buf, const struct log_value *value)
{
    return value->type == LOG_VALUE_INTEGER ? buf_append_i64(buf, value->integer) : write_real(buf, value->real);
}

// A block of fixed size is copied without a call, whatever of it counts.
static inline bool write_literal(struct buf *buf, struct slice literal)
{
    if (literal.len > LITERAL_BLOCK_BYTES || buf->cap - buf->len < LITERAL_BLOCK_BYTES)
        return buf_append(buf, literal);
    memcpy(buf->ptr + buf->len, literal.ptr, LITERAL_BLOCK_BYTES);
    buf->len += literal.len;
    return true;
}

static bool write_value(const struct step *step, const struct record *record, struct log_scratch *scratch,
                        struct buf *buf)
{
    struct log_value value __attribute__((uninitialized));
    log_operator_value(&step->op, record, scratch, &value);
    if (value.type == LOG_VALUE_NONE)
        return step->type == STEP_JSON_VALUE ? buf_append(buf, SLICE("null")) : buf_append_byte(buf, '-');
    if (value.type != LOG_VALUE_TEXT)
        return write_number(buf, &value);
    if (step->type == STEP_JSON_VALUE)
        return json_write_string(buf, value.text);
    return step->type == STEP_TEXT ? write_plain(buf, value.text) : write_json_inside(buf, value.text);
}

bool accesslog_write(const struct accesslog *log, const struct record *record, struct buf *buf)
{
    struct log_scratch scratch __attribute__((uninitialized));
    size_t from = buf->len;
    bool is_written = true;
    for (size_t i = 0; i < log->count && is_written; i++)
        is_written = write_literal(buf, log->items[i].before) && write_value(&log->items[i], record, &scratch, buf);
    if (is_written && write_literal(buf, log->end))
        return true;
    buf->len = from;
    return false;
}

static bool find_header(const void *context, struct slice name, struct slice *ret_value)
{
    const struct record *record = context;
    const struct field *field = record->request ? fields_find(record->request, name) : NULL;
    if (field)
        *ret_value = field->value;
    return field != NULL;
}

bool accesslog_wants(const struct accesslog *log, const struct record *record)
{
    struct cel_request request = {
        .context = record,
        .header = find_header,
        .method = record->method,
        .path = record->path,
        .host = record->authority,
        .protocol = record->protocol,
        .response_code = record->status,
    };
    for (size_t i = 0; i < log->match_count; i++)
        if (!cel_predicate_eval(log->matches[i], &request))
            return false;
    return true;
}

// ---- compiling ------------------------------------------------------------------------------------------------

struct compiler {
    struct arena *arena;
    struct findings *findings;
    struct accesslog *log;
    struct buf literal; // bytes since the last operator
};

static bool end_literal(struct compiler *compiler, struct slice *ret_literal)
{
    size_t len = compiler->literal.len;
    char *copy = arena_calloc(compiler->arena, 1, len < LITERAL_BLOCK_BYTES ? LITERAL_BLOCK_BYTES : len);
    if (!copy)
        return false;
    if (len)
        memcpy(copy, compiler->literal.ptr, len);
    *ret_literal = slice_make(copy, len);
    buf_reset(&compiler->literal);
    return true;
}

static bool add_literal(struct compiler *compiler, struct slice text, enum step_type around)
{
    if (around == STEP_TEXT)
        return buf_append(&compiler->literal, text);
    return write_json_inside(&compiler->literal, text);
}

// The operator's texts are copied: the configuration may go before the log does.
static bool add_operator(struct compiler *compiler, const struct log_operator *op, enum step_type type)
{
    struct step step = {.type = type, .op = *op};
    if (!log_operator_keep(&step.op, compiler->arena) || !end_literal(compiler, &step.before) ||
        !ARENA_GROW(compiler->arena, compiler->log))
        return false;
    compiler->log->items[compiler->log->count++] = step;
    return true;
}

// Length of the text before the next operator or "%%".
static size_t plain_len(struct slice text)
{
    size_t percent = slice_find(text, '%');
    return percent == SLICE_NOT_FOUND ? text.len : percent;
}

// The pieces of a format as they stand in a text line or inside a JSON string.
static bool add_format(struct compiler *compiler, struct slice text, struct mark mark, enum step_type type)
{
    bool is_added = true;
    while (text.len && is_added) {
        size_t len = plain_len(text);
        if (len) {
            is_added = add_literal(compiler, slice_sub(text, 0, len), type);
            text = slice_from(text, len);
        } else if (slice_starts_with(text, SLICE("%%"))) {
            is_added = add_literal(compiler, SLICE("%"), type);
            text = slice_from(text, 2);
        } else {
            struct log_operator op;
            is_added = log_operator_parse(&text, mark, compiler->findings, &op) && add_operator(compiler, &op, type);
        }
    }
    return is_added;
}

// A value that is one operator and nothing else keeps the operator's type. *ret_is_one false: nothing was done.
static bool add_json_operator(struct compiler *compiler, const struct config_text *format, bool *ret_is_one)
{
    struct slice rest = format->text;
    struct log_operator op;
    struct findings unseen;
    *ret_is_one = false;
    findings_init(&unseen, compiler->arena);
    if (rest.len < 2 || rest.ptr[0] != '%' || rest.ptr[1] == '%' ||
        !log_operator_parse(&rest, format->mark, &unseen, &op) || rest.len)
        return true;
    *ret_is_one = true;
    return add_operator(compiler, &op, STEP_JSON_VALUE);
}

static bool add_json_value(struct compiler *compiler, const struct config_text *format)
{
    bool is_one;
    if (!add_json_operator(compiler, format, &is_one))
        return false;
    return is_one || (buf_append_byte(&compiler->literal, '"') &&
                      add_format(compiler, format->text, format->mark, STEP_JSON_INSIDE) &&
                      buf_append_byte(&compiler->literal, '"'));
}

// Goes on after an error, so that all findings are told at once.
static bool add_json_object(struct compiler *compiler, const struct config_log_field *fields, size_t count,
                            struct mark mark, int depth)
{
    bool is_added = buf_append_byte(&compiler->literal, '{');
    if (depth > MEMBER_DEPTH_MAX) {
        finding_error(compiler->findings, mark, "the access-log format nests objects deeper than %d", MEMBER_DEPTH_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const struct config_log_field *field = &fields[i];
        is_added &= (i == 0 || buf_append_byte(&compiler->literal, ',')) &&
                    json_write_string(&compiler->literal, field->name) && buf_append_byte(&compiler->literal, ':');
        is_added &= field->members ? add_json_object(compiler, field->members, field->member_count, mark, depth + 1)
                                   : add_json_value(compiler, &field->format);
    }
    return is_added & buf_append_byte(&compiler->literal, '}');
}

// The built-in line, also for a setting of an EnvoyProxy that names no format (a config_log of no fields).
// clang-format off
#define FIELD(member, operators) {.name = SLICE_INIT(member), .format = {.text = SLICE_INIT(operators)}}
// clang-format on
static const struct config_log_field default_fields[] = {
    FIELD("start_time", "%START_TIME%"),
    FIELD("method", "%REQ(:METHOD)%"),
    FIELD("path", "%REQ(:PATH)%"),
    FIELD("authority", "%REQ(:AUTHORITY)%"),
    FIELD("protocol", "%PROTOCOL%"),
    FIELD("response_code", "%RESPONSE_CODE%"),
    FIELD("response_flags", "%RESPONSE_FLAGS%"),
    FIELD("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    FIELD("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    FIELD("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    FIELD("bytes_received", "%BYTES_RECEIVED%"),
    FIELD("bytes_sent", "%BYTES_SENT%"),
    FIELD("duration", "%DURATION%"),
    FIELD("upstream_host", "%UPSTREAM_HOST%"),
    FIELD("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    FIELD("route_name", "%ROUTE_NAME%"),
    FIELD("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
    FIELD("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    FIELD("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    FIELD("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    FIELD("x-forwarded-for", "%REQ(X-FORWARDED-FOR)%"),
    FIELD("user-agent", "%REQ(USER-AGENT)%"),
    FIELD("x-request-id", "%REQ(X-REQUEST-ID)%"),
    FIELD("gen_ai.request.model", "%REQ(X-AI-EG-MODEL)%"),
    FIELD("gen_ai.response.model", "%DYNAMIC_METADATA(io.envoy.ai_gateway:response_model)%"),
    FIELD("gen_ai.provider.name", "%DYNAMIC_METADATA(io.envoy.ai_gateway:backend_name)%"),
    FIELD("gen_ai.usage.input_tokens", "%USAGE(input)%"),
    FIELD("gen_ai.usage.output_tokens", "%USAGE(output)%"),
    FIELD("gen_ai.usage.total_tokens", "%USAGE(total)%"),
};

const struct config_log_field *accesslog_default_fields(size_t *ret_count)
{
    *ret_count = sizeof default_fields / sizeof *default_fields;
    return default_fields;
}

static bool add_line(struct compiler *compiler, const struct config_log *config)
{
    bool is_default = config->field_count == 0;
    const struct config_log_field *fields = is_default ? default_fields : config->fields;
    size_t count = is_default ? sizeof default_fields / sizeof *default_fields : config->field_count;
    if (config->format == LOG_JSON)
        return add_json_object(compiler, fields, count, config->mark, 0) && buf_append_byte(&compiler->literal, '\n');
    return add_format(compiler, config->text.text, config->text.mark, STEP_TEXT) &&
           (slice_ends_with(config->text.text, SLICE("\n")) || buf_append_byte(&compiler->literal, '\n'));
}

static bool add_matches(struct compiler *compiler, const struct config_log *config)
{
    struct accesslog *log = compiler->log;
    if (config->match_count == 0)
        return true;
    log->matches = ARENA_ARRAY(compiler->arena, const struct cel_predicate *, config->match_count);
    if (!log->matches)
        return false;
    bool is_added = true;
    for (; log->match_count < config->match_count; log->match_count++) {
        const struct config_text *match = &config->matches[log->match_count];
        log->matches[log->match_count] = cel_predicate_compile(compiler->arena, match, compiler->findings);
        is_added &= log->matches[log->match_count] != NULL;
    }
    return is_added;
}

const struct accesslog *accesslog_new(struct arena *arena, const struct config_log *config, struct findings *findings)
{
    struct compiler compiler = {.arena = arena, .findings = findings, .log = ARENA_NEW(arena, struct accesslog)};
    if (!compiler.log)
        return NULL;
    buf_init(&compiler.literal, LITERAL_BYTES_MAX);
    bool is_complete = add_line(&compiler, config) && end_literal(&compiler, &compiler.log->end);
    is_complete &= add_matches(&compiler, config);
    buf_fini(&compiler.literal);
    return is_complete ? compiler.log : NULL;
}

// ---- default --------------------------------------------------------------------------------------------------

const struct accesslog *accesslog_default(struct arena *arena)
{
    static const struct config_log config = {.format = LOG_JSON};
    struct findings findings;
    findings_init(&findings, arena);
    return accesslog_new(arena, &config, &findings);
}
