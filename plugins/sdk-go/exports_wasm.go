package watchfire

import "unsafe"

// Its returns the detector, nil before it was started. For watchfire's own packages.
func Its() Detector { return its }

// NotStarted is the refusal of what is called too early. For watchfire's own packages.
func NotStarted() error { return notStarted() }

//go:wasmimport watchfire:detector/log@1.0.0 write
func writeLog(level uint32, at unsafe.Pointer, length uint32)

// Log writes a line to the gateway's log: 1 error, 2 warning, 3 information, 4 detail.
func Log(level uint8, message string) {
	writeLog(uint32(level), unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}

//go:wasmexport watchfire:detector/detector@1.0.0#describe
func exportDescribe() uint32 { return lowerDescription(&described) }

//go:wasmexport cabi_post_watchfire:detector/detector@1.0.0#describe
func afterDescribe(_ uint32) { Release() }

//go:wasmexport watchfire:detector/detector@1.0.0#init
func exportInit(config, configLen, signals, count uint32, seed uint64, hasModel, model, modelLen uint32) uint32 {
	setup := &Setup{Config: text(config, configLen), Signals: make([]Signal, count), Seed: seed}
	for i := range setup.Signals {
		setup.Signals[i] = liftSignal(place(signals) + place(i)*80)
	}
	if hasModel != 0 {
		setup.Model = append([]byte{}, column[byte](model, modelLen)...)
	}
	conditions, err := begin(setup)
	answer := room(take(28))
	if err != nil {
		lowerRefusal(answer, 4, err)
		return address(answer)
	}
	lowerConditions(answer, 4, conditions)
	return address(answer)
}

//go:wasmexport cabi_post_watchfire:detector/detector@1.0.0#init
func afterInit(_ uint32) { Release() }

//go:wasmexport watchfire:detector/detector@1.0.0#process
func exportProcess(batch uint32) uint32 { return LowerOutcome(process(LiftBatch(batch))) }

//go:wasmexport cabi_post_watchfire:detector/detector@1.0.0#process
func afterProcess(_ uint32) { Release() }

//go:wasmexport watchfire:detector/detector@1.0.0#explain
func exportExplain(condition, instance uint32) uint32 {
	answer := room(take(64))
	if verdict := explain(uint16(condition), instance); verdict != nil {
		answer.u8(0, 1)
		lowerVerdict(answer[8:], verdict)
	}
	return address(answer)
}

//go:wasmexport cabi_post_watchfire:detector/detector@1.0.0#explain
func afterExplain(_ uint32) { Release() }

//go:wasmexport watchfire:detector/state@1.0.0#save
func exportSave() uint32 { return LowerBytes(save()) }

//go:wasmexport cabi_post_watchfire:detector/state@1.0.0#save
func afterSave(_ uint32) { Release() }

//go:wasmexport watchfire:detector/state@1.0.0#load
func exportLoad(stateVersion, at, length uint32) uint32 {
	return LowerDone(load(stateVersion, column[byte](at, length)))
}

//go:wasmexport cabi_post_watchfire:detector/state@1.0.0#load
func afterLoad(_ uint32) { Release() }
