/* What a Watchfire detector in C is written with: the contract of wit/1.0.0/detector.wit as plain structs, and the few
 * functions a detector needs in place of a C library. There is no C library, no clock, no randomness and no file.
 *
 * You write detector_describe, detector_init and detector_process; watchfire.c makes a component's exports of them.
 * For WebAssembly a struct lies in memory exactly as the component model lays it out: batches are read where the
 * gateway wrote them, nothing is copied.
 *
 * Memory: what wf_new gives during detector_init and detector_load is kept for good. What it gives during any other
 * call is gone when that call's answer has been read. So: make your state in detector_init.
 */
#ifndef WATCHFIRE_H
#define WATCHFIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A list as the contract has it: an address and a count. */
#define WF_LIST(type) struct { type *at; size_t len; }
#define WF_OPTION(type) struct { bool some; type is; }

/* Text: UTF-8, not ended by a zero. */
typedef WF_LIST(const char) wf_text;
/* Text of a literal. */
#define WF(literal) ((wf_text){ (literal), sizeof(literal) - 1 })

/* UTC nanoseconds. */
typedef int64_t wf_time;

typedef struct { double low, high; } wf_range;

typedef uint8_t wf_kind;
enum { WF_BOOLEAN, WF_SIGNED, WF_UNSIGNED, WF_REAL, WF_ENUMERATION, WF_KIND_TEXT, WF_KIND_TIME };

typedef struct {
    wf_text name;
    wf_kind kind;
    WF_OPTION(wf_text) unit; /* UCUM code */
    WF_OPTION(wf_range) range;
    WF_OPTION(uint64_t) sampling_ns;
    wf_text role; /* which slot of the description it fills */
    uint32_t group;
} wf_signal;

typedef uint8_t wf_cause;
enum { WF_SOURCE_LOST, WF_OVERFLOW, WF_SKIPPED, WF_NOT_RECORDED };

typedef struct {
    WF_OPTION(uint32_t) signal; /* none: all of them */
    wf_time since, until;
    wf_cause cause;
} wf_gap;

typedef struct { uint32_t row; int64_t bits; } wf_exact;
typedef struct { uint32_t row; wf_text value; } wf_row_text;

/* One frame of the log, cut down to your signals. signal, time, value, status and quality have one length. */
typedef struct {
    uint64_t frame;
    wf_time now; /* monotone; the only clock */
    int32_t utc_offset_s;
    uint32_t mode;
    WF_LIST(const uint32_t) signal; /* indexes of the list that init was given */
    WF_LIST(const wf_time) time;
    WF_LIST(const double) value; /* NaN where there is no number */
    WF_LIST(const uint32_t) status; /* OPC UA StatusCode */
    WF_LIST(const uint8_t) quality; /* WF_LATE and others */
    WF_LIST(const int64_t) skew_ns; /* empty when all are zero */
    WF_LIST(const wf_exact) exact;
    WF_LIST(const wf_row_text) text;
    WF_LIST(const wf_gap) gaps;
} wf_batch;

/* Bits of the quality column. */
enum { WF_LATE = 1, WF_AFTER_OVERFLOW = 2, WF_ROUNDED = 4, WF_SERVER_TIME = 8, WF_DISTRUSTED = 16 };

typedef uint8_t wf_blame;
enum { WF_BLAME_CONFIG, WF_BLAME_SIGNALS, WF_BLAME_MODEL, WF_BLAME_STATE, WF_BLAME_BUG };

typedef struct {
    wf_blame blame;
    WF_OPTION(wf_text) key;
    wf_text message;
} wf_refusal;

typedef uint8_t wf_scope;
enum { WF_PER_SIGNAL, WF_PER_GROUP, WF_PER_BINDING };
typedef uint8_t wf_decides;
enum { WF_PLUGIN_DECIDES, WF_HOST_DECIDES };
typedef uint8_t wf_scale;
enum { WF_NEG_LOG10_P, WF_ORDINAL };

typedef struct {
    wf_text id;
    wf_scope scope;
    wf_decides decides;
    wf_scale scale;
    wf_text alarm_type; /* such as OffNormalAlarmType */
    uint16_t severity; /* 1 to 1000 */
    wf_text text, response;
} wf_condition;

typedef struct {
    wf_text role;
    WF_LIST(const wf_kind) kinds;
    uint32_t least;
    WF_OPTION(uint32_t) most;
} wf_slot;

typedef WF_LIST(const wf_condition) wf_conditions;

typedef struct {
    wf_text id, version, title;
    uint32_t state_version;
    wf_text config_schema; /* JSON Schema */
    wf_conditions conditions;
    WF_LIST(const wf_slot) slots;
    WF_OPTION(uint64_t) tick_ns;
    uint64_t warm_up_samples;
} wf_description;

typedef WF_LIST(const uint8_t) wf_bytes;

/* What init is handed; all of it stays where it is for good. */
typedef struct {
    wf_text config; /* JSON */
    WF_LIST(const wf_signal) signals;
    uint64_t seed;
    WF_OPTION(wf_bytes) model;
} wf_setup;

