// The side of a new process, `weir run --upgrade`, that takes the listening sockets over from the one that runs
// (handover.h). It is found by what it serves: among the processes of the same user that offer their sockets, the one
// with a port of the new configuration. Blocks, at start; each step has a time limit.
#ifndef WEIR_HOST_NATIVE_TAKEOVER_H
#define WEIR_HOST_NATIVE_TAKEOVER_H

#include "config/model.h"
#include "host/native/inherited.h"

#define TAKEOVER_WHY_MAX 1200

// Fills `inherited` with the sockets, and with whom to tell that this process serves. *ret_pid is the process that they
// come from. False: none was found, or it refused; `why` says it.
bool takeover_ask(const struct config *config, uint16_t port_offset, struct inherited *inherited, int *ret_pid,
                  char why[TAKEOVER_WHY_MAX]);

#endif
