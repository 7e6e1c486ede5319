package watchfire

import "math"

// place is an address that the host wrote to; its methods read what lies so many bytes beyond.
type place uint32

func (at place) u8(off place) uint8   { return column[uint8](uint32(at+off), 1)[0] }
func (at place) u16(off place) uint16 { return column[uint16](uint32(at+off), 1)[0] }
func (at place) u32(off place) uint32 { return column[uint32](uint32(at+off), 1)[0] }
func (at place) u64(off place) uint64 { return column[uint64](uint32(at+off), 1)[0] }
func (at place) f64(off place) float64 {
	return math.Float64frombits(at.u64(off))
}
func (at place) text(off place) string { return text(at.u32(off), at.u32(off+4)) }

// each calls for every record of a list.
func (at place) each(off, size place, record func(place)) {
	first, count := place(at.u32(off)), place(at.u32(off+4))
	for i := place(0); i < count; i++ {
		record(first + i*size)
	}
}

func list[T any](at place, off place) []T { return column[T](at.u32(off), at.u32(off+4)) }

func optional[T any](at place, off place, read func() T) *T {
	if at.u8(off) == 0 {
		return nil
	}
	return Some(read())
}

func liftSignal(at place) Signal {
	return Signal{
		Name:       at.text(0),
		Kind:       Kind(at.u8(8)),
		Unit:       optional(at, 12, func() string { return at.text(16) }),
		Range:      optional(at, 24, func() [2]float64 { return [2]float64{at.f64(32), at.f64(40)} }),
		SamplingNs: optional(at, 48, func() uint64 { return at.u64(56) }),
		Role:       at.text(64),
		Group:      at.u32(72),
	}
}

// LiftBatch reads a batch; its columns lie where the host wrote them. For watchfire's own packages.
func LiftBatch(address uint32) *Batch {
	at := place(address)
	batch := &Batch{
		Frame:      at.u64(0),
		Now:        int64(at.u64(8)),
		UtcOffsetS: int32(at.u32(16)),
		Mode:       at.u32(20),
		Signal:     list[uint32](at, 24),
		Time:       list[int64](at, 32),
		Value:      list[float64](at, 40),
		Status:     list[uint32](at, 48),
		Quality:    list[uint8](at, 56),
		SkewNs:     list[int64](at, 64),
	}
	at.each(72, 16, func(at place) {
		batch.Exact = append(batch.Exact, Exact{Row: at.u32(0), Bits: int64(at.u64(8))})
	})
	at.each(80, 12, func(at place) {
		batch.Text = append(batch.Text, RowText{Row: at.u32(0), Text: at.text(4)})
	})
	at.each(88, 32, func(at place) {
		batch.Gaps = append(batch.Gaps, Gap{
			Signal: optional(at, 0, func() uint32 { return at.u32(4) }),
			Since:  int64(at.u64(8)),
			Until:  int64(at.u64(16)),
			Cause:  Cause(at.u8(24)),
		})
	})
	return batch
}

// LiftEvents reads events. For watchfire's own packages.
func LiftEvents(first, count uint32) []Event {
	events := make([]Event, count)
	for i := range events {
		at := place(first) + place(i)*56
		events[i] = Event{
			Time:      int64(at.u64(0)),
			Source:    at.u32(8),
			EventType: at.text(12),
			Severity:  at.u16(20),
			User:      optional(at, 24, func() string { return at.text(28) }),
			Message:   at.text(36),
		}
		at.each(44, 16, func(at place) {
			events[i].Fields = append(events[i].Fields, [2]string{at.text(0), at.text(8)})
		})
	}
	return events
}
