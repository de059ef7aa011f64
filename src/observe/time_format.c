// Civil time from Unix time, and strftime's letters over it.
#include "observe/time_format.h"

struct civil {
    int64_t unix_s;
    uint32_t microsecond;
    int64_t year;
    unsigned month;       // 1..12
    unsigned day;         // 1..31
    unsigned day_of_year; // 1..366
    unsigned weekday;     // 0 is Sunday
    unsigned hour, minute, second;
};

struct writer {
    char *at;
};

static void put(struct writer *out, struct slice text)
{
    memcpy(out->at, text.ptr, text.len);
    out->at += text.len;
}

static void put_number(struct writer *out, uint64_t value, unsigned width)
{
    unsigned count = 1;
    for (uint64_t rest = value / 10; rest; rest /= 10)
        count++;
    if (count < width)
        count = width;
    for (unsigned i = count; i-- > 0; value /= 10)
        out->at[i] = (char)('0' + value % 10);
    out->at += count;
}

// From 0 to 99.
static void put_two(struct writer *out, unsigned value)
{
    out->at[0] = (char)('0' + value / 10);
    out->at[1] = (char)('0' + value % 10);
    out->at += 2;
}

// Howard Hinnant's days-to-civil (proleptic Gregorian calendar, any year).
static void set_date(struct civil *civil, int64_t days)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100); // from 1 March
    unsigned march_month = (5 * of_year + 2) / 153;
    civil->day = of_year - (153 * march_month + 2) / 5 + 1;
    civil->month = march_month < 10 ? march_month + 3 : march_month - 9;
    civil->year = (int64_t)year_of_era + era * 400 + (civil->month <= 2);
    bool is_leap = (civil->year % 4 == 0 && civil->year % 100 != 0) || civil->year % 400 == 0;
    civil->day_of_year = march_month < 10 ? of_year + 60 + is_leap : of_year - 305;
    civil->weekday = (unsigned)(((days + 4) % 7 + 7) % 7);
}

static struct civil civil_from_unix(int64_t unix_us)
{
    struct civil civil = {0};
    int64_t second = unix_us / 1000000;
    int64_t micro = unix_us % 1000000;
    if (micro < 0) {
        micro += 1000000;
        second--;
    }
    int64_t days = second / 86400;
    int64_t of_day = second % 86400;
    if (of_day < 0) {
        of_day += 86400;
        days--;
    }
    civil.unix_s = second;
    civil.microsecond = (uint32_t)micro;
    civil.hour = (unsigned)(of_day / 3600);
    civil.minute = (unsigned)(of_day / 60 % 60);
    civil.second = (unsigned)(of_day % 60);
    set_date(&civil, days);
    return civil;
}

static const char *const month_names[] = {"January", "February", "March",     "April",   "May",      "June",
                                          "July",    "August",   "September", "October", "November", "December"};
static const char *const day_names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

static void put_fraction(struct writer *out, const struct civil *civil, unsigned digits)
{
    uint32_t rest = civil->microsecond;
    for (unsigned i = 0; i < digits; i++) {
        rest *= 10;
        *out->at++ = (char)('0' + rest / 1000000);
        rest %= 1000000;
    }
}

static void put_year(struct writer *out, const struct civil *civil)
{
    if (civil->year >= 0 && civil->year <= 9999) {
        put_two(out, (unsigned)civil->year / 100);
        put_two(out, (unsigned)civil->year % 100);
        return;
    }
    if (civil->year < 0)
        *out->at++ = '-';
    put_number(out, (uint64_t)(civil->year < 0 ? -civil->year : civil->year), 4);
}

static void put_date(struct writer *out, const struct civil *civil)
{
    put_year(out, civil);
    *out->at++ = '-';
    put_two(out, civil->month);
    *out->at++ = '-';
    put_two(out, civil->day);
}

static void put_time(struct writer *out, const struct civil *civil)
{
    put_two(out, civil->hour);
    *out->at++ = ':';
    put_two(out, civil->minute);
    *out->at++ = ':';
    put_two(out, civil->second);
}

static void put_epoch(struct writer *out, const struct civil *civil)
{
    if (civil->unix_s < 0)
        *out->at++ = '-';
    put_number(out, (uint64_t)(civil->unix_s < 0 ? -civil->unix_s : civil->unix_s), 1);
}

static void put_name(struct writer *out, const char *name, bool is_short)
{
    put(out, slice_sub(slice_from_cstr(name), 0, is_short ? 3 : SIZE_MAX));
}

// One letter of strftime. False when there is no such letter.
static bool put_letter(struct writer *out, const struct civil *civil, char letter)
{
    switch (letter) {
    case '%':
        return put(out, SLICE("%")), true;
    case 'a':
        return put_name(out, day_names[civil->weekday], true), true;
    case 'A':
        return put_name(out, day_names[civil->weekday], false), true;
    case 'b':
        return put_name(out, month_names[civil->month - 1], true), true;
    case 'B':
        return put_name(out, month_names[civil->month - 1], false), true;
    case 'd':
        return put_two(out, civil->day), true;
    case 'e':
        return put(out, civil->day < 10 ? SLICE(" ") : SLICE("")), put_number(out, civil->day, 1), true;
    case 'f':
        return put_fraction(out, civil, 9), true;
    case 'F':
        return put_date(out, civil), true;
    case 'H':
        return put_two(out, civil->hour), true;
    case 'I':
        return put_two(out, (civil->hour + 11) % 12 + 1), true;
    case 'j':
        return put_number(out, civil->day_of_year, 3), true;
    case 'm':
        return put_two(out, civil->month), true;
    case 'M':
        return put_two(out, civil->minute), true;
    case 'p':
        return put(out, civil->hour < 12 ? SLICE("AM") : SLICE("PM")), true;
    case 's':
        return put_epoch(out, civil), true;
    case 'S':
        return put_two(out, civil->second), true;
    case 'T':
        return put_time(out, civil), true;
    case 'u':
        return put_number(out, (civil->weekday + 6) % 7 + 1, 1), true;
    case 'y':
        return put_two(out, (unsigned)((civil->year % 100 + 100) % 100)), true;
    case 'Y':
        return put_year(out, civil), true;
    case 'z':
        return put(out, SLICE("+0000")), true;
    case 'Z':
        return put(out, SLICE("UTC")), true;
    default:
        return false;
    }
}

// Writes as far as the format is valid; false where it is not.
static bool put_format(struct writer *out, const struct civil *civil, struct slice format)
{
    for (size_t i = 0; i < format.len; i++) {
        if (format.ptr[i] != '%') {
            *out->at++ = format.ptr[i];
            continue;
        }
        if (++i == format.len)
            return false;
        char letter = format.ptr[i];
        if (letter >= '1' && letter <= '9') {
            if (++i == format.len || format.ptr[i] != 'f')
                return false;
            put_fraction(out, civil, (unsigned)(letter - '0'));
        } else if (!put_letter(out, civil, letter)) {
            return false;
        }
    }
    return true;
}

bool time_format_is_valid(struct slice format)
{
    char text[TIME_TEXT_BYTES_MAX];
    struct civil civil = civil_from_unix(0);
    struct writer out = {text};
    return format.len <= TIME_FORMAT_BYTES_MAX && put_format(&out, &civil, format);
}

struct slice time_format_write(struct slice format, int64_t unix_us, char *text)
{
    struct civil civil = civil_from_unix(unix_us);
    struct writer out = {text};
    put_format(&out, &civil, format);
    return slice_make(text, (size_t)(out.at - text));
}
