// Private to the room: the tokens of CEL.
#ifndef WEIR_USAGE_CEL_LEX_H
#define WEIR_USAGE_CEL_LEX_H

#include "usage/cel.h"

enum cel_token_kind {
    CEL_TOKEN_END,
    CEL_TOKEN_NAME,
    CEL_TOKEN_VALUE,  // a literal number or string
    CEL_TOKEN_SYMBOL, // an operator or a bracket
    CEL_TOKEN_BAD,    // the fault is noted
};

struct cel_token {
    enum cel_token_kind kind;
    size_t at;
    struct slice text; // as spelt
    struct cel_value value;
    // The literal is 2^63 without u: fine behind a minus only.
    bool is_beyond_int;
};

// The token at or behind *at, which is moved behind it.
struct cel_token cel_lex(struct cel_compile *compile, size_t *at);

#endif
