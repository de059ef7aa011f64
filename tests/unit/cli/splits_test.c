// A property over all vectors: however the bytes of the request and of the answers are cut on their way, what the
// backends get, what the client gets and what is logged is the same.
#include "cli/vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SPLITS_MAX 150 // of one text; longer ones are cut at evenly spaced places

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static struct cli cli;
static size_t run_count;

static bool get_variable(void *context, struct slice name, struct slice *ret_value)
{
    const struct vector_file *file = context;
    const struct node *node = node_get(file->env, name);
    *ret_value = node_text(node);
    return node != NULL;
}

static bool same_fields(const struct fields *a, const struct fields *b)
{
    bool is_same = a->count == b->count;
    for (size_t i = 0; is_same && i < a->count; i++)
        is_same = slice_eq(a->items[i].name, b->items[i].name) && slice_eq(a->items[i].value, b->items[i].value);
    return is_same;
}

static bool same(const struct memory_result *a, const struct memory_result *b)
{
    bool is_same = a->attempt_count == b->attempt_count && a->rule == b->rule && a->end == b->end &&
                   a->response.status == b->response.status && slice_eq(a->body, b->body) &&
                   same_fields(&a->response.fields, &b->response.fields) && a->log_count == b->log_count;
    for (size_t i = 0; is_same && i < a->attempt_count; i++)
        is_same = a->attempts[i].ref == b->attempts[i].ref && slice_eq(a->attempts[i].body, b->attempts[i].body) &&
                  slice_eq(a->attempts[i].target, b->attempts[i].target) &&
                  same_fields(&a->attempts[i].fields, &b->attempts[i].fields);
    for (size_t i = 0; is_same && i < a->log_count; i++)
        is_same = slice_eq(a->log_lines[i], b->log_lines[i]);
    return is_same;
}

static struct memory_result run(struct snapshot *snapshot, const struct memory_request *request,
                                const struct memory_answer *answers, size_t count, struct arena *arena)
{
    struct memory_result result;
    run_count++;
    assert_true(memory_run(snapshot, request, answers, count, arena, &result));
    return result;
}

static void complain(const struct vector_case *one, const char *what, size_t at)
{
    fail_msg("%.*s: another result when the %s is cut at byte %zu", SLICE_ARG(one->name), what, at);
}

static size_t step_of(size_t len)
{
    return len / SPLITS_MAX + 1;
}

static void split_request(struct snapshot *snapshot, const struct vector_case *one, struct memory_request request)
{
    struct arena kept, scratch;
    size_t size = 0;
    arena_init(&kept, 64 << 10, SIZE_MAX);
    arena_init(&scratch, 64 << 10, SIZE_MAX);
    request.is_chunked = true;
    request.piece_sizes = &size;
    request.piece_count = 0;
    struct memory_result whole = run(snapshot, &request, one->answers, one->answer_count, &kept);
    request.piece_count = 1;
    for (size = 0; size < request.body.len; size += step_of(request.body.len)) {
        struct memory_result parts = run(snapshot, &request, one->answers, one->answer_count, &scratch);
        if (!same(&whole, &parts))
            complain(one, "request", size);
        arena_reset(&scratch);
    }
    arena_fini(&kept);
    arena_fini(&scratch);
}

// All answers but one as they are; that one in two pieces.
static void split_answer(struct snapshot *snapshot, const struct vector_case *one, const struct memory_request *request,
                         size_t index, const struct memory_result *whole)
{
    struct arena arena;
    struct memory_answer answers[16];
    struct slice halves[2];
    if (one->answer_count > 16 || one->answers[index].delay_ms || !one->answers[index].piece_count)
        return;
    arena_init(&arena, 64 << 10, SIZE_MAX);
    memcpy(answers, one->answers, one->answer_count * sizeof *answers);
    struct arena joined_arena;
    arena_init(&joined_arena, 64 << 10, SIZE_MAX);
    struct slice joined = arena_join(&joined_arena, answers[index].pieces, answers[index].piece_count);
    answers[index].pieces = halves;
    answers[index].piece_count = 2;
    for (size_t at = 1; at < joined.len; at += step_of(joined.len)) {
        halves[0] = slice_sub(joined, 0, at);
        halves[1] = slice_from(joined, at);
        struct memory_result parts = run(snapshot, request, answers, one->answer_count, &arena);
        if (!same(whole, &parts))
            complain(one, "answer", at);
        arena_reset(&arena);
    }
    arena_fini(&joined_arena);
    arena_fini(&arena);
}

static void split_case(struct snapshot *snapshot, const struct vector_case *one)
{
    struct memory_request request = one->request;
    const struct config *config = snapshot_config(snapshot);
    for (size_t i = 0; one->listener.len && i < config->listener_count; i++)
        if (slice_ends_with(one->listener, config->listeners[i].name))
            request.listener_id = i;
    if (request.has_body && request.body.len < (64 << 10))
        split_request(snapshot, one, request);
    struct arena arena;
    arena_init(&arena, 64 << 10, SIZE_MAX);
    struct memory_result whole = run(snapshot, &request, one->answers, one->answer_count, &arena);
    for (size_t i = 0; i < one->answer_count; i++)
        split_answer(snapshot, one, &request, i, &whole);
    arena_fini(&arena);
}

static void split_file(struct slice path)
{
    struct arena arena;
    struct findings findings;
    struct config_file source = {.path = path};
    struct vector_file file;
    arena_init(&arena, 64 << 10, SIZE_MAX);
    findings_init(&findings, &arena);
    assert_true(load_read_file(&cli, path, &arena, &source.text));
    vector_read(&cli, &source, &arena, &findings, &file);
    struct config_env env = {.get = get_variable, .context = &file};
    struct snapshot *snapshot = load_snapshot(&file.sources, &env, 1, 1, &findings);
    for (size_t i = 0; snapshot && i < file.case_count; i++)
        split_case(snapshot, &file.cases[i]);
    if (snapshot)
        snapshot_unref(snapshot);
    arena_fini(&arena);
}

static void test_no_cut_changes_anything(void **state)
{
    (void)state;
    struct arena arena;
    struct slice *paths = NULL;
    size_t count = 0;
    cli = (struct cli){.in = stdin, .out = stdout, .err = stderr, .environment = no_environment};
    arena_init(&arena, 64 << 10, SIZE_MAX);
    assert_true(load_list_folder(SLICE("tests/vectors"), &arena, &paths, &count));
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++)
        split_file(paths[i]);
    print_message("%zu requests\n", run_count);
    assert_true(run_count > 1000);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_cut_changes_anything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
