// Package backendtest is the contract of a remote tier as tests, through the portable Store: every backend runs it
// against real servers, plain and through each decorator.
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, func(t *testing.T) backendtest.Harness {
//			return backendtest.Harness{
//				Open:     func(t *testing.T) *backend.Store { … },
//				Features: backendtest.Features{Counter: true, Scanner: true},
//			}
//		})
//	}
//
// [Run] is content with a server that others use at the same time: its keys are its own. [RunOutage] pauses, stops and
// restarts the server, and needs one that nobody else uses.
//
// Each case is one sentence of the contract, which is printed when it is broken. What is expected of a verb is both
// written down as a table (verbs.go) and computed by record.Apply.
package backendtest
