// As much of Envoy as the module calls: one stream with its header maps and bodies, its metadata and the endpoint that was
// picked; and how it calls the module. In the place of the log sink stands one without a thread. Included by one file of a
// program. Values are copied, and what was lent before a setting call is overwritten, so that a use of bytes whose life
// has ended shows.
#ifndef WEIR_TESTS_FAKE_ENVOY_H
#define WEIR_TESTS_FAKE_ENVOY_H

#include <stdlib.h>

#include "base/buf.h"
#include "host/envoy/headers.h"
#include "host/log/logsink.h"

#define FAKE_MAX 64

struct fake_text {
    char *ptr;
    size_t len;
};

struct fake_field {
    struct fake_text name;
    struct fake_text value;
};

struct fake_metadata {
    char key[64];
    double number;
    char text[4096];
};

struct envoy_filter { // all filters of the stream are this one
    struct fake_field fields[4][FAKE_MAX];
    size_t counts[4];
    struct buf bodies[4];
    struct fake_metadata metadata[FAKE_MAX];
    size_t metadata_count;
    const char *ref; // of the endpoint that was picked
    const void *route_settings;
    const char *details; // of the response code
    uint64_t response_flags;
    uint32_t sent_status; // 0: nothing was sent
    struct buf sent_body;
    char sent_details[128];
    bool is_route_cleared;
    bool is_reset;
    uint32_t scheduled;
};

static struct fake_text fake_copy(const char *ptr, size_t len)
{
    struct fake_text text = {malloc(len ? len : 1), len};
    if (len)
        memcpy(text.ptr, ptr, len);
    return text;
}

static void fake_drop(struct fake_text *text)
{
    if (text->len)
        memset(text->ptr, '#', text->len);
    free(text->ptr);
}

static void fake_remove(struct envoy_filter *fake, int map, struct slice name)
{
    size_t kept = 0;
    for (size_t i = 0; i < fake->counts[map]; i++) {
        struct fake_field *field = &fake->fields[map][i];
        if (slice_eq(slice_make(field->name.ptr, field->name.len), name)) {
            fake_drop(&field->name);
            fake_drop(&field->value);
        } else {
            fake->fields[map][kept++] = *field;
        }
    }
    fake->counts[map] = kept;
}

static void fake_add(struct envoy_filter *fake, int map, struct slice name, struct slice value)
{
    struct fake_field *field = &fake->fields[map][fake->counts[map]++];
    field->name = fake_copy(name.ptr, name.len);
    field->value = fake_copy(value.ptr, value.len);
}

static struct slice fake_value(const struct envoy_filter *fake, int map, struct slice name)
{
    for (size_t i = 0; i < fake->counts[map]; i++) {
        const struct fake_field *field = &fake->fields[map][i];
        if (slice_eq(slice_make(field->name.ptr, field->name.len), name))
            return slice_make(field->value.ptr, field->value.len);
    }
    return (struct slice){NULL, 0};
}

static const struct fake_metadata *fake_metadata(const struct envoy_filter *fake, const char *key)
{
    for (size_t i = 0; i < fake->metadata_count; i++)
        if (strcmp(fake->metadata[i].key, key) == 0)
            return &fake->metadata[i];
    return NULL;
}

// The one channel of the log sink.
static struct logsink_channel {
    char last[4096]; // what was written last for this stream
} fake_log;

static void fake_init(struct envoy_filter *fake)
{
    memset(fake, 0, sizeof *fake);
    fake_log.last[0] = '\0';
    for (int i = 0; i < 4; i++)
        buf_init(&fake->bodies[i], SIZE_MAX / 2);
    buf_init(&fake->sent_body, SIZE_MAX / 2);
}

static void fake_fini(struct envoy_filter *fake)
{
    for (int map = 0; map < 4; map++)
        for (size_t i = 0; i < fake->counts[map]; i++) {
            fake_drop(&fake->fields[map][i].name);
            fake_drop(&fake->fields[map][i].value);
        }
    for (int i = 0; i < 4; i++)
        buf_fini(&fake->bodies[i]);
    buf_fini(&fake->sent_body);
}

// ---- the callbacks --------------------------------------------------------------------------------------------

void ENVOY_CALL(get_log_level)(void)
{
}

void ENVOY_CALL(log)(enum envoy_log_level level, struct envoy_bytes message)
{
    (void)level, (void)message;
}

bool ENVOY_CALL(log_enabled)(enum envoy_log_level level)
{
    (void)level;
    return true;
}

uint32_t ENVOY_CALL(get_concurrency)(void)
{
    return 2;
}

