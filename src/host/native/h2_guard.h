// What a peer may do on one HTTP/2 connection before it counts as an attack: frames that carry nothing, and streams
// that are reset before they were of use (S11; CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2025-8671). Pure.
#ifndef WEIR_HOST_NATIVE_H2_GUARD_H
#define WEIR_HOST_NATIVE_H2_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_GUARD_IDLE_FRAMES 1000 // PING, SETTINGS, PRIORITY, empty DATA, ...: at once,
#define H2_GUARD_IDLE_RATE 33     // and a second
#define H2_GUARD_RESETS 100       // of either side, in
#define H2_GUARD_RESETS_US 60000000
#define H2_GUARD_WASTE (1 << 20) // bytes that may come beyond what messages account for

struct h2_guard {
    uint32_t tokens; // idle frames still allowed
    uint32_t resets;
    int64_t filled_us;
    int64_t waste; // bytes received, less what they were good for; not below 0
    int64_t resets_since_us;
};

void h2_guard_init(struct h2_guard *guard, int64_t now_us);
// An idle frame came. False: too many.
bool h2_guard_idle_frame(struct h2_guard *guard, int64_t now_us);
// A frame of use went out: the peer may answer it with window updates and the like.
void h2_guard_useful_frame(struct h2_guard *guard);
// Bytes came from the socket. False: far more than the messages in them need.
bool h2_guard_bytes(struct h2_guard *guard, size_t len);
// So many of them were fields or content.
void h2_guard_useful_bytes(struct h2_guard *guard, size_t len);
// A stream was reset too early. False: too many.
bool h2_guard_reset(struct h2_guard *guard, int64_t now_us);

#endif
