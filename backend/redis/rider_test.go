package redis_test

import (
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/internal/servertest"
)

// riderOf is a script at one key, over the store's connection.
func riderOf(t *testing.T, s *backend.Store, key, source string) *redisconn.Rider {
	t.Helper()
	var conn *redisconn.Conn
	if !s.As(&conn) {
		t.Fatal("no connection")
	}
	return &redisconn.Rider{Conn: conn, Source: source, Digest: goredis.NewScript(source).Hash(), Keys: []string{key}}
}

func addition(key string) driver.Op {
	b := record.New(record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: time.Now().Add(time.Hour)}, []byte("body"))
	return driver.Op{Key: key, Step: record.Step{Verb: record.Add, Record: b, TTL: time.Hour}}
}

func TestARiderRunsAfterTheOps(t *testing.T) {
	t.Parallel()
	srv := servertest.Redis(t)
	s := openStore(t, srv.URL(), nil)
	var client *goredis.Client
	if !s.As(&client) {
		t.Fatal("no client")
	}
	rider := riderOf(t, s, s.Key("first"), `return tostring(redis.call('EXISTS', KEYS[1]))`)
	for _, key := range []string{"first", "second"} {
		// The first time the server lacks all scripts, the second the rider's alone is there.
		effects, replies, err := s.WriteWith(t.Context(), []driver.Op{addition(key), addition(key + " too")}, rider)
		if err != nil || len(effects) != 2 || effects[0].Outcome != driver.Done || effects[1].Outcome != driver.Done {
			t.Fatalf("%s: %v, %v", key, effects, err)
		}
		if len(replies) != 1 || string(replies[0]) != "1" {
			t.Errorf("%s: the rider answered %q", key, replies)
		}
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.ScriptLoad(t.Context(), rider.Source).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARiderThatFailsHasNoReplyAndChangesNoEffect(t *testing.T) {
	t.Parallel()
	s := openStore(t, servertest.SharedRedis(t).URL(), nil)
	key := servertest.Key(t)
	rider := riderOf(t, s, s.Key(key), `return redis.call('NOSUCHCOMMAND', KEYS[1])`)
	effects, replies, err := s.WriteWith(t.Context(), []driver.Op{addition(key)}, rider)
	if err != nil || effects[0].Outcome != driver.Done || len(replies) != 1 || replies[0] != nil {
		t.Errorf("%v, %q, %v", effects, replies, err)
	}
	effects, replies, err = s.WriteWith(t.Context(), []driver.Op{addition(key)}, riderOf(t, s, s.Key(key), `return 'ran'`))
	if err != nil || effects[0].Outcome != driver.Refused || string(replies[0]) != "ran" {
		t.Errorf("behind an op that is refused: %v, %q, %v", effects, replies, err)
	}
}

func TestForeignRidersAreRefusedAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	srv := servertest.SharedRedis(t)
	s, other := openStore(t, srv.URL(), nil), openStore(t, srv.URL(), nil)
	key := servertest.Key(t)
	for name, rider := range map[string]driver.Rider{
		"another connection's": riderOf(t, other, key, `return 'ran'`),
		"another kind":         stranger{},
	} {
		if _, _, err := s.WriteWith(t.Context(), []driver.Op{addition(key)}, rider); !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if r := s.Get(t.Context(), key)[0]; r.Record != nil || r.Err != nil {
			t.Errorf("%s: something was written", name)
		}
	}
	op := addition(key)
	if _, _, err := s.WriteWith(t.Context(), []driver.Op{op, op}, riderOf(t, s, key, `return 'ran'`)); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("a key twice: %v", err)
	}
}

type stranger struct{}

func (stranger) Server() string { return "elsewhere" }
