// Multipart reading: parts are in order and inside the body; the walk ends.
#include "http/multipart.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_make((const char *)data, size);
    struct slice content_type = slice_split(&body, '\n'); // first line: Content-Type; the rest: the body
    struct slice boundary;
    struct arena arena;
    struct multipart reader;
    struct multipart_part part;
    enum multipart_status status;
    arena_init(&arena, 4096, (size_t)1 << 24);
    if (body.ptr && multipart_boundary(content_type, &arena, &boundary)) {
        const char *at = body.ptr;
        multipart_init(&reader, body, boundary);
        while ((status = multipart_next(&reader, &arena, &part)) == MULTIPART_PART) {
            if (part.content.ptr < at || part.content.ptr + part.content.len > body.ptr + body.len || !part.name.len)
                abort();
            at = part.content.ptr + part.content.len;
        }
        if ((status == MULTIPART_BAD) != (reader.why != NULL))
            abort();
    }
    arena_fini(&arena);
    return 0;
}
