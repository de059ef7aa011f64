// References, matches, mutations and costs: what several kinds have in common.
#include "config/kind_shared.h"

bool node_has(const struct node *map, const char *name)
{
    return node_get(map, slice_from_cstr(name)) != NULL;
}

bool node_is(const struct node *map, const char *name, const char *text)
{
    return slice_eq(node_get_text(map, slice_from_cstr(name)), slice_from_cstr(text));
}

// ---- references ---------------------------------------------------------------------------------------------------

const struct field shared_object_ref[] = {
    {.name = "group", .type = FIELD_STRING, .pattern = PATTERN_GROUP, .preset = "", .doc = "Empty: the core group."},
    {.name = "kind", .type = FIELD_STRING, .pattern = PATTERN_KIND, .preset = "Secret", .doc = "Secret or ConfigMap."},
    NAME_FIELD("Its name."),
    NAMESPACE_FIELD("that of the referrer", "Its namespace; another one needs a ReferenceGrant there."),
    END_OF_FIELDS,
};

void rule_secret_ref(struct check *check, const struct node *ref)
{
    if (!node_is(ref, "kind", "Secret") || !node_is(ref, "group", ""))
        check_error(check, ref, "the reference must name a Secret of the core group (group \"\")");
}

void rule_authority_ref(struct check *check, const struct node *ref)
{
    if (!(node_is(ref, "kind", "Secret") || node_is(ref, "kind", "ConfigMap")) || !node_is(ref, "group", ""))
        check_error(check, ref, "the reference must name a ConfigMap or a Secret of the core group (group \"\")");
}

// ---- TLS ----------------------------------------------------------------------------------------------------------

const char *const shared_tls_versions[] = {"Auto", "1.0", "1.1", "1.2", "1.3", NULL};
const char *const shared_tls_served_versions[] = {"Auto", "1.2", "1.3", NULL};
const char *const shared_alpn_protocols[] = {"h2", "http/1.1", "http/1.0", NULL};
const char *const shared_served_alpn[] = {"h2", "http/1.1", NULL};

void rule_tls_choice(struct check *check, const struct node *tls)
{
    if (node_is(tls, "minVersion", "1.3") && node_has(tls, "ciphers"))
        check_error(check, node_get(tls, SLICE("ciphers")),
                    "setting ciphers has no effect if the minimum possible TLS version is 1.3");
    if (node_is(tls, "minVersion", "1.3") && node_is(tls, "maxVersion", "1.2"))
        check_error(check, node_get(tls, SLICE("maxVersion")), "minVersion must be smaller or equal to maxVersion");
}

const struct field shared_parent_ref[] = {
    {.name = "group",
     .type = FIELD_STRING,
     .pattern = PATTERN_GROUP,
     .preset = GROUP_GATEWAY,
     .doc = "Group of the parent."},
    {.name = "kind", .type = FIELD_STRING, .pattern = PATTERN_KIND, .preset = "Gateway", .doc = "Only Gateway."},
    NAMESPACE_FIELD("the route's", "Namespace of the Gateway."),
    NAME_FIELD("Name of the Gateway."),
    {.name = "sectionName",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .absent = "all listeners",
     .doc = "Name of one listener of the Gateway."},
    {.name = "port",
     .type = FIELD_INT,
     .min = 1,
     .max = 65535,
     .absent = "all ports",
     .doc = "Port of the listeners meant."},
    END_OF_FIELDS,
};

void rule_parent_ref(struct check *check, const struct node *ref)
{
    if (!node_is(ref, "kind", "Gateway") || !node_is(ref, "group", GROUP_GATEWAY))
        check_error(check, ref, "parentRefs: only Gateway is supported");
}

const struct field shared_target_ref[] = {
    {.name = "group",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_GROUP,
     .doc = "Group of the target."},
    {.name = "kind", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_KIND, .doc = "Kind of the target."},
    NAME_FIELD("Name of the target, in the namespace of the policy."),
    {.name = "sectionName",
     .type = FIELD_STRING,
     .pattern = PATTERN_DNS_SUBDOMAIN,
     .min = 1,
     .max = 253,
     .absent = "the whole target",
     .doc = "One listener of a Gateway, or one named rule of a route."},
    END_OF_FIELDS,
};

static void check_target(struct check *check, const struct node *ref, const char *const *kinds, const char *words)
{
    if (node_has(ref, "group") && !node_is(ref, "group", GROUP_GATEWAY)) {
        check_error(check, ref, "this policy can only have a targetRefs[*].group of %s", GROUP_GATEWAY);
        return;
    }
    const struct node *kind = node_get(ref, SLICE("kind"));
    for (size_t i = 0; kinds[i]; i++)
        if (slice_eq(node_text(kind), slice_from_cstr(kinds[i])))
            return;
    if (kind)
        check_error(check, ref, "this policy can only have a targetRefs[*].kind of %s, not " SLICE_FMT, words,
                    SLICE_ARG(check_quote(check, kind)));
}

void rule_policy_targets(struct check *check, const struct node *spec, const char *const *kinds, const char *words)
{
    const struct node *one = node_get(spec, SLICE("targetRef"));
    const struct node *many = node_get(spec, SLICE("targetRefs"));
    if (node_has(spec, "targetSelectors"))
        return; // refused by its field
    if (!one == !many)
        check_error(check, spec, "either targetRef or targetRefs must be used");
    if (one)
        check_target(check, one, kinds, words);
    for (const struct node *ref = node_first(many); ref; ref = ref->next)
        check_target(check, ref, kinds, words);
}

