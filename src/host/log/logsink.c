// Rings, one producer and one consumer each, and the thread that empties them.
//
// A producer copies a line into its ring, moves the ring's head and, when the writer sleeps for good, wakes it by an
// eventfd. The writer then rests for a moment so that lines gather, empties all rings into their destination's out buffer
// and writes that. An idle process is never woken. What can't be written stays in the out buffer, so that a line which was
// begun is ended; the rings behind it fill up, and from then on lines are lost and counted, by the producers.
#define _GNU_SOURCE
#include "host/log/logsink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES ((size_t)1 << 20)   // power of two
#define OUT_BYTES ((size_t)128 * 1024) // also the longest line
#define GATHER_MS 50
#define WAKE_BYTES ((size_t)64 * 1024) // a ring fuller than this is not left to gather
#define STUCK_MS 100                   // rest before a destination that took nothing is tried again
#define FLUSH_MS 2000
#define LOOK_MS 1000 // between two looks whether a file was rotated away
#define PATH_BYTES_MAX 4096
#define SAFE_PIPE_BYTES 4096 // PIPE_BUF: what a writable pipe takes without blocking

struct logsink_channel {
    _Alignas(64) _Atomic size_t head; // written by the producer; counts bytes since the start
    size_t base;                      // where the ring's first byte stands in that count, see copy_in
    struct logsink *sink;
    struct output *output;
    struct logsink_channel *next; // of the sink; set once
    unsigned worker;
    _Alignas(64) _Atomic size_t tail; // written by the writer
    char ring[RING_BYTES];
};

struct output { // one destination; the writer's own but for `next` and `path`
    struct output *next;
    int fd;
    bool is_ours; // opened by us: reopened and closed
    bool is_non_blocking;
    bool is_regular;
    bool is_broken;  // nobody will ever read it (EPIPE): bytes are dropped and counted until it is opened anew
    bool is_missing; // at the last look there was no such file
    dev_t device;    // of a regular file, with `inode`
    ino_t inode;
    int64_t looked_ms;
    size_t out_len;
    char path[PATH_BYTES_MAX];
    char out[OUT_BYTES]; // whole lines, less what was written of the first
};

struct logsink {
    pthread_mutex_t lock; // for opening channels; never taken to write
    struct logsink_channel *_Atomic channels;
    struct output *_Atomic outputs;
    pthread_t thread;
    bool has_thread;
    int wake_fd;
    _Atomic bool is_asleep; // the writer waits for the eventfd
    _Atomic bool must_reopen;
    _Atomic bool must_end;
    _Atomic uint64_t lost_lines;
    _Atomic uint64_t written_bytes;
};

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ---- destinations ---------------------------------------------------------------------------------------------

// A pipe or terminal that we were given is opened anew, so that O_NONBLOCK does not reach the others who hold it. Sockets
// can't be; they stay as they are, and are written in small pieces. A file stays too, but is appended to from now on,
// by whoever shares it.
static int open_given(int fd, bool *ret_is_non_blocking)
{
    struct stat stat;
    char path[64];
    *ret_is_non_blocking = false;
    if (fstat(fd, &stat) != 0)
        return fd;
    if (S_ISREG(stat.st_mode))
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND);
    if (!(S_ISFIFO(stat.st_mode) || S_ISCHR(stat.st_mode)))
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int opened = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    *ret_is_non_blocking = opened >= 0;
    return opened >= 0 ? opened : fd;
}

static int open_path(const char *path, bool *ret_is_non_blocking)
{
    if (strcmp(path, "/dev/stdout") == 0)
        return open_given(STDOUT_FILENO, ret_is_non_blocking);
    if (strcmp(path, "/dev/stderr") == 0)
        return open_given(STDERR_FILENO, ret_is_non_blocking);
    *ret_is_non_blocking = true; // for named pipes; a file is not touched by it
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
}

static bool open_output(struct output *output)
{
    struct stat stat;
    bool is_non_blocking;
    int fd = open_path(output->path, &is_non_blocking);
    if (fd < 0)
        return false;
    output->fd = fd;
    output->is_ours = fd != STDOUT_FILENO && fd != STDERR_FILENO;
    output->is_non_blocking = is_non_blocking;
    output->is_regular = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
    output->is_broken = output->is_missing = false;
    if (output->is_regular) {
        output->device = stat.st_dev;
        output->inode = stat.st_ino;
    }
    return true;
}

