// The side of a running process that hands its listening sockets to another one, which `weir run --upgrade` started with
// a path, options and environment of its own (takeover.h). What SIGUSR2 does from within (upgrade.h), done from outside.
//
// Between them stands a Unix socket of messages (SOCK_SEQPACKET) under an abstract name that is drawn at start: nothing
// is left in the file system, and the name ends with the process. Both sides look at the other's credentials and
// talk to nobody but a process of the same user. For the control thread.
#ifndef WEIR_HOST_NATIVE_HANDOVER_H
#define WEIR_HOST_NATIVE_HANDOVER_H

#include "base/slice.h"
#include "host/native/loop.h"
#include "host/native/upgrade.h"

#define HANDOVER_NAME_PREFIX "weir-upgrade-" // behind the NUL of an abstract name; 16 hexadecimal digits follow
#define HANDOVER_BATCH 32                    // sockets in one message
#define HANDOVER_MESSAGE_MAX 1024

// What the new process says, one byte a message.
#define HANDOVER_ASK_PORTS 'P' // answered by the numbers of the bound ports, with a blank behind each
#define HANDOVER_ASK_NEXT                                                                                              \
    'N' // answered by up to HANDOVER_BATCH sockets and "l" or "a" (admin) for each; by "e" behind all
#define HANDOVER_READY '1' // it serves: the old one drains
// Any answer may be HANDOVER_REFUSED and the reason instead.
#define HANDOVER_REFUSED '!'

// How the sockets are got at, and what becomes of it.
struct handover_owner {
    // The sockets of now, allocated, borrowed descriptors; NULL: refused, *ret_why.
    struct upgrade_socket *(*list)(void *context, size_t *ret_count, struct slice *ret_why);
    // The process `pid` serves; or it took sockets and does not serve (pid 0), for the reason given.
    void (*done)(void *context, int pid, struct slice why);
    void *context;
};

struct handover;

// Listens. NULL where the system does not let it: then there is no handing over.
struct handover *handover_new(struct loop *loop, const struct handover_owner *owner);
// Another process has taken sockets and not said yet that it serves.
bool handover_is_under_way(const struct handover *handover);
// Listens no more, and leaves who is being served. NULL is allowed. The memory goes with the loop's next turn.
void handover_free(struct handover *take_handover);

#endif
