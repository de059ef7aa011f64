// Routing (S3, S4): one rule of the listener's table, or a 404 that says what was asked for.
#include "exchange/life.h"
#include "schema/openai/openai.h"

static struct slice not_found_message(struct exchange *x)
{
    struct slice host = http_host(x->authority);
    struct slice parts[7] = {error_info(ERROR_NO_ROUTE)->message};
    size_t count = 1;
    if (x->endpoint) {
        parts[count++] = x->pin.len ? SLICE(" The backend asked for is '") : SLICE(" The model asked for is '");
        parts[count++] = x->pin.len ? x->pin : x->model;
        parts[count++] = SLICE("'.");
    }
    if (!route_serves_models(x->listener->table, host)) {
        parts[count++] = SLICE(" No route serves the host '");
        parts[count++] = host;
        parts[count++] = SLICE("'.");
    }
    return arena_join(&x->arena, parts, count);
}

static enum step refuse_route(struct exchange *x)
{
    if (x->endpoint) {
        x->reply_param = x->pin.len ? SLICE("backend") : SLICE("model");
        return reply_error(x, ERROR_NO_ROUTE, not_found_message(x));
    }
    if (x->listener->has_ai && endpoint_find(http_path(x->target))) // the model list, but on no host of an AI route
        return reply_error(x, ERROR_NO_ROUTE, not_found_message(x));
    struct slice parts[] = {SLICE("unsupported path: "), x->target};
    return reply_error(x, ERROR_PATH_UNKNOWN, arena_join(&x->arena, parts, 2));
}

// What the mutations of the rule's backends edit must stand once (S1).
static bool is_edited_once(struct exchange *x)
{
    if (!x->rule->edits_body || !x->members)
        return true;
    for (size_t r = 0; r < x->hit.rule->ref_count; r++) {
        const struct compiled_ref *ref = &x->rule->refs[r];
        for (size_t i = 0; i < ref->body.count; i++)
            if (x->members[ref->roots[i]].count > 1) {
                lift_refuse(x, ERROR_BODY_MEMBER, json_names_at(x->snapshot->names, ref->roots[i]),
                            SLICE("stands more than once."));
                return false;
            }
    }
    return true;
}

// Whether usage is read off the answer, and whether the provider must be asked for it (S8).
static void decide_usage(struct exchange *x)
{
    bool needs_tokens = x->hit.route->cost_count > 0 || x->listener->logs_tokens;
    x->wants_usage = needs_tokens || x->listener->logs_usage;
    if (!needs_tokens || !x->is_stream || !x->members || !openai_stream_needs_asking(x->endpoint->id))
        return;
    const struct json_member *options = &x->members[NAME_STREAM_OPTIONS];
    struct slice raw = options->type == JSON_NONE ? SLICE("")
                                                  : slice_sub(buf_slice(&x->body), options->value.from,
                                                              options->value.to - options->value.from);
    x->asks_usage = openai_usage_ask(raw) == OPENAI_USAGE_NOT_ASKED;
}

enum step step_route(struct exchange *x)
{
    struct route_request request = {
        .method = x->method,
        .target = x->target,
        .host = http_host(x->authority),
        .fields = &x->fields,
        .model = x->model,
        .backend = x->pin,
        .is_plain = !x->endpoint, // AI routes serve model endpoints alone
    };
    if (!route_match(x->listener->table, &request, &x->arena, &x->hit))
        return refuse_route(x);
    x->route = compiled_route(x->snapshot, x->hit.route);
    x->rule = compiled_rule(x->snapshot, x->hit.route, x->hit.rule);
    if (!is_edited_once(x))
        return STEP_REPLY;
    if (x->endpoint)
        decide_usage(x);
    choose_init(x);
    return plain_answer(x);
}