// The old file stays when the new one can't be opened.
static void reopen_output(struct output *output)
{
    int old = output->fd;
    bool was_ours = output->is_ours;
    if (open_output(output) && was_ours)
        close(old);
}

// Who rotates renames the file and makes another at once: one that is missing is left that moment.
static bool is_replaced(struct output *output)
{
    struct stat now;
    bool was_missing = output->is_missing;
    output->is_missing = stat(output->path, &now) != 0;
    if (output->is_missing)
        return was_missing && errno == ENOENT;
    return now.st_dev != output->device || now.st_ino != output->inode;
}

static bool is_rotated(struct output *output, int64_t now_ms)
{
    if (!output->is_ours || !output->is_regular || now_ms - output->looked_ms < LOOK_MS)
        return false;
    output->looked_ms = now_ms;
    return is_replaced(output);
}

static void follow_rotation(struct logsink *sink)
{
    bool is_told = atomic_exchange(&sink->must_reopen, false);
    int64_t now_ms = clock_ms();
    for (struct output *output = sink->outputs; output; output = output->next)
        if (is_told || is_rotated(output, now_ms))
            reopen_output(output);
}

static uint64_t count_lines(struct slice bytes)
{
    uint64_t lines = 0;
    for (size_t at; (at = slice_find(bytes, '\n')) != SLICE_NOT_FOUND; bytes = slice_from(bytes, at + 1))
        lines++;
    return lines;
}

static void drop_out(struct logsink *sink, struct output *output)
{
    atomic_fetch_add(&sink->lost_lines, count_lines(slice_make(output->out, output->out_len)));
    output->out_len = 0;
}

static bool is_writable(const struct output *output)
{
    struct pollfd poll_fd = {.fd = output->fd, .events = POLLOUT};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLOUT | POLLERR | POLLHUP));
}

// Writes what the destination takes now. False when it took less than all.
static bool write_out(struct logsink *sink, struct output *output)
{
    size_t from = 0;
    while (from < output->out_len) {
        size_t len = output->out_len - from;
        if (!output->is_non_blocking && !output->is_regular) {
            if (!is_writable(output))
                break;
            len = len < SAFE_PIPE_BYTES ? len : SAFE_PIPE_BYTES;
        }
        ssize_t written = write(output->fd, output->out + from, len);
        if (written > 0) {
            from += (size_t)written;
        } else if (errno != EINTR) {
            output->is_broken = errno == EPIPE;
            break;
        }
    }
    atomic_fetch_add(&sink->written_bytes, from);
    output->out_len -= from;
    memmove(output->out, output->out + from, output->out_len);
    if (output->is_broken)
        drop_out(sink, output);
    return output->out_len == 0;
}

// ---- the writer -----------------------------------------------------------------------------------------------

// Copies to the out buffer what fits there of `len` bytes at the tail.
static void copy_out(struct logsink_channel *channel, size_t tail, size_t len)
{
    char *to = channel->output->out + channel->output->out_len;
    size_t offset = (tail - channel->base) & (RING_BYTES - 1);
    size_t first = RING_BYTES - offset < len ? RING_BYTES - offset : len;
    memcpy(to, channel->ring + offset, first);
    memcpy(to + first, channel->ring, len - first);
}

// Moves whole lines to the out buffer, so that those of several producers never mix. False: nothing there, or no room.
static bool take_lines(struct logsink_channel *channel)
{
    struct output *output = channel->output;
    size_t tail = atomic_load_explicit(&channel->tail, memory_order_relaxed);
    size_t held = atomic_load(&channel->head) - tail;
    size_t room = OUT_BYTES - output->out_len;
    size_t len = held < room ? held : room;
    if (len == 0)
        return false;
    copy_out(channel, tail, len);
    const char *from = output->out + output->out_len;
    const char *last = memrchr(from, '\n', len);
    if (!last)
        return false;
    len = (size_t)(last - from) + 1;
    output->out_len += len;
    atomic_store_explicit(&channel->tail, tail + len, memory_order_release);
    return true;
}

