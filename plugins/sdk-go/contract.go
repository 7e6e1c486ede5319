// Package watchfire is what a Watchfire detector in Go is written with: the contract's types, the configuration's keys,
// numbers for sentences, and Export, which makes a component's exports of a detector.
//
// The contract in wit/ says in full what the fields mean. Nothing here knows WebAssembly but the files that only its
// compiler reads, so that detectors run anywhere.
package watchfire

import "math"

// Kind is what a signal's values are.
type Kind uint8

const (
	Boolean Kind = iota
	Signed
	Unsigned
	Real
	Enumeration
	TextKind
	TimeKind
)

// Signal is one of the binding.
type Signal struct {
	Name       string
	Kind       Kind
	Unit       *string     // UCUM code
	Range      *[2]float64 // engineering range
	SamplingNs *uint64
	Role       string // which slot of the description it fills
	Group      uint32
}

// Setup is what a detector is started with.
type Setup struct {
	Config  string // JSON
	Signals []Signal
	Seed    uint64 // the only randomness there is
	Model   []byte // nil for none
}

// Cause is why values are missing.
type Cause uint8

const (
	SourceLost Cause = iota
	Overflow
	Skipped
	NotRecorded
)

// Gap is an interval in which values may be missing.
type Gap struct {
	Signal       *uint32 // nil: all of them
	Since, Until int64
	Cause        Cause
}

// Exact is all 64 bits of a row's whole number.
type Exact struct {
	Row  uint32
	Bits int64
}

// RowText is a row's text.
type RowText struct {
	Row  uint32
	Text string
}

// Batch is one frame of the log, cut down to your signals. Signal, Time, Value, Status and Quality have one length.
type Batch struct {
	Frame      uint64
	Now        int64 // UTC nanoseconds, monotone: the only clock
	UtcOffsetS int32
	Mode       uint32
	Signal     []uint32  // indexes of the setup's list
	Time       []int64   // UTC nanoseconds
	Value      []float64 // NaN where there is no number
	Status     []uint32  // OPC UA StatusCode
	Quality    []uint8   // Late and others
	SkewNs     []int64   // empty when all are zero
	Exact      []Exact
	Text       []RowText
	Gaps       []Gap
}

// Bits of the quality column.
const (
	Late          = 1
	AfterOverflow = 2
	Rounded       = 4
	ServerTime    = 8
	Distrusted    = 16
)

// Usable says whether a row's value can be judged: not bad, a number, and nobody distrusts it.
func (batch *Batch) Usable(row int) bool {
	value := batch.Value[row]
	isNumber := !math.IsNaN(value) && !math.IsInf(value, 0)
	return batch.Status[row]>>31 == 0 && isNumber && batch.Quality[row]&Distrusted == 0
}

// HasGap says whether values of the signal may be missing before this batch.
func (batch *Batch) HasGap(signal uint32) bool {
	for _, gap := range batch.Gaps {
		if gap.Signal == nil || *gap.Signal == signal {
			return true
		}
	}
	return false
}

// Scope is what has an instance of a condition each.
type Scope uint8

const (
	PerSignal Scope = iota
	PerGroup
	PerBinding
)

// Decides is who turns a condition active: the plugin by levels, the host by scores.
type Decides uint8

const (
	PluginDecides Decides = iota
	HostDecides
)

// Scale is what a score means.
type Scale uint8

const (
	NegLog10P Scale = iota
	Ordinal
)

// Condition is something that a detector can find.
type Condition struct {
	ID        string
	Scope     Scope
	Decides   Decides
	Scale     Scale
	AlarmType string // such as OffNormalAlarmType
	Severity  uint16 // 1 to 1000
	Text      string
	Response  string
}

// Slot is for signals that a detector takes.
type Slot struct {
	Role  string
	Kinds []Kind
	Least uint32
	Most  *uint32
}

// Description is what a detector is.
type Description struct {
	ID, Version, Title string
	StateVersion       uint32
	ConfigSchema       string // JSON Schema
	Conditions         []Condition
	Slots              []Slot
	TickNs             *uint64
	WarmUpSamples      uint64
}

// Level is how a condition stands.
type Level uint8

const (
	Normal Level = iota
	LowLow
	Low
	High
	HighHigh
	Active
	Unknown
)

// Finding is evidence of a verdict.
type Finding struct {
	Signal    uint32
	Observed  float64
	Low, High *float64 // what was expected
	Share     float64  // of the cause, 0 to 1
}

// Verdict is how a condition stands for one of its instances.
type Verdict struct {
	Condition uint16
	Instance  uint32 // signal index, group number or 0, by the condition's scope
	At        int64
	Level     Level
	Score     *float64
	Why       string
	Evidence  []Finding
}

// Scores are columns of one length.
type Scores struct {
	Condition []uint16
	Instance  []uint32
	At        []int64
	Score     []float64
}

// Add appends a score.
func (scores *Scores) Add(condition uint16, instance uint32, at int64, score float64) {
	scores.Condition = append(scores.Condition, condition)
	scores.Instance = append(scores.Instance, instance)
	scores.At = append(scores.At, at)
	scores.Score = append(scores.Score, score)
}

// Phase is where a detector stands.
type Phase uint8

const (
	Learning Phase = iota
	Ready
	Relearn
)

// Progress is how far learning has come.
type Progress struct {
	Phase      Phase
	Have, Need uint64
	Note       string
}

// Outcome is what a call led to.
type Outcome struct {
	Scores   Scores
	Verdicts []Verdict
	Progress *Progress
}

// Event is one that a server told.
type Event struct {
	Time      int64
	Source    uint32 // the signal that is its stream
	EventType string
	Severity  uint16
	User      *string
	Message   string
	Fields    [][2]string // names and texts, sorted by names
}

// Blame is whose fault a refusal is.
type Blame uint8

const (
	BlameConfig Blame = iota
	BlameSignals
	BlameModel
	BlameState
	BlameBug
)

// Refusal is an error that says whose fault it is, the key where there is one, and the way out in a sentence.
type Refusal struct {
	Blame   Blame
	Key     *string
	Message string
}

func (refusal *Refusal) Error() string { return refusal.Message }

// Some is the address of a value, for what may be left out.
func Some[T any](value T) *T { return &value }
