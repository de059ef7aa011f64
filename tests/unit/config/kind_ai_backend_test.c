// AIServiceBackend, BackendSecurityPolicy, GatewayConfig: each rule of the CRDs both ways.
#include "loading.h"

#define BACKEND(spec)                                                                                                  \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIServiceBackend\nmetadata: {name: b}\nspec: {" spec "}\n"
#define REF "backendRef: {group: gateway.envoyproxy.io, kind: Backend, name: x}"
#define POLICY_OF(version, spec)                                                                                       \
    "apiVersion: aigateway.envoyproxy.io/" version "\nkind: BackendSecurityPolicy\nmetadata: {name: p}\nspec: {" spec  \
    "}\n"
#define POLICY(spec) POLICY_OF("v1beta1", spec)
#define KEY "{secretRef: {name: s}}"
#define TARGET "targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: b}]"
#define CONFIG(spec)                                                                                                   \
    "apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: GatewayConfig\nmetadata: {name: c}\nspec: {" spec "}\n"

static void test_backend(void **state)
{
    static const struct loading_case cases[] = {
        {BACKEND("schema: {name: OpenAI, prefix: /}, " REF), NULL},
        {BACKEND("schema: {name: OpenAI, prefix: /api/v1}, " REF), NULL},
        {BACKEND("schema: {name: OpenAI, prefix: 'a b'}, " REF), "prefix: \"a b\" must be part of a path"},
        {BACKEND("schema: {name: OpenAI, prefix: 'v1?key=a'}, " REF), "must be part of a path"},
        {BACKEND("schema: {name: OpenAI, prefix: \"v1\\r\\nx: y\"}, " REF), "must be part of a path"},
        {BACKEND("schema: {name: OpenAi}, " REF), "did you mean OpenAI?"},
        {BACKEND("schema: {name: AWSBedrock}, " REF), "the AWSBedrock dialect is not done yet"},
        {BACKEND("schema: {name: Anthropic}, " REF), "the Anthropic dialect is not done yet"},
        {BACKEND("schema: {}, " REF), "name: Required value"},
        {BACKEND(REF), "schema: Required value"},
        {BACKEND("schema: {name: OpenAI}"), "backendRef: Required value"},
        {BACKEND("schema: {name: OpenAI}, backendRef: {group: '', kind: Service, name: x}"),
         "BackendRef must be a Backend resource of Envoy Gateway"},
        {BACKEND("schema: {name: OpenAI}, backendRef: {group: gateway.envoyproxy.io, kind: Backend}"),
         "name: Required value"},
        {BACKEND("schema: {name: OpenAI}, timeouts: {}, " REF), "removed upstream"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_union(void **state)
{
    static const struct loading_case cases[] = {
        {POLICY("type: APIKey, apiKey: " KEY ", " TARGET), NULL},
        {POLICY("type: AzureAPIKey, azureAPIKey: " KEY), NULL},
        {POLICY("type: AnthropicAPIKey, anthropicAPIKey: " KEY), NULL},
        {POLICY("type: APIKey"), "When type is APIKey, only apiKey field should be set"},
        {POLICY("type: APIKey, azureAPIKey: " KEY), "When type is APIKey, only apiKey field should be set"},
        {POLICY("type: APIKey, apiKey: " KEY ", azureAPIKey: " KEY),
         "When type is APIKey, only apiKey field should be set"},
        {POLICY("type: AWSCredentials, apiKey: " KEY),
         "When type is AWSCredentials, only awsCredentials field should be set"},
        {POLICY("type: AzureAPIKey, apiKey: " KEY), "When type is AzureAPIKey, only azureAPIKey field should be set"},
        {POLICY("type: AzureCredentials"), "When type is AzureCredentials, only azureCredentials field should be set"},
        {POLICY("type: GCPCredentials"), "When type is GCPCredentials, only gcpCredentials field should be set"},
        {POLICY("type: AnthropicAPIKey"), "When type is AnthropicAPIKey, only anthropicAPIKey field should be set"},
        {POLICY("apiKey: " KEY), "type: Required value"},
        {POLICY("type: AWSCredentials, awsCredentials: {region: r}"), "AWSCredentials is not done yet"},
        {POLICY("type: AWSCredentials, awsCredentials: {region: ''}"), "region: must not be empty"},
        {POLICY("type: AzureCredentials, azureCredentials: {clientID: a, tenantID: b}"),
         "Exactly one of clientSecretRef or oidcExchangeToken must be specified"},
        {POLICY("type: AzureCredentials, azureCredentials: {clientID: a, tenantID: b, clientSecretRef: {name: s}}"),
         "AzureCredentials is not done yet"},
        {POLICY("type: GCPCredentials, gcpCredentials: {projectName: a, region: b}"), "GCPCredentials is not done yet"},
        {POLICY("type: GCPCredentials, gcpCredentials: {projectName: a, region: b, credentialsFile: {secretRef: {name: "
                "s}}, "
                "workloadIdentityFederationConfig: {projectID: a, workloadIdentityPoolName: b, "
                "workloadIdentityProviderName: c, oidcExchangeToken: {}}}"),
         "At most one of credentialsFile or workloadIdentityFederationConfig may be specified"},
        {POLICY_OF("v1alpha1", "type: GCPCredentials, gcpCredentials: {projectName: a, region: b}"),
         "Exactly one of GCP"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_policy(void **state)
{
    static const struct loading_case cases[] = {
        {POLICY("type: APIKey, apiKey: {}"), "secretRef: Required value"},
        {POLICY("type: APIKey, apiKey: {secretRef: {name: s, namespace: default}}"), NULL},
        {POLICY("type: APIKey, apiKey: {secretRef: {name: s, namespace: other}}"), NULL}, // granted: resolve_test.c
        {POLICY("type: APIKey, apiKey: {secretRef: {name: s, kind: ConfigMap}}"), "must name a Secret"},
        {POLICY("type: APIKey, apiKey: " KEY ", targetRefs: [{group: g.io, kind: AIServiceBackend, name: b}]"),
         "targetRefs must reference AIServiceBackend or InferencePool resources"},
        {POLICY("type: APIKey, apiKey: " KEY
                ", targetRefs: [{group: aigateway.envoyproxy.io, kind: Backend, name: b}]"),
         "targetRefs must reference AIServiceBackend or InferencePool resources"},
        {POLICY("type: APIKey, apiKey: " KEY
                ", targetRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: b}]"),
         "InferencePool is not done yet"},
        {POLICY("type: APIKey, apiKey: " KEY ", targetRefs: [{name: b}]"), "kind: Required value"},
        {POLICY("type: APIKey, apiKey: " KEY ", credentialOverride: {fromRequestHeaders: {}}"), NULL},
        {POLICY("type: APIKey, apiKey: " KEY ", credentialOverride: {fromRequestHeaders: {header: Host}}"),
         "header: host can't carry a credential"},
        {POLICY("type: APIKey, apiKey: " KEY ", credentialOverride: {}"), "exactly one of fromRequestHeaders"},
        {POLICY("type: APIKey, apiKey: " KEY ", credentialOverride: {fromDynamicMetadata: {namespace: n}}"),
         "from dynamic metadata are not done yet"},
        {POLICY_OF("v1alpha1", "type: APIKey, apiKey: " KEY ", credentialOverride: {fromRequestHeaders: {}}"),
         "does not exist in v1alpha1"},
        {POLICY_OF("v1alpha1", "type: APIKey, apiKey: " KEY ", " TARGET), NULL},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_gateway_config(void **state)
{
    static const struct loading_case cases[] = {
        {CONFIG("globalLLMRequestCosts: [{metadataKey: a, type: InputToken}], extProc: {kubernetes: {}}"), NULL},
        {CONFIG("globalLLMRequestCosts: [{metadataKey: a, type: InputToken}, {metadataKey: a, type: OutputToken}]"),
         "Duplicate value: \"a\""},
        {CONFIG("forwardProxy: {address: 'h:1'}"), NULL},
        {CONFIG("forwardProxy: {address: 'proxy.corp.example:3128'}"), NULL},
        {CONFIG("forwardProxy: {address: '[::1]:3128'}"), NULL},
        {CONFIG("forwardProxy: {}"), "address"},
        {CONFIG("forwardProxy: {address: h}"), "must be host:port"},
        {CONFIG("forwardProxy: {address: 'h:0'}"), "must be host:port"},
        {CONFIG("forwardProxy: {address: 'http://h:1'}"), "must be host:port"},
        {CONFIG("forwardProxy: {address: 'h:1', noProxy: [a]}"), "unknown field"},
    };
    struct loading loading;
    (void)state;
    LOADING_CHECK(cases);
    loading_init(&loading, cases[0].yaml);
    assert_int_equal(loading_find(&loading, "extProc: has no effect here")->level, FINDING_NOTE);
    loading_fini(&loading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backend),
        cmocka_unit_test(test_union),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_gateway_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
