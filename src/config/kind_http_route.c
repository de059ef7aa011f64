// HTTPRoute (gateway.networking.k8s.io): plain routes beside the AI routes, in the same table (S4).
#include "config/kind_shared.h"

#define FILTERS_HINT "only RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect and URLRewrite are"

// ---- matches ------------------------------------------------------------------------------------------------------

static const char *const path_types[] = {"Exact", "PathPrefix", "RegularExpression", NULL};
static const char *const methods[] = {"GET",     "HEAD",    "POST",  "PUT",   "DELETE",
                                      "CONNECT", "OPTIONS", "TRACE", "PATCH", NULL};

static const struct field path_fields[] = {
    {.name = "type", .type = FIELD_STRING, .values = path_types, .preset = "PathPrefix", .doc = "How it is compared."},
    {.name = "value",
     .type = FIELD_STRING,
     .max = 1024,
     .preset = "/",
     .doc = "The path; a prefix ends at a slash; an expression (PCRE2) must match the whole path."},
    END_OF_FIELDS,
};

static void rule_path(struct check *check, const struct node *path)
{
    static const char *const forbidden[] = {"//", "/./", "/../", "%2f", "%2F", "#"};
    static const char *const types = "type one of ['Exact', 'PathPrefix']";
    const struct node *value = node_get(path, SLICE("value"));
    struct slice text = node_text(value);
    if (!value || node_is(path, "type", "RegularExpression"))
        return;
    if (!slice_starts_with(text, SLICE("/")))
        check_error(check, value, "value must be an absolute path and start with '/' when %s", types);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (slice_find_slice(text, slice_from_cstr(forbidden[i])) != SLICE_NOT_FOUND)
            check_error(check, value, "must not contain '%s' when %s", forbidden[i], types);
    if (slice_ends_with(text, SLICE("/..")) || slice_ends_with(text, SLICE("/.")))
        check_error(check, value, "must not end with '/..' or '/.' when %s", types);
    if (!pattern_matches(PATTERN_URL_PART, text) && slice_find(text, '#') == SLICE_NOT_FOUND)
        check_error(check, value, "must only contain valid characters of a path when %s", types);
}

static const struct field match_fields[] = {
    {.name = "path",
     .type = FIELD_OBJECT,
     .fields = path_fields,
     .rule = rule_path,
     .absent = "PathPrefix /",
     .doc = "Path."},
    {.name = "headers",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_name_match,
     .max = 16,
     .unique_by = "name",
     .list_rule = rule_name_matches,
     .doc = "Headers; all must hold."},
    {.name = "queryParams",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_name_match,
     .max = 16,
     .unique_by = "name",
     .doc = "Query parameters; all must hold."},
    {.name = "method", .type = FIELD_STRING, .values = methods, .absent = "any", .doc = "Method."},
    END_OF_FIELDS,
};

// ---- filters ------------------------------------------------------------------------------------------------------

static const struct field header_value[] = {
    {.name = "name",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_HEADER_NAME,
     .min = 1,
     .max = 256,
     .doc = "Header name."},
    {.name = "value",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_HEADER_VALUE,
     .min = 1,
     .max = 4096,
     .doc = "Its value."},
    END_OF_FIELDS,
};

static const struct field header_modifier[] = {
    {.name = "set",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = header_value,
     .max = 16,
     .unique_by = "name",
     .list_rule = rule_name_matches,
     .doc = "Headers to set."},
    {.name = "add",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = header_value,
     .max = 16,
     .unique_by = "name",
     .list_rule = rule_name_matches,
     .doc = "Headers to add beside those that are there."},
    {.name = "remove",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .item_min = 1,
     .item_max = 256,
     .max = 16,
     .unique_by = "",
     .doc = "Headers to take off."},
    END_OF_FIELDS,
};

static const char *const path_changes[] = {"ReplaceFullPath", "ReplacePrefixMatch", NULL};

static const struct field path_change[] = {
    {.name = "type", .type = FIELD_STRING, .is_required = true, .values = path_changes, .doc = "What is replaced."},
    {.name = "replaceFullPath", .type = FIELD_STRING, .max = 1024, .pattern = PATTERN_URL_PATH, .doc = "The new path."},
    {.name = "replacePrefixMatch",
     .type = FIELD_STRING,
     .max = 1024,
     .pattern = PATTERN_URL_PART,
     .doc = "What stands in for the prefix that matched."},
    END_OF_FIELDS,
};

