/* The reference detector in C; `README.md` says what it does in any language. */
#include "events.h"
#include "learner.h"
#include "watchfire.h"

#define STATE_VERSION 1
#define WINDOW_MAX 64
#define NEVER 255

static const wf_kind NUMBERS[] = { WF_REAL, WF_SIGNED };
static const wf_kind BOOLEANS[] = { WF_BOOLEAN };
static const wf_slot SLOTS[] = {
    { .role = WF("value"), .kinds = { NUMBERS, 2 }, .least = 1, .most = { true, 1000 } },
    { .role = WF(""), .kinds = { BOOLEANS, 1 }, .least = 0 },
};

typedef struct {
    const wf_signal *signal;
    uint8_t told;
    bool owes; /* told again because a state was restored */
    size_t count;
    double last[WINDOW_MAX];
    uint64_t learned;
    double highest;
} channel;

static double above, deadband, window;
static bool frozen;
static channel *channels;
static size_t channels_len;
static wf_condition conditions[] = {
    {
        .id = WF("above"),
        .alarm_type = WF("OffNormalAlarmType"),
        .severity = 500,
        .text = WF("the value is above its limit — „über“"),
    },
    {
        .id = WF("deviation"),
        .scope = WF_PER_SIGNAL,
        .decides = WF_HOST_DECIDES,
        .scale = WF_ORDINAL,
        .alarm_type = WF("DiscrepancyAlarmType"),
        .severity = 300,
        .text = WF("the value is far from its mean"),
    },
};

static wf_text described(const wf_signal *signal) {
    static const char *KINDS[] = { "boolean", "signed", "unsigned", "real", "enumeration", "text", "time" };
    wf_text unit = signal->unit.some ? signal->unit.is : WF("-");
    wf_text range = WF("-"), sampling = WF("-");
    if (signal->range.some) range = wf_format("%g to %g", signal->range.is.low, signal->range.is.high);
    if (signal->sampling_ns.some) sampling = wf_format("%u", signal->sampling_ns.is);
    return wf_format("%t %s %t %t %t %t %u;", signal->name, KINDS[signal->kind], unit, range, sampling, signal->role,
                     (uint64_t)signal->group);
}

static wf_text whole(int64_t number) {
    return number < 0 ? wf_format("-%u", -(uint64_t)number) : wf_format("%u", (uint64_t)number);
}

/* What came in the smaller columns. */
static wf_text note(const wf_batch *batch) {
    wf_text exact = WF(""), text = WF(""), skew = WF(""), quality = WF("");
    for (size_t i = 0; i < batch->exact.len; i++) {
        exact = wf_format("%t %u=%t", exact, (uint64_t)batch->exact.at[i].row, whole(batch->exact.at[i].bits));
    }
    for (size_t i = 0; i < batch->text.len; i++) {
        text = wf_format("%t %u=%t", text, (uint64_t)batch->text.at[i].row, batch->text.at[i].value);
    }
    for (size_t i = 0; i < batch->skew_ns.len; i++) skew = wf_format("%t %t", skew, whole(batch->skew_ns.at[i]));
    for (size_t i = 0; i < batch->quality.len; i++) {
        quality = wf_format("%t %u", quality, (uint64_t)batch->quality.at[i]);
    }
    return wf_format("frame %u offset %t mode %u gaps %u exact%t text%t skew%t quality%t", batch->frame,
                     whole(batch->utc_offset_s), (uint64_t)batch->mode, (uint64_t)batch->gaps.len, exact, text, skew,
                     quality);
}

static double mean(const channel *of) {
    double sum = 0;
    for (size_t i = 0; i < of->count; i++) sum += of->last[i];
    return sum / (double)of->count;
}

static double distance(double one, double other) { return one < other ? other - one : one - other; }

void detector_describe(wf_description *said) {
    said->id = WF("reference");
    said->version = WF("0.1.0");
    said->title = WF("does a little of everything");
    said->state_version = STATE_VERSION;
    said->config_schema = WF("{\"type\": \"object\"}");
    said->conditions = (wf_conditions){ conditions, 2 };
    said->slots.at = SLOTS;
    said->slots.len = 2;
    said->tick_ns.some = true;
    said->tick_ns.is = 5000000000;
    said->warm_up_samples = 4;
}

