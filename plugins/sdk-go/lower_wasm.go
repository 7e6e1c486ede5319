package watchfire

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// room is memory that the host will read; its methods write what lies so many bytes from its beginning.
type room []byte

func (to room) u8(off int, value uint8)   { to[off] = value }
func (to room) u16(off int, value uint16) { binary.LittleEndian.PutUint16(to[off:], value) }
func (to room) u32(off int, value uint32) { binary.LittleEndian.PutUint32(to[off:], value) }
func (to room) u64(off int, value uint64) { binary.LittleEndian.PutUint64(to[off:], value) }
func (to room) f64(off int, value float64) {
	to.u64(off, math.Float64bits(value))
}

func (to room) text(off int, text string) {
	held = append(held, text)
	to.u32(off, uint32(uintptr(unsafe.Pointer(unsafe.StringData(text)))))
	to.u32(off+4, uint32(len(text)))
}

// some writes whether there is a value, and the value so many bytes on.
func (to room) some(off, beyond int, value *float64) {
	if value != nil {
		to.u8(off, 1)
		to.f64(off+beyond, *value)
	}
}

// lowerColumn hands over a list of plain numbers where it lies.
func lowerColumn[T any](to room, off int, column []T) {
	held = append(held, column)
	to.u32(off, uint32(uintptr(unsafe.Pointer(unsafe.SliceData(column)))))
	to.u32(off+4, uint32(len(column)))
}

// lowerList writes a list of records of one size.
func lowerList[T any](to room, off int, list []T, size int, write func(room, *T)) {
	records := room(take(len(list) * size))
	for i := range list {
		write(records[i*size:(i+1)*size], &list[i])
	}
	to.u32(off, address(records))
	to.u32(off+4, uint32(len(list)))
}

func lowerCondition(to room, condition *Condition) {
	to.text(0, condition.ID)
	to.u8(8, uint8(condition.Scope))
	to.u8(9, uint8(condition.Decides))
	to.u8(10, uint8(condition.Scale))
	to.text(12, condition.AlarmType)
	to.u16(20, condition.Severity)
	to.text(24, condition.Text)
	to.text(32, condition.Response)
}

func lowerConditions(to room, off int, conditions []Condition) {
	lowerList(to, off, conditions, 40, lowerCondition)
}

func lowerDescription(said *Description) uint32 {
	to := room(take(80))
	to.text(0, said.ID)
	to.text(8, said.Version)
	to.text(16, said.Title)
	to.u32(24, said.StateVersion)
	to.text(28, said.ConfigSchema)
	lowerConditions(to, 36, said.Conditions)
	lowerList(to, 44, said.Slots, 28, func(to room, slot *Slot) {
		to.text(0, slot.Role)
		lowerColumn(to, 8, slot.Kinds)
		to.u32(16, slot.Least)
		if slot.Most != nil {
			to.u8(20, 1)
			to.u32(24, *slot.Most)
		}
	})
	if said.TickNs != nil {
		to.u8(56, 1)
		to.u64(64, *said.TickNs)
	}
	to.u64(72, said.WarmUpSamples)
	return address(to)
}

func lowerVerdict(to room, verdict *Verdict) {
	to.u16(0, verdict.Condition)
	to.u32(4, verdict.Instance)
	to.u64(8, uint64(verdict.At))
	to.u8(16, uint8(verdict.Level))
	to.some(24, 8, verdict.Score)
	to.text(40, verdict.Why)
	lowerList(to, 48, verdict.Evidence, 56, func(to room, finding *Finding) {
		to.u32(0, finding.Signal)
		to.f64(8, finding.Observed)
		to.some(16, 8, finding.Low)
		to.some(32, 8, finding.High)
		to.f64(48, finding.Share)
	})
}

// LowerOutcome writes what a call answers. For watchfire's own packages.
func LowerOutcome(outcome Outcome, err error) uint32 {
	answer := room(take(88))
	if err != nil {
		lowerRefusal(answer, 8, err)
		return address(answer)
	}
	to := answer[8:]
	lowerColumn(to, 0, outcome.Scores.Condition)
	lowerColumn(to, 8, outcome.Scores.Instance)
	lowerColumn(to, 16, outcome.Scores.At)
	lowerColumn(to, 24, outcome.Scores.Score)
	lowerList(to, 32, outcome.Verdicts, 56, lowerVerdict)
	if progress := outcome.Progress; progress != nil {
		to.u8(40, 1)
		to.u8(48, uint8(progress.Phase))
		to.u64(56, progress.Have)
		to.u64(64, progress.Need)
		to.text(72, progress.Note)
	}
	return address(answer)
}

// lowerRefusal writes that a call refuses, and the refusal so many bytes on.
func lowerRefusal(answer room, off int, err error) {
	refused := refusal(err)
	answer.u8(0, 1)
	to := answer[off:]
	to.u8(0, uint8(refused.Blame))
	if refused.Key != nil {
		to.u8(4, 1)
		to.text(8, *refused.Key)
	}
	to.text(16, refused.Message)
}

// LowerDone writes the answer of a call that has none but an error. For watchfire's own packages.
func LowerDone(err error) uint32 {
	answer := room(take(28))
	if err != nil {
		lowerRefusal(answer, 4, err)
	}
	return address(answer)
}

// LowerBytes writes an answer of bytes. For watchfire's own packages.
func LowerBytes(bytes []byte) uint32 {
	answer := room(take(8))
	lowerColumn(answer, 0, bytes)
	return address(answer)
}
