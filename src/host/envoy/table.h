// Where the upstream filter finds the stream of the listener filter: by a number that travels in dynamic metadata, never
// by a pointer. One table for each worker, touched on that worker alone, so there is no lock.
#ifndef WEIR_HOST_ENVOY_TABLE_H
#define WEIR_HOST_ENVOY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_WORKERS_MAX 1024U
// A double, which is what metadata holds, carries 53 bits: 20 of the slot, 32 of its generation.
#define TABLE_SLOT_BITS 20U

struct stream;

// Enters a stream; 0 without memory, or when the worker has a million streams already.
uint64_t table_add(uint32_t worker, struct stream *stream);
// The stream of that number; NULL when it has ended, whoever has its slot now.
struct stream *table_find(uint32_t worker, uint64_t id);
// 0 is fine.
void table_remove(uint32_t worker, uint64_t id);

#endif
