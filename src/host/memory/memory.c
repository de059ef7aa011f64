// Plays client, network and clock for one exchange.
#include "host/memory/memory.h"

#include "observe/accesslog.h"

#define STEPS_MAX 256 // attempts and waits of one request, far above any configured number
#define BODY_MAX ((size_t)512 << 20)

struct run {
    struct snapshot *snapshot;
    struct arena *arena;
    const struct memory_request *request;
    const struct memory_answer *answers;
    size_t answer_count;
    struct memory_result *result;
    struct exchange *exchange;
    struct buf body; // to the client
    size_t attempt_cap;
    size_t piece_cap;
    int64_t now_us;
    uint8_t *is_down;
    struct backend_health health;
    bool out_of_memory;
};

static const int64_t start_us = 1000000;
static const int64_t start_unix_us = 1767225600000000; // 2026-01-01T00:00:00Z

static const struct memory_answer default_answer = {
    .head = {.status = 200, .version = HTTP_1_1},
    .pieces = (const struct slice[]){SLICE_INIT("{}")},
    .piece_count = 1,
    .has_length = true,
};

// ---- keeping what came ----------------------------------------------------------------------------------------------

static struct slice keep(struct run *run, struct slice bytes)
{
    struct slice copy = arena_dup(run->arena, bytes);
    run->out_of_memory |= copy.ptr == NULL;
    return copy;
}

static struct fields keep_fields(struct run *run, const struct fields *fields)
{
    struct fields copy = {.items = ARENA_ARRAY(run->arena, struct field, fields->count + 1)};
    if (!copy.items) {
        run->out_of_memory = true;
        return copy;
    }
    copy.cap = fields->count + 1;
    for (size_t i = 0; i < fields->count; i++)
        copy.items[copy.count++] = (struct field){keep(run, fields->items[i].name), keep(run, fields->items[i].value)};
    return copy;
}

static struct response_head keep_head(struct run *run, const struct response_head *head)
{
    return (struct response_head){head->status, keep(run, head->reason), head->version,
                                  keep_fields(run, &head->fields)};
}

// One call's pieces are one piece to the client.
static void keep_piece(struct run *run, const struct slice *pieces, size_t count)
{
    struct memory_result *result = run->result;
    struct slice joined = arena_join(run->arena, pieces, count);
    if (joined.len == 0)
        return;
    struct {
        struct slice *items;
        size_t count, cap;
    } list = {result->pieces, result->piece_count, run->piece_cap};
    if (!ARENA_GROW(run->arena, &list) || !buf_append(&run->body, joined)) {
        run->out_of_memory = true;
        return;
    }
    list.items[list.count++] = joined;
    result->pieces = list.items;
    result->piece_count = list.count;
    run->piece_cap = list.cap;
}

static struct memory_attempt *add_attempt(struct run *run)
{
    struct memory_result *result = run->result;
    struct {
        struct memory_attempt *items;
        size_t count, cap;
    } list = {result->attempts, result->attempt_count, run->attempt_cap};
    if (!ARENA_GROW(run->arena, &list)) {
        run->out_of_memory = true;
        return NULL;
    }
    result->attempts = list.items;
    result->attempt_count = list.count + 1;
    run->attempt_cap = list.cap;
    return &result->attempts[list.count];
}

static void take_reply(struct run *run)
{
    const struct exchange_reply *reply = exchange_reply(run->exchange);
    run->result->response = keep_head(run, &reply->head);
    run->result->is_local = true;
    if (!slice_eq(run->request->head.method, SLICE("HEAD")))
        keep_piece(run, &reply->body, 1);
}

// ---- one attempt ----------------------------------------------------------------------------------------------------

enum next { NEXT_BACKEND, NEXT_DONE };

static enum next follow(struct run *run, const struct attempt_verdict *verdict)
{
    switch (verdict->kind) {
    case ATTEMPT_RETRY:
        return NEXT_BACKEND; // what it asks for by retry-after, the exchange knows for this request
    case ATTEMPT_REPLY:
        take_reply(run);
        return NEXT_DONE;
    case ATTEMPT_CUT:
        keep_piece(run, verdict->pieces, verdict->piece_count);
        run->result->end = MEMORY_END_CUT;
        return NEXT_DONE;
    case ATTEMPT_PASS:
    case ATTEMPT_DONE:
        break;
    }
    return NEXT_DONE;
}

static enum next fail(struct run *run, struct attempt *attempt, struct memory_attempt *seen, enum error_code why)
{
    static const struct slice reason = SLICE_INIT("scripted fault");
    seen->failure = why;
    struct attempt_verdict verdict = attempt_failed(attempt, why, reason, run->now_us);
    return follow(run, &verdict);
}

// Nothing comes any more: time runs on to the next limit.
static enum next stall(struct run *run, struct attempt *attempt, struct memory_attempt *seen)
{
    enum error_code why = ERROR_NONE;
    int64_t deadline_us = exchange_deadline_us(run->exchange, &why);
    if (deadline_us == INT64_MAX) {
        run->result->end = MEMORY_END_STUCK;
        return NEXT_DONE;
    }
    if (deadline_us > run->now_us)
        run->now_us = deadline_us;
    return fail(run, attempt, seen, why);
}

