// What a filter is configured with: JSON text, read on Envoy's main thread, shared read-only by all workers.
//
//   position   "listener" (default) or "upstream"
//   config     the text of resources (YAML or JSON), or
//   documents  a list of {"path", "text"}, as `weir envoy` writes them, or
//   files      a list of paths to read, once, when the filter is made
//   listener   "namespace/gateway/name"; default: the first listener
//   forward    "weir" (default): Weir routes, and the filter in the upstream position builds every attempt.
//              "headers": Weir only lifts, checks and sets x-ai-eg-* headers, Envoy's own routes do the rest
//   pinned     with forward "headers": what a pinned request's x-ai-eg-model is: "clear" (default), so that no route for
//              the model takes it, or "keep"
//   publish    what filters behind this one and Envoy's own logs find: "all" (default): the lifted fields stand in the
//              request and all metadata is set; "costs": nothing is lifted for others to see, and of the metadata only the
//              configured costs are set
//   log        who makes the lines of the access log: "envoy" (default), for which the request's fields and the metadata
//              that its operators read are put in place when a request ends, or "weir": the module writes the lines of the
//              listener's logs, to their files. To be said where resources stand with a route, too: files are opened with them
//   build      "tries" (default): the filter in the upstream position builds the request of every attempt. "ahead": this one
//              does, where all attempts are the same (config/rule.h): the clusters of those rules have no filter of ours,
//              and their routes put in the backend's Host
//
// ${VAR} in resources is looked up in the environment of the Envoy process: secrets need not stand in its configuration.
// A configuration with resources may also stand with a route (typed_per_filter_config): then it follows the route
// configuration, and a change touches no connection.
#ifndef WEIR_HOST_ENVOY_SETTINGS_H
#define WEIR_HOST_ENVOY_SETTINGS_H

#include "exchange/snapshot.h"

enum position { POSITION_LISTENER, POSITION_UPSTREAM };
enum forward { FORWARD_WEIR, FORWARD_HEADERS };
enum publish { PUBLISH_ALL, PUBLISH_COSTS };
enum log_by { LOG_BY_ENVOY, LOG_BY_WEIR };

struct settings {
    enum position position;
    enum forward forward;
    enum publish publish;
    enum log_by log_by;
    bool keeps_pinned_model;
    bool builds_ahead;
    struct snapshot *snapshot; // NULL: no resources here
    size_t listener_id;
};

// NULL after messages in Envoy's log: Envoy then refuses the configuration and keeps what it has.
struct settings *settings_new(struct slice text);
// NULL is fine. Streams that still run hold their snapshot themselves.
void settings_free(struct settings *settings);

#endif
