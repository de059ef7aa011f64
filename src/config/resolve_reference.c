// Following references: from a name to the resource, grants between namespaces, entries of Secrets.
#include "config/nearest.h"
#include "config/resolve_parts.h"

void *resolve_array(struct resolver *resolver, size_t count, size_t item_bytes)
{
    void *items = arena_calloc(resolver->arena, count, item_bytes);
    resolver->has_failed |= !items;
    return items;
}

struct reference reference_of(const struct node *ref, struct slice own_namespace)
{
    const struct node *name = node_get(ref, SLICE("name"));
    struct slice namespace_ = node_get_text(ref, SLICE("namespace"));
    return (struct reference){.name = node_text(name),
                              .namespace_ = namespace_.len ? namespace_ : own_namespace,
                              .mark = node_mark(name ? name : ref)};
}

// One of that name in another namespace: the likeliest mistake.
static const struct resource *find_elsewhere(const struct documents *docs, enum resource_kind kind, struct slice name)
{
    for (size_t i = 0; i < docs->count; i++)
        if (docs->items[i]->kind == kind && slice_eq(docs->items[i]->name, name))
            return docs->items[i];
    return NULL;
}

// One of nearly that name in the same namespace: the next likeliest.
static struct slice find_nearest(const struct documents *docs, enum resource_kind kind,
                                 const struct reference *reference)
{
    struct nearest nearest = nearest_to(reference->name);
    for (size_t i = 0; i < docs->count; i++)
        if (docs->items[i]->kind == kind && slice_eq(docs->items[i]->namespace_, reference->namespace_))
            nearest_try(&nearest, docs->items[i]->name);
    return nearest.name;
}

static void tell_missing(struct resolver *resolver, enum resource_kind kind, const struct reference *reference)
{
    struct slice kind_name = resource_kind_name(kind);
    const struct resource *elsewhere = find_elsewhere(resolver->docs, kind, reference->name);
    struct slice near = find_nearest(resolver->docs, kind, reference);
    if (resolver->docs->is_incomplete)
        return; // it may stand in what could not be read
    if (elsewhere)
        finding_error(resolver->findings, reference->mark,
                      SLICE_FMT " \"" SLICE_FMT "\" is not in namespace \"" SLICE_FMT "\", but in \"" SLICE_FMT
                                "\"; mend the namespace or the name",
                      SLICE_ARG(kind_name), SLICE_ARG(reference->name), SLICE_ARG(reference->namespace_),
                      SLICE_ARG(elsewhere->namespace_));
    else
        finding_error(resolver->findings, reference->mark,
                      SLICE_FMT " \"" SLICE_FMT "\" is not in namespace \"" SLICE_FMT
                                "\" of this configuration; add it or mend the name%s" SLICE_FMT "%s",
                      SLICE_ARG(kind_name), SLICE_ARG(reference->name), SLICE_ARG(reference->namespace_),
                      near.len ? ": did you mean \"" : "", SLICE_ARG(near), near.len ? "\"?" : "");
}

const struct resource *resolve_find(struct resolver *resolver, enum resource_kind kind,
                                    const struct reference *reference)
{
    if (reference->name.len == 0)
        return NULL; // said when the document was checked
    const struct resource *found = documents_find(resolver->docs, kind, reference->namespace_, reference->name);
    if (!found)
        tell_missing(resolver, kind, reference);
    return found;
}

// ---- grants ---------------------------------------------------------------------------------------------------

// Envoy Gateway sees the HTTPRoute that becomes of an AIServiceBackend's users, so users of both write their grants for
// Backends from HTTPRoute.
static bool grants_kind(const struct node *item, const struct resource *from)
{
    struct slice group = node_get_text(item, SLICE("group"));
    struct slice kind = node_get_text(item, SLICE("kind"));
    if (from->kind == KIND_AI_SERVICE_BACKEND && slice_eq(group, SLICE("gateway.networking.k8s.io")) &&
        slice_eq(kind, SLICE("HTTPRoute")))
        return true;
    return slice_eq(group, from->group) && slice_eq(kind, from->kind_name);
}

