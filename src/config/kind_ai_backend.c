// AIServiceBackend, BackendSecurityPolicy and GatewayConfig (aigateway.envoyproxy.io): a provider, how Weir shows
// itself to it, and what holds for all routes of a Gateway.
#include "config/dialect.h"
#include "config/kind_shared.h"

// ---- AIServiceBackend ---------------------------------------------------------------------------------------------

static const char *const schema_names[] = {"OpenAI",       "Cohere",    "AWSBedrock",   "AzureOpenAI", "GCPVertexAI",
                                           "GCPAnthropic", "Anthropic", "AWSAnthropic", NULL};

static const struct field schema_fields[] = {
    {.name = "name",
     .type = FIELD_STRING,
     .is_required = true,
     .values = schema_names,
     .doc = "The dialect that the backend speaks. OpenAI is served; the others are refused until they are done."},
    {.name = "version", .type = FIELD_STRING, .doc = "Version of the dialect where it has one; OpenAI has none."},
    {.name = "prefix",
     .type = FIELD_STRING,
     .pattern = PATTERN_URL_PART,
     .absent = "v1",
     .doc = "Path in front of the endpoints (OpenAI, Anthropic); \"/\" for none."},
    END_OF_FIELDS,
};

static void rule_schema(struct check *check, const struct node *schema)
{
    const struct node *version = node_get(schema, SLICE("version"));
    if (node_is(schema, "name", "OpenAI") && node_text(version).len)
        finding_note(check->findings, version->mark, "version: has no effect here: the OpenAI dialect has no versions");
    const struct node *name = node_get(schema, SLICE("name"));
    enum config_schema dialect = dialect_from_name(node_text(name));
    if (dialect != SCHEMA_NONE && !dialect_is_served(dialect))
        check_error(check, name, "the " SLICE_FMT " dialect is not done yet: OpenAI is",
                    SLICE_ARG(dialect_name(dialect)));
}

static const struct field backend_ref_fields[] = {
    {.name = "group",
     .type = FIELD_STRING,
     .pattern = PATTERN_GROUP,
     .is_required = true,
     .doc = "gateway.envoyproxy.io."},
    {.name = "kind", .type = FIELD_STRING, .pattern = PATTERN_KIND, .is_required = true, .doc = "Backend."},
    NAME_FIELD("Name of the Backend."),
    NAMESPACE_FIELD("the backend's", "Namespace of the Backend; another one needs a ReferenceGrant."),
    IGNORED("port", "the Backend's endpoints have their ports", "Without effect: the endpoints have their ports."),
    END_OF_FIELDS,
};

static void rule_backend_ref(struct check *check, const struct node *ref)
{
    if (!node_has(ref, "kind") || !node_has(ref, "group"))
        return; // missing: said already
    if (!node_is(ref, "kind", "Backend") || !node_is(ref, "group", GROUP_ENVOY_GATEWAY))
        check_error(check, ref, "BackendRef must be a Backend resource of Envoy Gateway (group %s, kind Backend)",
                    GROUP_ENVOY_GATEWAY);
}

static const struct field backend_spec[] = {
    {.name = "schema",
     .type = FIELD_OBJECT,
     .is_required = true,
     .fields = schema_fields,
     .rule = rule_schema,
     .doc = "What the backend speaks."},
    {.name = "backendRef",
     .type = FIELD_OBJECT,
     .is_required = true,
     .fields = backend_ref_fields,
     .rule = rule_backend_ref,
     .doc = "Where the backend is."},
    {.name = "headerMutation",
     .type = FIELD_OBJECT,
     .fields = shared_header_mutation,
     .doc = "Changes to the request's headers."},
    {.name = "bodyMutation",
     .type = FIELD_OBJECT,
     .fields = shared_body_mutation,
     .doc = "Changes to the request's JSON body."},
    {.name = "backendSecurityPolicyRef",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "the field was removed upstream: name this backend in the targetRefs of the BackendSecurityPolicy",
     .doc = "Removed upstream; use targetRefs of the BackendSecurityPolicy."},
    {.name = "timeouts",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "the field was removed upstream: set timeouts in the rules of the AIGatewayRoute",
     .doc = "Removed upstream; set it in the route's rules."},
    END_OF_FIELDS,
};

