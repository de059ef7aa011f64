// `weir explain`: plays a request against the configuration without sending anything, and says what it saw.
#include "cli/explain.h"

#include <errno.h>

// ---- the request ----------------------------------------------------------------------------------------------------

static bool add_header(struct cli *cli, struct slice text, struct arena *arena, struct request_head *head)
{
    struct slice value = text;
    struct slice name = slice_trim(slice_split(&value, ':'));
    if (!value.ptr || !http_is_token(name) || !http_is_field_value(slice_trim(value))) {
        cli_usage_error(cli, COMMAND_EXPLAIN, "-H: '" SLICE_FMT "' is not 'name: value'", SLICE_ARG(text));
        return false;
    }
    if (slice_eq_nocase(name, SLICE("host")))
        head->authority = slice_trim(value);
    else
        fields_add(&head->fields, arena, name, slice_trim(value));
    return true;
}

// -d: the text itself, or @FILE.
static bool read_data(struct cli *cli, struct slice data, struct arena *arena, struct slice *ret_body)
{
    *ret_body = data;
    if (!slice_starts_with(data, SLICE("@")) || load_read_file(cli, slice_from(data, 1), arena, ret_body))
        return true;
    fprintf(cli->err, "weir explain: can't read " SLICE_FMT ": %s\n", SLICE_ARG(slice_from(data, 1)), strerror(errno));
    return false;
}

static bool read_request(struct cli *cli, const struct arguments *arguments, struct arena *arena,
                         struct memory_request *request)
{
    struct slice data = {NULL, 0};
    request->has_body = argument_value(arguments, OPTION_EXPLAIN_DATA, &data);
    if (request->has_body && !read_data(cli, data, arena, &request->body))
        return false;
    struct request_head *head = &request->head;
    *head = (struct request_head){
        .method = request->has_body ? SLICE("POST") : SLICE("GET"),
        .target = request->has_body ? SLICE("/v1/chat/completions") : SLICE("/v1/models"),
        .authority = SLICE("localhost"),
        .scheme = SLICE("http"),
        .version = HTTP_1_1,
    };
    argument_value(arguments, OPTION_EXPLAIN_METHOD, &head->method);
    argument_value(arguments, OPTION_EXPLAIN_PATH, &head->target);
    if (!http_is_token(head->method) || !slice_starts_with(head->target, SLICE("/"))) {
        cli_usage_error(cli, COMMAND_EXPLAIN, "'" SLICE_FMT " " SLICE_FMT "' is no method and path",
                        SLICE_ARG(head->method), SLICE_ARG(head->target));
        return false;
    }
    for (size_t i = 0; i < arguments->option_count; i++)
        if (arguments->options[i].id == OPTION_EXPLAIN_HEADER &&
            !add_header(cli, arguments->options[i].value, arena, head))
            return false;
    // As curl and every SDK would send it; left out, it is JSON that is meant here.
    if (request->has_body && !fields_find(&head->fields, SLICE("content-type")))
        fields_add(&head->fields, arena, SLICE("content-type"), SLICE("application/json"));
    return true;
}

static const struct config_listener *find_listener(const struct config *config, const struct arguments *arguments)
{
    struct slice wanted = {NULL, 0};
    bool has_wish = argument_value(arguments, OPTION_EXPLAIN_LISTENER, &wanted);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        struct slice rest = wanted;
        if (!has_wish || (slice_eq(slice_split(&rest, '/'), listener->namespace_) &&
                          slice_eq(slice_split(&rest, '/'), listener->gateway) && slice_eq(rest, listener->name)))
            return listener;
    }
    return NULL;
}

// ---- words that both forms use --------------------------------------------------------------------------------------

struct slice explain_host(const struct memory_attempt *attempt, struct arena *arena)
{
    return attempt->authority.len ? attempt->authority : explain_endpoint_words(attempt->ref->backend, arena);
}

bool explain_asks_usage(const struct explanation *explanation, const struct memory_attempt *attempt)
{
    static const struct slice word = SLICE_INIT("\"include_usage\"");
    return slice_find_slice(attempt->body, word) != SLICE_NOT_FOUND &&
           slice_find_slice(explanation->request.body, word) == SLICE_NOT_FOUND;
}

struct slice explain_endpoint_words(const struct config_backend *backend, struct arena *arena)
{
    struct slice words = SLICE("");
    for (size_t i = 0; i < backend->endpoint_count; i++) {
        const struct config_endpoint *endpoint = &backend->endpoints[i];
        bool is_v6 = slice_find(endpoint->host, ':') != SLICE_NOT_FOUND;
        words = arena_printf(arena, SLICE_FMT "%s%s" SLICE_FMT "%s:%u", SLICE_ARG(words), i ? ", " : "",
                             is_v6 ? "[" : "", SLICE_ARG(endpoint->host), is_v6 ? "]" : "", endpoint->port);
    }
    return words;
}

