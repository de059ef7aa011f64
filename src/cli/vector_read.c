// Reads vector files: every mistake is a finding with its place, so that a typing error never passes as a test.
#include "cli/vector.h"

#include <stdlib.h>

struct reader {
    struct cli *cli;
    struct arena *arena;
    struct findings *findings;
    struct vector_file *file;
    struct slice path;
};

// The members that a map may have; all others are errors.
static void only(struct reader *reader, const struct node *map, const struct slice *names, size_t count)
{
    for (const struct node *child = node_first(map); child; child = child->next) {
        size_t i = 0;
        while (i < count && !slice_eq(names[i], child->key))
            i++;
        if (i == count)
            finding_error(reader->findings, child->key_mark, "unknown member '" SLICE_FMT "' (docs/vectors.md)",
                          SLICE_ARG(child->key));
    }
}

#define ONLY(reader, map, ...)                                                                                         \
    do {                                                                                                               \
        static const struct slice names_[] = {__VA_ARGS__};                                                            \
        only((reader), (map), names_, sizeof names_ / sizeof *names_);                                                 \
    } while (0)

static bool is_type(struct reader *reader, const struct node *node, enum node_type type, const char *what)
{
    if (!node || node->type == type)
        return true;
    finding_error(reader->findings, node->mark, "this must be a %s", what);
    return false;
}

static struct slice text_or(const struct node *map, struct slice key, struct slice otherwise)
{
    const struct node *node = node_get(map, key);
    return node ? node_text(node) : otherwise;
}

// ---- messages -------------------------------------------------------------------------------------------------------

static void add_field(struct reader *reader, const struct node *line, struct fields *fields)
{
    struct slice value = node_text(line);
    struct slice name = slice_split(&value, ':');
    if (!value.ptr || name.len == 0)
        finding_error(reader->findings, line->mark, "a header is written as 'name: value'");
    else
        fields_add(fields, reader->arena, name, slice_trim(value));
}

static struct fields read_fields(struct reader *reader, const struct node *list)
{
    struct fields fields = {0};
    if (list && list->type == NODE_MAP) { // also as a map, for those who need no order
        for (const struct node *child = node_first(list); child; child = child->next)
            fields_add(&fields, reader->arena, child->key, slice_trim(node_text(child)));
        return fields;
    }
    if (!is_type(reader, list, NODE_LIST, "list of 'name: value'"))
        return fields;
    for (const struct node *line = node_first(list); line; line = line->next)
        add_field(reader, line, &fields);
    return fields;
}

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static struct slice decode_base64(struct reader *reader, const struct node *node)
{
    struct slice text = node_text(node);
    char *bytes = arena_alloc(reader->arena, text.len + 1);
    size_t count = 0;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; bytes && i < text.len && text.ptr[i] != '='; i++) {
        int digit = base64_digit(text.ptr[i]);
        if (digit < 0) {
            finding_error(reader->findings, node->mark, "this is no base64");
            break;
        }
        bits = bits << 6 | (uint32_t)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            bytes[count++] = (char)(bits >> bit_count & 0xff);
        }
    }
    return slice_make(bytes, bytes ? count : 0);
}

// `json`, `body`, `bodyBase64` or `bodySize` (a body of so many bytes) of a message. False when there is none.
static bool read_body(struct reader *reader, const struct node *message, struct slice *ret_body)
{
    const struct node *json = node_member(message, SLICE("json"));
    const struct node *body = node_get(message, SLICE("body"));
    const struct node *base64 = node_get(message, SLICE("bodyBase64"));
    if ((json != NULL) + (body != NULL) + (base64 != NULL) > 1)
        finding_error(reader->findings, node_mark(message), "only one of json, body and bodyBase64 may be given");
    if (json)
        *ret_body = node_to_json(json, reader->arena);
    else if (body)
        *ret_body = node_text(body);
    else if (base64)
        *ret_body = decode_base64(reader, base64);
    return json || body || base64;
}

static void read_pieces(struct reader *reader, const struct node *list, struct memory_request *request)
{
    if (!is_type(reader, list, NODE_LIST, "list of sizes") || !list)
        return;
    size_t *sizes = ARENA_ARRAY(reader->arena, size_t, node_count(list) + 1);
    size_t count = 0;
    for (const struct node *child = node_first(list); sizes && child; child = child->next) {
        int64_t size = -1;
        if (!node_to_i64(child, &size) || size < 0)
            finding_error(reader->findings, child->mark, "a size in bytes is expected");
        else
            sizes[count++] = (size_t)size;
    }
    request->piece_sizes = sizes;
    request->piece_count = count;
}

static enum http_version read_version(struct reader *reader, const struct node *map)
{
    const struct node *version = node_get(map, SLICE("version"));
    if (!version || slice_eq(node_text(version), SLICE("1.1")))
        return HTTP_1_1;
    if (slice_eq(node_text(version), SLICE("1.0")))
        return HTTP_1_0;
    finding_error(reader->findings, version->mark, "the version is 1.1 or 1.0");
    return HTTP_1_1;
}

