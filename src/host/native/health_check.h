// Active health checks (BackendTrafficPolicy.healthCheck.active): HTTP or TCP, TLS where the backend has it, on the
// loop of the main thread. Feeds the health table.
#ifndef WEIR_HOST_NATIVE_HEALTH_CHECK_H
#define WEIR_HOST_NATIVE_HEALTH_CHECK_H

#include "host/native/connector.h"
#include "host/native/health.h"

struct health_checks;

// Starts the checks that the snapshot's rules ask for (the first rule's wish where several share a backend); NULL when
// there are none or without memory. Holds a reference to the snapshot; `health` must outlive it.
struct health_checks *health_checks_new(struct loop *loop, struct dns *dns, struct snapshot *snapshot,
                                        struct health *health);
// Ends them; memory goes when the loop has run once more. NULL is fine.
void health_checks_free(struct health_checks *take_checks);

#endif
