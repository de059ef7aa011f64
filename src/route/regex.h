// Regular expressions of route matches: PCRE2 with JIT, whole value (S4), bounded work. A compiled expression is
// immutable and shared between threads; what a match needs besides comes from the caller's arena.
#ifndef WEIR_ROUTE_REGEX_H
#define WEIR_ROUTE_REGEX_H

#include "base/arena.h"

struct regex;

// NULL when the pattern is bad (then *ret_why says it, in `arena`) or memory was refused (then *ret_why is empty).
// regex_free releases what PCRE2 holds outside of the arena; it takes NULL.
struct regex *regex_new(struct arena *arena, struct slice pattern, struct slice *ret_why);
void regex_free(struct regex *regex);

// Whether the expression describes the whole of `text`. Work past the limits counts as no match: a value that is made to
// cost time never opens a route.
bool regex_matches(const struct regex *regex, struct slice text, struct arena *scratch);

#endif
