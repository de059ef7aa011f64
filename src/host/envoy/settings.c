#include "host/envoy/settings.h"

#include "host/envoy/abi.h"
#include "host/envoy/access_log.h"
#include "host/envoy/headers.h"
#include "host/envoy/log.h"
#include "json/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define SETTINGS_MAX_BYTES ((size_t)1 << 30)
#define FILE_MAX_BYTES ((size_t)256 << 20)

enum member { POSITION, CONFIG, DOCUMENTS, FILES, LISTENER, FORWARD, PINNED, PUBLISH, LOG, BUILD, MEMBERS };

static const struct slice member_names[MEMBERS] = {
    [POSITION] = SLICE_INIT("position"), [CONFIG] = SLICE_INIT("config"),     [DOCUMENTS] = SLICE_INIT("documents"),
    [FILES] = SLICE_INIT("files"),       [LISTENER] = SLICE_INIT("listener"), [FORWARD] = SLICE_INIT("forward"),
    [PINNED] = SLICE_INIT("pinned"),     [PUBLISH] = SLICE_INIT("publish"),   [LOG] = SLICE_INIT("log"),
    [BUILD] = SLICE_INIT("build"),
};

// What one reading needs; gone when it is over.
struct reading {
    struct arena arena;
    struct findings findings;
    struct slice text;
    struct json_member members[MEMBERS];
    struct config_file *files;
    size_t file_count;
    size_t file_cap;
    struct settings *settings;
};

// ---- the environment ------------------------------------------------------------------------------------------

static bool get_variable(void *context, struct slice name, struct slice *ret_value)
{
    (void)context;
    char text[256];
    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    const char *value = getenv(text);
    *ret_value = slice_from_cstr(value);
    return value != NULL;
}

static bool read_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context;
    struct slice name = arena_dup(arena, path);
    FILE *file = name.ptr ? fopen(name.ptr, "rbe") : NULL;
    struct buf text;
    size_t got = 0;
    if (!file)
        return false;
    buf_init(&text, FILE_MAX_BYTES);
    do {
        text.len += got;
        got = buf_reserve(&text, 64 << 10) ? fread(text.ptr + text.len, 1, text.cap - text.len, file) : 0;
    } while (got);
    bool is_good = feof(file) && !ferror(file) && !text.has_failed;
    *ret_text = is_good ? arena_dup(arena, buf_slice(&text)) : SLICE("");
    buf_fini(&text);
    fclose(file);
    return is_good && ret_text->ptr;
}

// ---- members --------------------------------------------------------------------------------------------------

static bool refuse(struct slice why)
{
    log_text(ENVOY_LOG_ERROR, SLICE("weir: filter configuration: "), why);
    return false;
}

static struct slice raw_of(const struct reading *r, enum member member)
{
    const struct json_span *value = &r->members[member].value;
    return slice_sub(r->text, value->from, value->to - value->from);
}

// The text of a member; empty when it is not there.
static bool text_of(struct reading *r, enum member member, struct slice *ret_text)
{
    *ret_text = SLICE("");
    if (r->members[member].type == JSON_NONE)
        return true;
    return (r->members[member].type == JSON_STRING && json_string_decode(raw_of(r, member), &r->arena, ret_text)) ||
           refuse(arena_printf(&r->arena, "%s must be a string", member_names[member].ptr));
}

static bool add_file(struct reading *r, struct slice path, struct slice text)
{
    struct config_file **items = &r->files;
    if (!arena_grow(&r->arena, (void *)items, &r->file_cap, r->file_count, sizeof **items))
        return refuse(SLICE("out of memory"));
    r->files[r->file_count++] = (struct config_file){path, text};
    return true;
}

static bool read_document(struct reading *r, struct slice object)
{
    struct json_cursor cursor = json_cursor_init(object);
    struct slice key, value, path = SLICE("document"), text = {NULL, 0};
    enum json_type type;
    while (json_next(&cursor, &key, &value, &type)) {
        struct slice *to = slice_eq(key, SLICE("\"path\"")) ? &path : slice_eq(key, SLICE("\"text\"")) ? &text : NULL;
        if (!to || type != JSON_STRING || !json_string_decode(value, &r->arena, to))
            return refuse(SLICE("documents are objects of two strings, path and text"));
    }
    return text.ptr ? add_file(r, path, text) : refuse(SLICE("a document has no text"));
}

static bool read_named_file(struct reading *r, struct slice raw)
{
    struct slice path, text;
    if (!json_string_decode(raw, &r->arena, &path))
        return refuse(SLICE("files are strings"));
    if (!read_file(NULL, path, &r->arena, &text))
        return refuse(arena_printf(&r->arena, "can't read " SLICE_FMT ": %s", SLICE_ARG(path), strerror(errno)));
    return add_file(r, path, text);
}

static bool read_list(struct reading *r, enum member member, enum json_type of,
                      bool (*read)(struct reading *r, struct slice item))
{
    if (r->members[member].type == JSON_NONE)
        return true;
    if (r->members[member].type != JSON_ARRAY)
        return refuse(arena_printf(&r->arena, "%s must be a list", member_names[member].ptr));
    struct json_cursor cursor = json_cursor_init(raw_of(r, member));
    struct slice key, value;
    enum json_type type;
    while (json_next(&cursor, &key, &value, &type))
        if (type != of || !read(r, value))
            return type == of ? false : refuse(arena_printf(&r->arena, "%s: wrong entry", member_names[member].ptr));
    return true;
}

