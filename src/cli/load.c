// Reads files and folders, and makes a snapshot of them.
#include "cli/load.h"

#include "host/native/tls_check.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_MAX_BYTES ((size_t)256 << 20)

static bool read_stream(FILE *file, struct arena *arena, struct slice *ret_text)
{
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    for (;;) {
        if (!buf_reserve(&text, 64 << 10))
            break;
        size_t got = fread(text.ptr + text.len, 1, text.cap - text.len, file);
        text.len += got;
        if (got == 0)
            break;
    }
    bool is_good = !ferror(file) && feof(file);
    *ret_text = is_good ? arena_dup(arena, buf_slice(&text)) : SLICE("");
    buf_fini(&text);
    return is_good && ret_text->ptr;
}

bool load_read_file(struct cli *cli, struct slice path, struct arena *arena, struct slice *ret_text)
{
    if (slice_eq(path, SLICE("-")))
        return read_stream(cli->in, arena, ret_text);
    FILE *file = fopen(arena_dup(arena, path).ptr, "rbe");
    if (!file)
        return false;
    errno = 0;
    bool is_good = read_stream(file, arena, ret_text);
    int why = errno ? errno : EFBIG;
    fclose(file);
    errno = why;
    return is_good;
}

static bool is_configuration(struct slice name)
{
    return slice_ends_with(name, SLICE(".yaml")) || slice_ends_with(name, SLICE(".yml")) ||
           slice_ends_with(name, SLICE(".json"));
}

static int by_name(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

bool load_is_folder(struct slice path)
{
    char name[4096];
    struct stat state;
    if (path.len >= sizeof name)
        return false;
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    return stat(name, &state) == 0 && S_ISDIR(state.st_mode);
}

// Calls `take` with each path in the folder that is not hidden, in no order. False with errno set.
static bool visit_folder(struct slice path, struct arena *arena, void *context,
                         void (*take)(void *context, struct arena *arena, struct slice path))
{
    DIR *folder = opendir(arena_dup(arena, path).ptr);
    if (!folder)
        return false;
    struct slice slash = slice_ends_with(path, SLICE("/")) ? SLICE("") : SLICE("/");
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            take(context, arena, arena_join(arena, (struct slice[]){path, slash, slice_from_cstr(entry->d_name)}, 3));
    closedir(folder);
    return true;
}

struct paths {
    struct slice *items;
    size_t count, cap;
};

static void take_file(void *context, struct arena *arena, struct slice path)
{
    struct paths *list = context;
    if (is_configuration(path) && !load_is_folder(path) && ARENA_GROW(arena, list))
        list->items[list->count++] = path;
}

bool load_list_folder(struct slice path, struct arena *arena, struct slice **ret_paths, size_t *ret_count)
{
    struct paths list = {0};
    if (!visit_folder(path, arena, &list, take_file))
        return false;
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, by_name);
    *ret_paths = list.items;
    *ret_count = list.count;
    return true;
}

static void note_subfolder(void *context, struct arena *arena, struct slice path)
{
    (void)arena;
    if (load_is_folder(path))
        finding_note(context, (struct mark){.file = path}, "a folder within a folder is not read; name it, too");
}

static void add_file(struct cli *cli, struct slice path, struct arena *arena, struct findings *findings,
                     struct sources *sources)
{
    struct slice text;
    if (!load_read_file(cli, path, arena, &text))
        finding_error(findings, (struct mark){.file = path}, "can't read it: %s", strerror(errno));
    else if (ARENA_GROW(arena, sources))
        sources->items[sources->count++] = (struct config_file){path, text};
}

void load_sources(struct cli *cli, const struct slice *paths, size_t count, struct arena *arena,
                  struct findings *findings, struct sources *sources)
{
    for (size_t i = 0; i < count; i++) {
        struct slice *inside = NULL;
        size_t inside_count = 0;
        if (!load_is_folder(paths[i])) {
            add_file(cli, paths[i], arena, findings, sources);
            continue;
        }
        if (!load_list_folder(paths[i], arena, &inside, &inside_count))
            finding_error(findings, (struct mark){.file = paths[i]}, "can't read the folder: %s", strerror(errno));
        else if (inside_count == 0)
            finding_error(findings, (struct mark){.file = paths[i]},
                          "no .yaml, .yml or .json file stands in the folder");
        for (size_t at = 0; at < inside_count; at++)
            add_file(cli, inside[at], arena, findings, sources);
        visit_folder(paths[i], arena, findings, note_subfolder);
    }
}

static bool get_variable(void *context, struct slice name, struct slice *ret_value)
{
    struct cli *cli = context;
    char text[256];
    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    const char *value = cli->environment(text);
    *ret_value = slice_from_cstr(value);
    return value != NULL;
}

static bool read_named_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    return !slice_eq(path, SLICE("-")) && load_read_file(context, path, arena, ret_text);
}

struct config_env load_environment(struct cli *cli)
{
    return (struct config_env){get_variable, read_named_file, cli};
}

struct snapshot *load_snapshot(const struct sources *sources, const struct config_env *env, uint64_t generation,
                               uint64_t seed, struct findings *findings)
{
    // Also with errors: those of compiling come at once with those of loading (S10).
    struct config *config = config_load_for_findings(sources->items, sources->count, env, findings);
    if (config)
        tls_check(config, time(NULL), findings);
    struct snapshot *snapshot = config ? snapshot_new(config, generation, seed, findings) : NULL;
    if (findings->error_count == 0)
        return snapshot;
    snapshot_unref(snapshot);
    return NULL;
}
