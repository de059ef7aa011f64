// Walks the configuration's model and writes it. A refused append marks the buffer, which is looked at once, at the end.
#include "host/native/admin_config.h"

#include "config/dialect.h"
#include "json/json.h"

// ---- JSON -----------------------------------------------------------------------------------------------------

// A comma where something stands before it in the same object or array.
static void comma(struct buf *out)
{
    char last = out->len ? out->ptr[out->len - 1] : '{';
    if (last != '{' && last != '[' && last != ':')
        buf_append_byte(out, ',');
}

static void begin(struct buf *out, const char *key, char bracket)
{
    comma(out);
    if (key) {
        json_write_string(out, slice_from_cstr(key));
        buf_append_byte(out, ':');
    }
    buf_append_byte(out, bracket);
}

static void finish(struct buf *out, char bracket)
{
    buf_append_byte(out, bracket);
}

static void text(struct buf *out, const char *key, struct slice value)
{
    if (value.len == 0)
        return;
    comma(out);
    json_write_string(out, slice_from_cstr(key));
    buf_append_byte(out, ':');
    json_write_string(out, value);
}

static void element(struct buf *out, struct slice value)
{
    comma(out);
    json_write_string(out, value);
}

static void number(struct buf *out, const char *key, int64_t value)
{
    comma(out);
    json_write_string(out, slice_from_cstr(key));
    buf_append_byte(out, ':');
    buf_append_i64(out, value);
}

static void boolean(struct buf *out, const char *key, bool value)
{
    comma(out);
    json_write_string(out, slice_from_cstr(key));
    buf_append_byte(out, ':');
    buf_append(out, value ? SLICE("true") : SLICE("false"));
}

// ---- pieces ---------------------------------------------------------------------------------------------------

static bool contains_nocase(struct slice haystack, struct slice needle)
{
    for (size_t i = 0; i + needle.len <= haystack.len; i++)
        if (slice_eq_nocase(slice_sub(haystack, i, needle.len), needle))
            return true;
    return false;
}

// Users put keys into header mutations, too: a value whose name sounds like a secret is not shown.
static bool sounds_secret(struct slice name)
{
    static const struct slice words[] = {SLICE_INIT("auth"),      SLICE_INIT("key"),      SLICE_INIT("token"),
                                         SLICE_INIT("secret"),    SLICE_INIT("password"), SLICE_INIT("cookie"),
                                         SLICE_INIT("credential")};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (contains_nocase(name, words[i]))
            return true;
    return false;
}

// What a header or member of that name is set to or compared with.
static struct slice shown(struct config_text name, struct config_text value)
{
    bool is_lifted = slice_starts_with_nocase(name.text, SLICE("x-ai-eg-")); // models and pins are none
    return !is_lifted && (value.is_hidden || sounds_secret(name.text)) ? SLICE("***") : value.text;
}

static void write_mutation(struct buf *out, const char *key, const struct config_mutation *mutation)
{
    if (mutation->set_count + mutation->remove_count == 0)
        return;
    begin(out, key, '{');
    begin(out, "set", '[');
    for (size_t i = 0; i < mutation->set_count; i++) {
        const struct config_set *set = &mutation->set[i];
        begin(out, NULL, '{');
        text(out, "name", set->name.text);
        text(out, "value", shown(set->name, set->value));
        finish(out, '}');
    }
    finish(out, ']');
    begin(out, "remove", '[');
    for (size_t i = 0; i < mutation->remove_count; i++)
        element(out, mutation->remove[i].text);
    finish(out, ']');
    finish(out, '}');
}

static struct slice credential_name(enum config_credential_type type)
{
    switch (type) {
    case CREDENTIAL_NONE:
        return SLICE("");
    case CREDENTIAL_API_KEY:
        return SLICE("APIKey");
    case CREDENTIAL_AZURE_API_KEY:
        return SLICE("AzureAPIKey");
    case CREDENTIAL_ANTHROPIC_API_KEY:
        return SLICE("AnthropicAPIKey");
    }
    return SLICE("");
}