static bool read_sources(struct reading *r)
{
    struct slice config;
    return text_of(r, CONFIG, &config) && (!config.len || add_file(r, SLICE("config"), config)) &&
           read_list(r, DOCUMENTS, JSON_OBJECT, read_document) && read_list(r, FILES, JSON_STRING, read_named_file);
}

// A member that is one of two words, the first being the default.
static bool read_choice(struct reading *r, enum member member, const char *first, const char *second,
                        bool *ret_is_second)
{
    struct slice text;
    if (!text_of(r, member, &text))
        return false;
    *ret_is_second = slice_eq(text, slice_from_cstr(second));
    if (!text.len || *ret_is_second || slice_eq(text, slice_from_cstr(first)))
        return true;
    return refuse(arena_printf(&r->arena, "%s is %s or %s", member_names[member].ptr, first, second));
}

static bool read_choices(struct reading *r)
{
    bool is_upstream, is_by_headers, is_kept, is_costs, is_by_weir;
    if (!read_choice(r, POSITION, "listener", "upstream", &is_upstream) ||
        !read_choice(r, FORWARD, "weir", "headers", &is_by_headers) ||
        !read_choice(r, PINNED, "clear", "keep", &is_kept) || !read_choice(r, PUBLISH, "all", "costs", &is_costs) ||
        !read_choice(r, LOG, "envoy", "weir", &is_by_weir) ||
        !read_choice(r, BUILD, "tries", "ahead", &r->settings->builds_ahead))
        return false;
    r->settings->position = is_upstream ? POSITION_UPSTREAM : POSITION_LISTENER;
    r->settings->forward = is_by_headers ? FORWARD_HEADERS : FORWARD_WEIR;
    r->settings->keeps_pinned_model = is_kept;
    r->settings->publish = is_costs ? PUBLISH_COSTS : PUBLISH_ALL;
    r->settings->log_by = is_by_weir ? LOG_BY_WEIR : LOG_BY_ENVOY;
    return true;
}

// ---- resources ------------------------------------------------------------------------------------------------

static void log_findings(struct reading *r)
{
    findings_sort(&r->findings);
    for (size_t i = 0; i < r->findings.count; i++) {
        const struct finding *finding = &r->findings.items[i];
        if (finding->level == FINDING_NOTE)
            continue;
        struct slice place = arena_printf(&r->arena, "weir: " SLICE_FMT ":%u:%u: ", SLICE_ARG(finding->mark.file),
                                          finding->mark.line, finding->mark.column);
        log_text(finding->level == FINDING_ERROR ? ENVOY_LOG_ERROR : ENVOY_LOG_WARN, place, finding->text);
    }
}

static uint64_t seed(void)
{
    uint64_t value = 0;
    if (getrandom(&value, sizeof value, 0) != sizeof value)
        value ^= (uintptr_t)&value;
    return value;
}

static bool find_listener(struct reading *r)
{
    const struct config *config = snapshot_config(r->settings->snapshot);
    struct slice wanted;
    if (!text_of(r, LISTENER, &wanted))
        return false;
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        struct slice parts[] = {listener->namespace_, SLICE("/"), listener->gateway, SLICE("/"), listener->name};
        if (wanted.len && !slice_eq(wanted, arena_join(&r->arena, parts, 5)))
            continue;
        r->settings->listener_id = i;
        return true;
    }
    return refuse(wanted.len ? SLICE("no Gateway has that listener") : SLICE("no Gateway has a listener"));
}

static bool compile(struct reading *r)
{
    static _Atomic uint64_t generations;
    if (!r->file_count)
        return true;
    struct config_env env = {.get = get_variable, .read_file = read_file};
    struct config *config = config_load(r->files, r->file_count, &env, &r->findings);
    if (config && r->findings.error_count == 0)
        r->settings->snapshot = snapshot_new(config, ++generations, seed(), &r->findings);
    else
        config_free(config);
    log_findings(r);
    return r->settings->snapshot && find_listener(r);
}

static bool open_logs(const struct settings *settings)
{
    return settings->log_by == LOG_BY_ENVOY || access_log_open(settings->snapshot, settings->listener_id);
}

static bool read_all(struct reading *r)
{
    const struct json_names *names = json_names_new(&r->arena, member_names, MEMBERS);
    if (slice_trim(r->text).len == 0)
        return true;
    struct json_scan scan = json_scan_object(r->text, names, r->members);
    if (!names || scan.status != JSON_OK)
        return refuse(SLICE("it is no JSON object"));
    size_t known = 0;
    for (size_t i = 0; i < MEMBERS; i++)
        known += r->members[i].count;
    if (known != scan.member_count)
        return refuse(SLICE("it has a member that is not known"));
    return read_choices(r) && read_sources(r) && compile(r) && open_logs(r->settings);
}

struct settings *settings_new(struct slice text)
{
    struct reading r = {.text = text, .settings = calloc(1, sizeof(struct settings))};
    if (!r.settings)
        return NULL;
    arena_init(&r.arena, 64 << 10, SETTINGS_MAX_BYTES);
    findings_init(&r.findings, &r.arena);
    if (!read_all(&r)) {
        settings_free(r.settings);
        r.settings = NULL;
    }
    arena_fini(&r.arena);
    return r.settings;
}

void settings_free(struct settings *settings)
{
    if (!settings)
        return;
    if (settings->snapshot)
        snapshot_unref(settings->snapshot);
    free(settings);
}
