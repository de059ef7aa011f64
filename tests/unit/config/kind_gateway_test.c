// The kinds of Gateway API and Envoy Gateway: limits, rules, what is refused and what is only noted.
#include "loading.h"

#define RESOURCE(api, kind, spec) "apiVersion: " api "\nkind: " kind "\nmetadata: {name: x}\nspec: {" spec "}\n"
#define CORE_GATEWAY "gateway.networking.k8s.io/v1"
#define ENVOY_GATEWAY "gateway.envoyproxy.io/v1alpha1"
#define GATEWAY(listeners) RESOURCE(CORE_GATEWAY, "Gateway", "gatewayClassName: c, listeners: [" listeners "]")
#define ROUTE(rule) RESOURCE(CORE_GATEWAY, "HTTPRoute", "rules: [{" rule "}]")
#define BACKEND(spec) RESOURCE(ENVOY_GATEWAY, "Backend", spec)
#define TLS_POLICY(validation)                                                                                         \
    RESOURCE(CORE_GATEWAY, "BackendTLSPolicy",                                                                         \
             "targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}], validation: {" validation "}")
#define TO_ROUTE "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]"
#define TO_GATEWAY "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]"
#define BTP(spec) RESOURCE(ENVOY_GATEWAY, "BackendTrafficPolicy", TO_ROUTE ", " spec)
#define CTP(spec) RESOURCE(ENVOY_GATEWAY, "ClientTrafficPolicy", TO_GATEWAY ", " spec)
#define PROXY(spec) RESOURCE(ENVOY_GATEWAY, "EnvoyProxy", spec)
#define LOG(setting) PROXY("telemetry: {accessLog: {settings: [{" setting "}]}}")
#define SINK "sinks: [{type: File, file: {path: /dev/stdout}}]"

