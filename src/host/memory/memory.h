// A host in memory: drives one exchange with scripted upstream answers and virtual time, for `weir test`, `weir explain`
// and fuzzing. It opens no socket and reads no clock; the same input gives the same result.
#ifndef WEIR_HOST_MEMORY_MEMORY_H
#define WEIR_HOST_MEMORY_MEMORY_H

#include "exchange/exchange.h"

enum memory_fault {
    MEMORY_FAULT_NONE,
    MEMORY_FAULT_REFUSE, // no connection
    MEMORY_FAULT_RESET,  // before the head
    MEMORY_FAULT_STALL,  // no answer; a stream (no length) stalls after its pieces
    MEMORY_FAULT_CUT,    // the connection ends after the pieces, without an end of the body
};

// One scripted answer.
struct memory_answer {
    struct response_head head;
    const struct slice *pieces; // of the body, as they arrive
    size_t piece_count;
    bool has_length;  // the body's length is known from the head
    int64_t delay_ms; // before the head, and between pieces
    enum memory_fault fault;
};

// One client request. Borrowed for the call.
struct memory_request {
    size_t listener_id;
    struct request_head head;
    struct slice body;
    bool has_body;
    bool is_chunked;           // no content-length
    const size_t *piece_sizes; // how the body arrives: pieces of these sizes, the rest at the end
    size_t piece_count;
    uint64_t random; // weighted choices follow from it
};

// What one backend got.
struct memory_attempt {
    const struct config_backend_ref *ref;
    struct slice method;
    struct slice target;
    struct slice authority;
    struct fields fields;
    struct slice body;
    int64_t at_ms; // virtual time since the request
    bool is_retry;
    enum error_code failure; // how it failed in transport; ERROR_NONE: it was answered
    uint16_t status;         // of its answer
};

enum memory_end {
    MEMORY_END_COMPLETE, // the client got a whole message
    MEMORY_END_CUT,      // it ended abnormally
    MEMORY_END_STUCK,    // nothing would ever have ended it: a fault of the core
};

// What came of it. Everything lives in the arena that memory_run was given.
struct memory_result {
    struct memory_attempt *attempts;
    size_t attempt_count;
    const struct config_route *route; // that won; NULL: none
    const struct config_rule *rule;
    struct response_head response;
    struct slice body;
    struct slice *pieces; // of the body, as they went to the client
    size_t piece_count;
    enum memory_end end;
    bool is_local; // the answer is Weir's own
    int64_t took_ms;
    struct slice *log_lines; // one for each log of the listener; empty where it wanted none
    size_t log_count;
    struct fields lifted; // the request's fields as the log sees them
    struct slice step;    // in which the exchange stood at the end
};

// Runs one request. After the last scripted answer every further one is 200 with {}. False only without memory.
bool memory_run(struct snapshot *snapshot, const struct memory_request *request, const struct memory_answer *answers,
                size_t answer_count, struct arena *arena, struct memory_result *ret_result);

#endif
