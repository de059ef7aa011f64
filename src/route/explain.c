// `weir explain`: every entry of the table with what it was by or why it lost, in plain words.
#include "route/table.h"

// Conditions may name credentials, or be told by the environment; those values are never shown (S10).
static struct slice shown(const struct route_cond *cond, struct slice value)
{
    return cond->is_hidden || http_is_credential(cond->name) ? SLICE("(hidden)") : value;
}

static const char *cond_kind(const struct route_cond *cond)
{
    return cond->source == COND_QUERY ? "query parameter" : "header";
}

static struct slice why_cond(const struct verdict *verdict, struct arena *arena)
{
    const struct route_cond *cond = verdict->cond;
    struct slice wanted = shown(cond, cond->value);
    struct slice actual = shown(cond, verdict->actual);
    if (!verdict->actual.ptr)
        return arena_printf(arena, "the request has no %s " SLICE_FMT, cond_kind(cond), SLICE_ARG(cond->name));
    return arena_printf(arena, "%s " SLICE_FMT " is \"" SLICE_FMT "\", which %s \"" SLICE_FMT "\"", cond_kind(cond),
                        SLICE_ARG(cond->name), SLICE_ARG(actual),
                        cond->regex ? "does not match the regular expression" : "is not", SLICE_ARG(wanted));
}

static struct slice why_path(const struct route_entry *entry, struct slice path, struct arena *arena)
{
    const char *relation = entry->path_type == MATCH_EXACT    ? "is not"
                           : entry->path_type == MATCH_PREFIX ? "is not at or below"
                                                              : "does not match the regular expression";
    return arena_printf(arena, "path " SLICE_FMT " %s " SLICE_FMT, SLICE_ARG(path), relation,
                        SLICE_ARG(entry->match->path.text));
}

static struct slice why_missed(const struct route_table *table, const struct route_entry *entry,
                               const struct verdict *verdict, struct arena *arena)
{
    struct slice hostname = entry->hostname.len ? entry->hostname : table->listener->hostname;
    switch (verdict->miss) {
    case MISS_HOST:
        return arena_printf(arena, "host \"" SLICE_FMT "\" is not " SLICE_FMT, SLICE_ARG(verdict->actual),
                            SLICE_ARG(hostname));
    case MISS_KIND:
        return SLICE("an AI route, and the path is no model endpoint");
    case MISS_PIN:
        return arena_printf(arena,
                            "the request is pinned to backend \"" SLICE_FMT
                            "\", and this match names a model but no x-ai-eg-backend (S3)",
                            SLICE_ARG(verdict->actual));
    case MISS_PATH:
        return why_path(entry, verdict->actual, arena);
    case MISS_METHOD:
        return arena_printf(arena, "method " SLICE_FMT " is not " SLICE_FMT, SLICE_ARG(verdict->actual),
                            SLICE_ARG(entry->method));
    case MISS_HEADER:
    case MISS_QUERY:
        return why_cond(verdict, arena);
    case MISS_NONE:
        break;
    }
    return SLICE("");
}

static bool add_conds(struct arena *arena, struct slice *text, const struct route_cond *conds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        *text = arena_printf(arena, SLICE_FMT ", %s " SLICE_FMT " %s \"" SLICE_FMT "\"", SLICE_ARG(*text),
                             cond_kind(&conds[i]), SLICE_ARG(conds[i].name), conds[i].regex ? "~" : "=",
                             SLICE_ARG(shown(&conds[i], conds[i].value)));
    return text->ptr;
}

static const char *path_kind(const struct config_match *match)
{
    return match->path_type == MATCH_EXACT ? "path" : match->path_type == MATCH_PREFIX ? "path prefix" : "path ~";
}

// What the match is by: "host *, path prefix /, header x-ai-eg-model = "m"".
static struct slice describe(const struct route_entry *entry, struct arena *arena)
{
    struct slice hostname = entry->hostname.len ? entry->hostname : SLICE("*");
    struct slice text = arena_printf(arena, "host " SLICE_FMT ", %s " SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(hostname),
                                     path_kind(entry->match), SLICE_ARG(entry->match->path.text),
                                     entry->method.len ? ", method " : "", SLICE_ARG(entry->method));
    add_conds(arena, &text, entry->headers, entry->header_count);
    add_conds(arena, &text, entry->query, entry->query_count);
    return text;
}

static struct slice why_beaten(const struct route_entry *loser, const struct route_entry *winner, struct arena *arena)
{
    enum order_step step;
    entry_compare(winner, loser, &step);
    struct slice because = order_step_text(step);
    return arena_printf(arena, "applies, but " SLICE_FMT "/" SLICE_FMT " rule %zu match %zu wins: " SLICE_FMT " (S4)",
                        SLICE_ARG(winner->route->namespace_), SLICE_ARG(winner->route->name), winner->rule->index,
                        winner->match_index, SLICE_ARG(because));
}

size_t route_explain(const struct route_table *table, const struct route_request *request, struct arena *arena,
                     struct route_trace_line **ret_lines)
{
    struct route_trace_line *lines = ARENA_ARRAY(arena, struct route_trace_line, table->count);
    const struct route_entry *winner = NULL;
    *ret_lines = lines;
    if (!lines)
        return 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct route_entry *entry = &table->entries[i];
        struct verdict verdict = entry_check(table, entry, request, arena);
        bool applies = verdict.miss == MISS_NONE;
        if (applies && !winner)
            winner = entry;
        lines[i] = (struct route_trace_line){
            .route = entry->route,
            .rule = entry->rule,
            .match_index = entry->match_index,
            .hostname = entry->hostname.len ? entry->hostname : SLICE("*"),
            .is_match = applies,
            .is_winner = entry == winner,
            .why = !applies          ? why_missed(table, entry, &verdict, arena)
                   : entry == winner ? describe(entry, arena)
                                     : why_beaten(entry, winner, arena),
        };
    }
    return table->count;
}