static bool is_empty(const struct logsink_channel *channel)
{
    return atomic_load(&channel->head) == atomic_load_explicit(&channel->tail, memory_order_relaxed);
}

// One pass over all rings. False when a destination is stuck.
static bool empty_all(struct logsink *sink)
{
    bool is_done = true;
    for (struct logsink_channel *channel = sink->channels; channel; channel = channel->next)
        while (take_lines(channel) || (!is_empty(channel) && write_out(sink, channel->output)))
            ;
    for (struct output *output = sink->outputs; output; output = output->next)
        is_done &= output->out_len == 0 || write_out(sink, output);
    return is_done;
}

static bool has_lines(struct logsink *sink)
{
    for (struct logsink_channel *channel = sink->channels; channel; channel = channel->next)
        if (!is_empty(channel))
            return true;
    return false;
}

// Waits for a call of wake(), at most so long; -1: for ever.
static void rest(struct logsink *sink, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = sink->wake_fd, .events = POLLIN};
    uint64_t calls;
    if (poll(&poll_fd, 1, timeout_ms) == 1 && read(sink->wake_fd, &calls, sizeof calls) < 0)
        return; // EAGAIN: somebody else's signal, nothing to take
}

static bool is_called(const struct logsink *sink)
{
    return atomic_load(&sink->must_end) || atomic_load(&sink->must_reopen);
}

// `is_asleep` is set before the rings are looked at, and a producer looks at it after it moved its head (both in one
// total order), so that one of the two sees the other.
static void wait_for_lines(struct logsink *sink)
{
    atomic_store(&sink->is_asleep, true);
    if (!has_lines(sink) && !is_called(sink))
        rest(sink, -1);
    atomic_store(&sink->is_asleep, false);
    if (!is_called(sink))
        rest(sink, GATHER_MS);
}

static void flush_all(struct logsink *sink)
{
    int64_t until_ms = clock_ms() + FLUSH_MS;
    while (!empty_all(sink) && clock_ms() < until_ms)
        usleep(5000);
    for (struct output *output = sink->outputs; output; output = output->next)
        drop_out(sink, output);
}

static void *run_writer(void *context)
{
    struct logsink *sink = context;
    bool is_done = true;
    while (!atomic_load(&sink->must_end)) {
        if (is_done)
            wait_for_lines(sink);
        else
            rest(sink, STUCK_MS);
        follow_rotation(sink);
        is_done = empty_all(sink);
    }
    flush_all(sink);
    return NULL;
}

// ---- producers ------------------------------------------------------------------------------------------------

static void wake(struct logsink *sink)
{
    uint64_t one = 1;
    // Can fail only when the counter is full: then the writer has been called already.
    if (write(sink->wake_fd, &one, sizeof one) < 0)
        return;
}

static bool lose(struct logsink *sink, struct slice lines)
{
    atomic_fetch_add_explicit(&sink->lost_lines, count_lines(lines), memory_order_relaxed);
    return false;
}

// An empty ring is begun anew, so that a writer that keeps up has us use a few pages again and again and not all in turn.
// The writer reads `base` only while there are bytes for it, and then it does not change.
static void copy_in(struct logsink_channel *channel, size_t head, bool begins_anew, struct slice lines)
{
    if (begins_anew)
        channel->base = head;
    size_t offset = (head - channel->base) & (RING_BYTES - 1);
    size_t first = RING_BYTES - offset < lines.len ? RING_BYTES - offset : lines.len;
    memcpy(channel->ring + offset, lines.ptr, first);
    memcpy(channel->ring, lines.ptr + first, lines.len - first);
}

bool logsink_write(struct logsink_channel *channel, struct slice lines)
{
    struct logsink *sink = channel->sink;
    if (lines.len == 0)
        return true;
    size_t head = atomic_load_explicit(&channel->head, memory_order_relaxed);
    size_t held = head - atomic_load_explicit(&channel->tail, memory_order_acquire);
    if (lines.len > OUT_BYTES || lines.len > RING_BYTES - held || lines.ptr[lines.len - 1] != '\n')
        return lose(sink, lines);
    copy_in(channel, head, held == 0, lines);
    atomic_store(&channel->head, head + lines.len);
    bool is_asleep = atomic_load(&sink->is_asleep) && atomic_exchange(&sink->is_asleep, false);
    if (is_asleep || (held < WAKE_BYTES && held + lines.len >= WAKE_BYTES))
        wake(sink);
    return true;
}

