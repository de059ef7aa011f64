// Matches and filters of rules.
#include "config/resolve_parts.h"

// ---- matches --------------------------------------------------------------------------------------------------

static struct config_name_match *read_names(struct resolver *resolver, const struct node *list, size_t *ret_count)
{
    struct config_name_match *items = RESOLVE_ARRAY(resolver, struct config_name_match, node_count(list));
    for (const struct node *node = node_first(list); items && node; node = node->next) {
        bool is_regex = slice_eq(node_get_text(node, SLICE("type")), SLICE("RegularExpression"));
        items[(*ret_count)++] = (struct config_name_match){.type = is_regex ? MATCH_REGEX : MATCH_EXACT,
                                                           .name = node_config_text(node_get(node, SLICE("name"))),
                                                           .value = node_config_text(node_get(node, SLICE("value")))};
    }
    return items;
}

static enum config_match_type path_type(struct slice type)
{
    if (slice_eq(type, SLICE("Exact")))
        return MATCH_EXACT;
    return slice_eq(type, SLICE("RegularExpression")) ? MATCH_REGEX : MATCH_PREFIX;
}

static void read_match(struct resolver *resolver, const struct node *node, struct mark mark, struct config_match *match)
{
    const struct node *path = node_get(node, SLICE("path"));
    *match = (struct config_match){.mark = mark,
                                   .path_type = path_type(node_get_text(path, SLICE("type"))),
                                   .path = node_config_text(node_get(path, SLICE("value"))),
                                   .method = node_get_text(node, SLICE("method"))};
    if (match->path.text.len == 0)
        match->path = (struct config_text){.text = SLICE("/"), .mark = mark};
    match->headers = read_names(resolver, node_get(node, SLICE("headers")), &match->header_count);
    match->query = read_names(resolver, node_get(node, SLICE("queryParams")), &match->query_count);
}

void resolve_matches(struct resolver *resolver, const struct node *rule_node, struct config_rule *rule)
{
    const struct node *list = node_get(rule_node, SLICE("matches"));
    size_t count = node_count(list);
    rule->matches = RESOLVE_ARRAY(resolver, struct config_match, count ? count : 1);
    if (!rule->matches)
        return;
    if (count == 0)
        read_match(resolver, NULL, rule->mark, &rule->matches[rule->match_count++]);
    for (const struct node *node = node_first(list); node; node = node->next)
        read_match(resolver, node, node_mark(node), &rule->matches[rule->match_count++]);
}

// ---- filters --------------------------------------------------------------------------------------------------

static struct config_set *read_add(struct resolver *resolver, const struct node *list, size_t *ret_count)
{
    struct config_set *items = RESOLVE_ARRAY(resolver, struct config_set, node_count(list));
    for (const struct node *node = node_first(list); items && node; node = node->next)
        items[(*ret_count)++] = (struct config_set){node_config_text(node_get(node, SLICE("name"))),
                                                    node_config_text(node_get(node, SLICE("value")))};
    return items;
}

static void read_path_change(const struct node *path, struct config_rule_filters *filters)
{
    const struct node *full = node_get(path, SLICE("replaceFullPath"));
    const struct node *prefix = node_get(path, SLICE("replacePrefixMatch"));
    if (full) {
        filters->path_change = PATH_REPLACE_FULL;
        filters->path_value = node_text(full);
    } else if (prefix) {
        filters->path_change = PATH_REPLACE_PREFIX;
        filters->path_value = node_text(prefix);
    }
}

static void read_redirect(const struct node *redirect, struct config_rule_filters *filters)
{
    filters->redirect_status = (uint16_t)node_get_i64(redirect, SLICE("statusCode"), 302);
    filters->redirect_scheme = node_get_text(redirect, SLICE("scheme"));
    filters->redirect_host = node_get_text(redirect, SLICE("hostname"));
    filters->redirect_port = (uint16_t)node_get_i64(redirect, SLICE("port"), 0);
    read_path_change(node_get(redirect, SLICE("path")), filters);
}

struct config_rule_filters resolve_filters(struct resolver *resolver, const struct node *list)
{
    struct config_rule_filters filters = {.redirect_status = 0};
    for (const struct node *filter = node_first(list); filter; filter = filter->next) {
        const struct node *request = node_get(filter, SLICE("requestHeaderModifier"));
        const struct node *response = node_get(filter, SLICE("responseHeaderModifier"));
        const struct node *redirect = node_get(filter, SLICE("requestRedirect"));
        const struct node *rewrite = node_get(filter, SLICE("urlRewrite"));
        if (request) {
            filters.request_headers = resolve_header_mutation(resolver, request);
            filters.request_add = read_add(resolver, node_get(request, SLICE("add")), &filters.request_add_count);
        }
        if (response) {
            filters.response_headers = resolve_header_mutation(resolver, response);
            filters.response_add = read_add(resolver, node_get(response, SLICE("add")), &filters.response_add_count);
        }
        if (redirect)
            read_redirect(redirect, &filters);
        if (rewrite) {
            filters.rewrite_host = node_get_text(rewrite, SLICE("hostname"));
            read_path_change(node_get(rewrite, SLICE("path")), &filters);
        }
    }
    return filters;
}
