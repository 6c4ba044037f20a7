// Package invalidationtest checks that a transport keeps what invalidation.Transport says. Each case carries the sentence
// that it proves, which is what a failure prints.
//
//	func TestConformance(t *testing.T) {
//		invalidationtest.Run(t, func(t *testing.T) invalidationtest.Harness {
//			hub := membus.NewHub()
//			return invalidationtest.Harness{
//				Transport: func(testing.TB) invalidation.Transport { return hub.Transport() },
//				Cut:       func(testing.TB) { hub.Cut() },
//			}
//		})
//	}
//
// The suite uses the transport as a Bus would, and closes what it opened.
package invalidationtest
