// Listening sockets that the process was started with: from systemd (socket activation, sd_listen_fds(3)), or from the
// Weir that it takes over from (upgrade.h). Both number them from 3 and tell of them in the environment. What was taken
// from a running Weir (takeover.h) is added to them.
#ifndef WEIR_HOST_NATIVE_INHERITED_H
#define WEIR_HOST_NATIVE_INHERITED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INHERITED_FIRST_FD 3
#define INHERITED_NAME_ADMIN "admin" // the name of the admin port's sockets; the others bear a listener's port, if any

struct inherited_socket {
    int fd;            // -1: taken
    uint16_t port;     // the name, if that is a number: as configured, without the offset; else 0
    uint16_t bound_at; // the socket's own port
    bool is_admin;
};

struct inherited {
    struct inherited_socket *items;
    size_t count;
    int ready_fd; // where to tell that it serves; -1: nobody asks
};

// Reads and clears the environment, which must not go on to processes that this one starts. Sockets that are no
// listening TCP sockets are closed. Call once, before other threads read the environment.
void inherited_take(struct inherited *ret_inherited);
// Takes a socket that came otherwise, known by its own port. False when it is no listening TCP socket; then it stays the
// caller's.
bool inherited_add(struct inherited *inherited, int take_fd, bool is_admin);
// Whether another process waits to be told that this one serves.
bool inherited_is_awaited(const struct inherited *inherited);
// Gives the next socket for a listener's port, which is served at `at`; -1: there is none (any more).
int inherited_find(struct inherited *inherited, uint16_t port, uint16_t at);
bool inherited_has(const struct inherited *inherited, uint16_t port, uint16_t at);
int inherited_find_admin(struct inherited *inherited);
// Closes the admin port's sockets that are not bound to `at`.
void inherited_drop_admin(struct inherited *inherited, uint16_t at);
// Tells the process that waits for it.
void inherited_tell_ready(struct inherited *inherited);
// Closes what was not asked for; gives how many these were.
size_t inherited_close(struct inherited *inherited);

#endif
