// Boolean CEL over a request and its response, for the access log (Envoy's attributes; what Weir does not have is an
// unknown name).
#include "usage/cost.h"

#include "usage/cel.h"

#define HEADER_NAME_MAX 256

struct cel_predicate { // in the snapshot's arena
    const struct cel_node *node;
};

enum request_variable {
    REQUEST_HEADERS,
    REQUEST_METHOD,
    REQUEST_PATH,
    REQUEST_URL_PATH,
    REQUEST_HOST,
    REQUEST_PROTOCOL,
    REQUEST_ID,
    REQUEST_USER_AGENT,
    REQUEST_REFERER,
    RESPONSE_CODE,
};

static const struct cel_variable request_variables[] = {
    [REQUEST_HEADERS] = {SLICE_INIT("request.headers"), CEL_MAP},
    [REQUEST_METHOD] = {SLICE_INIT("request.method"), CEL_STRING},
    [REQUEST_PATH] = {SLICE_INIT("request.path"), CEL_STRING},
    [REQUEST_URL_PATH] = {SLICE_INIT("request.url_path"), CEL_STRING},
    [REQUEST_HOST] = {SLICE_INIT("request.host"), CEL_STRING},
    [REQUEST_PROTOCOL] = {SLICE_INIT("request.protocol"), CEL_STRING},
    [REQUEST_ID] = {SLICE_INIT("request.id"), CEL_STRING},
    [REQUEST_USER_AGENT] = {SLICE_INIT("request.useragent"), CEL_STRING},
    [REQUEST_REFERER] = {SLICE_INIT("request.referer"), CEL_STRING},
    [RESPONSE_CODE] = {SLICE_INIT("response.code"), CEL_INT},
};

static const struct cel_env request_env = {request_variables, sizeof request_variables / sizeof *request_variables};

// Header names match in any case, as Envoy's map of headers does.
static bool find_header(const void *context, size_t variable, struct slice key, struct slice *ret_value)
{
    const struct cel_request *request = context;
    char name[HEADER_NAME_MAX];
    (void)variable;
    if (key.len > sizeof name)
        return false;
    for (size_t i = 0; i < key.len; i++)
        name[i] = ascii_lower(key.ptr[i]);
    return request->header && request->header(request->context, slice_make(name, key.len), ret_value);
}

static struct slice header_or_empty(const struct cel_request *request, struct slice name)
{
    struct slice value;
    return find_header(request, REQUEST_HEADERS, name, &value) ? value : SLICE("");
}

static struct slice text_of(const struct cel_request *request, size_t variable)
{
    switch (variable) {
    case REQUEST_METHOD:
        return request->method;
    case REQUEST_PATH:
        return request->path;
    case REQUEST_URL_PATH:
        return slice_sub(request->path, 0, slice_find(request->path, '?'));
    case REQUEST_HOST:
        return request->host;
    case REQUEST_PROTOCOL:
        return request->protocol;
    case REQUEST_ID:
        return header_or_empty(request, SLICE("x-request-id"));
    case REQUEST_USER_AGENT:
        return header_or_empty(request, SLICE("user-agent"));
    case REQUEST_REFERER:
        return header_or_empty(request, SLICE("referer"));
    default:
        return SLICE("");
    }
}

static void read_variable(const void *context, size_t variable, struct cel_value *ret_value)
{
    const struct cel_request *request = context;
    if (variable == RESPONSE_CODE)
        *ret_value = (struct cel_value){.type = CEL_INT, .number = request->response_code};
    else
        *ret_value = (struct cel_value){.type = CEL_STRING, .text = text_of(request, variable)};
}

const struct cel_predicate *cel_predicate_compile(struct arena *arena, const struct config_text *text,
                                                  struct findings *findings)
{
    struct cel_compile compile = {.arena = arena, .findings = findings, .env = &request_env, .source = text};
    const struct cel_node *node = cel_compile(arena, &request_env, text, findings);
    struct cel_predicate *predicate = node ? ARENA_NEW(arena, struct cel_predicate) : NULL;
    if (node && node->type != CEL_BOOL) {
        cel_fault(&compile, 0, "a condition must be a bool, but this is a " SLICE_FMT,
                  SLICE_ARG(cel_type_name(node->type)));
        return NULL;
    }
    if (node && !predicate)
        cel_fault(&compile, 0, "out of memory");
    if (predicate)
        predicate->node = node;
    return predicate;
}

bool cel_predicate_eval(const struct cel_predicate *predicate, const struct cel_request *request)
{
    struct cel_run run;
    struct cel_value value;
    cel_run_init(&run, request);
    run.read = read_variable;
    run.look_up = find_header;
    return cel_eval(&run, predicate->node, &value) && value.boolean;
}
