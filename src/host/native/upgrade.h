// Hot upgrade: starts the program anew from the path that it was started by, which may be another build by now, with the
// listening sockets, and tells when that process serves. Both accept from the same queues for a moment; then the old one
// drains. No connection finds a closed port, since the sockets are never all closed. For the control thread.
#ifndef WEIR_HOST_NATIVE_UPGRADE_H
#define WEIR_HOST_NATIVE_UPGRADE_H

#include "base/slice.h"
#include "host/native/loop.h"

#define UPGRADE_LIMIT_MS 60000 // for the new process to read its configuration and say that it serves

// A socket that is handed down, and what inherited.h will know it by.
struct upgrade_socket {
    int fd;
    char name[8]; // a port number or INHERITED_NAME_ADMIN
};

// One at a time; lives in its owner until the loop has ended.
struct upgrade {
    uv_process_t process;
    struct loop_io ready; // our end of the pipe
    uv_timer_t limit;
    int pid;
    bool is_under_way;
    // The new process serves; or it does not (pid 0) for the reason given, and all is as it was.
    void (*done)(void *context, int pid, struct slice why);
    void *context;
};

void upgrade_init(struct upgrade *upgrade, void (*done)(void *context, int pid, struct slice why), void *context);
// `argv` ends with NULL. False when the process can't be started: *ret_why.
bool upgrade_begin(struct upgrade *upgrade, struct loop *loop, char *const *argv, const struct upgrade_socket *sockets,
                   size_t count, struct slice *ret_why);

#endif