bool detector_init(const wf_setup *setup, wf_conditions *found, wf_refusal *refusal) {
    window = 4;
    wf_field fields[] = {
        { "above", WF_FIELD_NUMBER, &above, .required = true },
        { "deadband", WF_FIELD_NUMBER, &deadband },
        { "window", WF_FIELD_NUMBER, &window },
    };
    if (!wf_config(setup->config, fields, 3, refusal)) return false;
    if (deadband < 0) return wf_refuse(refusal, WF_BLAME_CONFIG, "deadband", WF("it is negative"));
    if (!(window >= 1 && window <= WINDOW_MAX && window == (double)(int)window)) {
        return wf_refuse(refusal, WF_BLAME_CONFIG, "window", WF("it is no whole number from 1 to 64"));
    }
    channels_len = setup->signals.len;
    channels = WF_NEW(channel, channels_len);
    conditions[0].response = WF("");
    for (size_t i = 0; i < channels_len; i++) {
        channels[i].signal = &setup->signals.at[i];
        channels[i].told = NEVER;
        conditions[0].response = wf_format("%t%t", conditions[0].response, described(channels[i].signal));
    }
    *found = (wf_conditions){ conditions, 2 };
    return true;
}

static bool has_gap(const wf_batch *batch, uint32_t signal) {
    for (size_t i = 0; i < batch->gaps.len; i++) {
        const wf_gap *gap = &batch->gaps.at[i];
        if (!gap->signal.some || gap->signal.is == signal) return true;
    }
    return false;
}

static wf_verdict *tell(wf_outcome *outcome, uint32_t instance, wf_time at, wf_level level, wf_text why) {
    wf_verdict *verdict = wf_add_verdict(outcome);
    verdict->instance = instance;
    verdict->at = at;
    verdict->level = level;
    verdict->why = why;
    return verdict;
}

static void judge(const wf_batch *batch, size_t row, wf_outcome *outcome) {
    uint32_t instance = batch->signal.at[row];
    wf_time at = batch->time.at[row];
    double value = batch->value.at[row];
    channel *of = &channels[instance];
    wf_level level = WF_UNKNOWN;
    if (wf_usable(batch, row)) {
        bool active = value > above || (of->told == WF_ACTIVE && value >= above - deadband);
        level = active ? WF_ACTIVE : WF_NORMAL;
        if (of->count == (size_t)window) {
            of->count--;
            for (size_t i = 0; i < of->count; i++) of->last[i] = of->last[i + 1];
        }
        of->last[of->count++] = value;
        wf_add_score(outcome, 1, instance, at, distance(value, mean(of)));
    }
    if (of->told == level) return;
    of->told = level;
    of->owes = false;
    if (level == WF_UNKNOWN) {
        tell(outcome, instance, at, level, WF("there is no usable value"));
        return;
    }
    const char *side = level == WF_ACTIVE ? "is above" : "is not above";
    wf_text why = wf_format("%t %s %t", wf_show(of->signal, value), side, wf_show(of->signal, above));
    wf_finding *finding = wf_add_finding(tell(outcome, instance, at, level, why));
    *finding = (wf_finding){ .signal = instance, .observed = value, .high = { true, above }, .share = 1 };
    finding->low.some = deadband > 0;
    finding->low.is = above - deadband;
}

bool detector_process(const wf_batch *batch, wf_outcome *outcome, wf_refusal *refusal) {
    (void)refusal;
    for (uint32_t i = 0; i < channels_len; i++) {
        channel *of = &channels[i];
        if (has_gap(batch, i)) of->count = 0;
        if (of->owes) tell(outcome, i, batch->now, of->told, WF("as it was before the restart"));
        of->owes = false;
    }
    for (size_t row = 0; row < batch->value.len; row++) judge(batch, row, outcome);
    wf_progress progress = { .have = (uint64_t)window, .need = (uint64_t)window, .note = note(batch) };
    for (size_t i = 0; i < channels_len; i++) if (channels[i].count < progress.have) progress.have = channels[i].count;
    progress.phase = progress.have < progress.need ? WF_LEARNING : WF_READY;
    outcome->progress.some = true;
    outcome->progress.is = progress;
    return true;
}