static void read_request(struct reader *reader, const struct node *map, struct vector_case *into)
{
    ONLY(reader, map, SLICE_INIT("method"), SLICE_INIT("path"), SLICE_INIT("authority"), SLICE_INIT("headers"),
         SLICE_INIT("json"), SLICE_INIT("body"), SLICE_INIT("bodyBase64"), SLICE_INIT("pieces"), SLICE_INIT("version"));
    struct memory_request *request = &into->request;
    request->has_body = read_body(reader, map, &request->body);
    request->is_chunked = node_get(map, SLICE("pieces")) != NULL;
    request->head = (struct request_head){
        .method = text_or(map, SLICE("method"), request->has_body ? SLICE("POST") : SLICE("GET")),
        .target = text_or(map, SLICE("path"), SLICE("/v1/chat/completions")),
        .authority = text_or(map, SLICE("authority"), SLICE("localhost")),
        .scheme = SLICE("http"),
        .version = read_version(reader, map),
        .fields = read_fields(reader, node_get(map, SLICE("headers"))),
    };
    struct fields *fields = &request->head.fields;
    if (request->has_body && !request->is_chunked && !fields_find(fields, SLICE("content-length")))
        fields_add(fields, reader->arena, SLICE("content-length"),
                   arena_printf(reader->arena, "%zu", request->body.len));
    read_pieces(reader, node_get(map, SLICE("pieces")), request);
}

static enum memory_fault read_fault(struct reader *reader, const struct node *node)
{
    static const struct {
        struct slice name;
        enum memory_fault fault;
    } faults[] = {{SLICE_INIT("refuse"), MEMORY_FAULT_REFUSE},
                  {SLICE_INIT("reset"), MEMORY_FAULT_RESET},
                  {SLICE_INIT("stall"), MEMORY_FAULT_STALL},
                  {SLICE_INIT("cut"), MEMORY_FAULT_CUT}};
    if (!node)
        return MEMORY_FAULT_NONE;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (slice_eq(node_text(node), faults[i].name))
            return faults[i].fault;
    finding_error(reader->findings, node->mark, "a fault is refuse, reset, stall or cut");
    return MEMORY_FAULT_NONE;
}

static void read_stream(struct reader *reader, const struct node *list, struct memory_answer *answer)
{
    struct slice *pieces = ARENA_ARRAY(reader->arena, struct slice, node_count(list) + 1);
    if (!is_type(reader, list, NODE_LIST, "list of pieces") || !pieces)
        return;
    for (const struct node *child = node_first(list); child; child = child->next)
        pieces[answer->piece_count++] = node_text(child);
    answer->pieces = pieces;
}

static void read_answer(struct reader *reader, const struct node *map, struct memory_answer *answer)
{
    ONLY(reader, map, SLICE_INIT("status"), SLICE_INIT("headers"), SLICE_INIT("json"), SLICE_INIT("body"),
         SLICE_INIT("bodyBase64"), SLICE_INIT("stream"), SLICE_INIT("fault"), SLICE_INIT("delay"));
    struct slice body = {NULL, 0};
    bool has_body = read_body(reader, map, &body);
    *answer = (struct memory_answer){
        .head = {.status = (uint16_t)node_get_i64(map, SLICE("status"), 200),
                 .version = HTTP_1_1,
                 .fields = read_fields(reader, node_get(map, SLICE("headers")))},
        .delay_ms = node_get_ms(map, SLICE("delay"), 0),
        .fault = read_fault(reader, node_get(map, SLICE("fault"))),
    };
    const struct node *stream = node_get(map, SLICE("stream"));
    if (stream) {
        read_stream(reader, stream, answer);
        return;
    }
    answer->has_length = true;
    bool is_bare = !has_body && !node_get(map, SLICE("status")) && answer->fault == MEMORY_FAULT_NONE;
    struct slice *piece = ARENA_NEW(reader->arena, struct slice);
    if (piece && (has_body || is_bare)) {
        *piece = has_body ? body : SLICE("{}");
        answer->pieces = piece;
        answer->piece_count = piece->len > 0;
    }
}

// ---- expectations ---------------------------------------------------------------------------------------------------

static void check_attempt(struct reader *reader, const struct node *map)
{
    if (is_type(reader, map, NODE_MAP, "map"))
        ONLY(reader, map, SLICE_INIT("backend"), SLICE_INIT("method"), SLICE_INIT("path"), SLICE_INIT("authority"),
             SLICE_INIT("headers"), SLICE_INIT("json"), SLICE_INIT("body"), SLICE_INIT("bodyContains"),
             SLICE_INIT("bodyAbsent"), SLICE_INIT("at"));
}

static void check_expect(struct reader *reader, const struct node *map)
{
    if (!map || !is_type(reader, map, NODE_MAP, "map"))
        return;
    ONLY(reader, map, SLICE_INIT("rule"), SLICE_INIT("attempts"), SLICE_INIT("response"), SLICE_INIT("log"));
    const struct node *attempts = node_get(map, SLICE("attempts"));
    if (is_type(reader, attempts, NODE_LIST, "list"))
        for (const struct node *child = node_first(attempts); child; child = child->next)
            check_attempt(reader, child);
    const struct node *response = node_get(map, SLICE("response"));
    if (response && is_type(reader, response, NODE_MAP, "map"))
        ONLY(reader, response, SLICE_INIT("status"), SLICE_INIT("headers"), SLICE_INIT("json"), SLICE_INIT("body"),
             SLICE_INIT("bodyContains"), SLICE_INIT("bodyAbsent"), SLICE_INIT("stream"), SLICE_INIT("end"));
    is_type(reader, node_get(map, SLICE("log")), NODE_MAP, "map of log fields");
}

