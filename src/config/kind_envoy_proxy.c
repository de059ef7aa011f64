// EnvoyProxy (gateway.envoyproxy.io): the access log. What describes the Envoy deployment has no effect and is noted;
// what changes traffic is refused.
#include "config/kind_shared.h"

static const char *const format_types[] = {"Text", "JSON", NULL};
static const char *const log_types[] = {"Listener", "Route", "Upstream", NULL};
static const char *const served_log_types[] = {"Route", NULL};
static const char *const sink_types[] = {"ALS", "File", "OpenTelemetry", NULL};
static const char *const served_sinks[] = {"File", NULL};

static const struct field format_fields[] = {
    {.name = "type", .type = FIELD_STRING, .values = format_types, .absent = "by what is set", .doc = "Text or JSON."},
    {.name = "text", .type = FIELD_STRING, .min = 1, .doc = "A line with Envoy's command operators."},
    {.name = "json",
     .type = FIELD_MAP,
     .item = FIELD_ANY,
     .doc = "Members of a JSON line, with Envoy's command operators; maps may nest."},
    END_OF_FIELDS,
};

// Values are texts or maps of such. Recurses as deep as the document, at most DOCUMENT_MAX_DEPTH.
static void check_json(struct check *check, const struct node *map)
{
    for (const struct node *member = node_first(map); member; member = member->next) {
        if (member->type == NODE_MAP)
            check_json(check, member);
        else if (member->type != NODE_STRING)
            check_error(check, member, "json: the value of \"" SLICE_FMT "\" must be a text (in quotes) or a map",
                        SLICE_ARG(member->key));
    }
}

static void rule_format(struct check *check, const struct node *format)
{
    bool has_text = node_has(format, "text");
    bool has_json = node_has(format, "json");
    bool is_text = node_is(format, "type", "Text");
    bool is_json = node_is(format, "type", "JSON");
    if (is_text && !has_text)
        check_error(check, format, "If AccessLogFormat type is Text, text field needs to be set.");
    if (is_text && has_json)
        check_error(check, format, "If AccessLogFormat type is Text, json field must not be set.");
    if (is_json && !has_json)
        check_error(check, format, "If AccessLogFormat type is JSON, json field needs to be set.");
    if (is_json && has_text)
        check_error(check, format, "If AccessLogFormat type is JSON, text field must not be set.");
    if (!node_has(format, "type") && !has_text && !has_json)
        check_error(check, format, "If AccessLogFormat type is unset, at least one of text or json must be set.");
    if (!node_has(format, "type") && has_text && has_json)
        check_error(check, format, "format: with both text and json set, say which by type");
    check_json(check, node_get(format, SLICE("json")));
}

static const struct field file_fields[] = {
    {.name = "path",
     .type = FIELD_STRING,
     .is_required = true,
     .min = 1,
     .pattern = PATTERN_ABSOLUTE_PATH,
     .doc = "/dev/stdout, /dev/stderr or a file."},
    END_OF_FIELDS,
};

static const struct field sink_fields[] = {
    {.name = "type",
     .type = FIELD_STRING,
     .is_required = true,
     .values = sink_types,
     .served = served_sinks,
     .words = "File is",
     .doc = "File."},
    {.name = "file", .type = FIELD_OBJECT, .fields = file_fields, .doc = "The file."},
    {.name = "als", .type = FIELD_ANY, .doc = "Refused by its type."},
    {.name = "openTelemetry", .type = FIELD_ANY, .doc = "Refused by its type."},
    END_OF_FIELDS,
};