uint32_t ENVOY_CALL(http_filter_get_worker_index)(struct envoy_filter *fake)
{
    (void)fake;
    return 1;
}

bool ENVOY_CALL(http_set_header)(struct envoy_filter *fake, enum envoy_header_map map, struct envoy_bytes name,
                                 struct envoy_bytes value)
{
    struct fake_text key = fake_copy(name.ptr, name.len); // may point into what goes
    struct fake_text text = fake_copy(value.ptr, value.len);
    fake_remove(fake, (int)map, slice_make(key.ptr, key.len));
    if (value.ptr)
        fake_add(fake, (int)map, slice_make(key.ptr, key.len), slice_make(text.ptr, text.len));
    fake_drop(&key);
    fake_drop(&text);
    return true;
}

bool ENVOY_CALL(http_add_header)(struct envoy_filter *fake, enum envoy_header_map map, struct envoy_bytes name,
                                 struct envoy_bytes value)
{
    fake_add(fake, (int)map, slice_of(name), slice_of(value));
    return true;
}

bool ENVOY_CALL(http_get_header)(struct envoy_filter *fake, enum envoy_header_map map, struct envoy_bytes name,
                                 struct envoy_bytes *value, size_t index, size_t *count)
{
    (void)index, (void)count;
    struct slice found = fake_value(fake, (int)map, slice_of(name));
    *value = bytes_of(found);
    return found.ptr;
}

size_t ENVOY_CALL(http_get_headers_size)(struct envoy_filter *fake, enum envoy_header_map map)
{
    return fake->counts[map];
}

bool ENVOY_CALL(http_get_headers)(struct envoy_filter *fake, enum envoy_header_map map, struct envoy_header *headers)
{
    for (size_t i = 0; i < fake->counts[map]; i++) {
        const struct fake_field *field = &fake->fields[map][i];
        headers[i] = (struct envoy_header){field->name.ptr, field->name.len, field->value.ptr, field->value.len};
    }
    return true;
}

size_t ENVOY_CALL(http_get_body_size)(struct envoy_filter *fake, enum envoy_body body)
{
    return fake->bodies[body].len;
}

// In two slices where there are two bytes.
size_t ENVOY_CALL(http_get_body_chunks_size)(struct envoy_filter *fake, enum envoy_body body)
{
    size_t len = fake->bodies[body].len;
    return len > 1 ? 2 : len;
}

bool ENVOY_CALL(http_get_body_chunks)(struct envoy_filter *fake, enum envoy_body body, struct envoy_bytes *chunks)
{
    const struct buf *buf = &fake->bodies[body];
    size_t first = buf->len > 1 ? buf->len / 2 : buf->len;
    chunks[0] = (struct envoy_bytes){buf->ptr, first};
    if (buf->len > 1)
        chunks[1] = (struct envoy_bytes){buf->ptr + first, buf->len - first};
    return true;
}

bool ENVOY_CALL(http_append_body)(struct envoy_filter *fake, enum envoy_body body, struct envoy_bytes data)
{
    // As Envoy does, earlier bytes stay where they are: tests reserve enough room.
    return buf_append(&fake->bodies[body], slice_of(data));
}

bool ENVOY_CALL(http_drain_body)(struct envoy_filter *fake, enum envoy_body body, size_t bytes)
{
    buf_drop_front(&fake->bodies[body], bytes);
    return true;
}

void ENVOY_CALL(http_set_buffer_limit)(struct envoy_filter *fake, uint64_t bytes)
{
    (void)fake, (void)bytes;
}

void ENVOY_CALL(http_send_response)(struct envoy_filter *fake, uint32_t status, struct envoy_header *headers,
                                    size_t header_count, struct envoy_bytes body, struct envoy_bytes details)
{
    (void)headers, (void)header_count;
    fake->sent_status = status;
    buf_append(&fake->sent_body, slice_of(body));
    memcpy(fake->sent_details, details.ptr, details.len < 127 ? details.len : 127);
}

void ENVOY_CALL(http_send_response_data)(struct envoy_filter *fake, struct envoy_bytes data, bool is_end)
{
    (void)is_end;
    buf_append(&fake->sent_body, slice_of(data));
}

void ENVOY_CALL(http_clear_route_cache)(struct envoy_filter *fake)
{
    fake->is_route_cleared = true;
}

const void *ENVOY_CALL(get_most_specific_route_config)(struct envoy_filter *fake)
{
    return fake->route_settings;
}

void ENVOY_CALL(http_filter_reset_stream)(struct envoy_filter *fake, enum envoy_reset_reason reason,
                                          struct envoy_bytes details)
{
    (void)reason, (void)details;
    fake->is_reset = true;
}

