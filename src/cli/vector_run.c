// Runs the cases of one vector file.
#include "cli/vector.h"

struct running {
    struct cli *cli;
    struct slice path;
    const struct vector_file *file;
    struct snapshot *snapshot;
    bool is_verbose;
    struct vector_tally *tally;
};

static void print_case(const struct running *running, const char *word, struct mark mark, struct slice name)
{
    const char *colour = running->cli->has_colour ? (*word == 'F' ? "\033[1;31m" : "\033[32m") : "";
    fprintf(running->cli->out, "%s%s%s " SLICE_FMT ":%u: " SLICE_FMT "\n", colour, word,
            running->cli->has_colour ? "\033[0m" : "", SLICE_ARG(running->path), mark.line, SLICE_ARG(name));
}

static bool find_listener(const struct config *config, struct slice name, size_t *ret_id)
{
    *ret_id = 0;
    if (name.len == 0)
        return config->listener_count > 0;
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        struct slice rest = name;
        struct slice namespace_ = slice_split(&rest, '/');
        struct slice gateway = slice_split(&rest, '/');
        *ret_id = listener->id;
        if (slice_eq(namespace_, listener->namespace_) && slice_eq(gateway, listener->gateway) &&
            slice_eq(rest, listener->name))
            return true;
    }
    return false;
}

static void finish_case(struct running *running, const struct vector_case *one, const struct vector_diff *diff)
{
    if (diff->count == 0) {
        running->tally->passed++;
        if (running->is_verbose)
            print_case(running, "ok  ", one->mark, one->name);
        return;
    }
    running->tally->failed++;
    print_case(running, "FAIL", one->mark, one->name);
    fwrite(diff->text.ptr, 1, diff->text.len, running->cli->out);
    if (diff->count > 12)
        fprintf(running->cli->out, "    and %zu more differences\n", diff->count - 12);
}

static void run_case(struct running *running, const struct vector_case *one)
{
    struct arena arena;
    struct memory_result result;
    struct memory_request request = one->request;
    struct vector_diff diff = {0};
    arena_init(&arena, 64 << 10, (size_t)2 << 30);
    buf_init(&diff.text, 1 << 20);
    if (!find_listener(snapshot_config(running->snapshot), one->listener, &request.listener_id))
        vector_differ(&diff, SLICE("listener"), one->listener.len ? one->listener : SLICE("(the first)"),
                      SLICE("the configuration has no such listener"));
    else if (!memory_run(running->snapshot, &request, one->answers, one->answer_count, &arena, &result))
        vector_differ(&diff, SLICE("memory"), SLICE("enough"), SLICE("too little"));
    else
        vector_compare(one->expect, &result, &arena, &diff);
    finish_case(running, one, &diff);
    buf_fini(&diff.text);
    arena_fini(&arena);
}

// ---- configuration --------------------------------------------------------------------------------------------------

static bool get_variable(void *context, struct slice name, struct slice *ret_value)
{
    const struct vector_file *file = context;
    const struct node *node = node_get(file->env, name);
    *ret_value = node_text(node);
    return node != NULL;
}

static bool read_no_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context, (void)path, (void)arena, (void)ret_text;
    return false;
}

static struct slice finding_line(const struct finding *finding, struct arena *arena)
{
    static const char *const levels[] = {
        [FINDING_ERROR] = "error", [FINDING_WARNING] = "warning", [FINDING_NOTE] = "note"};
    return arena_printf(arena, SLICE_FMT ":%u:%u: %s: " SLICE_FMT, SLICE_ARG(finding->mark.file), finding->mark.line,
                        finding->mark.column, levels[finding->level], SLICE_ARG(finding->text));
}

// Every expected text stands in some finding; where findings are expected, errors are no failure by themselves.
static void compare_findings(struct running *running, struct findings *findings, struct arena *arena)
{
    struct vector_diff diff = {0};
    struct vector_case shown = {.name = SLICE("findings of the configuration"), .mark = running->file->findings->mark};
    buf_init(&diff.text, 1 << 20);
    for (const struct node *child = node_first(running->file->findings); child; child = child->next) {
        size_t i = 0;
        struct slice all = SLICE("");
        for (; i < findings->count; i++) {
            struct slice line = finding_line(&findings->items[i], arena);
            if (slice_find_slice(line, node_text(child)) != SLICE_NOT_FOUND)
                break;
            all = arena_join(arena, (struct slice[]){all, line, SLICE("\n")}, 3);
        }
        if (i == findings->count)
            vector_differ(&diff, SLICE("findings"), node_text(child), all);
    }
    finish_case(running, &shown, &diff);
    buf_fini(&diff.text);
}

static bool is_chosen(const struct vector_case *one, struct slice filter)
{
    return filter.len == 0 || slice_find_slice(one->name, filter) != SLICE_NOT_FOUND;
}

void vector_run(struct cli *cli, struct slice path, const struct vector_file *file, struct slice filter,
                bool is_verbose, struct vector_tally *tally)
{
    struct running running = {.cli = cli, .path = path, .file = file, .is_verbose = is_verbose, .tally = tally};
    struct arena arena;
    struct findings findings;
    arena_init(&arena, 64 << 10, (size_t)2 << 30);
    findings_init(&findings, &arena);
    struct config_env env = {get_variable, read_no_file, (void *)(uintptr_t)file};
    running.snapshot = load_snapshot(&file->sources, &env, 1, 1, &findings);
    if (file->findings) {
        findings_sort(&findings);
        compare_findings(&running, &findings, &arena);
    } else if (!running.snapshot) {
        findings_print(cli->out, &findings, cli->has_colour);
    }
    size_t not_run = 0;
    for (size_t i = 0; i < file->case_count; i++) {
        if (!is_chosen(&file->cases[i], filter))
            continue;
        if (running.snapshot)
            run_case(&running, &file->cases[i]);
        else
            not_run++;
    }
    tally->failed += not_run;
    if (not_run)
        fprintf(cli->out, "FAIL " SLICE_FMT ": %zu case%s can't run: the configuration has errors\n", SLICE_ARG(path),
                not_run, not_run == 1 ? "" : "s");
    if (running.snapshot)
        snapshot_unref(running.snapshot);
    arena_fini(&arena);
}
