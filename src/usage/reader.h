// Reads token usage and the response's model off one response, streamed or not, piece by piece, in bounded memory.
#ifndef WEIR_USAGE_READER_H
#define WEIR_USAGE_READER_H

#include "base/arena.h"
#include "http/sse.h"
#include "json/json.h"
#include "usage/usage.h"

// Where the figures stand (endpoints-and-translators.md 2.2, 5.1-5.6).
enum usage_shape {
    USAGE_SHAPE_NONE,      // tokenize
    USAGE_SHAPE_CHAT,      // chat and legacy completions: usage.prompt_tokens, ...
    USAGE_SHAPE_EMBEDDING, // usage.prompt_tokens, total_tokens
    USAGE_SHAPE_RESPONSES, // usage.input_tokens, ...; in streams response.{completed,incomplete,failed}
    USAGE_SHAPE_COUNT,     // responses/input_tokens: input_tokens
    USAGE_SHAPE_MEDIA, // images and audio: usage.input_tokens, output_tokens, total_tokens; in streams of the last event
};

struct usage_reader; // lives in the arena given at begin

// The member names that readers of streams look for: made once and shared by all of them. NULL without memory.
const struct json_names *usage_reader_names(struct arena *arena);
// `stream_names`: of usage_reader_names when the body is SSE, and lives as long; NULL for a JSON body. NULL without memory.
struct usage_reader *usage_reader_new(struct arena *arena, enum usage_shape shape,
                                      const struct json_names *stream_names);
// A whole SSE event (the exchange frames the stream once, for all who look at it).
// Gives true when the event is a usage-only chunk of chat or completions: `choices` is empty and `usage` an object.
bool usage_reader_event(struct usage_reader *reader, const struct sse_event *event);
// A piece of a JSON body. Holds at most 64 KiB whatever the body's size.
void usage_reader_piece(struct usage_reader *reader, struct slice piece, bool is_end);
// What was seen so far. `total` is derived when the provider gave input and output alone.
const struct usage *usage_reader_usage(const struct usage_reader *reader);
// The model that the provider says it used; empty when unknown.
struct slice usage_reader_model(const struct usage_reader *reader);
// Releases what does not live in the arena.
void usage_reader_fini(struct usage_reader *reader);

#endif
