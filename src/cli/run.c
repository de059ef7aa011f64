// `weir run`: files or environment to a snapshot, the snapshot to the native host, and again on every reload.
#include "cli/load.h"

#include "cli/mock.h"
#include "cli/watched.h"
#include "host/native/server.h"

#include <arpa/inet.h>
#include <sys/random.h>
#include <time.h>

// What a reload needs again.
struct serving {
    struct cli *cli;
    const struct slice *paths;
    size_t path_count;
    uint64_t seed;
    struct config_env env;
    struct watched watched;
};

static int64_t monotonic_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool get_variable(void *context, struct slice name, struct slice *ret_value)
{
    struct serving *serving = context;
    return serving->env.get(serving->env.context, name, ret_value);
}

static bool read_named_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    struct serving *serving = context;
    *ret_text = SLICE("");
    bool is_read = serving->env.read_file(serving->env.context, path, arena, ret_text);
    if (is_read)
        watched_named_file(&serving->watched, path, *ret_text);
    return is_read;
}

// Reads everything again and compiles it; prints the findings on standard error. NULL when there was an error.
static struct snapshot *load(struct serving *serving, uint64_t generation)
{
    struct arena arena;
    struct findings findings;
    struct sources sources = {0};
    struct snapshot *snapshot = NULL;
    arena_init(&arena, 64 << 10, (size_t)1 << 30);
    findings_init(&findings, &arena);
    bool is_read = true;
    watched_begin(&serving->watched);
    if (serving->path_count > 0)
        load_sources(serving->cli, serving->paths, serving->path_count, &arena, &findings, &sources);
    else
        is_read = load_from_environment(serving->cli, &arena, &sources);
    for (size_t i = 0; i < sources.count && serving->path_count > 0; i++)
        watched_file(&serving->watched, sources.items[i].path, sources.items[i].text);
    struct config_env env = {get_variable, read_named_file, serving};
    if (is_read)
        snapshot = load_snapshot(&sources, &env, generation, serving->seed, &findings);
    findings_print(serving->cli->err, &findings, false);
    fflush(serving->cli->err);
    arena_fini(&arena);
    return snapshot;
}

static enum server_reload reload(void *context, uint64_t generation, struct snapshot **ret_snapshot)
{
    *ret_snapshot = load(context, generation);
    return *ret_snapshot ? SERVER_RELOAD_DONE : SERVER_RELOAD_REJECTED;
}

static bool has_changed(void *context)
{
    struct serving *serving = context;
    return watched_has_changed(&serving->watched);
}

static char **folders(void *context, size_t *ret_count)
{
    struct serving *serving = context;
    const struct watched_names *names = watched_folders(&serving->watched);
    *ret_count = names->count;
    return names->items;
}

// ---- options --------------------------------------------------------------------------------------------------------

static bool read_log_level(struct cli *cli, const struct arguments *arguments, enum server_log_level *level)
{
    static const struct slice names[] = {[SERVER_LOG_ERROR] = SLICE_INIT("error"),
                                         [SERVER_LOG_WARN] = SLICE_INIT("warn"),
                                         [SERVER_LOG_INFO] = SLICE_INIT("info"),
                                         [SERVER_LOG_DEBUG] = SLICE_INIT("debug")};
    struct slice text;
    if (!argument_value(arguments, OPTION_RUN_LOG_LEVEL, &text))
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_eq(text, names[i])) {
            *level = (enum server_log_level)i;
            return true;
        }
    cli_usage_error(cli, COMMAND_RUN, "--log-level: '" SLICE_FMT "' is not error, warn, info or debug",
                    SLICE_ARG(text));
    return false;
}

static bool read_address(struct cli *cli, const struct arguments *arguments, const char **ret_address)
{
    struct slice text;
    struct in6_addr ignored;
    if (!argument_value(arguments, OPTION_RUN_ADDRESS, &text))
        return true;
    *ret_address = slice_eq(text, SLICE("localhost")) ? "127.0.0.1" : text.ptr; // of argv: ends with a NUL
    if (inet_pton(AF_INET, *ret_address, &ignored) == 1 || inet_pton(AF_INET6, *ret_address, &ignored) == 1)
        return true;
    cli_usage_error(cli, COMMAND_RUN, "--address: '" SLICE_FMT "' is no IP address", SLICE_ARG(text));
    return false;
}

