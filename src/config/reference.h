// The configuration reference, written from the tables that load and check configurations (kind.h).
#ifndef WEIR_CONFIG_REFERENCE_H
#define WEIR_CONFIG_REFERENCE_H

#include "base/buf.h"

// Appends docs/configuration.md (Markdown). False when the buffer's ceiling was reached.
bool config_reference_write(struct buf *buf);

#endif
