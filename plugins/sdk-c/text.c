/* Sentences and numbers as an operator reads them: the same text for the same double on every machine. */
#include "watchfire.h"

#include <stdarg.h>

typedef struct { char *at; size_t len, room; } writer;

static void put(writer *to, const char *at, size_t len) {
    if (to->len + len > to->room) {
        to->room = 2 * (to->len + len) + 64;
        char *larger = wf_new(to->room);
        for (size_t i = 0; i < to->len; i++) larger[i] = to->at[i];
        to->at = larger;
    }
    for (size_t i = 0; i < len; i++) to->at[to->len++] = at[i];
}

static void put_whole(writer *to, uint64_t number) {
    char digits[20];
    size_t from = sizeof digits;
    do digits[--from] = (char)('0' + number % 10); while ((number /= 10) != 0);
    put(to, digits + from, sizeof digits - from);
}

/* The exact decimal digits of a positive number; `point` is how many stand before the point. */
#define DIGITS_MAX 800

static size_t digits_of(double size, char digits[DIGITS_MAX], int *point) {
    union { double number; uint64_t bits; } is = { size };
    int biased = (int)(is.bits >> 52);
    uint64_t mantissa = (is.bits & ((1ull << 52) - 1)) | (biased ? 1ull << 52 : 0);
    int exponent = (biased ? biased : 1) - 1075;
    while ((mantissa & 1) == 0 && exponent < 0) mantissa >>= 1, exponent++;
    /* mantissa × 2^exponent, or for a negative exponent mantissa × 5^-exponent ÷ 10^-exponent; limbs of nine digits. */
    uint32_t limbs[90] = { (uint32_t)(mantissa % 1000000000), (uint32_t)(mantissa / 1000000000) };
    int count = 2;
    uint32_t base = exponent < 0 ? 5 : 2;
    for (int left = exponent < 0 ? -exponent : exponent; left > 0;) {
        uint32_t factor = 1;
        for (int taken = 0; taken < 12 && left > 0; taken++, left--) factor *= base;
        uint64_t carry = 0;
        for (int i = 0; i < count; i++) {
            carry += (uint64_t)limbs[i] * factor;
            limbs[i] = (uint32_t)(carry % 1000000000);
            carry /= 1000000000;
        }
        if (carry) limbs[count++] = (uint32_t)carry;
    }
    size_t len = 0;
    for (int i = count - 1; i >= 0; i--) {
        for (uint32_t unit = 100000000; unit > 0; unit /= 10) {
            char digit = (char)('0' + limbs[i] / unit % 10);
            if (len > 0 || digit != '0') digits[len++] = digit;
        }
    }
    *point = (int)len + (exponent < 0 ? exponent : 0);
    return len;
}

/* Keeps so many digits, rounded half to even; answers whether a digit was gained (99.9 to 100). */
static bool rounded(char *digits, size_t *len, size_t keep) {
    if (*len <= keep) {
        while (*len < keep) digits[(*len)++] = '0';
        return false;
    }
    bool more = false;
    for (size_t i = keep + 1; i < *len; i++) more |= digits[i] != '0';
    bool odd = keep > 0 && (digits[keep - 1] & 1);
    bool up = digits[keep] > '5' || (digits[keep] == '5' && (more || odd));
    *len = keep;
    if (!up) return false;
    size_t at = keep;
    while (at > 0 && digits[at - 1] == '9') digits[--at] = '0';
    if (at > 0) {
        digits[at - 1]++;
        return false;
    }
    for (size_t i = (*len)++; i > 0; i--) digits[i] = digits[i - 1];
    digits[0] = '1';
    return true;
}

/* Digits with a point after `point` of them, without needless zeros. */
static void put_digits(writer *to, const char *digits, size_t len, int point) {
    while (len > 0 && (int)len > point && digits[len - 1] == '0') len--;
    if (point <= 0) put(to, "0", 1);
    for (int i = 0; i < point; i++) put(to, &digits[i], 1);
    if ((int)len <= point) return;
    put(to, ".", 1);
    for (int i = point; i < 0; i++) put(to, "0", 1);
    for (int i = point > 0 ? point : 0; i < (int)len; i++) put(to, &digits[i], 1);
}

static void put_number(writer *to, double value) {
    if (value != value) return put(to, "NaN", 3);
    if (value == 0) return put(to, "0", 1);
    if (value < 0) put(to, "-", 1);
    double size = value < 0 ? -value : value;
    if (!__builtin_isfinite(size)) return put(to, "inf", 3);
    char digits[DIGITS_MAX];
    int point;
    size_t len = digits_of(size, digits, &point);
    bool large = size >= 1e15, small = size < 1e-4;
    if (!large && !small) {
        int keep = point > 6 ? point : 6; /* at least all that stand before the point */
        if (point - keep < -9) keep = point + 9;
        point += rounded(digits, &len, (size_t)keep);
        return put_digits(to, digits, len, point);
    }
    point += rounded(digits, &len, 6);
    put_digits(to, digits, 6, 1);
    put(to, point > 0 ? "e" : "e-", point > 0 ? 1 : 2);
    put_whole(to, (uint64_t)(point > 0 ? point - 1 : 1 - point));
}

bool wf_same(wf_text one, wf_text other) {
    bool same = one.len == other.len;
    for (size_t i = 0; same && i < one.len; i++) same = one.at[i] == other.at[i];
    return same;
}

static wf_text text_of(writer said) { return (wf_text){ said.at, said.len }; }

wf_text wf_number(double value) {
    writer said = { 0 };
    put_number(&said, value);
    return text_of(said);
}

wf_text wf_show(const wf_signal *signal, double value) {
    wf_text unit = signal->unit.is;
    if (!signal->unit.some || unit.len == 0 || wf_same(unit, WF("1"))) return wf_number(value);
    if (wf_same(unit, WF("Cel"))) unit = WF("°C");
    if (wf_same(unit, WF("[degF]"))) unit = WF("°F");
    return wf_format("%g %t", value, unit);
}

wf_text wf_format(const char *format, ...) {
    writer said = { 0 };
    va_list parts;
    va_start(parts, format);
    for (const char *at = format; *at; at++) {
        if (*at != '%') {
            put(&said, at, 1);
            continue;
        }
        wf_text part = { 0 };
        switch (*++at) {
        case 's': part = wf_of(va_arg(parts, const char *)); break;
        case 't': part = va_arg(parts, wf_text); break;
        case 'g': put_number(&said, va_arg(parts, double)); break;
        case 'u': put_whole(&said, va_arg(parts, uint64_t)); break;
        default: part = (wf_text){ at, 1 };
        }
        put(&said, part.at, part.len);
    }
    va_end(parts);
    return text_of(said);
}
