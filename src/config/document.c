// libyaml's events to a tree of nodes. One frame on a bounded stack for each open list or map.
#include "config/document.h"

#include "config/printable.h"

#include <yaml.h>

// An anchor of the current document and the node that it names.
struct anchor {
    struct slice name;
    struct node *node;
};

struct anchors {
    struct anchor *items;
    size_t count;
    size_t cap;
};

struct frame {
    struct node *node;
    bool has_key; // of a map: the next node is the value of `key`
    struct slice key;
    struct mark key_mark;
};

// The state of one file.
struct reader {
    yaml_parser_t parser;
    struct arena *arena;
    struct arena scratch; // for one map's duplicate check
    struct findings *findings;
    struct slice file;
    uint32_t first_line; // of the piece of the file that the parser sees, from 0
    struct frame stack[DOCUMENT_MAX_DEPTH];
    size_t depth;
    struct node *root;
    struct anchors anchors;
    size_t alias_count;
    size_t alias_bytes;
    bool is_bad_document; // something was found in the current one
    bool has_errors;      // or in any
    document_visit *visit;
    void *context;
};

enum step { STEP_GO_ON, STEP_END, STEP_SYNTAX, STEP_STOP };

static struct mark mark_at(const struct reader *reader, yaml_mark_t at)
{
    return (struct mark){reader->file, reader->first_line + (uint32_t)at.line + 1, (uint32_t)at.column + 1};
}

static void note_error(struct reader *reader)
{
    reader->is_bad_document = true;
    reader->has_errors = true;
}

// ---- the tree -----------------------------------------------------------------------------------------------------

static void append_child(struct node *parent, struct node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

struct node *node_add(struct arena *arena, struct node *map, struct slice key, enum node_type type, struct slice text)
{
    struct node *node = ARENA_NEW(arena, struct node);
    if (!node)
        return NULL;
    node->type = type;
    node->text = text;
    node->key = key;
    node->mark = node->key_mark = map->mark;
    append_child(map, node);
    return node;
}

// Puts a finished or just opened node where it belongs.
static void place(struct reader *reader, struct node *node)
{
    if (reader->depth == 0) {
        reader->root = node;
        return;
    }
    struct frame *top = &reader->stack[reader->depth - 1];
    if (top->node->type == NODE_MAP) {
        node->key = top->key;
        node->key_mark = top->key_mark;
        top->has_key = false;
    }
    append_child(top->node, node);
}

static bool awaits_key(const struct reader *reader)
{
    if (reader->depth == 0)
        return false;
    const struct frame *top = &reader->stack[reader->depth - 1];
    return top->node->type == NODE_MAP && !top->has_key;
}

static enum step add_anchor(struct reader *reader, const yaml_char_t *name, struct node *node)
{
    if (!name)
        return STEP_GO_ON;
    struct slice copy = arena_dup(reader->arena, slice_from_cstr((const char *)name));
    if (!copy.ptr || !ARENA_GROW(reader->arena, &reader->anchors))
        return STEP_STOP;
    reader->anchors.items[reader->anchors.count++] = (struct anchor){copy, node};
    return STEP_GO_ON;
}

static struct node *new_node(struct reader *reader, enum node_type type, yaml_mark_t at)
{
    struct node *node = ARENA_NEW(reader->arena, struct node);
    if (node) {
        node->type = type;
        node->mark = mark_at(reader, at);
    }
    return node;
}

static void complain_tag(struct reader *reader, const yaml_char_t *tag, yaml_mark_t at)
{
    finding_error(reader->findings, mark_at(reader, at), "the YAML tag \"%s\" is not read here: leave it out",
                  (const char *)tag);
    note_error(reader);
}

// The type of a scalar by its style and tag.
static enum node_type scalar_type(struct reader *reader, const yaml_event_t *event, struct slice text)
{
    const char *tag = (const char *)event->data.scalar.tag;
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (tag && (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0))
        return NODE_STRING;
    enum node_type type = document_plain_type(text);
    if (tag) {
        bool fits = (strcmp(tag, YAML_INT_TAG) == 0 && type == NODE_INT) ||
                    (strcmp(tag, YAML_BOOL_TAG) == 0 && type == NODE_BOOL) ||
                    (strcmp(tag, YAML_NULL_TAG) == 0 && type == NODE_NULL) ||
                    (strcmp(tag, YAML_FLOAT_TAG) == 0 && (type == NODE_FLOAT || type == NODE_INT));
        if (!fits)
            complain_tag(reader, event->data.scalar.tag, event->start_mark);
        return type;
    }
    return is_plain ? type : NODE_STRING;
}

static enum step read_key(struct reader *reader, const yaml_event_t *event, struct slice text)
{
    struct frame *top = &reader->stack[reader->depth - 1];
    top->key = text;
    top->key_mark = mark_at(reader, event->start_mark);
    top->has_key = true;
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && slice_eq(text, SLICE("<<"))) {
        finding_error(reader->findings, top->key_mark, "merge keys (<<) are not read: write the members out");
        note_error(reader);
    }
    return STEP_GO_ON;
}

