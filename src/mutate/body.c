// Body mutation: merge at load into a list of changes that json_apply takes (S6).
#include "mutate/mutate.h"

struct merge {
    struct arena *arena;
    struct findings *findings;
    struct body_mutation *merged;
    bool has_failed;
};

// The paths of one level, in the order of its removes, then its sets. A path that was refused has no names.
struct level {
    const struct config_mutation *mutation; // NULL: none
    struct json_path *paths;
};

static struct config_text path_text(const struct config_mutation *mutation, size_t index)
{
    return index < mutation->remove_count ? mutation->remove[index]
                                          : mutation->set[index - mutation->remove_count].name;
}

static size_t level_count(const struct config_mutation *mutation)
{
    return mutation ? mutation->remove_count + mutation->set_count : 0;
}

static void parse_path(struct merge *merge, struct config_text path, struct json_path *ret_path)
{
    struct slice why;
    if (json_path_parse(path.text, merge->arena, ret_path, &why))
        return;
    merge->has_failed = true;
    struct slice text = arena_printf(merge->findings->arena, "body path \"" SLICE_FMT "\": " SLICE_FMT,
                                     SLICE_ARG(path.text), SLICE_ARG(why));
    if (!findings_know(merge->findings, path.mark, text))
        finding_error(merge->findings, path.mark, SLICE_FMT, SLICE_ARG(text));
}

static struct level parse_level(struct merge *merge, const struct config_mutation *mutation)
{
    size_t count = level_count(mutation);
    struct level level = {mutation, ARENA_ARRAY(merge->arena, struct json_path, count)};
    merge->has_failed |= !level.paths;
    for (size_t i = 0; level.paths && i < count; i++)
        parse_path(merge, path_text(mutation, i), &level.paths[i]);
    return level;
}

static bool path_eq(const struct json_path *a, const struct json_path *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!slice_eq(a->names[i], b->names[i]))
            return false;
    return true;
}

static bool names_path(const struct level *level, size_t from, const struct json_path *path)
{
    for (size_t i = from; level && i < level_count(level->mutation); i++)
        if (path_eq(&level->paths[i], path))
            return true;
    return false;
}

// ---- values ---------------------------------------------------------------------------------------------------

static struct slice as_string(struct merge *merge, struct slice text)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX / 2);
    struct slice json = {NULL, 0};
    if (json_write_string(&buf, text))
        json = arena_dup(merge->arena, buf_slice(&buf));
    merge->has_failed |= !json.ptr;
    buf_fini(&buf);
    return json;
}

// JSON text as it is; everything else as a string, as Envoy AI Gateway takes it.
static struct slice value_json(struct merge *merge, const struct config_set *set)
{
    struct slice json = json_trim(set->value.text);
    size_t error_at;
    if (json_validate(json, &error_at) == JSON_OK)
        return json;
    struct mark mark = set->value.mark.line ? set->value.mark : set->name.mark;
    struct slice text = arena_printf(merge->findings->arena,
                                     "the value of body path \"" SLICE_FMT
                                     "\" is not valid JSON and is taken as a string; write '\"...\"' to say so",
                                     SLICE_ARG(set->name.text));
    if (!findings_know(merge->findings, mark, text))
        finding_warn(merge->findings, mark, SLICE_FMT, SLICE_ARG(text));
    return as_string(merge, set->value.text);
}

// ---- merge ----------------------------------------------------------------------------------------------------

static void add_change(struct merge *merge, struct json_path path, struct slice value)
{
    struct body_mutation *merged = merge->merged;
    merged->paths[merged->count] = path;
    merged->changes[merged->count] = (struct json_change){&merged->paths[merged->count], value};
    merged->count++;
}

static void add_override(struct merge *merge, struct slice model)
{
    struct json_path path = {ARENA_ARRAY(merge->arena, struct slice, 1), 1};
    if (!path.names) {
        merge->has_failed = true;
        return;
    }
    path.names[0] = SLICE("model");
    add_change(merge, path, as_string(merge, model));
}

// One level, but for the paths that the level over it names as well, and for sets that a later one repeats.
static void add_level(struct merge *merge, const struct level *level, const struct level *over)
{
    size_t count = level_count(level->mutation);
    for (size_t i = 0; i < count && !merge->has_failed; i++) {
        const struct json_path *path = &level->paths[i];
        bool is_remove = i < level->mutation->remove_count;
        struct slice value = {NULL, 0};
        if (!is_remove)
            value = value_json(merge, &level->mutation->set[i - level->mutation->remove_count]);
        if (!names_path(over, 0, path) && (is_remove || !names_path(level, i + 1, path)))
            add_change(merge, *path, value);
    }
}

bool mutate_body_merge(struct arena *arena, const struct config_mutation *route, const struct config_mutation *backend,
                       struct slice model_override, struct findings *findings, struct body_mutation *ret_merged)
{
    size_t most = level_count(route) + level_count(backend) + 1;
    struct body_mutation merged = {.changes = ARENA_ARRAY(arena, struct json_change, most),
                                   .paths = ARENA_ARRAY(arena, struct json_path, most)};
    if (!merged.changes || !merged.paths)
        return false;
    struct merge merge = {.arena = arena, .findings = findings, .merged = &merged};
    struct level backend_level = parse_level(&merge, backend);
    struct level route_level = parse_level(&merge, route);
    if (merge.has_failed)
        return false;
    if (model_override.len)
        add_override(&merge, model_override);
    add_level(&merge, &backend_level, &route_level);
    add_level(&merge, &route_level, NULL);
    if (merge.has_failed)
        return false;
    *ret_merged = merged;
    return true;
}
