/* The contract's `events-in`, for a detector that hears of servers' events as records: include this in detector.c, once,
 * and write the function. */
#ifndef WATCHFIRE_EVENTS_H
#define WATCHFIRE_EVENTS_H

#include "watchfire.h"

typedef struct { wf_text name, value; } wf_event_field;

typedef struct {
    wf_time time;
    uint32_t source; /* the signal that is its stream */
    wf_text event_type;
    uint16_t severity; /* 1 to 1000; 0 where it does not say */
    WF_OPTION(wf_text) user;
    wf_text message;
    WF_LIST(const wf_event_field) fields; /* sorted by names */
} wf_event;

typedef WF_LIST(const wf_event) wf_events;

/* Judges the events of one frame, after its batch was judged. Answers as detector_process does. */
bool detector_observe(uint64_t frame, wf_time now, wf_events events, wf_outcome *outcome, wf_refusal *refusal);

#ifdef __wasm__

_Static_assert(sizeof(wf_event) == 56 && offsetof(wf_event, fields) == 44, "");

WF_EXPORT("events-in", "observe") wf_answer *wf_observe(uint64_t frame, wf_time now, const wf_event *first, size_t count) {
    static wf_answer answer;
    wf_refusal refusal = { 0 };
    wf_events events = { first, count };
    answer = (wf_answer){ 0 };
    answer.refused = !wf_started(&refusal) || !detector_observe(frame, now, events, &answer.outcome, &refusal);
    if (answer.refused) answer.refusal = refusal;
    return &answer;
}
WF_AFTER("events-in", "observe") void wf_after_observe(void *answer) { (void)answer; wf_end_call(); }

#endif
#endif
