// Notices changes of configuration files.
#include "cli/watched.h"

#include "base/map.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define RECENT_NS 1000000000LL // file systems' clocks tick in milliseconds, some in seconds

typedef void walk_call(struct watched *watched, const char *path, void *context);

// ---- lists of names -------------------------------------------------------------------------------------------------

// False when it stands there already, or without memory.
static bool add_name(struct watched_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return false;
    if (names->count == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 8;
        char **items = realloc(names->items, cap * sizeof *items);
        if (!items)
            return false;
        names->items = items;
        names->cap = cap;
    }
    char *copy = strdup(name);
    if (copy)
        names->items[names->count++] = copy;
    return copy != NULL;
}

static void clear_names(struct watched_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    names->count = 0;
}

static void fini_names(struct watched_names *names)
{
    clear_names(names);
    free(names->items);
}

void watched_init(struct watched *watched, struct cli *cli, const struct slice *paths, size_t count)
{
    *watched = (struct watched){.cli = cli, .paths = paths, .path_count = count};
}

void watched_fini(struct watched *watched)
{
    fini_names(&watched->named);
    fini_names(&watched->folders);
}

void watched_file(struct watched *watched, struct slice path, struct slice text)
{
    watched->contents = hash_bytes(text, hash_bytes(path, watched->contents));
}

void watched_named_file(struct watched *watched, struct slice path, struct slice text)
{
    char name[PATH_MAX];
    if (path.len >= sizeof name)
        return;
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    if (add_name(&watched->named, name))
        watched_file(watched, path, text);
}

// ---- walking --------------------------------------------------------------------------------------------------------

static void call_with(struct watched *watched, struct slice path, walk_call *call, void *context)
{
    char text[PATH_MAX];
    if (path.len >= sizeof text || slice_eq(path, SLICE("-")))
        return;
    memcpy(text, path.ptr, path.len);
    text[path.len] = '\0';
    call(watched, text, context);
}

// Every path of the command line, every file of a folder among them, every named file.
static void walk(struct watched *watched, walk_call *call, void *context)
{
    struct arena arena;
    arena_init(&arena, 4096, 64 << 20);
    for (size_t i = 0; i < watched->path_count; i++) {
        struct slice *inside = NULL;
        size_t count = 0;
        call_with(watched, watched->paths[i], call, context);
        if (load_is_folder(watched->paths[i]) && load_list_folder(watched->paths[i], &arena, &inside, &count))
            for (size_t j = 0; j < count; j++)
                call_with(watched, inside[j], call, context);
    }
    for (size_t i = 0; i < watched->named.count; i++)
        call(watched, watched->named.items[i], context);
    arena_fini(&arena);
}

// ---- how they look --------------------------------------------------------------------------------------------------

struct look {
    uint64_t hash;
    int64_t newest_ns;
};

static int64_t ns_of(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void add_number(uint64_t *hash, uint64_t number)
{
    *hash = hash_bytes(slice_make((const char *)&number, sizeof number), *hash);
}

// A folder's own times change with any file in it: only its files count.
static void look_at(struct watched *watched, const char *path, void *context)
{
    struct look *look = context;
    struct stat state;
    (void)watched;
    look->hash = hash_bytes(slice_from_cstr(path), look->hash);
    if (stat(path, &state) != 0) {
        add_number(&look->hash, UINT64_MAX);
        return;
    }
    add_number(&look->hash, (uint64_t)state.st_dev);
    add_number(&look->hash, (uint64_t)state.st_ino);
    if (S_ISDIR(state.st_mode))
        return;
    int64_t changed_ns = ns_of(state.st_ctim);
    add_number(&look->hash, (uint64_t)state.st_size);
    add_number(&look->hash, (uint64_t)ns_of(state.st_mtim));
    add_number(&look->hash, (uint64_t)changed_ns);
    if (changed_ns > look->newest_ns)
        look->newest_ns = changed_ns;
}

static struct look look(struct watched *watched)
{
    struct look look = {0, 0};
    walk(watched, look_at, &look);
    return look;
}

static bool is_recent(const struct look *look)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ns_of(now) - look->newest_ns < RECENT_NS;
}

void watched_begin(struct watched *watched)
{
    clear_names(&watched->named);
    struct look now = look(watched);
    watched->state = now.hash;
    watched->is_recent = is_recent(&now);
    watched->contents = 1;
}

// As watched_file notes it; what can't be read is noted by neither.
static void add_contents(struct watched *watched, const char *path, void *context)
{
    uint64_t *hash = context;
    struct arena arena;
    struct slice text, name = slice_from_cstr(path);
    if (load_is_folder(name))
        return;
    arena_init(&arena, 64 << 10, (size_t)1 << 30);
    if (load_read_file(watched->cli, name, &arena, &text))
        *hash = hash_bytes(text, hash_bytes(name, *hash));
    arena_fini(&arena);
}

bool watched_has_changed(struct watched *watched)
{
    struct look now = look(watched);
    if (now.hash == watched->state && !watched->is_recent)
        return false;
    watched->state = now.hash;
    watched->is_recent = is_recent(&now);
    uint64_t contents = 1;
    walk(watched, add_contents, &contents);
    return contents != watched->contents;
}

// ---- where it shows -------------------------------------------------------------------------------------------------

static void add_parent(struct watched_names *folders, const char *path)
{
    char text[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (!slash)
        memcpy(text, ".", 2);
    else if (len == 0)
        memcpy(text, "/", 2);
    else if (len < sizeof text) {
        memcpy(text, path, len);
        text[len] = '\0';
    } else {
        return;
    }
    add_name(folders, text);
}

// The folder with the name, and the one with the file where the name is a link to elsewhere.
static void add_folders(struct watched *watched, const char *path, void *context)
{
    char real[PATH_MAX];
    (void)context;
    add_parent(&watched->folders, path);
    if (load_is_folder(slice_from_cstr(path)))
        add_name(&watched->folders, path);
    if (realpath(path, real) && strcmp(real, path) != 0)
        add_parent(&watched->folders, real);
}

const struct watched_names *watched_folders(struct watched *watched)
{
    clear_names(&watched->folders);
    walk(watched, add_folders, NULL);
    return &watched->folders;
}
