// Connections of TLSRoutes: the backend is chosen by the name that the client asks for, and the bytes go to and fro unread.
#ifndef WEIR_HOST_NATIVE_PASSTHROUGH_H
#define WEIR_HOST_NATIVE_PASSTHROUGH_H

#include "host/native/arrival.h"

// Takes the socket and the ClientHello that was read from it. The connection is counted already. `server_name` may point
// into the ClientHello.
void passthrough_begin(struct listener *listener, int take_fd, const struct arrival_ends *ends,
                       const struct config_listener *config, struct slice server_name, struct buf *take_hello);
// Ends all of a worker.
void passthrough_end_all(struct worker *worker);

#endif
