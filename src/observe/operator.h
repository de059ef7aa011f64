// Access-log command operators: read from a format once, evaluated for each record.
#ifndef WEIR_OBSERVE_OPERATOR_H
#define WEIR_OBSERVE_OPERATOR_H

#include "base/finding.h"
#include "observe/record.h"
#include "observe/time_format.h"

enum log_value_type { LOG_VALUE_NONE, LOG_VALUE_TEXT, LOG_VALUE_INTEGER, LOG_VALUE_REAL };

struct log_value {
    enum log_value_type type;
    struct slice text;
    int64_t integer;
    double real;
};

// What an operator's function may use for text that is not in the record.
struct log_scratch {
    char text[TIME_TEXT_BYTES_MAX];
};

struct log_operator;
typedef void log_function(const struct log_operator *op, const struct record *record, struct log_scratch *scratch,
                          struct log_value *ret_value);

struct log_operator { // lives in the access log's arena
    log_function *function;
    struct slice argument;    // header name, metadata key, time format
    struct slice alternative; // second header name; NULL pointer: none
    enum usage_kind kind;     // USAGE
    size_t max_bytes;         // SIZE_MAX: no limit
};

// Reads the operator at the front of `*text` (which begins with '%') and takes it off. False after an error finding.
bool log_operator_parse(struct slice *text, struct mark mark, struct findings *findings,
                        struct log_operator *ret_operator);
// Evaluates, length limit included. The value is borrowed from record and scratch.
void log_operator_value(const struct log_operator *op, const struct record *record, struct log_scratch *scratch,
                        struct log_value *ret_value);

#endif
