// Package tiertest is for testing code that uses a cache: nodes in one process over one memory store and one bus, a source
// that counts, fails and blocks on demand, and outages.
//
//	env := tiertest.New(t)
//	source := tiertest.NewSource[int, string]()
//	source.Put(1, "one")
//	a := tiertest.Node(t, env, "names", &tier.Options[int, string]{Policy: policy.CacheAside(source)})
//	b := tiertest.Node(t, env, "names", &tier.Options[int, string]{Policy: policy.CacheAside(source)})
//	…
//	env.Remote.Down() // from here on the store answers ErrUnavailable
//	env.Hub.Pause()   // nothing arrives on the bus
//
// A hit is what was Set, a miss is what was not, a source that does not have a key says ErrNotFound.
package tiertest
