// An explanation for people: what came in, which rule took it and why, and what each backend would get.
#include "cli/explain.h"

#include "json/json.h"

#define BODY_SHOWN 4096

struct page {
    FILE *out;
    const struct explanation *about;
    bool has_colour;
};

enum colour { PLAIN, BOLD, DIM, GREEN, YELLOW, RED, CYAN };

static void paint(const struct page *page, enum colour colour)
{
    static const char *const codes[] = {
        [PLAIN] = "\033[0m",   [BOLD] = "\033[1m", [DIM] = "\033[2m",    [GREEN] = "\033[32m",
        [YELLOW] = "\033[33m", [RED] = "\033[31m", [CYAN] = "\033[1;36m"};
    if (page->has_colour)
        fputs(codes[colour], page->out);
}

static void put(const struct page *page, enum colour colour, struct slice text)
{
    paint(page, colour);
    fwrite(text.ptr, 1, text.len, page->out);
    paint(page, PLAIN);
}

static void heading(const struct page *page, const char *title)
{
    paint(page, CYAN);
    fprintf(page->out, "\n%s", title);
    paint(page, PLAIN);
    fputc('\n', page->out);
}

// ---- the request ----------------------------------------------------------------------------------------------------

static void print_request(const struct page *page)
{
    const struct request_head *head = &page->about->request.head;
    const struct config_listener *listener = page->about->listener;
    paint(page, BOLD);
    fprintf(page->out, SLICE_FMT " " SLICE_FMT, SLICE_ARG(head->method), SLICE_ARG(head->target));
    paint(page, PLAIN);
    fprintf(page->out, "  on host " SLICE_FMT, SLICE_ARG(head->authority));
    if (page->about->request.has_body)
        fprintf(page->out, ", body of %zu bytes", page->about->request.body.len);
    fprintf(page->out, "\nlistener " SLICE_FMT "/" SLICE_FMT "/" SLICE_FMT ", port %u", SLICE_ARG(listener->namespace_),
            SLICE_ARG(listener->gateway), SLICE_ARG(listener->name), listener->port);
    if (listener->hostname.len)
        fprintf(page->out, ", hosts " SLICE_FMT, SLICE_ARG(listener->hostname));
    fputc('\n', page->out);
}

static void print_lifted(const struct page *page)
{
    const struct fields *fields = &page->about->failing.lifted;
    bool has_any = false;
    heading(page, "Lifted into headers (S1, S2)");
    for (size_t i = 0; i < fields->count; i++) {
        if (!slice_starts_with_nocase(fields->items[i].name, SLICE("x-ai-eg-")))
            continue;
        has_any = true;
        fprintf(page->out, "  %-24.*s" SLICE_FMT "\n", SLICE_ARG(fields->items[i].name),
                SLICE_ARG(fields->items[i].value));
    }
    if (!has_any)
        put(page, DIM, SLICE("  nothing: this is no model endpoint, or the body could not be read\n"));
    if (page->about->routed.backend.len)
        fprintf(page->out, "  pinned (S3): only rules that name x-ai-eg-backend, or no model at all, are eligible\n");
}

// ---- routing --------------------------------------------------------------------------------------------------------

static void print_candidate(const struct page *page, const struct route_trace_line *line)
{
    const struct route_trace_line *each = line;
    put(page,
        each->is_winner  ? GREEN
        : each->is_match ? YELLOW
                         : DIM,
        each->is_winner  ? SLICE("  wins   ")
        : each->is_match ? SLICE("  beaten ")
                         : SLICE("  no     "));
    fprintf(page->out, SLICE_FMT "/" SLICE_FMT "/%zu", SLICE_ARG(each->route->namespace_), SLICE_ARG(each->route->name),
            each->rule->index);
    if (each->rule->match_count > 1)
        fprintf(page->out, " match %zu", each->match_index);
    fprintf(page->out, " (" SLICE_FMT ":%u)", SLICE_ARG(each->rule->mark.file), each->rule->mark.line);
    if (each->hostname.len && !slice_eq(each->hostname, SLICE("*")))
        fprintf(page->out, " on " SLICE_FMT, SLICE_ARG(each->hostname));
    fputs("\n           ", page->out);
    put(page, each->is_winner ? PLAIN : DIM, each->why);
    fputc('\n', page->out);
}

