// The strict walk: gives the values of a text in the order of the text and validates every byte on the way (RFC 8259,
// S1). What it gave is to be believed only when it came to the end and found nothing wrong.
#ifndef WEIR_JSON_WALK_H
#define WEIR_JSON_WALK_H

#include "json/json.h"

// Text under reading. Errors stick: the first one is what the caller hears of.
struct json_reader {
    const unsigned char *start;
    const unsigned char *end;
    enum json_status status;
    const unsigned char *error_at;
};

struct json_walk {
    struct json_reader reader;
    // The value that the last step gave:
    enum json_type type;
    unsigned depth;     // how many containers it stands in; 0: the whole text's value
    struct slice key;   // raw with quotes; empty of an array's element
    struct slice value; // as spelt; of a container only its bracket, as the walk goes on inside it
    // Where the walk is. Private but for `comma` and `after`.
    const unsigned char *at;
    const unsigned char *comma; // the last one: that before the value, unless it is the first of its container
    const unsigned char *after; // the text's value, when that was a container and is closed
    unsigned open;              // containers that are open
    char close;                 // bracket that ends the innermost of them
    bool is_first;              // nothing was read in it yet
    uint64_t objects[JSON_DEPTH_MAX / 64]; // bit: the container at this depth is an object
};

// Moves to the first byte that counts, walk->at. The text must outlive the walk.
void json_walk_init(struct json_walk *walk, struct slice text);
// The next value that stands in at most `depth` containers; those that stand deeper are validated and passed over.
// False at the end of the text, and when something is wrong: see walk->reader.status. Not to be called again then.
bool json_walk_next(struct json_walk *walk, unsigned depth);

#endif
