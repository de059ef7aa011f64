// The dialects: which endpoints Weir has, and how a request of a front endpoint becomes one of a backend's dialect.
// One folder a dialect; this header is what the exchange sees of all of them.
#ifndef WEIR_SCHEMA_SCHEMA_H
#define WEIR_SCHEMA_SCHEMA_H

#include "base/error.h"
#include "config/model.h"
#include "http/head.h"
#include "usage/reader.h"

enum endpoint_id {
#define ENDPOINT(name, path, method, body, model, stream, usage, family, suffix) ENDPOINT_##name,
#include "schema/endpoints.def"
#undef ENDPOINT
    ENDPOINT_COUNT,
    ENDPOINT_NONE = ENDPOINT_COUNT, // not a model endpoint: plain routes only
};

enum endpoint_body { ENDPOINT_BODY_NONE, ENDPOINT_BODY_JSON, ENDPOINT_BODY_MULTIPART };
enum endpoint_family { FAMILY_OPENAI, FAMILY_ANTHROPIC, FAMILY_COHERE };
enum endpoint_stream {
    STREAM_NEVER,
    STREAM_MEMBER,     // body member `stream` is true
    STREAM_FORMAT_SSE, // body member `stream_format` is "sse"
    STREAM_FORM,       // form field `stream` is "true", any case
};

struct endpoint {
    enum endpoint_id id;
    enum endpoint_body body;
    enum endpoint_stream stream;
    enum usage_shape usage;
    enum endpoint_family family;
    struct slice name; // "CHAT_COMPLETIONS"
    struct slice path; // exact
    struct slice method;
    struct slice suffix; // behind the backend's prefix: "chat/completions"
};

const struct endpoint *endpoint_at(enum endpoint_id id);
// By the path of a target (query cut off). NULL: none. The method is the caller's to check (405).
const struct endpoint *endpoint_find(struct slice path);
// Whether a backend's dialect serves the endpoint.
bool schema_serves(enum config_schema schema, enum endpoint_id endpoint);
struct slice schema_name(enum config_schema schema);

// The upstream target for this endpoint at this backend, with the client's query kept.
struct slice schema_target(const struct endpoint *endpoint, const struct config_backend *backend, struct slice model,
                           struct slice client_target, struct arena *arena);

// An error body in the endpoint family's own shape (S9), JSON, escaped.
struct schema_error {
    uint16_t status;
    struct slice type;
    struct slice code;  // empty: null
    struct slice param; // empty: null
    struct slice message;
    struct slice request_id;
};
bool schema_write_error(enum endpoint_family family, const struct schema_error *error, struct buf *buf);
// The error event that ends a stream of this endpoint (S8), with its framing.
bool schema_write_error_event(const struct endpoint *endpoint, const struct schema_error *error, struct buf *buf);

#endif
