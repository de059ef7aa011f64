// Dynamic metadata of a stream: much of it is set in one call where Envoy has one.
#ifndef WEIR_HOST_ENVOY_METADATA_H
#define WEIR_HOST_ENVOY_METADATA_H

#include "base/arena.h"
#include "host/envoy/abi.h"
#include "observe/record.h"

void metadata_put_number(struct envoy_filter *filter, struct slice space, struct slice key, double value);
void metadata_put_text(struct envoy_filter *filter, struct slice space, struct slice key, struct slice value);
// All items into one namespace.
void metadata_put(struct envoy_filter *filter, struct arena *scratch, struct slice space,
                  const struct record_metadata *items, size_t count);

#endif
