// One connection of a client. Speaks HTTP/1.1 itself: reads requests, one after another, and sends what their streams
// answer; an HTTP/2 session may hang on it instead (h2.h).
#ifndef WEIR_HOST_NATIVE_CLIENT_H
#define WEIR_HOST_NATIVE_CLIENT_H

#include "host/native/arrival.h"
#include "host/native/h1_write.h"
#include "host/native/h2.h"
#include "host/native/stream.h"
#include "host/native/transport.h"

#define CLIENT_HELD_BYTES 65536 // unread bytes kept behind a request under way, before reading pauses

// What counts as progress against the time limits: a byte now and then is how a slow attack looks. Who is slower than
// this is not served (a body that comes to its end is, whatever its size).
#define CLIENT_BODY_STEP 1024 // of a body that is held until it is whole
#define CLIENT_SEND_STEP 4096 // of what the client lets us send

enum client_state {
    CLIENT_IDLE,   // between requests, no byte of the next one has come
    CLIENT_HEAD,   // a head is coming
    CLIENT_BODY,   // the body of stream's request is coming
    CLIENT_ANSWER, // the request is complete; its answer is under way
    CLIENT_H2,     // speaks HTTP/2: all is the session's
    CLIENT_LINGER, // the answer is out, ours is shut; what still comes is thrown away so that the answer isn't lost
    CLIENT_CLOSED, // waits for the loop to let go of it
};

struct client {
    struct loop_io io;  // first, so that it can be found from it
    struct front front; // for its streams
    struct worker *worker;
    struct listener *listener;
    struct list node; // in worker.clients
    struct deadline deadline;
    struct transport transport;
    struct stream *stream;
    struct h2 *h2; // NULL: HTTP/1.1
    enum client_state state;
    bool may_be_h2;     // no byte has come yet that tells
    bool has_spoken;    // a request came
    bool is_keep_alive; // after the present message
    bool is_1_0;
    bool is_head_request;
    bool is_chunked;         // the present answer
    bool has_head;           // its head stands in worker.head and goes out with the next bytes
    bool has_no_body;        // HEAD, 204, 304: whatever is sent is not written
    bool is_processing;      // client_process is on the stack
    bool is_paused;          // not reading a body, because the stream can't take it
    bool wants_continue;     // 100 (Continue) is to be sent when the exchange wants the body
    bool is_cut;             // the last answer ended before its end: no close_notify follows it
    bool is_upstream_paused; // the unsent rest went over the high mark
    int64_t since_us;        // of the state: idle since, head began, last progress of the body, linger began
    int64_t accepted_us;
    int64_t request_since_us;
    int64_t send_since_us; // last progress of sending, while there is something unsent
    uint32_t request_count;
    uint32_t body_progress; // bytes since since_us: at CLIENT_BODY_STEP that is moved on
    uint32_t send_progress; // the same of send_since_us and CLIENT_SEND_STEP
    uint64_t lingered_bytes;
    int64_t answer_left;                // bytes of a content-length answer still owed; -1: not counted
    const struct config_client *limits; // of the generation that the present request began with
    struct h1_reader reader;
    struct buf held;       // bytes read and not used yet: a part of a head, or requests to come
    size_t held_fed;       // of them already shown to the reader
    struct buf unsent;     // bytes of an answer that the socket didn't take
    uint8_t peer_text_len; // as a PROXY header said, if there was one
    uint8_t local_text_len;
    uint8_t direct_text_len; // of the connection itself; 0: the same as the peer's
    char peer_text[NET_ADDRESS_TEXT_MAX];
    char local_text[NET_ADDRESS_TEXT_MAX];
    char direct_text[NET_ADDRESS_TEXT_MAX];
};

void client_accept(struct listener *listener, int fd, const struct net_address *peer);
// The same for a connection that is counted already, with its PROXY header read and its handshake done, as its listener
// asks for. `early`: bytes that were read behind these, in memory that may be written to. Takes the transport, also on
// failure.
void client_begin(struct listener *listener, const struct transport *take_transport, const struct arrival_ends *ends,
                  struct slice early);
// Ends the connection at once.
void client_close(struct client *client);
// A newer configuration came: takes its limits. False when the client's port is served no more.
bool client_refresh(struct client *client);
// Its port is served no more: ends as soon as its protocol allows.
void client_retire(struct client *client);
// Between requests; has had none.
bool client_is_idle(const struct client *client);
bool client_is_fresh(const struct client *client);
// The worker drains: closes if idle, else marks the connection to end with its message.
void client_drain(struct client *client);

// ---- for HTTP/2 ---------------------------------------------------------------------------------------------------

// Goes over to HTTP/2, as the first bytes or ALPN told. The connection may be closed afterwards.
void client_begin_h2(struct client *client);
// Sends parts, or queues them, or both. False when the client is gone.
bool client_write(struct client *client, const struct slice *parts, size_t count);
// How many bytes wait for the socket.
static inline size_t client_unsent_bytes(const struct client *client)
{
    return client->unsent.len;
}
// Among the listeners of this port the one whose host name fits best; NULL: *ret_error is for the client.
const struct config_listener *client_listener(const struct client *client, struct slice authority,
                                              enum error_code *ret_error);
// When it is so old that it should end; DEADLINE_NONE: never.
int64_t client_age_deadline_us(const struct client *client);
// The session has read or written: ends the connection if the session is over.
void client_h2_moved(struct client *client);
void client_h2_arm(struct client *client);

#endif
