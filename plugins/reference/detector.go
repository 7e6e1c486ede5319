// The reference detector in Go; README.md says what it does in any language.
package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	wf "watchfire"
	_ "watchfire/events"
	_ "watchfire/learner"
)

const (
	stateVersion = 1
	windowMax    = 64
	never        = 255
)

var conditions = []wf.Condition{
	{
		ID:        "above",
		AlarmType: "OffNormalAlarmType",
		Severity:  500,
		Text:      "the value is above its limit — „über“",
	},
	{
		ID:        "deviation",
		Decides:   wf.HostDecides,
		Scale:     wf.Ordinal,
		AlarmType: "DiscrepancyAlarmType",
		Severity:  300,
		Text:      "the value is far from its mean",
	},
}

func described(signal *wf.Signal) string {
	kind := []string{"boolean", "signed", "unsigned", "real", "enumeration", "text", "time"}[signal.Kind]
	unit, between, sampling := "-", "-", "-"
	if signal.Unit != nil {
		unit = *signal.Unit
	}
	if signal.Range != nil {
		between = wf.Number(signal.Range[0]) + " to " + wf.Number(signal.Range[1])
	}
	if signal.SamplingNs != nil {
		sampling = fmt.Sprint(*signal.SamplingNs)
	}
	return fmt.Sprintf("%s %s %s %s %s %s %d;", signal.Name, kind, unit, between, sampling, signal.Role, signal.Group)
}

// note is what came in the smaller columns.
func note(batch *wf.Batch) string {
	said := &strings.Builder{}
	fmt.Fprintf(said, "frame %d offset %d mode %d gaps %d exact", batch.Frame, batch.UtcOffsetS, batch.Mode, len(batch.Gaps))
	for _, exact := range batch.Exact {
		fmt.Fprintf(said, " %d=%d", exact.Row, exact.Bits)
	}
	said.WriteString(" text")
	for _, text := range batch.Text {
		fmt.Fprintf(said, " %d=%s", text.Row, text.Text)
	}
	said.WriteString(" skew")
	for _, skew := range batch.SkewNs {
		fmt.Fprintf(said, " %d", skew)
	}
	said.WriteString(" quality")
	for _, quality := range batch.Quality {
		fmt.Fprintf(said, " %d", quality)
	}
	return said.String()
}

type channel struct {
	signal  *wf.Signal
	told    uint8
	owes    bool // told again because a state was restored
	last    []float64
	learned uint64
	highest float64
}

func (of *channel) mean() float64 {
	sum := 0.0
	for _, value := range of.last {
		sum += value
	}
	return sum / float64(len(of.last))
}

type reference struct {
	above, deadband, window float64
	channels                []channel
	frozen                  bool
}

func start(setup *wf.Setup) (wf.Detector, error) {
	it := &reference{window: 4}
	err := wf.Config(setup.Config,
		wf.Field{Key: "above", To: &it.above, Required: true},
		wf.Field{Key: "deadband", To: &it.deadband},
		wf.Field{Key: "window", To: &it.window})
	if err != nil {
		return nil, err
	}
	if it.deadband < 0 {
		return nil, wf.Refuse("deadband", "it is negative")
	}
	if !(it.window >= 1 && it.window <= windowMax) || it.window != math.Trunc(it.window) {
		return nil, wf.Refuse("window", "it is no whole number from 1 to 64")
	}
	for i := range setup.Signals {
		it.channels = append(it.channels, channel{signal: &setup.Signals[i], told: never})
	}
	return it, nil
}

func (it *reference) Conditions() []wf.Condition {
	above := conditions[0]
	for i := range it.channels {
		above.Response += described(it.channels[i].signal)
	}
	return []wf.Condition{above, conditions[1]}
}

func (it *reference) Process(batch *wf.Batch) (wf.Outcome, error) {
	outcome := wf.Outcome{}
	for i := range it.channels {
		of := &it.channels[i]
		if batch.HasGap(uint32(i)) {
			of.last = of.last[:0]
		}
		if of.owes {
			of.owes = false
			outcome.Verdicts = append(outcome.Verdicts, wf.Verdict{
				Instance: uint32(i), At: batch.Now, Level: wf.Level(of.told), Why: "as it was before the restart",
			})
		}
	}
	for row := range batch.Value {
		it.judge(batch, row, &outcome)
	}
	have, need := uint64(it.window), uint64(it.window)
	for i := range it.channels {
		have = min(have, uint64(len(it.channels[i].last)))
	}
	phase := wf.Ready
	if have < need {
		phase = wf.Learning
	}
	outcome.Progress = &wf.Progress{Phase: phase, Have: have, Need: need, Note: note(batch)}
	return outcome, nil
}

