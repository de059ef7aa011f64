// The operators of operators.def: what each says of a record, and how they are spelt.
#include "observe/operator.h"

static void set_text(struct log_value *value, struct slice text)
{
    value->type = text.len ? LOG_VALUE_TEXT : LOG_VALUE_NONE;
    value->text = text;
}

static void set_integer(struct log_value *value, uint64_t integer)
{
    value->type = LOG_VALUE_INTEGER;
    value->integer = integer > INT64_MAX ? INT64_MAX : (int64_t)integer;
}

// ---- values ---------------------------------------------------------------------------------------------------

#define FUNCTION(name)                                                                                                 \
    static void name(const struct log_operator *op __attribute__((unused)), const struct record *record,               \
                     struct log_scratch *scratch __attribute__((unused)), struct log_value *value)
#define TEXT_FUNCTION(name, member)                                                                                    \
    FUNCTION(name)                                                                                                     \
    {                                                                                                                  \
        set_text(value, record->member);                                                                               \
    }
#define INTEGER_FUNCTION(name, member)                                                                                 \
    FUNCTION(name)                                                                                                     \
    {                                                                                                                  \
        set_integer(value, record->member);                                                                            \
    }

TEXT_FUNCTION(protocol, protocol)
TEXT_FUNCTION(response_code_details, details)
TEXT_FUNCTION(upstream_host, upstream_host)
TEXT_FUNCTION(upstream_cluster, upstream_cluster)
TEXT_FUNCTION(upstream_local_address, upstream_local_address)
TEXT_FUNCTION(upstream_protocol, upstream_protocol)
TEXT_FUNCTION(transport_failure, transport_failure)
TEXT_FUNCTION(local_address, downstream_local_address)
TEXT_FUNCTION(remote_address, downstream_remote_address)
TEXT_FUNCTION(direct_address, downstream_direct_remote_address)
TEXT_FUNCTION(requested_server_name, requested_server_name)
TEXT_FUNCTION(route_name, route_name)
TEXT_FUNCTION(termination_details, termination_details)
INTEGER_FUNCTION(response_code, status)
INTEGER_FUNCTION(bytes_received, bytes_received)
INTEGER_FUNCTION(bytes_sent, bytes_sent)
INTEGER_FUNCTION(attempt_count, attempts)
INTEGER_FUNCTION(config_generation, generation)

FUNCTION(response_flags) // Envoy writes "-" as a string here, in JSON too
{
    set_text(value, record->flags.len ? record->flags : SLICE("-"));
}

FUNCTION(duration)
{
    set_integer(value, record->duration_us > 0 ? (uint64_t)record->duration_us / 1000 : 0);
}

FUNCTION(start_time)
{
    set_text(value, time_format_write(op->argument, record->start_unix_us, scratch->text));
}

static struct slice without_port(struct slice address)
{
    struct slice host = http_host(address);
    if (host.len >= 2 && host.ptr[0] == '[')
        return slice_sub(host, 1, host.len - 2);
    return host;
}

FUNCTION(local_address_without_port)
{
    set_text(value, without_port(record->downstream_local_address));
}

FUNCTION(direct_address_without_port)
{
    set_text(value, without_port(record->downstream_direct_remote_address));
}

FUNCTION(remote_address_without_port)
{
    set_text(value, without_port(record->downstream_remote_address));
}

static struct slice request_value(const struct record *record, const struct log_header *header)
{
    switch (header->source) {
    case LOG_HEADER_METHOD:
        return record->method;
    case LOG_HEADER_PATH:
        return record->path;
    case LOG_HEADER_AUTHORITY:
        return record->authority;
    case LOG_HEADER_SCHEME:
        return record->scheme;
    case LOG_HEADER_FIELD:
        return record->request ? fields_value(record->request, header->name) : SLICE("");
    default:
        return SLICE("");
    }
}

FUNCTION(request_header)
{
    set_text(value, request_value(record, &op->header));
    if (value->type == LOG_VALUE_NONE && op->alternative.source)
        set_text(value, request_value(record, &op->alternative));
}

