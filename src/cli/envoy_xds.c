#include "cli/envoy_xds.h"

#include "base/map.h"
#include "cli/load.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_START_MS 300
#define NOTICE_MS 50 // Envoy watches each file by itself: of two that are new when it looks, either may come first

struct folder {
    struct cli *cli;
    struct arena *arena;
    const struct bootstrap *bootstrap;
    struct slice version;
    struct map files; // that were written, by their names
};

// ---- one file -------------------------------------------------------------------------------------------------

static bool fail(struct cli *cli, struct slice path)
{
    fprintf(cli->err, "weir envoy: " SLICE_FMT ": %s\n", SLICE_ARG(path), strerror(errno));
    return false;
}

// Beside its place first, then moved there at once: Envoy never reads half a file, and watches the folder for moves.
static bool replace(struct cli *cli, struct arena *arena, struct slice path, struct slice text)
{
    struct slice beside = arena_join(arena, (struct slice[]){path, SLICE(".new")}, 2);
    FILE *file = beside.ptr ? fopen(beside.ptr, "wbe") : NULL;
    if (!file)
        return fail(cli, path);
    bool is_written = fchmod(fileno(file), 0600) == 0 && fwrite(text.ptr, 1, text.len, file) == text.len;
    is_written = fflush(file) == 0 && is_written && fsync(fileno(file)) == 0;
    is_written = fclose(file) == 0 && is_written;
    return (is_written && rename(beside.ptr, path.ptr) == 0) || fail(cli, path);
}

// The text has failed when memory was refused.
static bool write_file(struct folder *folder, const char *name, struct buf *take_text)
{
    struct slice parts[] = {folder->bootstrap->xds_dir, SLICE("/"), slice_from_cstr(name)};
    struct slice path = arena_join(folder->arena, parts, 3);
    errno = ENOMEM;
    bool is_written = !take_text->has_failed && path.ptr
                          ? replace(folder->cli, folder->arena, path, buf_slice(take_text))
                          : fail(folder->cli, folder->bootstrap->xds_dir);
    buf_fini(take_text);
    return is_written;
}

// ---- files of one resource each, as Envoy wants secrets and route configurations ------------------------------

// Notes that the file belongs here. False when it was written before, or memory was refused.
static bool begin_file(struct folder *folder, const char *name, bool *ret_is_fine)
{
    struct slice key = slice_from_cstr(name);
    *ret_is_fine = true;
    if (map_get(&folder->files, key))
        return false;
    key = arena_dup(folder->arena, key);
    errno = ENOMEM;
    *ret_is_fine = (key.ptr && map_put(&folder->files, key, folder)) || fail(folder->cli, folder->bootstrap->xds_dir);
    return *ret_is_fine;
}

static bool write_secret(struct folder *folder, const struct config_certificate *certificate)
{
    char name[BOOTSTRAP_FILE_MAX];
    struct buf text;
    bool is_fine;
    bootstrap_secret_file(certificate, name);
    if (!begin_file(folder, name, &is_fine))
        return is_fine;
    buf_init(&text, ENVOY_OUTPUT_MAX_BYTES);
    bootstrap_write_secret(certificate, folder->version, &text);
    return write_file(folder, name, &text);
}

static bool write_secrets(struct folder *folder)
{
    const struct config *config = folder->bootstrap->config;
    bool is_fine = true;
    for (size_t i = 0; i < config->listener_count; i++)
        for (size_t c = 0; is_fine && c < config->listeners[i].tls.certificate_count; c++)
            is_fine = write_secret(folder, &config->listeners[i].tls.certificates[c]);
    for (size_t i = 0; is_fine && i < config->backend_count; i++)
        if (config->backends[i].tls.certificate)
            is_fine = write_secret(folder, config->backends[i].tls.certificate);
    return is_fine;
}

static bool is_there(const struct folder *folder, const char *name)
{
    struct slice parts[] = {folder->bootstrap->xds_dir, SLICE("/"), slice_from_cstr(name)};
    struct slice path = arena_join(folder->arena, parts, 3);
    return path.ptr && access(path.ptr, F_OK) == 0;
}

