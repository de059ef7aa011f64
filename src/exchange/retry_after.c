// The retry-after field of an answer (RFC 9110 section 10.2.3).
#include "exchange/life.h"

#define RETRY_AFTER_MAX_S ((int64_t)24 * 3600)

// Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant, days_from_civil).
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool number_at(struct slice text, size_t at, size_t len, uint64_t *ret_value)
{
    return slice_to_u64(slice_sub(text, at, len), 9999, ret_value);
}

// IMF-fixdate (RFC 9110 section 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT". False for anything else.
static bool parse_http_date(struct slice text, int64_t *ret_unix_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t day, year, hour, minute, second;
    if (text.len != 29 || !slice_ends_with(text, SLICE(" GMT")) || !number_at(text, 5, 2, &day) ||
        !number_at(text, 12, 4, &year) || !number_at(text, 17, 2, &hour) || !number_at(text, 20, 2, &minute) ||
        !number_at(text, 23, 2, &second))
        return false;
    size_t at = slice_find_slice(slice_make(months, sizeof months - 1), slice_sub(text, 8, 3));
    if (at == SLICE_NOT_FOUND || at % 3)
        return false;
    int64_t days = days_from_civil((int64_t)year, (int64_t)at / 3 + 1, (int64_t)day);
    *ret_unix_s = days * 86400 + (int64_t)(hour * 3600 + minute * 60 + second);
    return true;
}

static bool is_number(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return text.len > 0;
}

int64_t retry_after_us(const struct fields *fields, int64_t unix_us)
{
    struct slice value = fields_value(fields, SLICE("retry-after"));
    uint64_t seconds;
    int64_t at_s;
    if (is_number(value))
        return (slice_to_u64(value, RETRY_AFTER_MAX_S, &seconds) ? (int64_t)seconds : RETRY_AFTER_MAX_S) * 1000000;
    if (!parse_http_date(value, &at_s))
        return 0;
    if (at_s > unix_us / 1000000 + RETRY_AFTER_MAX_S)
        return RETRY_AFTER_MAX_S * 1000000;
    int64_t left = at_s * 1000000 - unix_us;
    return left > 0 ? left : 0;
}
