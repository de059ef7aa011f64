#include "host/envoy/lines.h"

#include "exchange/snapshot.h"
#include "host/envoy/access_log.h"
#include "host/envoy/metadata.h"
#include "observe/accesslog.h"

#define LINE_BYTES_USUAL ((size_t)2 << 10)
#define LINE_BYTES_MAX ((size_t)1 << 20)
#define FLAGS_BYTES_MAX 128

// ---- what Envoy knows better ----------------------------------------------------------------------------------

// Envoy's response flags by the place of their bit.
static const struct slice flag_letters[] = {
    SLICE_INIT("LH"),   SLICE_INIT("UH"),   SLICE_INIT("UT"),   SLICE_INIT("LR"),   SLICE_INIT("UR"),
    SLICE_INIT("UF"),   SLICE_INIT("UC"),   SLICE_INIT("UO"),   SLICE_INIT("NR"),   SLICE_INIT("DI"),
    SLICE_INIT("FI"),   SLICE_INIT("RL"),   SLICE_INIT("UAEX"), SLICE_INIT("RLSE"), SLICE_INIT("DC"),
    SLICE_INIT("URX"),  SLICE_INIT("SI"),   SLICE_INIT("IH"),   SLICE_INIT("DPE"),  SLICE_INIT("UMSDR"),
    SLICE_INIT("RFCF"), SLICE_INIT("NFCF"), SLICE_INIT("DT"),   SLICE_INIT("UPE"),  SLICE_INIT("NC"),
    SLICE_INIT("OM"),   SLICE_INIT("DF"),   SLICE_INIT("DO"),   SLICE_INIT("DR"),   SLICE_INIT("UDO"),
};

static struct slice flags_of(const struct stream *stream, struct buf *text)
{
    uint64_t bits = 0;
    ENVOY_CALL(http_filter_get_attribute_int)(stream->filter, ENVOY_ATTRIBUTE_RESPONSE_FLAGS, &bits);
    for (size_t i = 0; i < sizeof flag_letters / sizeof flag_letters[0]; i++)
        if (bits >> i & 1) {
            if (text->len)
                buf_append_byte(text, ',');
            buf_append(text, flag_letters[i]);
        }
    return text->len ? buf_slice(text) : SLICE("-");
}

static struct slice attribute(const struct stream *stream, enum envoy_attribute which, struct slice otherwise)
{
    struct slice value = attribute_text(stream->filter, which);
    return value.len ? value : otherwise;
}

// Only an answer that came from an upstream at the first try and went out whole has nothing more to tell.
static bool is_told_whole(const struct stream *stream, const struct record *record)
{
    return stream->is_answer_over && !stream->has_local_reply && !stream->is_cut && record->attempts <= 1;
}

// What Weir refused or cut itself Envoy has no letters for; all else it flags better than we could.
static void correct(const struct stream *stream, struct record *record, struct buf *flags)
{
    bool is_own = stream->is_replying || stream->is_cut || stream_is_left(stream);
    if (!is_own || slice_eq(record->flags, SLICE("-")))
        record->flags = flags_of(stream, flags);
    // Envoy does not know why we cut an answer, and calls a stream that its client has reset a served one.
    bool is_known = !stream->is_cut && !stream_is_left(stream);
    if (is_known || stream->has_local_reply)
        record->details = attribute(stream, ENVOY_ATTRIBUTE_RESPONSE_CODE_DETAILS, record->details);
    uint64_t status;
    if (stream->is_guarded &&
        ENVOY_CALL(http_filter_get_attribute_int)(stream->filter, ENVOY_ATTRIBUTE_RESPONSE_CODE, &status))
        record->status = (uint16_t)status;
    record->termination_details = attribute(stream, ENVOY_ATTRIBUTE_TERMINATION_DETAILS, record->termination_details);
    record->transport_failure =
        attribute(stream, ENVOY_ATTRIBUTE_UPSTREAM_TRANSPORT_FAILURE, record->transport_failure);
}

// ---- lines ----------------------------------------------------------------------------------------------------

// Most lines fit the hook's own memory, `usual`. One that is too long or has no memory is empty: it is written nowhere.
static struct slice line_of(const struct accesslog *log, const struct record *record, struct buf *usual,
                            struct buf *large)
{
    if (!accesslog_wants(log, record))
        return SLICE("");
    buf_reset(usual);
    if (accesslog_write(log, record, usual))
        return buf_slice(usual);
    buf_reset(large);
    return accesslog_write(log, record, large) ? buf_slice(large) : SLICE("");
}

static void write_lines(const struct stream *stream, struct arena *scratch, const struct record *record)
{
    const struct snapshot *snapshot = exchange_snapshot(stream->exchange);
    size_t listener = exchange_listener(stream->exchange)->id;
    size_t count = snapshot_log_count(snapshot, listener);
    uint32_t worker = ENVOY_CALL(http_filter_get_worker_index)(stream->filter);
    struct buf large, usual = {.ptr = arena_alloc(scratch, LINE_BYTES_USUAL)};
    usual.cap = usual.max = usual.ptr ? LINE_BYTES_USUAL : 0;
    buf_init(&large, LINE_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        access_log_write(worker, snapshot_log_path(snapshot, listener, i),
                         line_of(snapshot_log(snapshot, listener, i), record, &usual, &large));
    buf_fini(&large);
}

static void say(const struct stream *stream, bool has_lines)
{
    metadata_put_number(stream->filter, SLICE(WEIR_METADATA), SLICE(WEIR_METADATA_LINE), has_lines);
}

void lines_put(const struct stream *stream, struct arena *scratch, struct record *record)
{
    char letters[FLAGS_BYTES_MAX];
    struct buf flags = {.ptr = letters, .cap = sizeof letters, .max = sizeof letters};
    bool is_plain = is_told_whole(stream, record);
    if (!is_plain)
        correct(stream, record, &flags);
    if (!is_plain || record->status != 200)
        say(stream, true);
    write_lines(stream, scratch, record);
}

void lines_leave_to_envoy(const struct stream *stream)
{
    say(stream, false);
}
