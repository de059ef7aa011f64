// Memory that is lent to an arena.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

#include "base/arena.h"

static void lent_first(void **state)
{
    (void)state;
    alignas(16) char space[64];
    struct arena arena;
    arena_init_in(&arena, space, sizeof space, 256, 4096);
    assert_ptr_equal(arena_alloc(&arena, 40), space);
    assert_int_equal(arena.held_bytes, 0);
    char *next = arena_alloc(&arena, 32); // does not fit any more
    assert_true(next < space || next >= space + sizeof space);
    assert_int_equal(arena.held_bytes, 256);
    memset(next, 0, 32);
    arena_fini(&arena);
}

static void large_beside_lent(void **state)
{
    (void)state;
    alignas(16) char space[64];
    struct arena arena;
    arena_init_in(&arena, space, sizeof space, 256, 4096);
    assert_non_null(arena_alloc(&arena, 1000));
    assert_ptr_equal(arena_alloc(&arena, 16), space); // what was lent stays in use
    assert_null(arena_alloc(&arena, 4096));
    assert_true(arena.has_failed);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lent_first), cmocka_unit_test(large_beside_lent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
