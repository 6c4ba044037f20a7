package integration_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/codec"
	"github.com/strata-cache/strata/codec/compression"
	"github.com/strata-cache/strata/codec/encryption"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// A vault is a key space of a Redis of which the test sees what an intruder would: every key, and every byte.
type vault struct {
	store *backend.Store
	redis *goredis.Client
}

func newVault(t testing.TB) *vault {
	t.Helper()
	v := &vault{store: openStore(t, servertest.SharedRedis(t).URL()).Prefix(servertest.Key(t))}
	if !v.store.As(&v.redis) {
		t.Fatal("no native client")
	}
	return v
}

// raw returns the bytes at a key of store.
func (v *vault) raw(t testing.TB, store *backend.Store, key string) []byte {
	t.Helper()
	b, err := v.redis.Get(t.Context(), store.Key(key)).Bytes()
	must(t, err)
	return b
}

func (v *vault) put(t testing.TB, store *backend.Store, key string, b []byte) {
	t.Helper()
	must(t, v.redis.Set(t.Context(), store.Key(key), b, time.Minute).Err())
}

// everything returns all keys and values of the vault.
func (v *vault) everything(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	keys, err := v.redis.Keys(t.Context(), strings.TrimSuffix(v.store.Key("x"), "x")+"*").Result()
	must(t, err)
	for _, k := range keys {
		b, err := v.redis.Get(t.Context(), k).Bytes()
		must(t, err)
		fmt.Fprintf(&all, "%s=%s\n", k, b)
	}
	return all.String()
}

func encryptionKey(t testing.TB, id string) encryption.Key {
	t.Helper()
	key, err := encryption.ParseKey(id, base64.StdEncoding.EncodeToString([]byte(strings.Repeat(id+"/", 32)[:32])))
	must(t, err)
	return key
}

func keyring(t testing.TB, primary encryption.Key, others ...encryption.Key) *encryption.Keyring {
	t.Helper()
	ring, err := encryption.New(primary, others...)
	must(t, err)
	return ring
}

// lookout is a cache on a store that reads no local tier, and the reasons for which it could not use records.
type lookout struct {
	*tier.Cache[int, string]
	mu     sync.Mutex
	events []codec.Reason // guarded by mu
}

func lookAt(t testing.TB, name string, store *backend.Store, o tier.Options[int, string]) *lookout {
	t.Helper()
	w := &lookout{}
	o.Remote, o.LocalCost = store, -1
	o.OnEvent = func(e tier.Event) {
		if e.Kind == tier.EventUndecodable {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, decodeReason(e.Err))
		}
	}
	var err error
	w.Cache, err = tier.New(name, &o)
	must(t, err)
	t.Cleanup(func() { w.Close() })
	return w
}

// misses checks that the record at k is a miss, counted and told for the reason, and no error.
func (w *lookout) misses(t testing.TB, what string, k int, reason codec.Reason) {
	t.Helper()
	before := w.Stats()
	v, ok, err := w.Peek(t.Context(), k)
	if ok || v != "" || err != nil {
		t.Errorf("%s: %q, %t, %v", what, v, ok, err)
	}
	after := w.Stats()
	if after.UndecodableBy[reason] != before.UndecodableBy[reason]+1 || after.Undecodable != before.Undecodable+1 {
		t.Errorf("%s: not counted as %v: %v", what, reason, after.UndecodableBy)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) == 0 || w.events[len(w.events)-1] != reason {
		t.Errorf("%s: no event of %v: %v", what, reason, w.events)
	}
}

// has checks that k is a remote hit.
func (w *lookout) has(t testing.TB, what string, k int, want string) {
	t.Helper()
	if v, ok, err := w.Peek(t.Context(), k); v != want || !ok || err != nil {
		t.Errorf("%s: %q, %t, %v, want %q", what, v, ok, err, want)
	}
}

func decodeReason(err error) codec.Reason {
	if d, ok := errors.AsType[*codec.DecodeError](err); ok {
		return d.Reason
	}
	return 0
}