static enum step read_scalar(struct reader *reader, const yaml_event_t *event)
{
    struct slice raw = {(const char *)event->data.scalar.value, event->data.scalar.length};
    struct slice text = arena_dup(reader->arena, raw);
    if (!text.ptr)
        return STEP_STOP;
    if (awaits_key(reader))
        return read_key(reader, event, text);
    struct node *node = new_node(reader, NODE_STRING, event->start_mark);
    if (!node)
        return STEP_STOP;
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->type = scalar_type(reader, event, text);
    node->text = text;
    place(reader, node);
    return add_anchor(reader, event->data.scalar.anchor, node);
}

static enum step refuse_at(struct reader *reader, yaml_mark_t at, const char *what)
{
    finding_error(reader->findings, mark_at(reader, at), "%s", what);
    note_error(reader);
    return STEP_STOP;
}

static enum step open_node(struct reader *reader, const yaml_event_t *event, enum node_type type)
{
    bool is_map = type == NODE_MAP;
    const yaml_char_t *anchor = is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag = is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (awaits_key(reader))
        return refuse_at(reader, event->start_mark, "a key must be a plain text, not a list or a map");
    if (reader->depth == DOCUMENT_MAX_DEPTH)
        return refuse_at(reader, event->start_mark, "nested more than 64 levels deep");
    if (tag && strcmp((const char *)tag, is_map ? YAML_MAP_TAG : YAML_SEQ_TAG) != 0)
        complain_tag(reader, tag, event->start_mark);
    struct node *node = new_node(reader, type, event->start_mark);
    if (!node)
        return STEP_STOP;
    place(reader, node);
    reader->stack[reader->depth++] = (struct frame){.node = node};
    return add_anchor(reader, anchor, node);
}

// ---- aliases ------------------------------------------------------------------------------------------------------

// A copy with all children, or NULL past the limits. Recurses as deep as the copied tree, at most DOCUMENT_MAX_DEPTH.
static struct node *clone(struct reader *reader, const struct node *from, size_t depth)
{
    reader->alias_bytes += sizeof *from + from->text.len;
    if (depth > DOCUMENT_MAX_DEPTH || reader->alias_bytes > DOCUMENT_MAX_ALIAS_BYTES)
        return NULL;
    struct node *copy = ARENA_NEW(reader->arena, struct node);
    if (!copy)
        return NULL;
    *copy = *from;
    copy->first = copy->last = copy->next = NULL;
    copy->count = 0;
    for (const struct node *child = from->first; child; child = child->next) {
        struct node *child_copy = clone(reader, child, depth + 1);
        if (!child_copy)
            return NULL;
        append_child(copy, child_copy);
    }
    return copy;
}

static struct node *find_anchor(const struct reader *reader, struct slice name)
{
    for (size_t i = reader->anchors.count; i-- > 0;)
        if (slice_eq(reader->anchors.items[i].name, name))
            return reader->anchors.items[i].node;
    return NULL;
}

static bool is_open(const struct reader *reader, const struct node *node)
{
    for (size_t i = 0; i < reader->depth; i++)
        if (reader->stack[i].node == node)
            return true;
    return false;
}