// Lets time pass before something arrives. False when a limit ran out first; *ret_next says how it went on.
static bool pass_time(struct run *run, struct attempt *attempt, struct memory_attempt *seen,
                      const struct memory_answer *answer, enum next *ret_next)
{
    enum error_code why = ERROR_NONE;
    int64_t arrives_us = run->now_us + answer->delay_ms * 1000;
    if (answer->delay_ms > 0 && exchange_deadline_us(run->exchange, &why) < arrives_us) {
        *ret_next = stall(run, attempt, seen);
        return false;
    }
    run->now_us = arrives_us;
    return true;
}

static int64_t body_length(const struct memory_answer *answer)
{
    int64_t length = 0;
    for (size_t i = 0; i < answer->piece_count; i++)
        length += (int64_t)answer->pieces[i].len;
    if (answer->fault == MEMORY_FAULT_CUT)
        length += 1000; // what the head promises never comes
    return answer->has_length ? length : -1;
}

static bool may_have_body(const struct run *run, const struct memory_answer *answer)
{
    return !slice_eq(run->request->head.method, SLICE("HEAD")) && answer->head.status != 204 &&
           answer->head.status != 304 && body_length(answer) != 0;
}

static enum next play_body(struct run *run, struct attempt *attempt, struct memory_attempt *seen,
                           const struct memory_answer *answer)
{
    bool has_end = answer->fault == MEMORY_FAULT_NONE;
    for (size_t i = 0; i < answer->piece_count || (i == 0 && has_end); i++) {
        enum next next = NEXT_DONE;
        if (i > 0 && !pass_time(run, attempt, seen, answer, &next))
            return next;
        bool is_end = has_end && i + 1 >= answer->piece_count;
        struct slice piece = i < answer->piece_count ? answer->pieces[i] : SLICE("");
        struct attempt_verdict verdict = attempt_response_body(attempt, piece, is_end, run->now_us);
        if (verdict.kind != ATTEMPT_PASS && verdict.kind != ATTEMPT_DONE)
            return follow(run, &verdict);
        keep_piece(run, verdict.pieces, verdict.piece_count);
        if (verdict.kind == ATTEMPT_DONE)
            return NEXT_DONE;
    }
    if (has_end)
        return NEXT_DONE;
    return answer->fault == MEMORY_FAULT_STALL ? stall(run, attempt, seen)
                                               : fail(run, attempt, seen, ERROR_UPSTREAM_RESET);
}

static enum next play_answer(struct run *run, struct attempt *attempt, struct memory_attempt *seen,
                             const struct memory_answer *answer)
{
    enum next next = NEXT_DONE;
    if (answer->fault == MEMORY_FAULT_REFUSE)
        return fail(run, attempt, seen, ERROR_UPSTREAM_CONNECT);
    attempt_connected(attempt, SLICE("192.0.2.1:443"), SLICE("192.0.2.2:50000"), HTTP_1_1);
    if (answer->fault == MEMORY_FAULT_RESET)
        return fail(run, attempt, seen, ERROR_UPSTREAM_RESET);
    if (answer->fault == MEMORY_FAULT_STALL && (answer->has_length || answer->piece_count == 0))
        return stall(run, attempt, seen);
    if (!pass_time(run, attempt, seen, answer, &next))
        return next;
    bool has_body = may_have_body(run, answer);
    seen->status = answer->head.status;
    struct attempt_verdict verdict =
        attempt_response_head(attempt, &answer->head, has_body, body_length(answer), run->now_us);
    if (verdict.kind != ATTEMPT_PASS && verdict.kind != ATTEMPT_DONE)
        return follow(run, &verdict);
    run->result->response = keep_head(run, verdict.head);
    if (!has_body || verdict.kind == ATTEMPT_DONE)
        return NEXT_DONE;
    return play_body(run, attempt, seen, answer);
}

static const struct memory_answer *next_answer(const struct run *run)
{
    size_t at = run->result->attempt_count - 1;
    return at < run->answer_count ? &run->answers[at] : &default_answer;
}

static enum next play_attempt(struct run *run, const struct exchange_choice *choice)
{
    struct attempt *attempt = attempt_begin(run->exchange, choice->ref, run->now_us);
    if (!attempt) {
        take_reply(run);
        return NEXT_DONE;
    }
    struct memory_attempt *seen = add_attempt(run);
    if (!seen)
        return NEXT_DONE;
    const struct attempt_request *sent = attempt_request(attempt);
    bool is_held = exchange_body_mode(run->exchange) == BODY_HELD;
    *seen = (struct memory_attempt){
        .ref = choice->ref,
        .method = keep(run, sent->method),
        .target = keep(run, sent->target),
        .authority = keep(run, sent->authority),
        .fields = keep_fields(run, &sent->fields),
        .body = is_held ? arena_join(run->arena, sent->body, sent->body_count) : keep(run, run->request->body),
        .at_ms = (run->now_us - start_us) / 1000,
        .is_retry = choice->is_retry,
    };
    return play_answer(run, attempt, seen, next_answer(run));
}

