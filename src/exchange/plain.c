// What plain HTTPRoutes do beyond passing: redirects, path and host rewrites, header filters.
#include "exchange/life.h"

// The prefix of the match that won, without a slash at its end; empty for "/".
static struct slice matched_prefix(const struct exchange *x)
{
    const struct config_match *match = &x->hit.rule->matches[x->hit.match_index];
    struct slice prefix = match->path_type == MATCH_PREFIX ? match->path.text : SLICE("");
    while (prefix.len && prefix.ptr[prefix.len - 1] == '/')
        prefix.len--;
    return prefix;
}

// ReplacePrefixMatch (Gateway API, HTTPPathModifier): "/foo" -> "/xyz" makes /foo/bar to /xyz/bar, and to /bar for "/".
static struct slice replace_prefix(struct exchange *x, struct slice path, struct slice by)
{
    struct slice prefix = matched_prefix(x);
    struct slice rest = slice_from(path, prefix.len);
    while (by.len && by.ptr[by.len - 1] == '/')
        by.len--;
    bool needs_slash = rest.len ? rest.ptr[0] != '/' : !by.len;
    return arena_join(&x->arena, (struct slice[]){by, needs_slash ? SLICE("/") : SLICE(""), rest}, 3);
}

struct slice plain_target(struct exchange *x)
{
    const struct config_rule_filters *filters = &x->hit.rule->filters;
    struct slice path = http_path(x->target);
    struct slice query = slice_from(x->target, path.len);
    if (filters->path_change == PATH_KEEP)
        return x->target;
    struct slice changed =
        filters->path_change == PATH_REPLACE_FULL ? filters->path_value : replace_prefix(x, path, filters->path_value);
    return changed.ptr ? arena_join(&x->arena, (struct slice[]){changed, query}, 2) : changed;
}

static bool add_all(struct exchange *x, struct fields *fields, const struct config_set *add, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!fields_add(fields, &x->arena, add[i].name.text, add[i].value.text))
            return false;
    return true;
}

bool plain_build(struct exchange *x, struct attempt *a)
{
    const struct config_rule_filters *filters = &x->hit.rule->filters;
    return mutate_headers_apply(&x->rule->request, &x->arena, &a->request.fields) &&
           add_all(x, &a->request.fields, filters->request_add, filters->request_add_count);
}

bool plain_response(struct exchange *x, struct fields *fields)
{
    const struct config_rule_filters *filters = &x->hit.rule->filters;
    return mutate_headers_apply(&x->rule->response, &x->arena, fields) &&
           add_all(x, fields, filters->response_add, filters->response_add_count);
}

// ":port" of a redirect, empty where it is the scheme's own (Gateway API, HTTPRequestRedirectFilter.port).
static struct slice redirect_port(struct exchange *x, struct slice scheme)
{
    const struct config_rule_filters *filters = &x->hit.rule->filters;
    uint16_t port = filters->redirect_port;
    if (!port && !filters->redirect_scheme.len)
        port = x->listener->config->port;
    bool is_own =
        !port || (port == 80 && slice_eq(scheme, SLICE("http"))) || (port == 443 && slice_eq(scheme, SLICE("https")));
    return is_own ? SLICE("") : arena_printf(&x->arena, ":%u", (unsigned)port);
}

enum step plain_answer(struct exchange *x)
{
    const struct config_rule_filters *filters = &x->hit.rule->filters;
    if (!filters->redirect_status)
        return STEP_BACKEND;
    struct slice scheme = filters->redirect_scheme;
    if (!scheme.len)
        scheme = x->client.is_tls ? SLICE("https") : SLICE("http");
    struct slice host = filters->redirect_host.len ? filters->redirect_host : http_host(x->authority);
    struct slice parts[] = {scheme, SLICE("://"), host, redirect_port(x, scheme), plain_target(x)};
    struct slice location = arena_join(&x->arena, parts, 5);
    if (!location.ptr)
        return reply_error(x, ERROR_OVERLOADED, SLICE(""));
    return reply_answer(x, filters->redirect_status, SLICE(""), location);
}
