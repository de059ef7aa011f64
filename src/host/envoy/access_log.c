#include "host/envoy/access_log.h"

#include "host/envoy/abi.h"
#include "host/envoy/log.h"
#include "host/envoy/stream.h"
#include "host/log/logsink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WARNING_US 10000000 // between two warnings of lost lines

// Process state on purpose: whichever configurations come and go, a stream may write until Envoy ends, and files are
// shared. Made on the main thread, before a worker gets a configuration that needs it.
static struct logsink *sink;

// When Envoy has ended its workers and exits, or unloads the module: what was written last still has to go out.
__attribute__((destructor)) static void write_out(void)
{
    logsink_free(sink);
    sink = NULL;
}

static bool refuse(struct slice path)
{
    char why[512];
    snprintf(why, sizeof why, SLICE_FMT ": %s", SLICE_ARG(slice_sub(path, 0, sizeof why / 2)), strerror(errno));
    log_text(ENVOY_LOG_ERROR, SLICE("weir: can't open the access log "), slice_from_cstr(why));
    return false;
}

bool access_log_open(const struct snapshot *snapshot, size_t listener)
{
    if (!sink && !(sink = logsink_new()))
        return refuse(SLICE(""));
    for (size_t i = 0; snapshot && i < snapshot_log_count(snapshot, listener); i++) {
        struct slice path = snapshot_log_path(snapshot, listener, i);
        for (uint32_t worker = 0; worker < ENVOY_CALL(get_concurrency)(); worker++)
            if (!logsink_open(sink, worker, path))
                return refuse(path);
    }
    return true;
}

static void warn(void)
{
    static _Atomic int64_t next_us;
    int64_t now = now_us();
    if (now < next_us)
        return;
    next_us = now + WARNING_US;
    log_text(ENVOY_LOG_WARN, SLICE("weir: access-log lines are lost: "), SLICE("their destination takes nothing"));
}

// Opened here is what a route's settings have not, while Envoy takes over a change of routes and listeners one by one.
static struct logsink_channel *find(uint32_t worker, struct slice path)
{
    static _Thread_local struct logsink_channel *last;
    if (last && logsink_is_to(last, path))
        return last;
    struct logsink_channel *found = logsink_find(sink, worker, path);
    return last = found ? found : logsink_open(sink, worker, path);
}

void access_log_write(uint32_t worker, struct slice path, struct slice lines)
{
    struct logsink_channel *channel = find(worker, path);
    if (!channel || !logsink_write(channel, lines))
        warn();
}