static bool grants_from(const struct node *spec, const struct resource *from)
{
    for (const struct node *item = node_first(node_get(spec, SLICE("from"))); item; item = item->next)
        if (grants_kind(item, from) && slice_eq(node_get_text(item, SLICE("namespace")), from->namespace_))
            return true;
    return false;
}

static bool grants_to(const struct node *spec, const struct resource *to)
{
    for (const struct node *item = node_first(node_get(spec, SLICE("to"))); item; item = item->next) {
        struct slice name = node_get_text(item, SLICE("name"));
        if (slice_eq(node_get_text(item, SLICE("group")), to->group) &&
            slice_eq(node_get_text(item, SLICE("kind")), to->kind_name) && (!name.len || slice_eq(name, to->name)))
            return true;
    }
    return false;
}

static bool is_granted(const struct documents *docs, const struct resource *from, const struct resource *to)
{
    for (size_t i = 0; i < docs->count; i++) {
        const struct resource *grant = docs->items[i];
        if (grant->kind == KIND_REFERENCE_GRANT && slice_eq(grant->namespace_, to->namespace_) &&
            grants_from(grant->spec, from) && grants_to(grant->spec, to))
            return true;
    }
    return false;
}

bool resolve_may_refer(struct resolver *resolver, const struct resource *from, const struct resource *to,
                       struct mark mark)
{
    if (slice_eq(from->namespace_, to->namespace_) || is_granted(resolver->docs, from, to))
        return true;
    if (!resolver->docs->is_incomplete)
        finding_error(resolver->findings, mark,
                      "cross-namespace reference to " SLICE_FMT " " SLICE_FMT "/" SLICE_FMT
                      " is not permitted; add a ReferenceGrant in namespace \"" SLICE_FMT "\" from " SLICE_FMT
                      " of group " SLICE_FMT " in namespace \"" SLICE_FMT "\"",
                      SLICE_ARG(to->kind_name), SLICE_ARG(to->namespace_), SLICE_ARG(to->name),
                      SLICE_ARG(to->namespace_), SLICE_ARG(from->kind_name), SLICE_ARG(from->group),
                      SLICE_ARG(from->namespace_));
    return false;
}

const struct resource *resolve_granted(struct resolver *resolver, const struct resource *owner, const struct node *ref,
                                       enum resource_kind kind, struct mark *ret_mark)
{
    struct reference reference = reference_of(ref, owner->namespace_);
    const struct resource *found = resolve_find(resolver, kind, &reference);
    *ret_mark = reference.mark;
    return found && resolve_may_refer(resolver, owner, found, reference.mark) ? found : NULL;
}

// ---- entries --------------------------------------------------------------------------------------------------

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice trim_space(struct slice s)
{
    while (s.len && is_space(s.ptr[0]))
        s = slice_from(s, 1);
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool resolve_datum(struct resolver *resolver, const struct resource *resource, struct slice key, struct mark mark,
                   struct slice *ret_value)
{
    const struct datum *datum = resource_datum(resource, key);
    struct slice value = datum ? trim_space(datum->value) : (struct slice){NULL, 0};
    if (value.len) {
        *ret_value = value;
        return true;
    }
    if (!resource->has_errors) // such as a variable that is not set, which was said already
        finding_error(resolver->findings, mark,
                      SLICE_FMT " " SLICE_FMT "/" SLICE_FMT " has %s entry \"" SLICE_FMT "\"; %s",
                      SLICE_ARG(resource->kind_name), SLICE_ARG(resource->namespace_), SLICE_ARG(resource->name),
                      datum ? "an empty" : "no", SLICE_ARG(key), datum ? "give it a value" : "add it");
    return false;
}
