// From documents to resources: what kind each is, whether it is ours, and its check against its table.
#include "config/resource.h"

#include <stdio.h>

#include "config/data.h"
#include "config/kind.h"
#include "config/nearest.h"
#include "config/substitute.h"

// A kind of other software and how often it came.
struct foreign {
    struct slice name;
    size_t count;
};

struct foreigners {
    struct foreign *items;
    size_t count;
    size_t cap;
    struct mark first;
};

struct loader {
    struct documents *documents;
    const struct config_env *env;
    struct findings *findings;
    struct foreigners foreigners;
    bool has_memory_failed;
};

// ---- kinds that are known but not read ----------------------------------------------------------------------------

static const struct {
    const char *name;
    const char *words;
} unserved[] = {
    {"MCPRoute", "serving MCP is not done yet"},
    {"QuotaPolicy", "quotas are not done yet"},
    {"SecurityPolicy", "authentication and authorization are not done yet, and running without them would leave open "
                       "what this closes"},
    {"EnvoyExtensionPolicy", "there is no Envoy to extend"},
    {"EnvoyPatchPolicy", "there is no Envoy configuration to patch"},
    {"HTTPRouteFilter", "filters by extensionRef are not done yet"},
    {"InferencePool", "pools of inference servers are not done yet: use an AIServiceBackend with its Backend"},
    {"InferenceModel", "pools of inference servers are not done yet: use an AIServiceBackend with its Backend"},
    {"InferenceObjective", "pools of inference servers are not done yet: use an AIServiceBackend with its Backend"},
    {"TCPRoute", "routes of TCP connections are not done"},
    {"UDPRoute", "routes of UDP are not done"},
    {"GRPCRoute", "routes of gRPC are not done yet"},
    {"ListenerSet", "put the listeners into the Gateway"},
    {"XListenerSet", "put the listeners into the Gateway"},
    {"XBackendTrafficPolicy", "use the BackendTrafficPolicy of gateway.envoyproxy.io"},
    {"EnvoyGateway", "it configures Envoy Gateway itself"},
};

static const char *unserved_words(struct slice kind)
{
    for (size_t i = 0; i < sizeof unserved / sizeof *unserved; i++)
        if (slice_eq(kind, slice_from_cstr(unserved[i].name)))
            return unserved[i].words;
    return NULL;
}

// The groups whose kinds are never other software's; a misspelt one counts, so that nothing meant for Weir is skipped.
static bool is_our_group(struct slice group)
{
    static const char *const groups[] = {"aigateway.envoyproxy.io",
                                         "gateway.envoyproxy.io",
                                         "gateway.networking.k8s.io",
                                         "gateway.networking.x-k8s.io",
                                         "inference.networking.k8s.io",
                                         "inference.networking.x-k8s.io",
                                         NULL};
    return nearest_name(group, groups).len > 0;
}

// Kinds whose names others have too, such as Istio's Gateway.
static bool is_homonym(enum resource_kind kind, struct slice group)
{
    bool is_common = kind == KIND_GATEWAY || kind == KIND_BACKEND || kind == KIND_HTTP_ROUTE;
    return is_common && slice_find(group, '.') != SLICE_NOT_FOUND && !is_our_group(group);
}

static struct slice nearest_kind(struct slice word)
{
    struct nearest nearest = nearest_to(word);
    for (size_t i = 0; i < KIND_COUNT; i++)
        nearest_try(&nearest, resource_kind_name((enum resource_kind)i));
    return nearest.name;
}

static void count_foreigner(struct loader *loader, struct slice kind, const struct node *root)
{
    struct foreigners *all = &loader->foreigners;
    for (size_t i = 0; i < all->count; i++) {
        if (slice_eq(all->items[i].name, kind)) {
            all->items[i].count++;
            return;
        }
    }
    if (all->count == 0)
        all->first = root->mark;
    if (ARENA_GROW(loader->documents->arena, all))
        all->items[all->count++] = (struct foreign){kind, 1};
}

// S10: named in one note, never skipped in silence.
static void note_foreigners(struct loader *loader)
{
    const struct foreigners *all = &loader->foreigners;
    struct arena *arena = loader->findings->arena;
    struct slice list = {"", 0};
    if (all->count == 0)
        return;
    for (size_t i = 0; i < all->count; i++)
        list = arena_printf(arena, SLICE_FMT "%s" SLICE_FMT " (%zu)", SLICE_ARG(list), i ? ", " : "",
                            SLICE_ARG(slice_sub(all->items[i].name, 0, 63)), all->items[i].count);
    finding_note(loader->findings, all->first, "kinds of other software are not read: " SLICE_FMT, SLICE_ARG(list));
}