const struct kind kind_ai_service_backend = {
    .kind = KIND_AI_SERVICE_BACKEND,
    .name = "AIServiceBackend",
    .group = GROUP_AI_GATEWAY,
    .versions = {"v1beta1", "v1alpha1", "v1"},
    .old_versions = {"v1alpha1"},
    .fields = SPEC(.is_required = true, .fields = backend_spec, .doc = "The backend."),
    .doc = "A provider or model server, and the dialect that it speaks.",
};

// ---- BackendSecurityPolicy ----------------------------------------------------------------------------------------

static const char *const credential_types[] = {"APIKey",         "AWSCredentials",  "AzureAPIKey", "AzureCredentials",
                                               "GCPCredentials", "AnthropicAPIKey", NULL};
static const char *const served_credentials[] = {"APIKey", "AzureAPIKey", "AnthropicAPIKey", NULL};

static const struct field api_key_fields[] = {
    {.name = "secretRef",
     .type = FIELD_OBJECT,
     .is_required = true,
     .fields = shared_object_ref,
     .rule = rule_secret_ref,
     .doc = "Secret whose entry apiKey is the key."},
    END_OF_FIELDS,
};

static const struct field aws_file_fields[] = {
    {.name = "secretRef", .type = FIELD_OBJECT, .is_required = true, .fields = shared_object_ref, .doc = "Secret."},
    {.name = "profile", .type = FIELD_STRING, .preset = "default", .doc = "Profile of the credentials file."},
    END_OF_FIELDS,
};

static const struct field aws_fields[] = {
    {.name = "region", .type = FIELD_STRING, .is_required = true, .min = 1, .doc = "AWS region."},
    {.name = "credentialsFile", .type = FIELD_OBJECT, .fields = aws_file_fields, .doc = "Static credentials."},
    {.name = "oidcExchangeToken", .type = FIELD_ANY, .doc = "Exchange of an OIDC token."},
    END_OF_FIELDS,
};

static const struct field azure_fields[] = {
    {.name = "clientID", .type = FIELD_STRING, .is_required = true, .min = 1, .doc = "Client id."},
    {.name = "tenantID", .type = FIELD_STRING, .is_required = true, .min = 1, .doc = "Tenant id."},
    {.name = "clientSecretRef", .type = FIELD_OBJECT, .fields = shared_object_ref, .doc = "Secret."},
    {.name = "oidcExchangeToken", .type = FIELD_ANY, .doc = "Exchange of an OIDC token."},
    END_OF_FIELDS,
};

static void rule_azure(struct check *check, const struct node *azure)
{
    if (node_has(azure, "clientSecretRef") == node_has(azure, "oidcExchangeToken"))
        check_error(check, azure, "Exactly one of clientSecretRef or oidcExchangeToken must be specified");
}

static const struct field gcp_file_fields[] = {
    {.name = "secretRef", .type = FIELD_OBJECT, .is_required = true, .fields = shared_object_ref, .doc = "Secret."},
    END_OF_FIELDS,
};

static const struct field gcp_federation_fields[] = {
    {.name = "projectID", .type = FIELD_STRING, .is_required = true, .min = 1, .doc = "Project id."},
    {.name = "workloadIdentityPoolName", .type = FIELD_STRING, .is_required = true, .min = 1, .doc = "Pool."},
    {.name = "workloadIdentityProviderName", .type = FIELD_STRING, .is_required = true, .min = 1, .doc = "Provider."},
    {.name = "oidcExchangeToken", .type = FIELD_ANY, .is_required = true, .doc = "Exchange of an OIDC token."},
    {.name = "serviceAccountImpersonation", .type = FIELD_ANY, .doc = "Service account."},
    END_OF_FIELDS,
};

static const struct field gcp_fields[] = {
    {.name = "projectName", .type = FIELD_STRING, .is_required = true, .min = 1, .doc = "Project."},
    {.name = "region", .type = FIELD_STRING, .is_required = true, .min = 1, .doc = "Region."},
    {.name = "credentialsFile", .type = FIELD_OBJECT, .fields = gcp_file_fields, .doc = "Service account key."},
    {.name = "workloadIdentityFederationConfig",
     .type = FIELD_OBJECT,
     .fields = gcp_federation_fields,
     .doc = "Workload identity federation."},
    END_OF_FIELDS,
};

static void rule_gcp(struct check *check, const struct node *gcp)
{
    bool has_file = node_has(gcp, "credentialsFile");
    bool has_federation = node_has(gcp, "workloadIdentityFederationConfig");
    if (has_file && has_federation)
        check_error(check, gcp, "At most one of credentialsFile or workloadIdentityFederationConfig may be specified");
    else if (!has_file && !has_federation && slice_eq(check->resource->version, SLICE("v1alpha1")))
        check_error(check, gcp,
                    "Exactly one of GCPWorkloadIdentityFederationConfig or GCPCredentialsFile must be specified");
}

