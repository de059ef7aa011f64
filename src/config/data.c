// Values of Secrets are never written into a finding.
#include "config/data.h"

#include "config/base64.h"

#define ANNOTATION_ENV "substitution.aigw.run/env/"
#define ANNOTATION_FILE "substitution.aigw.run/file/"

struct data {
    struct datum *items;
    size_t count;
    size_t cap;
};

static struct datum *find(struct data *data, struct slice key)
{
    for (size_t i = 0; i < data->count; i++)
        if (slice_eq(data->items[i].key, key))
            return &data->items[i];
    return NULL;
}

static void put(struct check *check, struct data *data, struct slice key, struct slice value, struct mark mark)
{
    struct datum *datum = find(data, key);
    if (!datum) {
        if (!ARENA_GROW(check->arena, data))
            return;
        datum = &data->items[data->count++];
    }
    *datum = (struct datum){key, value, mark};
}

static void put_members(struct check *check, struct data *data, const struct node *map, bool is_base64)
{
    for (const struct node *member = node_first(map); member; member = member->next) {
        struct slice value = node_text(member);
        if (!node_is_scalar(member))
            continue; // reported by the table
        if (is_base64 && !base64_decode(node_text(member), check->arena, &value))
            check_error(check, member, "\"" SLICE_FMT "\" is not base64: encode it, or put the text into stringData",
                        SLICE_ARG(member->key));
        else
            put(check, data, member->key, value, member->mark);
    }
}

// A path that begins with "~/" is in the home directory.
static struct slice expand_home(struct check *check, const struct config_env *env, struct slice path)
{
    struct slice home;
    if (!slice_starts_with(path, SLICE("~/")) || !env->get || !env->get(env->context, SLICE("HOME"), &home))
        return path;
    struct slice parts[] = {home, slice_from(path, 1)};
    return arena_join(check->arena, parts, 2);
}

// An editor's newline at the end of a file is no part of a key; what is no text is left as it is.
static struct slice trim_newlines(struct slice text)
{
    if (slice_find(text, '\0') != SLICE_NOT_FOUND)
        return text;
    while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text;
}

static void complain(struct check *check, struct data *data, const struct node *annotation, struct slice key,
                     const char *what)
{
    if (find(data, key))
        check_warn(check, annotation, "\"" SLICE_FMT "\": %s; the value in the file is used", SLICE_ARG(key), what);
    else
        check_error(check, annotation, "\"" SLICE_FMT "\": %s, and there is no other value", SLICE_ARG(key), what);
}

static void put_file(struct check *check, struct data *data, const struct node *annotation,
                     const struct config_env *env)
{
    struct slice key = slice_from(annotation->key, sizeof ANNOTATION_FILE - 1);
    struct slice text;
    if (!env || !env->read_file ||
        !env->read_file(env->context, expand_home(check, env, node_text(annotation)), check->arena, &text))
        complain(check, data, annotation, key, "the file can't be read");
    else
        put(check, data, key, trim_newlines(text), annotation->mark);
}

static void put_env(struct check *check, struct data *data, const struct node *annotation, const struct config_env *env)
{
    struct slice key = slice_from(annotation->key, sizeof ANNOTATION_ENV - 1);
    struct slice text;
    if (!env || !env->get || !env->get(env->context, node_text(annotation), &text))
        complain(check, data, annotation, key, "the environment variable is not set");
    else
        put(check, data, key, arena_dup(check->arena, text), annotation->mark);
}

static void put_substitutions(struct check *check, struct data *data, const struct config_env *env)
{
    const struct node *annotation;
    for (annotation = node_first(check->resource->annotations); annotation; annotation = annotation->next)
        if (slice_starts_with(annotation->key, SLICE(ANNOTATION_FILE)))
            put_file(check, data, annotation, env);
    for (annotation = node_first(check->resource->annotations); annotation; annotation = annotation->next)
        if (slice_starts_with(annotation->key, SLICE(ANNOTATION_ENV)))
            put_env(check, data, annotation, env);
}

void data_read(struct check *check, const struct config_env *env)
{
    struct data data = {0};
    const struct node *root = check->resource->root;
    bool is_secret = check->resource->kind == KIND_SECRET;
    put_members(check, &data, node_get(root, SLICE("data")), is_secret);
    if (is_secret) {
        put_members(check, &data, node_get(root, SLICE("stringData")), false);
        put_substitutions(check, &data, env);
    } else {
        put_members(check, &data, node_get(root, SLICE("binaryData")), true);
    }
    check->resource->data = data.items;
    check->resource->datum_count = data.count;
}
