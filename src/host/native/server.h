// The embedded proxy: listeners, workers, upstream pools, admin port, signals. Knows HTTP, sockets and time; nothing of
// models, tokens or providers, which are the exchange's.
#ifndef WEIR_HOST_NATIVE_SERVER_H
#define WEIR_HOST_NATIVE_SERVER_H

#include "base/slice.h"
#include "exchange/snapshot.h"

enum server_log_level { SERVER_LOG_ERROR, SERVER_LOG_WARN, SERVER_LOG_INFO, SERVER_LOG_DEBUG };

// What a reload gave (S10).
enum server_reload { SERVER_RELOAD_DONE, SERVER_RELOAD_REJECTED };

struct server_options {
    const char *address;  // IP literal to listen on; NULL: all addresses, IPv6 and IPv4
    unsigned workers;     // 0: one for each core that the process may use
    uint16_t admin_port;  // on loopback; 0: no admin port. Not moved by port_offset
    uint16_t port_offset; // added to the ports of the listeners
    enum server_log_level log_level;
    uint64_t memory_limit_bytes; // 0: the cgroup's, if it has one; UINT64_MAX: none
    int64_t drain_ms;            // longest drain after SIGTERM or SIGINT
    int64_t
        started_us; // monotonic (CLOCK_MONOTONIC) start of the process, for the ready line; 0: when server_run began
    const char *version;
    char *const *argv;          // of the program, for hot upgrades; NULL: there are none
    bool has_generation_header; // answers tell x-weir-generation
    bool takes_over;            // from a running process: its sockets are served, and it drains then (takeover.h)
    // Loads the configuration anew, on SIGHUP and when `has_changed` says so: reads, compiles, prints its own findings.
    // Called on the control thread, never on a worker. RELOAD_DONE hands over a snapshot whose generation is
    // `generation`. NULL: reloads are off and SIGHUP is logged and ignored.
    enum server_reload (*reload)(void *context, uint64_t generation, struct snapshot **ret_snapshot);
    // Asked about twice a second on the control thread: did a file of the configuration change? NULL: SIGHUP only.
    bool (*has_changed)(void *context);
    // The folders in which something happens when the configuration changes: has_changed is asked soon after. Asked for
    // again after each look; what it gives is valid until then. NULL: the look twice a second alone.
    char **(*folders)(void *context, size_t *ret_count);
    void *context;
};

// Serves `take_snapshot` until a signal ends it; prints the ready line and what goes wrong on stderr. Gives the exit
// status of the program: 0 stopped as asked, 1 failed at run time (a port is taken, out of memory).
// Takes the reference to the snapshot in any case. Blocks SIGPIPE for the process. One call at a time in a process.
int server_run(struct snapshot *take_snapshot, const struct server_options *options);

#endif
