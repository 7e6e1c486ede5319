// Package events exports the contract's `events-in`: import it, by `import _ "watchfire/events"`, in a detector that is
// a watchfire.Observer.
package events
