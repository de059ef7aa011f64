// Lines of the access logs, of requests and of what never became one.
#ifndef WEIR_HOST_NATIVE_ACCESS_LOG_H
#define WEIR_HOST_NATIVE_ACCESS_LOG_H

#include "base/error.h"
#include "host/native/pool.h"
#include "observe/record.h"

struct client;

// Writes the line of one record to all logs of a listener of that configuration.
void access_log_write(struct worker *worker, const struct pools *pools, size_t listener_id,
                      const struct record *record);

// A request that was refused before there was an exchange to tell of it.
struct refused {
    const struct client *client;
    const struct request_head *head;    // NULL: it could not be read
    const struct response_head *answer; // NULL: none was sent
    size_t answer_bytes;                // of its body
    int64_t since_us;                   // when its first byte came
    enum http_version version;
    enum error_code error;
};

// To the logs of the listener that the head names, or, where none can be told, of the port's first.
void access_log_refused(const struct refused *refused);

#endif