static void write_backend(struct buf *out, const struct config_backend *backend)
{
    begin(out, NULL, '{');
    text(out, "namespace", backend->namespace_);
    text(out, "name", backend->name);
    text(out, "schema", dialect_name(backend->schema));
    text(out, "version", backend->version);
    text(out, "prefix", backend->prefix);
    text(out, "host", backend->host);
    begin(out, "endpoints", '[');
    for (size_t i = 0; i < backend->endpoint_count; i++) {
        begin(out, NULL, '{');
        text(out, "host", backend->endpoints[i].host);
        number(out, "port", backend->endpoints[i].port);
        finish(out, '}');
    }
    finish(out, ']');
    if (backend->proxy) {
        begin(out, "forwardProxy", '{');
        text(out, "host", backend->proxy->host);
        number(out, "port", backend->proxy->port);
        text(out, "authorization", secret_is_set(backend->proxy->authorization) ? SLICE("***") : SLICE(""));
        finish(out, '}');
    }
    if (backend->tls.is_enabled) {
        begin(out, "tls", '{');
        text(out, "sni", backend->tls.sni);
        text(out, "verifyName", backend->tls.verify_name);
        text(out, "ca", backend->tls.trust.ca_pem.len ? SLICE("configured") : SLICE("system"));
        boolean(out, "insecureSkipVerify", backend->tls.is_unverified);
        finish(out, '}');
    }
    if (backend->credential.type != CREDENTIAL_NONE) {
        begin(out, "credential", '{');
        text(out, "type", credential_name(backend->credential.type));
        text(out, "key", secret_is_set(backend->credential.key) ? SLICE("***") : SLICE(""));
        text(out, "overrideHeader", backend->credential.override_header);
        finish(out, '}');
    }
    write_mutation(out, "headerMutation", &backend->header_mutation);
    write_mutation(out, "bodyMutation", &backend->body_mutation);
    finish(out, '}');
}

static struct slice match_name(enum config_match_type type)
{
    return type == MATCH_EXACT ? SLICE("exact") : type == MATCH_PREFIX ? SLICE("prefix") : SLICE("regex");
}

static void write_names(struct buf *out, const char *key, const struct config_name_match *matches, size_t count)
{
    if (count == 0)
        return;
    begin(out, key, '[');
    for (size_t i = 0; i < count; i++) {
        begin(out, NULL, '{');
        text(out, "type", match_name(matches[i].type));
        text(out, "name", matches[i].name.text);
        text(out, "value", shown(matches[i].name, matches[i].value));
        finish(out, '}');
    }
    finish(out, ']');
}

static void write_match(struct buf *out, const struct config_match *match)
{
    begin(out, NULL, '{');
    begin(out, "path", '{');
    text(out, "type", match_name(match->path_type));
    text(out, "value", match->path.text.len ? match->path.text : SLICE("/"));
    finish(out, '}');
    text(out, "method", match->method);
    write_names(out, "headers", match->headers, match->header_count);
    write_names(out, "queryParams", match->query, match->query_count);
    finish(out, '}');
}

static void write_reference(struct buf *out, const struct config_backend_ref *ref)
{
    begin(out, NULL, '{');
    text(out, "key", ref->key);
    if (ref->backend) {
        text(out, "namespace", ref->backend->namespace_);
        text(out, "name", ref->backend->name);
    } else {
        boolean(out, "isInvalid", true);
    }
    number(out, "priority", ref->priority);
    number(out, "weight", ref->weight);
    text(out, "modelNameOverride", ref->model_override);
    write_mutation(out, "headerMutation", &ref->header_mutation);
    write_mutation(out, "bodyMutation", &ref->body_mutation);
    finish(out, '}');
}

static void write_traffic(struct buf *out, const struct config_rule *rule)
{
    const struct config_traffic *traffic = &rule->traffic;
    begin(out, "traffic", '{');
    number(out, "requestTimeoutMs", rule->request_timeout_ms);
    number(out, "connectTimeoutMs", traffic->connect_timeout_ms);
    number(out, "streamIdleMs", rule->stream_idle_ms);
    if (traffic->retry.is_set)
        number(out, "numRetries", traffic->retry.num_retries);
    boolean(out, "passiveHealthCheck", traffic->passive.is_set);
    boolean(out, "activeHealthCheck", traffic->active.is_set);
    number(out, "panicThresholdPercent", traffic->panic_threshold_percent);
    finish(out, '}');
}

