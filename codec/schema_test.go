package codec_test

import (
	"testing"
	"time"

	"github.com/strata-cache/strata/codec"
)

type (
	base    struct{ A int }
	renamed struct{ B int }
	retyped struct{ A int8 }
	added   struct{ A, B int }
	tagged  struct {
		A int `msgpack:"a" json:"a"`
	}
	ignored struct {
		A int
		B int `msgpack:"-" json:"-"`
		c int
	}
	other struct{ A int }
	outer struct{ X []base }
	inner struct{ X []retyped }

	list   struct{ Next *list }
	tree   map[string]tree
	stamp  struct{ T time.Time }
	stampp struct{ T *time.Time }
)

func TestSchemaChangesWithTheStructure(t *testing.T) {
	_ = ignored{c: 1}
	for name, of := range map[string][]uint64{
		"messagepack": {
			codec.MessagePack[base]().Schema(), codec.MessagePack[renamed]().Schema(), codec.MessagePack[retyped]().Schema(),
			codec.MessagePack[added]().Schema(), codec.MessagePack[tagged]().Schema(), codec.MessagePack[outer]().Schema(),
			codec.MessagePack[inner]().Schema(), codec.MessagePack[*base]().Schema(), codec.MessagePack[[]base]().Schema(),
			codec.MessagePack[list]().Schema(), codec.MessagePack[tree]().Schema(), codec.MessagePack[stamp]().Schema(),
			codec.MessagePack[stampp]().Schema(), codec.MessagePack[any]().Schema(), codec.MessagePack[int]().Schema(),
		},
		"json": {
			codec.JSON[base]().Schema(), codec.JSON[renamed]().Schema(), codec.JSON[retyped]().Schema(), codec.JSON[added]().Schema(),
			codec.JSON[tagged]().Schema(), codec.JSON[outer]().Schema(), codec.JSON[inner]().Schema(), codec.JSON[list]().Schema(),
		},
	} {
		seen := map[uint64]int{0: -1}
		for i, s := range of {
			if j, ok := seen[s]; ok {
				t.Errorf("%s: types %d and %d have the schema %#x", name, j, i, s)
			}
			seen[s] = i
		}
	}
}

func TestSchemaIgnoresWhatIsNotEncoded(t *testing.T) {
	want := codec.MessagePack[base]().Schema()
	if codec.MessagePack[ignored]().Schema() != want || codec.MessagePack[other]().Schema() != want {
		t.Error("a skipped field or the name of a type changed the schema")
	}
	if codec.JSON[base]().Schema() == want {
		t.Error("two formats share a schema")
	}
}

// These change only if stored values of these types may no longer be decoded: they cost every cache all its values.
func TestSchemaIsTheSameInEveryBuild(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"messagepack product", codec.MessagePack[product]().Schema(), 0x2acd57982f0879d3},
		{"messagepack list", codec.MessagePack[list]().Schema(), 0x264722496195ed8f},
		{"json product", codec.JSON[product]().Schema(), 0xd6fed9f0fc87dbe6},
		{"json stamp", codec.JSON[stamp]().Schema(), 0x688f09f81390f452},
		{"yaml base", codec.Fingerprint[base]("yaml"), 0xc19f241769a0df71},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, c.got, c.want)
		}
	}
}
