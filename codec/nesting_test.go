package codec_test

import (
	"fmt"
	"testing"

	"github.com/strata-cache/strata/codec"
)

type (
	node struct {
		Name     string
		Next     *node
		Children []*node
		Parent   *node `msgpack:"-" json:"-"`
		hidden   *node
	}
	loop  []loop
	ring  map[string]ring
	holds struct{ Any any }
)

func refuses[V any](t *testing.T, what string, v V) {
	t.Helper()
	for _, c := range []codec.Codec[V]{codec.MessagePack[V](), codec.JSON[V]()} {
		if b, err := c.Append([]byte("x"), v); err == nil || string(b) != "x" {
			t.Errorf("%v: %s was encoded", c.ID(), what)
		}
	}
}

func TestAValueThatHoldsItselfIsAnError(t *testing.T) {
	t.Parallel()
	self := &node{Name: "a"}
	self.Next = self
	refuses(t, "a pointer to itself", self)
	refuses(t, "a struct with a pointer to a cycle", *self)

	parent := &node{}
	parent.Children = []*node{{}, {Children: []*node{{}, parent}}}
	refuses(t, "a cycle through slices", parent)

	slice := make(loop, 1)
	slice[0] = slice
	refuses(t, "a slice in itself", slice)

	m := ring{}
	m["m"] = m
	refuses(t, "a map in itself", m)

	object := map[string]any{"list": []any{1}}
	object["list"].([]any)[0] = object
	refuses(t, "a map in a list in itself", object)
	refuses(t, "a cycle in an interface", any(object))
	refuses(t, "a cycle in an interface in a struct", holds{&holds{object}})

	var list any
	list = &list
	refuses(t, "a pointer to an interface to itself", holds{list})
}

func TestWhatIsNotEncodedMayHoldTheValue(t *testing.T) {
	t.Parallel()
	parent := &node{Name: "parent"}
	parent.Parent, parent.hidden = parent, parent
	child := &node{Name: "child", Parent: parent}
	parent.Children = []*node{child, child, child} // shared, and no cycle
	c := codec.MessagePack[*node]()
	b, err := c.Append(nil, parent)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decode(b); err != nil || len(got.Children) != 3 || got.Children[2].Name != "child" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDepthUpToTheLimitIsEncoded(t *testing.T) {
	t.Parallel()
	list := &node{}
	for range codec.MaxDepth - 1 {
		list = &node{Next: list}
	}
	c := codec.MessagePack[*node]()
	b, err := c.Append(nil, list)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Decode(b); err != nil {
		t.Error(err)
	}
	if _, err := c.Append(nil, &node{Next: list}); err == nil {
		t.Error("one level more was encoded")
	}
}

func BenchmarkNesting(b *testing.B) {
	tree := &node{Name: "root"}
	for i := range 20 {
		tree.Children = append(tree.Children, &node{Name: fmt.Sprint("child ", i), Next: &node{Name: "next"}})
	}
	c, dst := codec.MessagePack[*node](), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Append(dst, tree); err != nil {
			b.Fatal(err)
		}
	}
}
