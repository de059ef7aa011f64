// Takes sockets over.
#define _GNU_SOURCE

#include "host/native/takeover.h"

#include "base/slice.h"
#include "host/native/handover.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define CANDIDATES_MAX 64
#define NAME_DIGITS 16
#define ANSWER_LIMIT_S 5

// ---- one process ----------------------------------------------------------------------------------------------------

// To the process behind an abstract name (without its NUL); -1 when there is none of this user.
static int connect_to(struct slice name, int *ret_pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_LIMIT_S};
    struct ucred peer;
    socklen_t len = sizeof peer;
    memcpy(address.sun_path + 1, name.ptr, name.len);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + name.len);
    if (connect(fd, (const struct sockaddr *)&address, size) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid()) {
        *ret_pid = peer.pid;
        return fd;
    }
    close(fd);
    return -1;
}

// An order, and what comes back: the text's length, -1 for none. *ret_count descriptors go to `fds`.
static ssize_t ask(int fd, char order, char text[HANDOVER_MESSAGE_MAX], int fds[HANDOVER_BATCH], size_t *ret_count)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(HANDOVER_BATCH * sizeof(int))];
    } control;
    struct iovec part = {text, HANDOVER_MESSAGE_MAX};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    *ret_count = 0;
    if (send(fd, &order, 1, MSG_NOSIGNAL) != 1)
        return -1;
    ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *rights = got >= 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
        *ret_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(rights), *ret_count * sizeof(int));
    }
    return got;
}

static bool is_refused(const char *text, ssize_t len)
{
    return len > 0 && text[0] == HANDOVER_REFUSED;
}

static bool is_served(const struct config *config, uint16_t port_offset, struct slice ports)
{
    for (struct slice port; (port = slice_split(&ports, ' ')).len;) {
        uint64_t number = 0;
        for (size_t i = 0; slice_to_u64(port, UINT16_MAX, &number) && i < config->listener_count; i++)
            if (number == (uint64_t)config->listeners[i].port + port_offset)
                return true;
    }
    return false;
}

// ---- finding it -----------------------------------------------------------------------------------------------------

struct found {
    int fd; // -1: none yet
    int pid;
    char refusal[HANDOVER_MESSAGE_MAX]; // of the last one that would not
};

static void look_at(struct slice name, const struct config *config, uint16_t port_offset, struct found *found)
{
    char text[HANDOVER_MESSAGE_MAX];
    int none[HANDOVER_BATCH], pid = 0, fd = connect_to(name, &pid);
    size_t count;
    ssize_t len = fd >= 0 ? ask(fd, HANDOVER_ASK_PORTS, text, none, &count) : -1;
    if (is_refused(text, len))
        snprintf(found->refusal, sizeof found->refusal, "process %d: %.*s", pid, (int)len - 1, text + 1);
    else if (len >= 0 && is_served(config, port_offset, slice_make(text, (size_t)len)) && found->fd < 0) {
        found->fd = fd;
        found->pid = pid;
        return;
    }
    if (fd >= 0)
        close(fd);
}

// Of a line of /proc/net/unix, where '@' stands for the NUL of an abstract name. Empty: something else.
static struct slice name_in(const char *line)
{
    const char *at = strstr(line, " @" HANDOVER_NAME_PREFIX);
    size_t len = sizeof HANDOVER_NAME_PREFIX - 1 + NAME_DIGITS;
    return at && strnlen(at + 2, len) == len ? slice_make(at + 2, len) : SLICE("");
}

// The list has a line for each connection beside that of the listening socket: each name is looked at once.
static bool is_new(char names[][sizeof HANDOVER_NAME_PREFIX + NAME_DIGITS], size_t *count, struct slice name)
{
    for (size_t i = 0; i < *count; i++)
        if (memcmp(names[i], name.ptr, name.len) == 0)
            return false;
    if (*count == CANDIDATES_MAX)
        return false;
    memcpy(names[(*count)++], name.ptr, name.len);
    return true;
}

static bool find_process(const struct config *config, uint16_t port_offset, struct found *found)
{
    char line[512], names[CANDIDATES_MAX][sizeof HANDOVER_NAME_PREFIX + NAME_DIGITS];
    size_t count = 0;
    FILE *list = fopen("/proc/net/unix", "re");
    *found = (struct found){.fd = -1};
    if (!list)
        return false;
    while (found->fd < 0 && fgets(line, sizeof line, list)) {
        struct slice name = name_in(line);
        if (name.len && is_new(names, &count, name))
            look_at(name, config, port_offset, found);
    }
    fclose(list);
    return found->fd >= 0;
}

// ---- taking ---------------------------------------------------------------------------------------------------------

// One message's sockets; *ret_more: there may be others.
static bool take_batch(int fd, struct inherited *inherited, bool *ret_more, char why[TAKEOVER_WHY_MAX])
{
    char kinds[HANDOVER_MESSAGE_MAX];
    int fds[HANDOVER_BATCH];
    size_t count;
    ssize_t len = ask(fd, HANDOVER_ASK_NEXT, kinds, fds, &count);
    bool is_ok = len >= 0 && !is_refused(kinds, len) && (count == 0 || (size_t)len == count);
    if (is_refused(kinds, len))
        snprintf(why, TAKEOVER_WHY_MAX, "%.*s", (int)len - 1, kinds + 1);
    else if (!is_ok)
        snprintf(why, TAKEOVER_WHY_MAX, "it gave no answer");
    for (size_t i = 0; i < count; i++)
        if (!is_ok || !inherited_add(inherited, fds[i], kinds[i] == 'a'))
            close(fds[i]);
    *ret_more = count > 0;
    return is_ok;
}

bool takeover_ask(const struct config *config, uint16_t port_offset, struct inherited *inherited, int *ret_pid,
                  char why[TAKEOVER_WHY_MAX])
{
    struct found found;
    if (!find_process(config, port_offset, &found)) {
        snprintf(why, TAKEOVER_WHY_MAX, "%s",
                 found.refusal[0] ? found.refusal : "no weir of this user serves a port of this configuration");
        return false;
    }
    bool is_more = true, is_ok = true;
    while (is_ok && is_more)
        is_ok = take_batch(found.fd, inherited, &is_more, why);
    *ret_pid = found.pid;
    if (is_ok)
        inherited->ready_fd = found.fd;
    else
        close(found.fd);
    return is_ok;
}
