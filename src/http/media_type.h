// Media types (RFC 9110 section 8.3.1).
#ifndef WEIR_HTTP_MEDIA_TYPE_H
#define WEIR_HTTP_MEDIA_TYPE_H

#include "base/slice.h"

// Whether a Content-Type value is of this type, any case, parameters ignored. `type` like "application/json".
bool media_type_is(struct slice value, struct slice type);
// application/json or any +json type.
bool media_type_is_json(struct slice value);
// The value of a parameter, quotes taken off (no escapes resolved). False when it is not there.
bool media_type_parameter(struct slice value, struct slice name, struct slice *ret_value);

#endif
