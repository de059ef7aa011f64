// `weir run` without files: the configuration that OPENAI_API_KEY and its companions stand for (operations-and-mcp.md
// 7.2), written as the YAML that a user would write, so that one loader decides what is right.
#include "cli/load.h"

#include <arpa/inet.h>

// An address like https://api.openai.com/v1 taken apart.
struct base_url {
    bool is_tls;
    bool is_ip;
    struct slice host; // IPv6 without brackets
    uint64_t port;
    struct slice path; // without slashes at the ends
};

static bool is_ip_literal(struct slice host)
{
    char text[64] = "";
    struct in6_addr ignored;
    if (host.len == 0 || host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    return inet_pton(AF_INET, text, &ignored) == 1 || inet_pton(AF_INET6, text, &ignored) == 1;
}

// What may stand in a host name or a path of the generated YAML without being quoted.
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr("-._~/:%+@", c)))
            return false;
    }
    return true;
}

static bool split_authority(struct slice authority, struct base_url *url)
{
    struct slice port = {NULL, 0};
    if (slice_starts_with(authority, SLICE("["))) {
        size_t end = slice_find(authority, ']');
        if (end == SLICE_NOT_FOUND)
            return false;
        url->host = slice_sub(authority, 1, end - 1);
        struct slice rest = slice_from(authority, end + 1);
        if (rest.len > 0 && rest.ptr[0] != ':')
            return false;
        port = slice_from(rest, 1);
    } else {
        port = authority;
        url->host = slice_split(&port, ':');
    }
    url->port = url->is_tls ? 443 : 80;
    url->is_ip = is_ip_literal(url->host);
    return url->host.len > 0 && (port.len == 0 || (slice_to_u64(port, 65535, &url->port) && url->port > 0));
}

static bool parse_base_url(struct slice text, struct base_url *ret_url)
{
    *ret_url = (struct base_url){.is_tls = slice_starts_with_nocase(text, SLICE("https://"))};
    if (!ret_url->is_tls && !slice_starts_with_nocase(text, SLICE("http://")))
        return false;
    struct slice path = slice_from(text, ret_url->is_tls ? 8 : 7);
    struct slice authority = slice_split(&path, '/');
    while (slice_starts_with(path, SLICE("/")))
        path = slice_from(path, 1);
    while (slice_ends_with(path, SLICE("/")))
        path.len--;
    ret_url->path = path;
    return is_plain(path) && split_authority(authority, ret_url) && is_plain(ret_url->host) &&
           slice_find(authority, '@') == SLICE_NOT_FOUND;
}

static const char *variable(struct cli *cli, const char *name)
{
    const char *value = cli->environment(name);
    return value && *value ? value : NULL;
}

static void write_gateway(struct buf *out)
{
    buf_append(out,
               SLICE("apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: weir}\n"
                     "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n---\n"
                     "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: weir-run, namespace: "
                     "default}\nspec:\n  gatewayClassName: weir\n  listeners:\n    - {name: http, protocol: HTTP, "
                     "port: 1975}\n---\n"));
}

static void write_route(struct buf *out)
{
    buf_append(out,
               SLICE("apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIGatewayRoute\nmetadata: {name: weir-run, "
                     "namespace: default}\nspec:\n  parentRefs:\n    - {name: weir-run, kind: Gateway, group: "
                     "gateway.networking.k8s.io}\n  llmRequestCosts:\n"
                     "    - {metadataKey: llm_input_token, type: InputToken}\n"
                     "    - {metadataKey: llm_output_token, type: OutputToken}\n"
                     "    - {metadataKey: llm_total_token, type: TotalToken}\n"
                     "    - {metadataKey: llm_reasoning_token, type: ReasoningToken}\n"
                     "  rules:\n    - matches:\n        - headers:\n            - {type: RegularExpression, name: "
                     "x-ai-eg-model, value: \".*\"}\n      backendRefs:\n        - {name: openai}\n---\n"));
}

