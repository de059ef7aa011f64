// Upstream targets: the backend's prefix, the endpoint's suffix, the client's query.
#include "schema/schema.h"

// "/" + prefix + "/" + suffix; a suffix that begins with "/" stands for itself (tokenize is at the server's root).
static bool is_already_there(struct slice path, struct slice prefix, struct slice suffix)
{
    if (suffix.len && suffix.ptr[0] == '/')
        return slice_eq(path, suffix);
    size_t head = prefix.len ? prefix.len + 2 : 1;
    return path.len == head + suffix.len && slice_ends_with(path, suffix) &&
           (!prefix.len || (slice_eq(slice_sub(path, 1, prefix.len), prefix) && path.ptr[prefix.len + 1] == '/'));
}

struct slice schema_target(const struct endpoint *endpoint, const struct config_backend *backend, struct slice model,
                           struct slice client_target, struct arena *arena)
{
    (void)model; // in the body for this dialect; Azure and others have it in the path
    struct slice path = http_path(client_target);
    struct slice query = slice_from(client_target, path.len); // with its '?'
    if (is_already_there(path, backend->prefix, endpoint->suffix))
        return client_target;
    if (endpoint->suffix.len && endpoint->suffix.ptr[0] == '/')
        return arena_join(arena, (struct slice[]){endpoint->suffix, query}, 2);
    struct slice between = backend->prefix.len ? SLICE("/") : SLICE("");
    return arena_join(arena, (struct slice[]){SLICE("/"), backend->prefix, between, endpoint->suffix, query}, 5);
}