func TestARecordThatWasCopiedElsewhereIsRefused(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	ring := keyring(t, encryptionKey(t, "k"))
	for name, o := range map[string]struct {
		tier.Options[int, string]
		reason codec.Reason
	}{
		"encrypted": {tier.Options[int, string]{Encryption: ring}, codec.ReasonAuthentication},
		"plain":     {tier.Options[int, string]{}, codec.ReasonChecksum}, // finds an accident, and proves nothing against an intruder
	} {
		alice, bob := v.store.Prefix(name).Prefix("alice"), v.store.Prefix(name).Prefix("bob")
		home := lookAt(t, "orders", alice, o.Options)
		otherCache := lookAt(t, "invoices", alice, o.Options)
		otherTenant := lookAt(t, "orders", bob, o.Options)
		v2 := o.Options
		v2.Version = "2"
		otherVersion := lookAt(t, "orders", alice, v2)

		must(t, home.Set(t.Context(), 1, "four chairs for Alice"))
		record := v.raw(t, alice, "orders/1/{1}")
		v.put(t, alice, "orders/1/{2}", record)
		v.put(t, alice, "invoices/1/{1}", record)
		v.put(t, alice, "orders/2/{1}", record)
		v.put(t, bob, "orders/1/{1}", record)

		home.has(t, name+": where it was written", 1, "four chairs for Alice")
		home.misses(t, name+": another key", 2, o.reason)
		otherCache.misses(t, name+": another cache", 1, o.reason)
		otherVersion.misses(t, name+": another version", 1, o.reason)
		otherTenant.misses(t, name+": another tenant", 1, o.reason)
	}
}

func TestAPartOfARecordThatWasPutIntoAnotherIsRefused(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	c := lookAt(t, "orders", v.store, tier.Options[int, string]{Encryption: keyring(t, encryptionKey(t, "k"))})
	must(t, c.Set(t.Context(), 1, "before"))
	before := v.raw(t, v.store, "orders/1/{1}")
	must(t, c.Set(t.Context(), 1, "after"))
	after := v.raw(t, v.store, "orders/1/{1}")

	mixed := append(bytes.Clone(after[:record.HeaderLen]), before[record.HeaderLen:]...)
	v.put(t, v.store, "orders/1/{1}", mixed)
	c.misses(t, "the old body under the new token", 1, codec.ReasonAuthentication)
	for i := record.HeaderLen; i < len(after); i++ {
		damaged := bytes.Clone(after)
		damaged[i] ^= 1
		v.put(t, v.store, "orders/1/{1}", damaged)
		if got, ok, err := c.Peek(t.Context(), 1); ok || err != nil {
			t.Errorf("byte %d changed: %q, %v", i, got, err)
		}
	}
	v.put(t, v.store, "orders/1/{1}", after)
	c.has(t, "as it was written", 1, "after")
}

func TestRotationNeedsNoFlush(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	old, next := encryptionKey(t, "key-of-august"), encryptionKey(t, "key-of-november")
	ring := keyring(t, old)
	c := lookAt(t, "orders", v.store, tier.Options[int, string]{Encryption: ring})
	other := lookAt(t, "orders", v.store, tier.Options[int, string]{Encryption: keyring(t, old, next)}) // knows both, writes the old

	must(t, c.Set(t.Context(), 1, "under the old key"))
	must(t, ring.Replace(next, old))
	c.has(t, "an old record after the rotation", 1, "under the old key")
	must(t, c.Set(t.Context(), 2, "under the new key"))
	c.has(t, "a new record", 2, "under the new key")
	other.has(t, "a new record, on a node that does not write it yet", 2, "under the new key")
	for key, id := range map[string]string{"orders/1/{1}": old.ID(), "orders/1/{2}": next.ID()} {
		if !bytes.Contains(v.raw(t, v.store, key), []byte(id)) {
			t.Errorf("%s is not under %s", key, id)
		}
	}
	must(t, ring.Replace(next))
	c.misses(t, "an old record when its key is gone", 1, codec.ReasonKey)
	c.has(t, "a new record when the old key is gone", 2, "under the new key")
}

