// TLSRoute (gateway.networking.k8s.io): connections that are passed on unread, by the name that they ask for.
#include "config/kind_shared.h"

static const struct field ref_fields[] = {
    {.name = "group", .type = FIELD_STRING, .pattern = PATTERN_GROUP, .preset = "", .doc = "gateway.envoyproxy.io."},
    {.name = "kind", .type = FIELD_STRING, .pattern = PATTERN_KIND, .preset = "Service", .doc = "Backend."},
    NAME_FIELD("Name of the Backend."),
    NAMESPACE_FIELD("the route's", "Its namespace; another one needs a ReferenceGrant."),
    IGNORED("port", "the Backend's endpoints have their ports", "Without effect: the endpoints have their ports."),
    {.name = "weight", .type = FIELD_INT, .min = 0, .max = 1000000, .preset = "1", .doc = "Share of the connections."},
    END_OF_FIELDS,
};

static void rule_ref(struct check *check, const struct node *ref)
{
    if (!node_is(ref, "kind", "Backend") || !node_is(ref, "group", GROUP_ENVOY_GATEWAY))
        check_error(check, ref, "backendRefs: only Backend of group %s is supported", GROUP_ENVOY_GATEWAY);
}

static const struct field rule_fields[] = {
    {.name = "name", .type = FIELD_STRING, .pattern = PATTERN_DNS_SUBDOMAIN, .min = 1, .max = 253, .doc = "Its name."},
    {.name = "backendRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = ref_fields,
     .is_required = true,
     .min = 1,
     .max = 16,
     .rule = rule_ref,
     .doc = "The backends, by weight."},
    END_OF_FIELDS,
};

static const struct field spec_fields[] = {
    {.name = "parentRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_parent_ref,
     .max = 32,
     .rule = rule_parent_ref,
     .doc = "The Gateways whose listeners of protocol TLS pass these connections on."},
    {.name = "hostnames",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .pattern = PATTERN_HOSTNAME,
     .item_min = 1,
     .item_max = 253,
     .max = 16,
     .absent = "all of the listener",
     .doc = "Names (SNI) that clients ask for."},
    {.name = "rules",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = rule_fields,
     .is_required = true,
     .min = 1,
     .max = 1,
     .doc = "The one rule."},
    REFUSED("useDefaultGateways", "default Gateways are not done yet: name the Gateway in parentRefs",
            "Attach to default Gateways."),
    END_OF_FIELDS,
};

const struct kind kind_tls_route = {
    .kind = KIND_TLS_ROUTE,
    .name = "TLSRoute",
    .group = GROUP_GATEWAY,
    .versions = {"v1", "v1alpha3", "v1alpha2", "v1beta1"},
    .fields = SPEC(.is_required = true, .fields = spec_fields, .doc = "The route."),
    .doc = "TLS connections passed on unread, on listeners of protocol TLS with tls.mode Passthrough.",
};
