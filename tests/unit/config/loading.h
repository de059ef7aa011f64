// Loads YAML snippets and looks at what came out: one `struct loading` for each snippet.
#ifndef TESTS_UNIT_CONFIG_LOADING_H
#define TESTS_UNIT_CONFIG_LOADING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "config/resource.h"

struct loading {
    struct arena arena;
    struct arena finding_arena;
    struct findings findings;
    struct documents documents;
};

// The environment of all tests: A=alpha, PORT=8080, EMPTY="", TOKEN=sk-secret-1, HOME=/home/u.
static inline bool loading_getenv(void *context, struct slice name, struct slice *ret_value)
{
    static const char *const variables[][2] = {
        {"A", "alpha"}, {"PORT", "8080"}, {"EMPTY", ""}, {"TOKEN", "sk-secret-1"}, {"HOME", "/home/u"}};
    (void)context;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        if (slice_eq(name, slice_from_cstr(variables[i][0]))) {
            *ret_value = slice_from_cstr(variables[i][1]);
            return true;
        }
    }
    return false;
}

// One file: /home/u/key, "from-file" and a newline.
static inline bool loading_read_file(void *context, struct slice path, struct arena *arena, struct slice *ret_text)
{
    (void)context;
    if (!slice_eq(path, SLICE("/home/u/key")))
        return false;
    *ret_text = arena_dup(arena, SLICE("from-file\n"));
    return true;
}

static const struct config_env loading_env = {loading_getenv, loading_read_file, NULL};

static inline void loading_init(struct loading *loading, const char *yaml)
{
    struct config_file file = {SLICE("test.yaml"), slice_from_cstr(yaml)};
    arena_init(&loading->arena, 4096, (size_t)64 << 20);
    arena_init(&loading->finding_arena, 4096, (size_t)64 << 20);
    findings_init(&loading->findings, &loading->finding_arena);
    assert_true(documents_load(&loading->documents, &loading->arena, &file, 1, &loading_env, &loading->findings));
    findings_sort(&loading->findings);
}

static inline void loading_fini(struct loading *loading)
{
    arena_fini(&loading->arena);
    arena_fini(&loading->finding_arena);
}

static inline void loading_print(const struct loading *loading)
{
    for (size_t i = 0; i < loading->findings.count; i++) {
        const struct finding *at = &loading->findings.items[i];
        print_message("  %u:%u: %d " SLICE_FMT "\n", at->mark.line, at->mark.column, (int)at->level,
                      SLICE_ARG(at->text));
    }
}

// The first finding whose text has these words; NULL when there is none.
static inline const struct finding *loading_find(const struct loading *loading, const char *words)
{
    for (size_t i = 0; i < loading->findings.count; i++)
        if (slice_find_slice(loading->findings.items[i].text, slice_from_cstr(words)) != SLICE_NOT_FOUND)
            return &loading->findings.items[i];
    return NULL;
}

// A snippet and the error that it must give; NULL: it must load without one.
struct loading_case {
    const char *yaml;
    const char *words;
};

static inline void loading_check(const struct loading_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct loading loading;
        loading_init(&loading, cases[i].yaml);
        const struct finding *found = cases[i].words ? loading_find(&loading, cases[i].words) : NULL;
        bool is_good = cases[i].words ? found && found->level == FINDING_ERROR && found->mark.line > 0
                                      : loading.findings.error_count == 0;
        if (!is_good) {
            print_message("case %zu, wanted %s of:\n%s\n", i, cases[i].words ? cases[i].words : "no error",
                          cases[i].yaml);
            loading_print(&loading);
        }
        assert_true(is_good);
        loading_fini(&loading);
    }
}

#define LOADING_CHECK(cases) loading_check(cases, sizeof(cases) / sizeof *(cases))

#endif
