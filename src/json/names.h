// Private to the room: finding a key of the text among the wanted names.
#ifndef WEIR_JSON_NAMES_H
#define WEIR_JSON_NAMES_H

#include "json/json.h"

// Index of the name that a validated raw key (quotes included) spells, or SLICE_NOT_FOUND.
size_t json_names_match(const struct json_names *names, struct slice raw_key);

#endif
