package node

import (
	"fmt"
	"strconv"
	"strings"
)

// Of eight keys in a row each is written in its own way:
//
//	0, 1  Invalidate
//	2     BeginWrite and Commit
//	3     Set, by one node alone; its values have a tag
//	4     InvalidateTag at one in four, Invalidate at the others; its values have a tag
//	5, 6  Set under write-through, in a cache of their own
//	7     BeginWrite, Write.Set and Commit
const kinds = 8

// tags is how many there are.
const tags = 25

// tagsOf are the tags of the values of a key.
func tagsOf(key int) []string {
	if isTagged(key) {
		return []string{tagOf(key)}
	}
	return nil
}

func isTagged(key int) bool { k := key % kinds; return k == 3 || k == 4 }

func tagOf(key int) string { return fmt.Sprintf("tag-%d", tagNumber(key)) }

func tagNumber(key int) int { return key / kinds % tags }

// isThrough reports whether a key is one of the cache that writes its source.
func isThrough(key int) bool { k := key % kinds; return k == 5 || k == 6 }

// ownOf reports whether only one node writes a key.
func ownOf(key int) bool { return key%kinds == 3 }

// verbOf returns how a node writes a key, and which it writes instead if the key is another's. Those that are written by
// Set are each written by one node alone, one write after the other: Sets in another order than the commits leave an
// older value, and that is the application's affair.
func verbOf(key, node, nodes, keys int) (int, string) {
	switch key % kinds {
	case 2:
		return key, BeginWrite
	case 3:
		group := key / kinds
		group += (node - group%nodes + nodes) % nodes
		if k := kinds*group + 3; k < keys {
			return k, Set
		}
		return key - 2, Invalidate
	case 4:
		if key/kinds%4 == 0 {
			return key, Tag
		}
	case 5, 6:
		return key, Through
	case 7:
		return key, StateWrite
	}
	return key, Invalidate
}

// covered returns those of the first n keys that a write of key by a verb is about, key first.
func covered(verb string, key, n int) []int {
	all := []int{key}
	if verb != Clear && verb != Prefix && verb != Tag {
		return all
	}
	for k := range n {
		switch {
		case k == key:
		case verb == Clear && isThrough(k) == isThrough(key),
			verb == Prefix && isThrough(k) == isThrough(key) && strings.HasPrefix(strconv.Itoa(k), prefixOf(key)),
			verb == Tag && isTagged(k) && tagNumber(k) == tagNumber(key):
			all = append(all, k)
		}
	}
	return all
}

// prefixOf is with what all keys begin that a key is invalidated with by prefix.
func prefixOf(key int) string {
	s := strconv.Itoa(key)
	return s[:max(1, len(s)-1)]
}
