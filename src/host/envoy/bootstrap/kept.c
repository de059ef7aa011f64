// The clusters of file-based xDS over time. What streams on an earlier route configuration have yet to reach must be there
// until they are through: clusters that a change drops stay in cds.json for some minutes. Their names say what is in them
// (bootstrap_cluster_name), so that a route configuration and the module's resources beside it always find the backends
// that they were written for, and a credential never meets another backend of the same name.
//
// version_info is "NOW COUNT [THEN COUNT]...": in the list's order, how many clusters are current, and how many were dropped
// when (seconds of Unix time).
#include "host/envoy/bootstrap/bootstrap.h"

#include "base/map.h"
#include "json/json.h"

#define KEPT_SECONDS 300
#define KEPT_MAX 1000 // or as many as are current

enum { NAME, TYPE, CHECKS, MEMBERS };

struct cluster {
    struct slice text;
    struct slice name; // raw, quotes included
    bool is_slow;      // not ready at once: its names are to be looked up, or its endpoints checked
    uint64_t dropped;  // when; of those that are kept
};

struct clusters {
    struct arena *arena;
    const struct json_names *names;
    struct cluster *items;
    size_t count;
    size_t cap;
};

static bool add(struct clusters *clusters, struct slice text, uint64_t dropped)
{
    struct json_member found[MEMBERS];
    struct json_scan scan = json_scan_object(text, clusters->names, found);
    if (scan.status != JSON_OK || found[NAME].type != JSON_STRING || !ARENA_GROW(clusters->arena, clusters))
        return false;
    struct slice type = slice_sub(text, found[TYPE].value.from, found[TYPE].value.to - found[TYPE].value.from);
    clusters->items[clusters->count++] = (struct cluster){
        .text = text,
        .name = slice_sub(text, found[NAME].value.from, found[NAME].value.to - found[NAME].value.from),
        .is_slow = !slice_eq(type, SLICE("\"STATIC\"")) || found[CHECKS].type != JSON_NONE,
        .dropped = dropped,
    };
    return true;
}

static bool init(struct clusters *clusters, struct arena *arena)
{
    static const struct slice members[MEMBERS] = {
        [NAME] = SLICE_INIT("name"), [TYPE] = SLICE_INIT("type"), [CHECKS] = SLICE_INIT("health_checks")};
    *clusters = (struct clusters){.arena = arena, .names = json_names_new(arena, members, MEMBERS)};
    return clusters->names;
}

// The next pair of version_info. False at its end, or where it is not ours.
static bool next_group(struct slice *version, uint64_t *ret_when, uint64_t *ret_count)
{
    struct slice when = slice_split(version, ' '), count = slice_split(version, ' ');
    return slice_to_u64(when, INT64_MAX, ret_when) && slice_to_u64(count, SIZE_MAX, ret_count);
}

// The file that is replaced; one that we did not write has nothing to keep. Its current clusters are dropped now, if at all.
static bool read_before(struct clusters *before, struct slice text, uint64_t now_s)
{
    enum { VERSION, RESOURCES };
    static const struct slice members[] = {
        [VERSION] = SLICE_INIT("version_info"), [RESOURCES] = SLICE_INIT("resources")};
    struct json_member found[2];
    struct slice version, key, value;
    enum json_type type;
    const struct json_names *names = json_names_new(before->arena, members, 2);
    if (!names || json_scan_object(text, names, found).status != JSON_OK || found[VERSION].type != JSON_STRING ||
        found[RESOURCES].type != JSON_ARRAY)
        return false;
    version = slice_sub(text, found[VERSION].value.from + 1, found[VERSION].value.to - found[VERSION].value.from - 2);
    struct json_cursor cursor = json_cursor_init(
        slice_sub(text, found[RESOURCES].value.from, found[RESOURCES].value.to - found[RESOURCES].value.from));
    uint64_t when, count;
    for (bool is_current = true; next_group(&version, &when, &count); is_current = false)
        for (uint64_t i = 0; i < count && json_next(&cursor, &key, &value, &type); i++)
            if (!add(before, value, is_current ? now_s : when))
                return false;
    return true;
}

static bool read_current(struct clusters *current, const struct bootstrap *bootstrap, struct buf *text)
{
    struct emit emit = {.buf = text};
    struct slice key, value;
    enum json_type type;
    emit_list(&emit, "");
    bootstrap_clusters(bootstrap, &emit, true);
    emit_list_end(&emit);
    if (text->has_failed)
        return false;
    struct json_cursor cursor = json_cursor_init(buf_slice(text));
    while (json_next(&cursor, &key, &value, &type))
        if (!add(current, value, 0))
            return false;
    return true;
}

// By name; NULL when memory was refused.
static struct map *index_of(const struct clusters *clusters)
{
    struct map *map = arena_alloc(clusters->arena, sizeof *map);
    if (!map)
        return NULL;
    map_init(map, clusters->arena, 0);
    for (size_t i = 0; i < clusters->count; i++)
        if (!map_put(map, clusters->items[i].name, &clusters->items[i]))
            return NULL;
    return map;
}