static void rule_path_change(struct check *check, const struct node *path)
{
    bool is_full = node_is(path, "type", "ReplaceFullPath");
    bool is_prefix = node_is(path, "type", "ReplacePrefixMatch");
    if (is_full && !node_has(path, "replaceFullPath"))
        check_error(check, path, "replaceFullPath must be specified when type is set to 'ReplaceFullPath'");
    if (is_prefix && !node_has(path, "replacePrefixMatch"))
        check_error(check, path, "replacePrefixMatch must be specified when type is set to 'ReplacePrefixMatch'");
    if (!is_full && node_has(path, "replaceFullPath"))
        check_error(check, path, "type must be 'ReplaceFullPath' when replaceFullPath is set");
    if (!is_prefix && node_has(path, "replacePrefixMatch"))
        check_error(check, path, "type must be 'ReplacePrefixMatch' when replacePrefixMatch is set");
}

static const char *const redirect_schemes[] = {"http", "https", NULL};

static const struct field redirect_fields[] = {
    {.name = "scheme",
     .type = FIELD_STRING,
     .values = redirect_schemes,
     .absent = "the request's",
     .doc = "Scheme of the new location."},
    {.name = "hostname",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .absent = "the request's",
     .doc = "Host of the new location."},
    {.name = "path",
     .type = FIELD_OBJECT,
     .fields = path_change,
     .rule = rule_path_change,
     .absent = "the request's",
     .doc = "Path of the new location."},
    {.name = "port", .type = FIELD_INT, .min = 1, .max = 65535, .absent = "by scheme", .doc = "Its port."},
    {.name = "statusCode",
     .type = FIELD_INT,
     .min = 301,
     .max = 308,
     .preset = "302",
     .doc = "301, 302, 303, 307 or 308."},
    END_OF_FIELDS,
};

static void rule_redirect(struct check *check, const struct node *redirect)
{
    int64_t status = node_get_i64(redirect, SLICE("statusCode"), 302);
    if (status >= 304 && status <= 306)
        check_error(check, node_get(redirect, SLICE("statusCode")), "statusCode: must be 301, 302, 303, 307 or 308");
}

static const struct field rewrite_fields[] = {
    {.name = "hostname",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .absent = "the backend's own",
     .doc = "Host that the backend gets."},
    {.name = "path",
     .type = FIELD_OBJECT,
     .fields = path_change,
     .rule = rule_path_change,
     .absent = "the request's",
     .doc = "Path that the backend gets."},
    END_OF_FIELDS,
};

static const char *const filter_types[] = {"RequestHeaderModifier",
                                           "ResponseHeaderModifier",
                                           "RequestMirror",
                                           "RequestRedirect",
                                           "URLRewrite",
                                           "ExtensionRef",
                                           "CORS",
                                           "ExternalAuth",
                                           NULL};
static const char *const served_filters[] = {"RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect",
                                             "URLRewrite", NULL};

static const struct field filter_fields[] = {
    {.name = "type",
     .type = FIELD_STRING,
     .is_required = true,
     .values = filter_types,
     .served = served_filters,
     .words = FILTERS_HINT,
     .doc = "RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect or URLRewrite."},
    {.name = "requestHeaderModifier",
     .type = FIELD_OBJECT,
     .fields = header_modifier,
     .doc = "Changes to the request's headers."},
    {.name = "responseHeaderModifier",
     .type = FIELD_OBJECT,
     .fields = header_modifier,
     .doc = "Changes to the answer's headers."},
    {.name = "requestRedirect",
     .type = FIELD_OBJECT,
     .fields = redirect_fields,
     .rule = rule_redirect,
     .doc = "A redirect, made by Weir."},
    {.name = "urlRewrite", .type = FIELD_OBJECT, .fields = rewrite_fields, .doc = "A change of host and path."},
    {.name = "requestMirror", .type = FIELD_ANY, .doc = "Refused by its type."},
    {.name = "extensionRef", .type = FIELD_ANY, .doc = "Refused by its type."},
    {.name = "cors", .type = FIELD_ANY, .doc = "Refused by its type."},
    {.name = "externalAuth", .type = FIELD_ANY, .doc = "Refused by its type."},
    END_OF_FIELDS,
};

