/* Reading a configuration, a flat JSON object, so that a mistake is named by its key. */
#include "watchfire.h"

typedef struct { const char *at, *end; } reader;

static char peek(reader *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r')) in->at++;
    return in->at < in->end ? *in->at : '\0';
}

static bool eat(reader *in, char wanted) {
    bool found = peek(in) == wanted;
    in->at += found;
    return found;
}

static bool eat_word(reader *in, const char *word) {
    const char *at = in->at;
    while (*word && at < in->end && *at == *word) at++, word++;
    if (*word) return false;
    in->at = at;
    return true;
}

static bool read_text(reader *in, wf_text *text) {
    if (!eat(in, '"')) return false;
    const char *from = in->at;
    while (in->at < in->end && *in->at != '"') in->at += *in->at == '\\' ? 2 : 1;
    if (in->at >= in->end) return false;
    char *to = wf_new((size_t)(in->at - from));
    size_t len = 0;
    for (const char *at = from; at < in->at; at++) {
        char c = *at;
        if (c == '\\') {
            switch (*++at) {
            case '"': case '\\': case '/': c = *at; break;
            case 'n': c = '\n'; break;
            case 't': c = '\t'; break;
            default: return false; /* \u and other control characters: no name and no value needs them */
            }
        }
        to[len++] = c;
    }
    in->at++;
    *text = (wf_text){ to, len };
    return true;
}

/* 15 digits and a power of ten up to 22 make an exact product or quotient of two doubles: the nearest double. */
static bool read_number(reader *in, double *number) {
    bool negative = eat(in, '-'), point = false, any = false;
    uint64_t digits = 0;
    int significant = 0, exponent = 0, zeros = 0;
    for (; in->at < in->end; in->at++) {
        char c = *in->at;
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9') break;
        any = true;
        exponent -= point;
        if (c == '0') {
            zeros += digits != 0;
            continue;
        }
        significant += zeros + 1;
        if (significant > 15) return false;
        for (; zeros > 0; zeros--) digits *= 10;
        digits = digits * 10 + (uint64_t)(c - '0');
    }
    exponent += zeros;
    if (any && in->at < in->end && (*in->at == 'e' || *in->at == 'E')) {
        in->at++;
        bool down = in->at < in->end && *in->at == '-';
        in->at += in->at < in->end && (*in->at == '-' || *in->at == '+');
        int more = 0;
        for (any = false; in->at < in->end && *in->at >= '0' && *in->at <= '9' && more < 1000; in->at++, any = true) {
            more = more * 10 + (*in->at - '0');
        }
        exponent += down ? -more : more;
    }
    if (!any || (digits != 0 && (exponent > 22 || exponent < -22))) return false;
    double power = 1, value = (double)digits;
    for (int i = 0; i < exponent || i < -exponent; i++) power *= 10;
    if (digits != 0) value = exponent < 0 ? value / power : value * power;
    *number = negative ? -value : value;
    return true;
}

static bool blame(wf_refusal *refusal, wf_text key, wf_text message) {
    wf_refuse(refusal, WF_BLAME_CONFIG, NULL, message);
    refusal->key.some = true;
    refusal->key.is = key;
    return false;
}

static bool read_value(reader *in, wf_field *field, wf_refusal *refusal) {
    char first = peek(in);
    bool is_number = first == '-' || (first >= '0' && first <= '9');
    wf_text key = wf_of(field->key);
    switch (field->kind) {
    case WF_FIELD_NUMBER:
        if (!is_number) return blame(refusal, key, WF("a number is expected"));
        if (read_number(in, field->to)) return true;
        return blame(refusal, key, WF("it is no number of at most 15 digits and an exponent up to 22"));
    case WF_FIELD_FLAG:
        if (eat_word(in, "true")) return *(bool *)field->to = true;
        if (!eat_word(in, "false")) return blame(refusal, key, WF("`true` or `false` is expected"));
        *(bool *)field->to = false;
        return true;
    case WF_FIELD_TEXT:
        return read_text(in, field->to) || blame(refusal, key, WF("a text without \\u is expected"));
    }
    return false;
}

static bool read_all(reader *in, wf_field *fields, size_t count, wf_refusal *refusal) {
    wf_text no_object = WF("the configuration is no JSON object");
    if (!eat(in, '{')) return wf_refuse(refusal, WF_BLAME_CONFIG, NULL, no_object);
    if (eat(in, '}')) return true;
    do {
        wf_text key;
        if (!read_text(in, &key) || !eat(in, ':')) return wf_refuse(refusal, WF_BLAME_CONFIG, NULL, no_object);
        wf_field *field = NULL;
        for (size_t i = 0; i < count; i++) if (wf_same(key, wf_of(fields[i].key))) field = &fields[i];
        if (!field) return blame(refusal, key, WF("there is no such key"));
        if (!read_value(in, field, refusal)) return false;
        field->found = true;
    } while (eat(in, ','));
    return eat(in, '}') || wf_refuse(refusal, WF_BLAME_CONFIG, NULL, no_object);
}

bool wf_config(wf_text config, wf_field *fields, size_t count, wf_refusal *refusal) {
    reader in = { config.at, config.at + config.len };
    for (size_t i = 0; i < count; i++) fields[i].found = false;
    if (peek(&in) != '\0' && !read_all(&in, fields, count, refusal)) return false;
    for (size_t i = 0; i < count; i++) {
        if (fields[i].required && !fields[i].found) return blame(refusal, wf_of(fields[i].key), WF("it is missing"));
    }
    return true;
}
