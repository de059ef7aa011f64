// Times in UTC by strftime's letters, as %START_TIME(...)% takes them, without the C library's locale and clock.
#ifndef WEIR_OBSERVE_TIME_FORMAT_H
#define WEIR_OBSERVE_TIME_FORMAT_H

#include "base/slice.h"

#define TIME_FORMAT_BYTES_MAX 64 // of a format
#define TIME_TEXT_BYTES_MAX 1024 // of what it can write

// The default: 2026-01-31T12:34:56.789Z.
#define TIME_FORMAT_ISO "%FT%T.%3fZ"

// Whether every letter is known (%% a A b B d e F f H I j m M p S s T u y Y z Z, and %1f to %9f) and it is short enough.
bool time_format_is_valid(struct slice format);
// Writes into `text`, of TIME_TEXT_BYTES_MAX bytes; the format must be valid.
struct slice time_format_write(struct slice format, int64_t unix_us, char *text);

#endif
