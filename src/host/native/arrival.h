// A connection to a port with TLS before anybody speaks HTTP on it: its ClientHello is read, the listener that it asks for
// chosen, the handshake made; then the connection is handed on by the protocol that was agreed on.
#ifndef WEIR_HOST_NATIVE_ARRIVAL_H
#define WEIR_HOST_NATIVE_ARRIVAL_H

#include "host/native/worker.h"

// Takes the socket. Counted as a connection of the listener's until it is handed on or ends.
void arrival_begin(struct listener *listener, int fd, const struct net_address *peer);
// Ends all that are under way in a worker.
void arrival_end_all(struct worker *worker);

#endif