typedef uint8_t wf_level;
enum { WF_NORMAL, WF_LOW_LOW, WF_LOW, WF_HIGH, WF_HIGH_HIGH, WF_ACTIVE, WF_UNKNOWN };

typedef struct {
    uint32_t signal;
    double observed;
    WF_OPTION(double) low, high; /* what was expected */
    double share; /* of the cause, 0 to 1 */
} wf_finding;

typedef struct {
    uint16_t condition;
    uint32_t instance; /* signal index, group number or 0, by the condition's scope */
    wf_time at;
    wf_level level;
    WF_OPTION(double) score;
    wf_text why;
    WF_LIST(wf_finding) evidence;
} wf_verdict;

typedef uint8_t wf_phase;
enum { WF_LEARNING, WF_READY, WF_RELEARN };

typedef struct {
    wf_phase phase;
    uint64_t have, need;
    wf_text note;
} wf_progress;

typedef struct {
    struct {
        WF_LIST(uint16_t) condition;
        WF_LIST(uint32_t) instance;
        WF_LIST(wf_time) at;
        WF_LIST(double) score;
    } scores;
    WF_LIST(wf_verdict) verdicts;
    WF_OPTION(wf_progress) progress;
} wf_outcome;

/* What you write ---------------------------------------------------------------------------------------------------- */

/* What it is. Asked once for a component. */
void detector_describe(wf_description *said);
/* Starts it. False after a refusal (wf_refuse). `conditions` are those of this configuration. */
bool detector_init(const wf_setup *setup, wf_conditions *conditions, wf_refusal *refusal);
/* Judges a batch; one without rows is a tick or a gap. Levels on change. False after a refusal ends the instance. */
bool detector_process(const wf_batch *batch, wf_outcome *outcome, wf_refusal *refusal);
/* Optional. The reasons for a score of the last batch; false for none. Changes nothing. */
bool detector_explain(uint16_t condition, uint32_t instance, wf_verdict *verdict);
/* Optional. The state, and taking it over from the same signals and configuration. */
wf_bytes detector_save(void);
bool detector_load(uint32_t state_version, wf_bytes state, wf_refusal *refusal);

/* What you may call ------------------------------------------------------------------------------------------------- */

/* Memory set to zero; see the head of this file for how long. Ends the instance when there is none. */
void *wf_new(size_t bytes);
#define WF_NEW(type, count) ((type *)wf_new(sizeof(type) * (count)))

/* Whether a row's value can be judged: not bad, a number, and nobody distrusts it. */
bool wf_usable(const wf_batch *batch, size_t row);

/* A verdict, a finding of a verdict, a score: added at the end. Pointers hold until the next of the same list. */
wf_verdict *wf_add_verdict(wf_outcome *outcome);
wf_finding *wf_add_finding(wf_verdict *verdict);
void wf_add_score(wf_outcome *outcome, uint16_t condition, uint32_t instance, wf_time at, double score);

/* Fills in a refusal and answers false. `key` may be null. */
bool wf_refuse(wf_refusal *refusal, wf_blame blame, const char *key, wf_text message);

/* Text that ends with a zero. */
wf_text wf_of(const char *text);
bool wf_same(wf_text one, wf_text other);
/* Text of parts: %s a const char *, %t a wf_text, %g a double with six significant digits, %u a uint64_t. */
wf_text wf_format(const char *format, ...);
/* A number with six significant digits, and with the signal's unit. */
wf_text wf_number(double value);
wf_text wf_show(const wf_signal *signal, double value);

/* Reads a configuration, a flat JSON object. A key that is not in `fields`, one that is required and missing, and one
 * of another kind are refused by name. Numbers may have 15 digits. */
typedef struct {
    const char *key;
    enum { WF_FIELD_NUMBER, WF_FIELD_FLAG, WF_FIELD_TEXT } kind;
    void *to; /* double, bool or wf_text */
    bool required;
    bool found; /* set by wf_config */
} wf_field;
bool wf_config(wf_text config, wf_field *fields, size_t count, wf_refusal *refusal);

/* A line for the gateway's log: 1 error, 2 warning, 3 information, 4 detail. */
void wf_log(uint8_t level, wf_text message);

/* For watchfire.c, learner.h and events.h ---------------------------------------------------------------------------- */

#define WF_INTERFACE(interface) "watchfire:detector/" interface "@0.1.0"
#define WF_EXPORT(interface, function) __attribute__((export_name(WF_INTERFACE(interface) "#" function)))
#define WF_AFTER(interface, function) __attribute__((export_name("cabi_post_" WF_INTERFACE(interface) "#" function)))

typedef struct { bool refused; wf_refusal refusal; } wf_done;
typedef struct { bool refused; union { wf_outcome outcome; wf_refusal refusal; }; } wf_answer;

/* Whether it was started; else the refusal says so. */
bool wf_started(wf_refusal *refusal);
/* The answer of a call has been read: gives back what was made in it. */
void wf_end_call(void);

#endif
