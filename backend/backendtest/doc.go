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
// [RunDepth] plays every failure of a network and of servers: hanging, dripping, half-open, refused and reset connections,
// garbage and lies, more callers than connections, storms of cancelled calls, restarts, a change of addresses, servers that
// let nobody in. It needs a [Network], which is a proxy in front of each server, and logs how long recovery takes. It works
// on records: that a reply is whole and belongs to its question is the client's affair and is tested here; that a body is
// as it was written is what the codec's checksum says, and that it belongs to its key, against a server that lies, what
// encryption says.
//
// Each case is one sentence of the contract, which is printed when it is broken. What is expected of a verb is both
// written down as a table (verbs.go) and computed by record.Apply.
package backendtest
