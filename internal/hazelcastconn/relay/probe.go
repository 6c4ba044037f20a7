package relay

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// A RefusedError says that a member does not let the client in.
type RefusedError struct {
	Member  string // host:port
	Cluster string // the name that the client gave
	User    bool   // it gave a user name
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%s refuses the client: its cluster is not named %q", e.Member, e.Cluster)
	if e.User {
		text += ", or the user name or password is wrong"
	}
	return text
}

// Probe introduces itself to a member as the library would, and returns nil if it is let in. A start of the library that
// fails leaves a goroutine behind for ever; this leaves nothing.
func Probe(ctx context.Context, o *Options, member string) error {
	conn, err := o.dial(ctx, member)
	if err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetDeadline(time.Now().Add(o.Greet))
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", member, hidden(ctx.Err()))
	}
	if _, err := conn.Write(o.introduction()); err != nil {
		return fmt.Errorf("%s: %w", member, hidden(err))
	}
	m, err := (&reader{from: conn, limit: greetSize}).read()
	if err != nil {
		return fmt.Errorf("%s: the introduction was not answered: %w", member, hidden(err))
	}
	if m.kind() != kindAuthentication|answerTo {
		return fmt.Errorf("%s: the introduction was answered by a message of type %#06x", member, m.kind())
	}
	a, err := authenticationOf(m)
	switch {
	case err != nil:
		return fmt.Errorf("%s: the introduction was answered by %w", member, err)
	case a.status != accepted:
		return &RefusedError{Member: member, Cluster: o.Cluster, User: o.Username != ""}
	}
	return nil
}

// introduction is the first message of a client: its fixed part has a random id of the client and the version of the
// serialization.
func (o *Options) introduction() []byte {
	const clientAt, versionAt = 16, 16 + uuidLen
	fixed := make([]byte, versionAt+1)
	fixed[1] = kindAuthentication >> 8
	fixed[idAt] = 1
	for i := range 4 {
		fixed[12+i] = 0xff // no partition
	}
	rand.Read(fixed[clientAt+1 : versionAt])
	fixed[versionAt] = 1
	b := appendFrame([]byte(protocol), unfragmented, fixed)
	b = appendFrame(b, 0, o.Cluster)
	b = appendText(b, o.Username)
	b = appendText(b, o.Password)
	for _, text := range []string{"GOO", "1.4.2", "strata-probe"} { // kind, version and name of the client
		b = appendFrame(b, 0, text)
	}
	b = appendFrame(b, begin, "") // no labels
	return appendFrame(b, end|final, "")
}

func appendText(to []byte, text string) []byte {
	if text == "" {
		return appendFrame(to, null, "")
	}
	return appendFrame(to, 0, text)
}
