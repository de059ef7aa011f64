// Private to the room: takes a few top-level members out of a JSON object that passes in pieces, split anywhere, without
// keeping anything else. It does not validate: what it takes out is validated by who reads it.
#ifndef WEIR_USAGE_CAPTURE_H
#define WEIR_USAGE_CAPTURE_H

#include "base/buf.h"
#include "json/find.h"

#define CAPTURE_KEY_BYTES 32

enum capture_state {
    CAPTURE_START, // before the top-level '{'
    CAPTURE_KEY,   // a key or its blanks are next
    CAPTURE_IN_KEY,
    CAPTURE_COLON, // behind a key
    CAPTURE_VALUE, // a value is next or under way
    CAPTURE_DONE,  // behind the object, or it was none
};

struct capture {
    const struct slice *names; // wanted, spelt plainly; static
    size_t name_count;
    enum capture_state state;
    struct json_nesting nesting; // depth: containers open, the top-level object included
    char key[CAPTURE_KEY_BYTES]; // a key that comes in pieces
    size_t key_len;     // 0 while it is in one; longer keys than fit are none of ours: it stays at CAPTURE_KEY_BYTES
    size_t wanted;      // index of the last key's name, whose value is next or under way, or SLICE_NOT_FOUND
    struct buf partial; // a wanted value that began in an earlier piece
};

// `max_value_bytes`: larger values are passed over.
void capture_init(struct capture *capture, const struct slice *names, size_t name_count, size_t max_value_bytes);
void capture_fini(struct capture *capture);
// Takes in bytes of `*input` (advances it). True when a wanted value is complete: *ret_index is its name, *ret_value its
// text, valid until the next call. False when all of `*input` was taken in.
bool capture_next(struct capture *capture, struct slice *input, size_t *ret_index, struct slice *ret_value);

#endif
