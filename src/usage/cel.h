// Private to the room: the part of CEL (github.com/google/cel-spec) that costs and access-log filters use. An expression
// is read, type-checked as cel-go would, and kept as a tree of bounded depth; evaluation takes no memory but a scratch
// area of its own.
#ifndef WEIR_USAGE_CEL_H
#define WEIR_USAGE_CEL_H

#include "base/finding.h"
#include "config/model.h"

#define CEL_TEXT_BYTES_MAX 4096
#define CEL_DEPTH_MAX 100
#define CEL_ARGS_MAX 3
#define CEL_SCRATCH_BYTES 2048

enum cel_type {
    CEL_NONE, // element of the empty list
    CEL_BOOL,
    CEL_INT,
    CEL_UINT,
    CEL_DOUBLE,
    CEL_STRING,
    CEL_LIST, // only on the right of `in` and in size()
    CEL_MAP,  // from strings to strings, looked up by a callback
};

struct cel_value {
    enum cel_type type;
    union {
        bool boolean;
        int64_t number;
        uint64_t natural;
        double real;
        struct slice text;
    };
};

enum cel_op {
    CEL_OP_CONST,
    CEL_OP_NAME,     // identifier; resolved to CEL_OP_VARIABLE
    CEL_OP_SELECT,   // args[0].name; resolved to a variable or an index
    CEL_OP_VARIABLE, // `variable`
    CEL_OP_INDEX,    // args[0][args[1]]
    CEL_OP_HAS,      // has(args[0][args[1]])
    CEL_OP_CALL,     // `name` and args; resolved to `function`
    CEL_OP_LIST,     // first_item and its `next`s
    CEL_OP_NOT,
    CEL_OP_NEGATE,
    CEL_OP_AND,
    CEL_OP_OR,
    CEL_OP_CHOOSE, // args[0] ? args[1] : args[2]
    CEL_OP_EQUAL,
    CEL_OP_NOT_EQUAL,
    CEL_OP_LESS,
    CEL_OP_LESS_EQUAL,
    CEL_OP_GREATER,
    CEL_OP_GREATER_EQUAL,
    CEL_OP_IN,
    CEL_OP_ADD,
    CEL_OP_SUBTRACT,
    CEL_OP_MULTIPLY,
    CEL_OP_DIVIDE,
    CEL_OP_REMAINDER,
};

struct cel_function;
struct cel_regex;

struct cel_node { // in the snapshot's arena
    enum cel_op op;
    enum cel_type type;    // set by the check
    enum cel_type element; // of a list
    size_t at;             // offset in the expression
    unsigned depth;
    struct cel_value value; // CEL_OP_CONST
    struct slice name;      // CEL_OP_NAME, _SELECT, _CALL
    bool is_member_call;    // a.f(b): args[0] is a
    size_t arg_count;
    struct cel_node *args[CEL_ARGS_MAX];
    struct cel_node *first_item;
    size_t item_count;
    struct cel_node *next; // in a list
    size_t variable;
    const struct cel_function *function;
    const struct cel_regex *regex; // of matches()
};

// What expressions of one kind may read.
struct cel_variable {
    struct slice name; // dotted
    enum cel_type type;
};

struct cel_env {
    const struct cel_variable *variables;
    size_t count;
};

// An evaluation. The callbacks give what the environment declares; a variable's type must be the declared one.
struct cel_run {
    const void *context;
    void (*read)(const void *context, size_t variable, struct cel_value *ret_value);
    bool (*look_up)(const void *context, size_t variable, struct slice key, struct slice *ret_value);
    struct slice why; // set when the evaluation failed
    size_t scratch_used;
    char scratch[CEL_SCRATCH_BYTES];
};

// A compilation under way; the first fault ends it.
struct cel_compile {
    struct arena *arena;
    struct findings *findings;
    const struct cel_env *env;
    const struct config_text *source;
    bool has_failed;
};

// Reads, checks and resolves. NULL with a finding otherwise.
const struct cel_node *cel_compile(struct arena *arena, const struct cel_env *env, const struct config_text *source,
                                   struct findings *findings);
// False with run->why when it fails at run time.
bool cel_eval(struct cel_run *run, const struct cel_node *node, struct cel_value *ret_value);

// ---- between the parts of the compiler ------------------------------------------------------------------------

struct cel_node *cel_parse(struct cel_compile *compile);
bool cel_check(struct cel_compile *compile, struct cel_node *node);
// Adds a finding whose mark is the byte `at` of the expression.
void cel_fault(struct cel_compile *compile, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));
struct slice cel_type_name(enum cel_type type);
// "+" and so on; empty when the op is no operator.
struct slice cel_op_text(enum cel_op op);

// The overload for these arguments. NULL when there is none; *ret_is_known: the name exists at least.
const struct cel_function *cel_function_find(const struct cel_node *call, bool *ret_is_known);
enum cel_type cel_function_result(const struct cel_function *function);
bool cel_function_takes_regex(const struct cel_function *function);
bool cel_function_call(const struct cel_function *function, struct cel_run *run, const struct cel_node *node,
                       const struct cel_value *args, struct cel_value *ret_value);
// Ready to evaluate; the scratch area is left as it is.
static inline void cel_run_init(struct cel_run *run, const void *context)
{
    run->context = context;
    run->read = NULL;
    run->look_up = NULL;
    run->why = (struct slice){NULL, 0};
    run->scratch_used = 0;
}

// False with run->why set to the text; a literal or otherwise lasting.
bool cel_run_fail(struct cel_run *run, struct slice why);
// Bytes of the scratch area; NULL with run->why set when it is used up.
char *cel_run_scratch(struct cel_run *run, size_t bytes);

// A pattern as RE2 takes it, in the arena with all that PCRE2 needs for it. NULL with a reason.
const struct cel_regex *cel_regex_new(struct arena *arena, struct slice pattern, struct slice *ret_why);
// Whether the pattern is found anywhere in the text. False with run->why set when a limit was reached.
bool cel_regex_find(const struct cel_regex *regex, struct cel_run *run, struct slice text, bool *ret_is_found);

#endif