static enum step read_alias(struct reader *reader, const yaml_event_t *event)
{
    const struct node *target = find_anchor(reader, slice_from_cstr((const char *)event->data.alias.anchor));
    if (awaits_key(reader))
        return refuse_at(reader, event->start_mark, "an alias can't be a key");
    if (!target)
        return refuse_at(reader, event->start_mark, "the alias names no anchor of this document");
    if (is_open(reader, target))
        return refuse_at(reader, event->start_mark, "the alias stands inside its own anchor");
    if (++reader->alias_count > DOCUMENT_MAX_ALIASES)
        return refuse_at(reader, event->start_mark, "more than 100 aliases in one file");
    struct node *copy = clone(reader, target, reader->depth);
    if (!copy)
        return refuse_at(reader, event->start_mark, "the aliases of this file expand to more than 1 MiB or 64 levels");
    place(reader, copy);
    return STEP_GO_ON;
}

// ---- duplicate keys -----------------------------------------------------------------------------------------------

static void check_duplicates(struct reader *reader, const struct node *map)
{
    struct map seen;
    arena_reset(&reader->scratch);
    map_init(&seen, &reader->scratch, 0);
    for (struct node *child = map->first; child; child = child->next) {
        const struct node *first = map_get(&seen, child->key);
        if (!first) {
            map_put(&seen, child->key, child);
            continue;
        }
        finding_error(reader->findings, child->key_mark, "duplicate key \"" SLICE_FMT "\", first given in line %u",
                      SLICE_ARG(child->key), first->key_mark.line);
        note_error(reader);
    }
}

static enum step close_node(struct reader *reader)
{
    const struct node *node = reader->stack[--reader->depth].node;
    if (node->type == NODE_MAP && node->count > 1)
        check_duplicates(reader, node);
    return STEP_GO_ON;
}

// ---- documents ----------------------------------------------------------------------------------------------------

static void begin_document(struct reader *reader)
{
    reader->depth = 0;
    reader->root = NULL;
    reader->anchors.count = 0;
    reader->is_bad_document = false;
}

static enum step take_event(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_STREAM_END_EVENT:
        return STEP_END;
    case YAML_DOCUMENT_START_EVENT:
        begin_document(reader);
        return STEP_GO_ON;
    case YAML_DOCUMENT_END_EVENT:
        if (reader->root && reader->root->type != NODE_NULL)
            reader->visit(reader->context, reader->root);
        return STEP_GO_ON;
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event);
    case YAML_ALIAS_EVENT:
        return read_alias(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(reader, event, NODE_LIST);
    case YAML_MAPPING_START_EVENT:
        return open_node(reader, event, NODE_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return close_node(reader);
    default:
        return STEP_GO_ON;
    }
}

// One finding for what libyaml said. Gives its mark.
static struct mark report_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem ? parser->problem : "syntax error";
    struct mark mark = mark_at(reader, parser->problem_mark);
    note_error(reader);
    if (parser->error == YAML_MEMORY_ERROR) {
        finding_error(reader->findings, mark, "no memory to read this file");
    } else if (parser->context) {
        finding_error(reader->findings, mark, "not YAML: %s (%s in line %u)", problem, parser->context,
                      mark_at(reader, parser->context_mark).line);
    } else {
        finding_error(reader->findings, mark, "not YAML: %s", problem);
    }
    return mark;
}

// Reads the events of one piece of the file. Gives STEP_END, or why it stopped, with the place in *ret_stopped.
static enum step read_piece(struct reader *reader, struct slice text, struct mark *ret_stopped)
{
    enum step step = STEP_GO_ON;
    if (!yaml_parser_initialize(&reader->parser))
        return STEP_STOP;
    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text.ptr, text.len);
    while (step == STEP_GO_ON) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reader->parser, &event)) {
            *ret_stopped = report_syntax(reader);
            step = STEP_SYNTAX;
            break;
        }
        step = take_event(reader, &event);
        *ret_stopped = mark_at(reader, event.start_mark);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&reader->parser);
    return step;
}

