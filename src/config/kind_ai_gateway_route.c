// AIGatewayRoute (aigateway.envoyproxy.io): which backends serve which models.
#include "config/kind_shared.h"

static const struct field match_fields[] = {
    {.name = "headers",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_name_match,
     .max = 16,
     .unique_by = "name",
     .list_rule = rule_name_matches,
     .doc = "All must hold. x-ai-eg-model is the model of the body, x-ai-eg-backend the pinned backend."},
    END_OF_FIELDS,
};

static const struct field ref_fields[] = {
    NAME_FIELD("The AIServiceBackend."),
    {.name = "namespace",
     .type = FIELD_STRING,
     .pattern = PATTERN_NAMESPACE,
     .max = 63,
     .absent = "the route's",
     .doc = "Namespace of the AIServiceBackend; another one needs a ReferenceGrant."},
    {.name = "group", .type = FIELD_STRING, .pattern = PATTERN_GROUP, .doc = "Only with kind; InferencePool only."},
    {.name = "kind",
     .type = FIELD_STRING,
     .pattern = PATTERN_KIND,
     .absent = "AIServiceBackend",
     .doc = "Only with group. InferencePool is refused."},
    {.name = "modelNameOverride",
     .type = FIELD_STRING,
     .absent = "the client's model",
     .doc = "Model name that the backend gets."},
    {.name = "headerMutation",
     .type = FIELD_OBJECT,
     .fields = shared_header_mutation,
     .doc = "Changes to the request's headers; wins over that of the AIServiceBackend name by name."},
    {.name = "bodyMutation",
     .type = FIELD_OBJECT,
     .fields = shared_body_mutation,
     .doc = "Changes to the JSON body; wins over that of the AIServiceBackend path by path."},
    {.name = "weight",
     .type = FIELD_INT,
     .min = 0,
     .max = INT32_MAX,
     .preset = "1",
     .doc = "Share within its priority; 0: never by weight."},
    {.name = "priority",
     .type = FIELD_INT,
     .min = 0,
     .max = UINT32_MAX,
     .absent = "0; 1 when the Backend says fallback",
     .doc = "0 is tried first."},
    END_OF_FIELDS,
};

static bool is_pool(const struct node *ref)
{
    return node_is(ref, "kind", "InferencePool");
}

static void rule_ref(struct check *check, const struct node *ref)
{
    const struct node *group = node_get(ref, SLICE("group"));
    const struct node *kind = node_get(ref, SLICE("kind"));
    if (!group != !kind)
        check_error(check, ref, "backendRefs: group and kind must be specified together");
    else if (kind && !(is_pool(ref) && node_is(ref, "group", GROUP_INFERENCE)))
        check_error(check, ref,
                    "backendRefs: only InferencePool from inference.networking.k8s.io group is supported; leave group "
                    "and kind out for an AIServiceBackend");
    else if (kind)
        check_error(check, ref, "backendRefs: InferencePool is not done yet: name an AIServiceBackend");
}

static void rule_refs(struct check *check, const struct node *refs)
{
    size_t pools = 0;
    for (const struct node *ref = node_first(refs); ref; ref = ref->next)
        pools += is_pool(ref) ? 1 : 0;
    if (pools > 0 && pools < refs->count)
        check_error(check, refs, "cannot mix InferencePool and AIServiceBackend references in the same rule");
    else if (pools > 1)
        check_error(check, refs, "only one InferencePool backend is allowed per rule");
}

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
     .max = 128,
     .absent = "every request",
     .doc = "One must hold."},
    {.name = "backendRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = ref_fields,
     .max = 128,
     .rule = rule_ref,
     .list_rule = rule_refs,
     .doc = "The backends, by weight and priority."},
    {.name = "timeouts",
     .type = FIELD_OBJECT,
     .fields = shared_route_timeouts,
     .rule = rule_route_timeouts,
     .doc = "Time limits."},
    {.name = "streamIdleTimeout",
     .type = FIELD_DURATION,
     .absent = "5m",
     .doc = "Longest silence of a backend within an answer; 0s: no limit."},
    {.name = "modelsOwnedBy",
     .type = FIELD_STRING,
     .preset = "Envoy AI Gateway",
     .doc = "owned_by of this rule's models in /v1/models."},
    {.name = "modelsCreatedAt",
     .type = FIELD_TIME,
     .absent = "creationTimestamp of the route",
     .doc = "created of this rule's models in /v1/models."},
    END_OF_FIELDS,
};

static void rule_rule(struct check *check, const struct node *rule)
{
    if (node_is(rule, "name", "route-not-found"))
        check_error(check, node_get(rule, SLICE("name")), "rule name route-not-found is reserved");
}

static const struct field spec_fields[] = {
    {.name = "parentRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_parent_ref,
     .max = 16,
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
     .is_required = true,
     .max = 128,
     .unique_by = "name",
     .unique_words = "rule name must be unique within the route",
     .rule = rule_rule,
     .doc = "The rules. Of all rules of all routes the most specific one wins, whatever the order."},
    {.name = "llmRequestCosts",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_costs,
     .max = 36,
     .rule = rule_cost,
     .doc = "Numbers computed from the token usage of an answer, for logs and limits."},
    {.name = "schema",
     .type = FIELD_ANY,
     .support = SUPPORT_IGNORED,
     .words = "the endpoint that a client calls says its dialect; the field was removed upstream",
     .doc = "Removed upstream."},
    {.name = "targetRefs",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "the field was removed upstream: name the Gateways in parentRefs",
     .doc = "Removed upstream; use parentRefs."},
    {.name = "filterConfig",
     .type = FIELD_ANY,
     .support = SUPPORT_IGNORED,
     .words = "there is no external processor to configure; the field was removed upstream",
     .doc = "Removed upstream."},
    END_OF_FIELDS,
};

const struct kind kind_ai_gateway_route = {
    .kind = KIND_AI_GATEWAY_ROUTE,
    .name = "AIGatewayRoute",
    .group = GROUP_AI_GATEWAY,
    .versions = {"v1beta1", "v1alpha1", "v1"},
    .old_versions = {"v1alpha1"},
    .fields = SPEC(.is_required = true, .fields = spec_fields, .doc = "The route."),
    .doc = "Routes requests to AI backends by model, headers and host.",
};