// With `only_new` of listeners that have none yet.
static bool write_routes(struct folder *folder, bool only_new)
{
    bool is_fine = true;
    for (size_t i = 0; is_fine && i < folder->bootstrap->config->listener_count; i++) {
        char name[BOOTSTRAP_FILE_MAX];
        struct buf text;
        if (!bootstrap_has_routes(folder->bootstrap, i))
            continue;
        bootstrap_routes_file(&folder->bootstrap->config->listeners[i], name);
        if (only_new && is_there(folder, name))
            continue;
        if (!begin_file(folder, name, &is_fine))
            continue;
        buf_init(&text, ENVOY_OUTPUT_MAX_BYTES);
        bootstrap_write_routes(folder->bootstrap, i, folder->version, &text);
        is_fine = write_file(folder, name, &text);
    }
    return is_fine;
}

static bool is_ours(struct slice name)
{
    char pattern[BOOTSTRAP_FILE_MAX];
    struct config_certificate none = {.secret = SLICE("")};
    bootstrap_secret_file(&none, pattern); // they all have this length
    return name.len == strlen(pattern) && slice_ends_with(name, SLICE(".json")) &&
           (slice_starts_with(name, SLICE("sds-")) || slice_starts_with(name, SLICE("rds-")));
}

// Keys above all don't stay behind.
static void remove_others(struct folder *folder)
{
    struct slice path = arena_join(folder->arena, (struct slice[]){folder->bootstrap->xds_dir, SLICE("/")}, 2);
    DIR *found = path.ptr ? opendir(path.ptr) : NULL;
    for (struct dirent *entry; found && (entry = readdir(found));) {
        struct slice name = slice_from_cstr(entry->d_name);
        if (is_ours(name) && !map_get(&folder->files, name))
            unlinkat(dirfd(found), entry->d_name, 0);
    }
    if (found)
        closedir(found);
}

// ---- all of it ------------------------------------------------------------------------------------------------

static bool write_list(struct folder *folder, const char *kind, const char *name)
{
    struct buf text;
    buf_init(&text, ENVOY_OUTPUT_MAX_BYTES);
    bootstrap_write_xds(folder->bootstrap, kind, folder->version, &text);
    return write_file(folder, name, &text);
}

static void give_head_start(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

// Envoy does not say when it has looked up the names of new clusters, or checked their endpoints: routes that lead to them
// follow when it mostly has.
static bool write_clusters(struct folder *folder)
{
    struct slice parts[] = {folder->bootstrap->xds_dir, SLICE("/cds.json")};
    struct slice path = arena_join(folder->arena, parts, 2), before = SLICE("");
    struct buf text;
    bool is_slow = false;
    if (!path.ptr || !load_read_file(folder->cli, path, folder->arena, &before))
        before = SLICE("");
    buf_init(&text, ENVOY_OUTPUT_MAX_BYTES);
    if (!bootstrap_write_clusters(folder->bootstrap, before, (uint64_t)time(NULL), &text, &is_slow))
        text.has_failed = true;
    bool is_written = write_file(folder, "cds.json", &text);
    if (is_written && before.len)
        give_head_start(is_slow ? HEAD_START_MS : NOTICE_MS);
    return is_written;
}

// Tunnels of forward proxies are listeners, too, and have to be there before routes lead to them.
static bool write_listeners(struct folder *folder)
{
    bool has_tunnels = bootstrap_has_tunnels(folder->bootstrap);
    if (!write_routes(folder, has_tunnels) || !write_list(folder, "lds", "lds.json"))
        return false;
    if (!has_tunnels)
        return true;
    give_head_start(HEAD_START_MS);
    return write_routes(folder, false);
}

// Limits first, and what is named before what names it: secrets, clusters, routes, listeners.
bool envoy_write_xds(struct cli *cli, struct arena *arena, const struct bootstrap *bootstrap)
{
    struct folder folder = {.cli = cli,
                            .arena = arena,
                            .bootstrap = bootstrap,
                            .version = arena_printf(arena, "%lld", (long long)time(NULL))};
    map_init(&folder.files, arena, 0);
    if (!write_list(&folder, "rtds", "rtds.json") || !write_secrets(&folder) || !write_clusters(&folder) ||
        !write_listeners(&folder))
        return false;
    remove_others(&folder);
    return true;
}
