// Access-log command operators: read from a format once, evaluated for each record.
#ifndef WEIR_OBSERVE_OPERATOR_H
#define WEIR_OBSERVE_OPERATOR_H

#include "base/finding.h"
#include "observe/record.h"
#include "observe/time_format.h"

enum log_value_type { LOG_VALUE_NONE, LOG_VALUE_TEXT, LOG_VALUE_INTEGER, LOG_VALUE_REAL };

struct log_value {
    enum log_value_type type;
    union {
        struct slice text;
        int64_t integer;
        double real;
    };
};

// What an operator's function may use for text that is not in the record.
struct log_scratch {
    char text[TIME_TEXT_BYTES_MAX];
};

struct log_operator;
typedef void log_function(const struct log_operator *op, const struct record *record, struct log_scratch *scratch,
                          struct log_value *ret_value);

// Where a header's value stands in the record: HTTP/2's pseudo-fields, Host and a time of the router's stand apart.
enum log_header_source {
    LOG_HEADER_NONE,
    LOG_HEADER_FIELD,
    LOG_HEADER_METHOD,
    LOG_HEADER_PATH,
    LOG_HEADER_AUTHORITY,
    LOG_HEADER_SCHEME,
    LOG_HEADER_STATUS,
    LOG_HEADER_UPSTREAM_TIME, // when no field of that name was sent
};

struct log_header {
    enum log_header_source source;
    struct slice name;
};

struct log_operator {
    log_function *function;
    struct slice argument; // metadata key, time format
    struct log_header header;
    struct log_header alternative; // when there is no such header, or an empty one
    enum usage_kind kind;          // USAGE
    size_t max_bytes;              // SIZE_MAX: no limit
};

// Reads the operator at the front of `*text` (which begins with '%') and takes it off. False after an error finding. The
// operator borrows from the text.
bool log_operator_parse(struct slice *text, struct mark mark, struct findings *findings,
                        struct log_operator *ret_operator);
// Copies what the operator borrows into the arena, where the access log lives. False without memory.
bool log_operator_keep(struct log_operator *op, struct arena *arena);
// Evaluates, length limit included. The value is borrowed from record and scratch.
void log_operator_value(const struct log_operator *op, const struct record *record, struct log_scratch *scratch,
                        struct log_value *ret_value);

#endif