func (it *reference) judge(batch *wf.Batch, row int, outcome *wf.Outcome) {
	signal, at, value := batch.Signal[row], batch.Time[row], batch.Value[row]
	of := &it.channels[signal]
	low := it.above - it.deadband
	level := wf.Unknown
	if batch.Usable(row) {
		level = wf.Normal
		if value > it.above || of.told == uint8(wf.Active) && value >= low {
			level = wf.Active
		}
		if len(of.last) == int(it.window) {
			copy(of.last, of.last[1:])
			of.last = of.last[:len(of.last)-1]
		}
		of.last = append(of.last, value)
		outcome.Scores.Add(1, signal, at, math.Abs(value-of.mean()))
	}
	if of.told == uint8(level) {
		return
	}
	of.told, of.owes = uint8(level), false
	verdict := wf.Verdict{Instance: signal, At: at, Level: level, Why: "there is no usable value"}
	if level != wf.Unknown {
		side := " is not above "
		if level == wf.Active {
			side = " is above "
		}
		verdict.Why = of.signal.Show(value) + side + of.signal.Show(it.above)
		finding := wf.Finding{Signal: signal, Observed: value, High: wf.Some(it.above), Share: 1}
		if it.deadband > 0 {
			finding.Low = &low
		}
		verdict.Evidence = []wf.Finding{finding}
	}
	outcome.Verdicts = append(outcome.Verdicts, verdict)
}

func (it *reference) Explain(condition uint16, instance uint32) *wf.Verdict {
	of := &it.channels[instance]
	if condition != 1 || len(of.last) == 0 {
		return nil
	}
	value, mean := of.last[len(of.last)-1], of.mean()
	return &wf.Verdict{
		Condition: condition,
		Instance:  instance,
		Level:     wf.Active,
		Score:     wf.Some(math.Abs(value - mean)),
		Why:       of.signal.Show(value) + " is far from " + of.signal.Show(mean),
		Evidence:  []wf.Finding{{Signal: instance, Observed: value, Low: &mean, High: &mean, Share: 1}},
	}
}

func (it *reference) Save() []byte {
	var state []byte
	for i := range it.channels {
		of := &it.channels[i]
		state = append(state, of.told, uint8(len(of.last)))
		for _, value := range of.last {
			state = binary.LittleEndian.AppendUint64(state, math.Float64bits(value))
		}
	}
	return state
}

func (it *reference) Load(version uint32, state []byte) error {
	refuse := func(message string) error { return &wf.Refusal{Blame: wf.BlameState, Message: message} }
	if version != stateVersion {
		return refuse("its version is not 1")
	}
	for i := range it.channels {
		of := &it.channels[i]
		if len(state) < 2 || len(state) < 2+8*int(state[1]) {
			return refuse("it is cut short")
		}
		count := int(state[1])
		of.told, of.last = state[0], nil
		of.owes = of.told != never && of.told != uint8(wf.Normal)
		for state = state[2:]; len(of.last) < count; state = state[8:] {
			of.last = append(of.last, math.Float64frombits(binary.LittleEndian.Uint64(state)))
		}
	}
	if len(state) > 0 {
		return refuse("it is too long")
	}
	return nil
}

func (it *reference) Learn(batch *wf.Batch) error {
	if batch.Mode == 13 {
		return &wf.Refusal{Blame: wf.BlameSignals, Message: "it learns nothing in mode 13"}
	}
	for row, value := range batch.Value {
		if it.frozen || !batch.Usable(row) {
			continue
		}
		of := &it.channels[batch.Signal[row]]
		if of.learned == 0 || value > of.highest {
			of.highest = value
		}
		of.learned++
	}
	return nil
}

func (it *reference) Freeze(on bool) { it.frozen = on }

func (it *reference) Forget(signal *uint32) {
	for i := range it.channels {
		if signal == nil || *signal == uint32(i) {
			it.channels[i].learned, it.channels[i].highest = 0, 0
		}
	}
}

func (it *reference) Model() []byte {
	model := ""
	for i := range it.channels {
		of := &it.channels[i]
		model += fmt.Sprintf("%s %d %s\n", of.signal.Name, of.learned, wf.Number(of.highest))
	}
	return []byte(model)
}

func (it *reference) Observe(frame uint64, now int64, events []wf.Event) (wf.Outcome, error) {
	outcome := wf.Outcome{}
	for _, event := range events {
		if event.Message == "refuse" {
			return outcome, &wf.Refusal{Blame: wf.BlameSignals, Message: "it was asked to"}
		}
		user, level := "-", wf.Normal
		if event.User != nil {
			user = *event.User
		}
		if event.Severity >= 500 {
			level = wf.Active
		}
		why := fmt.Sprintf("%s %d %s: %s", event.EventType, event.Severity, user, event.Message)
		for _, field := range event.Fields {
			why += " " + field[0] + "=" + field[1]
		}
		outcome.Verdicts = append(outcome.Verdicts, wf.Verdict{
			Instance: event.Source, At: event.Time, Level: level, Score: wf.Some(float64(event.Severity)), Why: why,
		})
	}
	outcome.Progress = &wf.Progress{Phase: wf.Ready, Have: uint64(len(events)), Note: fmt.Sprintf("frame %d", frame)}
	return outcome, nil
}

func init() {
	wf.Export(wf.Description{
		ID:           "reference",
		Version:      "0.1.0",
		Title:        "does a little of everything",
		StateVersion: stateVersion,
		ConfigSchema: `{"type": "object"}`,
		Conditions:   conditions,
		Slots: []wf.Slot{
			{Role: "value", Kinds: []wf.Kind{wf.Real, wf.Signed}, Least: 1, Most: wf.Some[uint32](1000)},
			{Kinds: []wf.Kind{wf.Boolean}},
		},
		TickNs:        wf.Some[uint64](5_000_000_000),
		WarmUpSamples: 4,
	}, start)
}

func main() {}
