/* The contract's `learner`, for a detector that learns from more than what it judges: include this in detector.c, once,
 * and write the four functions. Memory that lasts is made in detector_init. */
#ifndef WATCHFIRE_LEARNER_H
#define WATCHFIRE_LEARNER_H

#include "watchfire.h"

typedef WF_OPTION(uint32_t) wf_one;

/* Takes rows that came late, or history before it judges anything. Nothing of it is judged. False after a refusal. */
bool detector_learn(const wf_batch *batch, wf_refusal *refusal);
/* Nothing may be learned from now on, or it may again. */
void detector_freeze(bool on);
/* Takes away what it has learned of a signal, or all of it (none). */
void detector_forget(wf_one signal);
/* What it has learned, for people to review: best a text. */
wf_bytes detector_model(void);

#ifdef __wasm__

WF_EXPORT("learner", "learn") wf_done *wf_learn(const wf_batch *batch) {
    static wf_done answer;
    answer = (wf_done){ 0 };
    answer.refused = !wf_started(&answer.refusal) || !detector_learn(batch, &answer.refusal);
    return &answer;
}
WF_AFTER("learner", "learn") void wf_after_learn(void *answer) { (void)answer; wf_end_call(); }

WF_EXPORT("learner", "freeze") void wf_freeze(uint32_t on) { detector_freeze(on); }

WF_EXPORT("learner", "forget") void wf_forget(uint32_t some, uint32_t signal) {
    detector_forget((wf_one){ some, signal });
}

WF_EXPORT("learner", "model") wf_bytes *wf_model(void) {
    static wf_bytes answer;
    answer = detector_model();
    return &answer;
}
WF_AFTER("learner", "model") void wf_after_model(void *answer) { (void)answer; wf_end_call(); }

#endif
#endif