static bool read_options(struct cli *cli, const struct arguments *arguments, struct server_options *options)
{
    uint64_t workers = 0, admin_port = 1064, offset = 0;
    if (!argument_u64(cli, arguments, OPTION_RUN_WORKERS, 1, 256, &workers) ||
        !argument_u64(cli, arguments, OPTION_RUN_ADMIN_PORT, 0, 65535, &admin_port) ||
        !argument_u64(cli, arguments, OPTION_RUN_PORT_OFFSET, 0, 65534, &offset) ||
        !argument_bytes(cli, arguments, OPTION_RUN_MEMORY_LIMIT, &options->memory_limit_bytes) ||
        !argument_duration_ms(cli, arguments, OPTION_RUN_DRAIN_TIME, &options->drain_ms))
        return false;
    options->has_generation_header = argument_flag(arguments, OPTION_RUN_GENERATION_HEADER);
    options->takes_over = argument_flag(arguments, OPTION_RUN_UPGRADE);
    options->workers = (unsigned)workers;
    options->admin_port = (uint16_t)admin_port;
    options->port_offset = (uint16_t)offset;
    return read_log_level(cli, arguments, &options->log_level) && read_address(cli, arguments, &options->address);
}

static bool check_ports(struct cli *cli, const struct config *config, unsigned offset)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->port + offset <= UINT16_MAX)
            continue;
        cli_usage_error(cli, COMMAND_RUN,
                        "--port-offset: port %u of listener \"" SLICE_FMT "\" becomes %u, above 65535", listener->port,
                        SLICE_ARG(listener->name), listener->port + offset);
        return false;
    }
    return true;
}

// ---- the mock beside it ---------------------------------------------------------------------------------------------

// False after a message; *ret_mock is NULL when none was asked for. `options` has to outlive the mock.
static bool start_mock(struct cli *cli, const struct arguments *arguments, struct mock_options *options,
                       struct mock **ret_mock)
{
    struct slice text;
    uint64_t port = MOCK_DEFAULT_PORT;
    const char *why = "";
    *ret_mock = NULL;
    if (!argument_value(arguments, OPTION_RUN_MOCK, &text))
        return true;
    if (text.len && !argument_u64(cli, arguments, OPTION_RUN_MOCK, 1, 65535, &port))
        return false;
    *options = mock_options_default();
    options->port = (uint16_t)port;
    *ret_mock = mock_start(options, &why);
    if (*ret_mock)
        fprintf(cli->err, "weir: the mock provider listens on http://127.0.0.1:%u\n", mock_port(*ret_mock));
    else
        fprintf(cli->err, "weir run: the mock can't listen on 127.0.0.1 port %llu: %s\n", (unsigned long long)port,
                why);
    return *ret_mock != NULL;
}

int command_run(struct cli *cli, const struct arguments *arguments)
{
    struct serving serving = {.cli = cli, .paths = arguments->files, .path_count = arguments->file_count};
    struct server_options options = {
        .log_level = SERVER_LOG_INFO,
        .drain_ms = 30000,
        .started_us = monotonic_us(),
        .version = WEIR_VERSION,
        .argv = cli->argv,
        .reload = reload,
        .has_changed = has_changed,
        .folders = folders,
        .context = &serving,
    };
    struct mock_options mock_options;
    struct mock *mock = NULL;
    if (!read_options(cli, arguments, &options))
        return CLI_USAGE;
    serving.env = load_environment(cli);
    watched_init(&serving.watched, cli, serving.paths, serving.path_count);
    if (getrandom(&serving.seed, sizeof serving.seed, 0) != sizeof serving.seed)
        return CLI_FAILED;
    int status = CLI_USAGE;
    struct snapshot *snapshot = load(&serving, 1);
    if (snapshot && !check_ports(cli, snapshot_config(snapshot), options.port_offset))
        snapshot_unref(snapshot);
    else if (snapshot && start_mock(cli, arguments, &mock_options, &mock)) {
        status = server_run(snapshot, &options);
    } else if (snapshot) {
        snapshot_unref(snapshot);
        status = CLI_FAILED;
    }
    mock_stop(mock);
    watched_fini(&serving.watched);
    return status;
}