static const struct field from_headers_fields[] = {
    {.name = "header",
     .type = FIELD_STRING,
     .pattern = PATTERN_HEADER_NAME,
     .min = 1,
     .max = 256,
     .absent = "x-aigw-api-key, x-aigw-anthropic-api-key or x-aigw-azure-api-key by type",
     .doc = "Request header that carries the credential."},
    {.name = "fallbackToConfigured",
     .type = FIELD_BOOL,
     .preset = "true",
     .doc = "Without the header: use the configured key (true) or answer 401 (false)."},
    END_OF_FIELDS,
};

// What the message itself is made of can't be a credential.
static void rule_from_headers(struct check *check, const struct node *from)
{
    static const char *const taken[] = {
        "host", "content-length", "content-type", "transfer-encoding", "connection", "te", "trailer", "upgrade", NULL};
    for (size_t i = 0; taken[i]; i++)
        if (slice_eq_nocase(node_get_text(from, SLICE("header")), slice_from_cstr(taken[i])))
            check_error(check, node_get(from, SLICE("header")), "header: %s can't carry a credential: name another",
                        taken[i]);
}

static const struct field override_fields[] = {
    {.name = "fromRequestHeaders",
     .type = FIELD_OBJECT,
     .fields = from_headers_fields,
     .rule = rule_from_headers,
     .doc = "The client brings the credential in a header."},
    {.name = "fromDynamicMetadata",
     .type = FIELD_ANY,
     .support = SUPPORT_REFUSED,
     .words = "credentials from dynamic metadata are not done yet: use fromRequestHeaders",
     .doc = "Credential from dynamic metadata."},
    END_OF_FIELDS,
};

static void rule_override(struct check *check, const struct node *override)
{
    if (node_has(override, "fromRequestHeaders") == node_has(override, "fromDynamicMetadata"))
        check_error(check, override,
                    "credentialOverride: exactly one of fromRequestHeaders or fromDynamicMetadata must be specified");
}

static const struct field bsp_target_fields[] = {
    {.name = "group", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_GROUP, .doc = "Group."},
    {.name = "kind", .type = FIELD_STRING, .is_required = true, .pattern = PATTERN_KIND, .doc = "AIServiceBackend."},
    NAME_FIELD("Name of the backend, in the namespace of the policy."),
    END_OF_FIELDS,
};

static void rule_bsp_target(struct check *check, const struct node *ref)
{
    bool is_backend = node_is(ref, "kind", "AIServiceBackend") && node_is(ref, "group", GROUP_AI_GATEWAY);
    bool is_pool = node_is(ref, "kind", "InferencePool") && node_is(ref, "group", GROUP_INFERENCE);
    if (!node_has(ref, "kind") || !node_has(ref, "group") || is_backend)
        return;
    if (is_pool)
        check_error(check, ref, "targetRefs: InferencePool is not done yet: name an AIServiceBackend");
    else
        check_error(check, ref, "targetRefs must reference AIServiceBackend or InferencePool resources");
}

static const struct {
    const char *type;
    const char *block;
} unions[] = {
    {"APIKey", "apiKey"},
    {"AWSCredentials", "awsCredentials"},
    {"AzureAPIKey", "azureAPIKey"},
    {"AzureCredentials", "azureCredentials"},
    {"GCPCredentials", "gcpCredentials"},
    {"AnthropicAPIKey", "anthropicAPIKey"},
};

#define UNION_COUNT (sizeof unions / sizeof *unions)

static void check_union(struct check *check, const struct node *spec)
{
    for (size_t i = 0; i < UNION_COUNT; i++) {
        if (!node_is(spec, "type", unions[i].type))
            continue;
        bool is_wrong = !node_has(spec, unions[i].block);
        for (size_t j = 0; j < UNION_COUNT; j++)
            is_wrong = is_wrong || (j != i && node_has(spec, unions[j].block));
        if (is_wrong)
            check_error(check, spec, "When type is %s, only %s field should be set", unions[i].type, unions[i].block);
    }
}

