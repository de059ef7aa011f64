// A connection before anybody speaks HTTP on it: where the port has that, its PROXY header is read, its ClientHello, the
// listener that it asks for chosen, the handshake made; then the connection is handed on by the protocol agreed on.
#ifndef WEIR_HOST_NATIVE_ARRIVAL_H
#define WEIR_HOST_NATIVE_ARRIVAL_H

#include "host/native/worker.h"

// Between whom a connection is.
struct arrival_ends {
    struct net_address direct; // the other end of the socket
    struct net_address peer;   // the client: the same, or what a PROXY header said
    struct net_address local;  // what it connected to; len 0: this end of the socket
    bool is_told;              // by a PROXY header
};

// Takes the socket. Counted as a connection of the listener's until it is handed on or ends.
void arrival_begin(struct listener *listener, int fd, const struct net_address *peer);
// Ends all that are under way in a worker.
void arrival_end_all(struct worker *worker);

#endif
