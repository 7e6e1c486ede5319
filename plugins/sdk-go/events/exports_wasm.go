package events

import "watchfire"

//go:wasmexport watchfire:detector/events-in@1.0.0#observe
func observe(frame uint64, now int64, first, count uint32) uint32 {
	observer, is := watchfire.Its().(watchfire.Observer)
	if !is {
		return watchfire.LowerOutcome(watchfire.Outcome{}, watchfire.NotStarted())
	}
	return watchfire.LowerOutcome(observer.Observe(frame, now, watchfire.LiftEvents(first, count)))
}

//go:wasmexport cabi_post_watchfire:detector/events-in@1.0.0#observe
func afterObserve(_ uint32) { watchfire.Release() }
