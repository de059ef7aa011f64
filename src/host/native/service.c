// The notification protocol of systemd.
#define _GNU_SOURCE

#include "host/native/service.h"

#include "host/native/loop.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// A path, or a name of the abstract kind after '@'.
static void notify(const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    close(fd);
}

void service_ready(void)
{
    char text[64];
    snprintf(text, sizeof text, "READY=1\nMAINPID=%d", (int)getpid());
    notify(text);
}

void service_reloading(void)
{
    char text[64]; // the moment must be CLOCK_MONOTONIC's
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)loop_now_us());
    notify(text);
}

void service_stopping(void)
{
    notify("STOPPING=1");
}

void service_handed_over(int pid)
{
    char text[64];
    snprintf(text, sizeof text, "MAINPID=%d", pid);
    notify(text);
}