static void print_candidates(const struct page *page)
{
    heading(page, "Candidate rules, most specific first (S4)");
    for (size_t i = 0; i < page->about->trace_count; i++)
        print_candidate(page, &page->about->trace[i]);
    if (page->about->trace_count == 0)
        put(page, DIM, SLICE("  none: no route is attached to this listener\n"));
}

static void print_plan(const struct page *page)
{
    const struct memory_result *result = &page->about->failing;
    const struct config_rule *rule = result->rule;
    heading(page, "Plan (S7)");
    for (size_t i = 0; i < rule->ref_count; i++) {
        const struct config_backend_ref *ref = &rule->refs[i];
        if (!ref->backend) {
            fprintf(page->out, "  a backend reference that leads nowhere: its share is answered with 500\n");
            continue;
        }
        fprintf(page->out, "  priority %u, weight %-4u " SLICE_FMT "/" SLICE_FMT "  ", ref->priority, ref->weight,
                SLICE_ARG(ref->backend->namespace_), SLICE_ARG(ref->backend->name));
        put(page, DIM, explain_endpoint_words(ref->backend, page->about->arena));
        fprintf(page->out, "%s\n", ref->backend->tls.is_enabled ? ", TLS" : "");
    }
    fputs("  ", page->out);
    put(page, PLAIN, explain_retry_words(rule, page->about->arena));
    fputc('\n', page->out);
    if (rule->ref_count > 1)
        put(page, DIM, SLICE("  within a priority the order is drawn by weight for each request; below is one draw\n"));
    if (rule->request_timeout_ms > 0)
        fprintf(page->out, "  whole request: %lld ms at most\n", (long long)rule->request_timeout_ms);
}

// ---- attempts -------------------------------------------------------------------------------------------------------

// '=' as the client sent it, '~' another value, '+' added.
static char change_of(const struct page *page, const struct field *field)
{
    const struct fields *sent = &page->about->request.head.fields;
    bool has_name = false;
    for (size_t i = 0; i < sent->count; i++) {
        if (!slice_eq_nocase(sent->items[i].name, field->name))
            continue;
        has_name = true;
        if (slice_eq(sent->items[i].value, field->value))
            return ' ';
    }
    return has_name ? '~' : '+';
}

static void print_fields(const struct page *page, const struct memory_attempt *attempt)
{
    for (size_t i = 0; i < attempt->fields.count; i++) {
        const struct field *field = &attempt->fields.items[i];
        char change = change_of(page, field);
        paint(page, change == '+' ? GREEN : change == '~' ? YELLOW : PLAIN);
        fprintf(page->out, "  %c " SLICE_FMT ": " SLICE_FMT, change, SLICE_ARG(field->name),
                SLICE_ARG(explain_masked(attempt->ref, field)));
        paint(page, PLAIN);
        fputc('\n', page->out);
    }
    const struct fields *sent = &page->about->request.head.fields;
    for (size_t i = 0; i < sent->count; i++) {
        const struct field *field = &sent->items[i];
        if (fields_find(&attempt->fields, field->name))
            continue;
        paint(page, RED);
        fprintf(page->out, "  - " SLICE_FMT ": " SLICE_FMT, SLICE_ARG(field->name),
                SLICE_ARG(explain_masked(attempt->ref, field)));
        paint(page, PLAIN);
        fputc('\n', page->out);
    }
}