static struct fake_metadata *fake_metadata_slot(struct envoy_filter *fake, struct envoy_bytes space,
                                                struct envoy_bytes key)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s:%.*s", (int)space.len, space.ptr, (int)key.len, key.ptr);
    struct fake_metadata *slot = (struct fake_metadata *)(uintptr_t)fake_metadata(fake, name);
    if (!slot) {
        slot = &fake->metadata[fake->metadata_count++];
        memcpy(slot->key, name, sizeof name);
    }
    return slot;
}

void ENVOY_CALL(http_set_dynamic_metadata_number)(struct envoy_filter *fake, struct envoy_bytes space,
                                                  struct envoy_bytes key, double value)
{
    fake_metadata_slot(fake, space, key)->number = value;
}

void ENVOY_CALL(http_set_dynamic_metadata_string)(struct envoy_filter *fake, struct envoy_bytes space,
                                                  struct envoy_bytes key, struct envoy_bytes value)
{
    struct fake_metadata *slot = fake_metadata_slot(fake, space, key);
    snprintf(slot->text, sizeof slot->text, "%.*s", (int)value.len, value.ptr);
}

// A reader of the wire format that takes what the module writes and nothing else.
static struct slice fake_take(struct slice *rest, char tag)
{
    size_t length = 0, at = 1;
    if (rest->len < 2 || rest->ptr[0] != tag)
        abort();
    for (unsigned shift = 0;; shift += 7, at++) {
        length |= (size_t)(rest->ptr[at] & 0x7f) << shift;
        if (!(rest->ptr[at] & 0x80))
            break;
    }
    if (length > rest->len - at - 1)
        abort();
    struct slice taken = slice_sub(*rest, at + 1, length);
    *rest = slice_from(*rest, at + 1 + length);
    return taken;
}

void ENVOY_CALL(http_set_dynamic_metadata_struct)(struct envoy_filter *fake, struct envoy_bytes space,
                                                  struct envoy_bytes serialized)
{
    struct slice rest = slice_of(serialized);
    while (rest.len) {
        struct slice entry = fake_take(&rest, 0x0a);
        struct slice key = fake_take(&entry, 0x0a);
        struct slice value = fake_take(&entry, 0x12);
        struct fake_metadata *slot = fake_metadata_slot(fake, space, bytes_of(key));
        if (value.ptr[0] == 0x11 && value.len == 9) {
            memcpy(&slot->number, value.ptr + 1, sizeof slot->number);
        } else {
            struct slice text = fake_take(&value, 0x1a);
            snprintf(slot->text, sizeof slot->text, "%.*s", (int)text.len, text.ptr);
        }
    }
}

bool ENVOY_CALL(http_get_metadata_number)(struct envoy_filter *fake, enum envoy_metadata_source source,
                                          struct envoy_bytes space, struct envoy_bytes key, double *value)
{
    char name[64];
    (void)source;
    snprintf(name, sizeof name, "%.*s:%.*s", (int)space.len, space.ptr, (int)key.len, key.ptr);
    const struct fake_metadata *found = fake_metadata(fake, name);
    if (found)
        *value = found->number;
    return found;
}

bool ENVOY_CALL(http_get_metadata_string)(struct envoy_filter *fake, enum envoy_metadata_source source,
                                          struct envoy_bytes space, struct envoy_bytes key, struct envoy_bytes *value)
{
    (void)space, (void)key;
    if (source != ENVOY_METADATA_HOST || !fake->ref)
        return false;
    *value = bytes_of(slice_from_cstr(fake->ref));
    return true;
}

bool ENVOY_CALL(http_filter_get_attribute_string)(struct envoy_filter *fake, enum envoy_attribute attribute,
                                                  struct envoy_bytes *value)
{
    switch (attribute) {
    case ENVOY_ATTRIBUTE_RESPONSE_CODE_DETAILS:
        *value = bytes_of(slice_from_cstr(fake->details));
        return fake->details;
    case ENVOY_ATTRIBUTE_PROTOCOL:
        *value = bytes_of(SLICE("HTTP/1.1"));
        return true;
    case ENVOY_ATTRIBUTE_UPSTREAM_ADDRESS:
        *value = bytes_of(SLICE("10.0.0.1:8080"));
        return true;
    case ENVOY_ATTRIBUTE_SOURCE_ADDRESS:
        *value = bytes_of(SLICE("192.0.2.1:5555"));
        return true;
    default:
        return false;
    }
}

