/* The exports of a component, made of detector_describe and its kin, and the memory behind them.
 *
 * One region of memory grows upwards. Up to `kept` it is the detector's; beyond it lie the arguments and the answer of
 * the call that is going on, and the host says when it has read them (`cabi_post_...`). So nothing is ever freed one by
 * one, and the same calls always find the same memory.
 */
#include "watchfire.h"

#ifdef __wasm__

extern char __heap_base;
#define PAGE_BYTES 65536

static uintptr_t next; /* where memory is free */
static uintptr_t kept; /* what lies below belongs to the detector */

static void *take(size_t bytes, size_t align) {
    if (next == 0) next = kept = (uintptr_t)&__heap_base;
    uintptr_t at = (next + align - 1) & ~(uintptr_t)(align - 1);
    uintptr_t end = at + bytes;
    uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) * PAGE_BYTES;
    if (end < at) __builtin_trap();
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + PAGE_BYTES - 1) / PAGE_BYTES) == (size_t)-1) {
        __builtin_trap();
    }
    next = end;
    return (void *)at;
}

void wf_end_call(void) { next = kept; }
static void keep(void) { kept = next; }

/* Compilers call these by themselves; each becomes one instruction (`-mbulk-memory`). */
#ifndef __wasm_bulk_memory__
#error "compile with -mbulk-memory"
#endif
void *memcpy(void *restrict to, const void *restrict from, size_t len) { return __builtin_memcpy(to, from, len); }
void *memmove(void *to, const void *from, size_t len) { return __builtin_memmove(to, from, len); }
void *memset(void *to, int byte, size_t len) { return __builtin_memset(to, byte, len); }

/* The layouts that the component model asks for. */
_Static_assert(sizeof(wf_signal) == 80 && offsetof(wf_signal, range) == 24 && offsetof(wf_signal, group) == 72, "");
_Static_assert(sizeof(wf_batch) == 96 && offsetof(wf_batch, gaps) == 88, "");
_Static_assert(sizeof(wf_gap) == 32 && sizeof(wf_exact) == 16 && sizeof(wf_row_text) == 12, "");
_Static_assert(sizeof(wf_condition) == 40 && offsetof(wf_condition, severity) == 20, "");
_Static_assert(sizeof(wf_slot) == 28 && sizeof(wf_description) == 80, "");
_Static_assert(sizeof(wf_verdict) == 56 && sizeof(wf_finding) == 56 && sizeof(wf_outcome) == 80, "");

__attribute__((import_module(WF_INTERFACE("log")), import_name("write"))) void wf_import_log(uint32_t level, const char *at, size_t len);

void wf_log(uint8_t level, wf_text message) { wf_import_log(level, message.at, message.len); }

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_len, size_t align, size_t len) {
    void *at = take(len, align);
    return old_len == 0 ? at : memcpy(at, old, old_len < len ? old_len : len);
}

static bool started;

bool wf_started(wf_refusal *refusal) {
    return started || wf_refuse(refusal, WF_BLAME_BUG, NULL, WF("called before `init`"));
}

WF_EXPORT("detector", "describe") wf_description *wf_describe(void) {
    wf_description *said = wf_new(sizeof *said);
    detector_describe(said);
    return said;
}
WF_AFTER("detector", "describe") void wf_after_describe(void *said) { (void)said; wf_end_call(); }

typedef struct { bool refused; union { wf_conditions conditions; wf_refusal refusal; }; } init_answer;

WF_EXPORT("detector", "init")
init_answer *wf_init(const char *config, size_t config_len, const wf_signal *signals, size_t count, uint64_t seed,
                  uint32_t has_model, const uint8_t *model, size_t model_len) {
    static init_answer answer;
    wf_setup setup = { .config = { config, config_len }, .signals = { signals, count }, .seed = seed };
    setup.model.some = has_model;
    if (has_model) setup.model.is = (wf_bytes){ model, model_len };
    wf_conditions conditions = { 0 };
    wf_refusal refusal = { 0 };
    answer.refused = !detector_init(&setup, &conditions, &refusal);
    if (answer.refused) answer.refusal = refusal; else answer.conditions = conditions;
    started = !answer.refused;
    keep();
    return &answer;
}

