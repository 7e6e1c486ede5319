package watchfire

// Detector is one that was started. The same calls in the same order must give the same answers, bit for bit.
type Detector interface {
	// Conditions are those of this configuration, in the order that answers index.
	Conditions() []Condition
	// Process judges a batch; one without rows is a tick or a gap. Levels on change; every level that is not normal again
	// in the first call after Load. An error ends this instance.
	Process(batch *Batch) (Outcome, error)
}

// Explainer gives the reasons for a score of the last batch, nil for none. It changes nothing.
type Explainer interface {
	Explain(condition uint16, instance uint32) *Verdict
}

// Keeper keeps a state over restarts and upgrades.
type Keeper interface {
	Save() []byte
	// Load takes over a state that was saved with the same signals and configuration, perhaps by an earlier version.
	// After an error the gateway starts afresh.
	Load(stateVersion uint32, state []byte) error
}

// Learner learns from more than what it judges; import watchfire/learner for it to be asked.
type Learner interface {
	// Learn takes rows that came late, or history before it judges anything. Nothing of it is judged.
	Learn(batch *Batch) error
	// Freeze says that nothing may be learned from now on, or that it may again.
	Freeze(on bool)
	// Forget takes away what it has learned of a signal, or all of it (nil).
	Forget(signal *uint32)
	// Model is what it has learned, for people to review: best a text.
	Model() []byte
}

// Observer hears of servers' events as records; import watchfire/events for it to be asked.
type Observer interface {
	// Observe judges the events of one frame, after its batch was judged. It answers what Process answers.
	Observe(frame uint64, now int64, events []Event) (Outcome, error)
}

// Start makes a detector of what it is handed, or refuses it.
type Start func(setup *Setup) (Detector, error)

var (
	described Description
	start     Start
	its       Detector
)

// Export makes the component's exports of a detector. Call it in an init function.
func Export(description Description, begin Start) { described, start = description, begin }

// refusal is any error as the contract has it.
func refusal(err error) *Refusal {
	if refused, is := err.(*Refusal); is {
		return refused
	}
	return &Refusal{Blame: BlameBug, Message: err.Error()}
}

func notStarted() error { return &Refusal{Blame: BlameBug, Message: "called before `init`"} }

// begin starts it.
func begin(setup *Setup) ([]Condition, error) {
	started, err := start(setup)
	if err != nil {
		return nil, err
	}
	its = started
	return its.Conditions(), nil
}

func process(batch *Batch) (Outcome, error) {
	if its == nil {
		return Outcome{}, notStarted()
	}
	return its.Process(batch)
}

func explain(condition uint16, instance uint32) *Verdict {
	if explainer, is := its.(Explainer); is {
		return explainer.Explain(condition, instance)
	}
	return nil
}

func save() []byte {
	if keeper, is := its.(Keeper); is {
		return keeper.Save()
	}
	return nil
}

func load(stateVersion uint32, state []byte) error {
	if its == nil {
		return notStarted()
	}
	if keeper, is := its.(Keeper); is {
		return keeper.Load(stateVersion, state)
	}
	if len(state) > 0 {
		return &Refusal{Blame: BlameState, Message: "this detector keeps no state"}
	}
	return nil
}