static void write_backend(struct buf *out, const struct base_url *url, bool has_organization, bool has_project)
{
    buf_append(out,
               SLICE("apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: AIServiceBackend\nmetadata: {name: openai, "
                     "namespace: default}\nspec:\n"));
    buf_printf(out, "  schema: {name: OpenAI, prefix: \"/" SLICE_FMT "\"}\n", SLICE_ARG(url->path));
    buf_append(out, SLICE("  backendRef: {name: openai, kind: Backend, group: gateway.envoyproxy.io}\n"));
    if (has_organization || has_project)
        buf_append(out, SLICE("  headerMutation:\n    set:\n"));
    if (has_organization)
        buf_append(out, SLICE("      - {name: OpenAI-Organization, value: \"${OPENAI_ORG_ID}\"}\n"));
    if (has_project)
        buf_append(out, SLICE("      - {name: OpenAI-Project, value: \"${OPENAI_PROJECT_ID}\"}\n"));
    buf_append(out, SLICE("---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: openai, "
                          "namespace: default}\nspec:\n  endpoints:\n"));
    buf_printf(out, "    - %s: {%s: \"" SLICE_FMT "\", port: %u}\n", url->is_ip ? "ip" : "fqdn",
               url->is_ip ? "address" : "hostname", SLICE_ARG(url->host), (unsigned)url->port);
    // A BackendTLSPolicy takes host names only.
    if (url->is_tls && url->is_ip) {
        buf_append(out, SLICE("  tls: {wellKnownCACertificates: System}\n"));
    } else if (url->is_tls) {
        buf_append(out, SLICE("---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: "
                              "openai, namespace: default}\nspec:\n  targetRefs:\n    - {group: gateway.envoyproxy.io, "
                              "kind: Backend, name: openai}\n  validation:\n    wellKnownCACertificates: System\n"));
        buf_printf(out, "    hostname: \"" SLICE_FMT "\"\n", SLICE_ARG(url->host));
    }
    buf_append(out, SLICE("---\n"));
}

static void write_credential(struct buf *out)
{
    buf_append(out,
               SLICE("apiVersion: aigateway.envoyproxy.io/v1beta1\nkind: BackendSecurityPolicy\nmetadata: {name: "
                     "openai, namespace: default}\nspec:\n  targetRefs:\n    - {group: aigateway.envoyproxy.io, kind: "
                     "AIServiceBackend, name: openai}\n  type: APIKey\n  apiKey:\n    secretRef: {name: openai}\n"
                     "---\napiVersion: v1\nkind: Secret\nmetadata: {name: openai, namespace: default}\nstringData:\n"
                     "  apiKey: \"${OPENAI_API_KEY}\"\n"));
}

static bool refuse(struct cli *cli)
{
    if (variable(cli, "AZURE_OPENAI_API_KEY") || variable(cli, "ANTHROPIC_API_KEY"))
        fprintf(cli->err,
                "weir run: %s is set, but this version of Weir does not speak that provider's dialect yet; set "
                "OPENAI_API_KEY (and OPENAI_BASE_URL) or give a configuration file\n",
                variable(cli, "AZURE_OPENAI_API_KEY") ? "AZURE_OPENAI_API_KEY" : "ANTHROPIC_API_KEY");
    else
        fputs("weir run: give a configuration file or folder, or set OPENAI_API_KEY\nTry `weir help run`.\n", cli->err);
    return false;
}

bool load_from_environment(struct cli *cli, struct arena *arena, struct sources *sources)
{
    const char *base = variable(cli, "OPENAI_BASE_URL");
    struct base_url url;
    // As in Envoy AI Gateway, Azure's key wins; it must not be passed over in silence.
    if (!variable(cli, "OPENAI_API_KEY") || variable(cli, "AZURE_OPENAI_API_KEY"))
        return refuse(cli);
    if (!parse_base_url(slice_from_cstr(base ? base : "https://api.openai.com/v1"), &url)) {
        fprintf(cli->err, "weir run: OPENAI_BASE_URL is no http:// or https:// address with a host: %s\n", base);
        return false;
    }
    struct buf text;
    buf_init(&text, 1 << 20);
    write_gateway(&text);
    write_route(&text);
    write_backend(&text, &url, variable(cli, "OPENAI_ORG_ID"), variable(cli, "OPENAI_PROJECT_ID"));
    write_credential(&text);
    bool is_good = !text.has_failed && ARENA_GROW(arena, sources);
    if (is_good)
        sources->items[sources->count++] =
            (struct config_file){SLICE("(environment)"), arena_dup(arena, buf_slice(&text))};
    buf_fini(&text);
    return is_good;
}