WF_EXPORT("detector", "process") wf_answer *wf_process(const wf_batch *batch) {
    static wf_answer answer;
    wf_refusal refusal = { 0 };
    answer = (wf_answer){ 0 };
    answer.refused = !wf_started(&refusal) || !detector_process(batch, &answer.outcome, &refusal);
    if (answer.refused) answer.refusal = refusal;
    return &answer;
}
WF_AFTER("detector", "process") void wf_after_process(void *answer) { (void)answer; wf_end_call(); }

typedef WF_OPTION(wf_verdict) explain_answer;

WF_EXPORT("detector", "explain") explain_answer *wf_explain(uint32_t condition, uint32_t instance) {
    static explain_answer answer;
    answer = (explain_answer){ 0 };
    answer.some = started && detector_explain((uint16_t)condition, instance, &answer.is);
    return &answer;
}
WF_AFTER("detector", "explain") void wf_after_explain(void *answer) { (void)answer; wf_end_call(); }

WF_EXPORT("state", "save") wf_bytes *wf_save(void) {
    static wf_bytes answer;
    answer = started ? detector_save() : (wf_bytes){ 0 };
    return &answer;
}
WF_AFTER("state", "save") void wf_after_save(void *answer) { (void)answer; wf_end_call(); }

WF_EXPORT("state", "load") wf_done *wf_load(uint32_t state_version, const uint8_t *at, size_t len) {
    static wf_done answer;
    answer = (wf_done){ 0 };
    answer.refused = !wf_started(&answer.refusal) || !detector_load(state_version, (wf_bytes){ at, len }, &answer.refusal);
    keep();
    return &answer;
}

#else /* Tests on your own machine: memory is the machine's, and the log is standard error. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *take(size_t bytes, size_t align) {
    (void)align;
    void *at = malloc(bytes ? bytes : 1);
    return at ? at : (abort(), NULL);
}

void wf_log(uint8_t level, wf_text message) { fprintf(stderr, "log %u: %.*s\n", level, (int)message.len, message.at); }

#endif

void *wf_new(size_t bytes) { return memset(take(bytes, 8), 0, bytes); }

__attribute__((weak)) bool detector_explain(uint16_t condition, uint32_t instance, wf_verdict *verdict) {
    (void)condition, (void)instance, (void)verdict;
    return false;
}

__attribute__((weak)) wf_bytes detector_save(void) { return (wf_bytes){ 0 }; }

__attribute__((weak)) bool detector_load(uint32_t state_version, wf_bytes state, wf_refusal *refusal) {
    (void)state_version;
    return state.len == 0 || wf_refuse(refusal, WF_BLAME_STATE, NULL, WF("this detector keeps no state"));
}

bool wf_usable(const wf_batch *batch, size_t row) {
    return batch->status.at[row] >> 31 == 0 && __builtin_isfinite(batch->value.at[row])
        && (batch->quality.at[row] & WF_DISTRUSTED) == 0;
}

/* A list with room for one more: it doubles when its length is a power of two. */
static void *grown(void *at, size_t len, size_t element) {
    if ((len & (len - 1)) != 0) return at;
    void *larger = take((len ? 2 * len : 1) * element, 8);
    return len ? memcpy(larger, at, len * element) : larger;
}
#define ADD(list) ((list).at = grown((list).at, (list).len, sizeof *(list).at), &(list).at[(list).len++])

wf_verdict *wf_add_verdict(wf_outcome *outcome) {
    wf_verdict *verdict = ADD(outcome->verdicts);
    *verdict = (wf_verdict){ 0 };
    return verdict;
}

wf_finding *wf_add_finding(wf_verdict *verdict) {
    wf_finding *finding = ADD(verdict->evidence);
    *finding = (wf_finding){ 0 };
    return finding;
}

void wf_add_score(wf_outcome *outcome, uint16_t condition, uint32_t instance, wf_time at, double score) {
    *ADD(outcome->scores.condition) = condition;
    *ADD(outcome->scores.instance) = instance;
    *ADD(outcome->scores.at) = at;
    *ADD(outcome->scores.score) = score;
}

wf_text wf_of(const char *text) {
    size_t len = 0;
    while (text[len]) len++;
    return (wf_text){ text, len };
}

bool wf_refuse(wf_refusal *refusal, wf_blame blame, const char *key, wf_text message) {
    *refusal = (wf_refusal){ .blame = blame, .message = message };
    if (key) {
        refusal->key.some = true;
        refusal->key.is = wf_of(key);
    }
    return false;
}
