// multipart/form-data (RFC 7578, RFC 2046 section 5.1), strict, over a whole body in memory.
#ifndef WEIR_HTTP_MULTIPART_H
#define WEIR_HTTP_MULTIPART_H

#include "base/arena.h"

struct multipart_part {
    struct slice name;     // decoded from quoted-string; raw %xx stay as they are
    struct slice filename; // NULL pointer: not a file
    struct slice type;     // content-type value, may be empty
    struct slice headers;  // raw
    struct slice content;  // borrowed span of the body
};

enum multipart_status { MULTIPART_PART, MULTIPART_END, MULTIPART_BAD };

struct multipart {
    struct slice body;
    struct slice boundary;
    size_t at;
    size_t part_count;
    bool is_ended;   // the closing boundary was read
    const char *why; // MULTIPART_BAD: short English
};

// From a Content-Type value; false when it is not multipart/form-data with one valid boundary (1..70 bytes).
bool multipart_boundary(struct slice content_type, struct arena *arena, struct slice *ret_boundary);
void multipart_init(struct multipart *reader, struct slice body, struct slice boundary);
// At most 1024 parts, 16 KiB of headers a part.
enum multipart_status multipart_next(struct multipart *reader, struct arena *arena, struct multipart_part *ret_part);

#endif