static void test_gateway(void **state)
{
    static const struct loading_case cases[] = {
        {RESOURCE(
             CORE_GATEWAY, "Gateway",
             "gatewayClassName: c, listeners: [{name: l, protocol: HTTP, port: 80}], infrastructure: {parametersRef: "
             "{group: gateway.envoyproxy.io, kind: EnvoyProxy, name: p, namespace: n}}"),
         "unknown field \"namespace\""}, // a local reference has none
        {GATEWAY("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: '*.x.y'}"), NULL},
        {GATEWAY(""), "listeners: must have at least 1 entry"},
        {RESOURCE(CORE_GATEWAY, "Gateway", "listeners: []"), "gatewayClassName: Required value"},
        {GATEWAY("{name: a, port: 0, protocol: HTTP}"), "port: must be 1 to 65535"},
        {GATEWAY("{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}"), NULL},
        {GATEWAY("{name: a, port: 443, protocol: HTTPS}"), "needs tls.certificateRefs"},
        {GATEWAY("{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: []}}"), "needs tls.certificateRefs"},
        {GATEWAY("{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, kind: ConfigMap}]}}"),
         "must name a Secret"},
        {GATEWAY("{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough, certificateRefs: [{name: c}]}}"),
         "must be Terminate"},
        {GATEWAY("{name: a, port: 443, protocol: HTTP, tls: {}}"), "must not be specified for protocols HTTP"},
        {GATEWAY("{name: a, port: 443, protocol: HTTP}, {name: b, port: 443, protocol: HTTPS, tls: "
                 "{certificateRefs: [{name: c}]}}"),
         "a port has TLS or has none"},
        {GATEWAY("{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}"),
         "Listener name must be unique within the Gateway"},
        {GATEWAY("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}"),
         "Combination of port, protocol and hostname must be unique for each listener"},
        {GATEWAY("{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: "
                 "HTTPRoute}]}}"),
         NULL},
        {GATEWAY("{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector}}}"),
         "Selector is not done yet"},
        {GATEWAY("{name: a, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}"), "only HTTPRoute"},
        {RESOURCE(CORE_GATEWAY, "GatewayClass", "controllerName: a.io/b"), NULL},
        {RESOURCE("gateway.networking.k8s.io/v1beta1", "ReferenceGrant",
                  "from: [{group: a.io, kind: B, namespace: c}], to: [{group: '', kind: Secret}]"),
         NULL},
        {RESOURCE("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", "from: [], to: [{group: '', kind: Secret}]"),
         "from: must have at least 1 entry"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_http_route(void **state)
{
    static const struct loading_case cases[] = {
        {ROUTE("backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]"), NULL},
        {ROUTE("backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b, port: 80}]"), NULL},
        {ROUTE("backendRefs: [{name: b, port: 80}]"), "a Service is known to Kubernetes only"},
        {ROUTE("backendRefs: [{group: a.io, kind: Backend, name: b}]"), "only Backend of group gateway.envoyproxy.io"},
        {ROUTE("matches: [{path: {type: Exact, value: /a}, method: GET, queryParams: [{name: q, value: v}]}]"), NULL},
        {ROUTE("matches: [{path: {value: a}}]"), "value must be an absolute path and start with '/'"},
        {ROUTE("matches: [{path: {value: /a//b}}]"), "must not contain '//'"},
        {ROUTE("matches: [{path: {value: /a/./b}}]"), "must not contain '/./'"},
        {ROUTE("matches: [{path: {value: /a/../b}}]"), "must not contain '/../'"},
        {ROUTE("matches: [{path: {value: /a/%2fb}}]"), "must not contain '%2f'"},
        {ROUTE("matches: [{path: {value: '/a#b'}}]"), "must not contain '#'"},
        {ROUTE("matches: [{path: {value: /a/..}}]"), "must not end with '/..'"},
        {ROUTE("matches: [{path: {value: '/a b'}}]"), "must only contain valid characters"},
        {ROUTE("matches: [{path: {type: RegularExpression, value: '/a//.*'}}]"), NULL},
        {ROUTE("matches: [{method: get}]"), "did you mean GET?"},
        {ROUTE("timeouts: {request: 1s, backendRequest: 2s}"), "backendRequest timeout cannot be longer"},
        {ROUTE("filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}]"), NULL},
        {ROUTE("filters: [{type: RequestHeaderModifier}]"),
         "filter.requestHeaderModifier must be specified for RequestHeaderModifier filter.type"},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {}, requestRedirect: {}}]"),
         "filter.requestRedirect must be nil if the filter.type is not RequestRedirect"},
        {ROUTE("filters: [{type: RequestMirror, requestMirror: {}}]"), "RequestMirror is not done yet"},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}]"),
         "URLRewrite filter cannot be repeated"},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {}}, {type: RequestRedirect, requestRedirect: {}}]"),
         "but not both"},
        {ROUTE("filters: [{type: RequestRedirect, requestRedirect: {statusCode: 305}}]"), "301, 302, 303, 307 or 308"},
        {ROUTE("filters: [{type: RequestRedirect, requestRedirect: {}}], "
               "backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]"),
         "RequestRedirect filter must not be used together with backendRefs"},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], "
               "matches: [{path: {type: Exact, value: /a}}]"),
         "exactly one PathPrefix match must be specified"},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], "
               "matches: [{path: {value: /a}}]"),
         NULL},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath}}}]"),
         "replaceFullPath must be specified"},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /a, "
               "replacePrefixMatch: /b}}}]"),
         "type must be 'ReplacePrefixMatch'"},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: '/a b'}}}]"),
         "must be a path of a URL"},
        {ROUTE("filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: "
               "\"/a\\r\\nb\"}}}]"),
         "must be part of a path"},
        {ROUTE("retry: {}"), "BackendTrafficPolicy"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_backend(void **state)
{
    static const struct loading_case cases[] = {
        {BACKEND(
             "endpoints: [{fqdn: {hostname: api.example.com., port: 443}}], tls: {wellKnownCACertificates: System}"),
         NULL},
        {BACKEND(
             "endpoints: [{ip: {address: '2001:db8::1', port: 1}, hostname: a.b}, {ip: {address: 10.0.0.1, port: 2}}]"),
         NULL},
        {BACKEND(""), "endpoints: Required value"},
        {BACKEND("endpoints: [{}]"), "one of fqdn, ip or unix must be specified"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}, ip: {address: 10.0.0.1, port: 2}}]"),
         "only one of fqdn, ip or unix can be specified"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}, {ip: {address: 10.0.0.1, port: 2}}]"),
         "fqdn addresses cannot be mixed with other address types"},
        {BACKEND("endpoints: [{unix: {path: /s}}]"), "Unix sockets are not done yet"},
        {BACKEND("endpoints: [{ip: {address: 10.0.0.256, port: 2}}]"), "must be an IPv4 or IPv6 address"},
        {BACKEND("endpoints: [{ip: {address: '1::2::3', port: 2}}]"), "must be an IPv4 or IPv6 address"},
        {BACKEND("endpoints: [{fqdn: {hostname: A.b, port: 1}}]"), "must be a lower-case host name"},
        {BACKEND("type: DynamicResolver, endpoints: [{fqdn: {hostname: a.b, port: 1}}]"),
         "DynamicResolver is not done yet"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], tls: {sni: a.b, autoSNIFromEndpointHostname: true}"),
         "sni and autoSNIFromEndpointHostname are mutually exclusive"},
        {BACKEND("endpoints: [{ip: {address: 10.0.0.1, port: 1}}], tls: {autoSNIFromEndpointHostname: true}"),
         "when autoSNIFromEndpointHostname is enabled, IP and Unix endpoints must define a hostname"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], tls: {insecureSkipVerify: true, "
                 "wellKnownCACertificates: System}"),
         "must not contain either CACertificateRefs or WellKnownCACertificates when InsecureSkipVerify is enabled"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], tls: {wellKnownCACertificates: System, "
                 "caCertificateRefs: [{kind: ConfigMap, name: c}]}"),
         "must not contain both CACertificateRefs and WellKnownCACertificates"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], tls: {minVersion: '1.0'}"), "1.0 is not done yet"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], appProtocols: [gateway.envoyproxy.io/h2c]"), NULL},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], appProtocols: [gateway.envoyproxy.io/ws]"),
         "WebSockets are not done yet"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], appProtocols: [h2c]"), "appProtocols"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], tls: {alpnProtocols: [h2, http/1.1]}"), NULL},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], tls: {alpnProtocols: [http/1.0]}"),
         "HTTP/1.0 has no name in ALPN"},
        {TLS_POLICY("hostname: a.b, wellKnownCACertificates: System"), NULL},
        {TLS_POLICY("hostname: a.b"), "must specify either CACertificateRefs or WellKnownCACertificates"},
        {TLS_POLICY("wellKnownCACertificates: System"), "hostname: Required value"},
        {TLS_POLICY(
             "hostname: a.b, wellKnownCACertificates: System, subjectAltNames: [{type: Hostname, hostname: c.d}, "
             "{type: URI, uri: 'spiffe://a/b'}]"),
         NULL},
        {TLS_POLICY("hostname: a.b, wellKnownCACertificates: System, subjectAltNames: [{type: URI, hostname: c.d}]"),
         "must contain URI, if Type is set to URI"},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], tls: {clientCertificateRef: {name: c}, ciphers: "
                 "[ECDHE-RSA-AES128-GCM-SHA256], ecdhCurves: [X25519], alpnProtocols: [http/1.1]}"),
         NULL},
        {BACKEND("endpoints: [{fqdn: {hostname: a.b, port: 1}}], tls: {ciphers: ['ALL:!aNULL']}"),
         "one name of OpenSSL"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_backend_traffic_policy(void **state)
{
    static const struct loading_case cases[] = {
        {BTP("retry: {numRetries: 3, retryOn: {triggers: [5xx, reset], httpStatusCodes: [429]}, "
             "perRetry: {timeout: 1s, backOff: {baseInterval: 10ms, maxInterval: 1s}}}"),
         NULL},
        {BTP("retry: {retryOn: {triggers: [6xx]}}"), "did you mean 5xx?"},
        {BTP("retry: {retryOn: {httpStatusCodes: [99]}}"), "must be 100 to 599"},
        {BTP("retry: {perRetry: {timeout: 0s, backOff: {baseInterval: 0s}}}"), "baseInterval: must be longer than 0s"},
        {BTP("retry: {perRetry: {backOff: {baseInterval: 2s, maxInterval: 1s}}}"),
         "must not be shorter than baseInterval"},
        {BTP("rateLimit: {}"), "rateLimit: rate limits are not done yet; take it out"},
        {BTP("timeout: {tcp: {connectTimeout: 0}}"), "connectTimeout: must be longer than 0s"},
        {BTP("healthCheck: {active: {type: TCP, tcp: {}, interval: 0s}}"), "interval: must be longer than 0s"},
        {BTP("healthCheck: {active: {type: HTTP, http: {path: '/h?full=1'}}}"), NULL},
        {BTP("healthCheck: {active: {type: HTTP, http: {path: '/h x'}}}"), "path: \"/h x\" must be a path of a URL"},
        {BTP("retry: {numRetries: 1.5}"), "must be a whole number, not a decimal number"},
        {BTP("retry: {numRetries: -1}"), "numRetries: must be 0"},
        {BTP("timeout: {tcp: {connectTimeout: 1s}, http: {requestTimeout: 1m, maxStreamDuration: 1h}}"), NULL},
        {BTP("healthCheck: {passive: {}, active: {type: HTTP, http: {path: /h}}, panicThreshold: 0}"), NULL},
        {BTP("healthCheck: {active: {type: TCP, tcp: {}}}"), NULL},
        {BTP("healthCheck: {active: {type: HTTP}}"), "If Health Checker type is HTTP, http field needs to be set."},
        {BTP("healthCheck: {active: {type: TCP, tcp: {}, http: {path: /}}}"), "type is HTTP, http field"},
        {BTP("healthCheck: {active: {type: GRPC, grpc: {}}}"), "GRPC is not done yet"},
        {BTP("healthCheck: {panicThreshold: 101}"), "panicThreshold: must be 0 to 100"},
        {BTP("healthCheck: {passive: {failurePercentageThreshold: 85}}"), "not done yet"},
        {BTP("circuitBreaker: {maxConnections: 10}, loadBalancer: {type: RoundRobin}"), NULL},
        {BTP("circuitBreaker: {perEndpoint: {}}"), "not done yet"},
        {BTP("loadBalancer: {type: ConsistentHash, consistentHash: {type: SourceIP}}"),
         "ConsistentHash is not done yet"},
        {BTP("loadBalancer: {type: Random, consistentHash: {}}"), "consistentHash field needs to be set"},
        {BTP("rateLimit: {}"), "rate limits are not done yet"},
        {BTP("useClientProtocol: false"), NULL},
        {BTP("useClientProtocol: true"), "see appProtocols"},
        {BTP("http2: {maxConcurrentStreams: 50, initialStreamWindowSize: 1Mi, connectionKeepalive: {interval: 30s}}"),
         NULL},
        {BTP("http2: {maxConcurrentStreams: 0}"), "maxConcurrentStreams: must be 1"},
        {BTP("http2: {connectionKeepalive: {}}"), "interval"},
        {BTP("targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}"),
         "either targetRef or targetRefs must be used"},
        {RESOURCE(ENVOY_GATEWAY, "BackendTrafficPolicy", ""), "either targetRef or targetRefs must be used"},
        {RESOURCE(ENVOY_GATEWAY, "BackendTrafficPolicy",
                  "targetRef: {group: gateway.networking.k8s.io, kind: TCPRoute, name: g}"),
         "this policy can only have a targetRefs[*].kind of Gateway or HTTPRoute"},
        {RESOURCE(ENVOY_GATEWAY, "BackendTrafficPolicy",
                  "targetRef: {group: aigateway.envoyproxy.io, kind: AIGatewayRoute, name: g}"),
         "group of gateway.networking.k8s.io"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_client_traffic_policy(void **state)
{
    static const struct loading_case cases[] = {
        {CTP("connection: {bufferLimit: 50Mi, connectionLimit: {value: 5, closeDelay: 1s}}"), NULL},
        {CTP("connection: {bufferLimit: 52428800}, headers: {maxRequestHeaderLimit: 64Ki}"), NULL},
        {CTP("connection: {bufferLimit: 0}"), "bufferLimit: \"0\" must be a quantity of bytes above 0"},
        {CTP("connection: {bufferLimit: 5MB}"), "must be a quantity of bytes above 0, such as 50Mi"},
        {CTP("connection: {connectionLimit: {value: 0}}"), "value: must be 1"},
        {CTP("connection: {connectionLimit: {closeDelay: 1s}}"), "closeDelay can only be configured when value is set"},
        {CTP("timeout: {http: {idleTimeout: 1m, requestReceivedTimeout: 10s}}"), NULL},
        {CTP("path: {escapedSlashesAction: KeepUnchanged}"), NULL},
        {CTP("path: {escapedSlashesAction: RejectRequest}"), NULL},
        {CTP("path: {escapedSlashesAction: UnescapeAndForward}"), "UnescapeAndForward is not done yet"},
        {CTP("tls: {}"), NULL},
        {CTP("tls: {clientValidation: {}}"), "clientValidation needs caCertificateRefs"},
        {CTP("tls: {clientValidation: {caCertificateRefs: [{name: a}], optional: true}, minVersion: '1.3'}"), NULL},
        {CTP("tls: {clientValidation: {caCertificateRefs: [{name: a, kind: Bundle}]}}"), "must name a ConfigMap"},
        {CTP("tls: {clientValidation: {caCertificateRefs: [{name: a}], subjectAltNames: {}}}"), "needs a name"},
        {CTP("tls: {clientValidation: {caCertificateRefs: [{name: a}], subjectAltNames: {dnsNames: []}}}"),
         "needs a name"},
        {CTP("tls: {clientValidation: {caCertificateRefs: [{name: a}], subjectAltNames: {dnsNames: [{value: b}]}}}"),
         NULL},
        {CTP("tls: {clientValidation: {caCertificateRefs: [{name: a}], subjectAltNames: {uris: [{type: "
             "RegularExpression, "
             "value: b}]}}}"),
         "RegularExpression is not done yet"},
        {CTP("tls: {minVersion: '1.3', ciphers: [ECDHE-RSA-AES128-GCM-SHA256]}"), "setting ciphers has no effect"},
        {CTP("tls: {minVersion: '1.3', maxVersion: '1.2'}"), "minVersion must be smaller or equal"},
        {CTP("tls: {minVersion: '1.1'}"), "TLS 1.2 is the oldest"},
        {CTP("clientIPDetection: {}"), NULL},
        {CTP("clientIPDetection: {xForwardedFor: {numTrustedHops: 2}}"), NULL},
        {CTP("clientIPDetection: {xForwardedFor: {trustedCIDRs: [10.0.0.0/8, '2001:db8::/32']}}"), NULL},
        {CTP("clientIPDetection: {xForwardedFor: {}}"), "only one of numTrustedHops or trustedCIDRs must be set"},
        {CTP("clientIPDetection: {xForwardedFor: {numTrustedHops: 1, trustedCIDRs: [10.0.0.0/8]}}"), "only one of"},
        {CTP("clientIPDetection: {xForwardedFor: {trustedCIDRs: [10.0.0.0]}}"), "a range of addresses"},
        {CTP("clientIPDetection: {customHeader: {name: true-client-ip, failClosed: true}}"), NULL},
        {CTP("clientIPDetection: {customHeader: {name: a}, xForwardedFor: {numTrustedHops: 1}}"), "in conjunction"},
        {CTP("proxyProtocol: {}, enableProxyProtocol: true"), NULL},
        {CTP("proxyProtocol: {optional: true}"), NULL},
        {CTP("headers: {preserveXRequestID: false, xForwardedClientCert: {mode: ForwardOnly}}"), NULL},
        {CTP("headers: {preserveXRequestID: false, requestID: Generate}"), "cannot both be set"},
        {CTP("healthCheck: {path: /healthz}"), NULL},
        {CTP("healthCheck: {path: healthz}"), "path"},
        {CTP("headers: {requestID: Disable}"), "Disable is not done yet"},
        {CTP("headers: {withUnderscoresAction: DropHeader}"), NULL},
        {CTP("headers: {xForwardedClientCert: {mode: SanitizeSet}}"), "SanitizeSet is not done yet"},
        {CTP("connection: {connectionLimit: {value: 9, maxRequestsPerConnection: 9, maxConnectionDuration: 9s}}"),
         NULL},
        {CTP("http3: {}"), "HTTP/3 is not done yet"},
        {CTP("enableProxyProtocol: false, http1: {preserveHeaderCase: true, http10: {}}"), NULL},
        {RESOURCE(ENVOY_GATEWAY, "ClientTrafficPolicy", TO_ROUTE), "kind of Gateway, not HTTPRoute"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

static void test_envoy_proxy(void **state)
{
    static const struct loading_case cases[] = {
        {LOG("format: {type: JSON, json: {a: '%PROTOCOL%', b: {c: d}}}, matches: ['true'], " SINK), NULL},
        {LOG("format: {type: Text, text: '%PROTOCOL%'}, " SINK), NULL},
        {LOG(SINK), NULL},
        {LOG("format: {type: Text}, " SINK), "If AccessLogFormat type is Text, text field needs to be set."},
        {LOG("format: {type: JSON}, " SINK), "If AccessLogFormat type is JSON, json field needs to be set."},
        {LOG("format: {type: JSON, json: {}, text: a}, " SINK), "text field must not be set."},
        {LOG("format: {type: Text, json: {}, text: a}, " SINK), "json field must not be set."},
        {LOG("format: {}, " SINK), "at least one of text or json must be set."},
        {LOG("format: {type: JSON, json: {a: 5}}, " SINK), "must be a text (in quotes) or a map"},
        {LOG("sinks: []"), "sinks: must have at least 1 entry"},
        {LOG("sinks: [{type: File}]"), "If AccessLogSink type is File, file field needs to be set."},
        {LOG("sinks: [{type: OpenTelemetry, openTelemetry: {}}]"), "OpenTelemetry is not done yet"},
        {PROXY("provider: {type: Kubernetes}, logging: {level: {default: info}}, filterOrder: []"), NULL},
        {PROXY("bootstrap: {value: x}"), "no Envoy bootstrap"},
        {PROXY("telemetry: {tracing: {}}"), "tracing is not done yet"},
    };
    (void)state;
    LOADING_CHECK(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_http_route),
        cmocka_unit_test(test_backend),
        cmocka_unit_test(test_backend_traffic_policy),
        cmocka_unit_test(test_client_traffic_policy),
        cmocka_unit_test(test_envoy_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
