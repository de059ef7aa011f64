// Makes one TCP connection to a host: resolves its name, tries its addresses side by side (happy eyeballs, RFC 8305) and,
// where a forward proxy stands before it, asks that one for a tunnel. The owner gets a connected socket or a reason, and
// keeps the time limit over all of it. One thread's; nothing blocks.
#ifndef WEIR_HOST_NATIVE_CONNECTOR_H
#define WEIR_HOST_NATIVE_CONNECTOR_H

#include "base/error.h"
#include "config/model.h"
#include "host/native/dns.h"
#include "host/native/loop.h"
#include "host/native/net.h"

#define CONNECTOR_DELAY_MS 250     // to the next address while the one before has not answered (RFC 8305 section 5)
#define CONNECTOR_RACERS_MAX 4     // addresses that are tried at the same time
#define CONNECTOR_ADDRESSES_MAX 16 // of a name that are tried at all
#define CONNECTOR_FAMILY_MS 600000 // how long it is remembered which family answered

// What is remembered of a host between its connections; zeroed at first, kept by the owner.
struct connector_memory {
    uint32_t turn;    // the addresses of a family take turns
    int family;       // the one that won when the other came first; 0: none
    int64_t until_us; // and how long that counts
};

struct connector_target {
    struct slice host; // name or IP literal
    uint16_t port;
    const struct config_lookup *lookup;       // NULL: both families, the records' own time to live
    const struct config_forward_proxy *proxy; // NULL: none
    struct connector_memory *memory;          // outlives the connector
};

struct connector_result {
    int fd;                     // non-blocking, the owner's to close; -1: failed
    struct net_address address; // of the peer: the host's, or the proxy's
    enum error_code error;
    struct slice why; // valid during the call
};

struct connector;
typedef void connector_done(void *context, const struct connector_result *result);

// Begins; texts of the target have to live as long. `done` is called once, from the loop, never from within this call;
// afterwards the connector is gone. NULL without memory.
struct connector *connector_start(struct loop *loop, struct dns *dns, const struct connector_target *target,
                                  connector_done *done, void *context);
// No address is known yet: where the time runs out now, it is the name servers that did not answer.
bool connector_is_resolving(const struct connector *connector);
// Ends it without a call. NULL is allowed.
void connector_cancel(struct connector *take_connector);

// The order in which addresses are tried (RFC 8305 section 4): those of `lookup`'s families, taking turns within each
// family from `turn` on, the families alternating, `first` (AF_INET, AF_INET6; 0: the family of the first answer) ahead.
// Pure. Gives the count.
size_t connector_order(const struct dns_answer *answer, const struct config_lookup *lookup, uint32_t turn, int first,
                       const struct dns_address *ret_order[CONNECTOR_ADDRESSES_MAX]);

#endif
