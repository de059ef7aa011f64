// `weir envoy`: the Envoy configuration of the same resources, printed, or written as files that a running Envoy follows.
#include "cli/envoy_xds.h"
#include "cli/load.h"
#include "host/envoy/bootstrap/bootstrap.h"

#include <unistd.h>

#define MODULE_NAME "libweir_envoy.so"

// ---- options --------------------------------------------------------------------------------------------------

// Beside the program (as built), else where `make install` puts it.
static struct slice find_module(struct arena *arena)
{
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program);
    struct slice path = slice_make(program, len > 0 ? (size_t)len : 0);
    while (path.len && path.ptr[path.len - 1] != '/')
        path.len--;
    struct slice beside = arena_join(arena, (struct slice[]){path, SLICE(MODULE_NAME)}, 2);
    if (beside.ptr && access(beside.ptr, R_OK) == 0)
        return beside;
    return arena_join(arena, (struct slice[]){path, SLICE("../lib/weir/" MODULE_NAME)}, 2);
}

static bool read_publish(struct cli *cli, const struct arguments *arguments, bool *ret_is_all)
{
    struct slice what = SLICE("costs");
    argument_value(arguments, OPTION_ENVOY_PUBLISH, &what);
    *ret_is_all = slice_eq(what, SLICE("all"));
    if (*ret_is_all || slice_eq(what, SLICE("costs")))
        return true;
    cli_usage_error(cli, COMMAND_ENVOY, "--publish takes all or costs");
    return false;
}

static bool read_options(struct cli *cli, const struct arguments *arguments, struct arena *arena,
                         struct bootstrap *bootstrap)
{
    uint64_t offset = 0;
    uint64_t admin = 9901;
    bootstrap->address = SLICE("0.0.0.0");
    argument_value(arguments, OPTION_ENVOY_ADDRESS, &bootstrap->address);
    argument_value(arguments, OPTION_ENVOY_XDS_DIR, &bootstrap->xds_dir);
    if (!argument_value(arguments, OPTION_ENVOY_MODULE, &bootstrap->module_path))
        bootstrap->module_path = find_module(arena);
    if (!read_publish(cli, arguments, &bootstrap->publishes_all))
        return false;
    if (!argument_u64(cli, arguments, OPTION_ENVOY_PORT_OFFSET, 0, 65535, &offset) ||
        !argument_u64(cli, arguments, OPTION_ENVOY_ADMIN_PORT, 0, 65535, &admin))
        return false;
    bootstrap->port_offset = (uint16_t)offset;
    bootstrap->admin_port = (uint16_t)admin;
    return true;
}

// ---- the command -------------------------------------------------------------------------------------------------

static int write_all(struct cli *cli, struct arena *arena, const struct bootstrap *bootstrap)
{
    struct buf text;
    buf_init(&text, ENVOY_OUTPUT_MAX_BYTES);
    bool is_good = (!bootstrap->xds_dir.len || envoy_write_xds(cli, arena, bootstrap)) &&
                   bootstrap_write(bootstrap, &text) && fwrite(text.ptr, 1, text.len, cli->out) == text.len &&
                   fflush(cli->out) == 0;
    buf_fini(&text);
    return is_good ? CLI_OK : CLI_FAILED;
}

int command_envoy(struct cli *cli, const struct arguments *arguments)
{
    struct arena arena;
    struct findings findings;
    struct sources sources = {0};
    struct bootstrap bootstrap = {0};
    if (arguments->file_count == 0)
        return cli_usage_error(cli, COMMAND_ENVOY, "no file to write an Envoy configuration of");
    arena_init(&arena, 64 << 10, SIZE_MAX);
    findings_init(&findings, &arena);
    int status = CLI_USAGE;
    if (read_options(cli, arguments, &arena, &bootstrap)) {
        load_sources(cli, arguments->files, arguments->file_count, &arena, &findings, &sources);
        struct config_env env = load_environment(cli);
        struct snapshot *snapshot = load_snapshot(&sources, &env, 1, 1, &findings);
        bootstrap.config = snapshot ? snapshot_config(snapshot) : NULL;
        bootstrap.documents = sources.items;
        bootstrap.document_count = sources.count;
        if (snapshot)
            bootstrap_check(&bootstrap, &findings);
        findings_print(cli->err, &findings, false);
        if (snapshot && findings.error_count == 0)
            status = write_all(cli, &arena, &bootstrap);
        if (snapshot)
            snapshot_unref(snapshot);
    }
    arena_fini(&arena);
    return status;
}