bool ENVOY_CALL(http_filter_get_attribute_int)(struct envoy_filter *fake, enum envoy_attribute attribute,
                                               uint64_t *value)
{
    *value = fake->response_flags;
    return attribute == ENVOY_ATTRIBUTE_RESPONSE_FLAGS;
}

// The client has no TLS.
bool ENVOY_CALL(http_filter_get_attribute_bool)(struct envoy_filter *fake, enum envoy_attribute attribute, bool *value)
{
    (void)fake, (void)attribute, (void)value;
    return false;
}

struct envoy_scheduler *ENVOY_CALL(http_filter_scheduler_new)(struct envoy_filter *fake)
{
    return (struct envoy_scheduler *)fake;
}

void ENVOY_CALL(http_filter_scheduler_commit)(struct envoy_scheduler *scheduler, uint64_t event)
{
    (void)event;
    ((struct envoy_filter *)scheduler)->scheduled++;
}

void ENVOY_CALL(http_filter_scheduler_delete)(struct envoy_scheduler *scheduler)
{
    (void)scheduler;
}

// ---- the log sink: one channel, without a thread --------------------------------------------------------------

struct logsink *logsink_new(void)
{
    return (struct logsink *)&fake_log;
}

void logsink_free(struct logsink *take_sink)
{
    (void)take_sink;
}

struct logsink_channel *logsink_open(struct logsink *sink, unsigned worker, struct slice path)
{
    (void)sink, (void)worker, (void)path;
    return &fake_log;
}

struct logsink_channel *logsink_find(struct logsink *sink, unsigned worker, struct slice path)
{
    return logsink_open(sink, worker, path);
}

bool logsink_is_to(const struct logsink_channel *channel, struct slice path)
{
    (void)channel, (void)path;
    return true;
}

bool logsink_write(struct logsink_channel *channel, struct slice lines)
{
    snprintf(channel->last, sizeof channel->last, SLICE_FMT, SLICE_ARG(lines));
    return true;
}

// ---- calling the module ---------------------------------------------------------------------------------------

const char *ENVOY_HOOK(program_init)(void);
const void *ENVOY_HOOK(http_filter_config_new)(struct envoy_filter_config *, struct envoy_bytes, struct envoy_bytes);
void ENVOY_HOOK(http_filter_config_destroy)(const void *);
const void *ENVOY_HOOK(http_filter_new)(const void *, struct envoy_filter *);
void ENVOY_HOOK(http_filter_destroy)(const void *);
enum envoy_headers_status ENVOY_HOOK(http_filter_request_headers)(struct envoy_filter *, const void *, bool);
enum envoy_body_status ENVOY_HOOK(http_filter_request_body)(struct envoy_filter *, const void *, bool);
enum envoy_trailers_status ENVOY_HOOK(http_filter_request_trailers)(struct envoy_filter *, const void *);
enum envoy_headers_status ENVOY_HOOK(http_filter_response_headers)(struct envoy_filter *, const void *, bool);
enum envoy_body_status ENVOY_HOOK(http_filter_response_body)(struct envoy_filter *, const void *, bool);
enum envoy_local_reply_status ENVOY_HOOK(http_filter_local_reply)(struct envoy_filter *, const void *, uint32_t,
                                                                  struct envoy_bytes, bool);
void ENVOY_HOOK(http_filter_stream_complete)(struct envoy_filter *, const void *);
void ENVOY_HOOK(http_filter_scheduled)(struct envoy_filter *, const void *, uint64_t);

static const void *fake_settings(const char *text)
{
    return ENVOY_HOOK(http_filter_config_new)(NULL, bytes_of(SLICE("weir")), bytes_of(slice_from_cstr(text)));
}

// Puts bytes in the place of a body, with room for what is appended, so that earlier ones don't move.
static void fake_frame(struct envoy_filter *fake, enum envoy_body body, struct slice bytes)
{
    buf_reset(&fake->bodies[body]);
    if (!buf_reserve(&fake->bodies[body], bytes.len + 4096) || !buf_append(&fake->bodies[body], bytes))
        abort();
}

// One try at a backend: the filter in the upstream position sees the placeholder.
static void fake_try(struct envoy_filter *fake, const void *upstream_settings, const char *ref)
{
    fake->ref = ref;
    const void *filter = ENVOY_HOOK(http_filter_new)(upstream_settings, fake);
    fake_frame(fake, ENVOY_RECEIVED_REQUEST_BODY, SLICE("-"));
    if (ENVOY_HOOK(http_filter_request_headers)(fake, filter, false) == ENVOY_HEADERS_CONTINUE)
        ENVOY_HOOK(http_filter_request_body)(fake, filter, true);
    ENVOY_HOOK(http_filter_destroy)(filter);
}

#endif
