// Name resolution on a libuv loop by c-ares: A and AAAA, /etc/hosts and localhost included, with a cache that keeps the
// records' time to live and serves the last good answer for a while when the servers fail. One object a worker, on the
// worker's own loop; nothing is shared between threads and nothing blocks.
#ifndef WEIR_HOST_NATIVE_DNS_H
#define WEIR_HOST_NATIVE_DNS_H

#include "base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <uv.h>

struct dns_address { // the port is 0: the caller's to set
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
};

// `addresses` is empty when the name could not be resolved; `error` says why then. Valid during the call that hands it out.
struct dns_answer {
    const struct dns_address *addresses;
    size_t count;
    struct slice error;
    bool is_stale; // the servers failed; this is the last good answer
};

// A question under way, in the caller's storage (its connection). Set `done` before the call.
struct dns_query {
    void (*done)(struct dns_query *query, const struct dns_answer *answer);
    struct dns_query **prev_next; // private: NULL when not under way
    struct dns_query *next;       // private
};

enum dns_status {
    DNS_ANSWERED, // *ret_answer is filled, also with an error; `done` is not called
    DNS_PENDING,  // `done` is called once, from the loop, unless dns_cancel comes first
};

struct dns;

// NULL when c-ares or the loop refuses; *ret_why then says it.
struct dns *dns_new(uv_loop_t *loop, struct slice *ret_why);
// Asks these servers, "127.0.0.1:5300" with commas between, instead of the system's. False when they are malformed.
bool dns_set_servers(struct dns *dns, const char *servers);
// Cancels what is under way (no `done` is called) and closes its handles: run the loop once more before closing that.
void dns_free(struct dns *take_dns);
// Resolves a host name (not longer than 253 bytes) or an IP literal. Joins a question already under way for that name.
// `refresh_ms`: how old an answer may be; 0: as old as its records say.
enum dns_status dns_resolve(struct dns *dns, struct slice host, uint64_t refresh_ms, struct dns_query *query,
                            struct dns_answer *ret_answer);
// Safe when nothing is under way.
void dns_cancel(struct dns_query *query);
// "1.2.3.4:443", "[::1]:443" into `text` (at least 64 bytes), for logs.
struct slice dns_address_print(const struct dns_address *address, uint16_t port, char *text, size_t cap);

#endif
