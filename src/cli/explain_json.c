// An explanation for machines: the same facts as one JSON document.
#include "cli/explain.h"

#include "json/json.h"

static void member(FILE *out, const char *name, struct slice value)
{
    fprintf(out, "\"%s\":", name);
    json_print_string(out, value);
}

static void print_fields(FILE *out, const struct config_backend_ref *ref, const struct fields *fields,
                         struct slice prefix)
{
    bool is_first = true;
    fputc('[', out);
    for (size_t i = 0; i < fields->count; i++) {
        if (!slice_starts_with_nocase(fields->items[i].name, prefix))
            continue;
        fputs(is_first ? "[" : ",[", out);
        json_print_string(out, fields->items[i].name);
        fputc(',', out);
        json_print_string(out, explain_masked(ref, &fields->items[i]));
        fputc(']', out);
        is_first = false;
    }
    fputc(']', out);
}

static void print_rule_name(FILE *out, const struct explanation *about, const struct config_route *route,
                            const struct config_rule *rule)
{
    if (!route)
        fputs("null", out);
    else
        json_print_string(out, arena_printf(about->arena, SLICE_FMT "/" SLICE_FMT "/%zu", SLICE_ARG(route->namespace_),
                                            SLICE_ARG(route->name), rule->index));
}

static void print_candidates(FILE *out, const struct explanation *about)
{
    fputs(",\n \"candidates\":[", out);
    for (size_t i = 0; i < about->trace_count; i++) {
        const struct route_trace_line *line = &about->trace[i];
        fputs(i ? ",\n  {\"rule\":" : "\n  {\"rule\":", out);
        print_rule_name(out, about, line->route, line->rule);
        fprintf(out, ",\"match\":%zu,", line->match_index);
        member(out, "hostname", line->hostname);
        fputc(',', out);
        member(out, "file", line->rule->mark.file);
        fprintf(out, ",\"line\":%u,\"applies\":%s,\"wins\":%s,", line->rule->mark.line,
                line->is_match ? "true" : "false", line->is_winner ? "true" : "false");
        member(out, "why", line->why);
        fputc('}', out);
    }
    fputc(']', out);
}

static struct slice backend_name(const struct explanation *about, const struct config_backend *backend)
{
    return arena_printf(about->arena, SLICE_FMT "/" SLICE_FMT, SLICE_ARG(backend->namespace_),
                        SLICE_ARG(backend->name));
}

static void print_attempt(FILE *out, const struct explanation *about, const struct memory_attempt *attempt)
{
    const struct config_backend *backend = attempt->ref->backend;
    fputs("\n  {", out);
    member(out, "backend", backend_name(about, backend));
    fprintf(out, ",\"priority\":%u,\"weight\":%u,\"at_ms\":%lld,\"tls\":%s,", attempt->ref->priority,
            attempt->ref->weight, (long long)attempt->at_ms, backend->tls.is_enabled ? "true" : "false");
    member(out, "endpoints", explain_endpoint_words(backend, about->arena));
    fputc(',', out);
    member(out, "method", attempt->method);
    fputc(',', out);
    member(out, "path", attempt->target);
    fputc(',', out);
    member(out, "authority", explain_host(attempt, about->arena));
    fputs(",\"headers\":", out);
    print_fields(out, attempt->ref, &attempt->fields, SLICE(""));
    fputc(',', out);
    member(out, "body", explain_body(attempt, about->arena));
    fprintf(out, ",\"body_edited\":%s,\"usage_asked\":%s}",
            slice_eq(attempt->body, about->request.body) ? "false" : "true",
            explain_asks_usage(about, attempt) ? "true" : "false");
}

static void print_reply(FILE *out, const struct explanation *about)
{
    const struct memory_result *result = &about->serving;
    if (!result->is_local) {
        fputs(",\n \"reply\":null", out);
        return;
    }
    fprintf(out, ",\n \"reply\":{\"status\":%u,\"headers\":", result->response.status);
    print_fields(out, NULL, &result->response.fields, SLICE(""));
    fputc(',', out);
    member(out, "body", result->body);
    fputc('}', out);
}

void explain_print_json(FILE *out, const struct explanation *about)
{
    const struct request_head *head = &about->request.head;
    const struct config_listener *listener = about->listener;
    const struct memory_result *result = &about->failing;
    fputs("{\"request\":{", out);
    member(out, "method", head->method);
    fputc(',', out);
    member(out, "path", head->target);
    fputc(',', out);
    member(out, "authority", head->authority);
    fputs("},\n ", out);
    member(out, "listener",
           arena_printf(about->arena, SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT, SLICE_ARG(listener->namespace_),
                        SLICE_ARG(listener->gateway), SLICE_ARG(listener->name)));
    fputs(",\n \"lifted\":", out);
    print_fields(out, NULL, &result->lifted, SLICE("x-ai-eg-"));
    print_candidates(out, about);
    fputs(",\n \"rule\":", out);
    print_rule_name(out, about, result->route, result->rule);
    if (result->rule) {
        fputs(",\n ", out);
        member(out, "retries", explain_retry_words(result->rule, about->arena));
    }
    fputs(",\n \"attempts\":[", out);
    for (size_t i = 0; !about->serving.is_local && i < result->attempt_count; i++) {
        fputs(i ? "," : "", out);
        print_attempt(out, about, &result->attempts[i]);
    }
    fputc(']', out);
    print_reply(out, about);
    fputs("}\n", out);
}