static struct slice print_unsigned(uint64_t number, struct log_scratch *scratch)
{
    char *at = scratch->text + 20;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return slice_make(at, (size_t)(scratch->text + 20 - at));
}

// Envoy's router adds x-envoy-upstream-service-time to the answer; Weir keeps its own time in the record.
static struct slice response_value(const struct record *record, const struct log_header *header,
                                   struct log_scratch *scratch)
{
    struct slice value = SLICE("");
    if (header->source == LOG_HEADER_STATUS)
        return record->status ? print_unsigned(record->status, scratch) : value;
    if (header->source != LOG_HEADER_NONE && record->response)
        value = fields_value(record->response, header->name);
    if (value.len == 0 && header->source == LOG_HEADER_UPSTREAM_TIME && record->upstream_time_us >= 0)
        return print_unsigned((uint64_t)record->upstream_time_us / 1000, scratch);
    return value;
}

FUNCTION(response_header)
{
    set_text(value, response_value(record, &op->header, scratch));
    if (value->type == LOG_VALUE_NONE && op->alternative.source)
        set_text(value, response_value(record, &op->alternative, scratch));
}

FUNCTION(dynamic_metadata)
{
    value->type = LOG_VALUE_NONE;
    for (size_t i = 0; i < record->metadata_count; i++) {
        const struct record_metadata *entry = &record->metadata[i];
        if (!slice_eq(entry->key, op->argument))
            continue;
        if (entry->type == RECORD_STRING) {
            set_text(value, entry->text);
        } else {
            value->type = LOG_VALUE_REAL;
            value->real = entry->number;
        }
        return;
    }
}

FUNCTION(token_usage)
{
    value->type = LOG_VALUE_NONE;
    if (usage_has(&record->usage, op->kind))
        set_integer(value, record->usage.tokens[op->kind]);
}

// Cuts to the limit, not inside a UTF-8 sequence.
static struct slice cut(struct slice text, size_t max_bytes)
{
    size_t len = max_bytes;
    if (text.len <= max_bytes)
        return text;
    while (len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--;
    return slice_sub(text, 0, len);
}

void log_operator_value(const struct log_operator *op, const struct record *record, struct log_scratch *scratch,
                        struct log_value *ret_value)
{
    op->function(op, record, scratch, ret_value);
    if (ret_value->type == LOG_VALUE_TEXT)
        ret_value->text = cut(ret_value->text, op->max_bytes);
}

// ---- spelling -------------------------------------------------------------------------------------------------

enum argument_type { ARGUMENT_NONE, ARGUMENT_HEADER, ARGUMENT_METADATA, ARGUMENT_TIME, ARGUMENT_USAGE };

struct spelling {
    struct slice name;
    enum argument_type argument;
    log_function *function;
};

static const struct spelling spellings[] = {
#define OPERATOR(name, argument, function) {SLICE_INIT(#name), ARGUMENT_##argument, function},
#include "observe/operators.def"
#undef OPERATOR
};

static const struct spelling *find_spelling(struct slice name)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (slice_eq(spellings[i].name, name))
            return &spellings[i];
    return NULL;
}

// An operator taken apart: %NAME(argument):limit%.
struct parts {
    struct slice whole;
    struct slice name;
    struct slice argument; // NULL pointer: no parentheses
    struct slice limit;    // NULL pointer: none
};

static bool take_apart(struct slice *text, struct parts *ret_parts)
{
    struct slice rest = slice_from(*text, 1);
    struct parts parts = {0};
    size_t len = 0;
    while (len < rest.len && ((rest.ptr[len] >= 'A' && rest.ptr[len] <= 'Z') || rest.ptr[len] == '_'))
        len++;
    parts.name = slice_sub(rest, 0, len);
    rest = slice_from(rest, len);
    if (rest.len && rest.ptr[0] == '(') {
        size_t close = slice_find(rest, ')');
        if (close == SLICE_NOT_FOUND)
            return false;
        parts.argument = slice_sub(rest, 1, close - 1);
        rest = slice_from(rest, close + 1);
    }
    if (rest.len && rest.ptr[0] == ':') {
        size_t percent = slice_find(rest, '%');
        if (percent == SLICE_NOT_FOUND)
            return false;
        parts.limit = slice_sub(rest, 1, percent - 1);
        rest = slice_from(rest, percent);
    }
    if (len == 0 || rest.len == 0 || rest.ptr[0] != '%')
        return false;
    *ret_parts = parts;
    ret_parts->whole = slice_sub(*text, 0, text->len - rest.len + 1);
    *text = slice_from(rest, 1);
    return true;
}

