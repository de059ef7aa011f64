// Intrusive doubly linked lists. A list head is a node that points to itself when the list is empty; so does a node
// that stands in no list.
#ifndef WEIR_HOST_NATIVE_LIST_H
#define WEIR_HOST_NATIVE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *node)
{
    node->next = node->prev = node;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

// Puts `node` first. The node must stand in no list.
static inline void list_push(struct list *head, struct list *node)
{
    node->next = head->next;
    node->prev = head;
    head->next->prev = node;
    head->next = node;
}

// Puts `node` last. The node must stand in no list.
static inline void list_append(struct list *head, struct list *node)
{
    list_push(head->prev, node);
}

// Takes the node out of its list, if it stands in one.
static inline void list_remove(struct list *node)
{
    node->next->prev = node->prev;
    node->prev->next = node->next;
    list_init(node);
}

// Moves all nodes of `from` to the empty head `to`.
static inline void list_take_all(struct list *to, struct list *from)
{
    list_init(to);
    if (list_is_empty(from))
        return;
    *to = *from;
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

#define LIST_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif
