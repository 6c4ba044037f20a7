package memcachedconn

import (
	"bufio"
	"io"

	"github.com/bradfitz/gomemcache/memcache"
)

// A Session is a connection during one call.
type Session struct {
	owner Owner
	slot  *slot
}

// Client returns the gomemcache client of this one connection, for any single key. It must not be kept.
func (s *Session) Client() *memcache.Client { return s.slot.client }

// Incarnation names the life of the server that this connection belongs to.
func (s *Session) Incarnation() string { return s.slot.conn.life }

// Key returns what key is called on this server in this incarnation and tenancy: [MaxPrefix] bytes more.
func (s *Session) Key(key string) string {
	_, since := s.owner.roster.place(key)
	return s.slot.conn.tag(since) + ":" + key
}

// Get reads keys in one round trip, after making sure, in the same command, that the server still is of this
// incarnation and in use by this list of servers. It returns one item for each key, nil for none; their Key is what
// [Session.Key] returns.
func (s *Session) Get(keys ...string) ([]*memcache.Item, error) {
	c := s.slot.conn
	markKey := s.owner.pool.markKey
	wire := make([]string, len(keys)+1)
	wire[0] = markKey
	for i, key := range keys {
		wire[i+1] = s.Key(key)
	}
	c.reply.begin(len(wire))
	found, err := s.slot.client.GetMulti(wire)
	if err != nil {
		return nil, err
	}
	if m := found[markKey]; m == nil || string(m.Value) != c.mark {
		c.broken = true
		return nil, errMoved
	}
	items := make([]*memcache.Item, len(keys))
	n := 1
	for i, key := range wire[1:] {
		if items[i] = found[key]; items[i] != nil {
			n++
		}
	}
	if n != len(found) {
		c.broken = true
		return nil, errForeign
	}
	// Now, and not before: only what the server answered while this node was up to date counts.
	if err := s.owner.current(); err != nil {
		return nil, err
	}
	return items, nil
}

// Stats returns what the server tells of itself.
func (s *Session) Stats() (map[string]string, error) {
	c := s.slot.conn
	stats, err := func() (map[string]string, error) {
		if _, err := io.WriteString(c, "stats\r\n"); err != nil {
			return nil, err
		}
		return readStats(bufio.NewReader(io.LimitReader(c, maxStats)))
	}()
	if err != nil {
		c.broken = true
	}
	return stats, err
}