bool detector_explain(uint16_t condition, uint32_t instance, wf_verdict *verdict) {
    const channel *of = &channels[instance];
    if (condition != 1 || of->count == 0) return false;
    double value = of->last[of->count - 1], expected = mean(of);
    verdict->condition = condition;
    verdict->instance = instance;
    verdict->level = WF_ACTIVE;
    verdict->score.some = true;
    verdict->score.is = distance(value, expected);
    verdict->why = wf_format("%t is far from %t", wf_show(of->signal, value), wf_show(of->signal, expected));
    *wf_add_finding(verdict) = (wf_finding){
        .signal = instance, .observed = value, .low = { true, expected }, .high = { true, expected }, .share = 1,
    };
    return true;
}

wf_bytes detector_save(void) {
    uint8_t *state = wf_new(channels_len * (2 + 8 * WINDOW_MAX));
    size_t len = 0;
    for (size_t i = 0; i < channels_len; i++) {
        state[len++] = channels[i].told;
        state[len++] = (uint8_t)channels[i].count;
        for (size_t one = 0; one < channels[i].count; one++, len += 8) {
            __builtin_memcpy(&state[len], &channels[i].last[one], 8);
        }
    }
    return (wf_bytes){ state, len };
}

bool detector_load(uint32_t state_version, wf_bytes state, wf_refusal *refusal) {
    if (state_version != STATE_VERSION) return wf_refuse(refusal, WF_BLAME_STATE, NULL, WF("its version is not 1"));
    size_t at = 0;
    for (size_t i = 0; i < channels_len; i++) {
        channel *of = &channels[i];
        size_t count = at + 2 <= state.len ? state.at[at + 1] : WINDOW_MAX + 1;
        if (count > WINDOW_MAX || at + 2 + 8 * count > state.len) {
            return wf_refuse(refusal, WF_BLAME_STATE, NULL, WF("it is cut short"));
        }
        of->told = state.at[at];
        of->owes = of->told != NEVER && of->told != WF_NORMAL;
        of->count = count;
        __builtin_memcpy(of->last, &state.at[at + 2], 8 * count);
        at += 2 + 8 * count;
    }
    return at == state.len || wf_refuse(refusal, WF_BLAME_STATE, NULL, WF("it is too long"));
}

bool detector_learn(const wf_batch *batch, wf_refusal *refusal) {
    if (batch->mode == 13) return wf_refuse(refusal, WF_BLAME_SIGNALS, NULL, WF("it learns nothing in mode 13"));
    for (size_t row = 0; row < batch->value.len; row++) {
        if (frozen || !wf_usable(batch, row)) continue;
        channel *of = &channels[batch->signal.at[row]];
        double value = batch->value.at[row];
        if (of->learned == 0 || value > of->highest) of->highest = value;
        of->learned++;
    }
    return true;
}

void detector_freeze(bool on) { frozen = on; }

void detector_forget(wf_one signal) {
    for (size_t i = 0; i < channels_len; i++) {
        if (!signal.some || signal.is == i) channels[i].learned = 0, channels[i].highest = 0;
    }
}

wf_bytes detector_model(void) {
    wf_text model = WF("");
    for (size_t i = 0; i < channels_len; i++) {
        const channel *of = &channels[i];
        model = wf_format("%t%t %u %g\n", model, of->signal->name, of->learned, of->highest);
    }
    return (wf_bytes){ (const uint8_t *)model.at, model.len };
}

bool detector_observe(uint64_t frame, wf_time now, wf_events events, wf_outcome *outcome, wf_refusal *refusal) {
    (void)now;
    for (size_t i = 0; i < events.len; i++) {
        const wf_event *event = &events.at[i];
        if (wf_same(event->message, WF("refuse"))) return wf_refuse(refusal, WF_BLAME_SIGNALS, NULL, WF("it was asked to"));
        wf_text user = event->user.some ? event->user.is : WF("-");
        uint64_t severity = event->severity;
        wf_text why = wf_format("%t %u %t: %t", event->event_type, severity, user, event->message);
        for (size_t one = 0; one < event->fields.len; one++) {
            why = wf_format("%t %t=%t", why, event->fields.at[one].name, event->fields.at[one].value);
        }
        wf_level level = event->severity >= 500 ? WF_ACTIVE : WF_NORMAL;
        wf_verdict *said = tell(outcome, event->source, event->time, level, why);
        said->score.some = true;
        said->score.is = event->severity;
    }
    outcome->progress.some = true;
    outcome->progress.is = (wf_progress){ .phase = WF_READY, .have = events.len, .note = wf_format("frame %u", frame) };
    return true;
}