struct header_place {
    struct slice name;
    enum log_header_source source;
};

static const struct header_place request_places[] = {
    {SLICE_INIT(":method"), LOG_HEADER_METHOD},       {SLICE_INIT(":path"), LOG_HEADER_PATH},
    {SLICE_INIT(":authority"), LOG_HEADER_AUTHORITY}, {SLICE_INIT(":scheme"), LOG_HEADER_SCHEME},
    {SLICE_INIT("host"), LOG_HEADER_AUTHORITY},
};

static const struct header_place response_places[] = {
    {SLICE_INIT(":status"), LOG_HEADER_STATUS},
    {SLICE_INIT("x-envoy-upstream-service-time"), LOG_HEADER_UPSTREAM_TIME},
};

static enum log_header_source find_source(const struct header_place *places, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase(places[i].name, name))
            return places[i].source;
    return http_is_token(name) ? LOG_HEADER_FIELD : LOG_HEADER_NONE;
}

static bool read_name(struct slice name, const struct parts *parts, struct mark mark, struct findings *findings,
                      struct log_header *ret_header)
{
    bool is_request = slice_eq(parts->name, SLICE("REQ"));
    if (http_is_credential(name)) {
        finding_error(findings, mark,
                      "the access log asks for the header " SLICE_FMT ", which carries credentials: take " SLICE_FMT
                      " out of the format",
                      SLICE_ARG(name), SLICE_ARG(parts->whole));
        return false;
    }
    ret_header->name = name;
    ret_header->source = is_request
                             ? find_source(request_places, sizeof request_places / sizeof *request_places, name)
                             : find_source(response_places, sizeof response_places / sizeof *response_places, name);
    if (ret_header->source != LOG_HEADER_NONE)
        return true;
    finding_error(findings, mark, "\"" SLICE_FMT "\" in the access-log operator " SLICE_FMT " is no header name",
                  SLICE_ARG(name), SLICE_ARG(parts->whole));
    return false;
}

// NAME, NAME?ALTERNATIVE. Envoy's own spelling of an alternative pseudo-field is A?:B.
static bool read_header(const struct parts *parts, struct mark mark, struct findings *findings, struct log_operator *op)
{
    struct slice rest = parts->argument;
    struct slice name = slice_split(&rest, '?');
    return read_name(name, parts, mark, findings, &op->header) &&
           (!rest.ptr || read_name(rest, parts, mark, findings, &op->alternative));
}

static bool read_metadata(const struct parts *parts, struct mark mark, struct findings *findings,
                          struct log_operator *op)
{
    struct slice key = parts->argument;
    struct slice space = slice_split(&key, ':');
    if (!slice_eq(space, SLICE(RECORD_AI_NAMESPACE)) || key.len == 0 || slice_find(key, ':') != SLICE_NOT_FOUND) {
        finding_error(findings, mark,
                      "the access-log operator " SLICE_FMT " asks for metadata that Weir does not have: it must read "
                      "%%DYNAMIC_METADATA(" RECORD_AI_NAMESPACE ":KEY)%%",
                      SLICE_ARG(parts->whole));
        return false;
    }
    op->argument = key;
    return true;
}

static bool read_time(const struct parts *parts, struct mark mark, struct findings *findings, struct log_operator *op)
{
    op->argument = parts->argument.len ? parts->argument : SLICE(TIME_FORMAT_ISO);
    if (time_format_is_valid(op->argument))
        return true;
    finding_error(findings, mark,
                  "the time format in " SLICE_FMT " has a letter that Weir does not know or is longer than %d bytes",
                  SLICE_ARG(parts->whole), TIME_FORMAT_BYTES_MAX);
    return false;
}