// A kind that has no table here: of other software, or asking for what is not done.
static void refuse_kind(struct loader *loader, const struct node *root, struct slice group, struct slice kind)
{
    const struct node *at = node_get(root, SLICE("kind"));
    const char *words = unserved_words(kind);
    struct slice near = nearest_kind(kind);
    bool is_core = group.len == 0;
    if (is_our_group(group) && words) {
        finding_error(loader->findings, at->mark,
                      SLICE_FMT " is not supported: %s; take it out, or annotate it with weir.dev/ignore: \"true\"",
                      SLICE_ARG(kind), words);
    } else if (is_our_group(group) || (is_core && near.len && near.len == kind.len)) {
        finding_error(loader->findings, at->mark,
                      "unknown kind \"" SLICE_FMT "\" of group \"" SLICE_FMT "\"%s" SLICE_FMT "%s",
                      SLICE_ARG(slice_sub(kind, 0, 63)), SLICE_ARG(slice_sub(group, 0, 80)),
                      near.len ? ": did you mean " : "", SLICE_ARG(near), near.len ? "?" : "");
        loader->documents->is_incomplete = true;
    } else {
        count_foreigner(loader, kind, root);
    }
}

// ---- group and version --------------------------------------------------------------------------------------------

static void split_api_version(struct slice api_version, struct slice *ret_group, struct slice *ret_version)
{
    size_t slash = slice_find(api_version, '/');
    bool has_group = slash != SLICE_NOT_FOUND;
    *ret_group = has_group ? slice_sub(api_version, 0, slash) : (struct slice){"", 0};
    *ret_version = has_group ? slice_from(api_version, slash + 1) : api_version;
}

static bool is_listed(struct slice text, const char *const *values)
{
    for (; *values; values++)
        if (slice_eq(text, slice_from_cstr(*values)))
            return true;
    return false;
}

static void check_version(struct check *check, const struct kind *kind, const struct node *root)
{
    const struct resource *resource = check->resource;
    const struct node *at = node_get(root, SLICE("apiVersion"));
    const char *slash = kind->group[0] ? "/" : "";
    if (!slice_eq(resource->group, slice_from_cstr(kind->group)) || !is_listed(resource->version, kind->versions))
        check_error(check, at, "apiVersion: \"" SLICE_FMT "\" has no %s that is read here: write %s%s%s",
                    SLICE_ARG(slice_sub(resource->api_version, 0, 80)), kind->name, kind->group, slash,
                    kind->versions[0]);
    else if (is_listed(resource->version, kind->old_versions))
        finding_note(check->findings, at->mark, "%s/" SLICE_FMT " is deprecated; use %s/%s instead", kind->group,
                     SLICE_ARG(resource->version), kind->group, kind->versions[0]);
}

// ---- one resource -------------------------------------------------------------------------------------------------

static struct slice name_key(struct arena *arena, enum resource_kind kind, struct slice namespace_, struct slice name)
{
    return arena_printf(arena, "%d/" SLICE_FMT "/" SLICE_FMT, (int)kind, SLICE_ARG(namespace_), SLICE_ARG(name));
}

static void read_metadata(struct resource *resource, const struct kind *kind)
{
    const struct node *metadata = node_get(resource->root, SLICE("metadata"));
    const struct node *name = node_get(metadata, SLICE("name"));
    struct slice namespace_ = node_get_text(metadata, SLICE("namespace"));
    resource->name = node_text(name);
    resource->mark = name ? name->mark : resource->root->mark;
    resource->annotations = node_get(metadata, SLICE("annotations"));
    resource->has_created = node_to_time(node_get(metadata, SLICE("creationTimestamp")), &resource->created_s);
    if (!kind->is_cluster_wide)
        resource->namespace_ = namespace_.len ? namespace_ : SLICE("default");
}

