// Inside of a client's connection: what its files share. Nobody else includes this.
#ifndef WEIR_HOST_NATIVE_CLIENT_PARTS_H
#define WEIR_HOST_NATIVE_CLIENT_PARTS_H

#include "host/native/client.h"

#define CLIENT_UNSENT_CEILING (512U << 20) // of a complete answer that the exchange holds in memory anyway

// ---- the connection (client.c) ------------------------------------------------------------------------------------

// Ends the connection and what is under way on it. The memory stays until the loop's turn is over.
void client_close_with(struct client *client, enum exchange_end end);
// Says to the loop what the state waits for; after every change of it.
void client_want_events(struct client *client);
// Sets the time limits anew; likewise.
void client_arm(struct client *client);

// ---- requests (client_read.c) -------------------------------------------------------------------------------------

// Bytes from the socket. The connection may be closed afterwards, here and below.
void client_take(struct client *client, char *bytes, size_t len);
// Works through `bytes`, which are `held` or have just been read; keeps what is left.
void client_process(struct client *client, char *bytes, size_t len);
// Answers a request for which there is no exchange; the connection ends with that. `head` NULL: it could not be read.
void client_refuse(struct client *client, const struct request_head *head, enum error_code error);

// ---- answers (client_answer.c) ------------------------------------------------------------------------------------

extern const struct front_ops client_front_ops;

// Our side is shut; reading on until the client shuts its own keeps the last bytes from being lost in a reset.
void client_linger(struct client *client);
// Ends a connection whose last answer has been handed over.
void client_finish(struct client *client, bool is_request_read);

#endif