static bool is_document_start(struct slice rest)
{
    if (!slice_starts_with(rest, SLICE("---")))
        return false;
    char next = rest.len > 3 ? rest.ptr[3] : '\n';
    return next == ' ' || next == '\t' || next == '\r' || next == '\n';
}

// Where the next document begins at or after `line` (counted from 0 in `text`), but not in the first line. What comes
// after a broken document is read all the same, so that one mistake does not hide the others.
static size_t next_document(struct slice text, uint32_t line, uint32_t *ret_line)
{
    uint32_t at_line = 0;
    for (size_t at = 0; at < text.len;) {
        struct slice rest = slice_from(text, at);
        if (at_line > 0 && at_line >= line && is_document_start(rest)) {
            *ret_line = at_line;
            return at;
        }
        size_t newline = slice_find(rest, '\n');
        if (newline == SLICE_NOT_FOUND)
            break;
        at += newline + 1;
        at_line++;
    }
    return SLICE_NOT_FOUND;
}

// Reads the documents of a text that is known to be printable.
static void read_documents(struct reader *reader, struct slice text)
{
    for (;;) {
        struct mark stopped = {reader->file, 0, 0};
        uint32_t skipped_lines = 0;
        if (read_piece(reader, text, &stopped) == STEP_END || reader->arena->has_failed)
            return;
        note_error(reader);
        uint32_t line = stopped.line > reader->first_line ? stopped.line - reader->first_line - 1 : 0;
        size_t next = next_document(text, line, &skipped_lines);
        if (next == SLICE_NOT_FOUND)
            return;
        text = slice_from(text, next);
        reader->first_line += skipped_lines;
    }
}

// ---- files --------------------------------------------------------------------------------------------------------

// The place of a byte, and where the document that it is in begins.
static struct mark locate(const struct reader *reader, struct slice text, size_t offset, size_t *ret_document)
{
    struct mark mark = {reader->file, reader->first_line + 1, 1};
    *ret_document = 0;
    for (size_t at = 0; at < offset; at++) {
        mark.column++;
        if (text.ptr[at] == '\n') {
            mark.line++;
            mark.column = 1;
            if (is_document_start(slice_from(text, at + 1)))
                *ret_document = at + 1;
        }
    }
    return mark;
}

static void read_file(struct reader *reader, struct slice text)
{
    for (;;) {
        size_t document;
        uint32_t skipped_lines = 0;
        uint32_t first_line = reader->first_line;
        size_t bad = printable_find_bad(text);
        if (bad == SLICE_NOT_FOUND) {
            read_documents(reader, text);
            return;
        }
        struct mark mark = locate(reader, text, bad, &document);
        read_documents(reader, slice_sub(text, 0, document));
        finding_error(reader->findings, mark, "a byte that is no text: the file must be UTF-8 without control bytes");
        note_error(reader);
        size_t next = next_document(text, mark.line - first_line, &skipped_lines);
        if (next == SLICE_NOT_FOUND)
            return;
        text = slice_from(text, next);
        reader->first_line = first_line + skipped_lines;
    }
}

// YAML 1.2.2, section 5.2: a byte order mark may stand in front. Some editors write one.
static struct slice without_bom(struct slice text)
{
    return slice_starts_with(text, SLICE("\xef\xbb\xbf")) ? slice_from(text, 3) : text;
}

bool document_parse(const struct config_file *file, struct arena *arena, struct findings *findings,
                    document_visit *visit, void *context)
{
    struct reader reader = {.arena = arena, .findings = findings, .visit = visit, .context = context};
    reader.file = arena_dup(arena, file->path);
    if (!reader.file.ptr)
        return false;
    if (file->text.len > DOCUMENT_MAX_BYTES) {
        finding_error(findings, (struct mark){reader.file, 1, 1}, "the file is larger than 64 MiB");
        return false;
    }
    arena_init(&reader.scratch, 4096, DOCUMENT_MAX_BYTES * 4);
    read_file(&reader, without_bom(file->text));
    arena_fini(&reader.scratch);
    return !reader.has_errors && !arena->has_failed;
}
