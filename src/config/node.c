// Reading values out of a tree of nodes.
#include "config/document.h"

struct node *node_member(const struct node *map, struct slice key)
{
    if (!map || map->type != NODE_MAP)
        return NULL;
    for (struct node *child = map->first; child; child = child->next)
        if (slice_eq(child->key, key))
            return child;
    return NULL;
}

struct node *node_get(const struct node *map, struct slice key)
{
    struct node *node = node_member(map, key);
    return node && node->type != NODE_NULL ? node : NULL;
}

struct node *node_path(const struct node *map, struct slice path)
{
    struct node *node = NULL;
    while (path.ptr) {
        node = node_get(map, slice_split(&path, '.'));
        if (!node)
            return NULL;
        map = node;
    }
    return node;
}

bool node_is_scalar(const struct node *node)
{
    return node && node->type >= NODE_BOOL && node->type <= NODE_STRING;
}

struct slice node_text(const struct node *node)
{
    return node_is_scalar(node) ? node->text : (struct slice){"", 0};
}

size_t node_count(const struct node *node)
{
    return node ? node->count : 0;
}

struct mark node_mark(const struct node *node)
{
    return node ? node->mark : (struct mark){0};
}

struct config_text node_config_text(const struct node *node)
{
    return (struct config_text){node_text(node), node_mark(node), node && node->is_substituted};
}

// ---- numbers ------------------------------------------------------------------------------------------------------

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static bool parse_digits(struct slice s, int base, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int digit = digit_value(s.ptr[i]);
        if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

static bool parse_i64(struct slice s, int64_t *ret_value)
{
    bool is_negative = s.len && s.ptr[0] == '-';
    uint64_t value;
    int base = 10;
    if (is_negative || (s.len && s.ptr[0] == '+'))
        s = slice_from(s, 1);
    else if (slice_starts_with(s, SLICE("0x")))
        base = 16;
    else if (slice_starts_with(s, SLICE("0o")))
        base = 8;
    if (!parse_digits(base == 10 ? s : slice_from(s, 2), base, &value))
        return false;
    if (value > (uint64_t)INT64_MAX)
        return false;
    *ret_value = is_negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool node_to_i64(const struct node *node, int64_t *ret_value)
{
    return node && node->type == NODE_INT && parse_i64(node->text, ret_value);
}

bool node_to_bool(const struct node *node, bool *ret_value)
{
    if (!node || node->type != NODE_BOOL)
        return false;
    *ret_value = ascii_lower(node->text.ptr[0]) == 't';
    return true;
}

// ---- durations ----------------------------------------------------------------------------------------------------

static size_t count_digits(struct slice s)
{
    size_t at = 0;
    while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
        at++;
    return at;
}

// The factor of the unit at the front of *rest, which is cut off. 0: none.
static uint64_t take_unit(struct slice *rest)
{
    static const struct {
        struct slice name;
        uint64_t ms;
    } units[] = {{SLICE_INIT("ms"), 1}, {SLICE_INIT("h"), 3600000}, {SLICE_INIT("m"), 60000}, {SLICE_INIT("s"), 1000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (slice_starts_with(*rest, units[i].name)) {
            *rest = slice_from(*rest, units[i].name.len);
            return units[i].ms;
        }
    }
    return 0;
}

// GEP-2257: ^([0-9]{1,5}(h|m|s|ms)){1,4}$
static bool parse_duration(struct slice s, int64_t *ret_ms)
{
    uint64_t total = 0;
    int parts = 0;
    for (; s.len; parts++) {
        uint64_t value;
        size_t digits = count_digits(s);
        if (digits == 0 || digits > 5 || parts == 4 || !parse_digits(slice_sub(s, 0, digits), 10, &value))
            return false;
        s = slice_from(s, digits);
        uint64_t factor = take_unit(&s);
        if (factor == 0)
            return false;
        total += value * factor; // at most 4 * 99999 h: no overflow
    }
    if (parts == 0)
        return false;
    *ret_ms = (int64_t)total;
    return true;
}

bool node_to_ms(const struct node *node, int64_t *ret_ms)
{
    uint64_t seconds;
    if (!node_is_scalar(node))
        return false;
    if (slice_to_u64(node->text, INT32_MAX, &seconds)) {
        *ret_ms = (int64_t)seconds * 1000;
        return true;
    }
    return parse_duration(node->text, ret_ms);
}

// ---- quantities ---------------------------------------------------------------------------------------------------

static bool take_quantity_factor(struct slice suffix, uint64_t *ret_factor)
{
    static const struct {
        struct slice name;
        uint64_t factor;
    } suffixes[] = {
        {SLICE_INIT(""), 1},
        {SLICE_INIT("k"), 1000},
        {SLICE_INIT("M"), 1000000},
        {SLICE_INIT("G"), 1000000000},
        {SLICE_INIT("T"), 1000000000000},
        {SLICE_INIT("Ki"), (uint64_t)1 << 10},
        {SLICE_INIT("Mi"), (uint64_t)1 << 20},
        {SLICE_INIT("Gi"), (uint64_t)1 << 30},
        {SLICE_INIT("Ti"), (uint64_t)1 << 40},
        {SLICE_INIT("P"), 1000000000000000},
        {SLICE_INIT("Pi"), (uint64_t)1 << 50},
    };
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (slice_eq(suffix, suffixes[i].name)) {
            *ret_factor = suffixes[i].factor;
            return true;
        }
    }
    return false;
}

// The decimals of a quantity ("5" of "1.5Gi") as a share of `factor`, rounded up.
static bool fraction_of(struct slice decimals, uint64_t factor, uint64_t *ret_value)
{
    uint64_t value = 0;
    uint64_t scale = 1;
    if (decimals.len > 6 || (decimals.len && !parse_digits(decimals, 10, &value)))
        return false;
    for (size_t i = 0; i < decimals.len; i++)
        scale *= 10;
    uint64_t product;
    if (__builtin_mul_overflow(value, factor, &product))
        return false;
    *ret_value = product / scale + (product % scale ? 1 : 0);
    return true;
}

bool node_to_bytes(const struct node *node, uint64_t *ret_bytes)
{
    struct slice s = node_text(node);
    size_t digits = count_digits(s);
    struct slice suffix = slice_from(s, digits);
    struct slice decimals = {"", 0};
    uint64_t whole;
    uint64_t factor;
    uint64_t part;
    if (slice_starts_with(suffix, SLICE("."))) {
        suffix = slice_from(suffix, 1);
        decimals = slice_sub(suffix, 0, count_digits(suffix));
        suffix = slice_from(suffix, decimals.len);
    }
    if (!parse_digits(slice_sub(s, 0, digits), 10, &whole) || !take_quantity_factor(suffix, &factor) ||
        !fraction_of(decimals, factor, &part))
        return false;
    return !__builtin_mul_overflow(whole, factor, &whole) && !__builtin_add_overflow(whole, part, ret_bytes);
}

// ---- time ---------------------------------------------------------------------------------------------------------

static bool take_number(struct slice *rest, size_t width, char before, uint64_t min, uint64_t max, uint64_t *ret_value)
{
    if (before) {
        if (rest->len == 0 || ascii_lower(rest->ptr[0]) != ascii_lower(before))
            return false;
        *rest = slice_from(*rest, 1);
    }
    if (rest->len < width || !slice_to_u64(slice_sub(*rest, 0, width), max, ret_value) || *ret_value < min)
        return false;
    *rest = slice_from(*rest, width);
    return true;
}

// Days since 1970-01-01 of the proleptic Gregorian calendar.
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool is_day_of_month(uint64_t year, uint64_t month, uint64_t day)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && is_leap ? 1U : 0U);
}

