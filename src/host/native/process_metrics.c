// Reads /proc/self and getrusage.
#define _GNU_SOURCE
#include "host/native/process_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void write_metric(struct buf *out, const char *name, const char *type, const char *help, double value)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name, value);
}

// A small file of /proc, NUL-terminated; empty when it can't be read.
static void read_proc(const char *path, char *text, size_t cap)
{
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, cap - 1, file) : 0;
    if (file)
        fclose(file);
    text[len] = '\0';
}

// The first two figures are pages: all, and resident ones.
static void write_memory(struct buf *out)
{
    char text[256], *rest;
    double page = (double)sysconf(_SC_PAGESIZE);
    read_proc("/proc/self/statm", text, sizeof text);
    double total = strtod(text, &rest);
    double resident = strtod(rest, NULL);
    if (rest == text)
        return;
    write_metric(out, "process_resident_memory_bytes", "gauge", "Resident memory.", resident * page);
    write_metric(out, "process_virtual_memory_bytes", "gauge", "Virtual memory.", total * page);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void write_processor(struct buf *out)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        write_metric(out, "process_cpu_seconds_total", "counter", "User and system time.",
                     seconds(usage.ru_utime) + seconds(usage.ru_stime));
}

static void write_descriptors(struct buf *out)
{
    struct rlimit limit;
    DIR *folder = opendir("/proc/self/fd");
    if (folder) {
        double count = -3; // ".", ".." and the folder's own
        while (readdir(folder))
            count++;
        closedir(folder);
        write_metric(out, "process_open_fds", "gauge", "Open file descriptors.", count);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        write_metric(out, "process_max_fds", "gauge", "Most file descriptors.", (double)limit.rlim_cur);
}

// Field 22 of /proc/self/stat: clock ticks since boot. The second field, in parentheses, may hold anything.
static void write_start(struct buf *out)
{
    char line[1024];
    struct timespec wall, since_boot;
    read_proc("/proc/self/stat", line, sizeof line);
    char *at = strrchr(line, ')');
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    if (!at || clock_gettime(CLOCK_REALTIME, &wall) != 0 || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0)
        return;
    double started = strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
    double boot = (double)(wall.tv_sec - since_boot.tv_sec) + (double)(wall.tv_nsec - since_boot.tv_nsec) / 1e9;
    write_metric(out, "process_start_time_seconds", "gauge", "Start, in seconds since 1970.", boot + started);
}

void process_metrics_write(struct buf *out)
{
    write_memory(out);
    write_processor(out);
    write_descriptors(out);
    write_start(out);
}
