package learner

import "watchfire"

// its is the detector, nil where it is none that learns.
func its() watchfire.Learner {
	learner, _ := watchfire.Its().(watchfire.Learner)
	return learner
}

//go:wasmexport watchfire:detector/learner@1.0.0#learn
func learn(batch uint32) uint32 {
	if its() == nil {
		return watchfire.LowerDone(watchfire.NotStarted())
	}
	return watchfire.LowerDone(its().Learn(watchfire.LiftBatch(batch)))
}

//go:wasmexport cabi_post_watchfire:detector/learner@1.0.0#learn
func afterLearn(_ uint32) { watchfire.Release() }

//go:wasmexport watchfire:detector/learner@1.0.0#freeze
func freeze(on uint32) {
	if it := its(); it != nil {
		it.Freeze(on != 0)
	}
}

//go:wasmexport watchfire:detector/learner@1.0.0#forget
func forget(hasSignal, signal uint32) {
	var one *uint32
	if hasSignal != 0 {
		one = &signal
	}
	if it := its(); it != nil {
		it.Forget(one)
	}
}

//go:wasmexport watchfire:detector/learner@1.0.0#model
func model() uint32 {
	if it := its(); it != nil {
		return watchfire.LowerBytes(it.Model())
	}
	return watchfire.LowerBytes(nil)
}

//go:wasmexport cabi_post_watchfire:detector/learner@1.0.0#model
func afterModel(_ uint32) { watchfire.Release() }