static void print_body(const struct page *page, const struct memory_attempt *attempt)
{
    struct slice body = attempt->body;
    if (body.len == 0)
        return;
    bool is_same = slice_eq(body, page->about->request.body);
    paint(page, is_same ? DIM : YELLOW);
    fprintf(page->out, "  %c body, %zu bytes%s\n", is_same ? ' ' : '~', body.len,
            is_same ? ", as the client sent it" : ", edited; all other bytes as the client sent them (S6)");
    paint(page, PLAIN);
    fputs("    ", page->out);
    struct slice shown = explain_body(attempt, page->about->arena);
    put(page, PLAIN, slice_sub(shown, 0, BODY_SHOWN));
    if (shown.len > BODY_SHOWN)
        fprintf(page->out, "... (%zu bytes more)", shown.len - BODY_SHOWN);
    fputc('\n', page->out);
}

static void print_attempt(const struct page *page, size_t index)
{
    const struct memory_attempt *attempt = &page->about->failing.attempts[index];
    const struct config_backend *backend = attempt->ref->backend;
    char title[64];
    snprintf(title, sizeof title, index ? "Attempt %zu, if attempt %zu fails" : "Attempt %zu", index + 1, index);
    heading(page, title);
    fprintf(page->out, "  to " SLICE_FMT "/" SLICE_FMT, SLICE_ARG(backend->namespace_), SLICE_ARG(backend->name));
    if (attempt->at_ms > 0)
        fprintf(page->out, ", after %lld ms", (long long)attempt->at_ms);
    fprintf(page->out, "\n  ");
    paint(page, BOLD);
    fprintf(page->out, "  " SLICE_FMT " " SLICE_FMT, SLICE_ARG(attempt->method), SLICE_ARG(attempt->target));
    paint(page, PLAIN);
    struct slice host = explain_host(attempt, page->about->arena);
    fprintf(page->out, "\n    host: " SLICE_FMT "\n", SLICE_ARG(host));
    print_fields(page, attempt);
    print_body(page, attempt);
}

static void print_answer(const struct page *page)
{
    const struct memory_result *result = &page->about->serving;
    const struct memory_attempt *attempt = &result->attempts[0];
    heading(page, "The answer");
    fputs("  passes as it comes, byte for byte (S8)\n", page->out);
    if (explain_asks_usage(page->about, attempt))
        fputs("  usage: asked for with stream_options.include_usage, because costs or logs need it; the extra chunk is "
              "kept from the client (S8)\n",
              page->out);
    for (size_t i = 0; i < result->route->cost_count; i++)
        fprintf(page->out, "  cost: " SLICE_FMT "\n", SLICE_ARG(result->route->costs[i].key));
    for (size_t i = 0; i < result->log_count; i++)
        if (result->log_lines[i].len)
            fprintf(page->out, "  log, had it used 12 and 34 tokens:\n    " SLICE_FMT, SLICE_ARG(result->log_lines[i]));
}

static void print_local(const struct page *page)
{
    const struct memory_result *result = &page->about->serving;
    heading(page, "Weir answers itself (S9)");
    fprintf(page->out, "  %u\n", result->response.status);
    for (size_t i = 0; i < result->response.fields.count; i++) {
        const struct field *field = &result->response.fields.items[i];
        fprintf(page->out, "    " SLICE_FMT ": " SLICE_FMT "\n", SLICE_ARG(field->name), SLICE_ARG(field->value));
    }
    fputs("    ", page->out);
    put(page, PLAIN, result->body);
    fputc('\n', page->out);
}

void explain_print_text(FILE *out, const struct explanation *explanation, bool has_colour)
{
    const struct page page = {out, explanation, has_colour};
    print_request(&page);
    print_lifted(&page);
    print_candidates(&page);
    if (explanation->serving.is_local) {
        print_local(&page);
        return;
    }
    print_plan(&page);
    for (size_t i = 0; i < explanation->failing.attempt_count; i++)
        print_attempt(&page, i);
    if (explanation->serving.attempt_count > 0)
        print_answer(&page);
}
