// Metrics as text.
#include "host/native/metrics.h"

#include <stdio.h>

void metrics_add(struct counters *sum, const struct counters *of_worker)
{
#define COUNTER(name, metric, labels, help) sum->name += counter_read(&of_worker->name);
#define GAUGE(name, metric, labels, help) sum->name += counter_read(&of_worker->name);
#include "host/native/counters.def"
#undef COUNTER
#undef GAUGE
}

// HELP and TYPE stand once before all series of a metric; these follow each other in the table.
static void write_one(struct buf *out, const char **last, const char *metric, const char *labels, const char *help,
                      const char *type, uint64_t value)
{
    if (!*last || strcmp(*last, metric) != 0)
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
    *last = metric;
    buf_printf(out, *labels ? "%s{%s} %llu\n" : "%s%s %llu\n", metric, labels, (unsigned long long)value);
}

static void write_backend(struct buf *out, const struct config_backend *backend, const char *metric, uint64_t value)
{
    buf_printf(out, "%s{namespace=\"" SLICE_FMT "\",backend=\"" SLICE_FMT "\"", metric, SLICE_ARG(backend->namespace_),
               SLICE_ARG(backend->name));
    if (backend->proxy) // of one that Gateways call in different ways there are several
        buf_printf(out, ",gateway_config=\"" SLICE_FMT "/" SLICE_FMT "\"", SLICE_ARG(backend->proxy->namespace_),
                   SLICE_ARG(backend->proxy->name));
    if (backend->tls_from.len)
        buf_printf(out, ",envoy_proxy=\"" SLICE_FMT "\"", SLICE_ARG(backend->tls_from));
    buf_printf(out, "} %llu\n", (unsigned long long)value);
}

static void write_backends(struct buf *out, const struct generation *generation, int64_t now_us)
{
    const struct config *config = snapshot_config(generation->snapshot);
    buf_printf(out, "# HELP weir_backend_up Whether requests are sent to the backend now.\n"
                    "# TYPE weir_backend_up gauge\n");
    for (size_t i = 0; i < config->backend_count; i++) {
        struct health_state state = health_state(generation->health, i, now_us);
        write_backend(out, &config->backends[i], "weir_backend_up", !state.is_ejected && !state.is_failing_check);
    }
    buf_printf(out, "# HELP weir_backend_ejections_total Passive ejections.\n"
                    "# TYPE weir_backend_ejections_total counter\n");
    for (size_t i = 0; i < config->backend_count; i++)
        write_backend(out, &config->backends[i], "weir_backend_ejections_total",
                      health_state(generation->health, i, now_us).ejections);
    buf_printf(out, "# HELP weir_backend_requests Requests under way at the backend.\n"
                    "# TYPE weir_backend_requests gauge\n");
    for (size_t i = 0; i < config->backend_count; i++)
        write_backend(out, &config->backends[i], "weir_backend_requests",
                      __atomic_load_n(&generation->loads[i]->requests, __ATOMIC_RELAXED));
}

static void write_overload(struct buf *out, const struct metrics_process *process)
{
    const char *last = NULL;
    char labels[32];
    for (size_t i = OVERLOAD_SHRINK; i < OVERLOAD_LEVELS; i++) {
        snprintf(labels, sizeof labels, "level=\"%s\"", overload_names[i]);
        write_one(out, &last, "weir_overload_entered_total", labels, "Times that memory ran so short.", "counter",
                  process->overload_entered[i]);
    }
    write_one(out, &last, "weir_overload_level", "", "0: enough memory; 1 shrink, 2 refuse, 3 shed.", "gauge",
              process->overload);
    write_one(out, &last, "weir_memory_limit_bytes", "", "What the levels are measured by; 0: no limit.", "gauge",
              process->memory_limit_bytes);
}

void metrics_write(struct buf *out, const struct counters *sum, const struct metrics_process *process,
                   const struct generation *generation, int64_t now_us)
{
    const char *last = NULL;
#define COUNTER(name, metric, labels, help) write_one(out, &last, metric, labels, help, "counter", sum->name);
#define GAUGE(name, metric, labels, help) write_one(out, &last, metric, labels, help, "gauge", sum->name);
#include "host/native/counters.def"
#undef COUNTER
#undef GAUGE
    write_one(out, &last, "weir_config_reloads_total", "result=\"ok\"", "Reloads of the configuration.", "counter",
              process->reloads_ok);
    write_one(out, &last, "weir_config_reloads_total", "result=\"rejected\"", "", "counter", process->reloads_rejected);
    write_one(out, &last, "weir_upgrades_failed_total", "", "Hot upgrades whose new process did not come to serve.",
              "counter", process->upgrades_failed);
    write_one(out, &last, "weir_access_log_lost_lines_total", "", "Access-log lines lost because their sink was stuck.",
              "counter", process->log_lines_lost);
    write_overload(out, process);
    write_one(out, &last, "weir_config_generation", "", "Generation of the configuration that is served.", "gauge",
              snapshot_generation(generation->snapshot));
    write_one(out, &last, "weir_workers", "", "Worker threads.", "gauge", process->workers);
    write_backends(out, generation, now_us);
}
