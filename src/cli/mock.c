// `weir mock`: from the command line to a running stand-in provider.
#include "cli/mock.h"

#include "cli/cli.h"

#include <signal.h>

// STATUS:NAME=VALUE
static bool parse_fail(struct slice text, struct mock_fail *ret_fail)
{
    struct slice rest = text;
    uint64_t status = 0;
    struct slice first = slice_split(&rest, ':');
    if (!slice_to_u64(first, 599, &status) || status < 400 || !rest.ptr)
        return false;
    ret_fail->status = (uint16_t)status;
    ret_fail->name = slice_trim(slice_split(&rest, '='));
    ret_fail->value = slice_trim(rest);
    return rest.ptr && ret_fail->name.len > 0;
}

static bool read_fails(struct cli *cli, const struct arguments *arguments, struct mock_options *options)
{
    for (size_t i = 0; i < arguments->option_count; i++) {
        struct slice text = arguments->options[i].value;
        if (arguments->options[i].id != OPTION_MOCK_FAIL)
            continue;
        if (options->fail_count == MOCK_FAIL_MAX || !parse_fail(text, &options->fails[options->fail_count])) {
            cli_usage_error(cli, COMMAND_MOCK, "--fail: '" SLICE_FMT "' is not STATUS:NAME=VALUE (at most %d of them)",
                            SLICE_ARG(text), MOCK_FAIL_MAX);
            return false;
        }
        options->fail_count++;
    }
    return true;
}

static bool read_options(struct cli *cli, const struct arguments *arguments, struct mock_options *options)
{
    uint64_t port = options->port, tokens = options->tokens, rate = 0, chunk = 0, workers = 1;
    int64_t latency_ms = 0;
    if (!argument_u64(cli, arguments, OPTION_MOCK_PORT, 0, 65535, &port) ||
        !argument_u64(cli, arguments, OPTION_MOCK_TOKENS, 0, 10000000, &tokens) ||
        !argument_u64(cli, arguments, OPTION_MOCK_RATE, 0, 1000000, &rate) ||
        !argument_u64(cli, arguments, OPTION_MOCK_CHUNK, 0, 1 << 30, &chunk) ||
        !argument_u64(cli, arguments, OPTION_MOCK_WORKERS, 1, 64, &workers) ||
        !argument_duration_ms(cli, arguments, OPTION_MOCK_LATENCY, &latency_ms))
        return false;
    argument_value(arguments, OPTION_MOCK_ADDRESS, &options->address);
    options->port = (uint16_t)port;
    options->tokens = (uint32_t)tokens;
    options->rate = (uint32_t)rate;
    options->chunk_bytes = chunk;
    options->workers = (unsigned)workers;
    options->latency_us = latency_ms * 1000;
    return read_fails(cli, arguments, options);
}

int command_mock(struct cli *cli, const struct arguments *arguments)
{
    struct mock_options options = mock_options_default();
    if (!read_options(cli, arguments, &options))
        return CLI_USAGE;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    const char *why = "";
    struct mock *mock = mock_start(&options, &why);
    if (!mock) {
        fprintf(cli->err, "weir mock: can't listen on " SLICE_FMT " port %u: %s\n", SLICE_ARG(options.address),
                options.port, why);
        return CLI_FAILED;
    }
    fprintf(cli->err, "weir mock: listening on http://" SLICE_FMT ":%u\n", SLICE_ARG(options.address), mock_port(mock));
    fflush(cli->err);
    int signal_number = 0;
    sigwait(&ends, &signal_number);
    mock_stop(mock);
    return CLI_OK;
}
