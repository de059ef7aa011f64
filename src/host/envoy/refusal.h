// What goes no further: heads that Envoy's codecs let pass though the native host refuses them, and Envoy's own answers to
// what never reached the module, in the shape that the native host gives them (S9).
#ifndef WEIR_HOST_ENVOY_REFUSAL_H
#define WEIR_HOST_ENVOY_REFUSAL_H

#include "config/model.h"
#include "exchange/refusal.h"
#include "host/envoy/abi.h"
#include "host/envoy/headers.h"

// As h1.c and h2_head.c of the native host have it. ERROR_NONE: nothing is wrong with it.
enum error_code refusal_of_head(const struct config_client *limits, enum http_version version,
                                const struct header_map *head);

void refusal_send(struct envoy_filter *filter, enum error_code error, const struct refusal *refusal);
// Makes the head of the answer that passes its own.
void refusal_write_head(struct envoy_filter *filter, const struct refusal *refusal);

#endif