// ---- the request ----------------------------------------------------------------------------------------------------

static enum exchange_want give_body(struct run *run)
{
    struct slice rest = run->request->body;
    for (size_t i = 0; i < run->request->piece_count && run->request->piece_sizes[i] < rest.len; i++) {
        enum exchange_want want = exchange_body(run->exchange, slice_sub(rest, 0, run->request->piece_sizes[i]), false);
        if (want != EXCHANGE_WANT_BODY)
            return want;
        rest = slice_from(rest, run->request->piece_sizes[i]);
    }
    return exchange_body(run->exchange, rest, true);
}

static void serve(struct run *run, enum exchange_want want)
{
    if (want == EXCHANGE_WANT_BODY)
        want = give_body(run);
    if (want == EXCHANGE_WANT_REPLY) {
        take_reply(run);
        return;
    }
    for (int step = 0; step < STEPS_MAX && want == EXCHANGE_WANT_BACKEND && !run->out_of_memory; step++) {
        struct exchange_choice choice = exchange_next_backend(run->exchange, run->now_us, &run->health);
        if (choice.kind == CHOICE_REPLY) {
            take_reply(run);
            return;
        }
        if (choice.kind == CHOICE_WAIT && choice.at_us > run->now_us)
            run->now_us = choice.at_us;
        if (choice.kind == CHOICE_BACKEND && play_attempt(run, &choice) == NEXT_DONE)
            return;
    }
    run->result->end = MEMORY_END_STUCK;
}

static void write_logs(struct run *run, const struct record *record)
{
    size_t listener = run->request->listener_id;
    size_t count = snapshot_log_count(run->snapshot, listener);
    run->result->log_lines = ARENA_ARRAY(run->arena, struct slice, count + 1);
    if (!run->result->log_lines)
        return;
    run->result->log_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct accesslog *log = snapshot_log(run->snapshot, listener, i);
        struct buf line;
        buf_init(&line, 1 << 20);
        if (accesslog_wants(log, record) && accesslog_write(log, record, &line))
            run->result->log_lines[i] = keep(run, buf_slice(&line));
        buf_fini(&line);
    }
}

static const struct config_route *route_of(const struct config *config, const struct config_rule *rule)
{
    for (size_t i = 0; rule && i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (rule >= route->rules && rule < route->rules + route->rule_count)
            return route;
    }
    return NULL;
}

static void finish(struct run *run)
{
    struct memory_result *result = run->result;
    result->body = keep(run, buf_slice(&run->body));
    result->rule = exchange_rule(run->exchange);
    result->route = route_of(snapshot_config(run->snapshot), result->rule);
    result->took_ms = (run->now_us - start_us) / 1000;
    result->step = keep(run, exchange_step_name(run->exchange));
    enum exchange_end how = result->end == MEMORY_END_COMPLETE ? END_COMPLETE : END_CUT;
    struct record record;
    exchange_close(run->exchange, how, run->now_us, run->request->body.len, result->body.len, &record);
    const struct fields *lifted = exchange_fields(run->exchange);
    if (lifted)
        result->lifted = keep_fields(run, lifted);
    write_logs(run, &record);
    exchange_free(run->exchange);
}

bool memory_run(struct snapshot *snapshot, const struct memory_request *request, const struct memory_answer *answers,
                size_t answer_count, struct arena *arena, struct memory_result *ret_result)
{
    size_t backends = snapshot_config(snapshot)->backend_count;
    *ret_result = (struct memory_result){0};
    struct run run = {
        .snapshot = snapshot,
        .arena = arena,
        .request = request,
        .answers = answers,
        .answer_count = answer_count,
        .result = ret_result,
        .now_us = start_us,
        .is_down = ARENA_ARRAY(arena, uint8_t, backends + 1),
    };
    if (!run.is_down)
        return false;
    run.health = (struct backend_health){.is_down = run.is_down, .count = backends};
    const struct exchange_client client = {
        .remote_address = SLICE("192.0.2.9:40000"),
        .local_address = SLICE("192.0.2.8:80"),
        .now_us = run.now_us,
        .unix_us = start_unix_us,
        .random = request->random,
        .random2 = request->random ^ 0x9e3779b97f4a7c15U,
    };
    int64_t length = !request->has_body ? 0 : request->is_chunked ? -1 : (int64_t)request->body.len;
    enum exchange_want want = EXCHANGE_WANT_REPLY;
    buf_init(&run.body, BODY_MAX);
    run.exchange = exchange_open(snapshot, request->listener_id, &client, &request->head, length, &want);
    if (run.exchange) {
        serve(&run, want);
        finish(&run);
    }
    buf_fini(&run.body);
    return run.exchange && !run.out_of_memory;
}
