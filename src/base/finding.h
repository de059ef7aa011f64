// What a check of the configuration found, and where. Used while a configuration is loaded and compiled (S10).
#ifndef WEIR_BASE_FINDING_H
#define WEIR_BASE_FINDING_H

#include "base/arena.h"

// A place in a configuration file. Lines and columns count from 1; 0 means unknown. `file` is borrowed.
struct mark {
    struct slice file;
    uint32_t line;
    uint32_t column;
};

enum finding_level { FINDING_ERROR, FINDING_WARNING, FINDING_NOTE };

struct finding {
    enum finding_level level;
    struct mark mark;
    struct slice text; // what, why, and what to do; never a secret
};

struct findings {
    struct arena *arena;
    struct finding *items;
    size_t count;
    size_t cap;
    size_t error_count;
};

void findings_init(struct findings *findings, struct arena *arena);
// Adds one; the text is formatted into the arena.
void finding_error(struct findings *findings, struct mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void finding_warn(struct findings *findings, struct mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void finding_note(struct findings *findings, struct mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Whether the same text was told of the same place: what is compiled more than once is told once.
bool findings_know(const struct findings *findings, struct mark mark, struct slice text);
// Copies the file names of the findings from index `from` on into the findings' own arena, so that they outlive what
// they are about.
void findings_keep_files(struct findings *findings, size_t from);
// Orders by file, line, column; stable.
void findings_sort(struct findings *findings);

#endif
