#include "host/envoy/log.h"

#include "host/envoy/headers.h"

void log_text(enum envoy_log_level level, struct slice what, struct slice why)
{
    char line[1024];
    if (!ENVOY_CALL(log_enabled)(level))
        return;
    what = slice_sub(what, 0, sizeof line / 2);
    why = slice_sub(why, 0, sizeof line - what.len);
    memcpy(line, what.ptr, what.len);
    memcpy(line + what.len, why.ptr, why.len);
    ENVOY_CALL(log)(level, bytes_of(slice_make(line, what.len + why.len)));
}
