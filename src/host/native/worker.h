// One worker: a thread with its own loop, listening sockets, client connections and upstream pools. Nothing here is
// touched by another thread except what is marked so.
#ifndef WEIR_HOST_NATIVE_WORKER_H
#define WEIR_HOST_NATIVE_WORKER_H

#include "base/buf.h"
#include "host/log/logsink.h"
#include "host/native/counters.h"
#include "host/native/deadline.h"
#include "host/native/generation.h"
#include "host/native/h1.h"
#include "host/native/dns.h"
#include "host/native/h2_shared.h"
#include "host/native/list.h"
#include "host/native/loop.h"
#include "host/native/net.h"
#include "host/native/overload.h"
#include "host/native/server.h"

#include <pthread.h>

#define WORKER_READ_BYTES 65536

struct pools;

// A port that is listened on, for all workers; lives as long as the process.
struct port {
    uint16_t number;      // as configured, without the offset: several config_listeners may share it
    uint32_t connections; // of clients, all workers
};

// A socket that the control thread opened for one worker.
struct listen_socket {
    struct port *port;
    int fd;
};

// A listening socket of one worker; lives as long as the worker, since clients refer to it.
struct listener {
    struct loop_io io; // first, so that it can be found from it
    struct worker *worker;
    struct port *port;
    bool is_open;
};

// What the control thread hands to a worker: at the start, and when the configuration changes.
struct worker_order {
    struct generation *generation; // a reference for the worker
    struct listen_socket *sockets; // new ones, freed by the worker
    size_t socket_count;
};

// The budget of retries: a fifth of the requests of the last ten seconds, and a few for quiet times (S11).
struct retry_budget {
    uint32_t requests[10];
    uint32_t retries[10];
    int64_t second; // of the newest slot
};

// Why a worker takes no new connections any more.
enum worker_drain_kind {
    WORKER_DRAIN_STOP,      // idle connections close at once
    WORKER_DRAIN_HAND_OVER, // another process serves: idle connections live on for a moment
};

struct worker {
    struct loop loop;
    pthread_t thread;
    unsigned index;
    const struct server_options *options;

    struct listener **listeners;
    size_t listener_count;
    struct loop_timer accept_timer; // accepting goes on when descriptors ran out
    size_t max_connections;
    size_t connection_count;
    struct list clients;
    struct list streams;  // requests under way
    struct list arrivals; // connections whose TLS handshake is not done yet
    struct list splices;  // connections that are passed on unread

    struct dns *dns;
    struct logsink *logsink; // of the process
    struct buf log_line;

    struct generation *generation;
    struct pools *pools;   // of the current generation
    struct list all_pools; // and of earlier ones with requests under way

    struct deadlines deadlines;
    struct loop_timer tick;
    bool is_ticking;
    struct h2_shared h2;
    struct loop_turn turn; // flushes HTTP/2 sessions

    struct counters counters; // read by the control thread
    struct retry_budget budget;
    uint64_t random[2];

    char *read_bytes;       // one read buffer, WORKER_READ_BYTES; given away with a long body in it
    struct h1_spans *spans; // of the head that is being read
    struct buf head;        // heads on their way out

    // From the control thread, under `mutex`; `wake` tells.
    struct loop_wake wake;
    pthread_mutex_t mutex;
    struct worker_order order; // generation NULL: none
    enum overload_level overload_asked;
    bool is_shed_asked;
    bool is_drain_asked;
    enum worker_drain_kind drain_kind;
    bool is_stop_asked;
    void (*on_end)(void *context); // called by the worker's thread as its last act
    void *on_end_context;

    enum overload_level overload; // how short memory is
    uint64_t largest_bytes;       // atomic: what the largest of `streams` held, when last looked at on OVERLOAD_SHED
    int reserve_fd;               // to be closed when no other descriptor is left, so that one can be told so
    bool is_draining;
    int64_t drain_until_us;
    int64_t idle_until_us; // for connections that may still send a request; DEADLINE_NONE: that is over
};

// ---- for the control thread ---------------------------------------------------------------------------------------

// Makes a worker that listens on the sockets of `take_order` when it runs. NULL: no memory, or the loop refused.
struct worker *worker_new(unsigned index, const struct server_options *options, struct logsink *logsink,
                          size_t max_connections, const struct worker_order *take_order);
bool worker_start(struct worker *worker, void (*on_end)(void *context), void *context);
// Swaps the configuration, opens new listeners and closes those that it has no more.
void worker_reload(struct worker *worker, const struct worker_order *take_order);
// No new connections; ends when the last client has gone, or when the time for draining is over.
void worker_drain(struct worker *worker, enum worker_drain_kind kind);
// How short memory is. `is_shed`: end the request that holds the most.
void worker_overload(struct worker *worker, enum overload_level level, bool is_shed);
// Ends at once.
void worker_stop(struct worker *worker);
// Waits for the thread to end and frees all.
void worker_join(struct worker *worker);

// ---- for what runs in a worker ------------------------------------------------------------------------------------

uint64_t worker_random(struct worker *worker);
// Gives away the buffer that was last read into, and takes a new one. False: no memory, nothing has changed.
bool worker_give_read_bytes(struct worker *worker, struct buf *ret_block);
// Sets a deadline and keeps the tick going while there are any.
void worker_deadline(struct worker *worker, struct deadline *deadline, int64_t at_us);
// Counts a request; for the budget of retries.
void retry_budget_request(struct retry_budget *budget, int64_t now_us);
// Whether one more retry is within the budget.
bool retry_budget_allows(struct retry_budget *budget, int64_t now_us);
// Whether half of it is used up: time to spare it by beginning elsewhere than at a backend that fails.
bool retry_budget_is_low(struct retry_budget *budget, int64_t now_us);
void retry_budget_retry(struct retry_budget *budget, int64_t now_us);
// Counts an answer by its class.
void worker_count_response(struct worker *worker, uint16_t status);
// A client's connection was opened, or closed.
void worker_connection_opened(struct worker *worker, struct listener *listener);
void worker_connection_closed(struct worker *worker, struct listener *listener);

#endif
