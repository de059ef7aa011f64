// Starts the next process.
#define _GNU_SOURCE

#include "host/native/upgrade.h"

#include "base/buf.h"
#include "host/native/inherited.h"
#include "host/native/list.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

void upgrade_init(struct upgrade *upgrade, void (*done)(void *context, int pid, struct slice why), void *context)
{
    *upgrade = (struct upgrade){.done = done, .context = context};
}

// ---- what the new process is given ----------------------------------------------------------------------------------

// The environment with what inherited.h reads added. NULL without memory.
static char **make_environment(const struct upgrade_socket *sockets, size_t count, struct buf *text)
{
    size_t size = 0, added[4];
    while (environ[size])
        size++;
    char **variables = calloc(size + 5, sizeof *variables);
    if (!variables)
        return NULL;
    memcpy(variables, environ, size * sizeof *variables);
    added[0] = text->len;
    buf_printf(text, "WEIR_UPGRADE_FROM=%d", (int)getpid());
    buf_append_byte(text, '\0');
    added[1] = text->len;
    buf_printf(text, "WEIR_UPGRADE_FDS=%zu", count);
    buf_append_byte(text, '\0');
    added[2] = text->len;
    buf_printf(text, "WEIR_UPGRADE_READY=%zu", INHERITED_FIRST_FD + count);
    buf_append_byte(text, '\0');
    added[3] = text->len;
    buf_printf(text, "WEIR_UPGRADE_FDNAMES=");
    for (size_t i = 0; i < count; i++)
        buf_printf(text, "%s%s", i ? ":" : "", sockets[i].name);
    buf_append_byte(text, '\0');
    for (size_t i = 0; i < 4 && !text->has_failed; i++)
        variables[size + i] = text->ptr + added[i];
    if (!text->has_failed)
        return variables;
    free(variables);
    return NULL;
}

// Standard streams, the sockets from INHERITED_FIRST_FD on, then the end of the pipe.
static uv_stdio_container_t *make_descriptors(const struct upgrade_socket *sockets, size_t count, int ready_fd)
{
    uv_stdio_container_t *descriptors = calloc(INHERITED_FIRST_FD + count + 1, sizeof *descriptors);
    for (size_t i = 0; descriptors && i < INHERITED_FIRST_FD + count + 1; i++) {
        descriptors[i].flags = UV_INHERIT_FD;
        descriptors[i].data.fd = i < INHERITED_FIRST_FD           ? (int)i
                                 : i < INHERITED_FIRST_FD + count ? sockets[i - INHERITED_FIRST_FD].fd
                                                                  : ready_fd;
    }
    return descriptors;
}

// ---- how it went ----------------------------------------------------------------------------------------------------

static void on_closed(uv_handle_t *handle)
{
    struct upgrade *upgrade = handle->data;
    upgrade->is_under_way = false;
}

// The process handle closes last and says that another upgrade may begin.
static void finish(struct upgrade *upgrade, int pid, struct slice why)
{
    if (upgrade->ready.fd >= 0)
        loop_io_close(&upgrade->ready, NULL);
    uv_close((uv_handle_t *)&upgrade->limit, NULL);
    uv_close((uv_handle_t *)&upgrade->process, on_closed);
    upgrade->done(upgrade->context, pid, why);
}

static void on_exit_before_ready(uv_process_t *process, int64_t status, int signal_number)
{
    struct upgrade *upgrade = process->data;
    char text[80];
    struct buf why = {.ptr = text, .cap = sizeof text, .max = sizeof text};
    if (signal_number)
        buf_printf(&why, "the new process was ended by signal %d", signal_number);
    else
        buf_printf(&why, "the new process ended with status %d", (int)status);
    finish(upgrade, 0, buf_slice(&why));
}

// A byte: it serves. The end of the pipe alone: its end will be told by its exit.
static void on_ready(struct loop_io *io, unsigned events)
{
    struct upgrade *upgrade = LIST_OWNER(io, struct upgrade, ready);
    char byte;
    ssize_t got = read(io->fd, &byte, 1);
    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got == 1)
        finish(upgrade, upgrade->pid, SLICE(""));
    else
        loop_io_close(io, NULL);
}

static void on_limit(uv_timer_t *timer)
{
    struct upgrade *upgrade = timer->data;
    uv_process_kill(&upgrade->process, SIGKILL);
}

// ---- start ----------------------------------------------------------------------------------------------------------

static int spawn(struct upgrade *upgrade, struct loop *loop, char *const *argv, const struct upgrade_socket *sockets,
                 size_t count, int ready_fd)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    uv_stdio_container_t *descriptors = make_descriptors(sockets, count, ready_fd);
    char **variables = make_environment(sockets, count, &text);
    uv_process_options_t options = {
        .exit_cb = on_exit_before_ready,
        .file = argv[0],
        .args = (char **)(uintptr_t)argv,
        .env = variables,
        .stdio_count = (int)(INHERITED_FIRST_FD + count + 1),
        .stdio = descriptors,
    };
    upgrade->process.data = upgrade;
    int status = descriptors && variables ? uv_spawn(&loop->uv, &upgrade->process, &options) : UV_ENOMEM;
    if (status != 0 && descriptors && variables)
        uv_close((uv_handle_t *)&upgrade->process, on_closed); // it was begun
    else if (status != 0)
        upgrade->is_under_way = false;
    free(descriptors);
    free(variables);
    buf_fini(&text);
    return status;
}

bool upgrade_begin(struct upgrade *upgrade, struct loop *loop, char *const *argv, const struct upgrade_socket *sockets,
                   size_t count, struct slice *ret_why)
{
    int pipe_ends[2];
    *ret_why = SLICE("one is under way");
    if (upgrade->is_under_way)
        return false;
    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        *ret_why = slice_from_cstr(strerror(errno));
        return false;
    }
    upgrade->is_under_way = true;
    int status = spawn(upgrade, loop, argv, sockets, count, pipe_ends[1]);
    close(pipe_ends[1]);
    if (status != 0) {
        close(pipe_ends[0]);
        *ret_why = slice_from_cstr(uv_strerror(status));
        return false;
    }
    upgrade->pid = upgrade->process.pid;
    uv_timer_init(&loop->uv, &upgrade->limit);
    upgrade->limit.data = upgrade;
    uv_timer_start(&upgrade->limit, on_limit, UPGRADE_LIMIT_MS, 0);
    loop_io_init(loop, &upgrade->ready, pipe_ends[0], on_ready);
    loop_io_want(&upgrade->ready, LOOP_READ);
    return true;
}
