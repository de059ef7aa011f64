// Header mutation: merge at load, application once an attempt (S5).
#include "mutate/mutate.h"

// Names that belong to Weir, to the connection or to the framing of the message, whatever a mutation says.
static bool is_left_alone(struct slice name)
{
    static const struct slice names[] = {
        SLICE_INIT("host"),
        SLICE_INIT("connection"),
        SLICE_INIT("content-length"),
        SLICE_INIT("transfer-encoding"),
        SLICE_INIT("te"),
        SLICE_INIT("trailer"),
        SLICE_INIT("upgrade"),
        SLICE_INIT("keep-alive"),
        SLICE_INIT("proxy-connection"),
        SLICE_INIT("x-envoy-original-path"),
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_eq_nocase(name, names[i]))
            return true;
    return slice_starts_with(name, SLICE(":")) || slice_starts_with_nocase(name, SLICE("x-ai-eg-"));
}

struct merge {
    struct findings *findings;
    struct header_mutation *merged;
    bool has_failed;
};

static void warn_left_alone(struct findings *findings, struct config_text name)
{
    struct slice text = arena_printf(findings->arena,
                                     "a mutation of the header \"" SLICE_FMT "\" has no effect: Weir sets it itself or "
                                     "keeps it from being changed; take it out",
                                     SLICE_ARG(name.text));
    if (!findings_know(findings, name.mark, text))
        finding_warn(findings, name.mark, SLICE_FMT, SLICE_ARG(text));
}

static void refuse(struct merge *merge, struct config_text at, const char *why, struct slice name)
{
    merge->has_failed = true;
    struct slice text = arena_printf(merge->findings->arena, "header \"" SLICE_FMT "\": %s", SLICE_ARG(name), why);
    if (!findings_know(merge->findings, at.mark, text))
        finding_error(merge->findings, at.mark, SLICE_FMT, SLICE_ARG(text));
}

static bool names_set(const struct config_mutation *level, struct slice name)
{
    for (size_t i = 0; level && i < level->set_count; i++)
        if (slice_eq_nocase(level->set[i].name.text, name))
            return true;
    return false;
}

static bool names_any(const struct config_mutation *level, struct slice name)
{
    for (size_t i = 0; level && i < level->remove_count; i++)
        if (slice_eq_nocase(level->remove[i].text, name))
            return true;
    return names_set(level, name);
}

static bool is_set_again(const struct config_mutation *level, size_t index)
{
    for (size_t i = index + 1; i < level->set_count; i++)
        if (slice_eq_nocase(level->set[i].name.text, level->set[index].name.text))
            return true;
    return false;
}

static void merge_remove(struct merge *merge, struct config_text name, const struct config_mutation *over)
{
    if (is_left_alone(name.text))
        warn_left_alone(merge->findings, name);
    else if (!http_is_token(name.text))
        refuse(merge, name, "no header can have this name; write a name of letters, digits and -_.", name.text);
    else if (!names_any(over, name.text))
        merge->merged->remove[merge->merged->remove_count++] = name.text;
}

static void merge_set(struct merge *merge, const struct config_mutation *level, size_t index,
                      const struct config_mutation *over)
{
    const struct config_set *set = &level->set[index];
    struct slice name = set->name.text;
    if (is_left_alone(name))
        warn_left_alone(merge->findings, set->name);
    else if (!http_is_token(name))
        refuse(merge, set->name, "no header can have this name; write a name of letters, digits and -_.", name);
    else if (!http_is_field_value(set->value.text))
        refuse(merge, set->value, "the value has a control byte, or a blank at one end; take it out", name);
    else if (!names_any(over, name) && !is_set_again(level, index))
        merge->merged->set[merge->merged->set_count++] = (struct field){name, set->value.text};
}

// One level, but for what the level over it names as well.
static void merge_level(struct merge *merge, const struct config_mutation *level, const struct config_mutation *over)
{
    for (size_t i = 0; level && i < level->remove_count; i++)
        merge_remove(merge, level->remove[i], over);
    for (size_t i = 0; level && i < level->set_count; i++)
        merge_set(merge, level, i, over);
}

bool mutate_headers_merge(struct arena *arena, const struct config_mutation *route,
                          const struct config_mutation *backend, struct findings *findings,
                          struct header_mutation *ret_merged)
{
    size_t removes = (route ? route->remove_count : 0) + (backend ? backend->remove_count : 0);
    size_t sets = (route ? route->set_count : 0) + (backend ? backend->set_count : 0);
    struct header_mutation merged = {.remove = ARENA_ARRAY(arena, struct slice, removes),
                                     .set = ARENA_ARRAY(arena, struct field, sets)};
    if (!merged.remove || !merged.set)
        return false;
    struct merge merge = {.findings = findings, .merged = &merged};
    merge_level(&merge, backend, route);
    merge_level(&merge, route, NULL);
    if (merge.has_failed)
        return false;
    *ret_merged = merged;
    return true;
}

bool mutate_headers_apply(const struct header_mutation *mutation, struct arena *arena, struct fields *fields)
{
    for (size_t i = 0; i < mutation->remove_count; i++)
        fields_remove(fields, mutation->remove[i]);
    for (size_t i = 0; i < mutation->set_count; i++)
        if (!fields_set(fields, arena, mutation->set[i].name, mutation->set[i].value))
            return false;
    return true;
}
