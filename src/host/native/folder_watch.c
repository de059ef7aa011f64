// Folders under inotify, by libuv.
#include "host/native/folder_watch.h"

#include "host/native/list.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct folder {
    uv_fs_event_t event;
    struct list node;
    struct folder_watch *watch;
    char *path;
    dev_t device; // which folder stood under the path: another one may take its place
    ino_t inode;
    bool is_wanted;
};

struct folder_watch {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct list folders;
    void (*call)(void *context);
    void *context;
    uint64_t burst_since_ms; // 0: nothing has happened
};

static void on_timer(uv_timer_t *timer)
{
    struct folder_watch *watch = timer->data;
    watch->burst_since_ms = 0;
    watch->call(watch->context);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct folder *folder = event->data;
    struct folder_watch *watch = folder->watch;
    uint64_t now_ms = uv_now(watch->loop);
    (void)name, (void)events, (void)status;
    if (watch->burst_since_ms == 0)
        watch->burst_since_ms = now_ms ? now_ms : 1;
    uint64_t until_ms = watch->burst_since_ms + FOLDER_WATCH_BURST_MS;
    uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
    uv_timer_start(&watch->timer, on_timer, left_ms < FOLDER_WATCH_QUIET_MS ? left_ms : FOLDER_WATCH_QUIET_MS, 0);
}

struct folder_watch *folder_watch_new(uv_loop_t *loop, void (*call)(void *context), void *context)
{
    struct folder_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return NULL;
    watch->loop = loop;
    watch->call = call;
    watch->context = context;
    list_init(&watch->folders);
    uv_timer_init(loop, &watch->timer);
    watch->timer.data = watch;
    return watch;
}

static void on_folder_closed(uv_handle_t *handle)
{
    struct folder *folder = handle->data;
    free(folder->path);
    free(folder);
}

static void drop(struct folder *folder)
{
    list_remove(&folder->node);
    uv_close((uv_handle_t *)&folder->event, on_folder_closed);
}

static struct folder *find(struct folder_watch *watch, const char *path, const struct stat *state)
{
    for (struct list *node = watch->folders.next; node != &watch->folders; node = node->next) {
        struct folder *folder = LIST_OWNER(node, struct folder, node);
        if (strcmp(folder->path, path) == 0 && folder->device == state->st_dev && folder->inode == state->st_ino)
            return folder;
    }
    return NULL;
}

static void add(struct folder_watch *watch, const char *path, const struct stat *state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    char *copy = folder ? strdup(path) : NULL;
    if (!copy) {
        free(folder);
        return;
    }
    folder->watch = watch;
    folder->path = copy;
    folder->device = state->st_dev;
    folder->inode = state->st_ino;
    folder->is_wanted = true;
    uv_fs_event_init(watch->loop, &folder->event);
    folder->event.data = folder;
    list_append(&watch->folders, &folder->node);
    if (uv_fs_event_start(&folder->event, on_event, path, 0) != 0)
        drop(folder);
}

void folder_watch_set(struct folder_watch *watch, char *const *folders, size_t count)
{
    struct list *node;
    for (node = watch->folders.next; node != &watch->folders; node = node->next)
        LIST_OWNER(node, struct folder, node)->is_wanted = false;
    for (size_t i = 0; i < count; i++) {
        struct stat state;
        if (stat(folders[i], &state) != 0)
            continue;
        struct folder *known = find(watch, folders[i], &state);
        if (known)
            known->is_wanted = true;
        else
            add(watch, folders[i], &state);
    }
    for (node = watch->folders.next; node != &watch->folders;) {
        struct folder *folder = LIST_OWNER(node, struct folder, node);
        node = node->next;
        if (!folder->is_wanted)
            drop(folder);
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void folder_watch_free(struct folder_watch *take_watch)
{
    if (!take_watch)
        return;
    while (!list_is_empty(&take_watch->folders))
        drop(LIST_OWNER(take_watch->folders.next, struct folder, node));
    uv_close((uv_handle_t *)&take_watch->timer, on_closed);
}