static void rule_sink(struct check *check, const struct node *sink)
{
    static const char *const blocks[][2] = {{"ALS", "als"}, {"File", "file"}, {"OpenTelemetry", "openTelemetry"}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (node_has(sink, "type") && node_is(sink, "type", blocks[i][0]) != node_has(sink, blocks[i][1]))
            check_error(check, sink, "If AccessLogSink type is %s, %s field needs to be set.", blocks[i][0],
                        blocks[i][1]);
}

static const struct field setting_fields[] = {
    {.name = "format",
     .type = FIELD_OBJECT,
     .fields = format_fields,
     .rule = rule_format,
     .absent = "the default JSON line",
     .doc = "What a line says."},
    {.name = "matches",
     .type = FIELD_LIST,
     .item = FIELD_STRING,
     .item_min = 1,
     .max = 10,
     .doc = "CEL expressions; only requests for which all hold are logged."},
    {.name = "sinks",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = sink_fields,
     .is_required = true,
     .min = 1,
     .max = 50,
     .rule = rule_sink,
     .doc = "Where lines go."},
    {.name = "type",
     .type = FIELD_STRING,
     .values = log_types,
     .served = served_log_types,
     .words = "requests are logged (Route)",
     .absent = "Route",
     .doc = "Route."},
    END_OF_FIELDS,
};

static const struct field access_log[] = {
    {.name = "disable", .type = FIELD_BOOL, .preset = "false", .doc = "No access log."},
    {.name = "settings",
     .type = FIELD_LIST,
     .item = FIELD_OBJECT,
     .fields = setting_fields,
     .min = 1,
     .max = 50,
     .absent = "a JSON line on stdout",
     .doc = "The logs."},
    END_OF_FIELDS,
};

static const struct field telemetry[] = {
    {.name = "accessLog", .type = FIELD_OBJECT, .fields = access_log, .doc = "The access log."},
    REFUSED("tracing", "tracing is not done yet", "Tracing."),
    REFUSED("healthCheckLog", "a log of health checks is not done yet", "Log of health checks."),
    IGNORED("metrics", "metrics stand on the admin port, /metrics", "Without effect."),
    IGNORED("requestID", "tracing is not done yet, so there is nothing to sample", "Without effect."),
    END_OF_FIELDS,
};

static const struct field backend_tls[] = {
    {.name = "clientCertificateRef",
     .type = FIELD_OBJECT,
     .fields = shared_object_ref,
     .rule = rule_secret_ref,
     .doc = "Secret with the certificate (tls.crt, tls.key) that Weir shows to backends."},
    BACKEND_ALPN_FIELD,
    TLS_CHOICE_FIELDS,
    END_OF_FIELDS,
};

static const struct field spec_fields[] = {
    {.name = "telemetry", .type = FIELD_OBJECT, .fields = telemetry, .doc = "The access log."},
    IGNORED("provider", "it describes the Envoy deployment, of which there is none", "Deployment of Envoy."),
    IGNORED("logging", "weir run --log-level sets the level of Weir's log", "Log levels of Envoy."),
    IGNORED("concurrency", "weir run --workers sets the number of workers", "Threads of Envoy."),
    IGNORED("extraArgs", "there is no Envoy command line", "Arguments of Envoy."),
    IGNORED("shutdown", "weir run --drain-time sets the time", "Shutdown of Envoy."),
    IGNORED("ipFamily", "weir run --address says where Weir listens", "Addresses of Envoy."),
    IGNORED("routingType", "endpoints are called as the Backend lists them", "Kubernetes routing."),
    IGNORED("filterOrder", "Weir has no filter chain; its order is fixed", "Order of Envoy's filters."),
    IGNORED("luaValidation", "Lua is not run", "Lua."),
    IGNORED("lua", "Lua is not run", "Lua."),
    REFUSED("bootstrap", "there is no Envoy bootstrap to change", "Envoy's bootstrap."),
    {.name = "backendTLS",
     .type = FIELD_OBJECT,
     .fields = backend_tls,
     .rule = rule_tls_choice,
     .doc = "TLS towards the backends of the Gateway's routes that have TLS, where these say nothing of their own."},
    REFUSED("dynamicModules", "Envoy modules can't be loaded", "Modules of Envoy."),
    REFUSED("geoIP", "geographic addresses are not done yet", "GeoIP."),
    REFUSED("mergeBackends", "merging backends is not done yet", "Merging."),
    {.name = "mergeGateways",
     .type = FIELD_BOOL,
     .support = SUPPORT_REFUSED,
     .words = "merging Gateways is not done yet",
     .harmless = "false",
     .doc = "Merging."},
    {.name = "mergeType",
     .type = FIELD_STRING,
     .support = SUPPORT_REFUSED,
     .words = "merging is not done yet: the EnvoyProxy of the Gateway replaces that of its class",
     .harmless = "Replace",
     .doc = "Merging."},
    {.name = "preserveRouteOrder",
     .type = FIELD_BOOL,
     .support = SUPPORT_REFUSED,
     .words = "the most specific rule wins, whatever the order",
     .harmless = "false",
     .doc = "Order of routes."},
    END_OF_FIELDS,
};

const struct kind kind_envoy_proxy = {
    .kind = KIND_ENVOY_PROXY,
    .name = "EnvoyProxy",
    .group = GROUP_ENVOY_GATEWAY,
    .versions = {"v1alpha1"},
    .fields = SPEC(.fields = spec_fields, .doc = "The settings."),
    .doc = "The access log. A Gateway names it in infrastructure.parametersRef, or its GatewayClass does.",
};