static void rule_bsp(struct check *check, const struct node *spec)
{
    bool is_alpha = slice_eq(check->resource->version, SLICE("v1alpha1"));
    const struct node *override = node_get(spec, SLICE("credentialOverride"));
    check_union(check, spec);
    if (is_alpha && override)
        check_error_at(check, override->key_mark,
                       "credentialOverride: does not exist in v1alpha1: write apiVersion: %s/v1beta1",
                       GROUP_AI_GATEWAY);
    if (spec->count > (is_alpha ? 3 : 4))
        check_error(check, spec, "spec: Too many: %zu: must have at most %d items", spec->count, is_alpha ? 3 : 4);
}

static const struct field bsp_spec[] = {
    {.name = "targetRefs",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = bsp_target_fields,
     .max = 16,
     .rule = rule_bsp_target,
     .doc = "The AIServiceBackends that get the credential; one policy a backend."},
    {.name = "type",
     .type = FIELD_STRING,
     .is_required = true,
     .values = credential_types,
     .served = served_credentials,
     .words = "APIKey, AzureAPIKey and AnthropicAPIKey are",
     .doc = "The kind of credential. APIKey, AzureAPIKey and AnthropicAPIKey are served."},
    {.name = "apiKey", .type = FIELD_OBJECT, .fields = api_key_fields, .doc = "Sent as authorization: Bearer."},
    {.name = "azureAPIKey", .type = FIELD_OBJECT, .fields = api_key_fields, .doc = "Sent as api-key."},
    {.name = "anthropicAPIKey", .type = FIELD_OBJECT, .fields = api_key_fields, .doc = "Sent as x-api-key."},
    {.name = "awsCredentials", .type = FIELD_OBJECT, .fields = aws_fields, .doc = "Checked; its type is refused."},
    {.name = "azureCredentials",
     .type = FIELD_OBJECT,
     .fields = azure_fields,
     .rule = rule_azure,
     .doc = "Checked; its type is refused."},
    {.name = "gcpCredentials",
     .type = FIELD_OBJECT,
     .fields = gcp_fields,
     .rule = rule_gcp,
     .doc = "Checked; its type is refused."},
    {.name = "credentialOverride",
     .type = FIELD_OBJECT,
     .fields = override_fields,
     .rule = rule_override,
     .doc = "A credential of the request's own."},
    END_OF_FIELDS,
};

const struct kind kind_backend_security_policy = {
    .kind = KIND_BACKEND_SECURITY_POLICY,
    .name = "BackendSecurityPolicy",
    .group = GROUP_AI_GATEWAY,
    .versions = {"v1beta1", "v1alpha1", "v1"},
    .old_versions = {"v1alpha1"},
    .fields = SPEC(.is_required = true, .fields = bsp_spec, .rule = rule_bsp, .doc = "The policy."),
    .doc = "The credential that Weir adds for a backend. With one, the client's own credentials are not forwarded.",
};

// ---- GatewayConfig ------------------------------------------------------------------------------------------------

static const struct field forward_proxy_fields[] = {
    {.name = "address",
     .type = FIELD_STRING,
     .is_required = true,
     .pattern = PATTERN_HOST_PORT,
     .doc = "host:port of the proxy; the port is required."},
    END_OF_FIELDS,
};

static const struct field gateway_config_spec[] = {
    {.name = "globalLLMRequestCosts",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = shared_costs,
     .max = 36,
     .unique_by = "metadataKey",
     .rule = rule_cost,
     .doc = "Costs of all routes of the Gateway; a route's own cost of the same key wins."},
    {.name = "extProc",
     .type = FIELD_ANY,
     .support = SUPPORT_IGNORED,
     .words = "there is no external processor to configure",
     .doc = "The external processor's container; Weir has none."},
    {.name = "forwardProxy",
     .type = FIELD_OBJECT,
     .fields = forward_proxy_fields,
     .absent = "backends are called directly",
     .doc =
         "The proxy through which all AIServiceBackends of the Gateway are called, by HTTP CONNECT; TLS towards the "
         "backend goes through it unread. The annotation weir.dev/forward-proxy-credentials of the GatewayConfig may "
         "name a Secret of its namespace with username and password for it."},
    END_OF_FIELDS,
};

const struct kind kind_gateway_config = {
    .kind = KIND_GATEWAY_CONFIG,
    .name = "GatewayConfig",
    .group = GROUP_AI_GATEWAY,
    .versions = {"v1beta1", "v1alpha1", "v1"},
    .old_versions = {"v1alpha1"},
    .fields = SPEC(.fields = gateway_config_spec, .doc = "The settings."),
    .doc = "Settings of a Gateway, which names it in its annotation aigateway.envoyproxy.io/gateway-config.",
};
