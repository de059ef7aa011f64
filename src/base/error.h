// Everything that can go wrong with a request, as values from one table (errors.def, S9).
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

#include "base/slice.h"

enum error_code {
    ERROR_NONE,
#define ERROR(name, status, type, code, details, flags, message) ERROR_##name,
#include "base/errors.def"
#undef ERROR
    ERROR_COUNT
};

struct error_info {
    struct slice name;    // name as in errors.def, for logs and counters
    uint16_t status;      // HTTP status for the client; 0 when nothing can be sent any more
    struct slice type;    // `error.type` of the OpenAI shape
    struct slice code;    // `error.code` of the OpenAI shape, empty for null
    struct slice details; // %RESPONSE_CODE_DETAILS%
    struct slice flags;   // %RESPONSE_FLAGS%, Envoy's letters, empty for "-"
    struct slice message; // for the client when the exchange has nothing more exact to say
};

// Never NULL; ERROR_NONE has status 200.
const struct error_info *error_info(enum error_code code);

#endif