static void write_rule(struct buf *out, const struct config_rule *rule, bool with_traffic)
{
    begin(out, NULL, '{');
    text(out, "name", rule->name);
    number(out, "index", (int64_t)rule->index);
    begin(out, "matches", '[');
    for (size_t i = 0; i < rule->match_count; i++)
        write_match(out, &rule->matches[i]);
    finish(out, ']');
    begin(out, "backends", '[');
    for (size_t i = 0; i < rule->ref_count; i++)
        write_reference(out, &rule->refs[i]);
    finish(out, ']');
    if (with_traffic)
        write_traffic(out, rule);
    finish(out, '}');
}

static void write_route(struct buf *out, const struct config_route *route, bool with_traffic)
{
    begin(out, NULL, '{');
    text(out, "kind",
         route->kind == ROUTE_AI     ? SLICE("AIGatewayRoute")
         : route->kind == ROUTE_HTTP ? SLICE("HTTPRoute")
                                     : SLICE("TLSRoute"));
    text(out, "namespace", route->namespace_);
    text(out, "name", route->name);
    begin(out, "hostnames", '[');
    for (size_t i = 0; i < route->hostname_count; i++)
        element(out, route->hostnames[i].text);
    finish(out, ']');
    begin(out, "rules", '[');
    for (size_t i = 0; i < route->rule_count; i++)
        write_rule(out, &route->rules[i], with_traffic);
    finish(out, ']');
    finish(out, '}');
}

static void write_client(struct buf *out, const struct config_client *client)
{
    begin(out, "limits", '{');
    number(out, "jsonBodyBytes", (int64_t)client->json_body_bytes);
    number(out, "multipartBodyBytes", (int64_t)client->multipart_body_bytes);
    number(out, "headerBytes", (int64_t)client->header_bytes);
    number(out, "headerCount", (int64_t)client->header_count);
    number(out, "targetBytes", (int64_t)client->target_bytes);
    number(out, "headTimeoutMs", client->head_timeout_ms);
    number(out, "bodyIdleTimeoutMs", client->body_idle_timeout_ms);
    number(out, "keepAliveIdleMs", client->keep_alive_idle_ms);
    number(out, "streamIdleMs", client->stream_idle_ms);
    number(out, "sendTimeoutMs", client->send_timeout_ms);
    number(out, "maxConnections", client->max_connections);
    finish(out, '}');
}

static void write_listener(struct buf *out, const struct config_listener *listener)
{
    text(out, "namespace", listener->namespace_);
    text(out, "gateway", listener->gateway);
    text(out, "name", listener->name);
    text(out, "hostname", listener->hostname);
    number(out, "port", listener->port);
}

// ---- whole answers --------------------------------------------------------------------------------------------

static bool end_document(struct buf *out)
{
    finish(out, '}');
    buf_append_byte(out, '\n');
    return !out->has_failed;
}

bool admin_write_config(const struct snapshot *snapshot, struct buf *out)
{
    const struct config *config = snapshot_config(snapshot);
    begin(out, NULL, '{');
    number(out, "generation", (int64_t)snapshot_generation(snapshot));
    begin(out, "listeners", '[');
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        begin(out, NULL, '{');
        write_listener(out, listener);
        write_client(out, &listener->client);
        begin(out, "accessLogs", '[');
        for (size_t k = 0; k < snapshot_log_count(snapshot, i); k++)
            element(out, snapshot_log_path(snapshot, i, k));
        finish(out, ']');
        finish(out, '}');
    }
    finish(out, ']');
    begin(out, "backends", '[');
    for (size_t i = 0; i < config->backend_count; i++)
        write_backend(out, &config->backends[i]);
    finish(out, ']');
    begin(out, "routes", '[');
    for (size_t i = 0; i < config->route_count; i++)
        write_route(out, &config->routes[i], true);
    finish(out, ']');
    return end_document(out);
}

bool admin_write_routes(const struct snapshot *snapshot, struct buf *out)
{
    const struct config *config = snapshot_config(snapshot);
    begin(out, NULL, '{');
    number(out, "generation", (int64_t)snapshot_generation(snapshot));
    begin(out, "listeners", '[');
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        begin(out, NULL, '{');
        write_listener(out, listener);
        begin(out, "routes", '[');
        for (size_t k = 0; k < listener->route_count; k++)
            write_route(out, listener->routes[k], false);
        finish(out, ']');
        finish(out, '}');
    }
    finish(out, ']');
    return end_document(out);
}