struct slice explain_retry_words(const struct config_rule *rule, struct arena *arena)
{
    static const struct {
        uint32_t trigger;
        const char *words;
    } triggers[] = {{RETRY_CONNECT_FAILURE, "connect failure"},
                    {RETRY_RESET, "reset before the head"},
                    {RETRY_5XX, "any 5xx"},
                    {RETRY_GATEWAY_ERROR, "502, 503, 504"},
                    {RETRY_4XX_409, "409"},
                    {RETRY_TIMEOUT, "no first byte in time"}};
    const struct config_retry *retry = &rule->traffic.retry;
    if (!retry->is_set)
        return rule->ref_count > 1
                   ? SLICE(
                         "no retry policy: up to 2 retries, each on a backend not yet tried; on connect failure, reset "
                         "before the head, no first byte in time, and statuses 429, 500-504, 529")
                   : SLICE("no retry policy and one backend: a second connection attempt only");
    struct slice words =
        arena_printf(arena, "retry policy: %u retr%s on", retry->num_retries, retry->num_retries == 1 ? "y" : "ies");
    for (size_t i = 0; i < sizeof triggers / sizeof *triggers; i++)
        if (retry->triggers & triggers[i].trigger)
            words = arena_printf(arena, SLICE_FMT " %s,", SLICE_ARG(words), triggers[i].words);
    if (retry->triggers & RETRY_STATUS_CODES) {
        words = arena_printf(arena, SLICE_FMT " statuses", SLICE_ARG(words));
        for (size_t i = 0; i < retry->code_count; i++)
            words = arena_printf(arena, SLICE_FMT " %u", SLICE_ARG(words), retry->codes[i]);
    }
    if (slice_ends_with(words, SLICE(",")))
        words.len--;
    if (retry->attempts_per_priority)
        words = arena_printf(arena, SLICE_FMT "; at most %u within one priority", SLICE_ARG(words),
                             retry->attempts_per_priority);
    return words;
}

// ---- finding out ----------------------------------------------------------------------------------------------------

static void lower(struct arena *arena, struct slice *text)
{
    char *copy = arena_alloc(arena, text->len + 1);
    for (size_t i = 0; copy && i < text->len; i++)
        copy[i] = ascii_lower(text->ptr[i]);
    if (copy)
        text->ptr = copy;
}

static void trace(struct explanation *explanation)
{
    const struct memory_request *request = &explanation->request;
    const struct fields *fields = &explanation->failing.lifted;
    explanation->routed = (struct route_request){
        .method = request->head.method,
        .target = request->head.target,
        .host = http_host(request->head.authority),
        .fields = fields,
        .model = fields_value(fields, SLICE("x-ai-eg-model")),
        .backend = fields_value(fields, SLICE("x-ai-eg-backend")),
    };
    lower(explanation->arena, &explanation->routed.host);
    explanation->trace_count = route_explain(snapshot_routes(explanation->snapshot, explanation->listener->id),
                                             &explanation->routed, explanation->arena, &explanation->trace);
}

// Every way to fail, so that each retry policy shows its longest plan.
static bool find_out(struct explanation *explanation)
{
    enum { ATTEMPTS_MAX = 64 };
    static const struct memory_answer failures[] = {
        {.fault = MEMORY_FAULT_REFUSE},
        {.head = {.status = 503, .version = HTTP_1_1}, .has_length = true},
        {.head = {.status = 429, .version = HTTP_1_1}, .has_length = true},
    };
    // An answer with usage, so that the log line and its costs can be shown.
    static const struct slice body = SLICE_INIT("{\"usage\":{\"prompt_tokens\":12,\"input_tokens\":12,\"completion_"
                                                "tokens\":34,\"output_tokens\":34,\"total_tokens\":46}}");
    static struct field type = {SLICE_INIT("content-type"), SLICE_INIT("application/json")};
    static const struct memory_answer answer = {
        .head = {.status = 200, .version = HTTP_1_1, .fields = {.items = &type, .count = 1}},
        .pieces = &body,
        .piece_count = 1,
        .has_length = true};
    struct memory_answer *script = ARENA_ARRAY(explanation->arena, struct memory_answer, ATTEMPTS_MAX);
    struct memory_result result;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        for (size_t at = 0; script && at < ATTEMPTS_MAX; at++)
            script[at] = failures[i];
        if (!script || !memory_run(explanation->snapshot, &explanation->request, script, ATTEMPTS_MAX,
                                   explanation->arena, &result))
            return false;
        if (i == 0 || result.attempt_count > explanation->failing.attempt_count)
            explanation->failing = result;
    }
    if (!memory_run(explanation->snapshot, &explanation->request, &answer, 1, explanation->arena,
                    &explanation->serving))
        return false;
    trace(explanation);
    return true;
}

static int explain(struct cli *cli, const struct arguments *arguments, struct arena *arena)
{
    struct findings findings;
    struct sources sources = {0};
    struct explanation explanation = {.arena = arena};
    findings_init(&findings, arena);
    if (!read_request(cli, arguments, arena, &explanation.request))
        return CLI_USAGE;
    load_sources(cli, arguments->files, arguments->file_count, arena, &findings, &sources);
    struct config_env env = load_environment(cli);
    explanation.snapshot = load_snapshot(&sources, &env, 1, 1, &findings);
    if (!explanation.snapshot) {
        findings_print(cli->err, &findings, false);
        return CLI_USAGE;
    }
    int status = CLI_OK;
    explanation.listener = find_listener(snapshot_config(explanation.snapshot), arguments);
    if (!explanation.listener) {
        status = cli_usage_error(cli, COMMAND_EXPLAIN, "the configuration has no such listener");
    } else {
        explanation.request.listener_id = explanation.listener->id;
        if (!find_out(&explanation))
            status = CLI_FAILED;
        else if (argument_flag(arguments, OPTION_EXPLAIN_JSON))
            explain_print_json(cli->out, &explanation);
        else
            explain_print_text(cli->out, &explanation, cli->has_colour);
    }
    snapshot_unref(explanation.snapshot);
    return status;
}

int command_explain(struct cli *cli, const struct arguments *arguments)
{
    if (arguments->file_count == 0)
        return cli_usage_error(cli, COMMAND_EXPLAIN, "no configuration is given");
    struct arena arena;
    arena_init(&arena, 64 << 10, (size_t)2 << 30);
    int status = explain(cli, arguments, &arena);
    arena_fini(&arena);
    return status;
}