static void keep(struct loader *loader, struct check *check, const struct kind *kind)
{
    struct documents *documents = loader->documents;
    struct resource *resource = check->resource;
    struct slice key = name_key(documents->arena, resource->kind, resource->namespace_, resource->name);
    const struct resource *first = resource->name.len && key.ptr ? map_get(&documents->by_name, key) : NULL;
    if (first) {
        check_error_at(check, resource->mark,
                       "%s " SLICE_FMT "/" SLICE_FMT " is defined twice: first in " SLICE_FMT ", line %u", kind->name,
                       SLICE_ARG(resource->namespace_), SLICE_ARG(resource->name), SLICE_ARG(first->mark.file),
                       first->mark.line);
        return;
    }
    if (!key.ptr || !ARENA_GROW(documents->arena, documents) || // NOLINT(bugprone-sizeof-expression): of pointers
        (resource->name.len && !map_put(&documents->by_name, key, resource)))
        loader->has_memory_failed = true;
    else
        documents->items[documents->count++] = resource;
}

// What kubectl and the API server keep beside a resource, and entries of ConfigMaps that Weir never reads (scripts,
// dashboards), may hold any "${".
static bool is_verbatim(const struct node *node, enum resource_kind kind, const struct node *parent)
{
    static const struct slice kept[][2] = {
        {SLICE_INIT(""), SLICE_INIT("status")},
        {SLICE_INIT("metadata"), SLICE_INIT("managedFields")},
        {SLICE_INIT("annotations"), SLICE_INIT("kubectl.kubernetes.io/last-applied-configuration")},
    };
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (slice_eq(parent->key, kept[i][0]) && slice_eq(node->key, kept[i][1]))
            return true;
    return kind == KIND_CONFIG_MAP && slice_eq(parent->key, SLICE("data")) && !slice_eq(node->key, SLICE("ca.crt")) &&
           !slice_eq(node->key, SLICE("ca.crl"));
}

// The first levels of a resource; below them everything.
static size_t substitute_levels(struct loader *loader, struct node *map, enum resource_kind kind, int levels)
{
    size_t errors = 0;
    for (struct node *member = node_first(map); member; member = member->next) {
        if (is_verbatim(member, kind, map))
            continue;
        errors += levels > 1 && member->type == NODE_MAP
                      ? substitute_levels(loader, member, kind, levels - 1)
                      : substitute(member, loader->documents->arena, loader->env, loader->findings);
    }
    return errors;
}

static void load_resource(struct loader *loader, struct node *root, const struct kind *kind)
{
    struct resource *resource = ARENA_NEW(loader->documents->arena, struct resource);
    struct check check = {loader->documents->arena, loader->findings, resource};
    if (!resource) {
        loader->has_memory_failed = true;
        return;
    }
    resource->kind = kind->kind;
    resource->root = root;
    resource->api_version = node_get_text(root, SLICE("apiVersion"));
    resource->kind_name = slice_from_cstr(kind->name);
    resource->order = loader->documents->count;
    split_api_version(resource->api_version, &resource->group, &resource->version);
    resource->has_errors = substitute_levels(loader, root, kind->kind, 3) > 0;
    check_version(&check, kind, root);
    read_metadata(resource, kind);
    check_resource(&check, kind, root);
    resource->spec = node_get(root, SLICE("spec"));
    if (resource->kind == KIND_SECRET || resource->kind == KIND_CONFIG_MAP)
        data_read(&check, loader->env);
    keep(loader, &check, kind);
}

// ---- documents ----------------------------------------------------------------------------------------------------

static void refuse_document(struct loader *loader, const struct node *at, const char *words)
{
    finding_error(loader->findings, at->mark, "%s", words);
    loader->documents->is_incomplete = true;
}

static bool is_own_annotation(const struct node *root, struct slice name)
{
    return slice_eq(name, SLICE("weir.dev/ignore")) ||
           (slice_eq(name, SLICE(PROXY_CREDENTIALS_ANNOTATION)) &&
            slice_eq(node_get_text(root, SLICE("kind")), SLICE("GatewayConfig")));
}

// `weir.dev/ignore: "true"` on a resource of any kind.
static bool is_ignored(struct loader *loader, const struct node *root)
{
    const struct node *annotations = node_get(node_get(root, SLICE("metadata")), SLICE("annotations"));
    const struct node *ignore = node_get(annotations, SLICE("weir.dev/ignore"));
    for (const struct node *annotation = node_first(annotations); annotation; annotation = annotation->next)
        if (slice_starts_with(annotation->key, SLICE("weir.dev/")) && !is_own_annotation(root, annotation->key))
            finding_error(loader->findings, annotation->key_mark,
                          "unknown annotation \"" SLICE_FMT
                          "\": there are weir.dev/ignore, and on a GatewayConfig " PROXY_CREDENTIALS_ANNOTATION,
                          SLICE_ARG(slice_sub(annotation->key, 0, 80)));
    if (ignore && !slice_eq(node_text(ignore), SLICE("true")) && !slice_eq(node_text(ignore), SLICE("false")))
        finding_error(loader->findings, ignore->mark, "weir.dev/ignore: must be \"true\" or \"false\"");
    return slice_eq(node_text(ignore), SLICE("true"));
}