// ---- matches ------------------------------------------------------------------------------------------------------

static const char *const name_match_types[] = {"Exact", "RegularExpression", NULL};

const struct field shared_name_match[] = {
    {.name = "type",
     .type = FIELD_STRING,
     .values = name_match_types,
     .preset = "Exact",
     .doc = "Exact compares the whole value, RegularExpression (PCRE2) must match the whole value."},
    {.name = "name",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_HEADER_NAME,
     .min = 1,
     .max = 256,
     .doc = "Name; headers compare without regard to case."},
    {.name = "value", .type = FIELD_STRING, .is_required = true, .min = 1, .max = 4096, .doc = "What it must be."},
    END_OF_FIELDS,
};

// Names that differ in case only: the CRD lets them pass, and a request can hardly meet both.
void rule_name_matches(struct check *check, const struct node *list)
{
    for (const struct node *match = node_first(list); match; match = match->next) {
        struct slice name = node_get_text(match, SLICE("name"));
        for (const struct node *before = list->first; before != match; before = before->next) {
            struct slice other = node_get_text(before, SLICE("name"));
            if (name.len && slice_eq_nocase(name, other) && !slice_eq(name, other))
                check_warn(check, match, "header \"" SLICE_FMT "\" stands in line %u already, in another case",
                           SLICE_ARG(name), before->mark.line);
        }
    }
}

// ---- mutation -----------------------------------------------------------------------------------------------------

static const struct field header_set[] = {
    {.name = "name",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_MUTATED_NAME,
     .min = 1,
     .max = 256,
     .doc = "Header name, written to the backend as it stands here."},
    {.name = "value",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_HEADER_VALUE,
     .min = 1,
     .max = 4096,
     .doc = "The value; control bytes and blanks at the ends are refused."},
    END_OF_FIELDS,
};

const struct field shared_header_mutation[] = {
    {.name = "set",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = header_set,
     .max = 16,
     .unique_by = "name",
     .list_rule = rule_name_matches,
     .doc = "Headers to set; all instances of the client's are replaced by one."},
    {.name = "remove",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .item_min = 1,
     .item_max = 256,
     .max = 16,
     .unique_by = "",
     .doc = "Names of headers to take off."},
    END_OF_FIELDS,
};

static const struct field body_set[] = {
    {.name = "path",
     .type = FIELD_STRING,
     .is_required = true,
     .min = 1,
     .max = 4096,
     .doc = "Member name, or dots that descend into objects (\"a.b\"; \"\\\\.\" is a literal dot)."},
    {.name = "value",
     .type = FIELD_STRING,
     .is_required = true,
     .doc = "JSON text; what is no valid JSON is taken as a string, with a warning."},
    END_OF_FIELDS,
};

const struct field shared_body_mutation[] = {
    {.name = "set",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = body_set,
     .max = 16,
     .unique_by = "path",
     .doc = "Members to set in the JSON body."},
    {.name = "remove",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .item_min = 1,
     .max = 16,
     .unique_by = "",
     .doc = "Members to take out of the JSON body."},
    END_OF_FIELDS,
};

// ---- costs --------------------------------------------------------------------------------------------------------

static const char *const cost_types[] = {
    "OutputToken", "InputToken", "CachedInputToken", "CacheCreationInputToken", "TotalToken", "ReasoningToken",
    "CEL",         NULL};

const struct field shared_costs[] = {
    {.name = "metadataKey",
     .type = FIELD_STRING,
     .is_required = true,
     .min = 1,
     .doc = "Key under which the number stands in the dynamic metadata io.envoy.ai_gateway."},
    {.name = "type", .type = FIELD_STRING, .is_required = true, .values = cost_types, .doc = "What is counted."},
    {.name = "cel",
     .type = FIELD_STRING,
     .min = 1,
     .doc = "Formula of type CEL over model, backend, route_name and the token counts (uint)."},
    END_OF_FIELDS,
};

void rule_cost(struct check *check, const struct node *cost)
{
    if (node_is(cost, "type", "CEL") && !node_has(cost, "cel"))
        check_error(check, cost, "cel: Required value: a cost of type CEL needs its formula in cel");
    else if (node_has(cost, "type") && !node_is(cost, "type", "CEL") && node_has(cost, "cel"))
        check_error(check, node_get(cost, SLICE("cel")), "cel: only a cost of type CEL has a formula");
}

// ---- timeouts -----------------------------------------------------------------------------------------------------

const struct field shared_route_timeouts[] = {
    {.name = "request",
     .type = FIELD_DURATION,
     .absent = "none",
     .doc = "Limit of the whole request, a streamed answer included; 0s: none."},
    {.name = "backendRequest", .type = FIELD_DURATION, .absent = "none", .doc = "Limit of one attempt at a backend."},
    END_OF_FIELDS,
};

void rule_route_timeouts(struct check *check, const struct node *timeouts)
{
    int64_t request = node_get_ms(timeouts, SLICE("request"), 0);
    int64_t attempt = node_get_ms(timeouts, SLICE("backendRequest"), 0);
    if (request > 0 && attempt > request)
        check_error(check, node_get(timeouts, SLICE("backendRequest")),
                    "backendRequest timeout cannot be longer than request timeout");
}
