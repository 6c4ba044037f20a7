package node

import (
	"slices"
	"testing"
)

// Sets of one key by two nodes would be in no order that the caches can know.
func TestEachKeyThatIsSetIsOneNodesOwn(t *testing.T) {
	t.Parallel()
	const nodes, keys = 3, 100
	owner := map[int]int{}
	seen := map[string]bool{}
	for node := range nodes {
		for key := range keys {
			k, verb := verbOf(key, node, nodes, keys)
			seen[verb] = true
			if k < 0 || k >= keys || isThrough(k) != (verb == Through) || verb == Tag && !isTagged(k) {
				t.Errorf("node %d writes key %d by %s in place of %d", node, k, verb, key)
			}
			if verb != Set {
				if ownOf(k) {
					t.Errorf("node %d writes key %d by %s", node, k, verb)
				}
				continue
			}
			if before, ok := owner[k]; ok && before != node {
				t.Errorf("key %d is set by nodes %d and %d", k, before, node)
			}
			owner[k] = node
		}
	}
	for _, verb := range Verbs() {
		if !seen[verb] && verb != Clear && verb != Prefix {
			t.Errorf("nobody writes by %s", verb)
		}
	}
}

func TestWhatAWriteCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		verb string
		key  int
		want []int // of 60
	}{
		{Invalidate, 8, []int{8}},
		{Invalidate, 1000, []int{1000}},
		{Tag, 12, []int{12, 11}},
		{Prefix, 8, []int{8}},
		{Prefix, 40, []int{40, 4, 41, 42, 43, 44, 47, 48, 49}},
		{Prefix, 45, []int{45, 46}},
		{Clear, 5, []int{5, 6, 13, 14, 21, 22, 29, 30, 37, 38, 45, 46, 53, 54}},
	} {
		if got := covered(c.verb, c.key, 60); !slices.Equal(got, c.want) {
			t.Errorf("%s of %d: %v, want %v", c.verb, c.key, got, c.want)
		}
	}
}
