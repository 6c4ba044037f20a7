// Package relay stands between the Hazelcast client library and the members. For each member it listens on loopback, and
// passes on what goes between the library, which dials there, and the member.
//
//	r, err := relay.New(&relay.Options{Seeds: []string{"10.0.0.1:5701"}, …})
//	config.Labels = []string{r.Secret()}
//	nodes := r.Nodes() // what the library's discovery is told
//	err = r.Close()
//
// The library takes no dialler, and what it does with a connection can end the process. The relay is there for what the
// library lacks:
//
//   - A frame that declares less than its own header, a message shorter than its fixed part, an error or a list of members
//     that is cut off: each is a panic on a goroutine of the library, which nobody can recover. A frame that declares
//     4 GiB is collected. The relay looks at every message before the library does, and cuts the connection.
//   - An answer must be of the type that its request asks for. Values read from the map of strata or by a bus are byte strings or are
//     replaced, since the library allocates, or asks the cluster for a schema without a deadline, for some others.
//   - The library shakes hands for TLS, and authenticates at a member that comes later, without a deadline. The relay
//     has one for each step, so that a member that is a black hole does not keep the library from all others.
//   - Host names are resolved anew for each connection, and a certificate is checked against the name of its own member.
//   - A member that refuses the client says so to the relay, which tells [Refused].
//
// A local process that finds the port gains nothing: the first message has to carry the secret of this relay, which is
// replaced before it goes on.
//
// What the relay costs is two more passes through the loopback interface for each round trip.
package relay