// ---- cases and files ------------------------------------------------------------------------------------------------

static void read_case(struct reader *reader, const struct node *map, struct vector_case *into)
{
    if (!is_type(reader, map, NODE_MAP, "map"))
        return;
    ONLY(reader, map, SLICE_INIT("name"), SLICE_INIT("rules"), SLICE_INIT("listener"), SLICE_INIT("random"),
         SLICE_INIT("request"), SLICE_INIT("upstream"), SLICE_INIT("expect"));
    into->name = node_text(node_get(map, SLICE("name")));
    into->mark = map->mark;
    into->listener = node_text(node_get(map, SLICE("listener")));
    into->request.random = (uint64_t)node_get_i64(map, SLICE("random"), 0);
    into->expect = node_get(map, SLICE("expect"));
    if (into->name.len == 0)
        finding_error(reader->findings, map->mark, "a case needs a name");
    read_request(reader, node_get(map, SLICE("request")), into);
    const struct node *upstream = node_get(map, SLICE("upstream"));
    if (upstream && is_type(reader, upstream, NODE_LIST, "list of answers")) {
        into->answers = ARENA_ARRAY(reader->arena, struct memory_answer, node_count(upstream) + 1);
        for (const struct node *child = node_first(upstream); into->answers && child; child = child->next)
            read_answer(reader, child, &into->answers[into->answer_count++]);
    }
    check_expect(reader, into->expect);
}

// Text inside the vector file: blank lines before it make its places those of the whole file.
static void add_inline_config(struct reader *reader, const struct node *config)
{
    struct slice text = node_text(config);
    char *padded = arena_alloc(reader->arena, config->mark.line + text.len + 1);
    if (!padded || !ARENA_GROW(reader->arena, &reader->file->sources))
        return;
    memset(padded, '\n', config->mark.line);
    memcpy(padded + config->mark.line, text.ptr ? text.ptr : "", text.len);
    reader->file->sources.items[reader->file->sources.count++] =
        (struct config_file){reader->path, slice_make(padded, config->mark.line + text.len)};
}

static struct slice beside(struct reader *reader, struct slice name)
{
    size_t end = reader->path.len;
    while (end > 0 && reader->path.ptr[end - 1] != '/')
        end--;
    if (slice_starts_with(name, SLICE("/")))
        return name;
    struct slice parts[] = {slice_sub(reader->path, 0, end), name};
    return arena_join(reader->arena, parts, 2);
}

static void add_config_files(struct reader *reader, const struct node *list)
{
    if (!is_type(reader, list, NODE_LIST, "list of files"))
        return;
    for (const struct node *child = node_first(list); child; child = child->next) {
        struct slice path = beside(reader, node_text(child));
        load_sources(reader->cli, &path, 1, reader->arena, reader->findings, &reader->file->sources);
    }
}

static void read_root(void *context, struct node *root)
{
    struct reader *reader = context;
    struct vector_file *file = reader->file;
    if (file->has_root) {
        finding_error(reader->findings, root->mark, "a vector file is one document");
        return;
    }
    file->has_root = true;
    if (!is_type(reader, root, NODE_MAP, "map"))
        return;
    ONLY(reader, root, SLICE_INIT("config"), SLICE_INIT("configFiles"), SLICE_INIT("env"), SLICE_INIT("findings"),
         SLICE_INIT("cases"));
    file->env = node_get(root, SLICE("env"));
    file->findings = node_get(root, SLICE("findings"));
    const struct node *config = node_get(root, SLICE("config"));
    if (config)
        add_inline_config(reader, config);
    add_config_files(reader, node_get(root, SLICE("configFiles")));
    const struct node *cases = node_get(root, SLICE("cases"));
    if (!cases && !file->findings)
        finding_error(reader->findings, root->mark, "there are no cases");
    if (!cases || !is_type(reader, cases, NODE_LIST, "list of cases"))
        return;
    file->cases = ARENA_ARRAY(reader->arena, struct vector_case, node_count(cases) + 1);
    for (const struct node *child = node_first(cases); file->cases && child; child = child->next)
        read_case(reader, child, &file->cases[file->case_count++]);
}

void vector_read(struct cli *cli, const struct config_file *file, struct arena *arena, struct findings *findings,
                 struct vector_file *ret_file)
{
    *ret_file = (struct vector_file){0};
    struct reader reader = {cli, arena, findings, ret_file, file->path};
    document_parse(file, arena, findings, read_root, &reader);
    if (!ret_file->has_root && findings->error_count == 0)
        finding_error(findings, (struct mark){.file = file->path}, "the file is empty");
}
