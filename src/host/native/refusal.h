// Answers to requests that are refused before there is an exchange to answer them.
#ifndef WEIR_HOST_NATIVE_REFUSAL_H
#define WEIR_HOST_NATIVE_REFUSAL_H

#include "base/error.h"
#include "http/head.h"

struct worker;

// In the caller's storage, which must not move while the head is used.
struct refusal {
    struct response_head head;
    struct slice body;
    struct field fields[3];
    char text[512];
    char id[40];
};

void refusal_make(struct refusal *refusal, struct worker *worker, enum error_code error);

#endif