const struct slice record_usage_names[USAGE_KIND_COUNT] = {
    [USAGE_INPUT] = SLICE_INIT("input"),
    [USAGE_CACHED_INPUT] = SLICE_INIT("cached_input"),
    [USAGE_CACHE_CREATION_INPUT] = SLICE_INIT("cache_creation_input"),
    [USAGE_OUTPUT] = SLICE_INIT("output"),
    [USAGE_TOTAL] = SLICE_INIT("total"),
    [USAGE_REASONING] = SLICE_INIT("reasoning"),
};

static bool read_usage(const struct parts *parts, struct mark mark, struct findings *findings, struct log_operator *op)
{
    for (int kind = 0; kind < USAGE_KIND_COUNT; kind++) {
        op->kind = (enum usage_kind)kind;
        if (slice_eq(record_usage_names[kind], parts->argument))
            return true;
    }
    finding_error(findings, mark,
                  SLICE_FMT " must name input, cached_input, cache_creation_input, output, total or reasoning",
                  SLICE_ARG(parts->whole));
    return false;
}

static bool read_argument(const struct spelling *spelling, const struct parts *parts, struct mark mark,
                          struct findings *findings, struct log_operator *op)
{
    if (spelling->argument == ARGUMENT_TIME)
        return read_time(parts, mark, findings, op);
    if ((spelling->argument == ARGUMENT_NONE) != (parts->argument.ptr == NULL)) {
        finding_error(findings, mark, "the access-log operator " SLICE_FMT " %s", SLICE_ARG(parts->whole),
                      spelling->argument == ARGUMENT_NONE ? "takes no argument" : "needs an argument in parentheses");
        return false;
    }
    switch (spelling->argument) {
    case ARGUMENT_HEADER:
        return read_header(parts, mark, findings, op);
    case ARGUMENT_METADATA:
        return read_metadata(parts, mark, findings, op);
    case ARGUMENT_USAGE:
        return read_usage(parts, mark, findings, op);
    default:
        return true;
    }
}

bool log_operator_parse(struct slice *text, struct mark mark, struct findings *findings,
                        struct log_operator *ret_operator)
{
    struct log_operator op = {.max_bytes = SIZE_MAX};
    struct parts parts;
    uint64_t limit;
    if (!take_apart(text, &parts)) {
        finding_error(
            findings, mark,
            "an access-log operator is not closed or malformed at \"" SLICE_FMT
            "\": write %%NAME%%, %%NAME(argument)%% or %%NAME(argument):length%%, and %%%% for a percent sign",
            SLICE_ARG(slice_sub(*text, 0, 40)));
        return false;
    }
    const struct spelling *spelling = find_spelling(parts.name);
    if (!spelling) {
        finding_error(findings, mark, "Weir does not know the access-log operator " SLICE_FMT, SLICE_ARG(parts.whole));
        return false;
    }
    if (parts.limit.ptr) {
        if (!slice_to_u64(parts.limit, 1 << 20, &limit) || limit == 0) {
            finding_error(findings, mark, "the length in " SLICE_FMT " must be a number from 1 to 1048576",
                          SLICE_ARG(parts.whole));
            return false;
        }
        op.max_bytes = (size_t)limit;
    }
    op.function = spelling->function;
    if (!read_argument(spelling, &parts, mark, findings, &op))
        return false;
    *ret_operator = op;
    return true;
}

// In lower case: that is how nearly all names come, and names that are spelt alike are compared faster.
static bool keep_name(struct slice *name, struct arena *arena)
{
    char *copy = arena_alloc(arena, name->len);
    if (!copy)
        return false;
    for (size_t i = 0; i < name->len; i++)
        copy[i] = ascii_lower(name->ptr[i]);
    name->ptr = copy;
    return true;
}

bool log_operator_keep(struct log_operator *op, struct arena *arena)
{
    op->argument = arena_dup(arena, op->argument);
    return op->argument.ptr && keep_name(&op->header.name, arena) && keep_name(&op->alternative.name, arena);
}
