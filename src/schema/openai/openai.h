// What is OpenAI's own: asking for usage in streams (S8).
#ifndef WEIR_SCHEMA_OPENAI_OPENAI_H
#define WEIR_SCHEMA_OPENAI_OPENAI_H

#include "json/json.h"
#include "schema/schema.h"

// Whether streams of this endpoint carry usage only when `stream_options.include_usage` asks for it.
bool openai_stream_needs_asking(enum endpoint_id endpoint);

enum openai_usage_ask {
    OPENAI_USAGE_ASKED,     // the client asked itself: the chunk is the client's
    OPENAI_USAGE_NOT_ASKED, // can be asked for on the client's behalf
    OPENAI_USAGE_UNCLEAR,   // `stream_options` is no object, or says it twice: left to the provider to refuse
};
// Reads the raw value of the member `stream_options`, which a scan has validated; empty when there is none.
enum openai_usage_ask openai_usage_ask(struct slice stream_options);
// The change that asks: `stream_options.include_usage` set to true, other keys kept. Static.
const struct json_change *openai_usage_change(void);

#endif