// "Z" or "+hh:mm" in seconds.
static bool take_offset(struct slice *rest, int64_t *ret_seconds)
{
    uint64_t hours;
    uint64_t minutes;
    if (rest->len && ascii_lower(rest->ptr[0]) == 'z') {
        *rest = slice_from(*rest, 1);
        *ret_seconds = 0;
        return true;
    }
    char sign = rest->len ? rest->ptr[0] : '\0';
    if ((sign != '+' && sign != '-') || !take_number(rest, 2, sign, 0, 23, &hours) ||
        !take_number(rest, 2, ':', 0, 59, &minutes))
        return false;
    int64_t seconds = (int64_t)(hours * 3600 + minutes * 60);
    *ret_seconds = sign == '-' ? -seconds : seconds;
    return true;
}

// RFC 3339, section 5.6; fractions of a second are dropped, a leap second counts as the second after it.
bool node_to_time(const struct node *node, int64_t *ret_unix_s)
{
    struct slice s = node_text(node);
    uint64_t year, month, day, hour, minute, second;
    int64_t offset;
    if (!take_number(&s, 4, '\0', 1, 9999, &year) || !take_number(&s, 2, '-', 1, 12, &month) ||
        !take_number(&s, 2, '-', 1, 31, &day) || !is_day_of_month(year, month, day) ||
        !take_number(&s, 2, 't', 0, 23, &hour) || !take_number(&s, 2, ':', 0, 59, &minute) ||
        !take_number(&s, 2, ':', 0, 60, &second))
        return false;
    if (s.len > 1 && s.ptr[0] == '.') {
        s = slice_from(s, 1);
        size_t digits = count_digits(s);
        if (digits == 0)
            return false;
        s = slice_from(s, digits);
    }
    if (!take_offset(&s, &offset) || s.len)
        return false;
    *ret_unix_s = days_from_civil((int64_t)year, (int64_t)month, (int64_t)day) * 86400 +
                  (int64_t)(hour * 3600 + minute * 60 + second) - offset;
    return true;
}

// ---- by name ------------------------------------------------------------------------------------------------------

struct slice node_get_text(const struct node *map, struct slice key)
{
    return node_text(node_get(map, key));
}

int64_t node_get_i64(const struct node *map, struct slice key, int64_t absent)
{
    node_to_i64(node_get(map, key), &absent);
    return absent;
}

bool node_get_bool(const struct node *map, struct slice key, bool absent)
{
    node_to_bool(node_get(map, key), &absent);
    return absent;
}

int64_t node_get_ms(const struct node *map, struct slice key, int64_t absent)
{
    node_to_ms(node_get(map, key), &absent);
    return absent;
}

uint64_t node_get_bytes(const struct node *map, struct slice key, uint64_t absent)
{
    node_to_bytes(node_get(map, key), &absent);
    return absent;
}