static const struct {
    const char *type;
    const char *block;
} filter_blocks[] = {
    {"RequestHeaderModifier", "requestHeaderModifier"},
    {"ResponseHeaderModifier", "responseHeaderModifier"},
    {"RequestRedirect", "requestRedirect"},
    {"URLRewrite", "urlRewrite"},
};

static void rule_filter(struct check *check, const struct node *filter)
{
    for (size_t i = 0; i < sizeof filter_blocks / sizeof *filter_blocks; i++) {
        bool is_type = node_is(filter, "type", filter_blocks[i].type);
        bool has_block = node_has(filter, filter_blocks[i].block);
        if (is_type && !has_block)
            check_error(check, filter, "filter.%s must be specified for %s filter.type", filter_blocks[i].block,
                        filter_blocks[i].type);
        else if (!is_type && has_block && node_has(filter, "type"))
            check_error(check, filter, "filter.%s must be nil if the filter.type is not %s", filter_blocks[i].block,
                        filter_blocks[i].type);
    }
}

static bool has_filter(const struct node *filters, const char *type)
{
    for (const struct node *filter = node_first(filters); filter; filter = filter->next)
        if (node_is(filter, "type", type))
            return true;
    return false;
}

static void rule_filters(struct check *check, const struct node *filters)
{
    for (const struct node *filter = node_first(filters); filter; filter = filter->next) {
        struct slice type = node_get_text(filter, SLICE("type"));
        for (const struct node *before = filters->first; before != filter; before = before->next) {
            if (type.len && slice_eq(type, node_get_text(before, SLICE("type")))) {
                check_error(check, filter, SLICE_FMT " filter cannot be repeated",
                            SLICE_ARG(check_quote(check, node_get(filter, SLICE("type")))));
                break;
            }
        }
    }
    if (has_filter(filters, "RequestRedirect") && has_filter(filters, "URLRewrite"))
        check_error(check, filters,
                    "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, "
                    "but not both");
}

// ---- backends -----------------------------------------------------------------------------------------------------

static const struct field ref_fields[] = {
    {.name = "group", .type = FIELD_STRING, .pattern = PATTERN_GROUP, .preset = "", .doc = "gateway.envoyproxy.io."},
    {.name = "kind", .type = FIELD_STRING, .pattern = PATTERN_KIND, .preset = "Service", .doc = "Backend."},
    NAME_FIELD("Name of the Backend."),
    NAMESPACE_FIELD("the route's", "Its namespace; another one needs a ReferenceGrant."),
    IGNORED("port", "the Backend's endpoints have their ports", "Without effect: the endpoints have their ports."),
    {.name = "weight", .type = FIELD_INT, .min = 0, .max = 1000000, .preset = "1", .doc = "Share of the requests."},
    {.name = "filters",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "filters of one backendRef are not done yet: put them into the rule",
     .doc = "Filters of one backend."},
    END_OF_FIELDS,
};

static void rule_ref(struct check *check, const struct node *ref)
{
    if (node_is(ref, "kind", "Backend") && node_is(ref, "group", GROUP_ENVOY_GATEWAY))
        return;
    if (node_is(ref, "kind", "Service") && node_is(ref, "group", ""))
        check_error(check, ref,
                    "backendRefs: a Service is known to Kubernetes only: name a Backend (group %s, kind Backend)",
                    GROUP_ENVOY_GATEWAY);
    else if (node_is(ref, "kind", "InferencePool"))
        check_error(check, ref, "backendRefs: InferencePool is not done yet: name a Backend (group %s, kind Backend)",
                    GROUP_ENVOY_GATEWAY);
    else
        check_error(check, ref, "backendRefs: only Backend of group %s is supported", GROUP_ENVOY_GATEWAY);
}

// ---- rules --------------------------------------------------------------------------------------------------------

