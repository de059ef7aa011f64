// docs/configuration.md is what the tables say, and the tables are whole.
#include "loading.h"

#include "config/kind.h"
#include "config/reference.h"

static void test_document_is_up_to_date(void **state)
{
    struct buf buf;
    static char text[1 << 20];
    (void)state;
    buf_init(&buf, sizeof text);
    assert_true(config_reference_write(&buf));
    FILE *file = fopen("docs/configuration.md", "rb");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof text, file);
    fclose(file);
    assert_int_equal(len, buf.len);
    assert_memory_equal(text, buf.ptr, len);
    buf_fini(&buf);
}

static bool has_value(const char *const *values, const char *value)
{
    for (; *values; values++)
        if (strcmp(*values, value) == 0)
            return true;
    return false;
}

// What a table must have so that its findings and its rows say something.
static void check_table(const struct field *fields, int depth)
{
    assert_true(depth < 32);
    for (const struct field *field = fields; field->name; field++) {
        bool has_words = field->support == SUPPORT_REFUSED || field->support == SUPPORT_IGNORED || field->served;
        bool is_nested = field->type == FIELD_OBJECT || field->item == FIELD_OBJECT;
        bool is_good = field->doc && strlen(field->doc) > 0 && (!has_words || field->words) &&
                       (!field->max || field->min <= field->max) && !(field->is_required && field->preset) &&
                       (field->support != SUPPORT_DONE || is_nested == (field->fields != NULL));
        for (size_t i = 0; field->served && field->served[i]; i++)
            is_good = is_good && field->values && has_value(field->values, field->served[i]);
        for (const struct field *other = fields; other != field; other++)
            is_good = is_good && strcmp(other->name, field->name) != 0;
        if (!is_good)
            print_message("field %s\n", field->name);
        assert_true(is_good);
        if (field->fields)
            check_table(field->fields, depth + 1);
    }
}

static void test_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        const struct kind *kind = kind_of((enum resource_kind)i);
        assert_int_equal(kind->kind, i);
        assert_non_null(kind->doc);
        check_table(kind->fields, 0);
        assert_int_equal(resource_kind_from_name(resource_kind_name(kind->kind)), i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_document_is_up_to_date), cmocka_unit_test(test_tables)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