// ---- life -----------------------------------------------------------------------------------------------------

struct logsink *logsink_new(void)
{
    struct logsink *sink = calloc(1, sizeof *sink);
    if (!sink)
        return NULL;
    sink->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sink->wake_fd < 0) {
        free(sink);
        return NULL;
    }
    pthread_mutex_init(&sink->lock, NULL);
    return sink;
}

static void free_outputs(struct logsink *sink)
{
    struct output *output = sink->outputs;
    while (output) {
        struct output *next = output->next;
        if (output->is_ours)
            close(output->fd);
        free(output);
        output = next;
    }
}

void logsink_free(struct logsink *take_sink)
{
    struct logsink *sink = take_sink;
    if (!sink)
        return;
    atomic_store(&sink->must_end, true);
    wake(sink);
    if (sink->has_thread)
        pthread_join(sink->thread, NULL);
    free_outputs(sink);
    struct logsink_channel *channel = sink->channels;
    while (channel) {
        struct logsink_channel *next = channel->next;
        free(channel);
        channel = next;
    }
    close(sink->wake_fd);
    pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static bool is_path(const struct output *output, struct slice path)
{
    return slice_eq(slice_from_cstr(output->path), path);
}

static struct output *find_output(struct logsink *sink, struct slice path)
{
    struct output *output = sink->outputs;
    while (output && !is_path(output, path))
        output = output->next;
    if (output)
        return output;
    if (path.len >= PATH_BYTES_MAX || path.len == 0) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    output = malloc(sizeof *output); // the out buffer is not touched before it is used
    if (!output)
        return NULL;
    memset(output, 0, offsetof(struct output, out));
    memcpy(output->path, path.ptr, path.len);
    output->path[path.len] = '\0';
    if (!open_output(output)) {
        free(output);
        return NULL;
    }
    output->next = sink->outputs;
    sink->outputs = output;
    return output;
}

static struct logsink_channel *add_channel(struct logsink *sink, unsigned worker, struct output *output)
{
    struct logsink_channel *channel = aligned_alloc(_Alignof(struct logsink_channel), sizeof *channel);
    if (!channel)
        return NULL;
    memset(channel, 0, offsetof(struct logsink_channel, ring));
    channel->sink = sink;
    channel->output = output;
    channel->worker = worker;
    channel->next = sink->channels;
    sink->channels = channel;
    return channel;
}

// All signals stay with the threads that wait for them.
static bool start_thread(struct logsink *sink)
{
    sigset_t all, before;
    if (sink->has_thread)
        return true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&sink->thread, NULL, run_writer, sink);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    sink->has_thread = error == 0;
    return sink->has_thread;
}

struct logsink_channel *logsink_find(struct logsink *sink, unsigned worker, struct slice path)
{
    for (struct logsink_channel *channel = sink->channels; channel; channel = channel->next)
        if (channel->worker == worker && logsink_is_to(channel, path))
            return channel;
    return NULL;
}

bool logsink_is_to(const struct logsink_channel *channel, struct slice path)
{
    return is_path(channel->output, path);
}

static struct logsink_channel *find_or_add(struct logsink *sink, unsigned worker, struct slice path)
{
    struct logsink_channel *found = logsink_find(sink, worker, path);
    struct output *output = found ? NULL : find_output(sink, path);
    return output && start_thread(sink) ? add_channel(sink, worker, output) : found;
}

struct logsink_channel *logsink_open(struct logsink *sink, unsigned worker, struct slice path)
{
    pthread_mutex_lock(&sink->lock);
    struct logsink_channel *channel = find_or_add(sink, worker, path);
    pthread_mutex_unlock(&sink->lock);
    return channel;
}

void logsink_reopen(struct logsink *sink)
{
    atomic_store(&sink->must_reopen, true);
    wake(sink);
}

uint64_t logsink_lost_lines(const struct logsink *sink)
{
    return atomic_load(&sink->lost_lines);
}

uint64_t logsink_written_bytes(const struct logsink *sink)
{
    return atomic_load(&sink->written_bytes);
}
