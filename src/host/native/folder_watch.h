// Tells soon after something happened in a set of folders: one call for a burst of events, when they have paused or have
// gone on for long enough. For the control thread.
#ifndef WEIR_HOST_NATIVE_FOLDER_WATCH_H
#define WEIR_HOST_NATIVE_FOLDER_WATCH_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define FOLDER_WATCH_QUIET_MS 10 // without an event, then the call
#define FOLDER_WATCH_BURST_MS 50 // the longest wait from the first event to the call

struct folder_watch;

// NULL without memory.
struct folder_watch *folder_watch_new(uv_loop_t *loop, void (*call)(void *context), void *context);
// Watches these folders from now on, and no others. One that can't be watched is left out: polling finds its changes.
void folder_watch_set(struct folder_watch *watch, char *const *folders, size_t count);
// Memory goes when the loop has run once more. NULL is fine.
void folder_watch_free(struct folder_watch *take_watch);

#endif
