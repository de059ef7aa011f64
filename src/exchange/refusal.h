// Answers to requests that are refused before there is an exchange to answer them: in OpenAI's shape, since no endpoint is
// known yet (S9).
#ifndef WEIR_EXCHANGE_REFUSAL_H
#define WEIR_EXCHANGE_REFUSAL_H

#include "base/error.h"
#include "http/head.h"

#define REQUEST_ID_BYTES 36

// Writes the x-request-id that 128 random bits come to: a UUID of version 4 (RFC 9562 section 5.4).
void request_id_write(char id[REQUEST_ID_BYTES], uint64_t random, uint64_t random2);

// In the caller's storage, which must not move while the head is used.
struct refusal {
    struct response_head head; // without content-length
    struct slice body;
    struct field fields[3];
    char text[1024];
    char id[REQUEST_ID_BYTES];
};

// The random bits become its x-request-id.
void refusal_make(struct refusal *refusal, enum error_code error, uint64_t random, uint64_t random2);

#endif