static void load_document(void *context, struct node *root);

// Items of a list of one kind, as the API server writes it, don't say what they are.
static void name_items(struct loader *loader, struct node *list, struct slice api_version, struct slice kind)
{
    for (struct node *item = node_first(list); item; item = item->next) {
        if (item->type != NODE_MAP || node_get(item, SLICE("kind")))
            continue;
        node_add(loader->documents->arena, item, SLICE("kind"), NODE_STRING, kind);
        if (!node_get(item, SLICE("apiVersion")))
            node_add(loader->documents->arena, item, SLICE("apiVersion"), NODE_STRING, api_version);
    }
}

// What `kubectl get -o yaml` writes around several resources, or the API server around those of one kind. Lists within
// lists are bounded by the document's depth.
static void load_list(struct loader *loader, struct node *root, struct slice api_version, struct slice kind)
{
    struct node *items = node_get(root, SLICE("items"));
    if (items && items->type != NODE_LIST) {
        refuse_document(loader, items, "items: must be a list of resources");
        return;
    }
    if (kind.len > 4)
        name_items(loader, items, api_version, slice_sub(kind, 0, kind.len - 4));
    for (struct node *item = node_first(items); item; item = item->next)
        load_document(loader, item);
}

static void load_document(void *context, struct node *root)
{
    struct loader *loader = context;
    struct slice kind_name = node_get_text(root, SLICE("kind"));
    struct slice api_version = node_get_text(root, SLICE("apiVersion"));
    struct slice group;
    struct slice version;
    if (root->type != NODE_MAP || kind_name.len + api_version.len == 0) {
        refuse_document(loader, root, "no resource: a document is a map with apiVersion, kind, metadata and spec");
        return;
    }
    if (kind_name.len == 0 || api_version.len == 0) {
        refuse_document(loader, root,
                        kind_name.len ? "no resource: apiVersion: Required value: say the group and version of the kind"
                                      : "no resource: kind: Required value: say what the document is, such as Gateway");
        return;
    }
    if (is_ignored(loader, root)) {
        finding_note(loader->findings, root->mark, SLICE_FMT " skipped: its annotation weir.dev/ignore says so",
                     SLICE_ARG(slice_sub(kind_name, 0, 63)));
        return;
    }
    split_api_version(api_version, &group, &version);
    enum resource_kind kind = resource_kind_from_name(kind_name);
    if (slice_ends_with(kind_name, SLICE("List")) && (group.len == 0 || is_our_group(group)))
        load_list(loader, root, api_version, kind_name);
    else if (kind == KIND_COUNT)
        refuse_kind(loader, root, group, kind_name);
    else if (is_homonym(kind, group))
        count_foreigner(loader, kind_name, root);
    else
        load_resource(loader, root, kind_of(kind));
}

// ---- all ----------------------------------------------------------------------------------------------------------

bool documents_load(struct documents *documents, struct arena *arena, const struct config_file *files, size_t count,
                    const struct config_env *env, struct findings *findings)
{
    struct loader loader = {.documents = documents, .env = env, .findings = findings};
    *documents = (struct documents){.arena = arena};
    map_init(&documents->by_name, arena, 0);
    for (size_t i = 0; i < count; i++)
        if (!document_parse(&files[i], arena, findings, load_document, &loader))
            documents->is_incomplete = true;
    note_foreigners(&loader);
    return !loader.has_memory_failed && !arena->has_failed;
}

const struct resource *documents_find(const struct documents *documents, enum resource_kind kind,
                                      struct slice namespace_, struct slice name)
{
    char buffer[8 + 64 + 256];
    int len = snprintf(buffer, sizeof buffer, "%d/" SLICE_FMT "/" SLICE_FMT, (int)kind, SLICE_ARG(namespace_),
                       SLICE_ARG(name));
    if (len < 0 || (size_t)len >= sizeof buffer)
        return NULL; // longer than a name can be
    return map_get(&documents->by_name, slice_make(buffer, (size_t)len));
}

const struct datum *resource_datum(const struct resource *resource, struct slice key)
{
    for (size_t i = 0; i < resource->datum_count; i++)
        if (slice_eq(resource->data[i].key, key))
            return &resource->data[i];
    return NULL;
}