static bool has_secret(const struct config *config, struct slice file)
{
    for (size_t i = 0; i < config->backend_count; i++) {
        char name[BOOTSTRAP_FILE_MAX];
        if (!config->backends[i].tls.certificate)
            continue;
        bootstrap_secret_file(config->backends[i].tls.certificate, name);
        if (slice_starts_with(file, slice_from_cstr(name)))
            return true;
    }
    return false;
}

// The files of keys that nothing current names are gone, and clusters that name them with them.
static bool has_its_secrets(const struct config *config, struct slice text)
{
    for (size_t at; (at = slice_find_slice(text, SLICE("/sds-"))) != SLICE_NOT_FOUND;) {
        text = slice_from(text, at + 1);
        if (!has_secret(config, text))
            return false;
    }
    return true;
}

// Of a module that has made way to another one (an upgrade) an Envoy that starts may not find the file any more.
static bool has_the_module(struct slice module, struct slice text)
{
    return slice_find_slice(text, SLICE("\"dynamic_module_config\"")) == SLICE_NOT_FOUND ||
           slice_find_slice(text, module) != SLICE_NOT_FOUND;
}

// What decides which clusters stay.
struct keeping {
    const struct config *config;
    const struct map *current; // by name
    struct slice module;       // as clusters name it
    size_t max;
    uint64_t now_s;
};

static bool is_kept(const struct keeping *keeping, const struct cluster *cluster)
{
    return cluster->dropped + KEPT_SECONDS > keeping->now_s && !map_get(keeping->current, cluster->name) &&
           has_its_secrets(keeping->config, cluster->text) && has_the_module(keeping->module, cluster->text);
}

// Leaves those of `before` that stay, the latest dropped first as they stand.
static void sort_out(struct clusters *before, const struct keeping *keeping)
{
    size_t kept = 0;
    for (size_t i = 0; i < before->count && kept < keeping->max; i++)
        if (is_kept(keeping, &before->items[i]))
            before->items[kept++] = before->items[i];
    before->count = kept;
}

static struct slice module_of(const struct bootstrap *bootstrap, struct arena *arena)
{
    struct buf text;
    struct emit emit = {.buf = &text};
    buf_init(&text, SIZE_MAX / 4);
    bootstrap_module(bootstrap, &emit);
    struct slice copy = arena_dup(arena, buf_slice(&text));
    buf_fini(&text);
    return copy;
}

static void write_version(struct buf *buf, const struct clusters *current, const struct clusters *kept, uint64_t now_s)
{
    buf_printf(buf, "\"%llu %zu", (unsigned long long)now_s, current->count);
    for (size_t i = 0, next; i < kept->count; i = next) {
        for (next = i; next < kept->count && kept->items[next].dropped == kept->items[i].dropped;)
            next++;
        buf_printf(buf, " %llu %zu", (unsigned long long)kept->items[i].dropped, next - i);
    }
    buf_append(buf, SLICE("\""));
}

static void write_list(struct buf *buf, const struct clusters *current, const struct clusters *kept)
{
    for (size_t i = 0; i < current->count + kept->count; i++) {
        buf_append(buf, i ? SLICE(",") : SLICE(""));
        buf_append(buf, i < current->count ? current->items[i].text : kept->items[i - current->count].text);
    }
}

static bool has_slow_news(const struct clusters *current, const struct map *before)
{
    for (size_t i = 0; i < current->count; i++)
        if (current->items[i].is_slow && !map_get(before, current->items[i].name))
            return true;
    return false;
}

static bool write_all(const struct bootstrap *bootstrap, struct slice text_before, uint64_t now_s, struct arena *arena,
                      struct buf *text, struct buf *buf, bool *ret_is_slow)
{
    struct clusters current, before;
    if (!init(&current, arena) || !init(&before, arena) || !read_current(&current, bootstrap, text))
        return false;
    if (!read_before(&before, text_before, now_s))
        before.count = 0;
    const struct map *by_name = index_of(&current), *by_name_before = index_of(&before);
    if (!by_name || !by_name_before)
        return false;
    *ret_is_slow = before.count > 0 && has_slow_news(&current, by_name_before);
    struct keeping keeping = {.config = bootstrap->config,
                              .current = by_name,
                              .module = module_of(bootstrap, arena),
                              .max = current.count > KEPT_MAX ? current.count : KEPT_MAX,
                              .now_s = now_s};
    if (!keeping.module.ptr)
        return false;
    sort_out(&before, &keeping);
    buf_append(buf, SLICE("{\"version_info\":"));
    write_version(buf, &current, &before, now_s);
    buf_append(buf, SLICE(",\"resources\":["));
    write_list(buf, &current, &before);
    return buf_append(buf, SLICE("]}\n")) && !buf->has_failed;
}

bool bootstrap_write_clusters(const struct bootstrap *bootstrap, struct slice before, uint64_t now_s, struct buf *buf,
                              bool *ret_is_slow)
{
    struct arena arena;
    struct buf text;
    arena_init(&arena, (size_t)64 << 10, SIZE_MAX);
    buf_init(&text, SIZE_MAX / 4);
    bool is_written = write_all(bootstrap, before, now_s, &arena, &text, buf, ret_is_slow);
    buf_fini(&text);
    arena_fini(&arena);
    return is_written;
}
