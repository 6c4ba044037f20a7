package redisconn

// A Rider is a script of the bus or a journal that can travel with a write of the store over the same Conn: right behind it, in the
// same round trip.
type Rider struct {
	Conn           *Conn
	Source, Digest string // of the script, which returns a string
	Keys           []string
	Args           []any
}

// Server identifies the server for which it was made.
func (r *Rider) Server() string { return r.Conn.Server() }

// Command returns the words of the command that runs it; whole sends the source too.
func (r *Rider) Command(whole bool) []any {
	all := make([]any, 0, 3+len(r.Keys)+len(r.Args))
	if whole {
		all = append(all, "eval", r.Source, len(r.Keys))
	} else {
		all = append(all, "evalsha", r.Digest, len(r.Keys))
	}
	for _, k := range r.Keys {
		all = append(all, k)
	}
	return append(all, r.Args...)
}