static const struct field rule_fields[] = {
    {.name = "name",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .doc = "Name for logs and for policies that target one rule."},
    {.name = "matches",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = match_fields,
     .max = 64,
     .absent = "every request",
     .doc = "One must hold."},
    {.name = "filters",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = filter_fields,
     .max = 16,
     .rule = rule_filter,
     .list_rule = rule_filters,
     .doc = "Changes to request and answer."},
    {.name = "backendRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = ref_fields,
     .max = 128,
     .rule = rule_ref,
     .doc = "The backends, by weight."},
    {.name = "timeouts",
     .type = FIELD_OBJECT,
     .fields = shared_route_timeouts,
     .rule = rule_route_timeouts,
     .doc = "Time limits."},
    {.name = "retry",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "not read here: say it in a BackendTrafficPolicy that targets this route",
     .doc = "Use a BackendTrafficPolicy."},
    {.name = "sessionPersistence",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "session persistence is not done yet",
     .doc = "Session persistence."},
    END_OF_FIELDS,
};

// The path change by prefix of a rule's redirect or rewrite needs a prefix to be told by its match.
static const struct node *prefix_change(const struct node *rule, const char *type, struct slice path)
{
    for (const struct node *filter = node_first(node_get(rule, SLICE("filters"))); filter; filter = filter->next)
        if (node_is(filter, "type", type))
            return node_get(node_path(filter, path), SLICE("replacePrefixMatch"));
    return NULL;
}

static bool has_one_prefix_match(const struct node *rule)
{
    const struct node *matches = node_get(rule, SLICE("matches"));
    if (node_count(matches) == 0)
        return true; // the default match is a prefix
    const struct node *path = node_get(matches->first, SLICE("path"));
    return matches->count == 1 && (!path || node_is(path, "type", "PathPrefix"));
}

static void rule_rule(struct check *check, const struct node *rule)
{
    static const char *const words =
        "filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified";
    const struct node *redirect = prefix_change(rule, "RequestRedirect", SLICE("requestRedirect.path"));
    const struct node *rewrite = prefix_change(rule, "URLRewrite", SLICE("urlRewrite.path"));
    if (redirect && !has_one_prefix_match(rule))
        check_error(check, redirect, "When using RequestRedirect %s", words);
    if (rewrite && !has_one_prefix_match(rule))
        check_error(check, rewrite, "When using URLRewrite %s", words);
    if (has_filter(node_get(rule, SLICE("filters")), "RequestRedirect") &&
        node_count(node_get(rule, SLICE("backendRefs"))))
        check_error(check, node_get(rule, SLICE("backendRefs")),
                    "RequestRedirect filter must not be used together with backendRefs");
}

static void rule_match_total(struct check *check, const struct node *rules)
{
    size_t total = 0;
    for (const struct node *rule = node_first(rules); rule; rule = rule->next)
        total += node_count(node_get(rule, SLICE("matches")));
    if (total > 1024)
        check_error(check, rules, "rules: Too many: %zu matches in all rules: must have at most 1024", total);
}

static const struct field spec_fields[] = {
    {.name = "parentRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_parent_ref,
     .max = 32,
     .rule = rule_parent_ref,
     .doc = "The Gateways that serve this route."},
    {.name = "hostnames",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .pattern = PATTERN_HOSTNAME,
     .item_min = 1,
     .item_max = 253,
     .max = 16,
     .absent = "all",
     .doc = "Hosts that this route serves."},
    {.name = "rules",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = rule_fields,
     .max = 128,
     .unique_by = "name",
     .unique_words = "Rule name must be unique within the route",
     .rule = rule_rule,
     .list_rule = rule_match_total,
     .absent = "one rule that matches everything",
     .doc = "The rules."},
    {.name = "useDefaultGateways",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "default Gateways are not done yet: name the Gateway in parentRefs",
     .harmless = "None",
     .doc = "Attach to default Gateways."},
    END_OF_FIELDS,
};

const struct kind kind_http_route = {
    .kind = KIND_HTTP_ROUTE,
    .name = "HTTPRoute",
    .group = GROUP_GATEWAY,
    .versions = {"v1", "v1beta1"},
    .fields = SPEC(.is_required = true, .fields = spec_fields, .doc = "The route."),
    .doc = "Plain routes beside the AI routes.",
};