func TestWhoRequiresEncryptionServesNothingElse(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	plain := lookAt(t, "orders", v.store, tier.Options[int, string]{})
	s := tiertest.NewSource[int, string]()
	s.Put(1, "of the source")
	strict := lookAt(t, "orders", v.store, tier.Options[int, string]{Encryption: keyring(t, encryptionKey(t, "k")), Policy: policy.CacheAside(s)})

	must(t, plain.Set(t.Context(), 1, "slipped in"))
	strict.misses(t, "a plain record", 1, codec.ReasonPlain)
	if got, err := strict.Get(t.Context(), 1); got != "of the source" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	strict.has(t, "the source's value took its place", 1, "of the source")
	plain.misses(t, "an encrypted record, without a key", 1, codec.ReasonKey)
}

func TestNodesWithAndWithoutCompressionShareACache(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	value := strings.Repeat("chairs and ", 500)
	compressor, err := compression.New(&compression.Options{Algorithm: compression.Zstd})
	must(t, err)
	with := lookAt(t, "orders", v.store, tier.Options[int, string]{Compression: compressor})
	without := lookAt(t, "orders", v.store, tier.Options[int, string]{})

	must(t, with.Set(t.Context(), 1, value))
	must(t, without.Set(t.Context(), 2, value))
	if n := len(v.raw(t, v.store, "orders/1/{1}")); n > len(value)/5 {
		t.Errorf("%d bytes are stored as %d", len(value), n)
	}
	with.has(t, "its own", 1, value)
	with.has(t, "one that is not compressed", 2, value)
	without.misses(t, "one that is compressed", 1, codec.ReasonCompression)
}

func TestExpireWorksOnWhatIsCompressedAndEncrypted(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	compressor, err := compression.New(nil)
	must(t, err)
	value := strings.Repeat("four chairs ", 200)
	s := tiertest.NewSource[int, string]()
	s.Put(1, "five chairs")
	o := tier.Options[int, string]{Compression: compressor, Encryption: keyring(t, encryptionKey(t, "k")), Policy: policy.CacheAside(s)}
	c, other := lookAt(t, "orders", v.store, o), lookAt(t, "orders", v.store, o)
	must(t, c.Set(t.Context(), 1, value))
	must(t, c.Expire(t.Context(), 1))
	if r, err := other.Lookup(t.Context(), 1); err != nil || r.Value != value || !r.Stale {
		t.Errorf("%.10q, stale: %t, %v", r.Value, r.Stale, err)
	}
	eventually(t, "it was loaded anew", func() bool {
		r, err := other.Lookup(t.Context(), 1)
		return err == nil && r.Value == "five chairs" && !r.Stale
	})

	// A node that cannot read what it expires must not leave it to those that can.
	must(t, c.Set(t.Context(), 2, value))
	must(t, lookAt(t, "orders", v.store, tier.Options[int, string]{}).Expire(t.Context(), 2))
	if _, ok, err := c.Peek(t.Context(), 2); ok || err != nil {
		t.Errorf("still there, %v", err)
	}
}

func TestNothingOfAValueIsVisibleAtTheServer(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	s := tiertest.NewSource[int, string]()
	s.Put(2, "three tables")
	c := lookAt(t, "orders", v.store, tier.Options[int, string]{Encryption: keyring(t, encryptionKey(t, "k")), Policy: policy.CacheAside(s), NegativeTTL: time.Minute})
	must(t, c.Set(t.Context(), 1, "four chairs", tier.WithTags("customer:7")))
	for k, want := range map[int]error{2: nil, 3: tier.ErrNotFound} {
		if _, err := c.Get(t.Context(), k); !errors.Is(err, want) {
			t.Error(k, err)
		}
	}
	all := v.everything(t)
	for _, secret := range []string{"four", "chairs", "customer", "three", "tables"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is visible", secret)
		}
	}
	if !strings.Contains(all, "orders/1/{1}") {
		t.Error("keys are not visible: docs/security.md says that they are")
	}
}
