// The ports that are listened on, and their sockets: opened for all workers at once, each its own (SO_REUSEPORT), so that
// connections spread without a lock. A copy of each socket is held here for the process that may take over (upgrade.h).
// For the control thread.
#ifndef WEIR_HOST_NATIVE_PORTS_H
#define WEIR_HOST_NATIVE_PORTS_H

#include "host/native/inherited.h"
#include "host/native/worker.h"

struct held_port {
    struct port *port;
    bool is_open;
    int *sockets; // copies of the workers', each once
    size_t socket_count;
};

struct ports {
    const char *address; // NULL: all
    uint16_t offset;
    struct inherited *inherited; // asked for sockets first; NULL: none
    struct held_port *items;     // all that were ever listened on
    size_t count;
};

void ports_init(struct ports *ports, const char *address, uint16_t offset, struct inherited *inherited);
// Closes the copies, and frees; the workers must have ended.
void ports_fini(struct ports *ports);

// Adds to the workers' orders the sockets of the ports that `config` wants and that are not open. False with a message in
// `why`: nothing has changed, the orders are to be freed.
bool ports_open(struct ports *ports, const struct config *config, struct worker_order *orders, unsigned worker_count,
                char *why, size_t why_cap);
// `config` is served now: lets go of the ports that it does not have.
void ports_settle(struct ports *ports, const struct config *config);
// Lets go of all copies: from now on the workers' sockets are the last.
void ports_release(struct ports *ports);

#endif
