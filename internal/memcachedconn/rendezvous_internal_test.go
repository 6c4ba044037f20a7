package memcachedconn

import (
	"fmt"
	"testing"
)

func pool(t testing.TB, url string) *Pool {
	t.Helper()
	p, err := Open(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestRemovingAServerMovesItsKeysOnly(t *testing.T) {
	t.Parallel()
	three := pool(t, "memcached://a,b,c")
	two := pool(t, "memcached://c,a")
	shares := map[string]int{}
	const n = 30000
	for i := range n {
		key := fmt.Sprintf("products/1/{%d}", i)
		before, after := three.Pick(key).String(), two.Pick(key).String()
		shares[before]++
		if before != "b:11211" && before != after {
			t.Fatalf("%q moves from %s to %s", key, before, after)
		}
	}
	for name, share := range shares {
		if share < n/3*95/100 || share > n/3*105/100 {
			t.Errorf("%s has %d of %d keys", name, share, n)
		}
	}
}

func TestKeysOfOneBraceShareAServer(t *testing.T) {
	t.Parallel()
	p := pool(t, "memcached://a,b,c,d,e")
	for i := range 1000 {
		key := fmt.Sprintf("products/1/{%d}", i)
		for _, side := range []string{key + "/election", "other/{" + fmt.Sprint(i) + "}", key + "{x}"} {
			if p.Pick(key) != p.Pick(side) {
				t.Fatalf("%q on %v, %q on %v", key, p.Pick(key), side, p.Pick(side))
			}
		}
	}
}

// A change of this table is a change of where every key of every running pool is.
func TestPlacementIsFixedForEver(t *testing.T) {
	t.Parallel()
	p := pool(t, "memcached://10.0.0.1:11211,10.0.0.2:11211,10.0.0.3:11211")
	got := ""
	for i := range 16 {
		got += p.Pick(fmt.Sprintf("k%d", i)).String()[7:8]
	}
	if want := "3122321113321323"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTheNativeClientPlacesStoredKeysAlike(t *testing.T) {
	t.Parallel()
	p := pool(t, "memcached://a,b,c,d,e")
	for i := range 100 {
		key := fmt.Sprintf("k%d", i)
		addr, err := selector{p}.PickServer("AbCdEf-_:" + key)
		if err != nil || addr.String() != p.Pick(key).String() {
			t.Fatal(key, addr, err)
		}
	}
}
