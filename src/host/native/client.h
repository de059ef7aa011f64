// One HTTP/1.1 connection of a client: reads requests, one after another, and sends what their streams answer.
#ifndef WEIR_HOST_NATIVE_CLIENT_H
#define WEIR_HOST_NATIVE_CLIENT_H

#include "host/native/h1_write.h"
#include "host/native/stream.h"

#define CLIENT_HELD_BYTES 65536  // unread bytes kept behind a request under way, before reading pauses
#define CLIENT_UNSENT_HIGH 65536 // at this the upstream is paused (S11),
#define CLIENT_UNSENT_LOW 32768  // and below this resumed
#define CLIENT_UNSENT_MAX 262144 // never more of an answer that is still coming

enum client_state {
    CLIENT_IDLE,   // between requests, no byte of the next one has come
    CLIENT_HEAD,   // a head is coming
    CLIENT_BODY,   // the body of stream's request is coming
    CLIENT_ANSWER, // the request is complete; its answer is under way
    CLIENT_LINGER, // the answer is out, ours is shut; what still comes is thrown away so that the answer isn't lost
    CLIENT_CLOSED, // waits for the loop to let go of it
};

struct client {
    struct loop_io io; // first, so that it can be found from it
    struct worker *worker;
    struct listener *listener;
    struct list node; // in worker.clients
    struct deadline deadline;
    struct stream *stream;
    enum client_state state;
    bool is_keep_alive; // after the present message
    bool is_1_0;
    bool is_head_request;
    bool is_chunked;         // the present answer
    bool has_head;           // its head stands in worker.head and goes out with the next bytes
    bool has_no_body;        // HEAD, 204, 304: whatever is sent is not written
    bool is_processing;      // client_process is on the stack
    bool is_paused;          // not reading a body, because the stream can't take it
    bool wants_continue;     // 100 (Continue) is to be sent when the exchange wants the body
    bool is_upstream_paused; // the unsent rest went over the high mark
    int64_t since_us;        // of the state: idle since, head began, last body byte, linger began
    int64_t request_since_us;
    int64_t send_since_us; // last progress of sending, while there is something unsent
    uint64_t lingered_bytes;
    int64_t answer_left;                // bytes of a content-length answer still owed; -1: not counted
    const struct config_client *limits; // of the generation that the present request began with
    struct h1_reader reader;
    struct buf held;   // bytes read and not used yet: a part of a head, or requests to come
    size_t held_fed;   // of them already shown to the reader
    struct buf unsent; // bytes of an answer that the socket didn't take
    uint8_t peer_text_len;
    char peer_text[NET_ADDRESS_TEXT_MAX];
    char local_text[NET_ADDRESS_TEXT_MAX];
    uint8_t local_text_len;
};

void client_accept(struct listener *listener, int fd, const struct net_address *peer);
// Ends the connection at once.
void client_close(struct client *client);
// A newer configuration came: takes its limits. False when the client's port is served no more.
bool client_refresh(struct client *client);
// The worker drains: closes if idle, else marks the connection to end with its message.
void client_drain(struct client *client);

// ---- for streams --------------------------------------------------------------------------------------------------

// Sends 100 (Continue) if the client waits for it.
void client_continue(struct client *client);
// Prepares a head; it goes out with the next client_send or client_flush. `body_bytes` -1: unknown. Gives false when
// the head does not fit.
bool client_head(struct client *client, const struct response_head *head, bool has_body, int64_t body_bytes);
// Sends pieces of the body, with the prepared head before them. False: the client is gone.
bool client_send(struct client *client, const struct slice *pieces, size_t count, bool is_end);
// How many bytes wait to be sent.
size_t client_unsent(const struct client *client);
// The stream has ended and is freed: on to the next request, or the end of the connection. `is_cut`: the message is not
// complete and must not look so.
void client_stream_done(struct client *client, bool is_cut);
// Body bytes are wanted again.
void client_resume(struct client *client);
// Time limits changed.
void client_arm(struct client *client);

#endif
