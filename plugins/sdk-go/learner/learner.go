// Package learner exports the contract's `learner`: import it, by `import _ "watchfire/learner"`, in a detector that is
// a watchfire.Learner.
package learner
