// Memory: the limit, the use, the level.
#define _GNU_SOURCE

#include "host/native/overload.h"

#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LEAVE_POINTS 5

const char *const overload_names[OVERLOAD_LEVELS] = {"none", "shrink", "refuse", "shed"};

static const unsigned from_percent[OVERLOAD_LEVELS] = {0, 75, 85, 95};

enum overload_level overload_next(enum overload_level before, uint64_t used_bytes, uint64_t limit_bytes)
{
    if (limit_bytes == 0)
        return OVERLOAD_NONE;
    uint64_t percent = used_bytes / (limit_bytes / 100 + 1);
    enum overload_level level = OVERLOAD_NONE;
    while (level + 1 < OVERLOAD_LEVELS && percent >= from_percent[level + 1])
        level++;
    while (level + 1 < OVERLOAD_LEVELS && level < before && percent + LEAVE_POINTS >= from_percent[level + 1])
        level++;
    return level;
}

// ---- what the kernel says -------------------------------------------------------------------------------------------

static bool read_text(const char *path, char *text, size_t cap)
{
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, cap - 1, file) : 0;
    if (file)
        fclose(file);
    text[len] = '\0';
    return len > 0;
}

// "max", and v1's nearly 2^63, are none.
static uint64_t read_limit(const char *path)
{
    char text[64];
    uint64_t limit;
    if (!read_text(path, text, sizeof text))
        return 0;
    text[strcspn(text, "\n")] = '\0';
    return slice_to_u64(slice_from_cstr(text), INT64_MAX, &limit) && limit < (uint64_t)1 << 60 ? limit : 0;
}

// The limits of the folder and of all above it.
static uint64_t smallest_limit(const char *root, struct slice group, const char *file)
{
    char path[4096];
    uint64_t smallest = 0;
    for (;;) {
        int len = snprintf(path, sizeof path, "%s" SLICE_FMT "/%s", root, SLICE_ARG(group), file);
        uint64_t limit = len > 0 && (size_t)len < sizeof path ? read_limit(path) : 0;
        if (limit && (!smallest || limit < smallest))
            smallest = limit;
        if (group.len == 0)
            return smallest;
        while (group.len > 0 && group.ptr[group.len - 1] != '/')
            group.len--;
        if (group.len > 0)
            group.len--;
    }
}

// Lines of /proc/self/cgroup: "0::/group" (v2), "4:memory:/group" (v1). Inside a container's own namespace the group is
// "/", and the limit stands at the root of the mount.
uint64_t overload_cgroup_limit(void)
{
    char text[4096];
    uint64_t smallest = 0;
    if (!read_text("/proc/self/cgroup", text, sizeof text))
        return 0;
    for (struct slice rest = slice_from_cstr(text); rest.len > 0;) {
        struct slice line = slice_split(&rest, '\n');
        slice_split(&line, ':');
        struct slice controllers = slice_split(&line, ':');
        uint64_t limit = 0;
        if (controllers.len == 0)
            limit = smallest_limit("/sys/fs/cgroup", line, "memory.max");
        else if (slice_eq(controllers, SLICE("memory")))
            limit = smallest_limit("/sys/fs/cgroup/memory", line, "memory.limit_in_bytes");
        if (limit && (!smallest || limit < smallest))
            smallest = limit;
    }
    return smallest;
}

// The second figure of statm, in pages.
uint64_t overload_used_bytes(void)
{
    char text[128], *rest;
    if (!read_text("/proc/self/statm", text, sizeof text))
        return 0;
    strtoull(text, &rest, 10);
    return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}
